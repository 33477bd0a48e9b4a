//! `counterfoil import`.

mod file;
mod format;
mod value;

pub(crate) use format::Source;

use super::{Failure, Global, operator::Operator, output, progress::progress};
use crate::{
    http::api::import::{LINE, ROWS, SIZE},
    service::import::{ENTROPY_BITS, NAMED},
};
use anyhow::anyhow;
use clap::Args;
use file::{Mistake, Places};
use format::Skip;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// How many mistakes are printed; after so many they repeat themselves.
const PRINTED: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The tokens: CSV with a header line, lines of JSON or a JSON array; - reads standard input
    file: PathBuf,
    /// Where they come from
    #[arg(long, value_name = "SOURCE", value_enum)]
    from: Source,
    /// The API that they are for
    #[arg(long)]
    api: String,
    /// What you attest: that every token was drawn at random, with so many bits of entropy beside
    /// what `prefix` and `last_four` show; 128 at least, since a digest gives away what can be
    /// guessed [default: as the source makes them; sha256 needs it said]
    #[arg(
        long,
        value_name = "BITS",
        required_if_eq("from", "sha256"),
        value_parser = clap::value_parser!(u16).range(i64::from(ENTROPY_BITS)..)
    )]
    entropy_bits: Option<u16>,
    /// The account that is to own all of them, whatever the file says: an id, an e-mail address or
    /// an external id
    #[arg(long, value_name = "ACCOUNT")]
    owner: Option<String>,
    /// The organization that they belong to, where the file does not say and an owner belongs to
    /// several: an id or a name
    #[arg(long)]
    organization: Option<String>,
    /// The role of those for which the file says neither role nor scopes
    #[arg(long, conflicts_with = "scope")]
    role: Option<String>,
    /// A scope of those for which the file says neither; may be given more than once
    #[arg(long)]
    scope: Vec<String>,
    /// How long those live from now on that have no end, as in 90d [default: for ever]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<String>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A file's rows, as far as they can be judged without asking anybody.
#[derive(Debug, Default)]
struct Sorted {
    /// Lines for the server.
    body: Vec<u8>,
    rows: u64,
    skipped: BTreeMap<Skip, (u64, Vec<u32>)>,
    wrong: u64,
    mistakes: Vec<Mistake>,
    /// Names of columns that nobody looked at.
    idle: BTreeSet<String>,
}

pub(crate) async fn run(global: &Global, import: Import) -> Result<(), Failure> {
    let mut sorted = Sorted::default();
    let places = {
        // It may hold tokens in plain, and goes before anything else is done.
        let bytes = read(&import.file)?;
        sort(&import, &bytes, &mut sorted)
            .map_err(|why| Failure::Wrong(anyhow!("{} {why}", name(&import.file))))?
    };
    let operator = Operator::reach(global).await?;
    let outcome = ask(&operator, &import, &mut sorted).await;
    operator.close().await;
    let mut outcome = outcome?;
    add(&sorted, &import, &mut outcome);
    if global.json {
        output::json(&outcome)?;
    }
    tell(global, &outcome, places, &sorted.idle)
}

/// A file as errors call it.
fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".into() } else { file.display().to_string() }
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let most = SIZE as u64 + 1;
    let read = if file == Path::new("-") {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| {
            // At once large enough: a vector that grows leaves copies behind.
            let size = opened.metadata()?.len().min(most);
            bytes.reserve_exact(usize::try_from(size).unwrap_or_default() + 1);
            opened.take(most).read_to_end(&mut bytes)
        })
    };
    read.map_err(|error| Failure::Wrong(anyhow!("{} cannot be read: {error}", name(file))))?;
    if bytes.len() > SIZE {
        return Err(Failure::Wrong(anyhow!(
            "{} is larger than {} MiB; import it in parts",
            name(file),
            SIZE / (1024 * 1024)
        )));
    }
    Ok(bytes)
}

/// Makes the server's lines of a file's rows.
fn sort(import: &Import, bytes: &[u8], sorted: &mut Sorted) -> Result<Places, String> {
    let check =
        |columns: &[(&str, &str)]| import.from.check_header(columns, import.owner.is_some());
    let places = file::read(bytes, LINE, check, |place, record| {
        sorted.rows += 1;
        if sorted.rows > ROWS as u64 {
            return;
        }
        let converted = record.and_then(|record| {
            let converted = import.from.convert(record, &mut sorted.idle);
            converted.map_err(|(field, message)| Mistake { place, field, message })
        });
        match converted {
            Ok(Ok(row)) => {
                sorted.body.extend_from_slice(Value::Object(row).to_string().as_bytes());
                sorted.body.push(b'\n');
            }
            Ok(Err(skip)) => {
                let (count, named) = sorted.skipped.entry(skip).or_default();
                *count += 1;
                if named.len() < NAMED {
                    named.push(place);
                }
            }
            Err(mistake) => {
                sorted.wrong += 1;
                if sorted.mistakes.len() < PRINTED {
                    sorted.mistakes.push(mistake);
                }
            }
        }
    })?;
    if sorted.rows > ROWS as u64 {
        return Err(format!("has more than {ROWS} rows; import it in parts"));
    }
    Ok(places)
}

/// Has the server import the rows. Where some are wrong already it only looks at
/// the others, so that all mistakes are told at once.
async fn ask(operator: &Operator, import: &Import, sorted: &mut Sorted) -> Result<Value, Failure> {
    let organization = match &import.organization {
        Some(name) => Some(super::organizations::resolve(operator, name).await?),
        None => None,
    };
    let entropy_bits = import.entropy_bits.or(import.from.entropy_bits());
    let forever = |text: &&String| *text == "never";
    let mut first = Map::new();
    for (name, value) in [
        ("api", Some(json!(import.api))),
        ("from", Some(json!(import.from.name()))),
        ("entropy_bits", entropy_bits.map(Value::from)),
        ("organization", organization.map(Value::from)),
        ("owner", import.owner.clone().map(Value::from)),
        ("role", import.role.clone().map(Value::from)),
        ("scopes", (!import.scope.is_empty()).then(|| json!(import.scope))),
        (
            "expires_in",
            import.expires_in.as_ref().filter(|text| !forever(text)).map(|text| json!(text)),
        ),
        ("dry_run", Some(json!(import.dry_run || sorted.wrong > 0))),
    ] {
        if let Some(value) = value {
            first.insert(name.into(), value);
        }
    }
    let mut body = format!("{}\n", Value::Object(first)).into_bytes();
    body.append(&mut sorted.body);
    let (bar, moved) = progress("rows", |_, _| {});
    let progress = |step: &Value| {
        let done = step["checked"].as_u64().or(step["written"].as_u64());
        moved(done.unwrap_or_default(), step["of"].as_u64().unwrap_or_default());
    };
    let outcome = operator.follow("/v1/tokens/import", body, progress).await;
    bar.finish_and_clear();
    outcome
}

/// Adds what was found here to what the server says.
fn add(sorted: &Sorted, import: &Import, outcome: &mut Value) {
    let wrong = outcome["wrong"].as_u64().unwrap_or_default() + sorted.wrong;
    outcome["rows"] = sorted.rows.into();
    outcome["dry_run"] = import.dry_run.into();
    outcome["wrong"] = wrong.into();
    if wrong > 0 {
        outcome["imported"] = 0.into();
    }
    if let Some(skipped) = outcome["skipped"].as_array_mut() {
        skipped.extend(sorted.skipped.iter().map(|(skip, (count, lines))| {
            json!({
                "reason": skip.code(),
                "message": skip.message(),
                "count": count,
                "lines": lines,
            })
        }));
    }
    if let Some(mistakes) = outcome["mistakes"].as_array_mut() {
        mistakes.extend(sorted.mistakes.iter().map(|mistake| {
            json!({"line": mistake.place, "field": mistake.field, "message": mistake.message})
        }));
        mistakes.sort_by_key(|mistake| mistake["line"].as_u64());
    }
}

fn tell(
    global: &Global,
    outcome: &Value,
    places: Places,
    idle: &BTreeSet<String>,
) -> Result<(), Failure> {
    let number = |name: &str| outcome[name].as_u64().unwrap_or_default();
    let (rows, wrong, imported) = (number("rows"), number("wrong"), number("imported"));
    if wrong > 0 {
        let mistakes = outcome["mistakes"].as_array().map(Vec::as_slice).unwrap_or_default();
        for mistake in mistakes.iter().take(PRINTED) {
            output::note(format_args!(
                "{} {}: {}: {}",
                places.one(),
                mistake["line"],
                output::text(&mistake["field"]),
                output::text(&mistake["message"])
            ));
        }
        let more = wrong.saturating_sub(PRINTED as u64);
        if more > 0 {
            output::note(format_args!("and {more} more"));
        }
        return Err(Failure::Wrong(anyhow!(
            "nothing was imported, because {wrong} of {rows} rows are wrong"
        )));
    }
    if global.json || global.quiet {
        return Ok(());
    }
    if !idle.is_empty() {
        let names: Vec<&str> = idle.iter().map(String::as_str).collect();
        output::note(format_args!("Nobody looked at: {}.", names.join(", ")));
    }
    let tokens = if imported == 1 { "token" } else { "tokens" };
    let dry_run = outcome["dry_run"] == json!(true);
    let what = if dry_run { "Would import" } else { "Imported" };
    output::print(format_args!(
        "{what} {imported} {tokens} for {}.",
        output::text(&outcome["api"])
    ))?;
    let skipped = outcome["skipped"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !skipped.is_empty() {
        output::print(format_args!("Skipped {} of {rows} rows:", rows - imported))?;
    }
    for reason in skipped {
        let count = reason["count"].as_u64().unwrap_or_default();
        let lines = reason["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named: Vec<String> = lines.iter().map(Value::to_string).collect();
        output::print(format_args!(
            "  {count} {} ({} {}{})",
            output::text(&reason["message"]),
            if count == 1 { places.one() } else { places.several() },
            named.join(", "),
            if count > named.len() as u64 { ", …" } else { "" }
        ))?;
        for token in reason["tokens"].as_array().into_iter().flatten() {
            output::print(format_args!("    {}", output::text(token)))?;
        }
    }
    Ok(())
}

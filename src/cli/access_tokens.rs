//! `counterfoil token exchange` and `counterfoil token decode`.

use super::{
    Failure, Global,
    operator::{Operator, read_file, read_secret},
    output,
};
use crate::{clock, http::console::when::when};
use anyhow::anyhow;
use counterfoil_core::Timestamp;
use http::Method;
use serde_json::{Value, json};
use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

/// Exchanges a secret for an access token, which goes to standard output.
pub(super) async fn exchange(
    global: &Global,
    secret_file: Option<PathBuf>,
    scopes: Vec<String>,
) -> Result<(), Failure> {
    let file = or_standard_input(secret_file, "the token's secret");
    let secret = read_secret(&file)?;
    let secret = secret.trim();
    if secret.is_empty() || secret.contains(char::is_whitespace) {
        let why = "that is not a secret alone: give it without the words around it";
        return Err(Failure::Wrong(anyhow!("{why}")));
    }
    let scopes = (!scopes.is_empty()).then_some(scopes);
    let body = json!({ "secret": secret, "scopes": scopes });
    let operator = Operator::reach_to_verify(global).await?;
    let obtained = operator.call(Method::POST, "/v1/access-tokens", Some(&body)).await;
    operator.close().await;
    let obtained = obtained?;
    if global.json {
        return Ok(output::json(&obtained)?);
    }
    if !global.quiet {
        let scopes = output::text(&obtained["scopes"]);
        output::note(format_args!(
            "For {}{}; ends {}, or with its token {}.",
            output::text(&obtained["api"]),
            if scopes.is_empty() { String::new() } else { format!(" with {scopes}") },
            in_words(&obtained["expires_at"]),
            output::text(&obtained["token"]),
        ));
    }
    Ok(output::print(format_args!("{}", output::text(&obtained["access_token"])))?)
}

/// Says what an access token says.
pub(super) async fn decode(global: &Global, file: Option<PathBuf>) -> Result<(), Failure> {
    let text = read_file(&or_standard_input(file, "the access token"))?;
    let text = text.trim();
    // As it stands in a header, or in the answer that it came in.
    let text = text.strip_prefix("Authorization: ").unwrap_or(text);
    let text = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    let body = json!({ "access_token": text });
    let operator = Operator::reach_to_verify(global).await?;
    let decoded = operator.call(Method::POST, "/v1/access-tokens/decode", Some(&body)).await;
    operator.close().await;
    let decoded = decoded?;
    if global.json {
        return Ok(output::json(&decoded)?);
    }
    if global.quiet {
        return Ok(output::print(format_args!("{}", visible(&decoded["claims"]["client_id"])))?);
    }
    let is_ours = decoded["signed_here"] == json!(true);
    let signature = if is_ours {
        format!("ours, by the key {}", visible(&decoded["header"]["kid"]))
    } else {
        "not ours: whatever follows, anybody can have written".to_owned()
    };
    let accepted = match (&decoded["reason"], &decoded["bound"]) {
        (Value::String(reason), _) => {
            format!("no: {reason} ({})", output::text(&decoded["code"]))
        }
        (_, Value::Bool(true)) => "yes, from its token's networks alone".to_owned(),
        _ => "yes".to_owned(),
    };
    let mut facts = vec![
        ("signature".to_owned(), signature),
        ("accepted now".to_owned(), accepted),
        ("issued".to_owned(), in_words(&decoded["issued_at"])),
        ("ends".to_owned(), in_words(&decoded["expires_at"])),
    ];
    for part in ["header", "claims"] {
        for (name, value) in decoded[part].as_object().into_iter().flatten() {
            facts.push((visible(&json!(name)), visible(value)));
        }
    }
    let facts: Vec<(&str, String)> =
        facts.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    Ok(output::print(format_args!("{}", output::facts(&facts)))?)
}

/// The file, or standard input, of which a person at a terminal is told.
fn or_standard_input(file: Option<PathBuf>, what: &str) -> PathBuf {
    let file = file.unwrap_or_else(|| "-".into());
    if file == Path::new("-") && std::io::stdin().is_terminal() {
        output::note(format_args!("Reading {what} from standard input; end with Ctrl-D."));
    }
    file
}

/// A time, and how far that is from now.
fn in_words(moment: &Value) -> String {
    let Some(text) = moment.as_str() else { return String::new() };
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => {
            let at = Timestamp::from_millis(at.as_millisecond());
            format!("{text} ({})", when(at, clock::now()).words)
        }
        Err(_) => text.to_owned(),
    }
}

/// What a stranger may have written, for a terminal: nothing in it does anything there.
fn visible(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let fit = |c: char| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c };
    text.chars().map(fit).collect()
}

fn is_invisible(c: char) -> bool {
    counterfoil_core::account::is_invisible(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_does_nothing_to_a_terminal() {
        for (value, shown) in [
            (json!("a\u{1b}[31mb\u{9b}c\nd"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}d"),
            (json!("abc\u{202e}def"), "abc\u{fffd}def"),
            (json!(["\u{1b}"]), r#"["\u001b"]"#),
            (json!(17), "17"),
        ] {
            assert_eq!(visible(&value), shown);
        }
    }
}

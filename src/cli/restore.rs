//! `counterfoil restore`.

mod export;
mod shared;

use super::{
    Failure, Global, configuration,
    operator::{lock, runs_on},
    output,
    progress::progress,
};
use crate::{
    clock,
    service::restore::{Plan, Told},
    store::{
        Store,
        sqlite::{Candidate, DataDirectory, DirectoryError, Sqlite, remove_leftovers},
    },
};
use anyhow::{Context as _, anyhow};
use clap::{ArgGroup, Args};
use counterfoil_core::{
    lease::Length,
    ledger::{Head, Undone},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug, Args)]
#[command(
    after_help = ABOUT,
    group = ArgGroup::new("since").required(true).args(["ledger", "accept_resurrection"])
)]
pub(crate) struct Restore {
    /// The copy that `backup` made; none on PostgreSQL, where its own tools have put the
    /// database back before
    file: Option<PathBuf>,
    /// What `ledger export` printed, and later than the copy: what was taken away since is taken
    /// away again
    #[arg(long, value_name = "EXPORT")]
    ledger: Option<PathBuf>,
    /// Have everything work again that worked when the copy was made
    #[arg(long)]
    accept_resurrection: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// On PostgreSQL: the longest L, in seconds, that nodes may have had before
    #[arg(long, value_name = "SECONDS", default_value_t = Length::MAX.seconds(),
        value_parser = clap::value_parser!(u64).range(Length::MIN.seconds()..=Length::MAX.seconds()))]
    longest_lease: u64,
}

const ABOUT: &str = "\
A backup knows nothing of what was revoked after it. So either a copy of the ledger's chain that \
was kept elsewhere has to tell (--ledger), or everything that comes back with it is accepted \
(--accept-resurrection). The chain tells ids and kinds: what was revoked, paused, disabled, closed, \
withdrawn or left is so again; a token that was rotated, changed or handed over is revoked, a \
password that was set anew is taken away, whoever was made anything else than they were is made a \
member. What was issued since is unknown, and refused. Each is told, and stands in the ledger. \
Sessions of the console end in either case.

No server may run on the data directory. The copy is looked at first, the ledger in it too; only \
then does it take the database's place, which is moved aside and not removed.

On PostgreSQL, put the database back with its own tools, have all nodes stopped, and run this \
without a FILE: it begins a new epoch, once the longest lease that there may be has ended.";

pub(crate) async fn run(global: &Global, restore: Restore) -> Result<(), Failure> {
    let config = configuration::load(global)?;
    match (&config.database.server, &restore.file) {
        (None, None) => {
            let why = "name the copy that is to be put back: counterfoil restore FILE …";
            return Err(Failure::Wrong(anyhow!(why)));
        }
        (Some(_), Some(_)) => {
            let why = "the database is PostgreSQL's: put it back with PostgreSQL's own tools, then \
                       run `counterfoil restore` without a file";
            return Err(Failure::Wrong(anyhow!(why)));
        }
        _ => {}
    }
    let export = restore.ledger.as_deref().map(export::Export::open).transpose()?;
    let data = global.data();
    if runs_on(&data).await? {
        return Err(Failure::Failed(anyhow!("a server runs on {}; stop it first", data.display())));
    }
    let directory = Arc::new(lock(&data).await.map_err(|error| match error {
        DirectoryError::InUse { .. } => Failure::Failed(anyhow!("{error}; stop it first")),
        _ => Failure::Failed(error.into()),
    })?);
    match (&config.database.server, &restore.file) {
        (None, Some(file)) => {
            here(global, &restore, directory, file, &config.database.file, export).await
        }
        (Some(server), _) => shared::restore(global, &restore, server, export).await,
        (None, None) => Ok(()),
    }
}

/// On SQLite: everything is done to a copy of the copy, which then takes the database's place.
async fn here(
    global: &Global,
    restore: &Restore,
    directory: Arc<DataDirectory>,
    file: &Path,
    database: &Path,
    export: Option<export::Export>,
) -> Result<(), Failure> {
    remove_leftovers(&directory);
    let (bar, moved) = tell_progress(global, "bytes");
    let candidate = Candidate::bring(&directory, file, &moved);
    bar.finish_and_clear();
    let candidate = candidate.map_err(|error| Failure::Failed(error.into()))?;
    let store = Sqlite::open(directory, candidate.name(), Box::new(|_, _| {}));
    let store = store.map_err(anyhow::Error::from)?;
    let prepared = prepare(global, restore, &store, export).await;
    store.close().await;
    drop(store);
    let Some(outcome) = prepared? else { return Ok(()) };
    let moment = clock::now().as_millis().to_string();
    let before = candidate.take_place_of(database, &moment).map_err(anyhow::Error::from)?;
    outcome.tell(global, before.as_deref(), None)
}

/// Looks at the ledger, decides and carries out; none where that was not asked for.
async fn prepare(
    global: &Global,
    restore: &Restore,
    store: &dyn Store,
    export: Option<export::Export>,
) -> Result<Option<Outcome>, Failure> {
    let (plan, outcome) = decide(global, store, export).await?;
    if restore.dry_run {
        outcome.preview(global)?;
        return Ok(None);
    }
    carry_out(global, store, plan).await?;
    Ok(Some(outcome))
}

/// Looks at the ledger, and decides what is to be done anew.
async fn decide(
    global: &Global,
    store: &dyn Store,
    export: Option<export::Export>,
) -> Result<(Plan, Outcome), Failure> {
    let (bar, moved) = tell_progress(global, "entries");
    let inspected = store.inspect_ledger(moved).await;
    bar.finish_and_clear();
    let inspection = inspected.map_err(anyhow::Error::from)?;
    if !inspection.findings.is_empty() {
        return Err(Failure::Failed(anyhow!(
            "the ledger and the database that was put back do not agree, and nothing was done; \
             everything up to entry {} is sound:\n{}",
            inspection.head.number,
            inspection.findings.join("\n")
        )));
    }
    let head = inspection.head;
    let Some(export) = export else {
        return Ok((Plan::default(), Outcome { head, since: None }));
    };
    let undone = export.read(store, head).await?;
    let plan = Plan::of(store, &undone).await.map_err(anyhow::Error::from)?;
    let told = plan.told.clone();
    Ok((plan, Outcome { head, since: Some((undone, told)) }))
}

async fn carry_out(global: &Global, store: &dyn Store, plan: Plan) -> Result<(), Failure> {
    let (bar, moved) = tell_progress(global, "changes");
    let done = plan.carry_out(store, moved).await;
    bar.finish_and_clear();
    Ok(done.map_err(anyhow::Error::from).context("nothing was taken away again")?)
}

fn tell_progress(
    global: &Global,
    what: &'static str,
) -> (indicatif::ProgressBar, crate::store::Progress) {
    let quiet = global.quiet;
    progress(what, move |done, of| {
        if !quiet {
            output::note(format_args!("{done} of {of} {what}"));
        }
    })
}

/// What came of it.
struct Outcome {
    /// The ledger's head as it was put back.
    head: Head,
    /// What the ledger had lost, and what of it is done anew; none, where nobody knows.
    since: Option<(Undone, Vec<Told>)>,
}

impl Outcome {
    fn as_json(&self) -> Value {
        let told = |told: &Told| {
            json!({
                "what": told.what,
                "id": told.id,
                "name": told.name,
                "done": told.done,
                "because": told.because,
            })
        };
        let mut outcome = json!({"entries": self.head.number, "head": self.head.hash.to_string()});
        if let Some((undone, done)) = &self.since {
            let lost: serde_json::Map<String, Value> =
                undone.lost().map(|(kind, count)| (kind.to_owned(), count.into())).collect();
            outcome["entries_lost"] = undone.entries().into();
            outcome["lost"] = lost.into();
            outcome["done"] = done.iter().map(told).collect();
        }
        outcome
    }

    /// What would be done.
    fn preview(&self, global: &Global) -> Result<(), Failure> {
        if global.json {
            let mut outcome = self.as_json();
            outcome["dry_run"] = true.into();
            return Ok(output::json(&outcome)?);
        }
        self.list()?;
        output::note(format_args!("This would be done; nothing was."));
        Ok(())
    }

    /// What was done.
    fn tell(
        &self,
        global: &Global,
        before: Option<&Path>,
        epoch: Option<u64>,
    ) -> Result<(), Failure> {
        if global.json {
            let mut outcome = self.as_json();
            if let Some(before) = before {
                outcome["before"] = before.to_string_lossy().into();
            }
            if let Some(epoch) = epoch {
                outcome["epoch"] = epoch.into();
            }
            return Ok(output::json(&outcome)?);
        }
        if global.quiet {
            return Ok(());
        }
        self.list()?;
        if let Some(before) = before {
            output::note(format_args!(
                "The database that was there before is {}; remove it when nobody misses it.",
                before.display()
            ));
        }
        if let Some(epoch) = epoch {
            output::note(format_args!("Epoch {epoch} has begun. Start the nodes."));
        }
        Ok(())
    }

    fn list(&self) -> Result<(), Failure> {
        for told in self.since.iter().flat_map(|(_, told)| told) {
            let Told { what, id, name, done, because } = told;
            let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
            output::print(format_args!("{what} {id}{name}: {done}, because {because}"))?;
        }
        let Head { number, hash } = self.head;
        output::note(format_args!("Put back: {number} entries, head {hash}."));
        let Some((undone, told)) = &self.since else {
            output::note(format_args!(
                "What was revoked, disabled or narrowed after that is as it was before. To see \
                 what that is, hold a copy of the chain against it: `counterfoil ledger verify \
                 --against EXPORT` names the first entry that is lost, and the copy has what came \
                 behind it."
            ));
            return Ok(());
        };
        output::note(format_args!(
            "Lost since: {} entries. Taken away again: {}.",
            undone.entries(),
            told.len()
        ));
        let lost: Vec<String> =
            undone.lost().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !lost.is_empty() {
            output::note(format_args!("Not done anew: {}.", lost.join(", ")));
        }
        Ok(())
    }
}

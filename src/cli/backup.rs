//! `counterfoil backup`.

use super::{Failure, Global, operator::Operator, output, progress::progress};
use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::Value;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
#[command(after_help = ABOUT)]
pub(crate) struct Backup {
    /// Where to
    file: PathBuf,
    /// Replace the file, where there is one
    #[arg(long)]
    force: bool,
}

const ABOUT: &str = "\
A copy of the database as it is at one moment, made while the server goes on, or without one. It \
has everything but what is in files: the configuration, and in the data directory the keys that \
sign access tokens (`keys/`), which are no part of it on purpose, and `access-tokens.json`. Keep the \
line that it prints: a restore can be held against it. A token that is revoked after it comes back \
with it, unless the ledger's chain is kept elsewhere, too: `counterfoil ledger export`.

A database on PostgreSQL is copied by PostgreSQL's own tools.";

pub(crate) async fn run(global: &Global, backup: &Backup) -> Result<(), Failure> {
    let file = std::path::absolute(&backup.file)?;
    let taken = || {
        Failure::Failed(anyhow!(
            "{} is there already, and nothing was done; name another file, or replace it with \
             --force",
            file.display()
        ))
    };
    if file.symlink_metadata().is_ok() && !backup.force {
        return Err(taken());
    }
    let home = file.parent().filter(|home| home.is_dir());
    let home = home.ok_or_else(|| {
        Failure::Failed(anyhow!("{} is in no directory that is there", file.display()))
    })?;
    let operator = Operator::reach(global).await?;
    let quiet = global.quiet;
    let (bar, moved) = progress("pages", move |done, of| {
        if !quiet {
            output::note(format_args!("{done} of {of} pages"));
        }
    });
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let step = |step: &Value| moved(number(&step["copied"]), number(&step["of"]));
    let made = operator.follow("/v1/backups", Vec::new(), step).await;
    bar.finish_and_clear();
    operator.close().await;
    let mut made = made?;
    let copy = PathBuf::from(output::text(&made["file"]));
    let brought = bring(&copy, home, &file, backup.force);
    // It was made for this command alone.
    let removed = std::fs::remove_file(&copy);
    let brought = brought.with_context(|| format!("{} cannot be written", file.display()))?;
    let Some(bytes) = brought else { return Err(taken()) };
    removed.with_context(|| format!("{} was left behind", copy.display()))?;
    made["file"] = file.to_string_lossy().into();
    made["bytes"] = bytes.into();
    if global.json {
        return Ok(output::json(&made)?);
    }
    if !quiet {
        output::print(format_args!(
            "{}: {bytes} bytes, {} entries\nhead {}",
            file.display(),
            made["entries"],
            output::text(&made["head"])
        ))?;
    }
    Ok(())
}

/// Puts what was copied where it was asked for, whole or not at all; how long it is, or none
/// where somebody else has made a file of that name meanwhile.
fn bring(copy: &Path, home: &Path, file: &Path, replace: bool) -> io::Result<Option<u64>> {
    let mut from = File::open(copy)?;
    let mut made = tempfile::NamedTempFile::new_in(home)?;
    let bytes = io::copy(&mut from, &mut made)?;
    made.as_file().sync_all()?;
    let put = if replace { made.persist(file) } else { made.persist_noclobber(file) };
    match put {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        put => put?,
    };
    File::open(home)?.sync_all()?;
    Ok(Some(bytes))
}

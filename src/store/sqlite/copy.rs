//! A copy of the database, made while changes go on.

use super::write::head;
use crate::store::{Copied, Progress};
use rusqlite::{
    Connection, Error, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{fs::File, io, path::Path};

/// How a copy's name begins and ends: what is left of one is removed at the next start.
pub(super) const NAME: (&str, &str) = (".backup-", ".db");

/// How many pages are copied at a time, after which it is told.
const PAGES: i32 = 4096;

/// Copies what the database is at this moment into a new file in `directory`, and sees that it
/// is on the disk.
pub(super) fn copy(
    connection: &mut Connection,
    directory: &Path,
    progress: &Progress,
) -> Result<Copied, Error> {
    // All pages come from the snapshot that this begins; the log cannot be folded in further
    // meanwhile, and nobody waits.
    let snapshot = connection.transaction()?;
    let head = head(&snapshot)?;
    let failed = |error: io::Error| Error::ToSqlConversionFailure(Box::new(error));
    let (begin, end) = NAME;
    let made = tempfile::Builder::new().prefix(begin).suffix(end).tempfile_in(directory);
    let made = made.map_err(failed)?.into_temp_path();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut into = Connection::open_with_flags(&made, flags)?;
    // Whatever goes wrong ends all of it.
    into.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    into.pragma_update(None, "synchronous", "off")?;
    let backup = Backup::new(&snapshot, &mut into)?;
    while backup.step(PAGES)? == StepResult::More {
        let pages = backup.progress();
        let count = |pages: i32| u64::try_from(pages).unwrap_or_default();
        progress(count(pages.pagecount - pages.remaining), count(pages.pagecount));
    }
    drop(backup);
    drop(into);
    File::open(&made).and_then(|file| file.sync_all()).map_err(failed)?;
    let file = made.keep().map_err(|error| failed(error.error))?;
    Ok(Copied { file, head })
}

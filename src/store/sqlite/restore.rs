//! A copy that is to take the database's place: looked at first, then exchanged.

use super::{DataDirectory, MIGRATIONS, copy};
use crate::store::Progress;
use rusqlite::{Connection, OpenFlags};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How a candidate's name begins and ends.
const NAME: (&str, &str) = (".restore-", ".db");
/// There while the database is being exchanged: what lies there then may be half of it.
const UNDER_WAY: &str = "restore-under-way";
/// What SQLite keeps beside a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];
/// How much is read at a time.
const AT_A_TIME: usize = 1 << 20;

/// Why a copy cannot take the database's place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("the copy {path} cannot be read: {why}")]
    Unreadable { path: PathBuf, why: io::Error },
    #[error("{0} is not a SQLite database")]
    NotADatabase(PathBuf),
    #[error("{path} is not a whole copy of Counterfoil's database: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error(
        "the copy {path} was made by a newer version of Counterfoil (schema {found}; this one knows {known})"
    )]
    Newer { path: PathBuf, found: usize, known: usize },
    #[error("the copy cannot be put into {directory}: {why}")]
    Io { directory: PathBuf, why: io::Error },
}

/// A restore did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error(
    "a restore of {0} was broken off while files were exchanged; run `counterfoil restore` once more (what was there before lies beside it)"
)]
pub(crate) struct HalfRestored(PathBuf);

/// Sees that no restore was broken off.
pub(crate) fn check_whole(directory: &DataDirectory) -> Result<(), HalfRestored> {
    if directory.path().join(UNDER_WAY).exists() {
        return Err(HalfRestored(directory.path().to_owned()));
    }
    Ok(())
}

/// Removes what a copy or a candidate left behind whose process was killed.
pub(crate) fn remove_leftovers(directory: &DataDirectory) {
    let Ok(files) = directory.path().read_dir() else { return };
    for file in files.flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        let is_left = [copy::NAME, NAME].iter().any(|(begin, end)| {
            name.starts_with(begin)
                && BESIDE
                    .iter()
                    .chain([&""])
                    .any(|beside| name.strip_suffix(beside).is_some_and(|name| name.ends_with(end)))
        });
        if is_left {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// A copy of a copy, in the data directory; removed again unless it takes the database's place.
pub(crate) struct Candidate {
    directory: Arc<DataDirectory>,
    path: PathBuf,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        for beside in BESIDE.iter().chain([&""]) {
            let _ = std::fs::remove_file(with(&self.path, beside));
        }
    }
}

impl Candidate {
    /// Brings `file` into the data directory, its log too, and looks whether it is a whole
    /// database of Counterfoil's. `file` itself is only read.
    pub(crate) fn bring(
        directory: &Arc<DataDirectory>,
        file: &Path,
        progress: &Progress,
    ) -> Result<Self, RestoreError> {
        let unreadable = |why| RestoreError::Unreadable { path: file.to_owned(), why };
        let failed = |why| RestoreError::Io { directory: directory.path().to_owned(), why };
        let mut source = File::open(file).map_err(unreadable)?;
        let mut magic = [0; 16];
        let is_database = source.read_exact(&mut magic).is_ok() && magic == *b"SQLite format 3\0";
        if !is_database {
            return Err(RestoreError::NotADatabase(file.to_owned()));
        }
        let (begin, end) = NAME;
        let made = tempfile::Builder::new().prefix(begin).suffix(end).tempfile_in(directory.path());
        let path =
            made.map_err(failed)?.into_temp_path().keep().map_err(|error| failed(error.error))?;
        let candidate = Self { directory: directory.clone(), path };
        bring(file, &candidate.path, progress).map_err(failed)?;
        let log = with(file, "-wal");
        if log.exists() {
            bring(&log, &with(&candidate.path, "-wal"), &(Box::new(|_, _| {}) as Progress))
                .map_err(failed)?;
        }
        candidate.check(file)?;
        Ok(candidate)
    }

    fn check(&self, file: &Path) -> Result<(), RestoreError> {
        let damaged = |why: String| RestoreError::Damaged { path: file.to_owned(), why };
        let broken = |error: rusqlite::Error| damaged(error.to_string());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(broken)?;
        let found: u32 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(broken)?;
        let (found, known) = (found as usize, MIGRATIONS.len());
        if found > known {
            return Err(RestoreError::Newer { path: file.to_owned(), found, known });
        }
        let is_ours = connection.table_exists(None, "ledger").map_err(broken)?;
        if found == 0 || !is_ours {
            return Err(damaged("it has no ledger".into()));
        }
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(broken)?;
        if found == "ok" { Ok(()) } else { Err(damaged(found)) }
    }

    /// What it is called in the data directory.
    pub(crate) fn name(&self) -> &Path {
        Path::new(self.path.file_name().unwrap_or_default())
    }

    /// Puts it in the place of the database `file`, which nobody has open, and tells where that
    /// lies from now on; nowhere, where there was none.
    pub(crate) fn take_place_of(
        self,
        file: &Path,
        moment: &str,
    ) -> Result<Option<PathBuf>, RestoreError> {
        let directory = self.directory.path().to_owned();
        self.exchange(file, moment).map_err(|why| RestoreError::Io { directory, why })
    }

    fn exchange(self, file: &Path, moment: &str) -> io::Result<Option<PathBuf>> {
        let directory = self.directory.path();
        let sync = || File::open(directory)?.sync_all();
        let log = with(&self.path, "-wal");
        if log.metadata().is_ok_and(|log| log.len() > 0) {
            return Err(io::Error::other("its log could not be folded in"));
        }
        File::open(&self.path)?.sync_all()?;
        let place = directory.join(file);
        let aside = with(&place, &format!(".before-restore-{moment}"));
        // Whoever starts in between would take half of it for the whole.
        let under_way = directory.join(UNDER_WAY);
        File::create(&under_way)?.sync_all()?;
        sync()?;
        let had = place.exists();
        for beside in ["-wal", ""] {
            let from = with(&place, beside);
            if from.exists() {
                std::fs::rename(from, with(&aside, beside))?;
            }
        }
        // It is made anew from what is moved.
        remove_if_there(&with(&place, "-shm"))?;
        std::fs::rename(&self.path, &place)?;
        sync()?;
        std::fs::remove_file(&under_way)?;
        sync()?;
        Ok(had.then_some(aside))
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn bring(from: &Path, to: &Path, progress: &Progress) -> io::Result<()> {
    let mut from = File::open(from)?;
    let of = from.metadata()?.len();
    // What is there is this process's own; what is not is made for its user alone.
    let mut to = File::options().write(true).create(true).truncate(true).open(to)?;
    let (mut piece, mut done) = (vec![0; AT_A_TIME], 0);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return to.sync_all();
        }
        to.write_all(&piece[..read])?;
        done += read as u64;
        progress(done, of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_behind_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDirectory::lock(home.path()).unwrap();
        let left = [".backup-a1.db", ".restore-b2.db", ".restore-b2.db-wal", ".restore-b2.db-shm"];
        let kept = [
            "counterfoil.db",
            "counterfoil.db-wal",
            "counterfoil.db.before-restore-1",
            "backup-of-mine.db",
            "restore-notes.txt",
            UNDER_WAY,
        ];
        for name in left.iter().chain(&kept) {
            std::fs::write(home.path().join(name), "").unwrap();
        }
        remove_leftovers(&directory);
        assert!(left.iter().all(|name| !home.path().join(name).exists()));
        assert!(kept.iter().all(|name| home.path().join(name).exists()));
    }
}

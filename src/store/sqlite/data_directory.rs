//! The data directory: private to one user, and to one process at a time.

use std::{
    fs::{DirBuilder, File, Permissions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A data directory that this process has locked; the lock ends with the value.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("the data directory {path} is in use by another counterfoil process{by}")]
    InUse { path: PathBuf, by: String },
    #[error("the data directory {path} cannot be used: {why}")]
    Io { path: PathBuf, why: std::io::Error },
    #[error(
        "the data directory {0} belongs to other users too and holds other files; give Counterfoil a directory of its own"
    )]
    Shared(PathBuf),
}

impl DataDirectory {
    /// Makes the directory where it is missing (mode 0700) and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |why| DirectoryError::Io { path: path.to_owned(), why };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        make_private(path)?;

        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let read = lock.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let by = if read { format!(" (process {})", pid.trim()) } else { String::new() };
                return Err(DirectoryError::InUse { path: path.to_owned(), by });
            }
            Err(TryLockError::Error(why)) => return Err(failed(why)),
        }
        // For the message above, in the process that comes second; a full disk
        // is no reason to stop here, where verification could still go on.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes the directory away from other users, if it is plainly ours to take.
fn make_private(path: &Path) -> Result<(), DirectoryError> {
    let failed = |why| DirectoryError::Io { path: path.to_owned(), why };
    let for_others = path.metadata().map_err(failed)?.permissions().mode() & 0o077;
    if for_others == 0 {
        return Ok(());
    }
    let empty = path.read_dir().map_err(failed)?.next().is_none();
    if !empty && !path.join("lock").exists() {
        return Err(DirectoryError::Shared(path.to_owned()));
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn one_process_at_a_time() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b");
        let first = DataDirectory::lock(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let second = DataDirectory::lock(&path).unwrap_err().to_string();
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        drop(first);
        DataDirectory::lock(&path).unwrap();
    }

    #[test]
    fn an_empty_directory_becomes_private_and_a_shared_one_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::set_permissions(outer.path(), Permissions::from_mode(0o755)).unwrap();
        drop(DataDirectory::lock(outer.path()).unwrap());
        assert_eq!(mode(outer.path()), 0o700);

        let shared = outer.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::write(shared.join("somebody's"), "").unwrap();
        std::fs::set_permissions(&shared, Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(DataDirectory::lock(&shared), Err(DirectoryError::Shared(_))));
        assert_eq!(mode(&shared), 0o755);
    }
}

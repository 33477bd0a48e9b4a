//! The data directory: private to one user, and to one process at a time.

use rustix::fs::OFlags;
use std::{
    fs::{DirBuilder, File, Metadata, Permissions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
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
    #[error(
        "the data directory {0} belongs to another user, who could replace what is in it; \
         run Counterfoil as that user, or give it a directory of its own"
    )]
    NotOurs(PathBuf),
}

impl DataDirectory {
    /// Makes the directory where it is missing (mode 0700) and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |why| DirectoryError::Io { path: path.to_owned(), why };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        check_owner(path)?;
        let mut lock = open_lock(&path.join("lock")).map_err(failed)?;
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
        make_private(path)?;
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

/// Refuses a directory that somebody else could change under us, before
/// anything is made in it: another user's, or one that others may enter and
/// that holds more than what we made there.
fn check_owner(path: &Path) -> Result<(), DirectoryError> {
    let failed = |why| DirectoryError::Io { path: path.to_owned(), why };
    let metadata = path.metadata().map_err(failed)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(DirectoryError::NotOurs(path.to_owned()));
    }
    if is_private(&metadata) {
        return Ok(());
    }
    let empty = path.read_dir().map_err(failed)?.next().is_none();
    if empty || is_ours(&path.join("lock")) {
        Ok(())
    } else {
        Err(DirectoryError::Shared(path.to_owned()))
    }
}

/// A file that nobody but us can have made: of ours, regular, and closed to others.
fn is_ours(lock: &Path) -> bool {
    lock.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && is_private(&metadata)
    })
}

fn is_private(metadata: &Metadata) -> bool {
    metadata.permissions().mode().trailing_zeros() >= 6
}

/// Opens or makes the lock; never what a link of that name points to.
fn open_lock(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if lock.metadata()?.is_file() {
        Ok(lock)
    } else {
        Err(std::io::Error::other("its lock is not a regular file"))
    }
}

/// Closes the directory to other users.
fn make_private(path: &Path) -> Result<(), DirectoryError> {
    let failed = |why| DirectoryError::Io { path: path.to_owned(), why };
    if is_private(&path.metadata().map_err(failed)?) {
        return Ok(());
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

    /// A directory such as `/var` has a `lock` too, which is none of ours.
    #[test]
    fn a_lock_that_is_not_ours_proves_nothing() {
        let outer = tempfile::tempdir().unwrap();
        for (name, make) in [
            ("directory", (|path: &Path| std::fs::create_dir(path)) as fn(&Path) -> _),
            ("link", |path| std::os::unix::fs::symlink("/nonexistent/victim", path)),
            ("public", |path| {
                std::fs::write(path, "")?;
                std::fs::set_permissions(path, Permissions::from_mode(0o644))
            }),
        ] {
            let path = outer.path().join(name);
            std::fs::create_dir(&path).unwrap();
            make(&path.join("lock")).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            assert!(matches!(DataDirectory::lock(&path), Err(DirectoryError::Shared(_))), "{name}");
            assert_eq!(mode(&path), 0o755, "{name}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let outer = tempfile::tempdir().unwrap();
        let victim = outer.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let path = outer.path().join("data");
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        std::os::unix::fs::symlink(&victim, path.join("lock")).unwrap();
        assert!(matches!(DataDirectory::lock(&path), Err(DirectoryError::Io { .. })));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
}

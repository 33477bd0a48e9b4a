//! Where signing keys are kept: files of our own beside the database, which never has them.
//!
//! One file a key, in PKCS#8, called for its algorithm and for the millisecond in which it was
//! made: `EdDSA-1790000000000.pkcs8`. A file is complete before it has that name.
//!
//! Beside their directory stands which keys have been removed, by their names in tokens: one that
//! is found again, as a failed removal or an old copy leaves it, is removed and not read.

use super::{
    key::{Key, NoRandomness},
    shared::SharedKeyError,
};
use counterfoil_core::Timestamp;
use counterfoil_core::access_token::Algorithm;
use rustix::fs::OFlags;
use std::{
    fs::{DirBuilder, File, Metadata},
    io::{self, Read as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// Where they are, in the data directory.
const DIRECTORY: &str = "keys";
const SUFFIX: &str = ".pkcs8";
/// What a file is called until it is complete.
const UNFINISHED: &str = ".new-";
/// Which keys have been removed, a line each; in the data directory, so that a copy of `keys` that
/// is put back leaves it as it is.
const WITHDRAWN: &str = "withdrawn-keys";
/// No key of ours takes half as much.
const LONGEST: u64 = 512;

/// The directory of signing keys, for whoever has locked the data directory that it is in.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    directory: PathBuf,
    data: PathBuf,
}

/// Why signing keys cannot be had, or not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("{path} cannot be used for signing keys: {why}")]
    Io { path: PathBuf, why: io::Error },
    #[error("{0} is not a directory; signing keys are kept in one of that name, so move it away")]
    NotADirectory(PathBuf),
    #[error(
        "the signing key {0} is a link or no regular file; put the file itself in its place, or \
         remove it"
    )]
    NotAFile(PathBuf),
    #[error(
        "{path} is open to other users (mode {mode:04o}): who reads a signing key can make access \
         tokens. If nobody has, close it (chmod {closed:o}); else remove the keys, and new ones \
         are made at the next start"
    )]
    Open { path: PathBuf, mode: u32, closed: u32 },
    #[error(
        "{0} belongs to another user, who could read or replace it; run Counterfoil as that user, \
         or give it keys of its own"
    )]
    NotOurs(PathBuf),
    #[error(
        "{path} is no signing key for {algorithm}: {why}. Put it back as it was, or remove it; \
         what it has signed is refused then"
    )]
    NotAKey { path: PathBuf, algorithm: &'static str, why: String },
    #[error("{0} is not called as signing keys are, and nothing else belongs there; move it away")]
    Stranger(PathBuf),
    #[error(
        "the old keys are withdrawn for good, and what they have signed is refused; but the file \
         {path} could not be removed: {why}. Remove it; no start uses it again"
    )]
    Left { path: PathBuf, why: io::Error },
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Shared(#[from] SharedKeyError),
    #[error(
        "the signing keys are files in {0}, which this server only reads: `counterfoil keys make` \
         makes the next ones there, and a key is withdrawn by removing its file, at every node"
    )]
    OnlyRead(PathBuf),
}

impl KeyFileError {
    /// The same of a key that is withdrawn.
    pub(super) fn left(self) -> Self {
        match self {
            Self::Io { path, why } => Self::Left { path, why },
            other => other,
        }
    }
}

impl KeyFiles {
    /// Whether there are any, or were any, in the data directory.
    pub(crate) fn are_in(data: &Path) -> bool {
        data.join(DIRECTORY).exists()
    }

    /// Makes the directory `keys` in the data directory where it is missing (mode 0700).
    pub(crate) fn open(data: &Path) -> Result<Self, KeyFileError> {
        let directory = data.join(DIRECTORY);
        let failed = |why| KeyFileError::Io { path: directory.clone(), why };
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => sync(data).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let metadata = directory.symlink_metadata().map_err(failed)?;
        if !metadata.is_dir() {
            return Err(KeyFileError::NotADirectory(directory));
        }
        check_private(&directory, &metadata, 0o700)?;
        Ok(Self { directory, data: data.to_owned() })
    }

    /// Reads all keys, and removes what a crash has left unfinished, and what was withdrawn.
    pub(super) fn load(&self) -> Result<Vec<Key>, KeyFileError> {
        let failed = |why| KeyFileError::Io { path: self.directory.clone(), why };
        let withdrawn = self.withdrawn()?;
        let mut keys = Vec::new();
        for entry in self.directory.read_dir().map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(UNFINISHED) {
                std::fs::remove_file(&path).map_err(failed)?;
                continue;
            }
            let Some((algorithm, made_at)) = read_name(name) else {
                return Err(KeyFileError::Stranger(path));
            };
            let pkcs8 = read(&path)?;
            let key = Key::from_pkcs8(algorithm, made_at, &pkcs8).map_err(|why| {
                let (algorithm, why) = (algorithm.name(), why.to_string());
                KeyFileError::NotAKey { path, algorithm, why }
            })?;
            if withdrawn.lines().any(|kid| *kid == *key.kid) {
                let kid = &key.kid;
                tracing::warn!(%kid, "a signing key that was withdrawn is there again: removed");
                if let Err(error) = self.remove(&key) {
                    tracing::error!(%error, "a withdrawn signing key stays on the disk, unused");
                }
                continue;
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// Keeps that these keys are not to be read again; it is on the disk when this returns.
    pub(super) fn withdraw(&self, keys: &[Arc<Key>]) -> Result<(), KeyFileError> {
        let mut withdrawn = self.withdrawn()?;
        for key in keys {
            withdrawn.push_str(&key.kid);
            withdrawn.push('\n');
        }
        let path = self.data.join(WITHDRAWN);
        // Whole or not at all, and mode 0600.
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.data)?;
            file.write_all(withdrawn.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            sync(&self.data)
        };
        write().map_err(|why| KeyFileError::Io { path: path.clone(), why })
    }

    fn withdrawn(&self) -> Result<String, KeyFileError> {
        let path = self.data.join(WITHDRAWN);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|why| KeyFileError::Io { path, why }),
        }
    }

    /// Makes a key; it is on the disk when this returns.
    pub(super) fn make(
        &self,
        algorithm: Algorithm,
        made_at: Timestamp,
    ) -> Result<Key, KeyFileError> {
        make(&self.directory, algorithm, made_at)
    }

    /// Removes a key; it is gone from the disk when this returns.
    pub(super) fn remove(&self, key: &Key) -> Result<(), KeyFileError> {
        let path = self.path(key.algorithm, key.made_at);
        let removed = match std::fs::remove_file(&path) {
            // Somebody else has done it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        let synced = removed.and_then(|()| sync(&self.directory));
        synced.map_err(|why| KeyFileError::Io { path, why })
    }

    fn path(&self, algorithm: Algorithm, made_at: Timestamp) -> PathBuf {
        self.directory.join(name(algorithm, made_at))
    }
}

/// Makes a key in a directory; it is on the disk when this returns.
pub(super) fn make(
    directory: &Path,
    algorithm: Algorithm,
    made_at: Timestamp,
) -> Result<Key, KeyFileError> {
    let path = directory.join(name(algorithm, made_at));
    let pkcs8 = Key::generate(algorithm)?;
    let key = Key::from_pkcs8(algorithm, made_at, pkcs8.as_ref()).map_err(|why| {
        let (algorithm, why) = (algorithm.name(), why.to_string());
        KeyFileError::NotAKey { path: path.clone(), algorithm, why }
    })?;
    let write = || {
        // Mode 0600, and removed again where this fails.
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
        file.write_all(pkcs8.as_ref())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&path)?;
        sync(directory)
    };
    write().map_err(|why: io::Error| KeyFileError::Io { path: path.clone(), why })?;
    Ok(key)
}

/// What a key's file is called.
pub(super) fn name(algorithm: Algorithm, made_at: Timestamp) -> String {
    format!("{}-{}{SUFFIX}", algorithm.name(), made_at.as_millis())
}

/// What [`name`] has made this of.
pub(super) fn read_name(text: &str) -> Option<(Algorithm, Timestamp)> {
    let (algorithm, millis) = text.strip_suffix(SUFFIX)?.split_once('-')?;
    let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == algorithm)?;
    let made_at = Timestamp::from_millis(millis.parse().ok()?);
    (name(algorithm, made_at) == text).then_some((algorithm, made_at))
}

/// Reads a file that nobody else can have read, nor put there.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let failed = |why| KeyFileError::Io { path: path.to_owned(), why };
    // A pipe would be waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(_) if path.symlink_metadata().is_ok_and(|found| !found.is_file()) => {
            return Err(KeyFileError::NotAFile(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    check_private(path, &metadata, 0o600)?;
    read_whole(file).map_err(failed)
}

/// As much as a key can have.
pub(super) fn read_whole(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    // With all its room from the beginning: what grows leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * 512));
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check_private(path: &Path, metadata: &Metadata, closed: u32) -> Result<(), KeyFileError> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(KeyFileError::NotOurs(path.to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.to_owned(), mode, closed });
    }
    Ok(())
}

/// What has been done in a directory is on the disk.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::symlink};
    use tempfile::TempDir;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn fresh() -> (TempDir, KeyFiles) {
        let data = tempfile::tempdir().unwrap();
        let files = KeyFiles::open(data.path()).unwrap();
        (data, files)
    }

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn kids(keys: &[Key]) -> Vec<&str> {
        let mut kids: Vec<&str> = keys.iter().map(|key| &*key.kid).collect();
        kids.sort_unstable();
        kids
    }

    #[test]
    fn keys_are_read_as_they_were_made_and_nobody_else_can() {
        let (data, files) = fresh();
        let made: Vec<Key> =
            Algorithm::ALL.map(|algorithm| files.make(algorithm, NOW).unwrap()).into();
        assert_eq!(mode(&data.path().join("keys")), 0o700);
        let mut names = Vec::new();
        for entry in data.path().join("keys").read_dir().unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600);
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        names.sort();
        assert_eq!(names, ["ES256-1790000000000.pkcs8", "EdDSA-1790000000000.pkcs8"]);

        let again = KeyFiles::open(data.path()).unwrap();
        let read = again.load().unwrap();
        assert_eq!(kids(&read), kids(&made));
        assert!(read.iter().all(|key| key.made_at == NOW));
        let signature = made[0].sign(b"message").unwrap();
        let same = read.iter().find(|key| key.kid == made[0].kid).unwrap();
        assert!(same.has_signed(b"message", &signature));

        again.remove(&made[0]).unwrap();
        again.remove(&made[0]).unwrap();
        assert_eq!(kids(&again.load().unwrap()), [&*made[1].kid]);
    }

    #[test]
    fn no_key_is_written_over_another() {
        let (_data, files) = fresh();
        let key = files.make(Algorithm::EdDsa, NOW).unwrap();
        let again = files.make(Algorithm::EdDsa, NOW);
        assert!(matches!(again, Err(KeyFileError::Io { .. })), "{again:?}");
        assert_eq!(kids(&files.load().unwrap()), [&*key.kid]);
    }

    #[test]
    fn what_a_crash_has_left_is_removed() {
        let (data, files) = fresh();
        let left = data.path().join("keys/.new-AbCdEf");
        std::fs::write(&left, "half a k").unwrap();
        let key = files.make(Algorithm::Es256, NOW).unwrap();
        assert_eq!(kids(&files.load().unwrap()), [&*key.kid]);
        assert!(!left.exists());
    }

    /// What the one key of a directory is refused for, once something was done to it.
    #[track_caller]
    fn refused(change: impl FnOnce(&Path)) -> KeyFileError {
        let (data, files) = fresh();
        files.make(Algorithm::EdDsa, NOW).unwrap();
        let path = data.path().join("keys/EdDSA-1790000000000.pkcs8");
        change(&path);
        files.load().unwrap_err()
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        for open in [0o640, 0o604, 0o620, 0o602, 0o644, 0o610] {
            let error = refused(|path| chmod(path, open));
            assert!(matches!(error, KeyFileError::Open { mode, .. } if mode == open), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let (data, _) = fresh();
        chmod(&data.path().join("keys"), 0o750);
        let error = KeyFiles::open(data.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }

    #[test]
    fn a_directory_that_is_none_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), data.path().join("keys")).unwrap();
        let error = KeyFiles::open(data.path()).unwrap_err();
        assert!(matches!(error, KeyFileError::NotADirectory(_)), "{error}");
    }

    #[test]
    fn a_link_a_directory_and_a_pipe_are_no_keys() {
        let linked = refused(|path| {
            let other = path.with_file_name("other");
            std::fs::rename(path, &other).unwrap();
            symlink(&other, path).unwrap();
            // What it points to is outside, so that it is the link that is refused.
            std::fs::rename(&other, path.parent().unwrap().with_file_name("other")).unwrap();
        });
        assert!(matches!(linked, KeyFileError::NotAFile(_)), "{linked}");
        let directory = refused(|path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        });
        assert!(matches!(directory, KeyFileError::NotAFile(_)), "{directory}");
        let pipe = refused(|path| {
            std::fs::remove_file(path).unwrap();
            let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success());
        });
        assert!(matches!(pipe, KeyFileError::NotAFile(_)), "{pipe}");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let truncated = refused(|path| {
            let whole = std::fs::read(path).unwrap();
            std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
        });
        let said = truncated.to_string();
        assert!(matches!(truncated, KeyFileError::NotAKey { .. }), "{said}");
        assert!(said.contains("EdDSA") && said.contains("remove it"), "{said}");
        for text in ["", "-----BEGIN PRIVATE KEY-----\n", &"x".repeat(1_000_000)] {
            let error = refused(|path| std::fs::write(path, text).unwrap());
            assert!(matches!(error, KeyFileError::NotAKey { .. }), "{error}");
        }
        // A key of the other algorithm.
        let other = refused(|path| {
            std::fs::rename(path, path.with_file_name("ES256-1790000000000.pkcs8")).unwrap();
        });
        assert!(matches!(other, KeyFileError::NotAKey { .. }), "{other}");
    }

    #[test]
    fn what_is_called_otherwise_is_refused() {
        for name in [
            "EdDSA-1790000000000.pkcs8.bak",
            "EdDSA-01790000000000.pkcs8",
            "EdDSA-+1790000000000.pkcs8",
            "eddsa-1790000000000.pkcs8",
            "RS256-1790000000000.pkcs8",
            "EdDSA-.pkcs8",
            "notes",
        ] {
            let error = refused(|path| std::fs::rename(path, path.with_file_name(name)).unwrap());
            assert!(matches!(error, KeyFileError::Stranger(_)), "{name}: {error}");
        }
    }
}

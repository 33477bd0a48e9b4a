//! Signing keys that several nodes share: a directory that the operator hands to each of them,
//! and that a server only reads.
//!
//! The directory says what there is, file by file. A key whose file is gone is withdrawn, whatever
//! else is wrong; one whose file is there and cannot be used stays as it was, since it may just be
//! on its way.

#[cfg(test)]
mod tests;

use super::{
    Done, Listed, SigningKeys, Source, Told, What,
    files::{KeyFileError, make, name, read_name, read_whole},
    key::Key,
    published::Published,
    schedule::{self, Policy},
    told,
};
use counterfoil_core::{Timestamp, access_token::Algorithm, time::Seconds};
use rustix::fs::OFlags;
use std::{
    fs::{DirBuilder, File, Metadata},
    io,
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

/// How often the directory is read again where it changes meanwhile.
const TRIES: usize = 10;
/// How long something is wrong before it is said again.
const AGAIN: Seconds = Seconds::DAY;

/// The directory. What may stand in it is what configuration management, a Kubernetes secret or
/// a person with `install` leave there: files of ours or of root, by way of links or not, which
/// nobody else can read but a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedKeys(PathBuf);

/// Why a directory, or a file in it, is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SharedKeyError {
    #[error("{path} cannot be read for signing keys: {why}")]
    Io { path: PathBuf, why: io::Error },
    #[error("{0} is not a directory; signing.keys_directory is one that has signing keys in it")]
    NotADirectory(PathBuf),
    #[error(
        "others can put files into {path} (mode {mode:04o}), and so keys that they know; close it \
         (chmod go-w)"
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error("{0} belongs to another user than root and this one, who could put keys there")]
    Foreign(PathBuf),
    #[error("{0} is no regular file, as each signing key is; move it away")]
    NotAFile(PathBuf),
    #[error(
        "{path} is open to other users (mode {mode:04o}): who reads a signing key can make access \
         tokens. If nobody has, close it (chmod 600, or 640 for a group that is the server's \
         alone; `defaultMode: 0440` in Kubernetes); else withdraw it"
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("{path} is no signing key for {algorithm}: {why}")]
    NotAKey { path: PathBuf, algorithm: &'static str, why: String },
    #[error("{0} is not called as signing keys are, and nothing else belongs there; move it away")]
    Stranger(PathBuf),
    #[error("{path} has the same key as {other}; remove one of the two, at every node")]
    Twice { path: PathBuf, other: String },
    #[error(
        "{path} has no signing key for {}; `counterfoil keys make {path}` makes it. The same files \
         belong to every node", algorithm.name()
    )]
    None { path: PathBuf, algorithm: Algorithm },
}

/// What stands in the directory.
#[derive(Debug, Default)]
struct Found {
    keys: Vec<Key>,
    unusable: Vec<Unusable>,
}

/// A file that is there and cannot be used.
#[derive(Debug)]
struct Unusable {
    /// Which key it is, by its name.
    named: Option<(Algorithm, Timestamp)>,
    why: SharedKeyError,
}

/// What was done in a directory of keys, and what stands in it then.
#[derive(Debug)]
pub(crate) struct MadeKeys {
    /// Names of keys that were made.
    pub(crate) made: Vec<Box<str>>,
    /// All that are to be published.
    pub(crate) keys: Vec<Listed>,
    /// Files of keys that have done their work.
    pub(crate) over: Vec<PathBuf>,
}

/// Makes the keys that the schedule wants by now, in a directory that is made where it is missing;
/// or, `early`, the next ones where none waits already. It blocks.
pub(crate) fn make_due(
    directory: &Path,
    policy: Policy,
    early: bool,
    now: Timestamp,
) -> Result<MadeKeys, KeyFileError> {
    let failed = |why| KeyFileError::Io { path: directory.to_owned(), why };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = SharedKeys(directory.to_owned()).read()?;
    if let Some(unusable) = found.unusable.into_iter().next() {
        return Err(unusable.why.into());
    }
    let all = found.keys.into_iter().map(Arc::new).collect();
    let mut all = Published::new(all, policy, None);
    let mut made = Vec::new();
    for algorithm in Algorithm::ALL {
        let times = all.made(algorithm);
        let is_early = early && !schedule::is_waiting(&times, now, policy);
        if is_early || schedule::due(&times, now, policy).make {
            let key = make(directory, algorithm, schedule::next(&times, now))?;
            made.push(key.kid.clone());
            let keys = all.keys.iter().cloned().chain([Arc::new(key)]).collect();
            all = Published::new(keys, policy, None);
        }
    }
    let (over, keys) = split_over(&all, now, policy);
    let file = |key: &Arc<Key>| directory.join(name(key.algorithm, key.made_at));
    let over = over.iter().map(file).collect();
    Ok(MadeKeys { made, keys: Published::new(keys, policy, None).list(now), over })
}

/// Those that have done their work, and the others.
fn split_over(all: &Published, now: Timestamp, policy: Policy) -> (Vec<Arc<Key>>, Vec<Arc<Key>>) {
    let (mut over, mut rest) = (Vec::new(), Vec::new());
    for algorithm in Algorithm::ALL {
        let count = schedule::due(&all.made(algorithm), now, policy).over;
        let (old, others) = all.of(algorithm).split_at(count);
        over.extend_from_slice(old);
        rest.extend_from_slice(others);
    }
    (over, rest)
}

impl SigningKeys {
    /// Reads the keys that nodes share. A mistake in any file is an error, and that one of the
    /// algorithms `in_use` has no key.
    pub(crate) fn share(
        directory: &Path,
        in_use: &[Algorithm],
        policy: Policy,
        now: Timestamp,
    ) -> Result<Self, KeyFileError> {
        let shared = SharedKeys(directory.to_owned());
        let found = shared.read()?;
        if let Some(unusable) = found.unusable.into_iter().next() {
            return Err(unusable.why.into());
        }
        let all = found.keys.into_iter().map(Arc::new).collect();
        let (_, keys) = split_over(&Published::new(all, policy, None), now, policy);
        let published = Published::new(keys, policy, None);
        let lacks = |algorithm: &&Algorithm| published.of(**algorithm).is_empty();
        if let Some(algorithm) = in_use.iter().find(lacks) {
            let (path, algorithm) = (directory.to_owned(), *algorithm);
            return Err(SharedKeyError::None { path, algorithm }.into());
        }
        let this = Self::of(Source::Shared(shared.clone()), published);
        this.complain(&mut this.change(), &shared, &[], now);
        Ok(this)
    }

    /// Whether these are the keys of this directory, or of the data directory where that is none.
    pub(crate) fn are_of(&self, directory: Option<&Path>) -> bool {
        match &self.source {
            Source::Own(_) => directory.is_none(),
            Source::Shared(SharedKeys(shared)) => directory == Some(shared),
        }
    }

    /// Reads the directory again, where the keys are shared: what is new is published, what is
    /// gone is withdrawn. A mistake takes nothing away, and is told of in the log.
    pub(crate) fn look_again(&self, policy: Policy, now: Timestamp) -> Vec<Done> {
        let Source::Shared(shared) = &self.source else { return Vec::new() };
        let mut changing = self.change();
        let before = self.published.load_full();
        let (keys, mistakes) = match shared.read() {
            Ok(found) => found.after(&before),
            Err(error) => (before.keys.clone(), vec![error]),
        };
        let (_, keys) = split_over(&Published::new(keys, policy, None), now, policy);
        let is_in =
            |keys: &[Arc<Key>], key: &Arc<Key>| keys.iter().any(|other| Arc::ptr_eq(key, other));
        let new: Vec<_> = keys.iter().filter(|key| !is_in(&before.keys, key)).cloned().collect();
        let gone: Vec<_> = before.keys.iter().filter(|key| !is_in(&keys, key)).cloned().collect();
        if !new.is_empty() || !gone.is_empty() || policy != before.policy {
            self.published.store(Arc::new(Published::new(keys, policy, Some(&before))));
        }
        self.complain(&mut changing, shared, &mistakes, now);
        told(What::Found, &new).chain(told(What::Gone, &gone)).collect()
    }

    /// Says what is wrong, once it is, and once a day as long as it is.
    fn complain(
        &self,
        said: &mut Told,
        SharedKeys(directory): &SharedKeys,
        mistakes: &[SharedKeyError],
        now: Timestamp,
    ) {
        let published = self.published.load();
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        self.mistakes.store(mistakes.len(), Ordering::Relaxed);
        errors.extend(mistakes.iter().map(ToString::to_string));
        for algorithm in Algorithm::ALL {
            let times = published.made(algorithm);
            if times.is_empty() {
                let path = directory.clone();
                warnings.push(SharedKeyError::None { path, algorithm }.to_string());
            } else if schedule::due(&times, now, published.policy).make {
                warnings.push(format!(
                    "the next signing key for {} is due; `counterfoil keys make {}` makes it. Hand \
                     it to every node within a day",
                    algorithm.name(),
                    directory.display()
                ));
            }
        }
        for key in published.keys.iter().filter(|key| schedule::is_astray(key.made_at, now)) {
            warnings.push(format!(
                "the signing key {} is dated later than it is now: the clock was wrong where it \
                 was made, or is wrong here; it does not sign before its time",
                name(key.algorithm, key.made_at)
            ));
        }
        let complaints = [&errors[..], &warnings].concat();
        let is_old = said.at.is_none_or(|at| now >= at.plus(AGAIN) || now < at);
        if complaints == said.complaints && !is_old {
            return;
        }
        for error in errors {
            tracing::error!(error, "a signing key that nodes share cannot be used; all others are");
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        (said.complaints, said.at) = (complaints, Some(now));
    }
}

impl Found {
    /// The keys to go on with, and what is wrong.
    fn after(self, before: &Published) -> (Vec<Arc<Key>>, Vec<SharedKeyError>) {
        let known = |algorithm, made_at| {
            let mut keys = before.keys.iter();
            keys.find(|key| key.algorithm == algorithm && key.made_at == made_at)
        };
        let mut keys = Vec::new();
        for key in self.keys {
            // The same one in memory is the same one to whoever remembers what it has signed.
            let same = known(key.algorithm, key.made_at).filter(|same| same.kid == key.kid);
            keys.push(same.cloned().unwrap_or_else(|| Arc::new(key)));
        }
        let mut mistakes = Vec::new();
        for Unusable { named, why } in self.unusable {
            let kept = named.and_then(|(algorithm, made_at)| known(algorithm, made_at));
            let kept = kept.filter(|kept| keys.iter().all(|key| key.kid != kept.kid));
            keys.extend(kept.cloned());
            mistakes.push(why);
        }
        (keys, mistakes)
    }
}

impl SharedKeys {
    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> Result<Found, SharedKeyError> {
        // What is gone between two looks may be there by another name at the third: whoever hands
        // files out may be at it.
        for _ in 1..TRIES {
            if let (found, false) = self.read_once()? {
                return Ok(found);
            }
        }
        Ok(self.read_once()?.0)
    }

    /// What is there, and whether something went away meanwhile.
    fn read_once(&self) -> Result<(Found, bool), SharedKeyError> {
        let Self(directory) = self;
        let failed = |why| SharedKeyError::Io { path: directory.clone(), why };
        // All from one place, also where this is a link that is about to lead elsewhere.
        let directory = directory.canonicalize().map_err(failed)?;
        check_directory(&directory, &directory.metadata().map_err(failed)?)?;
        let (mut found, mut is_moving) = (Found::default(), false);
        let mut files = Vec::new();
        for entry in directory.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?.file_name();
            let (path, name) = (directory.join(&entry), entry.to_str().unwrap_or_default());
            match read_name(name) {
                Some((algorithm, made_at)) => files.push((algorithm, made_at, path)),
                // What is not complete yet, and what Kubernetes has its links lead to.
                None if name.starts_with('.') => {}
                None => {
                    let why = SharedKeyError::Stranger(path);
                    found.unusable.push(Unusable { named: None, why });
                }
            }
        }
        files.sort();
        for (algorithm, made_at, path) in files {
            let key = match read(algorithm, made_at, &path) {
                Ok(Some(key)) => key,
                Ok(None) => {
                    is_moving = true;
                    continue;
                }
                Err(why) => {
                    let named = Some((algorithm, made_at));
                    found.unusable.push(Unusable { named, why });
                    continue;
                }
            };
            match found.keys.iter().find(|other| other.kid == key.kid) {
                Some(other) => {
                    let other = name(other.algorithm, other.made_at);
                    let why = SharedKeyError::Twice { path, other };
                    found.unusable.push(Unusable { named: None, why });
                }
                None => found.keys.push(key),
            }
        }
        Ok((found, is_moving))
    }
}

/// The key in a file; none where there is no such file any more.
fn read(
    algorithm: Algorithm,
    made_at: Timestamp,
    path: &Path,
) -> Result<Option<Key>, SharedKeyError> {
    let failed = |why| SharedKeyError::Io { path: path.to_owned(), why };
    // A pipe would be waited for.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(_) if is_gone(path) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SharedKeyError::NotAFile(path.to_owned()));
    }
    check_owner(path, metadata.uid())?;
    let mode = metadata.permissions().mode() & 0o7777;
    // A group may read: whoever hands files out is root, and the server is not.
    if mode & 0o027 != 0 {
        return Err(SharedKeyError::Open { path: path.to_owned(), mode });
    }
    let pkcs8 = read_whole(file).map_err(failed)?;
    let key = Key::from_pkcs8(algorithm, made_at, &pkcs8).map_err(|why| {
        let (path, why) = (path.to_owned(), why.to_string());
        SharedKeyError::NotAKey { path, algorithm: algorithm.name(), why }
    })?;
    Ok(Some(key))
}

fn is_gone(path: &Path) -> bool {
    let found = path.symlink_metadata();
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn check_directory(path: &Path, metadata: &Metadata) -> Result<(), SharedKeyError> {
    if !metadata.is_dir() {
        return Err(SharedKeyError::NotADirectory(path.to_owned()));
    }
    check_owner(path, metadata.uid())?;
    let mode = metadata.permissions().mode() & 0o7777;
    // Kubernetes mounts a secret with mode 1777. What others put there would be theirs, and whose
    // a file is, is asked of each.
    let is_sticky = mode & 0o1000 != 0;
    if mode & 0o022 != 0 && !is_sticky {
        return Err(SharedKeyError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

fn check_owner(path: &Path, owner: u32) -> Result<(), SharedKeyError> {
    let ours = rustix::process::geteuid().as_raw();
    if ![0, ours].contains(&owner) {
        return Err(SharedKeyError::Foreign(path.to_owned()));
    }
    Ok(())
}

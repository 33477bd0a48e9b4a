//! Tokens that the operator has this node deny: in memory, where doors look, and in a file, so
//! that a restart forgets none.

use crate::replica::Replica;
use anyhow::Context as _;
use counterfoil_core::{
    id::TokenId,
    token::{Digest, State},
};
use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// What the file is called, in the data directory. It has ids alone, a line each.
const NAME: &str = "denied-tokens";

/// The operator's emergency deny set, which needs no database and holds on this node alone.
pub(crate) struct Denials {
    replica: Arc<Replica>,
    directory: Option<PathBuf>,
    writing: Mutex<()>,
}

/// What came of denying a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) token: TokenId,
    /// Whether the index has it.
    pub(crate) is_known: bool,
    /// Whether it is revoked already, as far as this node knows; then there is nothing to deny.
    pub(crate) is_revoked: bool,
    /// Whether it is in the file, too.
    pub(crate) is_kept: bool,
}

impl Denials {
    pub(crate) fn of(replica: Arc<Replica>, directory: Option<PathBuf>) -> Self {
        Self { replica, directory, writing: Mutex::default() }
    }

    /// Goes on with what was denied when the last server stopped, before anything is served.
    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let path = directory.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| unread(&path)),
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let tokens: Result<Vec<TokenId>, _> = lines.map(str::parse).collect();
        for token in tokens.with_context(|| unread(&path))? {
            if !self.is_revoked(token) {
                self.replica.unjudged().deny(token);
            }
        }
        let denied = self.all().len();
        if denied > 0 {
            tracing::warn!(
                denied,
                "this node denies tokens that are not revoked; `counterfoil token deny --list` \
                 names them"
            );
        }
        self.write().with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Denies a token from now on.
    pub(crate) fn deny(&self, token: TokenId) -> Denied {
        let index = self.replica.unjudged();
        let is_known = index.find_by_id(token).is_some();
        let is_revoked = self.is_revoked(token);
        let mut is_kept = true;
        if !is_revoked {
            index.deny(token);
            tracing::warn!(%token, is_known, "the operator has this node deny a token");
            if let Err(error) = self.write() {
                is_kept = false;
                tracing::error!(%error, %token, "a restart would forget that a token is denied");
            }
        }
        Denied { token, is_known, is_revoked, is_kept }
    }

    /// The token that a secret with this digest belongs to, as far as this node knows.
    pub(crate) fn token_of(&self, digest: &Digest) -> Option<TokenId> {
        self.replica.unjudged().find(digest).map(|entry| entry.id())
    }

    /// Takes that back; whether there was anything to take back. Where it cannot be taken back
    /// for good it is not taken back at all.
    pub(crate) fn lift(&self, token: TokenId) -> io::Result<bool> {
        let index = self.replica.unjudged();
        if !index.denies(token) {
            return Ok(false);
        }
        self.write_without(Some(token))?;
        index.lift(token);
        tracing::warn!(%token, "the operator has lifted a denial");
        Ok(true)
    }

    /// All that are denied.
    pub(crate) fn all(&self) -> Vec<TokenId> {
        self.replica.unjudged().denied()
    }

    fn is_revoked(&self, token: TokenId) -> bool {
        let entry = self.replica.unjudged().find_by_id(token);
        entry.is_some_and(|entry| entry.state() == State::Revoked)
    }

    fn write(&self) -> io::Result<()> {
        self.write_without(None)
    }

    fn write_without(&self, lifted: Option<TokenId>) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        // Whoever writes later knows of more.
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = directory.join(NAME);
        let tokens: Vec<_> = self.all().into_iter().filter(|one| lifted != Some(*one)).collect();
        if tokens.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => sync(directory),
            };
        }
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        tokens.iter().try_for_each(|token| writeln!(file, "{token}"))?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        sync(directory)
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn unread(path: &Path) -> String {
    format!(
        "{} cannot be read, which has the tokens that are to be denied: an id in each line; \
         revoke them once a server runs, and remove the file before that",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::{Timestamp, index::Index};
    use std::os::unix::fs::PermissionsExt as _;

    fn denials(directory: &Path) -> Denials {
        let replica = Replica::trusting(Index::default());
        Denials::of(Arc::new(replica), Some(directory.to_owned()))
    }

    fn token(n: u8) -> TokenId {
        TokenId::new(Timestamp::from_millis(1), [n; 10])
    }

    #[test]
    fn a_restart_forgets_none_and_what_was_lifted_stays_so() {
        let directory = tempfile::tempdir().unwrap();
        let first = denials(directory.path());
        first.resume().unwrap();
        for n in 1..=3 {
            let denied = first.deny(token(n));
            assert!(denied.is_kept && !denied.is_known && !denied.is_revoked, "{denied:?}");
        }
        assert!(first.lift(token(2)).unwrap() && !first.lift(token(2)).unwrap());
        let file = directory.path().join(NAME);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let second = denials(directory.path());
        second.resume().unwrap();
        assert_eq!(second.all(), [token(1), token(3)]);
        for n in [1, 3] {
            assert!(second.lift(token(n)).unwrap());
        }
        assert!(!file.exists());
    }

    #[test]
    fn what_cannot_be_kept_is_denied_all_the_same_and_lifted_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone");
        let denials = denials(&gone);
        assert!(!denials.deny(token(1)).is_kept);
        assert_eq!(denials.all(), [token(1)]);
        denials.lift(token(1)).unwrap_err();
        assert_eq!(denials.all(), [token(1)]);
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_a_server_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        let whole = format!("{}\n", token(1));
        for text in [&whole[..whole.len() - 4], "all of them\n"] {
            std::fs::write(directory.path().join(NAME), text).unwrap();
            let error = denials(directory.path()).resume().unwrap_err().to_string();
            assert!(error.contains(NAME), "{error}");
        }
    }
}

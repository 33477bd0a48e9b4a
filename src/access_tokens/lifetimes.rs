//! When the last of an API's access tokens ends that have been issued so far.
//!
//! Others verify access tokens by themselves, and learn of no revocation: what they accept ends
//! by its own end alone. How long that may be is a matter of how long access tokens are to live,
//! and were to live before; so it is kept in a file, and a change of it as well.

use super::LONGEST;
use anyhow::Context as _;
use counterfoil_core::{Timestamp, time::Seconds};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// What the file is called, in the data directory.
const NAME: &str = "access-tokens.json";

/// How long a change may be on its way, while one more is issued as if it were not made.
const LAG: Seconds = Seconds(60);

/// Of each API that has access tokens, or had some that may be alive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Lifetimes(BTreeMap<Box<str>, Lifetime>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifetime {
    /// How long one lives that is issued now, in seconds; none, where none is.
    seconds: Option<Seconds>,
    /// When the last one of those ends that were to live longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Timestamp>,
}

impl Lifetimes {
    /// What is kept, followed by what is configured now; it is on the disk when this returns.
    pub(super) fn followed_by(
        data: &Path,
        has_signed: bool,
        configured: &BTreeMap<Box<str>, Seconds>,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let path = data.join(NAME);
        let failed =
            || format!("{} cannot be used for how long access tokens live", path.display());
        let kept = match std::fs::read(&path) {
            Ok(bytes) => Some(
                serde_json::from_slice(&bytes)
                    .with_context(|| format!("{}: remove it, and it is made anew", failed()))?,
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (!has_signed).then(Self::default)
            }
            Err(error) => return Err(error).with_context(failed),
        };
        let followed = match &kept {
            Some(kept) => kept.then(configured, now),
            None => Self::unknown(configured, now),
        };
        let is_known = kept.as_ref().is_some_and(|kept| *kept == followed);
        if !is_known {
            followed.write(data, &path).with_context(failed)?;
        }
        Ok(followed)
    }

    /// What is configured, where nobody knows what was before.
    fn unknown(configured: &BTreeMap<Box<str>, Seconds>, now: Timestamp) -> Self {
        let before = Some(now.plus(LONGEST));
        let configured = configured.clone().into_iter();
        let of = |seconds| Lifetime { seconds: Some(seconds), before };
        Self(configured.map(|(api, seconds)| (api, of(seconds))).collect())
    }

    fn then(&self, configured: &BTreeMap<Box<str>, Seconds>, now: Timestamp) -> Self {
        let mut followed = BTreeMap::new();
        for api in self.0.keys().chain(configured.keys()) {
            let seconds = configured.get(api).copied();
            let mut before = None;
            if let Some(kept) = self.0.get(api) {
                // What lives as long as ever needs no word.
                let shorter = kept.seconds.filter(|kept| seconds.is_none_or(|now| now < *kept));
                before = kept.before.max(shorter.map(|kept| now.plus(LAG).plus(kept)));
            }
            let before = before.filter(|end| *end > now);
            if seconds.is_some() || before.is_some() {
                followed.insert(api.clone(), Lifetime { seconds, before });
            }
        }
        Self(followed)
    }

    fn write(&self, data: &Path, path: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(data)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(data)?.sync_all()
    }

    /// When the last one has ended that was issued before what was decided at `at` held.
    pub(super) fn last_end(&self, api: &str, at: Timestamp) -> Option<Timestamp> {
        let Lifetime { seconds, before } = self.0.get(api)?;
        let before = before.filter(|end| *end > at);
        before.max(seconds.map(|seconds| at.plus(LAG).plus(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    const HOUR: i64 = 3_600_000;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + hours * HOUR)
    }

    fn configured(hours: Option<u64>) -> BTreeMap<Box<str>, Seconds> {
        hours.map(|hours| ("togai".into(), Seconds(hours * 3_600))).into_iter().collect()
    }

    #[test]
    fn a_shorter_life_does_not_shorten_what_was_issued() {
        let data = tempfile::tempdir().unwrap();
        let follow = |hours, now| {
            Lifetimes::followed_by(data.path(), false, &configured(hours), at(now)).unwrap()
        };
        let end = |lifetimes: &Lifetimes, now| lifetimes.last_end("togai", at(now));
        let late = |hours| Some(at(hours).plus(LAG));
        assert_eq!(end(&follow(None, 0), 0), None);
        assert_eq!(end(&follow(Some(24), 0), 1), late(25));
        let shorter = follow(Some(1), 10);
        assert_eq!(end(&shorter, 11), late(34));
        assert_eq!(end(&shorter, 33), late(34));
        assert_eq!(end(&shorter, 35), late(36));
        assert_eq!(end(&follow(None, 12), 13), late(34));
        // Whatever is configured meanwhile, and wherever it is read again.
        assert_eq!(end(&follow(Some(2), 20), 20), late(34));
        assert_eq!(shorter.last_end("other", at(11)), None);
        assert_eq!(end(&follow(None, 40), 40), late(42));
        assert_eq!(end(&follow(None, 43), 43), None);
    }

    #[test]
    fn where_nothing_is_known_it_may_be_the_longest() {
        let data = tempfile::tempdir().unwrap();
        let read = || Lifetimes::followed_by(data.path(), true, &configured(Some(1)), at(0));
        assert_eq!(read().unwrap().last_end("togai", at(2)), Some(at(7 * 24)));
        std::fs::write(data.path().join(NAME), "{").unwrap();
        assert!(format!("{:#}", read().unwrap_err()).contains("remove it"));
    }

    proptest! {
        /// Whenever and under whichever configuration one is issued, it has ended by then.
        #[test]
        fn it_is_never_too_early(steps in vec((0..200_i64, option::of(1..168_u64)), 1..12)) {
            let mut lifetimes = Lifetimes::default();
            let (mut now, mut ends) = (0, Vec::new());
            for (later, hours) in steps {
                lifetimes = lifetimes.then(&configured(hours), at(now));
                for issued in [now, now + later] {
                    ends.extend(hours.map(|hours| at(issued + hours.cast_signed())));
                }
                now += later;
                let last = ends.iter().max().filter(|end| **end > at(now));
                prop_assert!(lifetimes.last_end("togai", at(now)) >= last.copied());
            }
        }
    }
}

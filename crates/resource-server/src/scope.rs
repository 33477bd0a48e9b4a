//! Scopes, and which of them covers which.

use std::fmt;
use std::str::FromStr;

/// A scope that a request needs: `action` or `resource:action`.
///
/// ```
/// use counterfoil_resource_server::Scope;
///
/// let scope: Scope = "ingest:write".parse()?;
/// # Ok::<(), counterfoil_resource_server::NotAScope>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope(Box<str>);

/// Why a text is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is an action or resource:action, each of a-z, 0-9, _, - and ., 100 characters at most"
)]
pub struct NotAScope;

impl Scope {
    /// The scope as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `held` is enough for this scope. A bare `read` covers every `…:read`; nothing
    /// covers a bare scope but itself; `write` does not imply `read`.
    pub(crate) fn is_covered_by(&self, held: &str) -> bool {
        let by_action = || self.0.split_once(':').is_some_and(|(_, action)| action == held);
        held == &*self.0 || by_action()
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let sound = text.len() <= 100
            && match text.split_once(':') {
                Some((resource, action)) => is_word(resource) && is_word(action),
                None => is_word(text),
            };
        if sound { Ok(Self(text.into())) } else { Err(NotAScope) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_covers_what() {
        for (held, needed, enough) in [
            ("read", "read", true),
            ("read", "metadata:read", true),
            ("metadata:read", "metadata:read", true),
            ("metadata:read", "search:read", false),
            ("metadata:read", "read", false),
            ("write", "read", false),
            ("write", "metadata:read", false),
            ("read", "metadata:write", false),
        ] {
            let needed: Scope = needed.parse().unwrap();
            assert_eq!(needed.is_covered_by(held), enough, "{held} for {needed}");
        }
    }

    proptest! {
        /// The rule stands in the server too: both have to mean the same.
        #[test]
        fn the_server_judges_likewise(
            held in "([a-c.]{0,2}:)?[a-cA]{0,2}",
            needed in "([a-c.]{0,2}:)?[a-cA]{0,2}",
        ) {
            use counterfoil_core::scope::Scope as Theirs;
            let (ours, theirs) = (needed.parse::<Scope>(), needed.parse::<Theirs>());
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            if let (Ok(ours), Ok(theirs), Ok(held)) = (ours, theirs, held.parse::<Theirs>()) {
                prop_assert_eq!(ours.is_covered_by(held.as_str()), held.covers(theirs.as_need()));
            }
        }
    }
}

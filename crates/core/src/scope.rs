//! Scopes: `action` or `resource:action` within one API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A scope as it is declared and granted.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend(
    "pattern" = "^([a-z0-9_.-]+:)?[a-z0-9_.-]+$",
    "maxLength" = 100,
    "examples" = ["read", "costs:read"],
))]
pub struct Scope {
    text: Box<str>,
    /// Where the colon stands.
    colon: Option<u8>,
}

/// Why a text is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is an action or resource:action, each of a-z, 0-9, _, - and ., 100 characters at most"
)]
pub struct NotAScope;

impl Scope {
    /// The scope as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same scope, as something that a request needs.
    pub fn as_need(&self) -> Need<'_> {
        match self.colon {
            Some(at) => {
                let (resource, action) = self.text.split_at(at.into());
                Need { resource: Some(resource), action: &action[1..] }
            }
            None => Need { resource: None, action: &self.text },
        }
    }

    /// Whether holding this scope is enough for `need`.
    ///
    /// A bare `read` covers every `…:read`; nothing covers a bare need but
    /// itself; `write` does not imply `read`.
    pub fn covers(&self, need: Need<'_>) -> bool {
        let held = self.as_need();
        held.action == need.action && (held.resource.is_none() || held.resource == need.resource)
    }
}

/// A scope that a request needs; its parts may come from the request's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need<'a> {
    /// The resource, where the need names one.
    pub resource: Option<&'a str>,
    /// The action.
    pub action: &'a str,
}

impl std::fmt::Display for Need<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(resource) = self.resource {
            write!(f, "{resource}:")?;
        }
        f.write_str(self.action)
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;

    fn try_from(text: String) -> Result<Self, NotAScope> {
        if text.len() > 100 {
            return Err(NotAScope);
        }
        let colon = text.find(':');
        let sound = match colon {
            Some(at) => is_word(&text[..at]) && is_word(&text[at + 1..]),
            None => is_word(&text),
        };
        if !sound {
            return Err(NotAScope);
        }
        let colon = colon.map(u8::try_from).transpose().map_err(|_| NotAScope)?;
        Ok(Self { text: text.into(), colon })
    }
}

impl std::str::FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::try_from(text.to_owned())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.text.into()
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
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

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

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
            assert_eq!(scope(held).covers(scope(needed).as_need()), enough, "{held} for {needed}");
        }
    }

    #[test]
    fn forms() {
        for wrong in ["", ":", "a:", ":a", "a:b:c", "A", "a b", "a:b\n", "*", &"a".repeat(101)] {
            assert_eq!(wrong.parse::<Scope>(), Err(NotAScope), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn print_and_read(text in "[a-z0-9_.-]{1,40}(:[a-z0-9_.-]{1,40})?") {
            let scope = scope(&text);
            prop_assert_eq!(scope.as_str(), &text);
            prop_assert_eq!(scope.as_need().to_string(), text);
        }

        #[test]
        fn no_input_panics(text in ".{0,300}") {
            let _ = text.parse::<Scope>();
        }
    }
}

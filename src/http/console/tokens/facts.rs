//! Tokens in words: what one may do, when it ends, how it is.

use crate::{
    http::console::when::{When, day, when},
    store::{StoredToken, TokenState},
};
use counterfoil_core::{Timestamp, api::Api, time::Seconds, token::Grant};

/// So long before its end a token is shown as one that ends soon.
pub(crate) const SOON: Seconds = Seconds::days(14);
/// How many scopes a line has room for.
const SCOPES: usize = 3;

/// A state: a shape in the stylesheet, and the word beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) kind: &'static str,
    pub(crate) word: &'static str,
}

/// How a token is now.
pub(crate) fn state(stored: &StoredToken, now: Timestamp) -> State {
    let (kind, word) = match stored.state_at(now) {
        TokenState::Active if ends_soon(stored, now) => ("ending", "Ends soon"),
        TokenState::Active => ("live", "Live"),
        TokenState::Paused => ("paused", "Paused"),
        TokenState::Expired => ("expired", "Expired"),
        TokenState::Revoked => ("revoked", "Revoked"),
    };
    State { kind, word }
}

/// Whether a token that has not ended does so within fourteen days.
pub(crate) fn ends_soon(stored: &StoredToken, now: Timestamp) -> bool {
    let is_over = matches!(stored.state_at(now), TokenState::Revoked | TokenState::Expired);
    !is_over && stored.token.expires_at.is_some_and(|end| end < now.plus(SOON))
}

/// When a token ends; never, where there is none.
pub(crate) fn expires(stored: &StoredToken, now: Timestamp) -> Option<When> {
    stored.token.expires_at.map(|end| when(end, now))
}

/// What a grant allows, in a line of a table.
pub(crate) fn may(grant: &Grant) -> String {
    match grant {
        Grant::Any => "Everything".into(),
        Grant::Role(role) => role.to_string(),
        Grant::Scopes(scopes) => {
            let mut shown: Vec<String> =
                scopes.iter().take(SCOPES).map(ToString::to_string).collect();
            if scopes.len() > SCOPES {
                shown.push(format!("{} more", scopes.len() - SCOPES));
            }
            shown.join(", ")
        }
    }
}

/// What a grant allows, in the words of the API's scopes.
pub(crate) fn abilities(api: &Api, grant: &Grant) -> Vec<String> {
    api.scopes_of(grant)
        .filter_map(|held| api.scopes.iter().find(|(scope, _)| scope == held))
        .map(|(_, words)| phrase(words))
        .collect()
}

/// The sentence that says what a token will be able to do.
pub(crate) fn can(api: &Api, abilities: &[String]) -> String {
    if abilities.is_empty() && api.scopes.is_empty() {
        format!("This token will be able to make every request to {}.", api.name)
    } else if abilities.is_empty() {
        NOTHING.into()
    } else {
        format!("This token will be able to: {}.", abilities.join("; "))
    }
}

/// The same, as long as nothing is chosen.
pub(crate) const NOTHING: &str = "Choose what this token may do.";

/// Words as they stand within a sentence.
pub(crate) fn phrase(words: &str) -> String {
    let words = words.trim_end_matches('.');
    let mut rest = words.chars();
    match rest.next() {
        // An abbreviation stays as it is.
        Some(first) if !rest.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(rest).collect()
        }
        _ => words.to_owned(),
    }
}

/// Words as a sentence.
pub(crate) fn sentence(words: &str) -> String {
    let end = if words.ends_with(['.', '?', '!']) { "" } else { "." };
    title(words) + end
}

/// A name as a heading has it.
pub(crate) fn title(name: &str) -> String {
    let mut rest = name.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).collect()
}

/// A span as people say it.
pub(crate) fn span(span: Seconds) -> String {
    let (size, unit) = [(86_400, "day"), (3_600, "hour"), (60, "minute")]
        .into_iter()
        .find(|(size, _)| span.0 > 0 && span.0.is_multiple_of(*size))
        .unwrap_or((1, "second"));
    let number = span.0 / size;
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// How long a new token lives when nobody is asked.
pub(crate) fn fixed_expiry(api: &Api, now: Timestamp) -> String {
    match api.tokens.default_lifetime {
        Some(lifetime) => {
            format!("After {}, on {}", span(lifetime), day(now.plus(lifetime)))
        }
        None => "Never".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(phrase("Read costs."), "read costs");
        assert_eq!(phrase("API tokens"), "API tokens");
        assert_eq!(phrase(""), "");
        assert_eq!(sentence("must not be empty"), "Must not be empty.");
        assert_eq!(sentence("Why?"), "Why?");
        for (seconds, words) in
            [(86_400, "1 day"), (7_776_000, "90 days"), (5_400, "90 minutes"), (7_200, "2 hours")]
        {
            assert_eq!(span(Seconds(seconds)), words);
        }
    }

    #[test]
    fn grants() {
        let scopes =
            |texts: &[&str]| Grant::Scopes(texts.iter().map(|t| t.parse().unwrap()).collect());
        assert_eq!(may(&Grant::Any), "Everything");
        assert_eq!(may(&Grant::Role("viewer".into())), "viewer");
        assert_eq!(may(&scopes(&["a", "b"])), "a, b");
        assert_eq!(may(&scopes(&["a", "b", "c", "d", "e"])), "a, b, c, 2 more");
    }
}

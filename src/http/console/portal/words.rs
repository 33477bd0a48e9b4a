//! Tokens and browsers in words, as the tables of the portal have them.

use crate::{
    http::console::when::{When, when},
    store::{LEAKED, StoredToken, TokenState},
};
use counterfoil_core::{Timestamp, time::Seconds, token::Grant};

/// So long before its end a token is shown as one that ends soon.
pub(super) const SOON: Seconds = Seconds::days(14);
/// How many scopes a line has room for.
const SCOPES: usize = 3;

/// A token in a table.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) last_four: String,
    pub(super) api: String,
    pub(super) owner: String,
    pub(super) may: String,
    pub(super) expires: Option<When>,
    pub(super) ends_soon: bool,
    pub(super) last_used: Option<When>,
    /// A shape in the stylesheet, and the word beside it.
    pub(super) state: &'static str,
    pub(super) state_word: &'static str,
}

pub(super) fn row(stored: &StoredToken, owner: String, now: Timestamp) -> Row {
    let token = &stored.token;
    let is_over = matches!(stored.state_at(now), TokenState::Revoked | TokenState::Expired);
    let ends_soon = !is_over && token.expires_at.is_some_and(|end| end < now.plus(SOON));
    let (state, state_word) = match stored.state_at(now) {
        TokenState::Active if ends_soon => ("ending", "Ends soon"),
        TokenState::Active => ("live", "Live"),
        TokenState::Paused => ("paused", "Paused"),
        TokenState::Expired => ("expired", "Expired"),
        TokenState::Revoked if LEAKED.contains(&&*stored.revoke_reason) => ("leaked", "Leaked"),
        TokenState::Revoked => ("revoked", "Revoked"),
    };
    Row {
        id: token.id.to_string(),
        href: format!("/tokens/{}", token.id),
        name: token.name.clone(),
        prefix: token.prefix.to_string(),
        last_four: token.last_four.to_string(),
        api: token.api.to_string(),
        owner,
        may: may(&token.grant),
        expires: token.expires_at.map(|end| when(end, now)),
        ends_soon,
        last_used: stored.last_used.as_ref().map(|used| when(used.at, now)),
        state,
        state_word,
    }
}

/// What a grant allows, in a line of a table.
pub(super) fn may(grant: &Grant) -> String {
    match grant {
        Grant::Any => "Everything".into(),
        Grant::Role(role) => role.to_string(),
        Grant::Scopes(scopes) => {
            let shown = scopes.iter().take(SCOPES).map(ToString::to_string);
            let rest = scopes.len().saturating_sub(SCOPES);
            let more = (rest > 0).then(|| format!("{rest} more"));
            shown.chain(more).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A browser, as far as its own words tell: they are long, and most of them untrue.
pub(super) fn browser(agent: Option<&str>) -> String {
    let agent = agent.unwrap_or_default();
    let first = |known: &[(&str, &str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| (*name).to_owned())
    };
    let browser = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) if agent.is_empty() => "not known".into(),
        (None, None) => agent.chars().take(40).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/140.0 Safari/537.36";
        for (agent, words) in [
            (Some(chrome), "Chrome on Linux"),
            (Some("curl/8.5.0"), "curl/8.5.0"),
            (Some(""), "not known"),
            (None, "not known"),
        ] {
            assert_eq!(browser(agent), words);
        }
    }
}

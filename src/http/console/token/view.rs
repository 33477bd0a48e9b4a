//! What the page of a token shows of it.

use super::{
    super::{
        Console, Trouble, Visitor,
        access_tokens::About,
        chart::Chart,
        tokens::{example, facts},
        when::{When, day, when},
    },
    activity::Lately,
    history::{self, Row},
};
use crate::{
    clock,
    config::Words,
    service::{rotation::mark, token_history::Named},
    store::{StoredToken, TokenState},
    usage::LastUse,
};
use counterfoil_core::{
    Timestamp, api::Api, id::TokenId, ledger::Change, scope::Scope, token::Grant,
};
use std::sync::Arc;

/// How much of its history stands on the page.
const HISTORY: u32 = 100;

/// A token as its page has it, in words.
pub(super) struct TokenView {
    pub(super) id: TokenId,
    pub(super) name: String,
    pub(super) note: String,
    pub(super) api: String,
    pub(super) words: Words,
    pub(super) prefix: String,
    pub(super) last_four: String,
    /// Where a scheme of the API has one.
    pub(super) client_id: String,
    pub(super) owner: String,
    pub(super) organization: String,
    pub(super) allows: String,
    pub(super) networks: String,
    pub(super) external_id: String,
    pub(super) metadata: String,
    pub(super) created: When,
    pub(super) created_by: String,
    pub(super) expires: Option<When>,
    /// The day of that, in words.
    pub(super) last_day: String,
    pub(super) ends_soon: bool,
    pub(super) last_used: Option<Used>,
    pub(super) state: &'static str,
    pub(super) state_word: &'static str,
    /// Why it is refused although it is live.
    pub(super) stopped: &'static str,
    /// Whether its first request is waited for.
    pub(super) waits: bool,
    /// Where its events are.
    pub(super) live: String,
    pub(super) may: May,
    pub(super) rotation: Option<Rotating>,
    /// When it was rotated last.
    pub(super) rotated: Option<When>,
    pub(super) charts: Vec<Chart>,
    pub(super) lately: Lately,
    pub(super) history: Vec<Row>,
    /// Of its access tokens, where its API has some.
    pub(super) access: Option<About>,
    /// Until when others may accept those by themselves: since it was held back or ended, or
    /// when that is done now.
    pub(super) offline: Option<When>,
}

/// What this visitor may do with it now.
#[expect(clippy::struct_excessive_bools, reason = "each is a button")]
pub(super) struct May {
    pub(super) change: bool,
    pub(super) rotate: bool,
    pub(super) pause: bool,
    pub(super) resume: bool,
    pub(super) revoke: bool,
}

/// Its last use.
pub(super) struct Used {
    pub(super) at: When,
    /// From where, with what, and what for.
    pub(super) how: String,
}

/// A rotation whose old secret still works.
pub(super) struct Rotating {
    pub(super) until: When,
    /// What tells the old secret from others.
    pub(super) mark: String,
    pub(super) old: Half,
    pub(super) new: Half,
}

/// One of two secrets.
pub(super) struct Half {
    pub(super) last_four: String,
    pub(super) since: When,
    pub(super) last_used: Option<When>,
}

impl From<(&LastUse, Timestamp)> for Used {
    fn from((last, now): (&LastUse, Timestamp)) -> Self {
        let from = last.address.map(|address| format!("from {address}"));
        let how = [from, last.user_agent.clone(), last.route.clone()];
        let how = how.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Self { at: when(last.at, now), how }
    }
}

impl Console {
    /// A token, if the visitor sees it.
    pub(super) async fn look_at_token(
        &self,
        visitor: &Visitor,
        id: TokenId,
    ) -> Result<TokenView, Trouble> {
        let caller = visitor.caller()?;
        let now = clock::now();
        let stored = self.service.token(caller, id).await?;
        let owner = self.service.owner_of(caller, id).await?;
        let events = self.service.token_history(caller, id, HISTORY).await?;
        let may_rotate = self.service.may_rotate(caller, &stored).await?;
        let charts = self.charts(caller, id, now).await?;
        let lately = self.lately(caller, id, now).await?;
        let api = self.known_api(&stored.token.api);
        let rotated = history::rotations(&events);
        let token = &stored.token;
        let state = stored.state_at(now);
        let ended = matches!(state, TokenState::Revoked | TokenState::Expired);
        let ends_soon = facts::ends_soon(&stored, now);
        let facts::State { kind, word } = facts::state(&stored, now);
        let has_client_id = self.api(&token.api).is_ok_and(example::has_client_id);
        let issued = events.iter().rev().find(|event| {
            matches!(event.change, Some(Change::TokenIssued(_) | Change::TokenImported { .. }))
        });
        Ok(TokenView {
            id,
            name: token.name.clone(),
            note: token.note.clone(),
            api: token.api.to_string(),
            words: self.words(&token.api),
            prefix: token.prefix.to_string(),
            last_four: token.last_four.to_string(),
            client_id: if has_client_id { id.to_string() } else { String::new() },
            owner: account_in_words(&owner),
            organization: home_name(visitor),
            allows: allows(api.as_deref(), &token.grant),
            networks: networks_in_words(&stored),
            external_id: token.external_id.as_deref().unwrap_or_default().to_owned(),
            metadata: token
                .metadata
                .as_ref()
                .map(|value| serde_json::to_string_pretty(value).unwrap_or_default())
                .unwrap_or_default(),
            created: when(token.created_at, now),
            created_by: issued.map(|event| history::who(&event.by)).unwrap_or_default(),
            expires: facts::expires(&stored, now),
            last_day: token.expires_at.map(day).unwrap_or_default(),
            ends_soon,
            last_used: stored.last_used.as_ref().map(|last| Used::from((last, now))),
            state: kind,
            state_word: word,
            stopped: if ended { "" } else { stopped(&owner) },
            waits: stored.last_used.is_none() && state == TokenState::Active,
            live: if ended { String::new() } else { format!("/tokens/{id}/live") },
            may: May {
                change: !ended,
                rotate: may_rotate,
                pause: !ended && stored.paused_at.is_none(),
                resume: !ended && stored.paused_at.is_some(),
                revoke: stored.revoked_at.is_none(),
            },
            rotation: rotating(&stored, &rotated, now).filter(|_| !ended),
            rotated: rotated.first().map(|rotation| when(rotation.at, now)),
            charts,
            lately,
            history: history::rows(&events, now),
            access: self.api(&token.api).ok().and_then(|api| self.about_access_tokens(api)),
            offline: self.offline(&stored, now),
        })
    }

    /// Until when others may accept access tokens that were obtained with this one.
    pub(in crate::http::console) fn offline(
        &self,
        stored: &StoredToken,
        now: Timestamp,
    ) -> Option<When> {
        let since = stored.revoked_at.or(stored.paused_at).unwrap_or(now);
        let until = self.service.offline_until(stored, since).filter(|until| *until > now);
        until.map(|until| when(until, now))
    }

    /// The API of this name, if it is still there; the management API, too.
    pub(in crate::http::console) fn known_api(&self, name: &str) -> Option<Arc<Api>> {
        self.service.apis.load().get(name).cloned()
    }

    /// What an API's document calls things.
    pub(super) fn words(&self, name: &str) -> Words {
        self.api(name).map(|api| api.words.clone()).unwrap_or_default()
    }
}

fn home_name(visitor: &Visitor) -> String {
    visitor.here.home().map(|home| home.organization_name.clone()).unwrap_or_default()
}

/// Why a token is refused whatever its own state: its owner is not there any more.
fn stopped(owner: &Named) -> &'static str {
    match owner {
        Named { is_disabled: true, .. } => {
            "Every request with it is refused, because its owner is disabled."
        }
        Named { has_left: true, .. } => {
            "Every request with it is refused, because its owner has left the organization."
        }
        _ => "",
    }
}

/// Both halves of a rotation, while the old one works.
fn rotating(
    stored: &StoredToken,
    rotated: &[history::Rotation],
    now: Timestamp,
) -> Option<Rotating> {
    let previous = stored.previous.filter(|previous| now < previous.until)?;
    let [last, before @ ..] = rotated else { return None };
    let old_since = before.first().map_or(stored.token.created_at, |rotation| rotation.at);
    Some(Rotating {
        until: when(previous.until, now),
        mark: mark(&previous.digest),
        old: Half {
            last_four: last.replaced.clone(),
            since: when(old_since, now),
            last_used: stored.previous_last_used.as_ref().map(|last| when(last.at, now)),
        },
        new: Half {
            last_four: stored.token.last_four.to_string(),
            since: when(last.at, now),
            last_used: stored.present_last_used.as_ref().map(|last| when(last.at, now)),
        },
    })
}

/// What a token may do, in the words that the API has for its scopes.
pub(super) fn allows(api: Option<&Api>, grant: &Grant) -> String {
    let words = |scope: &Scope| scope_in_words(api, scope);
    match grant {
        Grant::Any => "everything that this API offers".into(),
        Grant::Role(name) => match api.and_then(|api| api.role(name)) {
            None => format!("{name} (a role that this API no longer has: nothing)"),
            Some(role) if role.scopes.is_empty() => name.to_string(),
            Some(role) => {
                let words: Vec<String> = role.scopes.iter().map(words).collect();
                format!("{name}: {}", words.join(", "))
            }
        },
        Grant::Scopes(scopes) => scopes.iter().map(words).collect::<Vec<_>>().join(", "),
    }
}

/// A scope in the API's words.
pub(in crate::http::console) fn scope_in_words(api: Option<&Api>, scope: &Scope) -> String {
    let known = api.and_then(|api| api.scopes.iter().find(|(known, _)| known == scope));
    match known {
        Some((_, words)) if !words.is_empty() => words.clone(),
        Some(_) => scope.to_string(),
        None => format!("{scope} (which this API no longer has)"),
    }
}

fn networks_in_words(stored: &StoredToken) -> String {
    let networks = &stored.token.allowed_networks;
    if networks.is_empty() {
        return "from anywhere".into();
    }
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An account's name, and its address where that says more.
fn account_in_words(account: &Named) -> String {
    match &account.email {
        Some(email) if email.as_str() != account.name => format!("{} ({email})", account.name),
        _ if account.is_service => format!("{} (a service account)", account.name),
        _ => account.name.clone(),
    }
}

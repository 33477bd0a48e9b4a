//! Changing what is not the secret of a token.

use super::{
    super::{Again, Console, Form, Frame, Page, Trouble, Visitor, to, when::date},
    Id,
    view::TokenView,
};
use crate::{
    clock,
    service::{
        ServiceError,
        tokens::{Expiry, TokenChanges},
    },
    store::StoredToken,
};
use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use counterfoil_core::{
    Timestamp,
    api::{Api, Issuers},
    time::Seconds,
    token::Grant,
};
use std::sync::Arc;

/// Spans to choose from, where the API's limits allow them.
const SPANS: [u32; 5] = [7, 30, 60, 90, 365];
/// The end stays what it is.
const KEEP: &str = "keep";
/// There is to be none.
const NEVER: &str = "never";
/// A day that is chosen.
const CUSTOM: &str = "custom";

#[derive(Template)]
#[template(path = "pages/token_edit.html")]
pub(super) struct EditPage {
    page: Frame,
    token: TokenView,
    draft: Draft,
    errors: Errors,
    /// Whether the visitor may change more than what it is called.
    terms: bool,
    roles: Vec<Choice>,
    scopes: Vec<Choice>,
    spans: Vec<Span>,
    least: String,
    most: String,
}

/// What stands in the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Draft {
    name: String,
    note: String,
    role: String,
    scopes: Vec<String>,
    expiry: String,
    /// The day, for [`CUSTOM`].
    day: String,
    networks: String,
}

/// What is wrong, beside each field; and what is wrong with none of them.
#[derive(Debug, Default)]
struct Errors {
    name: String,
    note: String,
    role: String,
    scopes: String,
    expiry: String,
    networks: String,
    whole: String,
}

/// One of several.
struct Choice {
    value: String,
    label: String,
    hint: String,
    phrase: String,
    selected: bool,
}

/// A time to live.
struct Span {
    value: String,
    label: String,
    when: String,
    until: String,
    custom: bool,
    selected: bool,
}

pub(super) async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    let stored = console.service.token(visitor.caller()?, id).await?;
    let draft = Draft::of(&stored);
    let page = page(&console, &visitor, &stored, draft, Errors::default()).await?;
    if !page.token.may.change {
        return Ok(to(&format!("/tokens/{id}")));
    }
    Ok(Page(page).into_response())
}

pub(super) async fn change(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Trouble> {
    let stored = console.service.token(visitor.caller()?, id).await?;
    let before = Draft::of(&stored);
    let terms = may_change_terms(&console, &visitor, &stored);
    let draft = Draft::typed(&form, &before, terms);
    let errors = match draft.changes(&before) {
        Ok(changes) => match console.service.change_token(visitor.caller()?, id, &changes).await {
            Ok(_) => return Ok(to(&format!("/tokens/{id}?done=changed"))),
            Err(error) => Errors::of(error)?,
        },
        Err(errors) => *errors,
    };
    let page = page(&console, &visitor, &stored, draft, errors).await?;
    Ok(Again(page).into_response())
}

/// Whether what it allows can be changed: its API has to be there, and where only
/// administrators issue its tokens, only they can.
fn may_change_terms(console: &Console, visitor: &Visitor, stored: &StoredToken) -> bool {
    console
        .known_api(&stored.token.api)
        .is_some_and(|api| api.issuers == Issuers::Members || visitor.is_administrator())
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    stored: &StoredToken,
    draft: Draft,
    errors: Errors,
) -> Result<EditPage, Trouble> {
    let now = clock::now();
    let token = console.look_at_token(visitor, stored.token.id).await?;
    let api = console.known_api(&stored.token.api);
    let terms = may_change_terms(console, visitor, stored);
    let api = api.as_deref().filter(|_| terms);
    let last = api.and_then(|api| last_end(api, stored));
    Ok(EditPage {
        page: console.frame(visitor, "tokens"),
        terms,
        roles: api.map(|api| roles(api, stored, &draft)).unwrap_or_default(),
        scopes: api.map(|api| scopes(api, stored, &draft)).unwrap_or_default(),
        spans: api.map(|api| spans(api, stored, &draft, now)).unwrap_or_default(),
        least: date(now.plus(Seconds::DAY)),
        most: last.map(date).unwrap_or_default(),
        token,
        draft,
        errors,
    })
}

/// The latest end that the API's limits allow.
fn last_end(api: &Api, stored: &StoredToken) -> Option<Timestamp> {
    api.tokens.max_lifetime.map(|max| stored.token.created_at.plus(max))
}

/// The API's roles, where the token has one.
fn roles(api: &Api, stored: &StoredToken, draft: &Draft) -> Vec<Choice> {
    if !matches!(stored.token.grant, Grant::Role(_)) {
        return Vec::new();
    }
    let role = |role: &counterfoil_core::api::Role| {
        let words = role.scopes.iter().map(|scope| super::view::scope_in_words(Some(api), scope));
        let words = words.collect::<Vec<_>>().join(", ");
        Choice {
            value: role.name.to_string(),
            label: role.name.to_string(),
            hint: words.clone(),
            phrase: words,
            selected: *role.name == *draft.role,
        }
    };
    api.roles.iter().map(role).collect()
}

/// The API's scopes, where the token has some.
fn scopes(api: &Api, stored: &StoredToken, draft: &Draft) -> Vec<Choice> {
    if !matches!(stored.token.grant, Grant::Scopes(_)) {
        return Vec::new();
    }
    let scopes = api.scopes.iter().map(|(scope, words)| {
        let value = scope.to_string();
        let label = if words.is_empty() { value.clone() } else { words.clone() };
        Choice {
            selected: draft.scopes.contains(&value),
            hint: value.clone(),
            value,
            phrase: label.clone(),
            label,
        }
    });
    scopes.collect()
}

fn spans(api: &Api, stored: &StoredToken, draft: &Draft, now: Timestamp) -> Vec<Span> {
    let last = last_end(api, stored);
    let keep = Span {
        value: KEEP.into(),
        label: "As it is".into(),
        when: stored.token.expires_at.map_or("never".into(), short),
        until: stored.token.expires_at.map(date).unwrap_or_default(),
        custom: false,
        selected: draft.expiry == KEEP,
    };
    let later = SPANS.iter().filter_map(|days| {
        let end = now.plus(Seconds::days(*days));
        let value = format!("{days}d");
        last.is_none_or(|last| end <= last).then(|| Span {
            selected: draft.expiry == value,
            value,
            label: format!("{days} days"),
            when: short(end),
            until: date(end),
            custom: false,
        })
    });
    let custom = Span {
        value: CUSTOM.into(),
        label: "On a day".into(),
        when: "you choose".into(),
        until: String::new(),
        custom: true,
        selected: draft.expiry == CUSTOM,
    };
    let never = (api.tokens.never && stored.token.expires_at.is_some()).then(|| Span {
        value: NEVER.into(),
        label: "Never".into(),
        when: "no end".into(),
        until: String::new(),
        custom: false,
        selected: draft.expiry == NEVER,
    });
    std::iter::once(keep).chain(later).chain([custom]).chain(never).collect()
}

impl Draft {
    /// What the token is now.
    fn of(stored: &StoredToken) -> Self {
        let token = &stored.token;
        let (role, scopes) = match &token.grant {
            Grant::Any => (String::new(), Vec::new()),
            Grant::Role(role) => (role.to_string(), Vec::new()),
            Grant::Scopes(scopes) => {
                (String::new(), scopes.iter().map(ToString::to_string).collect())
            }
        };
        let networks = token.allowed_networks.iter().map(ToString::to_string);
        Self {
            name: token.name.clone(),
            note: token.note.clone(),
            role,
            scopes,
            expiry: KEEP.into(),
            day: String::new(),
            networks: networks.collect::<Vec<_>>().join("\n"),
        }
    }

    /// What was typed; of what is not asked, what was `before`.
    fn typed(form: &Form, before: &Self, terms: bool) -> Self {
        let name = form.text("name").to_owned();
        let note = form.text("note").replace("\r\n", "\n");
        if !terms {
            return Self { name, note, ..before.clone() };
        }
        Self {
            name,
            note,
            role: if before.role.is_empty() { String::new() } else { form.text("role").to_owned() },
            scopes: if before.scopes.is_empty() {
                Vec::new()
            } else {
                form.all("scope").map(str::to_owned).collect()
            },
            expiry: form.given("expires_in").unwrap_or(KEEP).to_owned(),
            day: form.text("expires_on").to_owned(),
            networks: form.text("networks").replace("\r\n", "\n"),
        }
    }

    /// What is to be different from `before`, and nothing else: what somebody else changed
    /// meanwhile stays.
    fn changes(&self, before: &Self) -> Result<TokenChanges, Box<Errors>> {
        let mut errors = Errors::default();
        let expiry = match &*self.expiry {
            KEEP => None,
            NEVER => Some(Expiry::Never),
            CUSTOM => {
                let end = midnight(&self.day);
                if end.is_none() {
                    errors.expiry = "Give a day, such as 2031-03-31.".into();
                }
                end.map(Expiry::At)
            }
            span => {
                let span = span.parse().ok();
                if span.is_none() {
                    errors.expiry = "Choose one of these.".into();
                }
                span.map(Expiry::In)
            }
        };
        let mut scopes = self.scopes.clone();
        let mut scopes_before = before.scopes.clone();
        scopes.sort_unstable();
        scopes_before.sort_unstable();
        if scopes.is_empty() && !scopes_before.is_empty() {
            errors.scopes = "Choose at least one: a token without any could do nothing.".into();
        }
        let (networks, networks_before) = (lines(&self.networks), lines(&before.networks));
        if !(errors.expiry.is_empty() && errors.scopes.is_empty()) {
            return Err(Box::new(errors));
        }
        let other = |now: &String, before: &String| (now != before).then(|| now.clone());
        Ok(TokenChanges {
            name: other(&self.name, &before.name),
            note: other(&self.note, &before.note),
            role: other(&self.role, &before.role),
            scopes: (scopes != scopes_before).then_some(scopes),
            expiry,
            allowed_networks: (networks != networks_before).then_some(networks),
            ..TokenChanges::default()
        })
    }
}

/// One network a line, or between commas.
fn lines(text: &str) -> Vec<String> {
    let parts = text.split(['\n', ',']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// A day, where there is little room.
fn short(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%-d %b %Y").to_string()
}

/// The beginning of a day, in UTC.
fn midnight(text: &str) -> Option<Timestamp> {
    let read: jiff::civil::Date = text.parse().ok()?;
    let zoned = jiff::tz::TimeZone::UTC.to_zoned(read.at(0, 0, 0, 0)).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

impl Errors {
    /// Where an operation's no stands on this page.
    fn of(error: ServiceError) -> Result<Self, Trouble> {
        let mut errors = Self::default();
        let (place, text) = match error {
            ServiceError::Invalid { field, message } => {
                let place = match field {
                    "name" => &mut errors.name,
                    "note" => &mut errors.note,
                    "role" => &mut errors.role,
                    "scopes" => &mut errors.scopes,
                    "expires_in" | "expires_at" => &mut errors.expiry,
                    "allowed_networks" => &mut errors.networks,
                    _ => &mut errors.whole,
                };
                (place, message)
            }
            ServiceError::Forbidden(why) | ServiceError::Conflict(why) => (&mut errors.whole, why),
            error => return Err(error.into()),
        };
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        *place = format!("{}{}.", first.unwrap_or_default(), letters.as_str());
        Ok(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            name: "ci".into(),
            note: String::new(),
            role: String::new(),
            scopes: vec!["costs:read".into(), "costs:write".into()],
            expiry: KEEP.into(),
            day: String::new(),
            networks: "10.0.0.0/8\n192.0.2.0/24".into(),
        }
    }

    #[test]
    fn only_what_is_different_is_changed() {
        assert!(!draft().changes(&draft()).unwrap().is_something());
        let same = Draft {
            scopes: vec!["costs:write".into(), "costs:read".into()],
            networks: " 10.0.0.0/8,192.0.2.0/24\n\n".into(),
            ..draft()
        };
        assert!(!same.changes(&draft()).unwrap().is_something());

        let other = Draft {
            name: "nightly".into(),
            expiry: "30d".into(),
            networks: String::new(),
            ..draft()
        };
        let changes = other.changes(&draft()).unwrap();
        assert_eq!(changes.name.as_deref(), Some("nightly"));
        assert_eq!(changes.note, None);
        assert_eq!(changes.scopes, None);
        assert_eq!(changes.expiry, Some(Expiry::In(Seconds::days(30))));
        assert_eq!(changes.allowed_networks, Some(Vec::new()));

        let custom = Draft { expiry: CUSTOM.into(), day: "2027-01-15".into(), ..draft() };
        let end = Timestamp::from_millis(1_800_000_000_000 - 8 * 3_600_000);
        assert_eq!(custom.changes(&draft()).unwrap().expiry, Some(Expiry::At(end)));
        let never = Draft { expiry: NEVER.into(), ..draft() };
        assert_eq!(never.changes(&draft()).unwrap().expiry, Some(Expiry::Never));
    }

    #[test]
    fn what_makes_no_sense_is_said_beside_its_field() {
        let wrong = Draft { scopes: Vec::new(), expiry: CUSTOM.into(), ..draft() };
        let errors = wrong.changes(&draft()).unwrap_err();
        assert!(!errors.scopes.is_empty() && !errors.expiry.is_empty());
        let wrong = Draft { expiry: "soon".into(), ..draft() };
        assert_eq!(wrong.changes(&draft()).unwrap_err().expiry, "Choose one of these.");

        let no = ServiceError::Invalid { field: "name", message: "must not be empty".into() };
        assert_eq!(Errors::of(no).unwrap().name, "Must not be empty.");
        let no = ServiceError::Invalid { field: "allowed_networks", message: "x".into() };
        assert_eq!(Errors::of(no).unwrap().networks, "X.");
        assert_eq!(
            Errors::of(ServiceError::Conflict("it has ended".into())).unwrap().whole,
            "It has ended."
        );
        assert!(Errors::of(ServiceError::NotFound("gone".into())).is_err());
    }
}

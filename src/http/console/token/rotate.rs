//! A new secret: the dialog, and the end of the old one.

use super::{
    super::{
        Again, Console, Form, Frame, Page, Trouble, Visitor, to,
        tokens::example::{self, Credentials, Example},
        when::{When, when},
    },
    Id,
    view::TokenView,
};
use crate::{
    clock,
    service::{
        rotation::{Rotation, mark},
        tokens::Issued,
    },
    store::StoredToken,
};
use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use counterfoil_core::{Timestamp, id::TokenId, time::Seconds};
use std::sync::Arc;

/// For how long the old secret may go on.
const OVERLAPS: [(&str, &str, Seconds); 3] = [
    ("1h", "In an hour", Seconds::HOUR),
    ("24h", "In a day", Seconds::DAY),
    ("7d", "In a week", Seconds::days(7)),
];

#[derive(Template)]
#[template(path = "pages/token_rotate.html")]
pub(super) struct RotatePage {
    page: Frame,
    token: TokenView,
    /// The secret that is to be replaced: so nobody replaces another by loading a page again.
    replaces: String,
    overlaps: Vec<Overlap>,
    custom: String,
    least: String,
    most: String,
    error: String,
}

/// The ticket.
#[derive(Template)]
#[template(path = "pages/token_rotated.html")]
struct RotatedPage<'a> {
    page: Frame,
    token: TokenView,
    /// How the new secret begins and ends.
    ends: String,
    secret: &'a str,
    examples: Vec<Example>,
    /// When the old one ends, if it has not.
    until: Option<When>,
    done: String,
}

/// A choice of when the old secret ends.
struct Overlap {
    value: &'static str,
    label: &'static str,
    when: String,
    selected: bool,
    custom: bool,
}

pub(super) async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Page<RotatePage>, Trouble> {
    Ok(Page(page(&console, &visitor, id, "24h", "").await?))
}

/// Gives it a new secret, which is in this answer and in no other.
pub(super) async fn rotate(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Trouble> {
    let now = clock::now();
    let end = match end(form.text("overlap"), form.text("until"), now) {
        Ok(end) => end,
        Err(error) => {
            let page = page(&console, &visitor, id, form.text("overlap"), form.text("until"));
            let page = page.await?;
            return Ok(Again(RotatePage { error: error.to_owned(), ..page }).into_response());
        }
    };
    let caller = visitor.caller()?;
    let replaces = form.text("replaces");
    let token = console.look_at_token(&visitor, id).await?;
    match console.service.rotate_token_once(caller, id, end, replaces).await? {
        Rotation::New(issued) => Ok(console.reveal_rotated(&visitor, token, &issued)),
        Rotation::Before => Ok(to(&format!("/tokens/{id}?done=rotated"))),
    }
}

/// Ends the old secret before its time.
pub(super) async fn end_previous(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Trouble> {
    console.service.end_previous_secret(visitor.caller()?, id, form.text("old")).await?;
    Ok(to(&format!("/tokens/{id}?done=ended")))
}

impl Console {
    /// The owner's address, where that is the visitor: of a service account nobody signs in.
    fn email_of(visitor: &Visitor, stored: &StoredToken) -> Option<String> {
        let account = &visitor.here.account;
        let is_own = account.id == stored.token.owner;
        account.email.as_ref().filter(|_| is_own).map(ToString::to_string)
    }

    /// The answer that shows the new secret. `token` is what was there before: what failed
    /// afterwards would take the secret with it.
    fn reveal_rotated(&self, visitor: &Visitor, token: TokenView, issued: &Issued) -> Response {
        let Issued { token: stored, secret, .. } = issued;
        let now = clock::now();
        let id = stored.token.id.to_string();
        let email = Self::email_of(visitor, stored);
        let credentials =
            Credentials { secret: secret.reveal(), client_id: &id, email: email.as_deref() };
        let api = self.api(&stored.token.api).ok();
        let examples =
            api.map(|api| example::all(api, &self.gateway_url, &stored.token.grant, &credentials));
        Page(RotatedPage {
            examples: examples.unwrap_or_default(),
            page: self.frame(visitor, "tokens"),
            ends: format!("{}…{}", stored.token.prefix, stored.token.last_four),
            until: stored.previous.map(|previous| when(previous.until, now)),
            done: format!("/tokens/{}", stored.token.id),
            secret: secret.reveal(),
            // The light is the new secret's.
            token: TokenView { waits: false, ..token },
        })
        .into_response()
    }
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    id: TokenId,
    chosen: &str,
    custom: &str,
) -> Result<RotatePage, Trouble> {
    let stored = console.service.token(visitor.caller()?, id).await?;
    let token = console.look_at_token(visitor, id).await?;
    if !token.may.rotate {
        let why = "Only its owner gives a person's token a new secret, and only while it lives. \
                   You may pause or revoke it.";
        return Err(Trouble::Forbidden(why.into()));
    }
    let now = clock::now();
    let ends = stored.token.expires_at;
    let fits = |span: Seconds| ends.is_none_or(|end| now.plus(span) < end);
    let later = OVERLAPS
        .iter()
        .filter(|(.., span)| fits(*span))
        .map(|(value, label, span)| (*value, *label, short(now.plus(*span)), false));
    let overlaps = std::iter::once(("now", "Now", "at once".to_owned(), false))
        .chain(later)
        .chain([("custom", "At a moment", "you choose".to_owned(), true)])
        .map(|(value, label, when, custom)| Overlap {
            value,
            label,
            when,
            custom,
            selected: value == chosen,
        });
    let mut overlaps: Vec<Overlap> = overlaps.collect();
    if !overlaps.iter().any(|overlap| overlap.selected) {
        overlaps[0].selected = true;
    }
    Ok(RotatePage {
        page: console.frame(visitor, "tokens"),
        token,
        replaces: mark(&stored.token.digest),
        overlaps,
        custom: custom.to_owned(),
        least: field(now),
        most: ends.map(field).unwrap_or_default(),
        error: String::new(),
    })
}

/// When the old secret ends, if not at once.
fn end(chosen: &str, until: &str, now: Timestamp) -> Result<Option<Timestamp>, &'static str> {
    match chosen {
        "now" => Ok(None),
        "custom" => {
            let until = moment(until).ok_or("Give a day and a time, as in 2027-01-31T18:00.")?;
            if now < until {
                Ok(Some(until))
            } else {
                Err("That moment is over. Choose a later one, or now.")
            }
        }
        _ => OVERLAPS
            .iter()
            .find(|(value, ..)| *value == chosen)
            .map(|(.., span)| Some(now.plus(*span)))
            .ok_or("Choose when the old secret ends."),
    }
}

/// A moment, where there is little room.
fn short(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%-d %b, %H:%M UTC").to_string()
}

/// What a field for a day and a time says, which is in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let read: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = jiff::tz::TimeZone::UTC.to_zoned(read).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

/// A moment as such a field has it.
fn field(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%Y-%m-%dT%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_old_secret_ends() {
        // 2027-01-15T08:00:00.400Z
        let now = Timestamp::from_millis(1_800_000_000_400);
        let after = |millis: i64| Ok(Some(Timestamp::from_millis(now.as_millis() + millis)));
        assert_eq!(field(now), "2027-01-15T08:00");
        for (chosen, until, expected) in [
            ("now", "", Ok(None)),
            ("1h", "", after(3_600_000)),
            ("7d", "nonsense", after(7 * 86_400_000)),
            ("custom", "2027-01-15T08:01", after(59_600)),
            ("custom", "2027-01-15T08:00:01", after(600)),
            ("custom", "2027-01-15T08:00", Err("That moment is over. Choose a later one, or now.")),
            ("custom", "2026-01-15T08:00", Err("That moment is over. Choose a later one, or now.")),
            ("custom", "", Err("Give a day and a time, as in 2027-01-31T18:00.")),
            ("custom", "tomorrow", Err("Give a day and a time, as in 2027-01-31T18:00.")),
            ("", "", Err("Choose when the old secret ends.")),
            ("9999d", "", Err("Choose when the old secret ends.")),
        ] {
            assert_eq!(end(chosen, until, now), expected, "{chosen} {until}");
        }
    }
}

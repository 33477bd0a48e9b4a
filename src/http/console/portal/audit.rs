//! The organization's part of the ledger, for people.
//!
//! Filters look through the entries from the latest on: a page has what was found among a few
//! thousand of them, and goes on where it stopped. So none waits for the whole ledger.

use super::{
    Choice, Console, Frame, Page, Pager, ROWS, Trouble, Visitor, address,
    audit_words::{KINDS, Words},
    count,
};
use crate::{
    clock,
    http::{
        api,
        console::when::{When, when},
    },
    service::Caller,
    store::{self, EntryFilter, StoredEntry},
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use counterfoil_core::{
    Timestamp,
    account::AccountKind,
    id::{AccountId, TokenId},
    ledger::{Actor, Subject},
    time::Seconds,
};
use http::{HeaderValue, header};
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};

/// How many entries are read at once, and how often for one page.
const READ: u32 = 250;
const READINGS: usize = 20;
/// How many members there are to choose from.
const ACTORS: u32 = 200;
/// How far an entry's time may be from its place among the others: as long as a decision may
/// wait for the one before it.
const SLACK: Seconds = Seconds(120);

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/portal/audit", get(list)).route("/portal/audit.jsonl", get(export))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    kind: String,
    actor: String,
    from: String,
    to: String,
    before: String,
}

struct Row {
    seq: u64,
    at: When,
    who: String,
    what: String,
    subject: String,
    subject_href: String,
    details: String,
}

#[derive(Template)]
#[template(path = "pages/audit.html")]
struct AuditPage {
    page: Frame,
    kinds: Vec<Choice>,
    actors: Vec<Choice>,
    from: String,
    to: String,
    entries: Vec<Row>,
    pager: Pager,
}

async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page<AuditPage>, Trouble> {
    let caller = visitor.administers()?;
    let (entries, next) = console.find_entries(caller, &wanted).await?;
    let now = clock::now();
    let mut names = Names { console: &console, caller, accounts: HashMap::new() };
    let mut rows = Vec::new();
    for entry in &entries {
        rows.push(names.row(entry, now).await?);
    }
    let page = store::Page { after: None, limit: ACTORS };
    let members = console.service.members(caller, AccountKind::Person, None, page).await?;
    let fixed = [("", "Anybody"), ("operator", "The operator"), ("leak_report", "A leak report")];
    let fixed = fixed.map(|(value, label)| Choice::new(value, label, &wanted.actor));
    let members = members.into_iter().map(|member| {
        Choice::new(member.account.id.to_string(), member.account.name, &wanted.actor)
    });
    let all_kinds = Choice::new("", "Anything", &wanted.kind);
    let kinds = KINDS.iter().map(|(kind, words)| Choice::new(*kind, *words, &wanted.kind));
    let link = |before: &str| {
        let Wanted { kind, actor, from, to, .. } = &wanted;
        let parameters =
            [("kind", &**kind), ("actor", actor), ("from", from), ("to", to), ("before", before)];
        address("/portal/audit", &parameters)
    };
    Ok(Page(AuditPage {
        page: console.frame(&visitor, "audit"),
        kinds: std::iter::once(all_kinds).chain(kinds).collect(),
        actors: fixed.into_iter().chain(members).collect(),
        from: wanted.from.clone(),
        to: wanted.to.clone(),
        pager: Pager {
            words: match (rows.len(), next) {
                (0, Some(next)) => format!("None found down to entry {next}; go on from there"),
                (found, _) => count(found, "change"),
            },
            first: if wanted.before.is_empty() { String::new() } else { link("") },
            next: next.map_or_else(String::new, |next| link(&next.to_string())),
        },
        entries: rows,
    }))
}

/// All of it, in the form of the management API.
async fn export(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?.clone();
    let mut response = api::audit::export(console.service.clone(), caller).await?;
    let headers = response.headers_mut();
    let name = HeaderValue::from_static("attachment; filename=\"audit.jsonl\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Wanted {
    fn asks_for(
        &self,
        stored: &StoredEntry,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> bool {
        let entry = &stored.entry;
        let kind = self.kind.is_empty() || self.kind == *entry.kind;
        let actor = match entry.actor {
            Actor::Operator => self.actor == "operator",
            Actor::LeakReport => self.actor == "leak_report",
            Actor::Token { account, .. } | Actor::Session { account, .. } => {
                self.actor == account.to_string()
            }
        };
        kind && (actor || self.actor.is_empty())
            && from.is_none_or(|from| entry.at >= from)
            && to.is_none_or(|to| entry.at < to)
    }
}

impl Console {
    /// A page of entries, and where it goes on.
    async fn find_entries(
        &self,
        caller: &Caller,
        wanted: &Wanted,
    ) -> Result<(Vec<StoredEntry>, Option<u64>), Trouble> {
        let from = day(&wanted.from);
        let to = day(&wanted.to).map(|day| day.plus(Seconds::DAY));
        let mut before = match (wanted.before.parse::<u64>(), to) {
            (Ok(before), _) => before,
            (Err(_), Some(to)) => self.service.first_entry_at(to.plus(SLACK)).await?,
            (Err(_), None) => i64::MAX.unsigned_abs(),
        };
        let mut found = Vec::new();
        for _ in 0..READINGS {
            let read =
                self.service.audit_before(caller, EntryFilter::default(), before, READ).await?;
            let is_last = read.len() < READ as usize;
            for entry in read {
                let is_too_early = from.is_some_and(|from| entry.entry.at < from.minus(SLACK));
                if is_too_early {
                    return Ok((found, None));
                }
                if wanted.asks_for(&entry, from, to) {
                    if found.len() == ROWS as usize {
                        return Ok((found, Some(before)));
                    }
                    found.push(entry.clone());
                }
                before = entry.entry.number;
            }
            if is_last {
                return Ok((found, None));
            }
        }
        Ok((found, Some(before)))
    }
}

/// The beginning of a day, as a date field has it.
fn day(text: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

/// What ids are called, each looked up once.
struct Names<'a> {
    console: &'a Console,
    caller: &'a Caller,
    accounts: HashMap<AccountId, Option<String>>,
}

impl Names<'_> {
    async fn row(&mut self, stored: &StoredEntry, now: Timestamp) -> Result<Row, Trouble> {
        let entry = &stored.entry;
        let who = match entry.actor {
            Actor::Operator => "The operator".into(),
            Actor::LeakReport => "A leak report".into(),
            Actor::Session { account, .. } => self.account(account).await?,
            Actor::Token { account, .. } => {
                format!("{}, with a token", self.account(account).await?)
            }
        };
        let (subject, subject_href) = match entry.subject {
            Subject::Organization(_) => ("The organization".into(), String::new()),
            Subject::Account(account) => (self.account(account).await?, String::new()),
            Subject::Invitation(_) => ("An invitation".into(), String::new()),
            Subject::Token(token) => (self.token(token).await?, format!("/tokens/{token}")),
        };
        let words = Words::of(&entry.kind, stored.change.as_ref());
        let mut details = words.details;
        if let Some(account) = words.account {
            details = format!("{details} {}", self.account(account).await?);
        }
        Ok(Row {
            seq: entry.number,
            at: when(entry.at, now),
            who,
            what: words.what,
            subject,
            subject_href,
            details,
        })
    }

    /// Somebody who has to do with the organization, now or once.
    async fn account(&mut self, account: AccountId) -> Result<String, Trouble> {
        if !self.accounts.contains_key(&account) {
            let name = self.console.service.name_of(self.caller, account).await?;
            self.accounts.insert(account, name);
        }
        let name = self.accounts.get(&account).cloned().flatten();
        Ok(name.unwrap_or_else(|| "Somebody from elsewhere".into()))
    }

    async fn token(&self, token: TokenId) -> Result<String, Trouble> {
        Ok(self.console.service.token(self.caller, token).await?.token.name)
    }
}

//! Who is signed in.

use super::{Console, Frame, Page, Pager, ROWS, Trouble, Visitor, address, browser, count, id, to};
use crate::{
    clock,
    http::console::when::{When, when},
    service::members::Presence,
    store,
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::Response,
    routing::{get, post},
};
use counterfoil_core::{
    Timestamp,
    id::{AccountId, SessionId},
};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/portal/sessions", get(list))
        .route("/portal/sessions/{session}/end", post(end))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    after: String,
    done: String,
}

struct Row {
    id: String,
    name: String,
    email: String,
    browser: String,
    address: String,
    here: bool,
    may_end: bool,
    signed_in: When,
    last_seen: When,
}

#[derive(Template)]
#[template(path = "pages/portal_sessions.html")]
struct SessionsPage {
    page: Frame,
    sessions: Vec<Row>,
    pager: Pager,
}

async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page<SessionsPage>, Trouble> {
    let caller = visitor.administers()?;
    let mut page = console.frame(&visitor, "portal_sessions");
    if wanted.done == "ended" {
        page = page.saying("good", "The session has ended.");
    }
    let (after, limit) = (read(&wanted.after), ROWS + 1);
    let mut found =
        console.service.sessions_of_members(caller, store::Page { after, limit }).await?;
    let has_more = found.len() > ROWS as usize;
    found.truncate(ROWS as usize);
    let cursor = |last: &Presence| format!("{}.{}", last.account.id, last.session.id);
    let last = found.last().filter(|_| has_more).map(cursor);
    let path = "/portal/sessions";
    let now = clock::now();
    Ok(Page(SessionsPage {
        page,
        pager: Pager {
            words: count(found.len(), "session"),
            first: if after.is_some() { path.into() } else { String::new() },
            next: last.map_or_else(String::new, |last| address(path, &[("after", &last)])),
        },
        sessions: found.into_iter().map(|one| row(one, visitor.here.session.id, now)).collect(),
    }))
}

async fn end(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(session): Path<String>,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    console.service.end_session_of_member(caller, id(&session)?).await?;
    Ok(to("/portal/sessions?done=ended"))
}

fn read(cursor: &str) -> Option<(AccountId, SessionId)> {
    let (account, session) = cursor.split_once('.')?;
    Some((account.parse().ok()?, session.parse().ok()?))
}

fn row(
    Presence { session, account, is_only_here }: Presence,
    own: SessionId,
    now: Timestamp,
) -> Row {
    let here = session.id == own;
    let address = session.address.map(|address| address.to_string()).unwrap_or_default();
    let (browser, address) = if is_only_here {
        (browser::in_words(session.user_agent.as_deref()), address)
    } else {
        ("belongs elsewhere too".into(), String::new())
    };
    Row {
        id: session.id.to_string(),
        name: account.name,
        email: account.email.map(|email| email.to_string()).unwrap_or_default(),
        browser,
        address,
        here,
        may_end: is_only_here && !here,
        signed_in: when(session.created_at, now),
        last_seen: when(session.last_seen_at, now),
    }
}

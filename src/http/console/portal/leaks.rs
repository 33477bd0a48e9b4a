//! The leak desk: the browser finds tokens in a text and sends their digests alone; here it is
//! said whose they are, and one button ends them.
//!
//! Everybody may look for their own tokens, administrators for all of the organization. What
//! the visitor does not see is shown as what nobody has.

use super::{Console, Form, Frame, Page, Trouble, Visitor, bulk::picked, words};
use crate::{
    clock,
    http::console::assets,
    service::token_lists::DIGESTS,
    store::{LEAKED, StoredToken, TokenState},
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use counterfoil_core::{Timestamp, id::TokenId, token::Digest};
use std::{collections::BTreeSet, sync::Arc};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/portal/leaks", get(desk).post(end))
        .route("/portal/leaks/find", post(find))
}

#[derive(Template)]
#[template(path = "pages/leak_desk.html")]
struct DeskPage {
    page: Frame,
    script: &'static str,
    /// The prefixes of all APIs' tokens, with spaces between them.
    prefixes: String,
    is_administrator: bool,
}

#[derive(Template)]
#[template(path = "pages/leak_rows.html")]
struct Rows {
    found: Vec<Found>,
    /// How many can be ended.
    live: usize,
}

struct Found {
    line: u32,
    /// None of somebody else's, nor of nobody's.
    token: Option<words::Row>,
    /// Whether the secret that was found works, so that the token is to be ended.
    works: bool,
}

async fn desk(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<DeskPage>, Trouble> {
    visitor.caller()?;
    let apis = console.service.apis.load();
    let prefixes: BTreeSet<&str> = apis.values().map(|api| api.tokens.prefix.as_str()).collect();
    Ok(Page(DeskPage {
        page: console.frame(&visitor, "leak_desk"),
        script: &assets::LEAK_DESK_PATH,
        prefixes: prefixes.into_iter().collect::<Vec<_>>().join(" "),
        is_administrator: visitor.is_administrator(),
    }))
}

async fn find(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Page<Rows>, Trouble> {
    let caller = visitor.caller()?;
    let wrong =
        || Trouble::Wrong("a digest is 64 hexadecimal digits, with the line it is of".into());
    let digests: Option<Vec<Digest>> = form.all("digest").map(read_digest).collect();
    let lines: Result<Vec<u32>, _> = form.all("line").map(str::parse).collect();
    let (Some(digests), Ok(lines)) = (digests, lines) else { return Err(wrong()) };
    if digests.len() != lines.len() || digests.len() > DIGESTS {
        return Err(wrong());
    }
    let now = clock::now();
    let tokens = console.service.tokens_of_digests(caller, &digests).await?;
    let mut found = Vec::new();
    let mut ended = BTreeSet::new();
    for ((digest, line), stored) in digests.into_iter().zip(lines).zip(tokens) {
        let Some(stored) = stored else {
            found.push(Found { line, token: None, works: false });
            continue;
        };
        let works = works(&stored, digest, now);
        if works {
            ended.insert(stored.token.id);
        }
        let mut row = console.rows(caller, std::slice::from_ref(&stored), now).await?.pop();
        if let Some(row) = row.as_mut().filter(|_| is_replaced(&stored, digest, now)) {
            (row.state, row.state_word) = ("revoked", "Replaced");
        }
        found.push(Found { line, token: row, works });
    }
    Ok(Page(Rows { found, live: ended.len() }))
}

async fn end(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let caller = visitor.caller()?;
    let picked = picked(&form)?;
    if picked.is_empty() || picked.len() > DIGESTS {
        return Err(Trouble::Wrong("find the tokens that are to end first".into()));
    }
    for token in &picked {
        console.service.token(caller, *token).await?;
    }
    let picked: Vec<TokenId> = picked.into_iter().collect();
    console.end_all(&visitor, caller, "leak_desk", &picked, LEAKED[0], "/portal/leaks").await
}

/// Whether a secret that was a rotation's to replace opens nothing any more.
fn is_replaced(stored: &StoredToken, digest: Digest, now: Timestamp) -> bool {
    let previous = stored.previous.is_some_and(|p| p.digest == digest && now < p.until);
    stored.token.digest != digest && !previous
}

/// Whether the secret would work, or will once the token is resumed.
fn works(stored: &StoredToken, digest: Digest, now: Timestamp) -> bool {
    let is_over = matches!(stored.state_at(now), TokenState::Revoked | TokenState::Expired);
    !is_over && !is_replaced(stored, digest, now)
}

fn read_digest(hex: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    let pairs = hex.as_bytes().chunks_exact(2);
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(Digest::from_bytes(bytes))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn digests() {
        let digest = Digest::of("x");
        let hex = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881".to_owned();
        assert_eq!(read_digest(&hex), Some(digest));
        assert_eq!(read_digest(&hex.to_uppercase()), Some(digest));
        for wrong in
            ["", "00", &hex[1..], &format!("{hex}0"), &hex.replace('2', "g"), &"+1".repeat(32)]
        {
            assert_eq!(read_digest(wrong), None, "{wrong}");
        }
    }
}

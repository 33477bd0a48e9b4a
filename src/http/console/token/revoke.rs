//! Ending a token, and the receipt for it.

use super::{
    super::{
        Again, Console, Form, Frame, Page, Trouble, Visitor, to,
        tokens::example,
        when::{When, when},
    },
    Id, history,
    view::TokenView,
};
use crate::{
    clock,
    config::Words,
    service::{ServiceError, tokens::REASON},
};
use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use counterfoil_core::{
    id::TokenId,
    lease::{Reach, Reached},
    token,
};
use std::{sync::Arc, time::Duration};

#[derive(Template)]
#[template(path = "pages/token_revoke.html")]
pub(super) struct RevokePage {
    page: Frame,
    token: TokenView,
    reason: String,
    longest: usize,
    error: String,
}

/// Asks whether it is meant, and shows who will notice.
pub(super) async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    let page = page(&console, &visitor, id).await?;
    if !page.token.may.revoke {
        return Ok(to(&format!("/tokens/{id}/receipt")));
    }
    Ok(Page(page).into_response())
}

/// Ends it. When this is answered, no node accepts it any more.
pub(super) async fn revoke(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Trouble> {
    let reason = form.text("reason");
    let began = clock::steady();
    match console.service.revoke_token_within(None, visitor.caller()?, id, reason).await {
        Ok((_, spread)) => {
            console.service.took.note(id, began.elapsed(), spread.reached);
            Ok(to(&format!("/tokens/{id}/receipt")))
        }
        Err(ServiceError::Invalid { message, .. }) => {
            let page = page(&console, &visitor, id).await?;
            let (reason, error) = (reason.to_owned(), format!("The reason {message}."));
            Ok(Again(RevokePage { reason, error, ..page }).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn page(console: &Console, visitor: &Visitor, id: TokenId) -> Result<RevokePage, Trouble> {
    let token = console.look_at_token(visitor, id).await?;
    let page = console.frame(visitor, "tokens");
    let (reason, error) = (String::new(), String::new());
    Ok(RevokePage { page, token, reason, longest: REASON, error })
}

#[derive(Template)]
#[template(path = "pages/token_receipt.html")]
pub(super) struct ReceiptPage {
    page: Frame,
    words: Words,
    id: TokenId,
    name: String,
    api: String,
    prefix: String,
    last_four: String,
    verdict: String,
    nodes: Vec<Node>,
    at: When,
    by: String,
    reason: String,
    /// Until when others may accept its access tokens by themselves.
    offline: Option<When>,
    entry: u64,
    hash: String,
    check: String,
}

/// Servers that tokens are shown to, and of which the same is to be said.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    name: String,
    state: &'static str,
    words: &'static str,
}

impl Console {
    /// A command that uses a token of this API, while it is there.
    pub(super) fn command(&self, api: &str) -> String {
        let api = self.api(api).ok();
        api.map(|api| example::to_come(api, &self.gateway_url, None)).unwrap_or_default()
    }
}

/// What the ledger says of the end, and what the node itself does.
pub(super) async fn receipt(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    let caller = visitor.caller()?;
    let stored = console.service.token(caller, id).await?;
    let Some(revocation) = console.service.revocation(caller, id).await? else {
        return Ok(to(&format!("/tokens/{id}")));
    };
    let entry = console.replica.index().and_then(|index| index.find_by_id(id));
    // A node whose index may not be trusted accepts nothing at all.
    let is_refused = entry.is_none_or(|entry| entry.state() == token::State::Revoked);
    let took = revocation.took.filter(|_| is_refused);
    let offline = console.offline(&stored, clock::now());
    let token = stored.token;
    let receipt = ReceiptPage {
        page: console.frame(&visitor, "tokens"),
        words: console.words(&token.api),
        id,
        name: token.name,
        verdict: verdict(&revocation.reached, is_refused, took),
        check: console.command(&token.api),
        api: token.api.into(),
        prefix: token.prefix.into(),
        last_four: token.last_four.into(),
        nodes: nodes(&revocation.reached, is_refused),
        at: when(revocation.event.at, clock::now()),
        by: history::who(&revocation.event.by),
        reason: revocation.reason,
        offline,
        entry: revocation.event.number,
        hash: revocation.hash.map(|hash| hash.to_string()).unwrap_or_default(),
    };
    Ok(Page(receipt).into_response())
}

/// On how many nodes a token is refused, in a line.
fn verdict(reached: &Reached, is_refused_here: bool, took: Option<Duration>) -> String {
    let (refused, nodes) = if reached.nodes > 1 {
        (reached.applied, reached.nodes)
    } else {
        (usize::from(is_refused_here), 1)
    };
    let took = match took.map(|took| took.as_millis()) {
        None => String::new(),
        Some(0) => " in less than 1 ms".to_owned(),
        Some(millis @ ..10_000) => format!(" in {millis} ms"),
        Some(millis) => format!(" in {} s", millis / 1000),
    };
    let shut = match (reached.reach, nodes - refused) {
        (Reach::Expired, 1) => "; 1 verifies nothing".to_owned(),
        (Reach::Expired, many @ 2..) => format!("; {many} verify nothing"),
        _ => String::new(),
    };
    format!("Refused on {refused} of {nodes}{took}{shut}")
}

/// The nodes, those that answer for themselves and the others.
fn nodes(reached: &Reached, is_refused_here: bool) -> Vec<Node> {
    let others = |many: usize| match many {
        1 => "1 other server".to_owned(),
        many => format!("{many} other servers"),
    };
    let mut nodes = vec![Node {
        name: "this server".to_owned(),
        state: if is_refused_here { "done" } else { "waiting" },
        words: if is_refused_here { "refuses it" } else { "has not heard of it yet" },
    }];
    let behind = reached.nodes.saturating_sub(reached.applied);
    let done = reached.nodes.saturating_sub(behind + 1);
    if done > 0 {
        let words = if done == 1 { "refuses it" } else { "refuse it" };
        nodes.push(Node { name: others(done), state: "done", words });
    }
    if behind > 0 {
        let words = match (reached.reach, behind) {
            (Reach::Expired, 1) => "verifies nothing before it has heard of it",
            (Reach::Expired, _) => "verify nothing before they have heard of it",
            (_, 1) => "has not heard of it yet",
            _ => "have not heard of it yet",
        };
        nodes.push(Node { name: others(behind), state: "waiting", words });
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(reach: Reach, applied: usize, nodes: usize) -> Reached {
        Reached { reach, nodes, applied, waited: Duration::ZERO }
    }

    #[test]
    fn a_verdict_counts_nodes() {
        let millis = |millis| Some(Duration::from_millis(millis));
        for (reached, took, expected) in [
            (reached(Reach::Applied, 1, 1), millis(0), "Refused on 1 of 1 in less than 1 ms"),
            (reached(Reach::Applied, 3, 3), millis(14), "Refused on 3 of 3 in 14 ms"),
            (reached(Reach::Applied, 3, 3), None, "Refused on 3 of 3"),
            (reached(Reach::Pending, 2, 3), None, "Refused on 2 of 3"),
            (
                reached(Reach::Expired, 2, 3),
                millis(30_004),
                "Refused on 2 of 3 in 30 s; 1 verifies nothing",
            ),
            (reached(Reach::Expired, 1, 3), None, "Refused on 1 of 3; 2 verify nothing"),
            // Nothing could be read of them any more.
            (reached(Reach::Expired, 0, 0), None, "Refused on 1 of 1"),
        ] {
            assert_eq!(verdict(&reached, true, took), expected);
        }
        assert_eq!(verdict(&reached(Reach::Applied, 1, 1), false, None), "Refused on 0 of 1");
    }

    #[test]
    fn nodes_that_are_alike_are_told_together() {
        let told = |reached: &Reached| {
            let nodes = nodes(reached, true).into_iter();
            nodes.map(|node| format!("{}: {}", node.name, node.words)).collect::<Vec<_>>()
        };
        assert_eq!(told(&reached(Reach::Applied, 1, 1)), ["this server: refuses it"]);
        assert_eq!(
            told(&reached(Reach::Applied, 3, 3)),
            ["this server: refuses it", "2 other servers: refuse it"]
        );
        assert_eq!(
            told(&reached(Reach::Expired, 2, 3)),
            [
                "this server: refuses it",
                "1 other server: refuses it",
                "1 other server: verifies nothing before it has heard of it"
            ]
        );
        assert_eq!(told(&reached(Reach::Expired, 0, 0)), ["this server: refuses it"]);
    }
}

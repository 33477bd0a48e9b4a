//! Somebody leaves: what of theirs goes on, and what ends.

use super::{
    Again, Choice, Console, Form, Frame, Page, Trouble, Visitor, address,
    bulk::picked,
    count,
    members::{List, Wanted},
    sentence, to,
};
use crate::{
    clock,
    http::console::when::{When, when},
    service::accounts::AccountName,
    store::{StoredToken, TokenList, TokenOrder, TokenState},
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::{
    account::AccountKind,
    id::{AccountId, TokenId},
};
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};

/// How many of somebody's tokens are offered at once.
const TOKENS: u32 = 100;
/// How many service accounts are offered.
const HEIRS: u32 = 500;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/portal/leavers/{account}", get(ask).post(act))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    done: String,
}

/// A token of who leaves.
struct Left {
    id: String,
    name: String,
    api: String,
    last_used: Option<When>,
    picked: bool,
    /// Why it cannot go on with another owner; empty, where it can.
    why_not: &'static str,
}

#[derive(Template)]
#[template(path = "pages/hand_over.html")]
struct LeaverPage {
    page: Frame,
    list: List,
    name: String,
    /// What the end of the membership does to the tokens, in a sentence.
    before_and_after: String,
    tokens: Vec<Left>,
    has_more: bool,
    heirs: Vec<Choice>,
    heir_error: String,
    /// What could not be handed over, and why.
    failed: Vec<String>,
    handed_over: bool,
}

async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
    Query(said): Query<Said>,
) -> Result<Page<LeaverPage>, Trouble> {
    let mut page = console.leaver_page(&visitor, &account, &BTreeSet::new(), "").await?;
    page.handed_over = said.done == "handed-over";
    Ok(Page(page))
}

async fn act(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
    form: Form,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    let leaver = console.person(caller, &account).await?.account.id;
    visitor.still_looks(&form)?;
    let (picked, heir) = (picked(&form)?, form.text("heir"));
    let ends = form.text("end") == "yes";
    if leaver == visitor.here.account.id {
        return Err(Trouble::Conflict(
            "Your own membership is ended by another administrator, so that one is left.".into(),
        ));
    }
    if !ends && picked.is_empty() {
        let mut page = console.leaver_page(&visitor, &account, &picked, heir).await?;
        page.heir_error = "Pick the tokens that are to go on.".into();
        return Ok(Again(page).into_response());
    }
    if !picked.is_empty() {
        let Ok(heir_id) = heir.parse::<AccountId>() else {
            let mut page = console.leaver_page(&visitor, &account, &picked, heir).await?;
            page.heir_error = "Choose who owns them from now on.".into();
            return Ok(Again(page).into_response());
        };
        let failed = console.hand_over(&visitor, leaver, &picked, heir_id).await?;
        if !failed.is_empty() {
            // Nothing ends before all that was picked is safe.
            let mut page = console.leaver_page(&visitor, &account, &picked, heir).await?;
            page.failed = failed;
            return Ok(Again(page).into_response());
        }
    }
    if !ends {
        return Ok(to(&format!("/portal/leavers/{account}?done=handed-over")));
    }
    let organization = visitor.organization()?;
    console.service.end_membership(caller, organization, &AccountName::Id(leaver)).await?;
    Ok(to(&address("/portal", &[("done", "ended"), ("account", &account)])))
}

impl Console {
    /// Hands over each of these tokens; what could not be, and why.
    async fn hand_over(
        &self,
        visitor: &Visitor,
        leaver: AccountId,
        tokens: &BTreeSet<TokenId>,
        heir: AccountId,
    ) -> Result<Vec<String>, Trouble> {
        let caller = visitor.administers()?;
        let mut failed = Vec::new();
        for token in tokens {
            let stored = self.service.token(caller, *token).await?;
            if stored.token.owner == heir {
                continue;
            }
            if stored.token.owner != leaver {
                return Err(Trouble::NotFound);
            }
            if let Err(error) = self.service.hand_over_token(caller, *token, heir).await {
                failed.push(format!("{}: {}", stored.token.name, sentence(&error.to_string())));
            }
        }
        Ok(failed)
    }

    async fn leaver_page(
        &self,
        visitor: &Visitor,
        account: &str,
        picked: &BTreeSet<TokenId>,
        heir: &str,
    ) -> Result<LeaverPage, Trouble> {
        let caller = visitor.administers()?;
        let now = clock::now();
        let leaver = self.person(caller, account).await?;
        let home = visitor.organization()?;
        let list = |state| TokenList {
            owner: Some(leaver.account.id),
            state: Some((state, now)),
            ..TokenList::all(home, TokenOrder::Newest, TOKENS)
        };
        let mut found = self.service.list_tokens(caller, list(TokenState::Active)).await?;
        let paused = self.service.list_tokens(caller, list(TokenState::Paused)).await?;
        let live = found.tokens.len();
        let has_more = found.next.is_some() || paused.next.is_some();
        found.tokens.extend(paused.tokens);
        let more = if has_more { "more than " } else { "" };
        let before_and_after = match live {
            0 => "None of their tokens works now, so nothing stops.".into(),
            _ => format!(
                "Now {more}{} of theirs work; once the membership has ended, none does. Those \
                 that you hand over go on, with another owner.",
                count(live, "token")
            ),
        };
        let page = crate::store::Page { after: None, limit: HEIRS };
        let heirs = self.service.members(caller, AccountKind::Service, None, page).await?;
        let heirs = heirs.into_iter().filter(|heir| heir.account.disabled_at.is_none());
        let none = Choice::new("", "Choose a service account", heir);
        Ok(LeaverPage {
            page: self.frame(visitor, "members"),
            list: self.members(visitor, caller, &Wanted::default()).await?,
            name: leaver.account.name,
            before_and_after,
            tokens: found.tokens.iter().map(|token| self.left(token, picked)).collect(),
            has_more,
            heirs: std::iter::once(none)
                .chain(heirs.map(|h| Choice::new(h.account.id.to_string(), h.account.name, heir)))
                .collect(),
            heir_error: String::new(),
            failed: Vec::new(),
            handed_over: false,
        })
    }

    fn left(&self, stored: &StoredToken, picked: &BTreeSet<TokenId>) -> Left {
        let token = &stored.token;
        Left {
            id: token.id.to_string(),
            name: token.name.clone(),
            api: token.api.to_string(),
            last_used: stored.last_used.as_ref().map(|used| when(used.at, clock::now())),
            picked: picked.contains(&token.id),
            why_not: if self.service.goes_with_an_address(&token.api) {
                "Shown with its owner's e-mail address, which a service account has not: it ends"
            } else {
                ""
            },
        }
    }
}

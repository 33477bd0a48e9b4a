//! Who belongs to the organization, and what may become of them.

use super::{
    Again, Choice, Console, Form, Frame, Page, Pager, ROWS, Trouble, Visitor, about_form, address,
    count, id, to,
};
use crate::{
    clock,
    http::console::when::{When, when},
    service::{
        Caller,
        accounts::AccountName,
        members::{COUNTED, Glance},
    },
    store::{self, StoredInvitation},
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    id::{AccountId, InvitationId},
};
use serde::Deserialize;
use std::sync::Arc;

/// How many open invitations are shown.
const INVITATIONS: u32 = 100;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/portal", get(list))
        .route("/portal/members/{account}", get(show).post(change_rank))
        .route("/portal/invitations", get(async || to("/portal")))
        .route("/portal/invitations/{invitation}/withdraw", post(withdraw))
}

/// What the address of the list says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    search: String,
    after: String,
    done: String,
    /// Of whom it is said.
    account: String,
}

/// The list, which other pages have under their dialogs.
pub(super) struct List {
    pub(super) members: Vec<Row>,
    pub(super) invitations: Vec<Invitation>,
    pub(super) search: String,
    pub(super) pager: Pager,
}

pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) rank: &'static str,
    pub(super) tokens: String,
    pub(super) last_seen: Option<When>,
    pub(super) state: &'static str,
    pub(super) state_word: &'static str,
    pub(super) me: bool,
}

pub(super) struct Invitation {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) rank: &'static str,
    pub(super) made: When,
    pub(super) expires: When,
}

#[derive(Template)]
#[template(path = "pages/members.html")]
struct MembersPage {
    page: Frame,
    list: List,
}

async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page<MembersPage>, Trouble> {
    let caller = visitor.administers()?;
    let mut page = console.frame(&visitor, "members");
    page = match &*wanted.done {
        "withdrawn" => page.saying("good", "The invitation is withdrawn; its link leads nowhere."),
        "rank" => page.saying("good", "The rank is changed, with effect on the next request."),
        "ended" => {
            let left = console.service.left_behind(caller, id(&wanted.account)?).await?;
            let text = format!(
                "The membership has ended. {} that worked before {} refused now.",
                counted(left, "token"),
                if left == 1 { "is" } else { "are" }
            );
            page.saying("good", text)
        }
        _ => page,
    };
    let list = console.members(&visitor, caller, &wanted).await?;
    Ok(Page(MembersPage { page, list }))
}

#[derive(Template)]
#[template(path = "pages/member.html")]
struct MemberPage {
    page: Frame,
    list: List,
    member: Row,
    ranks: Vec<Choice>,
    error: String,
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
) -> Result<Page<MemberPage>, Trouble> {
    Ok(Page(console.member_page(&visitor, &account, None, String::new()).await?))
}

async fn change_rank(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
    form: Form,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    let member = console.person(caller, &account).await?;
    visitor.still_looks(&form)?;
    let again = async |error: &str| {
        let typed = form.text("rank");
        let page = console.member_page(&visitor, &account, Some(typed), error.into()).await?;
        Ok(Again(page).into_response())
    };
    let Some(rank) = read_rank(form.text("rank")) else {
        return again("Choose one of the two.").await;
    };
    if member.account.id == visitor.here.account.id {
        // So there is always one administrator left.
        return again("Your own rank is changed by another administrator.").await;
    }
    let name = AccountName::Id(member.account.id);
    let organization = visitor.organization()?;
    match console.service.set_membership(caller, organization, &name, rank).await {
        Ok(_) => Ok(to("/portal?done=rank")),
        Err(error) => again(&about_form(error)?).await,
    }
}

async fn withdraw(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(invitation): Path<String>,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    let invitation: InvitationId = id(&invitation)?;
    console.service.withdraw_invitation(caller, invitation).await?;
    Ok(to("/portal?done=withdrawn"))
}

impl Console {
    pub(super) async fn members(
        &self,
        visitor: &Visitor,
        caller: &Caller,
        wanted: &Wanted,
    ) -> Result<List, Trouble> {
        let now = clock::now();
        let search = wanted.search.trim();
        let text = Some(search.to_owned()).filter(|text| !text.is_empty());
        let page = store::Page { after: wanted.after.parse().ok(), limit: ROWS + 1 };
        let mut found = self.service.members(caller, AccountKind::Person, text, page).await?;
        let has_more = found.len() > ROWS as usize;
        found.truncate(ROWS as usize);
        let last = found.last().filter(|_| has_more).map(|last| last.account.id.to_string());
        let open = store::Page { after: None, limit: INVITATIONS };
        let invitations = self.service.invitations(caller, None, true, open).await?;
        let me = visitor.here.account.id;
        let has_before = !wanted.after.is_empty();
        Ok(List {
            pager: Pager {
                words: count(found.len(), "member"),
                first: if has_before {
                    address("/portal", &[("search", search)])
                } else {
                    String::new()
                },
                next: last.map_or_else(String::new, |last| {
                    address("/portal", &[("search", search), ("after", &last)])
                }),
            },
            members: found.into_iter().map(|member| row(member, me, now)).collect(),
            invitations: invitations.iter().map(|open| invitation(open, now)).collect(),
            search: search.to_owned(),
        })
    }

    /// A person of the organization; service accounts have pages of their own.
    pub(super) async fn person(&self, caller: &Caller, account: &str) -> Result<Glance, Trouble> {
        let found = self.service.member(caller, id(account)?).await?;
        if found.account.kind == AccountKind::Person { Ok(found) } else { Err(Trouble::NotFound) }
    }

    async fn member_page(
        &self,
        visitor: &Visitor,
        account: &str,
        typed: Option<&str>,
        error: String,
    ) -> Result<MemberPage, Trouble> {
        let caller = visitor.administers()?;
        let member = self.person(caller, account).await?;
        let chosen = typed.unwrap_or(rank_value(member.rank)).to_owned();
        Ok(MemberPage {
            page: self.frame(visitor, "members"),
            list: self.members(visitor, caller, &Wanted::default()).await?,
            member: row(member, visitor.here.account.id, clock::now()),
            ranks: ranks(&chosen),
            error,
        })
    }
}

/// The two ranks as cards.
pub(super) fn ranks(chosen: &str) -> Vec<Choice> {
    let member = Choice {
        hint: "Their own tokens, of the APIs that let members issue them",
        ..Choice::new("member", "Member", chosen)
    };
    let administrator = Choice {
        hint: "All tokens, members and service accounts of the organization",
        ..Choice::new("administrator", "Administrator", chosen)
    };
    vec![member, administrator]
}

pub(super) fn read_rank(text: &str) -> Option<Rank> {
    match text {
        "member" => Some(Rank::Member),
        "administrator" => Some(Rank::Administrator),
        _ => None,
    }
}

pub(super) fn rank_value(rank: Rank) -> &'static str {
    match rank {
        Rank::Member => "member",
        Rank::Administrator => "administrator",
    }
}

pub(super) fn rank_word(rank: Rank) -> &'static str {
    match rank {
        Rank::Member => "Member",
        Rank::Administrator => "Administrator",
    }
}

/// How many, as far as they were counted.
pub(super) fn counted(number: usize, one: &str) -> String {
    if number > COUNTED as usize { format!("{COUNTED}+ {one}s") } else { count(number, one) }
}

pub(super) fn number(number: usize) -> String {
    if number > COUNTED as usize { format!("{COUNTED}+") } else { number.to_string() }
}

pub(super) fn row(member: Glance, me: AccountId, now: Timestamp) -> Row {
    let Glance { account, rank, live, last_seen, .. } = member;
    let (state, state_word) =
        if account.disabled_at.is_some() { ("revoked", "Disabled") } else { ("live", "Active") };
    Row {
        id: account.id.to_string(),
        me: account.id == me,
        name: account.name,
        email: account.email.map(|email| email.to_string()).unwrap_or_default(),
        rank: rank_word(rank),
        tokens: number(live),
        last_seen: last_seen.map(|at| when(at, now)),
        state,
        state_word,
    }
}

fn invitation(open: &StoredInvitation, now: Timestamp) -> Invitation {
    Invitation {
        id: open.id.to_string(),
        email: open.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        rank: rank_word(open.rank),
        made: when(open.created_at, now),
        expires: when(open.expires_at, now),
    }
}

//! Every token of the organization, however many there are.

use super::{Choice, Console, Frame, Page, Pager, Trouble, Visitor, address, count, id, words};
use crate::{
    clock,
    http::console::tokens::facts::SOON,
    service::{Caller, accounts::AccountName, management_api},
    store::{StoredToken, TokenList, TokenOrder, TokenState},
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    routing::get,
};
use counterfoil_core::{
    Timestamp,
    id::{AccountId, OrganizationId},
    time::Seconds,
};
use serde::Deserialize;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

/// How many tokens stand on a page.
const ROWS: u32 = 50;
/// How many are enough behind a dialog.
pub(super) const BEHIND: u32 = 5;
/// What is not used for so long is not used any more, as a rule.
const UNUSED: Seconds = Seconds::days(90);

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/portal/tokens", get(list))
}

/// What the address of the list says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    search: String,
    api: String,
    owner: String,
    state: String,
    /// One of [`CHIPS`].
    only: String,
    sort: String,
    after: String,
}

/// What is looked for most: its name in addresses, and on the page.
const CHIPS: [(&str, &str); 6] = [
    ("", "All"),
    ("unused", "Unused for 90 days"),
    ("forever", "Never expires"),
    ("soon", "Expires within 14 days"),
    ("broad", "May everything"),
    ("leaked", "Leaked"),
];

const STATES: [(&str, &str, Option<TokenState>); 5] = [
    ("", "Any", None),
    ("live", "Live", Some(TokenState::Active)),
    ("paused", "Paused", Some(TokenState::Paused)),
    ("expired", "Expired", Some(TokenState::Expired)),
    ("revoked", "Revoked", Some(TokenState::Revoked)),
];

const SORTS: [(&str, &str, TokenOrder); 4] = [
    ("", "Newest first", TokenOrder::Newest),
    ("name", "Name", TokenOrder::Name),
    ("end", "Ends first", TokenOrder::End),
    ("use", "Used last", TokenOrder::LastUse),
];

/// A way to a part of the list.
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) href: String,
    pub(super) current: bool,
}

/// A button that generates a token of an API whose own place is here.
pub(super) struct Button {
    pub(super) new: String,
    pub(super) generate: String,
}

/// The list, which other pages have under their dialogs.
pub(super) struct List {
    pub(super) apis: Vec<Button>,
    pub(super) chips: Vec<Chip>,
    pub(super) search: String,
    /// Whose tokens alone are shown: an id and a name.
    pub(super) owner: Option<(String, String)>,
    pub(super) only: String,
    pub(super) api_options: Vec<Choice>,
    pub(super) states: Vec<Choice>,
    pub(super) sorts: Vec<Choice>,
    pub(super) tokens: Vec<words::Row>,
    pub(super) pager: Pager,
}

#[derive(Template)]
#[template(path = "pages/portal_tokens.html")]
struct ListPage {
    page: Frame,
    list: List,
}

async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page<ListPage>, Trouble> {
    let list = console.all_tokens(&visitor, &wanted, ROWS).await?;
    Ok(Page(ListPage { page: console.frame(&visitor, "all_tokens"), list }))
}

impl Wanted {
    /// What the store is asked for.
    fn list(
        &self,
        console: &Console,
        organization: OrganizationId,
        now: Timestamp,
        limit: u32,
    ) -> Result<TokenList, Trouble> {
        let order = find(&SORTS, &self.sort).2;
        let search = self.search.rsplit('…').next().unwrap_or_default().trim();
        let mut list = TokenList {
            after: order.read(&self.after),
            search: Some(search.to_owned()).filter(|text| !text.is_empty()),
            api: Some(self.api.clone()).filter(|api| !api.is_empty()),
            owner: if self.owner.is_empty() { None } else { Some(id(&self.owner)?) },
            state: find(&STATES, &self.state).2.map(|state| (state, now)),
            ..TokenList::all(organization, order, limit)
        };
        // What has ended is of no concern, unless somebody asks for it.
        let unended = list.state.or(Some((TokenState::Active, now)));
        match &*self.only {
            "unused" => {
                list.unused_since = Some(now.minus(UNUSED));
                list.state = unended;
            }
            "forever" => {
                list.never_expires = true;
                list.state = unended;
            }
            "soon" => {
                list.expires_before = Some(now.plus(SOON));
                list.state = unended;
            }
            "broad" => {
                list.grants = Some(console.service.broad_grants());
                list.state = unended;
            }
            "leaked" => list.leaked = true,
            _ => {}
        }
        Ok(list)
    }

    fn address(&self, only: &str, after: &str) -> String {
        address(
            "/portal/tokens",
            &[
                ("search", &self.search),
                ("api", &self.api),
                ("owner", &self.owner),
                ("state", &self.state),
                ("only", only),
                ("sort", &self.sort),
                ("after", after),
            ],
        )
    }
}

impl Console {
    pub(super) async fn all_tokens(
        &self,
        visitor: &Visitor,
        wanted: &Wanted,
        limit: u32,
    ) -> Result<List, Trouble> {
        let caller = visitor.administers()?;
        let now = clock::now();
        let list = wanted.list(self, visitor.organization()?, now, limit)?;
        let owner = match list.owner {
            Some(owner) => Some((owner.to_string(), self.owner(caller, owner).await?)),
            None => None,
        };
        let found = self.service.list_tokens(caller, list).await?;
        let next = found.next.map(|after| wanted.address(&wanted.only, &after.to_string()));
        let has_before = !wanted.after.is_empty();
        Ok(List {
            apis: self.portal_buttons(visitor)?,
            chips: CHIPS.map(|chip| wanted.chip(chip)).into(),
            search: wanted.search.trim().to_owned(),
            owner,
            only: wanted.only.clone(),
            api_options: self.api_options(&wanted.api),
            states: STATES.map(|(value, label, _)| Choice::new(value, label, &wanted.state)).into(),
            sorts: SORTS.map(|(value, label, _)| Choice::new(value, label, &wanted.sort)).into(),
            pager: Pager {
                words: count(found.tokens.len(), "token"),
                first: if has_before { wanted.address(&wanted.only, "") } else { String::new() },
                next: next.unwrap_or_default(),
            },
            tokens: self.rows(caller, &found.tokens, now).await?,
        })
    }

    /// Tokens as a table has them, with the names of their owners.
    pub(super) async fn rows(
        &self,
        caller: &Caller,
        tokens: &[StoredToken],
        now: Timestamp,
    ) -> Result<Vec<words::Row>, Trouble> {
        let mut names: HashMap<AccountId, String> = HashMap::new();
        let mut rows = Vec::new();
        for stored in tokens {
            let owner = stored.token.owner;
            let name = match names.entry(owner) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => place.insert(self.owner(caller, owner).await?).clone(),
            };
            rows.push(words::row(stored, name, now));
        }
        Ok(rows)
    }

    /// What an owner is called: a member sees nobody but themselves.
    async fn owner(&self, caller: &Caller, owner: AccountId) -> Result<String, Trouble> {
        if caller.account() == Some(owner) {
            let own = self.service.account(caller, &AccountName::Id(owner)).await?;
            return Ok(own.name);
        }
        let name = self.service.name_of(caller, owner).await?;
        name.ok_or(Trouble::NotFound)
    }

    fn api_options(&self, chosen: &str) -> Vec<Choice> {
        let names = self.apis.iter().map(|api| &*api.api.name).chain([management_api::NAME]);
        let all = Choice::new("", "Any", chosen);
        std::iter::once(all).chain(names.map(|name| Choice::new(name, name, chosen))).collect()
    }

    /// A button for each API whose own documentation has its tokens in the Admin Portal.
    fn portal_buttons(&self, visitor: &Visitor) -> Result<Vec<Button>, Trouble> {
        let entries = self.frame(visitor, "all_tokens").entries;
        let button = |api: &str| {
            let generate = self.api(api)?.words.generate.clone();
            Ok(Button { new: format!("/tokens/new?api={api}"), generate })
        };
        entries.portal().map(|entry| button(&entry.api)).collect()
    }
}

impl Wanted {
    fn chip(&self, (name, label): (&'static str, &'static str)) -> Chip {
        Chip { label, href: self.address(name, ""), current: self.only == name }
    }
}

/// The one of this name, else the first.
fn find<'a, T>(
    all: &'a [(&'static str, &'static str, T)],
    name: &str,
) -> &'a (&'static str, &'static str, T) {
    all.iter().find(|(known, ..)| name == *known).unwrap_or(&all[0])
}

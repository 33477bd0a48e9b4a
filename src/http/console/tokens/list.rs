//! The list of somebody's tokens: all of them, or those of one API in its own words.

use super::{
    example,
    facts::{self, State},
};
use crate::{
    clock,
    config::ProtectedApi,
    http::console::{
        Console, Trouble, Visitor, menu,
        nonce::Nonce,
        when::{When, when},
    },
    service::token_lists::Listed,
    store::{StoredToken, TokenAfter, TokenList, TokenOrder, TokenState},
};
use counterfoil_core::{Timestamp, account::Email};
use serde::Deserialize;

/// How many tokens stand on a page.
const ROWS: u32 = 25;
/// How many are enough behind a dialog.
pub(super) const BEHIND: u32 = 5;

/// What the address of a list says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) api: Option<String>,
    pub(super) state: Option<String>,
    pub(super) search: Option<String>,
    pub(super) sort: Option<String>,
    pub(super) after: Option<String>,
}

/// The list as its template shows it.
pub(super) struct List {
    pub(super) title: String,
    pub(super) lead: String,
    /// Its address without filters.
    pub(super) base: String,
    /// The API whose list it is; empty: of all.
    pub(super) api: String,
    pub(super) tabs: Vec<Tab>,
    pub(super) buttons: Vec<Button>,
    pub(super) rows: Vec<Row>,
    pub(super) columns: Vec<Column>,
    pub(super) search: String,
    pub(super) states: Vec<Named>,
    pub(super) sorts: Vec<Named>,
    /// Whether something is left out.
    pub(super) is_filtered: bool,
    /// The list from its beginning, and its next page; empty for none.
    pub(super) first: String,
    pub(super) next: String,
    pub(super) count: String,
    /// The command that works once there is a token.
    pub(super) example: String,
}

/// A way to the list of one API.
pub(super) struct Tab {
    pub(super) label: String,
    pub(super) href: String,
    pub(super) is_current: bool,
}

/// The button that generates a token.
pub(super) struct Button {
    pub(super) api: String,
    pub(super) label: String,
    /// For an API that asks nothing: the form's own; else empty, and there is a dialog.
    pub(super) nonce: String,
}

/// An option of a filter.
pub(super) struct Named {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) selected: bool,
}

/// The head of a column.
pub(super) struct Column {
    pub(super) label: &'static str,
    /// Where it sorts the list; empty where it does not.
    pub(super) href: String,
    /// As `aria-sort` has it; empty where it is not sorted.
    pub(super) sort: &'static str,
}

/// A token.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) note: String,
    pub(super) ends: String,
    pub(super) api: String,
    pub(super) may: String,
    pub(super) created: When,
    pub(super) expires: Option<When>,
    pub(super) ends_soon: bool,
    pub(super) used: Option<Used>,
    pub(super) state: State,
}

/// A last use.
pub(super) struct Used {
    pub(super) at: When,
    pub(super) from: String,
}

/// The orders of the list: their names in addresses and on the page.
const SORTS: [(&str, &str, TokenOrder); 4] = [
    ("newest", "Newest first", TokenOrder::Newest),
    ("name", "Name", TokenOrder::Name),
    ("expiry", "Ends first", TokenOrder::End),
    ("use", "Used last", TokenOrder::LastUse),
];

/// The states that a list can be confined to.
const STATES: [(&str, &str, Option<TokenState>); 5] = [
    ("", "Any", None),
    ("live", "Live", Some(TokenState::Active)),
    ("paused", "Paused", Some(TokenState::Paused)),
    ("expired", "Expired", Some(TokenState::Expired)),
    ("revoked", "Revoked", Some(TokenState::Revoked)),
];

/// The heads of the columns, and how each sorts.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("Name", "name", "ascending"),
    ("Token", "", ""),
    ("API", "", ""),
    ("May", "", ""),
    ("Created", "newest", "descending"),
    ("Expires", "expiry", "ascending"),
    ("Last used", "use", "descending"),
    ("State", "", ""),
];

impl Console {
    /// The list that is wanted, of so many rows at most where that is said.
    pub(super) async fn list(
        &self,
        visitor: &Visitor,
        wanted: &Wanted,
        rows: Option<u32>,
    ) -> Result<List, Trouble> {
        let caller = visitor.caller()?;
        let now = clock::now();
        let api = wanted.api.as_deref().filter(|api| !api.is_empty());
        let api = api.map(|api| self.issuable(visitor, api)).transpose()?;
        let search = wanted.search.as_deref().unwrap_or_default().trim();
        let state = find(&STATES, wanted.state.as_deref());
        let sort = find(&SORTS, wanted.sort.as_deref());
        let limit = rows.unwrap_or(ROWS);
        let after = wanted.after.as_deref().and_then(|after| sort.2.read(after));
        let is_first = after.is_none();
        let wanted = TokenList {
            api: api.map(|api| api.api.name.to_string()),
            owner: Some(visitor.here.account.id),
            state: state.2.map(|state| (state, now)),
            search: needle(search),
            after,
            ..TokenList::all(visitor.organization()?, sort.2, limit)
        };
        let Listed { tokens, next } = self.service.list_tokens(caller, wanted).await?;

        let base = api.map_or_else(|| "/tokens".to_owned(), list_of);
        let address = |sort: &str, after: Option<&TokenAfter>| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in [
                ("api", api.map_or("", |api| &*api.api.name)),
                ("state", state.0),
                ("search", search),
                ("sort", if sort == SORTS[0].0 { "" } else { sort }),
                ("after", &after.map(ToString::to_string).unwrap_or_default()),
            ] {
                if !value.is_empty() {
                    query.append_pair(name, value);
                }
            }
            format!("/tokens?{}", query.finish()).trim_end_matches('?').to_owned()
        };
        let column = |(label, name, direction): &(&'static str, &str, &'static str)| Column {
            label,
            href: if name.is_empty() { String::new() } else { address(name, None) },
            sort: if *name == sort.0 { direction } else { "" },
        };
        let organization =
            visitor.here.home().map(|home| home.organization_name.as_str()).unwrap_or_default();
        Ok(List {
            title: api.map_or("API tokens", |api| heading(api)).to_owned(),
            lead: match api {
                Some(api) => format!("What your programs call {} with.", api.api.name),
                None => format!("What your programs call the APIs with, for {organization}."),
            },
            api: api.map(|api| api.api.name.to_string()).unwrap_or_default(),
            tabs: self.tabs(visitor, api),
            buttons: self.buttons(visitor, api, now)?,
            columns: COLUMNS.iter().map(column).collect(),
            search: search.to_owned(),
            states: named(&STATES, state.0),
            sorts: named(&SORTS, sort.0),
            is_filtered: !search.is_empty() || state.2.is_some() || !is_first,
            first: if is_first { String::new() } else { address(sort.0, None) },
            next: next.map(|next| address(sort.0, Some(&next))).unwrap_or_default(),
            count: match tokens.len() {
                1 => "1 token".into(),
                many => format!("{many} tokens"),
            },
            rows: tokens.into_iter().map(|stored| row(stored, now)).collect(),
            example: self.example(visitor, api),
            base,
        })
    }

    /// The API of this name, if the visitor may issue its tokens; others learn nothing of it.
    pub(super) fn issuable(&self, visitor: &Visitor, name: &str) -> Result<&ProtectedApi, Trouble> {
        self.apis_for(visitor).find(|api| *api.api.name == *name).ok_or(Trouble::NotFound)
    }

    /// The APIs whose tokens the visitor may issue.
    fn apis_for(&self, visitor: &Visitor) -> impl Iterator<Item = &ProtectedApi> {
        let is_administrator = visitor.is_administrator();
        self.apis.iter().filter(move |api| menu::may_issue(api, is_administrator))
    }

    fn tabs(&self, visitor: &Visitor, current: Option<&ProtectedApi>) -> Vec<Tab> {
        let all =
            Tab { label: "All".into(), href: "/tokens".into(), is_current: current.is_none() };
        let tab = |api: &ProtectedApi| Tab {
            label: api.api.name.to_string(),
            href: list_of(api),
            is_current: current.is_some_and(|current| current.api.name == api.api.name),
        };
        let tabs: Vec<Tab> = std::iter::once(all).chain(self.apis_for(visitor).map(tab)).collect();
        // With one API there is nothing to choose.
        if tabs.len() > 2 { tabs } else { Vec::new() }
    }

    /// One button on an API's own list, else one for each.
    fn buttons(
        &self,
        visitor: &Visitor,
        current: Option<&ProtectedApi>,
        now: Timestamp,
    ) -> Result<Vec<Button>, Trouble> {
        let shown = self.apis_for(visitor);
        let shown = shown.filter(|api| current.is_none_or(|c| c.api.name == api.api.name));
        shown.map(|api| Self::button(visitor, api, now)).collect()
    }

    pub(super) fn button(
        visitor: &Visitor,
        api: &ProtectedApi,
        now: Timestamp,
    ) -> Result<Button, Trouble> {
        let nonce = if api.console.ask.is_empty() {
            Nonce::new(visitor.whose()?, now).to_string()
        } else {
            String::new()
        };
        Ok(Button { api: api.api.name.to_string(), label: api.words.generate.clone(), nonce })
    }

    fn example(&self, visitor: &Visitor, current: Option<&ProtectedApi>) -> String {
        let api = current.or_else(|| self.apis_for(visitor).next());
        let email = visitor.here.account.email.as_ref().map(Email::as_str);
        api.map(|api| example::to_come(api, &self.gateway_url, email)).unwrap_or_default()
    }
}

/// The address of an API's own list.
pub(super) fn list_of(api: &ProtectedApi) -> String {
    format!("/tokens?api={}", api.api.name)
}

/// What an API's own screen is called: as the entry that leads to it.
pub(super) fn heading(api: &ProtectedApi) -> &str {
    match api.words.menu.last() {
        // An entry that generates at once names no screen.
        Some(last) if *last != api.words.generate => last,
        _ => "API tokens",
    }
}

/// What to look for: of `prefix…last` what is behind it.
fn needle(search: &str) -> Option<String> {
    let needle = search.rsplit('…').next().unwrap_or_default().trim();
    Some(needle.to_owned()).filter(|needle| !needle.is_empty())
}

/// The one of this name, else the first.
fn find<'a, T>(
    all: &'a [(&'static str, &'static str, T)],
    name: Option<&str>,
) -> &'a (&'static str, &'static str, T) {
    all.iter().find(|(known, ..)| name == Some(known)).unwrap_or(&all[0])
}

fn named<T>(all: &[(&'static str, &'static str, T)], chosen: &str) -> Vec<Named> {
    let named = |(value, label, _): &(&'static str, &'static str, T)| Named {
        value,
        label,
        selected: *value == chosen,
    };
    all.iter().map(named).collect()
}

pub(super) fn row(stored: StoredToken, now: Timestamp) -> Row {
    let used = stored.last_used.as_ref().map(|last| Used {
        at: when(last.at, now),
        from: match (&last.address, &last.user_agent) {
            (Some(address), _) => address.to_string(),
            (None, Some(agent)) => agent.clone(),
            (None, None) => String::new(),
        },
    });
    Row {
        id: stored.token.id.to_string(),
        ends: format!("{}…{}", stored.token.prefix, stored.token.last_four),
        may: facts::may(&stored.token.grant),
        created: when(stored.token.created_at, now),
        expires: facts::expires(&stored, now),
        ends_soon: facts::ends_soon(&stored, now),
        used,
        state: facts::state(&stored, now),
        api: stored.token.api.into(),
        name: stored.token.name,
        note: stored.token.note,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn needles() {
        for (search, needle) in
            [("", None), ("ci", Some("ci")), ("fin_live…a1B2", Some("a1B2")), ("fin_live…", None)]
        {
            assert_eq!(super::needle(search).as_deref(), needle);
        }
    }
}

//! The fields of the dialog that generates a token, as its template shows them.

use super::{
    draft::{CUSTOM, Draft, Errors, NEVER},
    facts,
};
use crate::{
    config::{Ask, ProtectedApi, Words},
    http::console::when::{date, day},
    store::StoredAccount,
};
use counterfoil_core::{Timestamp, api::Api, time::Seconds, token::Grant};

/// Spans to choose from, where the API's limits allow them.
const SPANS: [Seconds; 5] =
    [Seconds::days(7), Seconds::days(30), Seconds::days(60), Seconds::days(90), Seconds::days(365)];

/// The dialog.
pub(super) struct Dialog<'a> {
    pub(super) api: &'a str,
    pub(super) words: &'a Words,
    /// What is asked, in this order.
    pub(super) asks: Vec<Ask>,
    pub(super) draft: Draft,
    pub(super) errors: Errors,
    pub(super) owners: Vec<Choice>,
    pub(super) roles: Vec<Choice>,
    pub(super) scopes: Scopes,
    pub(super) spans: Vec<Span>,
    /// The first and the last day that may be chosen, as a date field has them.
    pub(super) least: String,
    pub(super) most: String,
    /// What is not asked, because there is nothing to choose.
    pub(super) fixed: Vec<Fixed>,
    /// What the token will be able to do.
    pub(super) can: String,
    /// The same, as long as nothing is chosen.
    pub(super) can_nothing: String,
    pub(super) nonce: String,
    /// Where closing leads.
    pub(super) close: String,
}

/// One of several to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) hint: String,
    /// What choosing it adds to the sentence on what the token will be able to do.
    pub(super) phrase: String,
    pub(super) selected: bool,
}

/// The permissions: resources by actions where they have such names, else a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scopes {
    Matrix { columns: Vec<String>, rows: Vec<Row> },
    List(Vec<Choice>),
}

/// What may be allowed with one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) resource: String,
    /// In the order of the columns; none where the resource has no such action.
    pub(super) cells: Vec<Option<Choice>>,
}

/// A time to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) value: String,
    pub(super) label: String,
    /// The day on which it ends, in words; empty where that is still to be said.
    pub(super) when: String,
    /// The same as a date; empty where there is none.
    pub(super) until: String,
    pub(super) custom: bool,
    pub(super) selected: bool,
}

/// What an API decides itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) label: String,
    pub(super) value: String,
}

/// Who may own a new token.
pub(super) struct Owners<'a> {
    pub(super) oneself: &'a StoredAccount,
    /// Service accounts, for administrators.
    pub(super) others: Vec<StoredAccount>,
}

impl<'a> Dialog<'a> {
    pub(super) fn new(
        api: &'a ProtectedApi,
        draft: Draft,
        errors: Errors,
        owners: &Owners<'_>,
        nonce: String,
        now: Timestamp,
    ) -> Self {
        let asked = |ask| api.console.ask.contains(&ask);
        let chosen = chosen(&api.api, &draft);
        let has_choice = |ask: &Ask| match ask {
            Ask::Owner => !owners.others.is_empty(),
            Ask::Role => api.api.roles.len() > 1,
            _ => true,
        };
        let mut fixed = Vec::new();
        let mut fix = |label: &str, value: String| fixed.push(Fixed { label: label.into(), value });
        if asked(Ask::Owner) && !has_choice(&Ask::Owner) {
            fix(&api.words.owner, oneself(owners.oneself));
        }
        if let [only] = &api.api.roles[..]
            && asked(Ask::Role)
        {
            fix(&api.words.role, only.name.to_string());
        }
        if !asked(Ask::Expiry) {
            fix(&api.words.expiry, facts::fixed_expiry(&api.api, now));
        }
        let nothing = if api.api.scopes.is_empty() {
            facts::can(&api.api, &[])
        } else {
            facts::NOTHING.into()
        };
        let last = api.api.tokens.max_lifetime.map(|max| date(now.plus(max)));
        Self {
            api: &api.api.name,
            words: &api.words,
            asks: api.console.ask.iter().filter(|ask| has_choice(ask)).copied().collect(),
            owners: owner_choices(owners, &draft),
            roles: roles(&api.api, &draft),
            scopes: scopes(&api.api, &draft),
            spans: spans(&api.api, &draft, now),
            least: date(now.plus(Seconds::DAY)),
            most: last.unwrap_or_default(),
            fixed,
            can: facts::can(&api.api, &chosen),
            can_nothing: nothing,
            nonce,
            close: String::new(),
            draft,
            errors,
        }
    }
}

/// What is chosen so far, in the words of the scopes.
fn chosen(api: &Api, draft: &Draft) -> Vec<String> {
    let grant = if draft.role.is_empty() {
        let scopes = draft.scopes.iter().filter_map(|scope| scope.parse().ok());
        Grant::Scopes(scopes.collect())
    } else {
        Grant::Role(draft.role.as_str().into())
    };
    facts::abilities(api, &grant)
}

fn oneself(account: &StoredAccount) -> String {
    match &account.email {
        Some(email) => format!("You ({email})"),
        None => format!("You ({})", account.name),
    }
}

fn owner_choices(owners: &Owners<'_>, draft: &Draft) -> Vec<Choice> {
    let choice = |value: String, label| Choice {
        selected: value == draft.owner,
        value,
        label,
        hint: String::new(),
        phrase: String::new(),
    };
    let others = owners.others.iter().map(|account| {
        choice(account.id.to_string(), format!("{} (service account)", account.name))
    });
    std::iter::once(choice(String::new(), oneself(owners.oneself))).chain(others).collect()
}

fn roles(api: &Api, draft: &Draft) -> Vec<Choice> {
    let choice = |role: &counterfoil_core::api::Role| {
        let words = facts::abilities(api, &Grant::Role(role.name.clone())).join("; ");
        Choice {
            value: role.name.to_string(),
            label: role.name.to_string(),
            hint: if words.is_empty() { "Nothing.".into() } else { facts::sentence(&words) },
            phrase: words,
            selected: draft.role == *role.name,
        }
    };
    api.roles.iter().map(choice).collect()
}

fn scopes(api: &Api, draft: &Draft) -> Scopes {
    let choice = |(scope, words): &(counterfoil_core::scope::Scope, String)| Choice {
        value: scope.to_string(),
        label: words.clone(),
        hint: String::new(),
        phrase: facts::phrase(words),
        selected: draft.scopes.iter().any(|chosen| chosen == scope.as_str()),
    };
    let is_matrix = api.scopes.iter().all(|(scope, _)| scope.as_need().resource.is_some());
    if !is_matrix {
        return Scopes::List(api.scopes.iter().map(choice).collect());
    }
    let (mut columns, mut resources) = (Vec::new(), Vec::new());
    for (scope, _) in &api.scopes {
        let need = scope.as_need();
        let resource = need.resource.unwrap_or_default();
        if !columns.contains(&need.action) {
            columns.push(need.action);
        }
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    let row = |resource: &str| {
        let cell = |action: &&str| {
            let named = |(scope, _): &&(counterfoil_core::scope::Scope, String)| {
                let need = scope.as_need();
                need.resource == Some(resource) && need.action == *action
            };
            api.scopes.iter().find(named).map(choice)
        };
        Row { resource: resource.to_owned(), cells: columns.iter().map(cell).collect() }
    };
    let rows = resources.into_iter().map(row).collect();
    Scopes::Matrix { columns: columns.iter().map(|action| facts::title(action)).collect(), rows }
}

fn spans(api: &Api, draft: &Draft, now: Timestamp) -> Vec<Span> {
    let policy = &api.tokens;
    let fits = |span: &Seconds| policy.max_lifetime.is_none_or(|max| *span <= max);
    let mut offered: Vec<Seconds> = SPANS.into_iter().filter(fits).collect();
    // What an API has for whoever says nothing, and the longest, are among them.
    offered.extend(policy.default_lifetime);
    offered.extend(policy.max_lifetime.filter(|_| !policy.never));
    offered.sort_unstable();
    offered.dedup();
    let span = |span: Seconds| Span {
        value: span.to_string(),
        label: facts::span(span),
        when: day(now.plus(span)),
        until: date(now.plus(span)),
        custom: false,
        selected: draft.expiry == span.to_string(),
    };
    let mut spans: Vec<Span> = offered.into_iter().map(span).collect();
    if policy.max_lifetime.is_none_or(|max| max > Seconds::DAY) {
        spans.push(Span {
            value: CUSTOM.into(),
            label: "Custom".into(),
            when: "a day you choose".into(),
            until: String::new(),
            custom: true,
            selected: draft.expiry == CUSTOM,
        });
    }
    if policy.never {
        spans.push(Span {
            value: NEVER.into(),
            label: "Never".into(),
            when: "until revoked".into(),
            until: String::new(),
            custom: false,
            selected: draft.expiry == NEVER,
        });
    }
    spans
}

//! How to authenticate: documentation of this very installation, made from its
//! configuration.

use super::{
    Console, Frame, Outside, Page, Trouble, Visitor,
    access_tokens::About,
    examples::{self, PLACEHOLDER},
    tokens::example::{self, Credentials, Example},
};
use crate::config::{ProtectedApi, Readers};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::{account::Email, limit::Limits, token::Grant};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/authenticate", get(show))
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    api: String,
}

#[derive(Template)]
#[template(path = "pages/authenticate.html")]
struct InsidePage {
    page: Frame,
    apis: Vec<Tab>,
    api: Option<Documented>,
}

/// The same for whoever is not signed in, where everybody may read it.
#[derive(Template)]
#[template(path = "pages/authenticate_outside.html")]
struct OutsidePage {
    page: Outside,
    apis: Vec<Tab>,
    api: Option<Documented>,
}

struct Tab {
    name: String,
    href: String,
    current: bool,
}

struct Documented {
    name: String,
    address: String,
    /// The way through the console's menus.
    console: Vec<String>,
    examples: Vec<Example>,
    /// Of its access tokens, where it has some.
    access: Option<About>,
    schemes: Vec<examples::Way>,
    routes: Vec<Rule>,
    /// How much each token may ask for.
    limits: Vec<Rule>,
    refusals: Vec<Told>,
}

/// What some requests need, or how many there may be.
struct Rule {
    rule: String,
    words: String,
}

/// What whoever is refused sees.
struct Told {
    status: u16,
    when: String,
    headers: Vec<String>,
    body: String,
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Result<Visitor, Trouble>,
    Query(Asked { api: asked }): Query<Asked>,
) -> Result<Response, Trouble> {
    let visitor = match visitor {
        Err(_) if console.docs == Readers::Public => None,
        found => Some(found?),
    };
    let chosen = if asked.is_empty() { console.apis.first() } else { Some(console.api(&asked)?) };
    let apis = console.apis.iter().map(|api| Tab {
        name: api.api.name.to_string(),
        href: format!("/authenticate?api={}", api.api.name),
        current: chosen.is_some_and(|chosen| chosen.api.name == api.api.name),
    });
    let apis = apis.collect();
    let email = visitor.as_ref().and_then(|visitor| visitor.here.account.email.as_ref());
    let api = chosen.map(|api| console.documented(api, email));
    Ok(match visitor {
        Some(visitor) => {
            let page = console.frame(&visitor, "authenticate");
            Page(InsidePage { page, apis, api }).into_response()
        }
        None => Page(OutsidePage { page: Outside::default(), apis, api }).into_response(),
    })
}

impl Console {
    fn documented(&self, api: &ProtectedApi, email: Option<&Email>) -> Documented {
        let all = Grant::Scopes(api.api.scopes.iter().map(|(scope, _)| scope.clone()).collect());
        let email = email.map_or("EMAIL", Email::as_str);
        let credentials =
            Credentials { secret: PLACEHOLDER, client_id: "CLIENT_ID", email: Some(email) };
        let mut console = vec!["Your profile picture".to_owned()];
        console.extend(api.words.menu.iter().cloned());
        if api.words.menu.last() != Some(&api.words.generate) {
            console.push(api.words.generate.clone());
        }
        let refusals = examples::refusals(&api.api).into_iter().map(|shown| Told {
            status: shown.status,
            when: shown.when,
            headers: shown
                .headers
                .iter()
                .filter(|(name, _)| *name != "x-request-id")
                .map(|(name, value)| format!("{name}: {value}"))
                .collect(),
            body: shown.body,
        });
        Documented {
            name: api.api.name.to_string(),
            address: examples::address(&self.gateway_url, &api.mount),
            console,
            examples: example::all(api, &self.gateway_url, &all, &credentials),
            access: self.about_access_tokens(api),
            schemes: examples::ways(&api.api),
            routes: rules(api),
            limits: limits(&api.api.limits),
            refusals: refusals.collect(),
        }
    }
}

/// How many requests at once, and how many in a time.
fn limits(limits: &Limits) -> Vec<Rule> {
    let requests = |count: u32| if count == 1 { "request" } else { "requests" };
    let at_once = limits.in_flight().map(|most| Rule {
        rule: "At a time".into(),
        words: format!("{most} {}. One more is refused at once, not queued.", requests(most)),
    });
    let rates = limits.rates().iter().map(|rate| Rule {
        rule: format!("In any {}", rate.per()),
        words: format!(
            "{} {}. Those that are refused do not count.",
            rate.requests(),
            requests(rate.requests())
        ),
    });
    at_once.into_iter().chain(rates).collect()
}

/// The routes, and what no route matches.
fn rules(api: &ProtectedApi) -> Vec<Rule> {
    let words = |need: &str| match need {
        "anonymous" => "Anybody, without a token; a wrong one is refused all the same.".to_owned(),
        "any" => "Any live token.".to_owned(),
        need if need.contains('{') => format!("A token that may {need}, as the path has it."),
        need => {
            let declared = api.api.scopes.iter().find(|(scope, _)| scope.as_str() == need);
            let words = declared.map(|(_, words)| format!(": {words}")).unwrap_or_default();
            format!("A token that may {need}{words}.")
        }
    };
    let routes = api.api.routes.iter().filter_map(|route| route.as_str().split_once(" -> "));
    let mut rules: Vec<Rule> = routes
        .map(|(rule, need)| Rule { rule: rule.trim().to_owned(), words: words(need.trim()) })
        .collect();
    let rest = if api.api.scopes.is_empty() {
        "Any live token."
    } else {
        "A token that may read for GET, HEAD and OPTIONS, and one that may write for all else."
    };
    rules.push(Rule { rule: "All else".into(), words: rest.into() });
    rules
}

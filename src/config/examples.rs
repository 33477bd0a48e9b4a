//! The five example files: each loads, and says what its contract says.

use super::{Ask, Config, Environment, Mount, ProtectedApi, Source};
use counterfoil_core::{
    api::Issuers, credential::Scheme, error_format::ErrorFormat, route::Requirement, time::Seconds,
};

const DAY: u64 = 86_400;

pub(super) const ALL: [(&str, &str); 5] = [
    ("facets", include_str!("../../examples/facets.toml")),
    ("togai", include_str!("../../examples/togai.toml")),
    ("selectstar", include_str!("../../examples/selectstar.toml")),
    ("finout", include_str!("../../examples/finout.toml")),
    ("aristotle", include_str!("../../examples/aristotle.toml")),
];

fn example(name: &str) -> ProtectedApi {
    let (_, text) = ALL.into_iter().find(|(known, _)| *known == name).unwrap();
    let source = Source { name: format!("{name}.toml"), text: text.into() };
    let loaded = Config::load(Some(&source), &Environment::default())
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(loaded.warnings, [""; 0]);
    let [api] = <[_; 1]>::try_from(loaded.config.apis).unwrap();
    assert_eq!(&*api.api.name, name);
    assert_eq!(api.upstream.urls, ["http://127.0.0.1:9000"]);
    assert_eq!(api.mount, Mount::Path { path: format!("/{name}"), strip: true });
    api
}

fn needs(api: &ProtectedApi, method: &str, path: &str) -> String {
    match api.api.requirement(method, path) {
        Requirement::Anonymous => "anonymous".into(),
        Requirement::Any => "any".into(),
        Requirement::Scope(need) => need.to_string(),
    }
}

/// Default, longest, and whether they may live for ever.
fn lifetime(api: &ProtectedApi) -> (Option<u64>, Option<u64>, bool) {
    let days = |span: Option<Seconds>| span.map(|span| span.0 / DAY);
    let tokens = &api.api.tokens;
    (days(tokens.default_lifetime), days(tokens.max_lifetime), tokens.never)
}

#[test]
fn facets() {
    let it = example("facets");
    assert_eq!(it.api.schemes.accepted, [Scheme::Basic]);
    assert_eq!((it.api.errors, it.api.realm.as_str()), (ErrorFormat::Problem, "facets"));
    assert_eq!(it.api.tokens.prefix.as_str(), "fct_live");
    assert_eq!(lifetime(&it), (None, None, true));
    assert_eq!(it.api.issuers, Issuers::Members);
    assert!(it.api.scopes.is_empty() && it.api.roles.is_empty());
    assert_eq!(needs(&it, "DELETE", "/x"), "any");
    assert_eq!(it.console.ask, [Ask::Note]);
    assert_eq!(it.words.menu, ["Generate Token"]);
}

#[test]
fn togai() {
    let it = example("togai");
    assert_eq!(it.api.schemes.accepted, [Scheme::Bearer, Scheme::Password]);
    assert_eq!((it.api.errors, it.api.realm.as_str()), (ErrorFormat::Message, "togai"));
    assert_eq!(it.api.tokens.prefix.as_str(), "tog_live");
    assert_eq!(lifetime(&it), (None, None, true));
    assert_eq!(needs(&it, "POST", "/event"), "any");
    assert_eq!(it.console.ask, [Ask::Name]);
    assert_eq!(it.words.menu, ["Settings", "API Tokens"]);
    assert_eq!(it.words.generate, "Generate New Token");
    assert_eq!(it.words.secret, "Secret Key");
}

#[test]
fn selectstar() {
    let it = example("selectstar");
    assert_eq!(it.api.schemes.accepted, [Scheme::Token]);
    assert!(it.api.schemes.exact_token_keyword);
    assert_eq!((it.api.errors, it.api.realm.as_str()), (ErrorFormat::SimpleJwt, "api"));
    assert_eq!(it.api.tokens.prefix.as_str(), "sel_live");
    assert_eq!(lifetime(&it), (None, None, true));
    assert_eq!(needs(&it, "GET", "/v1/tables/"), "any");
    assert_eq!(it.console.ask, []);
    assert_eq!(it.words.menu, ["Account Settings", "Client API Token", "Manage API Tokens"]);
    assert_eq!(it.words.generate, "Create");
    assert_eq!(it.words.secret, "API Token");
    assert_eq!(it.words.revoke, "Delete");
}

#[test]
fn finout() {
    let it = example("finout");
    assert_eq!(it.api.schemes.accepted, [Scheme::HeaderPair]);
    let pair = ["x-finout-client-id", "x-finout-secret-key"].map(str::to_owned);
    assert_eq!(it.api.schemes.header_pair, Some(pair));
    assert_eq!((it.api.errors, it.api.realm.as_str()), (ErrorFormat::Message, "finout"));
    assert_eq!(it.api.tokens.prefix.as_str(), "fin_live");
    assert_eq!(lifetime(&it), (Some(90), Some(365), true));
    assert_eq!(it.api.issuers, Issuers::Administrators);
    let roles: Vec<_> = it
        .api
        .roles
        .iter()
        .map(|role| {
            let scopes: Vec<_> = role.scopes.iter().map(ToString::to_string).collect();
            (&*role.name, scopes.join(" "))
        })
        .collect();
    assert_eq!(roles, [("viewer", "read".into()), ("editor", "read write".into())]);
    assert_eq!(needs(&it, "GET", "/v1/costs"), "read");
    assert_eq!(needs(&it, "PUT", "/v1/costs"), "write");
    assert_eq!(it.console.ask, [Ask::Name, Ask::Role, Ask::Expiry]);
    let words = &it.words;
    assert_eq!(words.menu, ["Admin Portal", "API Tokens"]);
    assert_eq!(
        [&words.generate, &words.name, &words.role, &words.expiry, &words.submit],
        ["Generate Token", "Description", "Role", "token expiration", "Create"]
    );
    assert_eq!(
        [&words.client_id, &words.secret, &words.revoke, &words.done],
        ["Client ID", "Secret Key", "Delete", "Done"]
    );
}

#[test]
fn aristotle() {
    let it = example("aristotle");
    assert_eq!(it.api.schemes.accepted, [Scheme::Token]);
    assert!(!it.api.schemes.exact_token_keyword);
    assert_eq!(it.api.errors, ErrorFormat::DrfToken);
    assert_eq!(it.api.tokens.prefix.as_str(), "ari_live");
    let scopes: Vec<_> = it.api.scopes.iter().map(|(scope, _)| scope.as_str()).collect();
    assert_eq!(
        scopes,
        [
            "metadata:read",
            "metadata:write",
            "search:read",
            "search:write",
            "organization:read",
            "organization:write"
        ]
    );
    for (method, path, needed) in [
        ("GET", "/api/v4/public/a/b", "anonymous"),
        ("HEAD", "/api/v4/public", "anonymous"),
        ("OPTIONS", "/api/v4/public/a", "anonymous"),
        ("POST", "/api/v4/public/a", "public:write"),
        ("GET", "/api/v4/metadata/7", "metadata:read"),
        ("PATCH", "/api/v4/search/7", "search:write"),
        ("GET", "/elsewhere", "read"),
    ] {
        assert_eq!(needs(&it, method, path), needed, "{method} {path}");
    }
    assert_eq!(it.console.ask, [Ask::Name, Ask::Expiry, Ask::Scopes]);
    let words = &it.words;
    assert_eq!(words.menu, ["My Profile", "API Token Management"]);
    assert_eq!(
        [&words.generate, &words.name, &words.expiry, &words.submit],
        ["Generate New Token", "Name", "Expiry date", "Create Token"]
    );
}

#[test]
fn all_five_in_one_file() {
    let text = ALL.map(|(_, text)| text).join("\n");
    let source = Source { name: "all.toml".into(), text };
    let loaded = Config::load(Some(&source), &Environment::default())
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let names: Vec<_> = loaded.config.apis.iter().map(|api| &*api.api.name).collect();
    assert_eq!(names, ["aristotle", "facets", "finout", "selectstar", "togai"]);
}

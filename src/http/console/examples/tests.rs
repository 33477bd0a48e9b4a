//! Examples are tried as they are printed: by a shell, by Python and by Node.js, at a gateway.

use super::*;
use crate::{
    app::App,
    config::{Config, Environment, Source, Upstream},
    http::{listen, live::Live, sample_upstream},
    service::{
        Caller,
        accounts::AccountName,
        tokens::{Expiry, Issued, NewToken},
    },
    store::sqlite::DataDirectory,
    telemetry::Metrics,
    watch::{Event, Mistake, Watched},
};
use counterfoil_core::{account::Email, id::AccountId, scope::Scope};
use hyper::service::service_fn;
use proptest::prelude::*;
use std::{process::Command, sync::Arc};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const FILES: [&str; 5] = [
    include_str!("../../../../examples/facets.toml"),
    include_str!("../../../../examples/togai.toml"),
    include_str!("../../../../examples/selectstar.toml"),
    include_str!("../../../../examples/finout.toml"),
    include_str!("../../../../examples/aristotle.toml"),
];
const EMAIL: &str = "o'brien@example.com";

fn config() -> Config {
    let source = Source { name: "examples".into(), text: FILES.join("\n") };
    Config::load(Some(&source), &Environment::default()).unwrap().config
}

/// The five APIs at a gateway, before a sample upstream.
struct Stage {
    config: Config,
    app: App,
    _directory: TempDir,
    _stop: DropGuard,
}

impl Stage {
    async fn new() -> Self {
        let mut config = config();
        let stop = CancellationToken::new();
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: http::Uri = format!("http://{}", upstream.local_addr().unwrap()).parse().unwrap();
        config.apis.iter_mut().for_each(|api| api.upstream = Upstream::at(uri.clone()));
        tokio::spawn(sample_upstream::serve(upstream, stop.clone()));
        let directory = tempfile::tempdir().unwrap();
        let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
        let app = App::open(&config, locked, Box::new(|_, _| {})).await.unwrap();
        let email: Email = EMAIL.parse().unwrap();
        app.service.initialise(&Caller::Operator, "Acme", email, None, None).await.unwrap();
        let metrics = Arc::new(Metrics::new(app.replica.clone(), app.limiter.clone()));
        let gateway = Live::new(&config, &app, &metrics, None).unwrap().gateway;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        config.gateway.public_url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(listen::serve(listener, stop.clone(), move |peer| {
            let gateway = gateway.clone();
            Some(service_fn(move |request| gateway.clone().answer(peer, request)))
        }));
        Self { config, app, _directory: directory, _stop: stop.drop_guard() }
    }

    fn api(&self, name: &str) -> &ProtectedApi {
        self.config.apis.iter().find(|api| *api.api.name == *name).unwrap()
    }

    async fn issue(&self, api: &str, role: Option<&str>, scopes: &[&str]) -> Issued {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        let new = NewToken {
            api: api.into(),
            organization: None,
            name: None,
            note: None,
            owner: Some(AccountName::Email(EMAIL.parse().unwrap())),
            role: role.map(str::to_owned),
            scopes: (!scopes.is_empty()).then_some(scopes),
            expiry: Expiry::Default,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
        };
        self.app.service.issue_token(&Caller::Operator, &new).await.unwrap()
    }
}

/// What a program prints that is told to run this; proxies would not reach loopback.
async fn run(program: &'static str, option: &'static str, text: String) -> String {
    let done = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(program);
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command.args([option, &text]).output().unwrap()
    });
    let done = done.await.unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_works() {
    let stage = Stage::new().await;
    for (api, role, scopes) in [
        ("facets", None, &[][..]),
        ("togai", None, &[]),
        ("selectstar", None, &[]),
        ("finout", Some("viewer"), &[]),
        ("aristotle", None, &["search:read"]),
    ] {
        let Issued { token, secret, .. } = stage.issue(api, role, scopes).await;
        let protected = stage.api(api);
        let url = url(&stage.config.gateway.public_url, protected, &token.token.grant);
        let client_id = token.token.id.to_string();
        let (secret, email) = (secret.reveal(), Some(EMAIL));
        let given = Given { url: &url, secret, client_id: &client_id, email };
        let scheme = protected.api.schemes.accepted[0];
        let examples = examples(&protected.api, scheme, &given);
        let ids = examples.iter().map(|example| example.id).collect::<Vec<_>>();
        assert_eq!(ids, ["curl", "python", "javascript", "environment"]);
        // What people read is what programs do, but for capital letters.
        assert!(examples.iter().all(|example| example.label.to_lowercase() == example.id));
        let text = |n: usize| examples[n].text.to_string();
        let with_status = format!("{} --silent --write-out '%{{http_code}}'", text(0));
        let told = [
            run("sh", "-c", with_status).await,
            run("python3", "-c", text(1)).await,
            run("node", "--eval", format!("(async () => {{\n{}}})();", text(2))).await,
        ];
        for told in &told {
            assert!(told.contains("This is what reached the upstream."), "{api}: {told}");
            assert!(told.starts_with("200 ") || told.ends_with("200"), "{api}: {told}");
        }
        let name = api.to_uppercase();
        let shown =
            format!("set -eu; {}\nprintf '%s %s' \"${name}_URL\" \"${name}_TOKEN\"", text(3));
        assert_eq!(run("sh", "-c", shown).await, format!("{url} {secret}"));
        // The same line, once the placeholder is replaced.
        let line = line(&protected.api, &given).unwrap();
        assert!(line.contains(PLACEHOLDER) && !line.contains(secret) && !line.contains('\n'));
        let told = run("sh", "-c", line.replace(PLACEHOLDER, secret) + " --silent").await;
        assert!(told.contains("This is what reached the upstream."), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_learns_what_curl_was_told_wrongly() {
    let stage = Stage::new().await;
    let Issued { token, secret, .. } = stage.issue("selectstar", None, &[]).await;
    let protected = stage.api("selectstar");
    let url = url(&stage.config.gateway.public_url, protected, &token.token.grant);
    let client_id = token.token.id.to_string();
    let given = Given { url: &url, secret: PLACEHOLDER, client_id: &client_id, email: None };
    let line = line(&protected.api, &given).unwrap();
    let watched = Watched {
        digest: secret.digest(),
        token: token.token.id,
        account: AccountId::new(Timestamp::from_millis(1), [1; 10]),
        api: protected.api.clone(),
        line: line.clone(),
    };
    let all = &stage.app.service.watches;
    let mut watch = all.begin(watched).unwrap();
    let secret = secret.reveal();
    for (fields, url, expected) in [
        (
            format!("-H 'Authorization: Bearer {secret}'"),
            &*url,
            Mistake::OtherWord("Bearer".into()),
        ),
        (format!("-H 'Authorization: token {secret}'"), &url, Mistake::OtherCase("token".into())),
        (
            format!("-u {}", *shell(&format!("{EMAIL}:{secret}"))),
            &url,
            Mistake::OtherWord("Basic".into()),
        ),
        (format!("-H 'X-Api-Key: {secret}'"), &url, Mistake::OtherField("x-api-key".into())),
        (
            format!("-H 'Authorization: Token {secret}'"),
            &url.replace("/selectstar/", "/aristotle/api/v4/search/"),
            Mistake::OtherApi("aristotle".into()),
        ),
    ] {
        let asked = format!("curl --silent --write-out '%header{{x-request-id}}' {fields} '{url}'");
        let told = run("sh", "-c", asked).await;
        let Some(Event::Refused { request, request_id, lesson }) = watch.next().await else {
            panic!("nothing was admitted")
        };
        assert!(told.ends_with(&request_id.to_string()), "{told}");
        assert_eq!((lesson.mistake, lesson.line.as_deref()), (expected, Some(&*line)));
        assert_eq!((request.door, request.method.as_str()), ("gateway", "GET"));
    }
    run("sh", "-c", line.replace(PLACEHOLDER, secret) + " --silent").await;
    let Some(Event::Admitted(request)) = watch.next().await else { panic!("it was right") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/selectstar/"));
    assert_eq!(watch.next().await, None);
    assert!(!all.any());
}

#[test]
fn addresses_have_the_host_or_the_path_of_the_mount() {
    let path = |path: &str| Mount::Path { path: path.into(), strip: true };
    let host = || Mount::Host("api.example.com".into());
    for (public_url, mount, expected) in [
        ("https://gw.example.com", path("/orders"), "https://gw.example.com/orders"),
        ("http://127.0.0.1:8081", path("/"), "http://127.0.0.1:8081"),
        ("https://gw.example.com", host(), "https://api.example.com"),
        ("http://127.0.0.1:8081", host(), "http://api.example.com:8081"),
        ("http://[::1]:8081", host(), "http://api.example.com:8081"),
        ("http://[::1]", host(), "http://api.example.com"),
    ] {
        assert_eq!(address(public_url, &mount), expected);
    }
}

#[test]
fn the_url_is_of_something_that_the_token_may_get() {
    let text = |mount: &str, routes: &str| {
        format!(
            "[api.orders]\nupstream = \"http://127.0.0.1:1\"\nmount = {mount}\nroutes = {routes}\n\
             [api.orders.scopes]\n\"orders:read\" = \"a\"\n\"costs:read\" = \"b\"\n"
        )
    };
    let stripped = "{ path = \"/o\" }";
    let kept = "{ path = \"/o\", strip = false }";
    let costs: Scope = "costs:read".parse().unwrap();
    for (mount, routes, expected) in [
        (stripped, "[]", "http://gw/o/"),
        (
            stripped,
            "[\"GET /public/** -> anonymous\", \"* /v1/{r}/** -> {r}:{access}\"]",
            "http://gw/o/v1/costs/",
        ),
        (stripped, "[\"POST /a -> any\", \"GET /b/*/c -> costs:read\"]", "http://gw/o/b/orders/c"),
        (stripped, "[\"GET /b/** -> orders:read\"]", "http://gw/o/"),
        (kept, "[\"GET /x -> any\", \"GET /o/{r} -> {r}:read\"]", "http://gw/o/costs"),
    ] {
        let source = Source { name: "a".into(), text: text(mount, routes) };
        let config = Config::load(Some(&source), &Environment::default()).unwrap().config;
        let grant = Grant::Scopes([costs.clone()].into());
        assert_eq!(url("http://gw", &config.apis[0], &grant), expected, "{routes}");
    }
}

#[test]
fn what_looks_alike_is_shown_once() {
    for protected in config().apis {
        let api = &protected.api;
        let shown = refusals(api);
        let codes: usize = shown.iter().map(|shown| shown.codes.len()).sum();
        let never = [api.scopes.is_empty(), !has_rates(api), api.limits.in_flight().is_none()];
        let never = never.into_iter().filter(|never| *never).count();
        assert_eq!(codes, Code::ALL.len() - never, "{}", api.name);
        let unknown = shown.iter().find(|one| one.codes.contains(&Code::UnknownToken)).unwrap();
        assert!(unknown.codes.contains(&Code::Revoked) && unknown.status == 401);
        assert_eq!(unknown.when.matches('.').count(), unknown.codes.len());
        assert!(unknown.headers.iter().any(|(name, _)| *name == "www-authenticate"));
        let names_it = |way: &Way| way.line.contains("TOKEN") || way.line.contains("PASSWORD");
        assert!(ways(api).iter().all(names_it));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn any_text_is_one_word_or_literal(
        texts in proptest::collection::vec("[^\u{0}\r]{0,40}", 50),
        odd in "['\"\\\\`$ \t\u{2028}\u{85}]{0,20}",
    ) {
        let texts: Vec<_> = texts.into_iter().chain([odd, EMAIL.to_owned()]).collect();
        let said = |program: &str, option: &str, script: &str| {
            let done = Command::new(program).args([option, script]).output().unwrap();
            assert!(done.status.success(), "{done:?}");
            String::from_utf8(done.stdout).unwrap()
        };
        let words: Vec<_> = texts.iter().map(|text| shell(text).to_string()).collect();
        let script = format!("printf '%s\\0' {}", words.join(" "));
        let whole: String = texts.iter().flat_map(|text| [text.as_str(), "\0"]).collect();
        prop_assert_eq!(said("sh", "-c", &script), whole);

        let literals: Vec<_> = texts.iter().map(|text| quoted(text).to_string()).collect();
        let list = literals.join(", ");
        let python = format!("import json; print(json.dumps([{list}]))");
        let node = format!("console.log(JSON.stringify([{list}]))");
        for told in [said("python3", "-c", &python), said("node", "--eval", &node)] {
            let told: Vec<String> = serde_json::from_str(&told).unwrap();
            prop_assert_eq!(&told, &texts);
        }
    }
}

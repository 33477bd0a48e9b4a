//! Invariant 2: no verification touches the store. Here the doors stand on one
//! that panics at every touch, and do their work all the same.

mod untouchable;

use self::untouchable::Untouchable;
use super::{Listeners, start};
use crate::{
    app::App,
    clock,
    config::{Config, Environment, Source, Upstream},
    http::live::Live,
    refusals::Refusals,
    replica::Replica,
    telemetry::Metrics,
};
use arc_swap::ArcSwap;
use bytes::Bytes;
use counterfoil_core::{
    Timestamp,
    account::Rank,
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, Loaded},
    network::Network,
    token::{Grant, Previous, Secret, State, Token},
};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CONFIGURATION: &str = r#"
[server]
listen = "127.0.0.1:0"
[gateway]
listen = "127.0.0.1:0"
[forward_auth]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"

[api.orders]
upstream = "http://127.0.0.1:1"
routes = ["GET /public/** -> anonymous", "* /** -> {access}"]
[api.orders.scopes]
read = "Read"
write = "Write"

[api.costs]
upstream = "http://127.0.0.1:1"
"#;

/// The accounts: the owner of nearly everything, and those who are what they are called.
const OWNER: u8 = 1;
const DISABLED: u8 = 2;
const GONE: u8 = 3;
const OTHER: u8 = 4;

/// The organizations.
const HOME: u8 = 1;
const CLOSED: u8 = 2;

/// A server all of whose doors are open, on a store that must not be touched.
struct House {
    touched: Arc<AtomicUsize>,
    refusals: Arc<Refusals>,
    main: SocketAddr,
    gateway: SocketAddr,
    forward_auth: SocketAddr,
    metrics: SocketAddr,
    _serving: JoinSet<()>,
}

impl House {
    async fn open() -> Self {
        let source = Source { name: "house.toml".into(), text: CONFIGURATION.into() };
        let loaded = Config::load(Some(&source), &Environment::default()).unwrap();
        let mut config = loaded.config;
        let listeners = Listeners::open(&config, &super::Certificates::default(), true)
            .await
            .unwrap_or_else(|_| panic!("no port"));
        let upstream = listeners.sample.as_ref().unwrap().local_addr().unwrap();
        for api in &mut config.apis {
            api.upstream = Upstream::at(format!("http://{upstream}").parse().unwrap());
        }
        let store = Untouchable::default();
        let touched = store.0.clone();
        let replica = Arc::new(Replica::trusting(index()));
        let app = App::on(&config, Arc::new(store), replica.clone(), None).unwrap();
        let metrics = Arc::new(Metrics::new(replica, app.limiter.clone()));
        let live = Live::new(&config, &app, &metrics, None).unwrap();
        let live = Arc::new(ArcSwap::from_pointee(live));
        let address = |bounded: &super::Bounded| bounded.listener.local_addr().unwrap();
        Self {
            touched,
            refusals: app.service.refusals.clone(),
            main: address(&listeners.server),
            gateway: address(&listeners.gateway),
            forward_auth: address(&listeners.forward_auth),
            metrics: address(&listeners.metrics),
            _serving: start(&live, metrics, listeners, &CancellationToken::new()),
        }
    }

    /// How often the store has been touched.
    async fn touches(&self) -> usize {
        // Whatever was set off on the side has its turn first.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.touched.load(Ordering::SeqCst)
    }

    /// The true reason of the refusal of this name, which nobody has written down.
    async fn true_code(&self, answer: &Answer) -> String {
        let id = answer.headers["x-request-id"].to_str().unwrap().parse().unwrap();
        self.refusals.find(id).await.unwrap().unwrap().code
    }

    /// Has the service's token ask.
    async fn ask(&self, path: &str, question: &Value) -> Answer {
        let lines = [("authorization", bearer(SERVICE))];
        send(self.main, "POST", path, &lines, question.to_string()).await.unwrap()
    }
}

/// An answer that came whole.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request on a connection of its own; a door that breaks down breaks it off.
async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    lines: &[(&str, String)],
    body: String,
) -> anyhow::Result<Answer> {
    let client =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http::<Full<Bytes>>();
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in lines {
        request = request.header(*name, value);
    }
    let response = client.request(request.body(Full::from(body))?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// The tokens, by the numbers of their secrets.
const READER: u8 = 1;
const WRITER: u8 = 2;
const ELSEWHERES: u8 = 3;
const REVOKED: u8 = 4;
const PAUSED: u8 = 5;
const EXPIRED: u8 = 6;
const OF_DISABLED: u8 = 7;
const OF_GONE: u8 = 8;
const OF_CLOSED: u8 = 9;
const FAR: u8 = 10;
const ROTATED: u8 = 11;
const SERVICE: u8 = 12;
const MANAGER: u8 = 13;
/// The secret that `ROTATED` had before.
const REPLACED: u8 = 14;
const NEVER_ISSUED: u8 = 15;

fn secret(n: u8) -> Secret {
    let prefix = if n == SERVICE || n == MANAGER { "counterfoil" } else { "orders" };
    Secret::mint(&prefix.to_owned().try_into().unwrap(), &[n; 24])
}

fn bearer(n: u8) -> String {
    format!("Bearer {}", secret(n).reveal())
}

fn account(n: u8) -> AccountId {
    AccountId::new(Timestamp::from_millis(1), [n; 10])
}

fn organization(n: u8) -> OrganizationId {
    OrganizationId::new(Timestamp::from_millis(1), [n; 10])
}

/// Everything that verification needs, put there by hand.
fn index() -> Index {
    let index = Index::default();
    index.load_organization(organization(HOME), true);
    index.load_organization(organization(CLOSED), false);
    for (n, home, active, rank) in [
        (OWNER, HOME, true, Some(Rank::Administrator)),
        (DISABLED, HOME, false, Some(Rank::Member)),
        (GONE, HOME, true, None),
        (OTHER, CLOSED, true, Some(Rank::Member)),
    ] {
        index.load_account(account(n), None, active).unwrap();
        index.load_membership(organization(home), account(n), rank).unwrap();
    }
    for n in 1..=MANAGER {
        let (api, scopes): (_, &[&str]) = match n {
            ELSEWHERES => ("costs", &[]),
            WRITER => ("orders", &["read", "write"]),
            SERVICE => ("counterfoil", &["orders:verify"]),
            MANAGER => ("counterfoil", &["tokens:read"]),
            _ => ("orders", &["read"]),
        };
        let (owner, home) = match n {
            OF_DISABLED => (DISABLED, HOME),
            OF_GONE => (GONE, HOME),
            OF_CLOSED => (OTHER, CLOSED),
            _ => (OWNER, HOME),
        };
        let networks: &[Network] = if n == FAR { &["192.0.2.0/24".parse().unwrap()] } else { &[] };
        let state = match n {
            REVOKED => State::Revoked,
            PAUSED => State::Paused,
            _ => State::Active,
        };
        let previous = (n == ROTATED)
            .then(|| Previous { digest: secret(REPLACED).digest(), until: Timestamp::MAX });
        let token = Token {
            id: TokenId::new(Timestamp::from_millis(1), [n; 10]),
            api: api.into(),
            organization: organization(home),
            owner: account(owner),
            name: String::new(),
            note: String::new(),
            grant: Grant::Scopes(scopes.iter().map(|scope| scope.parse().unwrap()).collect()),
            created_at: Timestamp::from_millis(1),
            expires_at: (n == EXPIRED).then(clock::now),
            allowed_networks: networks.to_vec(),
            external_id: None,
            metadata: None,
            prefix: "orders".into(),
            last_four: String::new().into(),
            digest: secret(n).digest(),
        };
        index.load_token(&Loaded::of(&token, state, previous)).unwrap();
    }
    index
}

/// A request, and the true reason if it is refused.
struct Row {
    authorization: Vec<String>,
    method: &'static str,
    path: &'static str,
    refused: Option<(u16, &'static str)>,
}

/// Everything that can come of a request with a token.
fn rows() -> Vec<Row> {
    let get = |authorization: Vec<String>, refused| Row {
        authorization,
        method: "GET",
        path: "/orders/7",
        refused,
    };
    let refused = |n, code| get(vec![bearer(n)], Some((401, code)));
    let admitted = |n| get(vec![bearer(n)], None);
    let at_public = |row: Row| Row { path: "/public/7", ..row };
    vec![
        admitted(READER),
        admitted(ROTATED),
        admitted(REPLACED),
        Row { method: "DELETE", ..admitted(WRITER) },
        at_public(admitted(READER)),
        at_public(get(Vec::new(), None)),
        at_public(refused(REVOKED, "revoked")),
        get(Vec::new(), Some((401, "missing_credential"))),
        get(vec!["Basic x".into()], Some((401, "missing_credential"))),
        get(vec!["Bearer a b".into()], Some((401, "malformed_credential"))),
        get(vec![bearer(READER), bearer(READER)], Some((401, "malformed_credential"))),
        get(vec!["Bearer x".into()], Some((401, "unknown_token"))),
        get(vec![bearer(READER) + "x"], Some((401, "unknown_token"))),
        refused(NEVER_ISSUED, "unknown_token"),
        refused(SERVICE, "wrong_api"),
        refused(ELSEWHERES, "wrong_api"),
        refused(REVOKED, "revoked"),
        refused(PAUSED, "paused"),
        refused(EXPIRED, "expired"),
        refused(OF_DISABLED, "account_disabled"),
        refused(OF_GONE, "account_disabled"),
        refused(OF_CLOSED, "organization_closed"),
        get(vec![bearer(FAR)], Some((403, "network_not_allowed"))),
        Row { method: "POST", ..get(vec![bearer(READER)], Some((403, "insufficient_scope"))) },
    ]
}

#[tokio::test]
async fn the_gateway_needs_none() {
    let house = House::open().await;
    for row in rows() {
        let lines: Vec<_> = row.authorization.into_iter().map(|v| ("authorization", v)).collect();
        let path = format!("/orders{}", row.path);
        let answer = send(house.gateway, row.method, &path, &lines, String::new()).await.unwrap();
        match row.refused {
            None => {
                assert_eq!(answer.status, 200, "{lines:?}");
                assert_eq!(answer.json()["path"], row.path);
            }
            Some((status, code)) => {
                assert_eq!(answer.status, status, "{code}");
                assert_eq!(house.true_code(&answer).await, code);
            }
        }
    }
    for (path, status) in [("/orders/../7", 400), ("/nothing", 404)] {
        let answer = send(house.gateway, "GET", path, &[], String::new()).await.unwrap();
        assert_eq!(answer.status, status);
    }
    assert_eq!(house.touches().await, 0);
}

#[tokio::test]
async fn forward_auth_needs_none() {
    let house = House::open().await;
    for row in rows() {
        let mut lines: Vec<_> =
            row.authorization.into_iter().map(|v| ("authorization", v)).collect();
        for (name, value) in [
            ("x-original-method", row.method),
            ("x-original-uri", row.path),
            ("x-real-ip", "127.0.0.1"),
        ] {
            lines.push((name, value.to_owned()));
        }
        let ask = async |path: &str, lines: &[(&str, String)]| {
            send(house.forward_auth, "GET", path, lines, String::new()).await.unwrap()
        };
        let answer = ask("/auth/orders", &lines).await;
        match row.refused {
            None => {
                assert_eq!(answer.status, 200, "{lines:?}");
                assert!(answer.headers.contains_key("x-counterfoil-token-id"));
            }
            Some((status, code)) => {
                assert_eq!(answer.status, status, "{code}");
                assert_eq!(house.true_code(&answer).await, code);
                let id = answer.headers["x-request-id"].to_str().unwrap();
                let replay = ask(&format!("/auth/refusals/{id}"), &[]).await;
                assert_eq!((replay.status, replay.body), (status, answer.body));
            }
        }
    }
    assert_eq!(house.touches().await, 0);
}

#[tokio::test]
async fn verify_needs_none() {
    let house = House::open().await;
    let mut items = Vec::new();
    for row in rows() {
        items.push(json!({
            "api": "orders",
            "headers": {"authorization": row.authorization},
            "method": row.method,
            "path": row.path,
            "client_address": "127.0.0.1",
        }));
    }
    let batch = house.ask("/v1/verify/batch", &json!({"items": items})).await;
    assert_eq!(batch.status, 200);
    for (at, row) in rows().into_iter().enumerate() {
        let one = house.ask("/v1/verify", &items[at]).await;
        assert_eq!(one.status, 200);
        for answer in [&one.json(), &batch.json()["items"][at]] {
            assert_eq!(answer["active"], row.refused.is_none(), "{answer}");
            if let Some((status, code)) = row.refused {
                assert_eq!(answer["code"], code);
                assert_eq!(answer["refusal"]["status"], status);
            }
        }
    }
    let alone = json!({"api": "orders", "secret": secret(READER).reveal(), "scope": "write"});
    assert_eq!(house.ask("/v1/verify", &alone).await.json()["code"], "insufficient_scope");
    // Nor does it take a store to turn away whoever may not ask.
    for (n, status) in [(READER, 401), (NEVER_ISSUED, 401), (MANAGER, 403)] {
        let lines = [("authorization", bearer(n))];
        let answer = send(house.main, "POST", "/v1/verify", &lines, alone.to_string()).await;
        assert_eq!(answer.unwrap().status, status);
    }
    for (address, path) in
        [(house.main, "/healthz"), (house.main, "/readyz"), (house.metrics, "/metrics")]
    {
        assert_eq!(send(address, "GET", path, &[], String::new()).await.unwrap().status, 200);
    }
    assert_eq!(house.touches().await, 0);
}

/// So a door that did would fail the tests above.
#[tokio::test]
async fn whoever_touches_the_store_is_noticed() {
    let house = House::open().await;
    let lines = [("authorization", bearer(MANAGER))];
    let answer = send(house.main, "GET", "/v1/tokens", &lines, String::new()).await;
    assert!(answer.is_err());
    assert!(house.touches().await > 0);
}

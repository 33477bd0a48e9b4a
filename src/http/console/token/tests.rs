//! The pages of a token, through the router, on a real store.

use crate::{
    app::App,
    clock,
    config::{Config, Environment, Source},
    http::{api::Peer, live::Live},
    replica::Replica,
    service::{
        Caller,
        accounts::{AccountName, NewAccount},
        rotation::mark,
        tokens::{Expiry, Issued, NewToken},
    },
    store::{
        Order, StoredSession, TokenState,
        sqlite::{DataDirectory, Sqlite},
    },
    telemetry::Metrics,
    usage::{Outcome, Use},
};
use axum::{Router, body::Body};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    id::{AccountId, OrganizationId, SessionId, TokenId},
    time::Seconds,
    token::{Digest, Secret, State},
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use std::{net::SocketAddr, path::Path, sync::Arc};
use tempfile::TempDir;
use tower::ServiceExt as _;

const CONFIGURATION: &str = r#"
[server]
public_url = "http://127.0.0.1:8080"
[api.orders]
upstream = "http://127.0.0.1:1"
schemes = ["header-pair"]
header_pair = ["x-client-id", "x-secret-key"]
[api.orders.words]
revoke = "Delete"

[api.costs]
upstream = "http://127.0.0.1:1"
issuers = "administrators"
[api.costs.tokens]
lifetime = { default = "90d", max = "100d" }
[api.costs.scopes]
"bills:read" = "Read bills"
"bills:write" = "Write bills"
[api.costs.roles]
viewer = ["bills:read"]
editor = ["bills:read", "bills:write"]
"#;

const HERE: &str = "http://127.0.0.1:8080";

/// Two organizations, and who is in them.
struct House {
    app: App,
    router: Router,
    acme: OrganizationId,
    /// Administers Acme.
    ada: AccountId,
    /// A member of Acme.
    bob: AccountId,
    /// A service account of Acme.
    build: AccountId,
    /// Administers another organization.
    eve: AccountId,
    _directory: TempDir,
}

/// An answer.
struct Answer {
    status: StatusCode,
    location: String,
    text: String,
}

impl House {
    async fn new() -> Self {
        let source = Source { name: "house.toml".into(), text: CONFIGURATION.into() };
        let config = Config::load(Some(&source), &Environment::default()).unwrap().config;
        let directory = tempfile::tempdir().unwrap();
        let replica = Arc::new(Replica::default());
        let follower = replica.clone();
        let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
        let follow = Box::new(move |order: &Order, head| follower.follow(order, head));
        let store = Arc::new(Sqlite::open(locked, Path::new("house.db"), follow).unwrap());
        replica.load(&*store, Box::new(|_, _| {})).await.unwrap();
        let app = App::on(&config, store, replica.clone(), None).unwrap();
        let metrics = Arc::new(Metrics::new(replica, app.limiter.clone()));
        let live = Live::new(&config, &app, &metrics, None).unwrap();

        let service = app.service.clone();
        let ada = "ada@example.com".parse().unwrap();
        let first = service.initialise(&Caller::Operator, "Acme", ada, None, None).await.unwrap();
        let other = service.create_organization(&Caller::Operator, "Other", None).await.unwrap();
        let account = async |name: &str, kind, home, rank| {
            let email = (kind == AccountKind::Person)
                .then(|| format!("{name}@example.com").parse().unwrap());
            let new = NewAccount {
                kind,
                email,
                name: Some(name.into()),
                external_id: None,
                password: None,
                organization: Some((home, rank)),
            };
            service.create_account(&Caller::Operator, new).await.unwrap().id
        };
        let acme = first.organization;
        Self {
            acme,
            ada: first.account.id,
            bob: account("bob", AccountKind::Person, acme, Rank::Member).await,
            build: account("build", AccountKind::Service, acme, Rank::Member).await,
            eve: account("eve", AccountKind::Person, other.id, Rank::Administrator).await,
            router: live.server.router.clone(),
            app,
            _directory: directory,
        }
    }

    /// A token of Acme's.
    async fn token(&self, api: &str, owner: AccountId, role: Option<&str>) -> Issued {
        let new = NewToken {
            api: api.into(),
            organization: Some(self.acme),
            name: Some("nightly".into()),
            note: None,
            owner: Some(AccountName::Id(owner)),
            role: role.map(str::to_owned),
            scopes: None,
            expiry: Expiry::Default,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
        };
        self.app.service.issue_token(&Caller::Operator, &new).await.unwrap()
    }

    /// The cookie of a session that has begun.
    async fn cookie(&self, account: AccountId) -> String {
        let now = clock::now();
        let id = SessionId::new(now, crate::entropy::bytes());
        let secret = format!("the secret of {id}").replace(' ', "-");
        let session = StoredSession {
            digest: Digest::of(&secret),
            id,
            account,
            organization: None,
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus(Seconds::HOUR),
            address: None,
            user_agent: None,
            is_complete: true,
        };
        let kept = self.app.service.store.keep_session(session, None).await;
        assert!(matches!(kept, Ok(true)));
        format!("counterfoil_session={secret}")
    }

    async fn ask(&self, account: AccountId, request: http::request::Builder, body: &str) -> Answer {
        let cookie = self.cookie(account).await;
        let mut request =
            request.header(header::COOKIE, cookie).body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::from(([127, 0, 0, 1], 7))));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let location = head.headers.get(header::LOCATION).map(|l| l.to_str().unwrap().to_owned());
        assert!(head.headers.get(header::CACHE_CONTROL).is_none_or(|value| value == "no-store"));
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            location: location.unwrap_or_default(),
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, account: AccountId, path: &str) -> Answer {
        self.ask(account, Request::get(path).header(header::ACCEPT, "text/html"), "").await
    }

    async fn post(&self, account: AccountId, path: &str, form: &str) -> Answer {
        self.post_from(HERE, account, path, form).await
    }

    async fn post_from(&self, origin: &str, account: AccountId, path: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header(header::ORIGIN, origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(account, request, form).await
    }

    /// What doors know of this secret; none where it is refused as unknown.
    fn known(&self, secret: &Secret) -> Option<State> {
        let index = self.app.replica.index().unwrap();
        let entry = index.find(&secret.digest())?;
        let lives = entry.ends_at().is_none_or(|end| clock::now() < end);
        lives.then(|| entry.state())
    }

    async fn state(&self, id: TokenId) -> TokenState {
        let stored = self.app.service.token(&Caller::Operator, id).await.unwrap();
        stored.state_at(clock::now())
    }

    /// How many changes there have been.
    async fn head(&self) -> u64 {
        self.app.service.last_entry().await.unwrap()
    }

    /// Has the token used once.
    fn use_it(&self, id: TokenId, address: &str) {
        let used = Use {
            at: clock::now(),
            door: "gateway",
            client: Some(address.parse().unwrap()),
            user_agent: Some("curl/8.5"),
            method: "GET",
            path: "/v1/orders",
            secret: None,
        };
        self.app.service.usage.record(id, Outcome::Admitted, &used, |text| text.into());
    }
}

impl Answer {
    #[track_caller]
    fn is(&self, status: StatusCode) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    fn leads(&self, location: &str) -> &Self {
        assert_eq!(
            (self.status, &*self.location),
            (StatusCode::SEE_OTHER, location),
            "{}",
            self.text
        );
        self
    }

    #[track_caller]
    fn has(&self, text: &str) -> &Self {
        assert!(self.text.contains(text), "{text:?} is not in {}", self.text);
        self
    }

    #[track_caller]
    fn lacks(&self, text: &str) -> &Self {
        assert!(!self.text.contains(text), "{text:?} is in {}", self.text);
        self
    }

    /// The value of a hidden field.
    fn hidden(&self, name: &str) -> String {
        let field = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.text.split_once(&field).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }
}

#[tokio::test]
async fn a_page_tells_of_its_token() {
    let house = House::new().await;
    let id = house.token("orders", house.bob, None).await.token.token.id;
    let page = house.get(house.bob, &format!("/tokens/{id}")).await;
    page.is(StatusCode::OK)
        .has("<h1>nightly</h1>")
        .has(&format!("<code>{id}</code>"))
        .has("bob (bob@example.com)")
        .has("everything that this API offers")
        .has("from anywhere")
        .has("Waiting for the first request.")
        .has("by the operator")
        .has(&format!("/tokens/{id}/rotate"))
        .has("Issued");
    house.use_it(id, "192.0.2.7");
    let page = house.get(house.ada, &format!("/tokens/{id}")).await;
    page.is(StatusCode::OK)
        .lacks("Waiting for the first request.")
        .has("192.0.2.7")
        .has("curl/8.5")
        .has("GET /v1/orders")
        // Only Bob gets a new secret.
        .lacks(&format!("href=\"/tokens/{id}/rotate\""));
}

/// The next events, until one has this text in it.
async fn next_with(body: &mut Body, text: &str) -> String {
    let mut told = String::new();
    while !told.contains(text) {
        let frame = body.frame().await.unwrap_or_else(|| panic!("{text:?} is not in {told}"));
        told.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
    }
    told
}

#[tokio::test]
async fn a_page_is_told_what_changes_while_its_session_goes_on() {
    let house = House::new().await;
    let id = house.token("orders", house.bob, None).await.token.token.id;
    let path = format!("/tokens/{id}/live");
    for account in [house.eve, house.ada] {
        let request = Request::get(&path).header(header::COOKIE, house.cookie(account).await);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::from(([127, 0, 0, 1], 7))));
        let response = house.router.clone().oneshot(request).await.unwrap();
        if account == house.eve {
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            continue;
        }
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let mut body = response.into_body();
        next_with(&mut body, r#""part":"state","state":"live""#).await;
        house.use_it(id, "192.0.2.7");
        next_with(&mut body, "from 192.0.2.7").await;
        house.post(house.bob, &format!("/tokens/{id}/pause"), "").await;
        next_with(&mut body, r#""state":"paused""#).await;
        let ada = AccountName::Id(house.ada);
        house.app.service.set_account_active(&Caller::Operator, &ada, false).await.unwrap();
        next_with(&mut body, "event: end").await;
        assert!(body.frame().await.is_none());
    }
}

/// What somebody may not see does not exist, on every page alike.
#[tokio::test]
async fn others_find_nothing_and_change_nothing() {
    let house = House::new().await;
    let id = house.token("orders", house.ada, None).await.token.token.id;
    let head = house.head().await;
    let nothing = format!("{}", TokenId::new(Timestamp::from_millis(1), [9; 10]));
    for id in [id.to_string(), nothing, "nonsense".into()] {
        for account in [house.bob, house.eve] {
            for page in ["", "/edit", "/rotate", "/revoke", "/receipt"] {
                let answer = house.get(account, &format!("/tokens/{id}{page}")).await;
                answer.is(StatusCode::NOT_FOUND).lacks("nightly");
            }
            for page in ["/edit", "/rotate", "/rotate/end", "/pause", "/resume", "/revoke"] {
                let form = "name=x&overlap=now&replaces=x&old=x&reason=x";
                let answer = house.post(account, &format!("/tokens/{id}{page}"), form).await;
                answer.is(StatusCode::NOT_FOUND).lacks("nightly");
            }
        }
    }
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn changes_come_from_our_own_pages_only() {
    let house = House::new().await;
    let Issued { token, .. } = house.token("orders", house.bob, None).await;
    let (id, replaces) = (token.token.id, mark(&token.token.digest));
    let head = house.head().await;
    for page in ["/edit", "/rotate", "/rotate/end", "/pause", "/resume", "/revoke"] {
        let form = format!("name=x&overlap=now&replaces={replaces}&reason=x");
        for origin in ["https://evil.example", "null", "http://127.0.0.1:8081"] {
            let path = format!("/tokens/{id}{page}");
            house.post_from(origin, house.bob, &path, &form).await.is(StatusCode::FORBIDDEN);
        }
    }
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn a_token_is_paused_and_resumed() {
    let house = House::new().await;
    let Issued { token, secret, .. } = house.token("orders", house.bob, None).await;
    let id = token.token.id;
    let answer = house.post(house.ada, &format!("/tokens/{id}/pause"), "").await;
    answer.leads(&format!("/tokens/{id}?done=paused"));
    assert_eq!(house.known(&secret), Some(State::Paused));
    house.get(house.bob, &answer.location).await.is(StatusCode::OK).has("until you resume it");
    let answer = house.post(house.bob, &format!("/tokens/{id}/resume"), "").await;
    answer.leads(&format!("/tokens/{id}?done=resumed"));
    assert_eq!(house.known(&secret), Some(State::Active));
    // A link from elsewhere says nothing that is not so.
    let answer = house.get(house.bob, &format!("/tokens/{id}?done=paused")).await;
    answer.is(StatusCode::OK).lacks("until you resume it");
    let answer = house.get(house.bob, &format!("/tokens/{id}?done=%3Ci%3E&done=2")).await;
    answer.is(StatusCode::OK).lacks("<i>").lacks("role=\"status\"><p>");
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field() {
    let house = House::new().await;
    let id = house.token("costs", house.ada, Some("viewer")).await.token.token.id;
    let path = format!("/tokens/{id}/edit");
    let page = house.get(house.ada, &path).await;
    page.is(StatusCode::OK).has("editor").has("90 days").lacks("365 days").lacks(">Never<");
    let head = house.head().await;
    for (form, wrong, kept) in [
        ("name=&role=viewer", "name-error", "role"),
        ("name=%00&role=viewer", "name-error", "role"),
        ("name=a&note=%1b&role=viewer", "note-error", "value=\"a\""),
        ("name=a&role=owner", "role-error", "value=\"a\""),
        ("name=a&role=viewer&networks=10.0.0.0%2F33", "networks-error", "10.0.0.0/33"),
        ("name=a&role=viewer&expires_in=365d", "expires_in-error", "value=\"a\""),
        ("name=a&role=viewer&expires_in=never", "expires_in-error", "value=\"a\""),
        ("name=a&role=viewer&expires_in=custom&expires_on=x", "expires_in-error", "value=\"x\""),
        (
            "name=a&role=viewer&expires_in=custom&expires_on=2020-01-01",
            "expires_in-error",
            "value=\"2020-01-01\"",
        ),
    ] {
        let answer = house.post(house.ada, &path, form).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY).has(&format!("id=\"{wrong}\"")).has(kept);
    }
    assert_eq!(house.head().await, head);

    let form = "name=weekly&note=for+the+week&role=editor&networks=10.0.0.0%2F8%0D%0A192.0.2.7\
                &expires_in=7d";
    let answer = house.post(house.ada, &path, form).await;
    answer.leads(&format!("/tokens/{id}?done=changed"));
    let page = house.get(house.ada, &answer.location).await;
    page.has("<h1>weekly</h1>")
        .has("editor: Read bills, Write bills")
        .has("10.0.0.0/8, 192.0.2.7")
        .has("Changed: name, note, permissions, expiry, networks");
    // The same again changes nothing.
    let head = house.head().await;
    let form = "name=weekly&note=for+the+week&role=editor&networks=10.0.0.0%2F8%2C192.0.2.7\
                &expires_in=keep";
    house.post(house.ada, &path, form).await.leads(&format!("/tokens/{id}?done=changed"));
    assert_eq!(house.head().await, head);
}

/// Where only administrators issue, a member changes what a token is called and no more.
#[tokio::test]
async fn a_member_does_not_widen_what_was_issued() {
    let house = House::new().await;
    let id = house.token("costs", house.bob, Some("viewer")).await.token.token.id;
    let path = format!("/tokens/{id}/edit");
    let page = house.get(house.bob, &path).await;
    page.is(StatusCode::OK).lacks("name=\"role\"").lacks("name=\"networks\"");
    let form = "name=mine&role=editor&expires_in=60d&networks=192.0.2.7";
    house.post(house.bob, &path, form).await.leads(&format!("/tokens/{id}?done=changed"));
    let stored = house.app.service.token(&Caller::Operator, id).await.unwrap();
    assert_eq!(stored.token.name, "mine");
    assert_eq!(stored.token.grant, counterfoil_core::token::Grant::Role("viewer".into()));
    assert!(stored.token.allowed_networks.is_empty());
}

#[tokio::test]
async fn a_secret_is_replaced_once_and_shown_once() {
    let house = House::new().await;
    let Issued { token, secret: old, .. } = house.token("orders", house.bob, None).await;
    let id = token.token.id;
    let path = format!("/tokens/{id}/rotate");
    let form =
        format!("overlap=24h&replaces={}", house.get(house.bob, &path).await.hidden("replaces"));
    let shown = house.post(house.bob, &path, &form).await;
    shown
        .is(StatusCode::OK)
        .has("<code id=\"client-id\"")
        .has("data-secret")
        .has("Waiting for the first request");
    let (_, rest) = shown.text.split_once("<code id=\"secret\"").unwrap();
    let text = rest.split_once('>').unwrap().1.split_once('<').unwrap().0.to_owned();
    assert!(text.starts_with("orders_") && text != old.reveal());
    let index = house.app.replica.index().unwrap();
    assert!(index.find(&Digest::of(&text)).is_some_and(|entry| !entry.is_previous()));
    assert_eq!(house.known(&old), Some(State::Active));

    // A reload.
    let head = house.head().await;
    let again = house.post(house.bob, &path, &form).await;
    again.leads(&format!("/tokens/{id}?done=rotated")).lacks(&text);
    assert_eq!(house.head().await, head);
    let page = house.get(house.bob, &again.location).await;
    page.is(StatusCode::OK).has("was shown that once").has("Two secrets work").lacks(&text);

    // What was decided on another secret ends none.
    let end = format!("{path}/end");
    house.post(house.bob, &end, "old=0000000000000000").await.is(StatusCode::SEE_OTHER);
    assert_eq!(house.known(&old), Some(State::Active));
    // An administrator may end what they may not have.
    let form = format!("old={}", page.hidden("old"));
    house.post(house.ada, &end, &form).await.leads(&format!("/tokens/{id}?done=ended"));
    assert_eq!(house.known(&old), None);
    assert!(index.find(&Digest::of(&text)).is_some());
    let page = house.get(house.bob, &format!("/tokens/{id}?done=ended")).await;
    page.lacks("Two secrets work").has("Old secret ended").has("is refused from now on");
    let head = house.head().await;
    house.post(house.ada, &end, &form).await.leads(&format!("/tokens/{id}?done=ended"));
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn only_its_owner_rotates_a_persons_token() {
    let house = House::new().await;
    let Issued { token, .. } = house.token("orders", house.bob, None).await;
    let path = format!("/tokens/{}/rotate", token.token.id);
    let form = format!("overlap=now&replaces={}", mark(&token.token.digest));
    let head = house.head().await;
    house.get(house.ada, &path).await.is(StatusCode::FORBIDDEN);
    house.post(house.ada, &path, &form).await.is(StatusCode::FORBIDDEN).lacks("data-secret");
    assert_eq!(house.head().await, head);
    // A service account has no hands of its own.
    let Issued { token, .. } = house.token("orders", house.build, None).await;
    let path = format!("/tokens/{}/rotate", token.token.id);
    let form = format!("overlap=now&replaces={}", mark(&token.token.digest));
    house.post(house.ada, &path, &form).await.is(StatusCode::OK).has("data-secret");
}

#[tokio::test]
async fn a_rotation_that_makes_no_sense_is_asked_again() {
    let house = House::new().await;
    let Issued { token, .. } = house.token("orders", house.bob, None).await;
    let path = format!("/tokens/{}/rotate", token.token.id);
    let replaces = mark(&token.token.digest);
    let head = house.head().await;
    for overlap in
        ["", "overlap=forever", "overlap=custom", "overlap=custom&until=2020-01-01T00:00"]
    {
        let answer = house.post(house.bob, &path, &format!("replaces={replaces}&{overlap}")).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY).has("id=\"until-error\"");
        assert_eq!(answer.hidden("replaces"), replaces);
    }
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn a_token_is_dead_before_its_receipt_is_written() {
    let house = House::new().await;
    let Issued { token, secret, .. } = house.token("orders", house.bob, None).await;
    let id = token.token.id;
    house.use_it(id, "192.0.2.7");
    let path = format!("/tokens/{id}/revoke");
    house.get(house.bob, &format!("/tokens/{id}/receipt")).await.leads(&format!("/tokens/{id}"));
    let dialog = house.get(house.bob, &path).await;
    dialog.is(StatusCode::OK).has("Delete this token?").has("192.0.2.7").has("curl/8.5");

    let long = "x".repeat(501);
    let answer = house.post(house.bob, &path, &format!("reason={long}")).await;
    answer.is(StatusCode::UNPROCESSABLE_ENTITY).has("id=\"reason-error\"").has(&long);
    assert_eq!(house.known(&secret), Some(State::Active));

    let answer = house.post(house.bob, &path, "reason=the+laptop+is+lost").await;
    assert_eq!(house.known(&secret), Some(State::Revoked));
    answer.leads(&format!("/tokens/{id}/receipt"));
    let entry = house.head().await;
    let hash = house.app.service.store.head().await.unwrap().hash.to_string();
    for account in [house.bob, house.ada, house.bob] {
        let receipt = house.get(account, &answer.location).await;
        receipt
            .is(StatusCode::OK)
            .has("Refused on 1 of 1 in ")
            .has(&hash)
            .has(&format!(">{entry}<"))
            .has("the laptop is lost")
            .has("<dd>bob</dd>")
            .has("x-secret-key: TOKEN");
    }
    // The first reason stays.
    house.post(house.ada, &path, "reason=another").await.leads(&answer.location);
    assert_eq!(house.head().await, entry);
    house.get(house.ada, &path).await.leads(&answer.location);
    let page = house.get(house.bob, &format!("/tokens/{id}")).await;
    page.is(StatusCode::OK).has("Revoked").has("the laptop is lost").lacks("/pause\"");
    assert_eq!(house.state(id).await, TokenState::Revoked);
}

#[tokio::test]
async fn a_page_says_that_its_owner_is_gone() {
    let house = House::new().await;
    let id = house.token("orders", house.bob, None).await.token.token.id;
    let bob = AccountName::Id(house.bob);
    house.app.service.end_membership(&Caller::Operator, house.acme, &bob).await.unwrap();
    let page = house.get(house.ada, &format!("/tokens/{id}")).await;
    page.is(StatusCode::OK).has("its owner has left the organization");
    house.app.service.set_account_active(&Caller::Operator, &bob, false).await.unwrap();
    house.get(house.ada, &format!("/tokens/{id}")).await.has("its owner is disabled");
}

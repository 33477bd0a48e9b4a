//! A scene: one organization, one owner, one token and a request that is right in every way.
//!
//! The token has everything that a request can miss: an expiry, a network, a
//! scope. A test takes the scene and spoils what it is about.

use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp,
    access_token::{AccessToken, AccessTokenPolicy, AccessTokens, Algorithm},
    account::{Email, Rank},
    api::{Api, Issuers, Role, TokenPolicy},
    credential::{Headers, Scheme, Schemes},
    error_format::{self, Answer, ErrorFormat},
    id::{AccountId, OrganizationId, RequestId, TokenId},
    index::{Index, Loaded},
    ledger::Change,
    path,
    route::Route,
    scope::Scope,
    time::Seconds,
    token::{Digest, Grant, Prefix, Secret, State, Token},
    verify::{Question, verify},
};
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// When everything here happens, unless a test says otherwise.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// When the scene's token expires.
pub(crate) const EXPIRY: Timestamp = Timestamp::from_millis(1_700_003_600_000);

pub(crate) const SCHEMES: [Scheme; 6] = [
    Scheme::Basic,
    Scheme::Bearer,
    Scheme::Token,
    Scheme::Header,
    Scheme::HeaderPair,
    Scheme::Password,
];

pub(crate) const FORMATS: [ErrorFormat; 5] = [
    ErrorFormat::Problem,
    ErrorFormat::OAuth,
    ErrorFormat::SimpleJwt,
    ErrorFormat::DrfToken,
    ErrorFormat::Message,
];

pub(crate) struct Scene {
    pub(crate) api: Api,
    pub(crate) index: Index,
    /// The token as it was issued.
    pub(crate) token: Token,
    pub(crate) scheme: Scheme,
    pub(crate) email: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
    /// Header lines beside the credential's.
    pub(crate) more: Vec<(&'static str, &'static str)>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) now: Timestamp,
    /// The account whose password the request has proven.
    pub(crate) password: Option<AccountId>,
    /// What [`ACCESS_TOKEN`] stands for.
    pub(crate) access_token: Option<AccessToken>,
    /// The number of the secret that the token has now.
    rotated_to: AtomicU32,
}

/// Three accounts in an organization, one of them without an address, and a token.
fn index_with(token: &Token) -> Index {
    let index = Index::default();
    index.load_organization(organization(1), true);
    index.load_account(account(1), Some(email("ada@example.com")), true).unwrap();
    index.load_account(account(2), Some(email("bob@example.com")), true).unwrap();
    index.load_account(account(3), None, true).unwrap();
    for n in 1..=3 {
        index.load_membership(organization(1), account(n), Some(Rank::Member)).unwrap();
    }
    index.load_token(&Loaded::of(token, State::Active, None)).unwrap();
    index
}

impl Scene {
    pub(crate) fn new(scheme: Scheme) -> Self {
        let token = token(1, "orders", organization(1), account(1));
        Self {
            api: api("orders", &[scheme]),
            index: index_with(&token),
            client_id: token.id.to_string(),
            token,
            scheme,
            email: "ada@example.com".into(),
            secret: secret(1).reveal().into(),
            more: Vec::new(),
            client: Some([10, 1, 2, 3].into()),
            method: "GET",
            path: "/v1/costs/7",
            now: NOW,
            password: None,
            access_token: None,
            rotated_to: AtomicU32::new(1),
        }
    }

    /// Begins anew with the token changed.
    pub(crate) fn reissue(&mut self, change: impl FnOnce(&mut Token)) {
        change(&mut self.token);
        self.index = index_with(&self.token);
    }

    /// Presents an access token that was obtained with the secret of this number.
    pub(crate) fn present_access_token(&mut self, n: u32) {
        self.api.access_tokens =
            Some(AccessTokenPolicy { lifetime: Seconds::HOUR, algorithm: Algorithm::EdDsa });
        self.secret = ACCESS_TOKEN.into();
        self.access_token = Some(AccessToken {
            issuer: "https://tokens.example.com".into(),
            id: String::new().into(),
            audience: self.api.name.clone(),
            token: self.token.id,
            secret: secret(n).digest().mark(),
            account: self.token.owner,
            organization: self.token.organization,
            role: None,
            issued_at: NOW,
            expires_at: NOW.plus(Seconds(600)),
            scopes: [scope("costs:read")].into(),
        });
    }

    /// Presents the secret of this number.
    pub(crate) fn present(&mut self, n: u32) {
        self.secret = secret(n).reveal().into();
    }

    pub(crate) fn apply(&self, change: &Change) {
        self.index.apply(change).unwrap();
    }

    pub(crate) fn pause(&self) {
        self.apply(&Change::TokenPaused { token: self.token.id, organization: organization(1) });
    }

    pub(crate) fn resume(&self) {
        self.apply(&Change::TokenResumed { token: self.token.id, organization: organization(1) });
    }

    pub(crate) fn revoke(&self) {
        self.apply(&Change::TokenRevoked {
            token: self.token.id,
            organization: organization(1),
            reason: String::new(),
        });
    }

    /// Gives the token the secret of this number; the one before works until `previous_until`.
    pub(crate) fn rotate(&self, to: u32, previous_until: Option<Timestamp>) {
        let new = secret(to);
        self.apply(&Change::TokenRotated {
            revision: 0,
            token: self.token.id,
            organization: organization(1),
            replaces: secret(self.rotated_to.swap(to, Ordering::Relaxed)).digest(),
            previous_until,
            digest: new.digest(),
            prefix: prefix().as_str().into(),
            last_four: new.last_four().into(),
        });
    }

    pub(crate) fn headers(&self) -> Lines {
        let mut lines = credential(self.scheme, &self.email, &self.client_id, &self.secret);
        for (name, value) in &self.more {
            lines.add(name, value.as_bytes());
        }
        lines
    }

    pub(crate) fn judge(&self) -> Result<Admitted<'_>, Refusal> {
        self.judge_with(&self.headers())
    }

    /// As [`Scene::judge`], of a request with other header lines.
    pub(crate) fn judge_with(&self, headers: &Lines) -> Result<Admitted<'_>, Refusal> {
        let path = path::canonical(self.path).unwrap();
        let requirement = self.api.requirement(self.method, &path);
        let question = Question {
            access_tokens: self,
            headers,
            client: self.client,
            requirement,
            password: self.password,
        };
        verify(&self.api, &self.index, &question, self.now)
    }

    /// Why the request is refused; none when it is not.
    pub(crate) fn code(&self) -> Option<Code> {
        self.judge().err().map(|refusal| refusal.code)
    }

    /// The refusal as a stranger sees it, in the words of `format`.
    pub(crate) fn answer(&self, format: ErrorFormat) -> Option<Answer> {
        self.answer_to(&self.headers(), format)
    }

    /// As [`Scene::answer`], of a request with other header lines.
    pub(crate) fn answer_to(&self, headers: &Lines, format: ErrorFormat) -> Option<Answer> {
        let refusal = self.judge_with(headers).err()?;
        let api = Api { errors: format, ..self.api.clone() };
        Some(error_format::answer(&api, &refusal, request_id()))
    }
}

/// An access token, signed or not.
pub(crate) const ACCESS_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl";

impl AccessTokens for Scene {
    fn open(&self, text: &str) -> Option<Arc<AccessToken>> {
        self.access_token.clone().filter(|_| text == ACCESS_TOKEN).map(Arc::new)
    }
}

/// Header lines, names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(pub(crate) Vec<(String, Vec<u8>)>);

impl Lines {
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned(), value.to_vec()));
    }
}

impl Headers for Lines {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| &value[..])
    }
}

/// The header lines that carry a credential.
pub(crate) fn credential(scheme: Scheme, email: &str, client_id: &str, secret: &str) -> Lines {
    let mut lines = Lines::default();
    match scheme {
        Scheme::Basic | Scheme::Password => {
            lines.add(
                "authorization",
                format!("Basic {}", base64(&format!("{email}:{secret}"))).as_bytes(),
            );
        }
        Scheme::Bearer => lines.add("authorization", format!("Bearer {secret}").as_bytes()),
        Scheme::Token => lines.add("authorization", format!("Token {secret}").as_bytes()),
        Scheme::Header => lines.add("x-api-key", secret.as_bytes()),
        Scheme::HeaderPair => {
            lines.add("x-client-id", client_id.as_bytes());
            lines.add("x-secret-key", secret.as_bytes());
        }
    }
    lines
}

fn base64(text: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(text)
}

/// An API with scopes, roles and a public corner.
pub(crate) fn api(name: &str, accepted: &[Scheme]) -> Api {
    Api {
        name: name.into(),
        schemes: Schemes {
            accepted: accepted.to_vec(),
            header: Some("x-api-key".into()),
            header_pair: Some(["x-client-id".into(), "x-secret-key".into()]),
            exact_token_keyword: false,
        },
        errors: ErrorFormat::Problem,
        realm: name.into(),
        routes: vec![
            route("GET /public/** -> anonymous"),
            route("* /ping -> any"),
            route("* /v1/{resource}/** -> {resource}:{access}"),
            route("* /** -> {access}"),
        ],
        scopes: ["read", "write", "costs:read", "costs:write", "users:read"]
            .map(|text| (scope(text), String::new()))
            .to_vec(),
        roles: vec![
            Role { name: "viewer".into(), scopes: [scope("read")].into() },
            Role { name: "editor".into(), scopes: [scope("read"), scope("write")].into() },
        ],
        issuers: Issuers::Members,
        tokens: TokenPolicy {
            prefix: prefix(),
            default_lifetime: None,
            max_lifetime: None,
            never: true,
        },
        access_tokens: None,
        limits: counterfoil_core::limit::Limits::default(),
    }
}

/// A token of an hour, for 10.0.0.0/8 and for reading costs.
pub(crate) fn token(n: u32, api: &str, organization: OrganizationId, owner: AccountId) -> Token {
    let secret = secret(n);
    Token {
        id: token_id(n),
        api: api.into(),
        organization,
        owner,
        name: format!("token {n}"),
        note: String::new(),
        grant: Grant::Scopes([scope("costs:read")].into()),
        created_at: NOW,
        expires_at: Some(EXPIRY),
        allowed_networks: vec!["10.0.0.0/8".parse().unwrap()],
        external_id: None,
        metadata: None,
        prefix: prefix().as_str().into(),
        last_four: secret.last_four().into(),
        digest: secret.digest(),
    }
}

pub(crate) fn secret(n: u32) -> Secret {
    let mut entropy = [0; 24];
    entropy.copy_from_slice(&bytes("secret", n)[..24]);
    Secret::mint(&prefix(), &entropy)
}

/// The secret with another last character.
pub(crate) fn mistyped(secret: &str) -> String {
    let (kept, last) = secret.split_at(secret.len() - 1);
    format!("{kept}{}", if last == "0" { "1" } else { "0" })
}

pub(crate) fn prefix() -> Prefix {
    Prefix::try_from("acme".to_owned()).unwrap()
}

pub(crate) fn route(text: &str) -> Route {
    text.parse().unwrap()
}

pub(crate) fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

pub(crate) fn email(text: &str) -> Email {
    text.parse().unwrap()
}

pub(crate) fn token_id(n: u32) -> TokenId {
    TokenId::new(NOW, entropy("token", n))
}

pub(crate) fn account(n: u32) -> AccountId {
    AccountId::new(NOW, entropy("account", n))
}

pub(crate) fn organization(n: u32) -> OrganizationId {
    OrganizationId::new(NOW, entropy("organization", n))
}

pub(crate) fn request_id() -> RequestId {
    RequestId::new(NOW, entropy("request", 1))
}

fn entropy(what: &str, n: u32) -> [u8; 10] {
    let mut entropy = [0; 10];
    entropy.copy_from_slice(&bytes(what, n)[..10]);
    entropy
}

/// As good as random, and the same in every run.
fn bytes(what: &str, n: u32) -> [u8; 32] {
    *Digest::of(&format!("{what} {n}")).as_bytes()
}

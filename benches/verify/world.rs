//! An index, and beside it the map that it is compared with.

use counterfoil_bench::made::{self, Mint};
use counterfoil_core::{
    Timestamp,
    account::Rank,
    api::{Api, Issuers, Role, TokenPolicy},
    credential::{Headers, Scheme, Schemes},
    error_format::ErrorFormat,
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, Loaded},
    scope::Scope,
    token::{Digest, Grant, Prefix, State, Token},
};
use http::{HeaderMap, HeaderValue, header};
use papaya::HashMap;
use std::{
    cell::Cell,
    hash::{BuildHasherDefault, Hasher},
};

/// Everything that is looked up in.
pub(crate) struct World {
    pub(crate) mint: Mint,
    pub(crate) apis: Vec<Api>,
    pub(crate) index: Index,
    /// The comparison: nothing but a digest and what belongs to it.
    pub(crate) plain: HashMap<[u8; 32], u64, BuildHasherDefault<FirstEight>>,
    owners: u64,
}

/// A request, as it is when a door has read it.
pub(crate) struct Request {
    pub(crate) secret: String,
    pub(crate) headers: HeaderMap,
    /// The `Authorization` alone, for a reader without a header map.
    pub(crate) line: Line,
    /// Which of the APIs it is for.
    pub(crate) api: usize,
}

impl World {
    /// One of `tokens` tokens that are spread over the APIs and the owners.
    pub(crate) fn new(tokens: u64, apis: u64, owners: u64) -> Self {
        let mint = Mint::new().unwrap();
        let apis = (0..apis).map(|number| api(&mint.prefix, number)).collect();
        let index = Index::default();
        index.expect(usize::try_from(tokens).unwrap());
        index.load_organization(organization(), true);
        for number in 0..owners {
            let owner = owner(number);
            index.load_account(owner, None, true).unwrap();
            index.load_membership(organization(), owner, Some(Rank::Member)).unwrap();
        }
        // Large enough from the start: a map that is being moved to a larger table looks in both.
        let room = usize::try_from(tokens).unwrap();
        let plain = HashMap::with_capacity_and_hasher(room, BuildHasherDefault::default());
        let world = Self { mint, apis, index, plain, owners };
        for number in 0..tokens {
            let token = world.token(number);
            world.index.load_token(&Loaded::of(&token, State::Active, None)).unwrap();
            world.plain.pin().insert(*token.digest.as_bytes(), number);
        }
        world
    }

    fn token(&self, number: u64) -> Token {
        let secret = self.mint.secret(number);
        Token {
            id: made::id(number),
            api: self.apis[self.api_of(number)].name.clone(),
            organization: organization(),
            owner: owner(number % self.owners),
            name: String::new(),
            note: String::new(),
            grant: Grant::Role("reader".into()),
            created_at: Timestamp::from_millis(1),
            expires_at: Some(Timestamp::MAX),
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
            prefix: self.mint.prefix.as_str().into(),
            last_four: secret.last_four().into(),
            digest: secret.digest(),
        }
    }

    fn api_of(&self, number: u64) -> usize {
        usize::try_from(number).unwrap() % self.apis.len()
    }

    /// The request with a number's token.
    pub(crate) fn request(&self, number: u64) -> Request {
        Request::new(self.mint.secret(number).reveal(), self.api_of(number))
    }

    pub(crate) fn digest(&self, number: u64) -> Digest {
        self.mint.secret(number).digest()
    }
}

impl Request {
    /// A request with fields that most have.
    pub(crate) fn new(secret: &str, api: usize) -> Self {
        let line = format!("Bearer {secret}");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("api.example.com"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("curl/8.14.1"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::AUTHORIZATION, HeaderValue::try_from(&line).unwrap());
        Self { secret: secret.to_owned(), headers, line: Line(line), api }
    }
}

/// Numbers below `range` that look random, the same in every run, and never again the same:
/// what has just been asked for would be in the cache.
pub(crate) struct Numbers {
    next: Cell<u64>,
    range: u64,
}

impl Numbers {
    pub(crate) fn below(range: u64) -> Self {
        Self { next: Cell::new(0), range }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        made::mix(self.next.get()) % self.range
    }
}

/// The core's view of a header map, as the doors have it.
pub(crate) struct Lines<'a>(pub(crate) &'a HeaderMap);

impl Headers for Lines<'_> {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        // As the doors have it.
        let values = match name {
            "authorization" => self.0.get_all(header::AUTHORIZATION),
            _ => self.0.get_all(name),
        };
        values.iter().map(HeaderValue::as_bytes)
    }
}

/// One request's `Authorization`, with nothing to search.
pub(crate) struct Line(String);

impl Headers for Line {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        (name == "authorization").then_some(self.0.as_bytes()).into_iter()
    }
}

/// The id of the number's token.
pub(crate) fn id(number: u64) -> TokenId {
    made::id(number)
}

fn organization() -> OrganizationId {
    OrganizationId::new(Timestamp::from_millis(1), [1; 10])
}

fn owner(number: u64) -> AccountId {
    AccountId::new(Timestamp::from_millis(1), made::entropy(number))
}

/// An API whose tokens may read by their role; no route is declared, so `GET` needs `read`.
fn api(prefix: &Prefix, number: u64) -> Api {
    let scope = |text: &str| text.parse::<Scope>().unwrap();
    Api {
        name: format!("bench-{number}").into(),
        schemes: Schemes {
            accepted: vec![Scheme::Bearer],
            header: None,
            header_pair: None,
            exact_token_keyword: false,
        },
        errors: ErrorFormat::Problem,
        realm: "bench".into(),
        routes: Vec::new(),
        scopes: vec![(scope("read"), "Read".into()), (scope("write"), "Write".into())],
        roles: vec![Role { name: "reader".into(), scopes: [scope("read")].into() }],
        issuers: Issuers::Members,
        tokens: TokenPolicy {
            prefix: prefix.clone(),
            default_lifetime: None,
            max_lifetime: None,
            never: true,
        },
        access_tokens: None,
        limits: counterfoil_core::limit::Limits::default(),
    }
}

/// Digests are random already: their first bytes are their hash.
#[derive(Default)]
pub(crate) struct FirstEight(u64);

impl Hasher for FirstEight {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

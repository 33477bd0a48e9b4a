//! What targets have in common: an API, a live token of it, and its secret.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_core::{
    Timestamp,
    account::Rank,
    api::{Api, Issuers, Role, TokenPolicy},
    credential::{Scheme, Schemes},
    error_format::ErrorFormat,
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, Loaded},
    token::{Grant, Prefix, Secret, State, Token},
};
use std::sync::LazyLock;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
pub(crate) const EMAIL: &str = "ada@example.com";

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

/// The schemes whose bits are set.
pub(crate) fn schemes(bits: u8) -> Schemes {
    let accepted = SCHEMES.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
    Schemes {
        accepted: accepted.map(|(_, scheme)| scheme).collect(),
        header: Some("x-api-key".into()),
        header_pair: Some(["x-client-id".into(), "x-secret-key".into()]),
        exact_token_keyword: bits & 0x40 != 0,
    }
}

/// An API with scopes, roles and a public corner.
pub(crate) fn api(schemes: Schemes, errors: ErrorFormat) -> Api {
    let scope = |text: &str| text.parse().unwrap();
    Api {
        name: "orders".into(),
        schemes,
        errors,
        realm: "orders".into(),
        routes: [
            "GET /public/** -> anonymous",
            "* /ping -> any",
            "* /v1/{resource}/** -> {resource}:{access}",
            "* /** -> {access}",
        ]
        .map(|text| text.parse().unwrap())
        .into(),
        scopes: ["read", "write", "costs:read", "costs:write"]
            .map(|text| (scope(text), String::new()))
            .into(),
        roles: vec![Role { name: "viewer".into(), scopes: [scope("read")].into() }],
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

/// [`api`] for every choice of schemes and error format, made once.
pub(crate) fn prepared(bits: u8, format: u8) -> &'static Api {
    static ALL: LazyLock<Vec<Api>> = LazyLock::new(|| {
        let kinds = (0..128).flat_map(|bits| FORMATS.map(|format| (bits, format)));
        kinds.map(|(bits, format)| api(schemes(bits), format)).collect()
    });
    &ALL[usize::from(bits % 128) * FORMATS.len() + usize::from(format) % FORMATS.len()]
}

pub(crate) fn prefix() -> Prefix {
    Prefix::try_from("acme".to_owned()).unwrap()
}

pub(crate) fn secret() -> Secret {
    Secret::mint(&prefix(), &[0xa5; 24])
}

/// A token for 10.0.0.0/8 and for reading costs.
pub(crate) fn token() -> Token {
    let secret = secret();
    Token {
        id: TokenId::new(NOW, [1; 10]),
        api: "orders".into(),
        organization: OrganizationId::new(NOW, [2; 10]),
        owner: AccountId::new(NOW, [3; 10]),
        name: "nightly".into(),
        note: String::new(),
        grant: Grant::Scopes(["costs:read".parse().unwrap()].into()),
        created_at: NOW,
        expires_at: None,
        allowed_networks: vec!["10.0.0.0/8".parse().unwrap()],
        external_id: None,
        metadata: None,
        prefix: prefix().as_str().into(),
        last_four: secret.last_four().into(),
        digest: secret.digest(),
    }
}

/// Knows [`token`] and nothing else.
pub(crate) fn index() -> Index {
    let token = token();
    let index = Index::default();
    index.load_organization(token.organization, true);
    index.load_account(token.owner, Some(EMAIL.parse().unwrap()), true).unwrap();
    index.load_membership(token.organization, token.owner, Some(Rank::Member)).unwrap();
    index.load_token(&Loaded::of(&token, State::Active, None)).unwrap();
    index
}

/// The header lines with which each scheme presents the secret.
pub(crate) fn presented() -> Vec<(Scheme, String)> {
    let (secret, id) = (secret(), token().id);
    let secret = secret.reveal();
    let basic = BASE64_STANDARD.encode(format!("{EMAIL}:{secret}"));
    vec![
        (Scheme::Basic, format!("authorization: Basic {basic}\n")),
        (Scheme::Bearer, format!("authorization: Bearer {secret}\n")),
        (Scheme::Token, format!("authorization: Token {secret}\n")),
        (Scheme::Header, format!("x-api-key: {secret}\n")),
        (Scheme::HeaderPair, format!("x-client-id: {id}\nx-secret-key: {secret}\n")),
        (Scheme::Password, format!("authorization: Basic {basic}\n")),
    ]
}

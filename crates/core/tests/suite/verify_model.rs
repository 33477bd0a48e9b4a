//! Verification against a model: it admits exactly when no reason of a plain table speaks against it.

use crate::scene::{
    Lines, SCHEMES, account, api, credential, email, mistyped, organization, scope, secret, token,
    token_id,
};
use counterfoil_core::{
    Code, Timestamp,
    access_token::NoAccessTokens,
    account::Rank,
    api::{Api, Issuers, Role},
    credential::Scheme,
    index::{Index, Loaded},
    route::Requirement,
    scope::Need,
    token::{Grant, Previous, State, Token},
    verify::{Question, verify},
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

const APIS: [&str; 2] = ["orders", "invoices"];

/// The third account has no e-mail address.
const EMAILS: [Option<&str>; 3] = [Some("ada@example.com"), Some("bob@example.com"), None];

const TOKENS: usize = 4;

#[derive(Debug, Clone)]
struct World {
    open: [bool; 2],
    active: [bool; 3],
    /// What each account is in each organization.
    ranks: [[Option<Rank>; 3]; 2],
    tokens: Vec<Facts>,
}

/// What is true of a token. Times are milliseconds, few, so that they often meet.
#[derive(Debug, Clone)]
struct Facts {
    api: usize,
    organization: usize,
    owner: usize,
    state: State,
    expires_at: Option<i64>,
    /// Until when the secret before works, where there was a rotation with an overlap.
    overlap: Option<i64>,
    grant: usize,
    networks: usize,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact, and all go together")]
struct Attempt {
    /// The token that it is about, and so what is right.
    token: usize,
    /// Whether the API is the token's.
    at_home: bool,
    scheme: Scheme,
    accepted: bool,
    /// Whether there is a credential at all.
    present: bool,
    /// Whether there are two `Authorization` lines besides.
    twofold: bool,
    secret: Shown,
    email: Beside,
    client_id: Beside,
    client: usize,
    need: usize,
    now: i64,
    /// The account whose password the request has proven.
    password: Option<usize>,
    /// Whether only administrators may issue tokens of the API.
    administrators_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shown {
    Current,
    Previous,
    Mistyped,
    NeverIssued,
    OfAnotherMake,
}

/// What comes beside the secret: the right thing, that of another, or nonsense.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Right,
    Of(usize),
    Nonsense,
}

const GRANTS: usize = 5;

fn grant(n: usize) -> Grant {
    match n {
        0 => Grant::Any,
        1 => Grant::Role("viewer".into()),
        2 => Grant::Role("ghost".into()),
        3 => Grant::Scopes([scope("costs:read")].into()),
        _ => Grant::Scopes([scope("read"), scope("write")].into()),
    }
}

const NEEDS: [Requirement<'static>; 6] = [
    Requirement::Anonymous,
    Requirement::Any,
    Requirement::Scope(Need { resource: Some("costs"), action: "read" }),
    Requirement::Scope(Need { resource: Some("costs"), action: "write" }),
    Requirement::Scope(Need { resource: Some("users"), action: "read" }),
    Requirement::Scope(Need { resource: None, action: "read" }),
];

/// Whether a grant meets a need, at each API. Its role `viewer` is `read` at the
/// first and `costs:read` at the second; `ghost` is no role of either.
const MEETS: [[[bool; 6]; GRANTS]; 2] = {
    const NO: bool = false;
    const OK: bool = true;
    [
        [
            [OK, OK, NO, NO, NO, NO],
            [OK, OK, OK, NO, OK, OK],
            [OK, OK, NO, NO, NO, NO],
            [OK, OK, OK, NO, NO, NO],
            [OK, OK, OK, OK, OK, OK],
        ],
        [
            [OK, OK, NO, NO, NO, NO],
            [OK, OK, OK, NO, NO, NO],
            [OK, OK, NO, NO, NO, NO],
            [OK, OK, OK, NO, NO, NO],
            [OK, OK, OK, OK, OK, OK],
        ],
    ]
};

const CLIENTS: [Option<&str>; 5] =
    [None, Some("10.1.2.3"), Some("192.0.2.1"), Some("::ffff:10.9.9.9"), Some("2001:db8::9")];

const NETWORKS: [&[&str]; 3] = [&[], &["10.0.0.0/8"], &["2001:db8::/32", "192.0.2.1"]];

/// Whether a client is in one of the networks.
const INSIDE: [[bool; 5]; 3] = [
    [true, true, true, true, true],
    [false, true, false, true, false],
    [false, false, true, false, true],
];

/// Every reason that speaks against the attempt, in no order.
fn reasons(world: &World, attempt: &Attempt) -> Vec<Code> {
    if attempt.twofold {
        return vec![Code::MalformedCredential];
    }
    if !attempt.present || !attempt.accepted {
        let anonymous = attempt.need == 0;
        return if anonymous { Vec::new() } else { vec![Code::MissingCredential] };
    }
    let token = &world.tokens[attempt.token];
    let known = match attempt.secret {
        Shown::Current => true,
        Shown::Previous => token.overlap.is_some(),
        Shown::Mistyped | Shown::NeverIssued | Shown::OfAnotherMake => false,
    };
    if !known {
        // What has our prefix is a token, or one mistyped.
        let could_be = attempt.scheme == Scheme::Password && attempt.secret == Shown::OfAnotherMake;
        return match attempt.password.filter(|_| could_be) {
            Some(account) => reasons_of_a_password(world, attempt, account),
            None => vec![Code::UnknownToken],
        };
    }
    let door = door(world, attempt);
    let over = |end: Option<i64>| end.is_some_and(|end| end <= attempt.now);
    let right_email = match attempt.email {
        Beside::Right => EMAILS[token.owner].is_some(),
        Beside::Of(other) => other == token.owner && EMAILS[other].is_some(),
        Beside::Nonsense => false,
    };
    let right_client_id = match attempt.client_id {
        Beside::Right => true,
        Beside::Of(other) => other == attempt.token,
        Beside::Nonsense => false,
    };
    let sends_email = matches!(attempt.scheme, Scheme::Basic | Scheme::Password);
    let table = [
        (Code::WrongApi, door != token.api),
        (Code::OrganizationClosed, !world.open[token.organization]),
        (Code::OwnerMismatch, sends_email && !right_email),
        (Code::ClientMismatch, attempt.scheme == Scheme::HeaderPair && !right_client_id),
        (Code::Revoked, token.state == State::Revoked),
        (Code::Paused, token.state == State::Paused),
        (Code::Expired, over(token.expires_at)),
        (Code::Expired, attempt.secret == Shown::Previous && over(token.overlap)),
        (Code::AccountDisabled, !world.active[token.owner]),
        (Code::AccountDisabled, world.ranks[token.organization][token.owner].is_none()),
        (Code::NetworkNotAllowed, !INSIDE[token.networks][attempt.client]),
        (Code::InsufficientScope, !MEETS[door][token.grant][attempt.need]),
    ];
    table.into_iter().filter(|(_, holds)| *holds).map(|(code, _)| code).collect()
}

/// Every reason that speaks against a password that is this account's.
fn reasons_of_a_password(world: &World, attempt: &Attempt, account: usize) -> Vec<Code> {
    let right_email = EMAILS[account].is_some_and(|own| own == address(world, attempt));
    let rank = |o: usize| world.ranks[o][account].filter(|_| world.active[account]);
    let open: Vec<Rank> = (0..2).filter(|o| world.open[*o]).filter_map(rank).collect();
    let anywhere = (0..2).any(|o| rank(o).is_some());
    let outranked = attempt.administrators_only && open == [Rank::Member];
    let table = [
        (Code::OwnerMismatch, !right_email),
        (Code::SeveralOrganizations, open.len() > 1),
        (Code::OrganizationClosed, open.is_empty() && anywhere),
        (Code::AccountDisabled, !anywhere),
        (Code::NotAnIssuer, outranked),
    ];
    table.into_iter().filter(|(_, holds)| *holds).map(|(code, _)| code).collect()
}

fn door(world: &World, attempt: &Attempt) -> usize {
    let home = world.tokens[attempt.token].api;
    if attempt.at_home { home } else { 1 - home }
}

/// The index of a world: token `n` has secret `n`, and before a rotation had `n + 100`.
fn index(world: &World) -> Index {
    let index = Index::default();
    for (n, open) in (0..).zip(world.open) {
        index.load_organization(organization(n), open);
    }
    for ((n, active), address) in (0..).zip(world.active).zip(EMAILS) {
        index.load_account(account(n), address.map(email), active).unwrap();
    }
    for (o, ranks) in (0..).zip(world.ranks) {
        for (a, rank) in (0..).zip(ranks) {
            index.load_membership(organization(o), account(a), rank).unwrap();
        }
    }
    for (n, facts) in (0..).zip(&world.tokens) {
        let token = Token {
            grant: grant(facts.grant),
            expires_at: facts.expires_at.map(Timestamp::from_millis),
            allowed_networks: NETWORKS[facts.networks].iter().map(|n| n.parse().unwrap()).collect(),
            ..token(
                n,
                APIS[facts.api],
                organization(number(facts.organization)),
                account(number(facts.owner)),
            )
        };
        let previous = facts.overlap.map(|until| Previous {
            digest: secret(n + 100).digest(),
            until: Timestamp::from_millis(until),
        });
        index.load_token(&Loaded::of(&token, facts.state, previous)).unwrap();
    }
    index
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

fn headers(world: &World, attempt: &Attempt) -> Lines {
    let mut lines = right_headers(world, attempt);
    if attempt.twofold {
        lines.add("authorization", b"Digest a");
        lines.add("authorization", b"Digest b");
    }
    lines
}

fn right_headers(world: &World, attempt: &Attempt) -> Lines {
    if !attempt.present {
        return Lines::default();
    }
    let n = number(attempt.token);
    let shown = match attempt.secret {
        Shown::Current => secret(n).reveal().to_owned(),
        Shown::Previous => secret(n + 100).reveal().to_owned(),
        Shown::Mistyped => mistyped(secret(n).reveal()),
        Shown::NeverIssued => secret(n + 200).reveal().to_owned(),
        Shown::OfAnotherMake => format!("imported-{n}"),
    };
    let address = address(world, attempt);
    let client_id = match attempt.client_id {
        Beside::Right => token_id(n).to_string(),
        Beside::Of(other) => token_id(number(other)).to_string(),
        Beside::Nonsense => account(n).to_string(),
    };
    credential(attempt.scheme, address, &client_id, &shown)
}

fn address(world: &World, attempt: &Attempt) -> &'static str {
    match attempt.email {
        Beside::Right => EMAILS[world.tokens[attempt.token].owner].unwrap_or("robot@example.com"),
        Beside::Of(other) => EMAILS[other].unwrap_or(""),
        Beside::Nonsense => "nobody",
    }
}

fn api_of(door: usize, attempt: &Attempt) -> Api {
    let elsewhere = if attempt.scheme == Scheme::Header { Scheme::Bearer } else { Scheme::Header };
    let accepted = if attempt.accepted { attempt.scheme } else { elsewhere };
    let mut api = api(APIS[door], &[accepted]);
    let viewer = if door == 0 { "read" } else { "costs:read" };
    api.roles = vec![Role { name: "viewer".into(), scopes: [scope(viewer)].into() }];
    if attempt.administrators_only {
        api.issuers = Issuers::Administrators;
    }
    api
}

fn mostly() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.93)
}

fn facts() -> impl Strategy<Value = Facts> {
    let time = || option::weighted(0.5, prop_oneof![3 => 15..20i64, 1 => 0..20i64]);
    let state = prop_oneof![
        12 => Just(State::Active),
        1 => Just(State::Paused),
        1 => Just(State::Revoked),
    ];
    let grant = prop_oneof![1 => 0..GRANTS, 2 => Just(4)];
    (0..2usize, 0..2usize, 0..3usize, state, time(), time(), grant, 0..NETWORKS.len()).prop_map(
        |(api, organization, owner, state, expires_at, overlap, grant, networks)| Facts {
            api,
            organization,
            owner,
            state,
            expires_at,
            overlap,
            grant,
            networks,
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let open = [mostly(), mostly()];
    let active = [mostly(), mostly(), mostly()];
    let rank = || prop_oneof![1 => Just(None), 4 => Just(Some(Rank::Member)), 4 => Just(Some(Rank::Administrator))];
    let ranks = [[rank(), rank(), rank()], [rank(), rank(), rank()]];
    (open, active, ranks, vec(facts(), TOKENS)).prop_map(|(open, active, ranks, tokens)| World {
        open,
        active,
        ranks,
        tokens,
    })
}

fn beside(others: usize) -> impl Strategy<Value = Beside> {
    prop_oneof![
        10 => Just(Beside::Right),
        2 => (0..others).prop_map(Beside::Of),
        1 => Just(Beside::Nonsense),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let shown = prop_oneof![
        8 => Just(Shown::Current),
        6 => Just(Shown::Previous),
        1 => Just(Shown::Mistyped),
        1 => Just(Shown::NeverIssued),
        4 => Just(Shown::OfAnotherMake),
    ];
    let rarely = proptest::bool::weighted(0.03);
    let who = (0..TOKENS, mostly(), select(&SCHEMES[..]), mostly(), (mostly(), rarely));
    let what = (shown, beside(EMAILS.len()), beside(TOKENS));
    let how = (0..CLIENTS.len(), 0..NEEDS.len(), 0..20i64);
    let scheme = prop_oneof![1 => select(&SCHEMES[..]), 1 => Just(Scheme::Password)];
    let who = (who.0, who.1, scheme, who.3, who.4);
    let password = (option::weighted(0.8, 0..EMAILS.len()), any::<bool>());
    (who, what, how, password).prop_map(
        |(
            (token, at_home, scheme, accepted, (present, twofold)),
            (secret, email, client_id),
            (client, need, now),
            (password, administrators_only),
        )| {
            Attempt {
                token,
                at_home,
                scheme,
                accepted,
                present,
                twofold,
                secret,
                email,
                client_id,
                client,
                need,
                now,
                password,
                administrators_only,
            }
        },
    )
}

#[test]
fn it_admits_exactly_what_the_table_admits() {
    let admitted = Cell::new(0u32);
    let by_password = Cell::new(0u32);
    let refused = RefCell::<BTreeMap<Code, u32>>::default();
    let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
    let worlds = (world(), vec(attempt(), 20));
    let result = runner.run(&worlds, |(world, attempts)| {
        let index = index(&world);
        for attempt in &attempts {
            let door = door(&world, attempt);
            let question = Question {
                access_tokens: &NoAccessTokens,
                headers: &headers(&world, attempt),
                client: CLIENTS[attempt.client].map(|text| text.parse().unwrap()),
                requirement: NEEDS[attempt.need],
                password: attempt.password.map(|a| account(number(a))),
            };
            let now = Timestamp::from_millis(attempt.now);
            let reasons = reasons(&world, attempt);
            match verify(&api_of(door, attempt), &index, &question, now) {
                Ok(leave) => {
                    prop_assert!(reasons.is_empty(), "{attempt:?} against {reasons:?}");
                    let anonymous = !attempt.present || !attempt.accepted;
                    prop_assert_eq!(leave.identity().is_none(), anonymous);
                    if let Some(identity) = leave.identity() {
                        if identity.token().is_none() {
                            prop_assert_eq!(attempt.scheme, Scheme::Password);
                            let proven = attempt.password.unwrap();
                            prop_assert_eq!(identity.account(), account(number(proven)));
                            let home = (0..2)
                                .find(|o| identity.organization() == organization(number(*o)));
                            let home = home.unwrap();
                            prop_assert!(world.open[home]);
                            prop_assert_eq!(identity.rank(), world.ranks[home][proven]);
                            by_password.set(by_password.get() + 1);
                            continue;
                        }
                        let facts = &world.tokens[attempt.token];
                        prop_assert_eq!(identity.token(), Some(token_id(number(attempt.token))));
                        prop_assert_eq!(
                            identity.organization(),
                            organization(number(facts.organization))
                        );
                        prop_assert_eq!(identity.account(), account(number(facts.owner)));
                        prop_assert_eq!(APIS[door], APIS[facts.api], "nothing crosses");
                        admitted.set(admitted.get() + 1);
                    }
                }
                Err(refusal) => {
                    prop_assert!(
                        reasons.contains(&refusal.code),
                        "{refusal:?} is not in {reasons:?}"
                    );
                    *refused.borrow_mut().entry(refusal.code).or_default() += 1;
                }
            }
        }
        Ok(())
    });
    result.unwrap();
    // Everything happened often enough to mean something: each row of the
    // table, but for what limits and doors refuse.
    assert!(admitted.get() > 500 && by_password.get() > 5, "{admitted:?} {by_password:?}");
    for code in Code::ALL {
        let elsewhere = matches!(
            code,
            Code::WrongPassword
                | Code::SecondFactor
                | Code::RateLimited
                | Code::TooManyInFlight
                | Code::NodeStale
        );
        let times = refused.borrow().get(&code).copied().unwrap_or_default();
        assert_eq!(times == 0, elsewhere, "{code}: {times} times");
    }
}

//! Two organizations with people and programs in them, and everything that can
//! be known about them.

use crate::{
    app::App,
    clock,
    config::{Config, Environment, Source},
    replica::Replica,
    service::{
        Caller, Member, Via,
        accounts::{AccountName, NewAccount},
        tokens::{Expiry, Issued, NewToken},
    },
    store::{
        AccountFilter, MembershipFilter, Order, OrganizationFilter, Page, Store as _,
        StoredAccount, StoredMembership, StoredOrganization, StoredToken, TokenFilter, TokenState,
        conformance::replayed,
        sqlite::{DataDirectory, Sqlite},
    },
    usage::{Outcome, Use},
};
use counterfoil_core::{
    Admitted, Timestamp,
    access_token::NoAccessTokens,
    account::{AccountKind, Rank},
    api::Api,
    credential::Headers,
    id::{AccountId, OrganizationId, TokenId},
    index::Index,
    route::Requirement,
    time::Seconds,
    token::Secret,
    verify::{Question, verify},
};
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tempfile::TempDir;

pub(super) const APIS: [&str; 3] = ["counterfoil", "orders", "costs"];

const CONFIGURATION: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"

[api.costs]
upstream = "http://127.0.0.1:1"
issuers = "administrators"
[api.costs.tokens]
lifetime = { default = "90d", max = "365d" }
[api.costs.scopes]
read = "Read"
write = "Write"
[api.costs.roles]
viewer = ["read"]
editor = ["read", "write"]
"#;

/// Scopes of the management API; only the operator grants the last.
pub(super) const SCOPES: [&str; 6] = [
    "tokens:read",
    "tokens:write",
    "accounts:read",
    "accounts:write",
    "audit:read",
    "orders:verify",
];

pub(super) const NETWORKS: [&[&str]; 5] =
    [&[], &["10.0.0.0/8"], &["10.1.0.0/16"], &["192.0.2.0/24"], &["10.1.0.0/16", "192.0.2.7"]];

/// Addresses that tell these networks apart.
pub(super) const ADDRESSES: [&str; 5] =
    ["10.1.2.3", "10.9.9.9", "192.0.2.7", "192.0.2.9", "2001:db8::1"];

/// Everything there is, and whatever there ever was.
pub(super) struct World {
    directory: TempDir,
    store: Arc<Sqlite>,
    pub(super) app: App,
    pub(super) organizations: Vec<OrganizationId>,
    pub(super) accounts: Vec<AccountId>,
    pub(super) tokens: Vec<TokenId>,
    /// Every secret that was ever given out, with its token.
    pub(super) secrets: Vec<(TokenId, Secret)>,
}

/// The rows of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) organizations: BTreeMap<OrganizationId, StoredOrganization>,
    pub(super) accounts: BTreeMap<AccountId, StoredAccount>,
    pub(super) memberships: BTreeMap<(OrganizationId, AccountId), StoredMembership>,
    pub(super) tokens: BTreeMap<TokenId, StoredToken>,
}

impl World {
    pub(super) async fn new() -> Self {
        let source = Source { name: "world.toml".into(), text: CONFIGURATION.into() };
        let config = Config::load(Some(&source), &Environment::default()).unwrap().config;
        let directory = tempfile::tempdir().unwrap();
        let replica = Arc::new(Replica::default());
        let follower = replica.clone();
        let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
        let follow = Box::new(move |order: &Order, head| follower.follow(order, head));
        let store = Arc::new(Sqlite::open(locked, Path::new("world.db"), follow).unwrap());
        replica.load(&*store, Box::new(|_, _| {})).await.unwrap();
        let app = App::on(&config, store.clone(), replica, None).unwrap();
        let mut world = Self {
            directory,
            store,
            app,
            organizations: Vec::new(),
            accounts: Vec::new(),
            tokens: Vec::new(),
            secrets: Vec::new(),
        };
        world.populate().await;
        world
    }

    /// Makes what every sequence begins with.
    async fn populate(&mut self) {
        let service = self.app.service.clone();
        let ada = "ada@example.com".parse().unwrap();
        let first = service.initialise(&Caller::Operator, "First", ada, None, None).await.unwrap();
        let other = service.create_organization(&Caller::Operator, "Other", None).await.unwrap();
        self.organizations = vec![first.organization, other.id];
        self.accounts = vec![first.account.id];
        let ada = first.account.id;
        let [amy, zoe] = [
            self.person("amy", 0, Rank::Member).await,
            self.person("zoe", 0, Rank::Administrator).await,
        ];
        let [ben, bob] = [
            self.person("ben", 1, Rank::Administrator).await,
            self.person("bob", 1, Rank::Member).await,
        ];
        let [bot, their_bot] = [self.robot(0).await, self.robot(1).await];
        // She belongs to both, with a different rank in each.
        let zoes = AccountName::Id(zoe);
        let joined = service.set_membership(&Caller::Operator, other.id, &zoes, Rank::Member);
        joined.await.unwrap();

        let [tokens, all] = [&SCOPES[..2], &SCOPES[..5]];
        for (owner, home, scopes, expiry, networks) in [
            (ada, 0, all, Expiry::Never, 0),
            (ada, 0, tokens, Expiry::In(Seconds(86_400 * 20)), 1),
            (ada, 0, &SCOPES[2..4], Expiry::Never, 0),
            (amy, 0, &SCOPES[..3], Expiry::Never, 0),
            (amy, 0, tokens, Expiry::In(Seconds(86_400 * 20)), 4),
            (bot, 0, &SCOPES[..], Expiry::Never, 0),
            (zoe, 0, all, Expiry::Never, 3),
            (zoe, 1, all, Expiry::Never, 0),
            (ben, 1, all, Expiry::Never, 0),
            (ben, 1, tokens, Expiry::In(Seconds(86_400 * 20)), 2),
            (bob, 1, tokens, Expiry::Never, 0),
            (their_bot, 1, &SCOPES[..1], Expiry::Never, 0),
        ] {
            let mut new = self.plain_token("counterfoil", home, owner);
            new.scopes = Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
            new.allowed_networks = NETWORKS[networks].iter().map(|n| (*n).to_owned()).collect();
            new.expiry = expiry;
            self.keep(service.issue_token(&Caller::Operator, &new).await.unwrap());
        }
        for (owner, home) in [(ada, 0), (amy, 0), (bot, 0), (zoe, 1), (ben, 1), (their_bot, 1)] {
            let new = self.plain_token("orders", home, owner);
            self.keep(service.issue_token(&Caller::Operator, &new).await.unwrap());
        }
        // Every token has been used, so that there is something to tell of it.
        let used = Use {
            at: clock::now(),
            door: "gateway",
            client: Some(ADDRESSES[0].parse().unwrap()),
            user_agent: None,
            method: "GET",
            path: "/",
            secret: None,
        };
        for token in &self.tokens {
            service.usage.record(*token, Outcome::Admitted, &used, |text| text.into());
        }
        service.usage.flush().await;
    }

    fn plain_token(&self, api: &str, home: usize, owner: AccountId) -> NewToken {
        NewToken {
            api: api.into(),
            organization: Some(self.organizations[home]),
            name: None,
            note: None,
            owner: Some(AccountName::Id(owner)),
            role: None,
            scopes: None,
            expiry: Expiry::Default,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
        }
    }

    async fn person(&mut self, name: &str, home: usize, rank: Rank) -> AccountId {
        let email = Some(format!("{name}@example.com").parse().unwrap());
        self.account(AccountKind::Person, email, home, rank).await
    }

    async fn robot(&mut self, home: usize) -> AccountId {
        self.account(AccountKind::Service, None, home, Rank::Member).await
    }

    async fn account(
        &mut self,
        kind: AccountKind,
        email: Option<counterfoil_core::account::Email>,
        home: usize,
        rank: Rank,
    ) -> AccountId {
        let organization = Some((self.organizations[home], rank));
        let name = Some("somebody".into());
        let (external_id, password) = (None, None);
        let new = NewAccount { kind, email, name, external_id, password, organization };
        let made = self.app.service.create_account(&Caller::Operator, new).await.unwrap();
        self.accounts.push(made.id);
        made.id
    }

    /// Notes a token and its secret.
    pub(super) fn keep(&mut self, issued: Issued) {
        let id = issued.token.token.id;
        if !self.tokens.contains(&id) {
            self.tokens.push(id);
        }
        self.secrets.push((id, issued.secret));
    }

    pub(super) fn api(&self, name: &str) -> Arc<Api> {
        self.app.service.apis.load().get(name).unwrap().clone()
    }

    pub(super) fn index(&self) -> &Index {
        self.app.replica.index().unwrap()
    }

    /// What comes of showing a secret at an API, from the first of the addresses where it is good.
    fn show(&self, api: &Api, secret: &Secret) -> Option<Admitted<'_>> {
        let headers = Bearer(format!("Bearer {}", secret.reveal()));
        ADDRESSES.iter().find_map(|address| {
            let client = Some(address.parse().unwrap());
            let question = Question {
                access_tokens: &NoAccessTokens,
                headers: &headers,
                client,
                requirement: Requirement::Any,
                password: None,
            };
            verify(api, self.index(), &question, clock::now()).ok()
        })
    }

    /// Who acts with a secret, as the management API's door has it; nobody where it is not good.
    pub(super) fn caller(&self, secret: &Secret) -> Option<Caller> {
        let api = self.api("counterfoil");
        let admitted = self.show(&api, secret)?;
        let identity = admitted.identity().unwrap();
        Some(Caller::Member(Member {
            account: identity.account(),
            organization: identity.organization(),
            rank: identity.rank().unwrap(),
            via: Via::Token(identity.token().unwrap()),
            scopes: identity.scopes(&api).cloned().collect(),
            expires_at: identity.expires_at(),
            allowed_networks: identity.allowed_networks().to_vec(),
        }))
    }

    /// All rows, whoever they belong to.
    pub(super) async fn rows(&self) -> Rows {
        fn all<Id>() -> Page<Id> {
            Page { after: None, limit: 10_000 }
        }
        let store = &self.store;
        let memberships = MembershipFilter { with_past: true, ..MembershipFilter::default() };
        let organizations =
            store.organizations(OrganizationFilter::default(), all()).await.unwrap();
        let accounts = store.accounts(AccountFilter::default(), all()).await.unwrap();
        let memberships = store.memberships(memberships, all()).await.unwrap();
        let tokens = store.tokens(TokenFilter::default(), all()).await.unwrap();
        Rows {
            organizations: organizations.into_iter().map(|row| (row.id, row)).collect(),
            accounts: accounts.into_iter().map(|row| (row.id, row)).collect(),
            memberships: memberships
                .into_iter()
                .map(|row| ((row.organization, row.account), row))
                .collect(),
            tokens: tokens.into_iter().map(|row| (row.token.id, row)).collect(),
        }
    }

    /// Invariant 5: memory, rows and ledger say the same.
    pub(super) async fn is_in_step(&self) {
        let contents = self.index().contents();
        let loaded = Arc::new(Index::default());
        let head = self.store.load(loaded.clone(), Box::new(|_, _| {})).await.unwrap();
        assert_eq!(loaded.contents(), contents);
        assert_eq!(head, self.app.replica.head());
        assert_eq!(replayed(&self.directory.path().join("world.db")).contents(), contents);
    }

    /// The ledger is whole, and the rows follow from it.
    pub(super) async fn is_sound(&self) {
        let inspection = self.store.inspect_ledger(Box::new(|_, _| {})).await.unwrap();
        assert_eq!(inspection.findings, Vec::<String>::new());
        assert_eq!(inspection.head, self.app.replica.head());
    }

    /// Every secret is good where the rows say so: at its own API, and at no other.
    pub(super) fn doors_agree(&self, rows: &Rows) {
        for (id, secret) in &self.secrets {
            let row = &rows.tokens[id];
            for name in APIS {
                let admitted = self.show(&self.api(name), secret);
                let good = *row.token.api == *name && rows.accept(row, secret, clock::now());
                assert_eq!(admitted.is_some(), good, "{row:?} at {name}");
            }
        }
    }
}

impl Rows {
    /// Whether a token is good with this secret, from where it may be used.
    fn accept(&self, row: &StoredToken, secret: &Secret, now: Timestamp) -> bool {
        let token = &row.token;
        let current = token.digest == secret.digest();
        let previous = row.previous.is_some_and(|p| p.digest == secret.digest() && now < p.until);
        (current || previous)
            && row.state_at(now) == TokenState::Active
            && self.belongs(token.organization, token.owner).is_some()
            && self.accounts[&token.owner].disabled_at.is_none()
    }

    /// The rank of a member of an organization that is not closed.
    pub(super) fn belongs(&self, organization: OrganizationId, account: AccountId) -> Option<Rank> {
        let membership = self.memberships.get(&(organization, account))?;
        let open = self.organizations[&organization].closed_at.is_none();
        (open && membership.ended_at.is_none()).then_some(membership.rank)
    }
}

/// One header field.
struct Bearer(String);

impl Headers for Bearer {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        (name == "authorization").then_some(self.0.as_bytes()).into_iter()
    }
}

//! Every operation, as something that anybody may try.

use super::world::{NETWORKS, Rows, SCOPES, World};
use crate::{
    clock, entropy,
    refusals::StoredRefusal,
    service::{
        Caller, ServiceError,
        accounts::{AccountChanges, AccountName, NewAccount},
        organizations::OrganizationChanges,
        rotation,
        tokens::{Expiry, Issued, NewToken, TokenChanges},
        usage::WantedUsage,
    },
    store::{
        EntryFilter, MembershipFilter, OrganizationFilter, OriginKind, Page, StoredAccount,
        StoredEntry, StoredMembership, StoredOrganization, StoredToken, TokenFilter,
    },
    usage::{Origin, StoredCount},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    id::{AccountId, OrganizationId, RequestId, TokenId},
    ledger::Subject,
    time::Seconds,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::{cell::RefCell, fmt::Display};

/// One of the things that there are, by a number that is brought into range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    number: usize,
    /// Whether it is one of those that the caller may see, if there are any.
    seen: bool,
}

impl Pick {
    fn of<Id: Copy>(self, all: &[Id], visible: impl Fn(Id) -> bool) -> Id {
        let seen: Vec<Id> = all.iter().copied().filter(|id| self.seen && visible(*id)).collect();
        let among = if seen.is_empty() { all } else { &seen };
        among[self.number % among.len()]
    }
}

/// An operation to try. One is named as its kind is counted: see [`Operation::kind`].
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Initialise,
    IssueToken {
        api: &'static str,
        organization: Option<Pick>,
        owner: Option<Person>,
        role: Option<&'static str>,
        scopes: Vec<&'static str>,
        expiry: Expiry,
        networks: usize,
    },
    ChangeToken {
        token: Pick,
        what: Changed,
    },
    PauseToken(Pick, bool),
    RotateToken(Pick, Seconds),
    EndPreviousSecret(Pick),
    RevokeToken(Pick),
    /// One of them, named twice.
    RevokeTokens(Pick),
    HandOverToken(Pick, Pick),
    Invite(Option<Pick>, Rank),
    CreateAccount {
        kind: AccountKind,
        email: bool,
        organization: Option<Pick>,
        rank: Rank,
    },
    ChangeAccount(Person),
    SetAccountActive(Person, bool),
    SetPassword(Person),
    SetEmail(Person),
    CreateOrganization,
    ChangeOrganization(Pick),
    CloseOrganization(Pick),
    SetMembership(Pick, Person, Rank),
    EndMembership(Pick, Person),
    Token(Pick),
    Tokens {
        organization: Option<Pick>,
        owner: Option<Person>,
    },
    Account(Person),
    Accounts,
    Organization(Pick),
    Organizations,
    Memberships {
        organization: Option<Pick>,
        account: Option<Pick>,
    },
    Refusal(Pick),
    Audit {
        organization: Option<Pick>,
        subject: Option<Pick>,
        actor: Option<Pick>,
    },
    Usage {
        organization: Option<Pick>,
        token: Option<Pick>,
    },
    Origins(Pick),
    InspectLedger,
}

/// An account, by its id or by its address where it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    account: Pick,
    by_email: bool,
}

/// What is to be different about a token.
#[derive(Debug, Clone)]
pub(super) enum Changed {
    Name,
    Scopes(Vec<&'static str>),
    Expiry(Expiry),
    Networks(usize),
}

/// Everything that an answer tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) tokens: Vec<StoredToken>,
    pub(super) accounts: Vec<StoredAccount>,
    pub(super) organizations: Vec<StoredOrganization>,
    pub(super) memberships: Vec<StoredMembership>,
    pub(super) refusals: Vec<StoredRefusal>,
    pub(super) entries: Vec<StoredEntry>,
    pub(super) counts: Vec<StoredCount>,
    /// Of which token, and from where.
    pub(super) origins: Vec<(TokenId, Origin<String>)>,
}

/// What comes of an operation; what is issued comes beside it.
pub(super) type Outcome = Result<(Answered, Option<Issued>), ServiceError>;

pub(super) fn any_operation() -> impl Strategy<Value = Operation> {
    let pick = || (0..1000_usize, any::<bool>()).prop_map(|(number, seen)| Pick { number, seen });
    let maybe = || option::weighted(0.3, pick());
    let person =
        || (pick(), any::<bool>()).prop_map(|(account, by_email)| Person { account, by_email });
    let rank = || select(vec![Rank::Administrator, Rank::Member]);
    let expiry = || {
        let days = |days: u64| Expiry::In(Seconds(days * 86_400));
        select(vec![Expiry::Default, Expiry::Never, days(1), days(10), days(30)])
    };
    let scopes = || vec(select(&SCOPES[..]), 1..3);
    let manage = (maybe(), option::weighted(0.5, person()), scopes(), expiry(), 0..NETWORKS.len());
    let manage = manage.prop_map(|(organization, owner, scopes, expiry, networks)| {
        let api = "counterfoil";
        Operation::IssueToken { api, organization, owner, role: None, scopes, expiry, networks }
    });
    let role = option::of(select(vec!["viewer", "editor", "king"]));
    let issue = (select(vec!["orders", "costs"]), maybe(), option::of(person()), role);
    let issue = issue.prop_map(|(api, organization, owner, role)| {
        let (scopes, expiry, networks) = (Vec::new(), Expiry::Default, 0);
        let role = role.filter(|_| api == "costs");
        Operation::IssueToken { api, organization, owner, role, scopes, expiry, networks }
    });
    let changed = prop_oneof![
        Just(Changed::Name),
        scopes().prop_map(Changed::Scopes),
        expiry().prop_map(Changed::Expiry),
        (0..NETWORKS.len()).prop_map(Changed::Networks),
    ];
    let kind = || select(vec![AccountKind::Service, AccountKind::Service, AccountKind::Person]);
    let create = (kind(), any::<bool>(), option::weighted(0.9, pick()), rank());
    let create = create.prop_map(|(kind, email, organization, rank)| {
        // Mostly what makes sense.
        let email = email == (kind == AccountKind::Person);
        Operation::CreateAccount { kind, email, organization, rank }
    });
    let overlap = select(vec![Seconds(0), Seconds(60)]);
    let writes = prop_oneof![
        8 => manage,
        6 => issue,
        8 => (pick(), changed).prop_map(|(token, what)| Operation::ChangeToken { token, what }),
        5 => (pick(), any::<bool>()).prop_map(|(token, it)| Operation::PauseToken(token, it)),
        6 => (pick(), overlap).prop_map(|(token, it)| Operation::RotateToken(token, it)),
        3 => pick().prop_map(Operation::EndPreviousSecret),
        2 => pick().prop_map(Operation::RevokeToken),
        1 => pick().prop_map(Operation::RevokeTokens),
        6 => (pick(), pick()).prop_map(|(token, heir)| Operation::HandOverToken(token, heir)),
        2 => (maybe(), rank()).prop_map(|(home, rank)| Operation::Invite(home, rank)),
        5 => create,
        4 => person().prop_map(Operation::ChangeAccount),
        2 => pick().prop_map(Operation::ChangeOrganization),
        5 => (person(), any::<bool>()).prop_map(|(who, it)| Operation::SetAccountActive(who, it)),
        2 => person().prop_map(Operation::SetPassword),
        2 => person().prop_map(Operation::SetEmail),
        1 => Just(Operation::CreateOrganization),
        1 => pick().prop_map(Operation::CloseOrganization),
        5 => (pick(), person(), rank())
            .prop_map(|(home, who, rank)| Operation::SetMembership(home, who, rank)),
        4 => (pick(), person()).prop_map(|(home, who)| Operation::EndMembership(home, who)),
        1 => Just(Operation::Initialise),
    ];
    let reads = prop_oneof![
        3 => pick().prop_map(Operation::Token),
        3 => (maybe(), option::weighted(0.3, person()))
            .prop_map(|(organization, owner)| Operation::Tokens { organization, owner }),
        3 => person().prop_map(Operation::Account),
        2 => Just(Operation::Accounts),
        2 => pick().prop_map(Operation::Organization),
        1 => Just(Operation::Organizations),
        3 => (maybe(), maybe()).prop_map(|(organization, account)| Operation::Memberships {
            organization,
            account,
        }),
        3 => pick().prop_map(Operation::Refusal),
        3 => (maybe(), maybe(), maybe()).prop_map(|(organization, subject, actor)| {
            Operation::Audit { organization, subject, actor }
        }),
        3 => (maybe(), maybe())
            .prop_map(|(organization, token)| Operation::Usage { organization, token }),
        3 => pick().prop_map(Operation::Origins),
        1 => Just(Operation::InspectLedger),
    ];
    prop_oneof![2 => writes, 1 => reads]
}

/// The kinds of operation, each of which has to have been done and refused.
pub(super) const KINDS: [&str; 33] = [
    "initialise",
    "issue_token",
    "issue_token of the management API",
    "change_token",
    "set_token_paused",
    "rotate_token",
    "end_previous_secret",
    "revoke_token",
    "revoke_tokens",
    "hand_over_token",
    "invite",
    "create_account",
    "change_account",
    "set_account_active",
    "set_password",
    "set_email",
    "create_organization",
    "change_organization",
    "close_organization",
    "set_membership",
    "end_membership",
    "token",
    "tokens",
    "account",
    "accounts",
    "organization",
    "organizations",
    "memberships",
    "refusal",
    "audit",
    "usage",
    "origins",
    "inspect_ledger",
];

impl Operation {
    /// One of [`KINDS`].
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Initialise => "initialise",
            Self::IssueToken { api: "counterfoil", .. } => "issue_token of the management API",
            Self::IssueToken { .. } => "issue_token",
            Self::ChangeToken { .. } => "change_token",
            Self::PauseToken(..) => "set_token_paused",
            Self::RotateToken(..) => "rotate_token",
            Self::EndPreviousSecret(_) => "end_previous_secret",
            Self::RevokeToken(_) => "revoke_token",
            Self::RevokeTokens(_) => "revoke_tokens",
            Self::HandOverToken(..) => "hand_over_token",
            Self::Invite(..) => "invite",
            Self::CreateAccount { .. } => "create_account",
            Self::ChangeAccount(_) => "change_account",
            Self::SetAccountActive(..) => "set_account_active",
            Self::SetPassword(_) => "set_password",
            Self::SetEmail(_) => "set_email",
            Self::CreateOrganization => "create_organization",
            Self::ChangeOrganization(_) => "change_organization",
            Self::CloseOrganization(_) => "close_organization",
            Self::SetMembership(..) => "set_membership",
            Self::EndMembership(..) => "end_membership",
            Self::Token(_) => "token",
            Self::Tokens { .. } => "tokens",
            Self::Account(_) => "account",
            Self::Accounts => "accounts",
            Self::Organization(_) => "organization",
            Self::Organizations => "organizations",
            Self::Memberships { .. } => "memberships",
            Self::Refusal(_) => "refusal",
            Self::Audit { .. } => "audit",
            Self::Usage { .. } => "usage",
            Self::Origins(_) => "origins",
            Self::InspectLedger => "inspect_ledger",
        }
    }

    /// Whether its answer is a list, in which what cannot be seen is not missed.
    pub(super) fn lists(&self) -> bool {
        matches!(
            self,
            Self::Tokens { .. }
                | Self::Memberships { .. }
                | Self::Audit { .. }
                | Self::Usage { .. }
        )
    }

    /// Tries it.
    #[expect(clippy::too_many_lines, reason = "an arm for each operation")]
    pub(super) async fn perform(
        &self,
        world: &World,
        caller: &Caller,
        names: &Names<'_>,
    ) -> Outcome {
        let service = &world.app.service;
        let mut told = Answered::default();
        let mut secret = None;
        match self {
            Self::Initialise => {
                let email = "eve@example.com".parse().unwrap();
                service.initialise(caller, "Mine", email, None, None).await?;
            }
            Self::IssueToken { api, organization, owner, role, scopes, expiry, networks } => {
                let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
                let new = NewToken {
                    api: (*api).to_owned(),
                    organization: organization.map(|pick| names.organization(pick)),
                    name: None,
                    note: None,
                    owner: owner.map(|person| names.person(person)),
                    role: role.map(str::to_owned),
                    scopes: (!scopes.is_empty()).then(|| texts(scopes)),
                    expiry: *expiry,
                    allowed_networks: texts(NETWORKS[*networks]),
                    external_id: None,
                    metadata: None,
                };
                secret = Some(service.issue_token(caller, &new).await?);
            }
            Self::ChangeToken { token, what } => {
                let mut changes = TokenChanges::default();
                let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
                match what {
                    // Never the same twice.
                    Changed::Name => changes.name = Some(entropy::request_id().to_string()),
                    Changed::Scopes(scopes) => changes.scopes = Some(texts(scopes)),
                    Changed::Expiry(expiry) => changes.expiry = Some(*expiry),
                    Changed::Networks(n) => changes.allowed_networks = Some(texts(NETWORKS[*n])),
                }
                told.tokens
                    .push(service.change_token(caller, names.token(*token), &changes).await?);
            }
            Self::PauseToken(token, paused) => {
                let token = names.token(*token);
                told.tokens.push(service.set_token_paused(caller, token, *paused).await?);
            }
            Self::RotateToken(token, overlap) => {
                secret = Some(service.rotate_token(caller, names.token(*token), *overlap).await?);
            }
            Self::EndPreviousSecret(token) => {
                let token = names.token(*token);
                let found = service.token(&Caller::Operator, token).await;
                let previous = found.ok().and_then(|stored| stored.previous);
                let previous = previous.map(|it| rotation::mark(&it.digest)).unwrap_or_default();
                told.tokens.push(service.end_previous_secret(caller, token, &previous).await?);
            }
            Self::RevokeToken(token) => {
                told.tokens.push(service.revoke_token(caller, names.token(*token), "").await?);
            }
            Self::RevokeTokens(token) => {
                let token = names.token(*token);
                let ended = service.revoke_tokens(caller, &[token, token], "").await?;
                if let Some((_, error)) = ended.failed.into_iter().next() {
                    return Err(error);
                }
                told.tokens.push(service.store.token(ended.done[0]).await.unwrap().unwrap());
            }
            Self::HandOverToken(token, heir) => {
                let (token, heir) = (names.token(*token), names.account(*heir));
                told.tokens.push(service.hand_over_token(caller, token, heir).await?);
            }
            Self::Invite(organization, rank) => {
                let address = format!("{}@example.com", entropy::request_id());
                let organization = organization.map(|pick| names.organization(pick));
                let email = address.parse().unwrap();
                let invited = service.invite(caller, organization, email, *rank).await?;
                if let Caller::Member(member) = caller {
                    assert!(member.rank == Rank::Administrator || *rank == Rank::Member);
                    assert_eq!(invited.invitation.organization, member.organization);
                }
            }
            Self::CreateAccount { kind, email, organization, rank } => {
                let address = format!("{}@example.com", entropy::request_id());
                let new = NewAccount {
                    kind: *kind,
                    email: email.then(|| address.parse().unwrap()),
                    name: Some("somebody".into()),
                    external_id: None,
                    password: None,
                    organization: organization.map(|pick| (names.organization(pick), *rank)),
                };
                told.accounts.push(service.create_account(caller, new).await?);
            }
            Self::ChangeAccount(person) => {
                let name = Some(entropy::request_id().to_string());
                let changes = AccountChanges { name, ..AccountChanges::default() };
                let person = names.person(*person);
                told.accounts.push(service.change_account(caller, &person, &changes).await?);
            }
            Self::SetAccountActive(person, active) => {
                let person = names.person(*person);
                told.accounts.push(service.set_account_active(caller, &person, *active).await?);
            }
            Self::SetPassword(person) => {
                let password = "correct horse battery staple".to_owned().into();
                let person = names.person(*person);
                told.accounts.push(service.set_password(caller, &person, password).await?);
            }
            Self::SetEmail(person) => {
                let address = format!("{}@example.com", entropy::request_id());
                let person = names.person(*person);
                let email = address.parse().unwrap();
                told.accounts.push(service.set_email(caller, &person, &email).await?);
            }
            Self::CreateOrganization => {
                told.organizations
                    .push(service.create_organization(caller, "Another", None).await?);
            }
            Self::ChangeOrganization(pick) => {
                let name = Some(entropy::request_id().to_string());
                let changes = OrganizationChanges { name, ..OrganizationChanges::default() };
                let home = names.organization(*pick);
                told.organizations.push(service.change_organization(caller, home, &changes).await?);
            }
            Self::CloseOrganization(pick) => {
                let home = names.organization(*pick);
                told.organizations.push(service.close_organization(caller, home).await?);
            }
            Self::SetMembership(home, person, rank) => {
                let (home, person) = (names.organization(*home), names.person(*person));
                let set = service.set_membership(caller, home, &person, *rank);
                told.memberships.push(set.await?);
            }
            Self::EndMembership(home, person) => {
                let (home, person) = (names.organization(*home), names.person(*person));
                service.end_membership(caller, home, &person).await?;
            }
            Self::Token(token) => {
                told.tokens.push(service.token(caller, names.token(*token)).await?);
            }
            Self::Tokens { organization, owner } => {
                // As the interface has it: an owner has to be seen to be asked for.
                let owner = match owner.map(|person| names.person(person)) {
                    Some(owner) => Some(service.seen_account(caller, &owner).await?.id),
                    None => None,
                };
                let organization = organization.map(|pick| names.organization(pick));
                let filter = TokenFilter { organization, owner, ..TokenFilter::default() };
                told.tokens = service.tokens(caller, filter, all()).await?;
            }
            Self::Account(person) => {
                told.accounts.push(service.account(caller, &names.person(*person)).await?);
            }
            Self::Accounts => told.accounts = service.accounts(caller, None, all()).await?,
            Self::Organization(pick) => {
                let home = names.organization(*pick);
                told.organizations.push(service.organization(caller, home).await?);
            }
            Self::Organizations => {
                told.organizations = {
                    let filter = OrganizationFilter::default();
                    service.organizations(caller, filter, all()).await?
                };
            }
            Self::Memberships { organization, account } => {
                let filter = MembershipFilter {
                    organization: organization.map(|pick| names.organization(pick)),
                    account: account.map(|pick| names.account(pick)),
                    with_past: false,
                };
                told.memberships = service.memberships(caller, filter, all()).await?;
            }
            Self::Refusal(token) => {
                let id = names.refusal(*token);
                told.refusals.push(service.refusal(caller, id).await?);
            }
            Self::Audit { organization, subject, actor } => {
                let filter = EntryFilter {
                    organization: organization.map(|pick| names.organization(pick)),
                    subject: subject.map(|pick| *names.token(pick).as_bytes()),
                    actor: actor.map(|pick| names.token(pick)),
                };
                told.entries = service.audit(caller, filter, 0, 10_000).await?;
            }
            Self::Usage { organization, token } => {
                let wanted = WantedUsage {
                    organization: organization.map(|pick| names.organization(pick)),
                    token: token.map(|pick| names.token(pick)),
                    ..WantedUsage::default()
                };
                told.counts = service.usage(caller, wanted, all()).await?;
            }
            Self::Origins(token) => {
                let token = names.token(*token);
                let found = service.origins(caller, token, OriginKind::Address, 1).await?;
                told.origins = found.into_iter().map(|origin| (token, origin)).collect();
            }
            Self::InspectLedger => {
                service.inspect_ledger(caller, Box::new(|_, _| {})).await?;
            }
        }
        Ok((told, secret))
    }
}

fn all<Id>() -> Page<Id> {
    Page { after: None, limit: 10_000 }
}

/// What a caller is entitled to see.
pub(super) struct View<'a> {
    pub(super) caller: &'a Caller,
    pub(super) rows: &'a Rows,
}

impl View<'_> {
    pub(super) fn sees_organization(&self, id: OrganizationId) -> bool {
        match self.caller {
            Caller::Operator => true,
            Caller::Member(member) => member.organization == id,
        }
    }

    pub(super) fn sees_account(&self, id: AccountId) -> bool {
        match self.caller {
            Caller::Operator => true,
            Caller::Member(member) => {
                let own = member.rank == Rank::Administrator || member.account == id;
                own && self.rows.belongs(member.organization, id).is_some()
            }
        }
    }

    /// An entry of the ledger: the organization's own, or about somebody who belongs to it.
    pub(super) fn sees_entry(&self, stored: &StoredEntry) -> bool {
        let Caller::Member(member) = self.caller else { return true };
        let home = member.organization;
        let about = match (stored.entry.organization, stored.entry.subject) {
            (Some(organization), _) => organization == home,
            (None, Subject::Account(account)) => {
                let ever = self.rows.memberships.contains_key(&(home, account));
                ever && *stored.entry.kind != *"password_set"
            }
            _ => false,
        };
        about && member.rank == Rank::Administrator
    }

    pub(super) fn sees_token(&self, token: &StoredToken) -> bool {
        match self.caller {
            Caller::Operator => true,
            Caller::Member(member) => {
                let own = member.rank == Rank::Administrator || member.account == token.token.owner;
                own && self.sees_organization(token.token.organization)
            }
        }
    }
}

/// The names of things, as an operation calls them.
pub(super) struct Names<'a> {
    world: &'a World,
    view: &'a View<'a>,
    /// Whether what the caller may not see is called by names that nothing has.
    unknown: bool,
    /// What has been called so far that the caller may not see, and such a name for it.
    unseen: RefCell<Vec<(String, String)>>,
}

impl<'a> Names<'a> {
    pub(super) fn true_ones(world: &'a World, view: &'a View<'a>) -> Self {
        Self { world, view, unknown: false, unseen: RefCell::default() }
    }

    /// The same where the caller sees what is named; what is not seen has a name of nothing.
    pub(super) fn unknown_ones(world: &'a World, view: &'a View<'a>) -> Self {
        Self { world, view, unknown: true, unseen: RefCell::default() }
    }

    /// Whether anything has been called that the caller may not see.
    pub(super) fn include_unseen(&self) -> bool {
        !self.unseen.borrow().is_empty()
    }

    /// What an error says, with the names of nothing for what cannot be seen.
    pub(super) fn translated(&self, error: &ServiceError) -> String {
        let said = format!("{error:?}");
        self.unseen.borrow().iter().fold(said, |said, (name, other)| said.replace(name, other))
    }

    fn token(&self, pick: Pick) -> TokenId {
        let visible = |id| self.view.sees_token(&self.view.rows.tokens[&id]);
        let id = pick.of(&self.world.tokens, visible);
        let seen = visible(id);
        self.named(id, TokenId::new(nowhen(), NOTHING), seen)
    }

    fn account(&self, pick: Pick) -> AccountId {
        let id = pick.of(&self.world.accounts, |id| self.view.sees_account(id));
        self.named(id, AccountId::new(nowhen(), NOTHING), self.view.sees_account(id))
    }

    fn person(&self, person: Person) -> AccountName {
        let id = person.account.of(&self.world.accounts, |id| self.view.sees_account(id));
        let seen = self.view.sees_account(id);
        match &self.view.rows.accounts[&id].email {
            Some(email) if person.by_email => {
                let nobody = "nobody@example.com".parse().unwrap();
                AccountName::Email(self.named(email.clone(), nobody, seen))
            }
            _ => AccountName::Id(self.named(id, AccountId::new(nowhen(), NOTHING), seen)),
        }
    }

    fn organization(&self, pick: Pick) -> OrganizationId {
        let id = pick.of(&self.world.organizations, |id| self.view.sees_organization(id));
        let seen = self.view.sees_organization(id);
        self.named(id, OrganizationId::new(nowhen(), NOTHING), seen)
    }

    /// A refusal of a token that has just been noted.
    fn refusal(&self, pick: Pick) -> RequestId {
        let visible = |id| self.view.sees_token(&self.view.rows.tokens[&id]);
        let id = pick.of(&self.world.tokens, visible);
        let row = &self.view.rows.tokens[&id];
        let request_id = entropy::request_id();
        self.world.app.service.refusals.record(StoredRefusal {
            request_id,
            at: clock::now(),
            door: "gateway".into(),
            api: row.token.api.to_string(),
            code: "network_not_allowed".into(),
            about: String::new(),
            method: "GET".into(),
            path: "/".into(),
            client: None,
            client_request_id: None,
            matched: Some((id, row.token.organization)),
        });
        self.named(request_id, RequestId::new(nowhen(), NOTHING), visible(id))
    }

    fn named<T: Display>(&self, name: T, nothing: T, seen: bool) -> T {
        if seen {
            return name;
        }
        self.unseen.borrow_mut().push((name.to_string(), nothing.to_string()));
        if self.unknown { nothing } else { name }
    }
}

/// The entropy of ids that nothing has.
const NOTHING: [u8; 10] = [7; 10];

fn nowhen() -> Timestamp {
    Timestamp::from_millis(7)
}

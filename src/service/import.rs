//! Import: tokens that somebody else has issued go on here, known by their digests.
//!
//! All of an import is one order: every row that is not skipped becomes a token,
//! or nothing is changed. What is said of a row never repeats what stood in it,
//! because columns get mixed up, and then it is a secret.

use super::{
    Caller, Service, ServiceError,
    accounts::AccountName,
    check_external_id, check_line, check_name, check_text, management_api,
    tokens::{
        Expiry, NAME, NOTE, check_metadata, date, decide_expiry, decide_grant, read_networks,
    },
};
use crate::{
    clock, entropy,
    store::{
        AccountFilter, MembershipFilter, Order, OrganizationFilter, Page, Progress, StoreError,
    },
};
use counterfoil_core::{
    Timestamp,
    api::Api,
    id::{AccountId, OrganizationId, TokenId},
    ledger::{Change, ImportSource},
    time::Seconds,
    token::{Digest, Grant, Token},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The least entropy that a plain digest protects: fewer bits can be guessed.
pub(crate) const ENTROPY_BITS: u16 = 128;
/// How many characters may be shown of a secret's beginning, and of its end.
const SHOWN: (usize, usize) = (8, 4);
/// How many rows are named for each reason to skip one.
pub(crate) const NAMED: usize = 10;
/// How many mistakes are told; nobody reads more.
const MISTAKES: usize = 100;
/// How often a long check tells how far it is.
const PROGRESS_EVERY: usize = 1_000;

/// What holds for all of an import.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) api: String,
    pub(crate) from: ImportSource,
    /// What the operator attests of every secret.
    pub(crate) entropy_bits: u16,
    /// Whose the tokens are to be, where a row does not say.
    pub(crate) organization: Option<OrganizationId>,
    /// Who is to own all of them, whatever the rows say.
    pub(crate) owner: Option<String>,
    /// The grant, where a row has none.
    pub(crate) role: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    /// How long from now, where a row has no end; for ever, when absent.
    pub(crate) expires_in: Option<Seconds>,
    /// Only look whether it could be done.
    pub(crate) dry_run: bool,
}

/// One token as it was elsewhere.
#[derive(Debug)]
pub(crate) struct Row {
    /// Where it stands, in the numbers of whoever sends it.
    pub(crate) line: u32,
    pub(crate) digest: Digest,
    pub(crate) state: RowState,
    /// An id, an e-mail address or an external id.
    pub(crate) owner: Option<String>,
    /// An id or an external id.
    pub(crate) organization: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) allowed_networks: Vec<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) prefix: Option<String>,
    pub(crate) last_four: Option<String>,
}

/// What a token was elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowState {
    Active,
    /// It goes on paused.
    Paused,
    /// It stays where it ended.
    Revoked,
}

/// Why a row is passed over, which keeps no other from being imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Skip {
    Revoked,
    Expired,
    Known,
    /// Somebody has to do something about it.
    Alive,
}

impl Skip {
    /// For programs: never changes.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Known => "known",
            Self::Alive => "alive",
        }
    }

    /// For people.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Revoked => "revoked: it ended where it comes from",
            Self::Expired => "expired: it ended where it comes from",
            Self::Known => {
                "known already: this secret is a token's here, or was, whatever became of it"
            }
            Self::Alive => {
                "revoked there, but its token is alive here, with this secret or a newer one: \
                 revoke it"
            }
        }
    }
}

/// What is wrong with a row, for which nothing is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) line: u32,
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

/// Rows of which the same is to be said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) lines: Vec<u32>,
    /// All tokens that have to be looked after for them.
    pub(crate) tokens: Vec<TokenId>,
}

/// What became of an import, or would.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) rows: u64,
    /// How many tokens there are more; none where a row is wrong.
    pub(crate) tokens: u64,
    pub(crate) skipped: BTreeMap<Skip, Rows>,
    /// How many rows are wrong.
    pub(crate) wrong: u64,
    /// The first mistakes.
    pub(crate) mistakes: Vec<Mistake>,
}

/// The field that is wrong, and what would be right.
type Wrong = (&'static str, String);

fn wrong<T>(field: &'static str, message: impl Into<String>) -> Result<T, Wrong> {
    Err((field, message.into()))
}

/// An error about a field becomes a row's; the messages of those checks that
/// are used here repeat no value.
fn about_row(error: ServiceError) -> Wrong {
    match error {
        ServiceError::Invalid { field, message } => (field, message),
        other => ("row", other.to_string()),
    }
}

impl Service {
    /// Whether an import could begin: before its rows are looked at.
    pub(crate) fn check_import(
        &self,
        caller: &Caller,
        import: &Import,
    ) -> Result<(), ServiceError> {
        caller.is_operator()?;
        self.desk(import, clock::now()).map(|_| ())
    }

    /// Imports tokens by their digests: all of them, but those that are skipped,
    /// or none.
    pub(crate) async fn import_tokens(
        &self,
        caller: &Caller,
        import: &Import,
        rows: Vec<Row>,
        checking: Progress,
        writing: Progress,
    ) -> Result<Imported, ServiceError> {
        caller.is_operator()?;
        let now = clock::now();
        let mut desk = self.desk(import, now)?;
        let digests = rows.iter().map(|row| row.digest).collect();
        let known = self.store.known_digests(digests, now).await?;
        let total = rows.len();
        let mut outcome = Imported { rows: total as u64, ..Imported::default() };
        let mut seen: HashMap<Digest, u32> = HashMap::with_capacity(total);
        let mut changes = Vec::new();
        // In order, so that tokens are listed as the file has them, and their rows
        // are written side by side.
        let mut ids: Vec<TokenId> =
            rows.iter().map(|_| TokenId::new(now, entropy::bytes())).collect();
        ids.sort_unstable();
        for (at, (row, id)) in rows.into_iter().zip(ids).enumerate() {
            if at.is_multiple_of(PROGRESS_EVERY) {
                checking(at as u64, total as u64);
                tokio::task::yield_now().await;
            }
            let (line, digest) = (row.line, row.digest);
            let judged = if let Some(first) = seen.get(&row.digest) {
                wrong(
                    "digest",
                    format!("the same stands at {first} already; which of the two is right?"),
                )
            } else if let Some(alive) = known.get(&row.digest) {
                // What ended there since it was imported did not end here with it.
                let alive = alive.filter(|_| row.state == RowState::Revoked);
                Ok(Err((alive.map_or(Skip::Known, |_| Skip::Alive), alive)))
            } else if row.state == RowState::Revoked {
                Ok(Err((Skip::Revoked, None)))
            } else if row.expires_at.is_some_and(|end| end <= now) {
                Ok(Err((Skip::Expired, None)))
            } else {
                let paused = row.state == RowState::Paused;
                desk.token(self, row, id).await?.map(|token| Ok((token, paused)))
            };
            seen.entry(digest).or_insert(line);
            match judged {
                Ok(Ok((token, paused))) => {
                    outcome.tokens += 1;
                    let (from, entropy_bits) = (import.from, import.entropy_bits);
                    changes.push(Change::TokenImported {
                        token: Box::new(token),
                        from,
                        entropy_bits,
                        paused,
                    });
                }
                Ok(Err((skip, token))) => {
                    let rows = outcome.skipped.entry(skip).or_default();
                    rows.add(line);
                    rows.tokens.extend(token);
                }
                Err((field, message)) => {
                    outcome.wrong += 1;
                    if outcome.mistakes.len() < MISTAKES {
                        outcome.mistakes.push(Mistake { line, field, message });
                    }
                }
            }
        }
        checking(total as u64, total as u64);
        if outcome.wrong > 0 {
            outcome.tokens = 0;
        }
        if outcome.tokens > 0 && !import.dry_run {
            let changes = changes.into_iter().map(|change| (change, entropy::bytes())).collect();
            let (actor, standing) = (caller.into(), caller.standing());
            let order =
                Order { at: now, actor, standing, grounds: Vec::new(), changes, once: None };
            let made = self.store.commit_large(order, writing).await;
            let head = made.map_err(|error| match error {
                // Somebody left, or somebody else imported, between the look and the commit.
                StoreError::Conflict => ServiceError::Conflict(
                    "something that it depends on changed at the same moment, so nothing was \
                     imported; try again"
                        .into(),
                ),
                other => other.into(),
            })?;
            self.waits.wait(head.number, None).await;
        }
        Ok(outcome)
    }

    /// Checks what holds for all rows.
    fn desk<'a>(&self, import: &'a Import, now: Timestamp) -> Result<Desk<'a>, ServiceError> {
        let invalid = |field, message| Err(ServiceError::Invalid { field, message });
        let api = self.api(&import.api)?;
        if *api.name == *management_api::NAME {
            return invalid("api", "tokens of the management API are issued, not imported".into());
        }
        if import.entropy_bits < ENTROPY_BITS {
            return invalid(
                "entropy_bits",
                format!(
                    "at least {ENTROPY_BITS}: whoever sees the digest of a secret with fewer can \
                     find the secret by trying; have such tokens issued anew"
                ),
            );
        }
        if import.role.is_some() || import.scopes.is_some() {
            decide_grant(&api, import.role.as_deref(), import.scopes.as_deref())?;
        }
        if let Some(lifetime) = import.expires_in {
            decide_expiry(&api, Expiry::In(lifetime), now, now)?;
        }
        Ok(Desk { api, import, now, grants: HashMap::new(), holders: HashMap::new() })
    }
}

impl Imported {
    /// How many rows were passed over.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.values().map(|rows| rows.count).sum()
    }
}

impl Rows {
    fn add(&mut self, line: u32) {
        self.count += 1;
        if self.lines.len() < NAMED {
            self.lines.push(line);
        }
    }
}

/// A row's role and scopes, as it says them.
type Asked = (Option<String>, Option<Vec<String>>);
/// A row's organization and owner, as it says them.
type Holder = (Option<String>, String);

/// Where rows become tokens. Many rows say the same, so answers are kept.
struct Desk<'a> {
    api: std::sync::Arc<Api>,
    import: &'a Import,
    now: Timestamp,
    grants: HashMap<Asked, Result<Grant, Wrong>>,
    holders: HashMap<Holder, Result<(OrganizationId, AccountId), Wrong>>,
}

impl Desk<'_> {
    /// The token that a row becomes, or what is wrong with it.
    async fn token(
        &mut self,
        service: &Service,
        mut row: Row,
        id: TokenId,
    ) -> Result<Result<Token, Wrong>, ServiceError> {
        let Some(owner) = self.import.owner.clone().or(row.owner.take()) else {
            return Ok(wrong(
                "owner",
                "needed: an account's id, e-mail address or external id, in the row or for all",
            ));
        };
        let key = (row.organization.take(), owner);
        let holder = if let Some(known) = self.holders.get(&key) {
            known.clone()
        } else {
            let found = self.holder(service, &key).await?;
            self.holders.insert(key, found.clone());
            found
        };
        let (organization, owner) = match holder {
            Ok(holder) => holder,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let asked = (row.role.take(), row.scopes.take());
        let grant = if let Some(known) = self.grants.get(&asked) {
            known.clone()
        } else {
            let decided = self.grant(&asked);
            self.grants.insert(asked, decided.clone());
            decided
        };
        Ok(grant.and_then(|grant| self.finish(id, (organization, owner), grant, row)))
    }

    /// The account that is to own a row's token, and in which organization.
    async fn holder(
        &self,
        service: &Service,
        (organization, owner): &Holder,
    ) -> Result<Result<(OrganizationId, AccountId), Wrong>, ServiceError> {
        let organization = match organization {
            None => self.import.organization,
            Some(text) => match find_organization(service, text).await? {
                Ok(id) => Some(id),
                Err(wrong) => return Ok(Err(wrong)),
            },
        };
        let account = match find_account(service, owner, organization).await? {
            Ok(account) => account,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let filter = MembershipFilter { organization, account: Some(account), with_past: false };
        let memberships = service.store.memberships(filter, Page { after: None, limit: 2 }).await?;
        Ok(match (&memberships[..], organization) {
            ([only], _) => Ok((only.organization, account)),
            ([], Some(_)) => wrong("owner", "the account is not a member of the organization"),
            ([], None) => wrong("owner", "the account belongs to no open organization"),
            _ => wrong(
                "organization",
                "needed: the owner belongs to several; say which, in the row or for all",
            ),
        })
    }

    fn grant(&self, (role, scopes): &Asked) -> Result<Grant, Wrong> {
        let (mut role, mut scopes) = (role.as_deref(), scopes.as_deref());
        if role.is_none() && scopes.is_none() {
            (role, scopes) = (self.import.role.as_deref(), self.import.scopes.as_deref());
        }
        let some = |names: Vec<&str>| match names[..] {
            [] => "none".to_owned(),
            _ => names.join(", "),
        };
        if role.is_some_and(|name| self.api.role(name).is_none()) {
            let known = self.api.roles.iter().map(|role| &*role.name).collect();
            return wrong("role", format!("no role of the API, which has {}", some(known)));
        }
        let known: Vec<&str> = self.api.scopes.iter().map(|(scope, _)| scope.as_str()).collect();
        if scopes.unwrap_or_default().iter().any(|scope| !known.contains(&scope.as_str())) {
            return wrong("scopes", format!("no scopes of the API, which has {}", some(known)));
        }
        decide_grant(&self.api, role, scopes).map_err(about_row)
    }

    fn finish(
        &self,
        id: TokenId,
        (organization, owner): (OrganizationId, AccountId),
        grant: Grant,
        row: Row,
    ) -> Result<Token, Wrong> {
        let created_at = row.created_at.unwrap_or(self.now);
        if created_at > self.now {
            return wrong("created_at", "lies in the future");
        }
        let name = match row.name.as_deref().map(str::trim) {
            None | Some("") => date(created_at),
            Some(name) => check_name(name, NAME).map_err(about_row)?,
        };
        let networks = read_networks(&row.allowed_networks).or_else(|_| {
            wrong("allowed_networks", "expected networks, as in \"192.0.2.7\" or \"10.0.0.0/8\"")
        })?;
        let external_id = row.external_id.as_deref().map(check_external_id).transpose();
        Ok(Token {
            id,
            api: self.api.name.clone(),
            organization,
            owner,
            name,
            note: check_text("note", &row.note.unwrap_or_default(), NOTE).map_err(about_row)?,
            grant,
            created_at,
            expires_at: self.expiry(row.expires_at)?,
            allowed_networks: networks,
            external_id: external_id.map_err(about_row)?,
            metadata: row.metadata.map(check_metadata).transpose().map_err(about_row)?,
            prefix: self.beginning(&row.prefix.unwrap_or_default())?,
            last_four: shown("last_four", &row.last_four.unwrap_or_default(), SHOWN.1)?,
            digest: row.digest,
        })
    }

    /// A row without an end goes on without one. The longest life that the API
    /// allows is counted from now: what was before was not its to say.
    fn expiry(&self, end: Option<Timestamp>) -> Result<Option<Timestamp>, Wrong> {
        let asked = match (end, self.import.expires_in) {
            (Some(end), _) => Expiry::At(end),
            (None, Some(lifetime)) => Expiry::In(lifetime),
            (None, None) => Expiry::Never,
        };
        decide_expiry(&self.api, asked, self.now, self.now).map_err(|error| {
            let (_, message) = about_row(error);
            let hint = match asked {
                Expiry::Never => "; say how long those without an end are to live",
                _ => ", from now; give it an earlier end",
            };
            ("expires_at", message + hint)
        })
    }

    /// What the secret begins with, as far as it may be shown.
    fn beginning(&self, text: &str) -> Result<Box<str>, Wrong> {
        let own = self.api.tokens.prefix.as_str();
        let rest = text.strip_prefix(own).and_then(|rest| rest.strip_prefix('_'));
        if rest.is_some_and(|rest| !rest.contains('_')) {
            return wrong(
                "prefix",
                format!(
                    "what begins with {own}_ is taken for a token that was issued here, and has \
                     no such checksum; give the API another prefix"
                ),
            );
        }
        // What is shown may end before the prefix does.
        if text.chars().count() == SHOWN.0 && format!("{own}_").starts_with(text) {
            return wrong(
                "prefix",
                format!(
                    "what begins with {own}_ is taken for a token that was issued here, and this \
                     may; give the API another prefix, or leave the column out if it does not"
                ),
            );
        }
        shown("prefix", text, SHOWN.0)
    }
}

/// A part of a secret, short enough to be shown.
fn shown(field: &'static str, text: &str, most: usize) -> Result<Box<str>, Wrong> {
    if text.chars().count() > most {
        return wrong(field, format!("{most} characters at most: more gives too much away"));
    }
    check_line(field, text, most).map(Into::into).map_err(about_row)
}

async fn find_organization(
    service: &Service,
    text: &str,
) -> Result<Result<OrganizationId, Wrong>, ServiceError> {
    if let Ok(id) = text.parse()
        && service.store.organization(id).await?.is_some()
    {
        return Ok(Ok(id));
    }
    let filter = OrganizationFilter { external_id: Some(text.to_owned()), ..Default::default() };
    let found = service.store.organizations(filter, Page { after: None, limit: 2 }).await?;
    Ok(match &found[..] {
        [only] => Ok(only.id),
        [] => wrong("organization", "no organization has this id or external id"),
        _ => wrong("organization", "more than one organization has this external id"),
    })
}

/// By id or e-mail address; else by external id, among the members of the
/// organization where one is named.
async fn find_account(
    service: &Service,
    text: &str,
    organization: Option<OrganizationId>,
) -> Result<Result<AccountId, Wrong>, ServiceError> {
    let named = match text.parse() {
        Ok(AccountName::Id(id)) => service.store.account(id).await?,
        Ok(AccountName::Email(email)) => service.store.account_by_email(email).await?,
        Err(_) => None,
    };
    let found = if let Some(account) = named {
        vec![account]
    } else {
        let external_id = Some(text.to_owned());
        let filter = AccountFilter { external_id, organization, ..AccountFilter::default() };
        service.store.accounts(filter, Page { after: None, limit: 2 }).await?
    };
    Ok(match &found[..] {
        [only] if only.disabled_at.is_some() => {
            wrong("owner", "the account is disabled; enable it, or leave its tokens out")
        }
        [only] => Ok(only.id),
        [] => wrong("owner", "no account has this id, e-mail address or external id"),
        _ => wrong("owner", "more than one account has this external id; give its id"),
    })
}

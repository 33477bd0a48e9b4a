//! Who asks for an operation, and what they may.
//!
//! A caller with a token acts in one organization, that of the token, with the
//! token's scopes and the owner's rank: never with more than either allows. In the
//! console it is the organization that is looked at, and the rank decides alone.

use super::{ServiceError, management_api};
use crate::store::Standing;
use counterfoil_core::{
    Timestamp,
    account::Rank,
    id::{AccountId, OrganizationId, SessionId, TokenId},
    ledger::Actor,
    network::Network,
    scope::Scope,
};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Who runs Counterfoil, on its machine: may do everything.
    Operator,
    /// A member of an organization, with a token of the management API or in the console.
    Member(Member),
}

/// A member at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) account: AccountId,
    pub(crate) organization: OrganizationId,
    pub(crate) rank: Rank,
    pub(crate) via: Via,
    pub(crate) scopes: Vec<Scope>,
    /// When the caller's own token ends. A session hands out tokens that outlive it: who
    /// signs in can do so again.
    pub(crate) expires_at: Option<Timestamp>,
    /// Where the caller's own token may be used from.
    pub(crate) allowed_networks: Vec<Network>,
}

/// What shows who a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// A token of the management API.
    Token(TokenId),
    /// A session of the console.
    Session(SessionId),
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Operator => Self::Operator,
            Caller::Member(Member { account, via, .. }) => match *via {
                Via::Token(token) => Self::Token { account: *account, token },
                Via::Session(session) => Self::Session { account: *account, session },
            },
        }
    }
}

impl Caller {
    /// What decisions of theirs rest on; the operator's on nothing.
    pub(super) fn standing(&self) -> Option<Standing> {
        match *self {
            Self::Operator => None,
            Self::Member(Member { organization, account, rank, .. }) => {
                Some(Standing { organization, account, rank })
            }
        }
    }

    /// The account that acts; the operator has none.
    pub(crate) fn account(&self) -> Option<AccountId> {
        match self {
            Self::Operator => None,
            Self::Member(member) => Some(member.account),
        }
    }

    /// Passes where the caller holds `scope`.
    pub(crate) fn may(&self, scope: &str) -> Result<(), ServiceError> {
        match self {
            Self::Operator => Ok(()),
            Self::Member(member) if member.holds(scope) => Ok(()),
            Self::Member(_) => Err(Self::lacks(scope)),
        }
    }

    /// What whoever has a token without `scope` is told.
    pub(crate) fn lacks(scope: &str) -> ServiceError {
        ServiceError::Forbidden(format!("your token does not have the scope {scope}"))
    }

    /// Passes for the operator alone.
    pub(crate) fn is_operator(&self) -> Result<(), ServiceError> {
        match self {
            Self::Operator => Ok(()),
            Self::Member(_) => Err(ServiceError::Forbidden(
                "only the operator may do this, on the machine that Counterfoil runs on".into(),
            )),
        }
    }

    /// Passes for the operator and for administrators.
    pub(super) fn administers(&self) -> Result<(), ServiceError> {
        match self {
            Self::Member(Member { rank: Rank::Member, .. }) => {
                Err(ServiceError::Forbidden("only an administrator may do this".into()))
            }
            _ => Ok(()),
        }
    }

    /// The organization that the caller is confined to; the operator is confined to none.
    pub(super) fn home(&self) -> Option<OrganizationId> {
        match self {
            Self::Operator => None,
            Self::Member(member) => Some(member.organization),
        }
    }

    /// Whether the caller can see into `organization` at all.
    pub(super) fn reaches(&self, organization: OrganizationId) -> bool {
        self.home().is_none_or(|home| home == organization)
    }

    /// The account whose things alone the caller sees; administrators see everybody's.
    pub(super) fn confined_to(&self) -> Option<AccountId> {
        match self {
            Self::Member(Member { rank: Rank::Member, account, .. }) => Some(*account),
            _ => None,
        }
    }

    /// Passes where the caller holds each of `scopes`: nobody hands out more
    /// than they have.
    pub(super) fn holds_all<'a>(
        &self,
        mut scopes: impl Iterator<Item = &'a Scope>,
    ) -> Result<(), ServiceError> {
        scopes.try_for_each(|scope| self.may(scope.as_str()))
    }

    /// Passes where a token of the management API that ends at `expires_at` and
    /// may be used from `networks` reaches no further than the caller's own.
    pub(super) fn reaches_as_far(
        &self,
        expires_at: Option<Timestamp>,
        networks: &[Network],
    ) -> Result<(), ServiceError> {
        let Self::Member(member) = self else { return Ok(()) };
        let outlives = match (member.expires_at, expires_at) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(own), Some(other)) => other > own,
        };
        if outlives {
            return Err(ServiceError::Forbidden(
                "your token hands out none that outlives it; give an earlier end".into(),
            ));
        }
        let own = &member.allowed_networks;
        let inside = |network| own.iter().any(|own| own.covers(network));
        if !own.is_empty() && (networks.is_empty() || !networks.iter().all(inside)) {
            return Err(ServiceError::Forbidden(
                "your token hands out none for other networks than its own".into(),
            ));
        }
        Ok(())
    }
}

/// What whoever is signed in may: everything that a member can be given.
pub(super) fn of_a_session() -> Vec<Scope> {
    management_api::SCOPES.iter().filter_map(|(scope, _)| scope.parse().ok()).collect()
}

impl Member {
    /// The management API has no bare scopes: only the very scope will do.
    fn holds(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held.as_str() == scope)
    }
}

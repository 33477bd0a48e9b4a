//! What stands in a row, in whichever database.

use super::{LinkPurpose, OriginKind};
use counterfoil_core::{
    account::{AccountKind, Rank},
    id::AccountId,
};

pub(super) fn kind_name(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Person => "person",
        AccountKind::Service => "service",
    }
}

pub(super) fn parse_kind(name: &str) -> Option<AccountKind> {
    [AccountKind::Person, AccountKind::Service].into_iter().find(|kind| kind_name(*kind) == name)
}

pub(super) fn rank_name(rank: Rank) -> &'static str {
    match rank {
        Rank::Administrator => "administrator",
        Rank::Member => "member",
    }
}

pub(super) fn parse_rank(name: &str) -> Option<Rank> {
    [Rank::Administrator, Rank::Member].into_iter().find(|rank| rank_name(*rank) == name)
}

pub(super) fn origin_kind_name(kind: OriginKind) -> &'static str {
    match kind {
        OriginKind::Address => "address",
        OriginKind::UserAgent => "user_agent",
        OriginKind::Route => "route",
    }
}

const SET_UP: &str = "set_up";
const RESET: &str = "reset";

/// A link's kind, and whose password it resets.
pub(super) fn purpose_name(purpose: LinkPurpose) -> (&'static str, Option<AccountId>) {
    match purpose {
        LinkPurpose::SetUp => (SET_UP, None),
        LinkPurpose::Reset(account) => (RESET, Some(account)),
    }
}

pub(super) fn parse_purpose(kind: &str, account: Option<AccountId>) -> Option<LinkPurpose> {
    match (kind, account) {
        (SET_UP, None) => Some(LinkPurpose::SetUp),
        (RESET, Some(account)) => Some(LinkPurpose::Reset(account)),
        _ => None,
    }
}

/// A database's integers have a sign; a ledger of 2^63 entries does not exist.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

//! Refusals: an answer of no, with its true reason and what the caller may see of it.

use crate::{
    credential::Malformed,
    id::{OrganizationId, TokenId},
    limit::Throttled,
    time::Seconds,
};

/// The true reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Nothing that the API accepts was presented.
    MissingCredential,
    /// What was presented cannot be read, or could mean two things.
    MalformedCredential,
    /// There is no such token.
    UnknownToken,
    /// The token is for another API.
    WrongApi,
    /// The e-mail address is not the owner's.
    OwnerMismatch,
    /// The client ID is not this token's.
    ClientMismatch,
    /// E-mail address and password do not belong together, or nobody may use them.
    WrongPassword,
    /// The password is right, and its account has a second factor, which no request can show.
    SecondFactor,
    /// The password is right, and its account belongs to more than one organization.
    SeveralOrganizations,
    /// The password is right, and its account may not issue tokens of this API.
    NotAnIssuer,
    /// The token has expired, or was replaced and its overlap has ended.
    Expired,
    /// The token was revoked.
    Revoked,
    /// The token is paused.
    Paused,
    /// The owner's account is disabled, or the owner has left the organization.
    AccountDisabled,
    /// The organization is closed.
    OrganizationClosed,
    /// The token may not be used from there.
    NetworkNotAllowed,
    /// The token does not hold the scope that the route needs.
    InsufficientScope,
    /// The token has made too many requests.
    RateLimited,
    /// The token has too many requests in flight.
    TooManyInFlight,
    /// This node cannot vouch for what it knows.
    NodeStale,
}

impl Code {
    /// Every code, in the order of their severity in the documentation.
    pub const ALL: [Code; 20] = [
        Code::MissingCredential,
        Code::MalformedCredential,
        Code::UnknownToken,
        Code::WrongApi,
        Code::OwnerMismatch,
        Code::ClientMismatch,
        Code::WrongPassword,
        Code::SecondFactor,
        Code::SeveralOrganizations,
        Code::NotAnIssuer,
        Code::Expired,
        Code::Revoked,
        Code::Paused,
        Code::AccountDisabled,
        Code::OrganizationClosed,
        Code::NetworkNotAllowed,
        Code::InsufficientScope,
        Code::RateLimited,
        Code::TooManyInFlight,
        Code::NodeStale,
    ];

    /// The code as programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::MissingCredential => "missing_credential",
            Code::MalformedCredential => "malformed_credential",
            Code::UnknownToken => "unknown_token",
            Code::WrongApi => "wrong_api",
            Code::OwnerMismatch => "owner_mismatch",
            Code::ClientMismatch => "client_mismatch",
            Code::WrongPassword => "wrong_password",
            Code::SecondFactor => "second_factor",
            Code::SeveralOrganizations => "several_organizations",
            Code::NotAnIssuer => "not_an_issuer",
            Code::Expired => "expired",
            Code::Revoked => "revoked",
            Code::Paused => "paused",
            Code::AccountDisabled => "account_disabled",
            Code::OrganizationClosed => "organization_closed",
            Code::NetworkNotAllowed => "network_not_allowed",
            Code::InsufficientScope => "insufficient_scope",
            Code::RateLimited => "rate_limited",
            Code::TooManyInFlight => "too_many_in_flight",
            Code::NodeStale => "node_stale",
        }
    }

    /// The HTTP status that a refusal with this code is answered with.
    pub fn status(self) -> u16 {
        match self {
            Code::NetworkNotAllowed | Code::InsufficientScope => 403,
            Code::RateLimited | Code::TooManyInFlight => 429,
            Code::NodeStale => 503,
            _ => 401,
        }
    }

    /// What a stranger learns: every way in which a well-formed credential can
    /// fail to prove a token looks like a token that does not exist.
    #[must_use]
    pub fn outward(self) -> Code {
        match self {
            Code::WrongApi
            | Code::OwnerMismatch
            | Code::ClientMismatch
            | Code::WrongPassword
            | Code::SecondFactor
            | Code::SeveralOrganizations
            | Code::NotAnIssuer
            | Code::Expired
            | Code::Revoked
            | Code::Paused
            | Code::AccountDisabled
            | Code::OrganizationClosed => Code::UnknownToken,
            other => other,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An answer of no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The true reason.
    pub code: Code,
    /// What there is to say beyond the code.
    pub about: About,
    /// The token that the secret belongs to, and its organization, where one matched.
    pub matched: Option<(TokenId, OrganizationId)>,
}

/// What a refusal's code leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Nothing.
    Nothing,
    /// How the credential was malformed.
    Malformed(Malformed),
    /// The scope that was needed.
    Scope(String),
    /// How long to wait.
    RetryAfter(Seconds),
    /// What only the operator's log may say.
    Known(&'static str),
    /// How long to wait, and how the rates stand.
    Throttled(Box<Throttled>),
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Scope(scope) => write!(f, "the scope {scope} was needed"),
            Self::RetryAfter(seconds) => write!(f, "{seconds} to wait"),
            Self::Known(what) => f.write_str(what),
            Self::Throttled(throttled) => throttled.fmt(f),
        }
    }
}

impl Refusal {
    /// A refusal of which there is more to say where no stranger reads it.
    pub fn known(code: Code, what: &'static str) -> Self {
        Self { about: About::Known(what), ..Self::new(code) }
    }

    /// A refusal for which the code says it all.
    pub fn new(code: Code) -> Self {
        Self { code, about: About::Nothing, matched: None }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self { about: About::Malformed(malformed), ..Self::new(Code::MalformedCredential) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_its_name_status_and_outward_face() {
        let table = [
            (Code::MissingCredential, "missing_credential", 401, "missing_credential"),
            (Code::MalformedCredential, "malformed_credential", 401, "malformed_credential"),
            (Code::UnknownToken, "unknown_token", 401, "unknown_token"),
            (Code::WrongApi, "wrong_api", 401, "unknown_token"),
            (Code::OwnerMismatch, "owner_mismatch", 401, "unknown_token"),
            (Code::ClientMismatch, "client_mismatch", 401, "unknown_token"),
            (Code::WrongPassword, "wrong_password", 401, "unknown_token"),
            (Code::SecondFactor, "second_factor", 401, "unknown_token"),
            (Code::SeveralOrganizations, "several_organizations", 401, "unknown_token"),
            (Code::NotAnIssuer, "not_an_issuer", 401, "unknown_token"),
            (Code::Expired, "expired", 401, "unknown_token"),
            (Code::Revoked, "revoked", 401, "unknown_token"),
            (Code::Paused, "paused", 401, "unknown_token"),
            (Code::AccountDisabled, "account_disabled", 401, "unknown_token"),
            (Code::OrganizationClosed, "organization_closed", 401, "unknown_token"),
            (Code::NetworkNotAllowed, "network_not_allowed", 403, "network_not_allowed"),
            (Code::InsufficientScope, "insufficient_scope", 403, "insufficient_scope"),
            (Code::RateLimited, "rate_limited", 429, "rate_limited"),
            (Code::TooManyInFlight, "too_many_in_flight", 429, "too_many_in_flight"),
            (Code::NodeStale, "node_stale", 503, "node_stale"),
        ];
        assert_eq!(table.map(|(code, ..)| code), Code::ALL);
        for (code, name, status, outward) in table {
            assert_eq!(code.to_string(), name);
            assert_eq!(code.status(), status, "{name}");
            assert_eq!(code.outward().as_str(), outward);
            assert_eq!(code.outward().status(), status, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        let refusal = Refusal::from(Malformed::Repeated);
        assert_eq!(refusal.code, Code::MalformedCredential);
        assert_eq!(refusal.about, About::Malformed(Malformed::Repeated));
        assert_eq!(refusal.matched, None);
    }
}

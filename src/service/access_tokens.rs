//! Access tokens: obtained with a token, for the time being.

use super::{Service, ServiceError};
use crate::{access_tokens::NoAccessToken, entropy, signing::CannotSign, store::StoredToken};
use counterfoil_core::{
    Timestamp, access_token::AccessToken, api::Api, id::RequestId, scope::Scope, time::Seconds,
    verify::Identity,
};
use zeroize::Zeroizing;

/// An access token that has just been issued.
pub(crate) struct IssuedAccessToken {
    pub(crate) text: Zeroizing<String>,
    /// For how long it is good.
    pub(crate) expires_in: Seconds,
    pub(crate) scopes: Box<[Scope]>,
}

/// Why none is issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotIssued {
    #[error("the API {0} has no access tokens")]
    None(Box<str>),
    #[error("the scope {0} is not one that this token has")]
    Scope(Scope),
    #[error("an access token does not hold so many scopes; ask for fewer")]
    TooLong,
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl Service {
    /// When the last access token ends that was obtained with a token which is held back or
    /// ended since `at`, for those who verify it by themselves; none may be alive, where there
    /// is none. It is never too early, and may be later than need be.
    pub(crate) fn offline_until(&self, stored: &StoredToken, at: Timestamp) -> Option<Timestamp> {
        let last = self.access_tokens.last_end(&stored.token.api, at)?;
        // None outlives its token; but one that was changed may have been to end later.
        let end = stored.token.expires_at.filter(|_| stored.revision == 0);
        Some(end.map_or(last, |end| end.min(last))).filter(|last| *last > at)
    }

    /// An access token for whoever has proven to be `identity`, with these scopes, or with all
    /// that it has. It never outlives what it was obtained with.
    pub(crate) fn issue_access_token(
        &self,
        api: &Api,
        identity: Identity<'_>,
        wanted: Option<Vec<Scope>>,
        now: Timestamp,
    ) -> Result<IssuedAccessToken, NotIssued> {
        let none = || NotIssued::None(api.name.clone());
        let policy = api.access_tokens.ok_or_else(none)?;
        let issuer = self.access_tokens.issuer().ok_or_else(none)?;
        // A password is exchanged for nothing.
        let (token, secret) = identity.token().zip(identity.secret()).ok_or_else(none)?;
        let held = || identity.scopes(api);
        let scopes: Box<[Scope]> = match wanted {
            None => held().cloned().collect(),
            Some(wanted) => {
                let lacks = |scope: &&Scope| !held().any(|own| own.covers(scope.as_need()));
                if let Some(scope) = wanted.iter().find(lacks) {
                    return Err(NotIssued::Scope(scope.clone()));
                }
                wanted.into()
            }
        };
        // With less than all that its role allows it would claim too much.
        let whole = |own: &Scope| scopes.iter().any(|scope| scope.covers(own.as_need()));
        let role = identity.role(api).filter(|_| held().all(whole));
        let ends = [Some(now.plus(policy.lifetime)), identity.expires_at()];
        let expires_at = ends.into_iter().flatten().min().unwrap_or(now);
        let access_token = AccessToken {
            issuer,
            id: RequestId::new(now, entropy::bytes()).to_string().into(),
            audience: api.name.clone(),
            token,
            secret,
            account: identity.account(),
            organization: identity.organization(),
            role: role.map(Into::into),
            scopes,
            issued_at: now,
            expires_at,
        };
        let text = self.access_tokens.sign(policy.algorithm, &access_token, now);
        let text = text.map(Zeroizing::new).map_err(|error| match error {
            NoAccessToken::None => none(),
            NoAccessToken::CannotSign(CannotSign::TooLong) => NotIssued::TooLong,
            NoAccessToken::CannotSign(why) => ServiceError::Unavailable(why.to_string()).into(),
        })?;
        // Whole seconds, as it says itself.
        let left = expires_at.as_millis() / 1000 - now.as_millis() / 1000;
        let expires_in = Seconds(u64::try_from(left).unwrap_or_default());
        Ok(IssuedAccessToken { text, expires_in, scopes: access_token.scopes })
    }
}

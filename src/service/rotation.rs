//! A new secret for a token, and the end of the one before.

use super::{
    Caller, Service, ServiceError,
    accounts::AccountName,
    tokens::{Issued, check_whole},
};
use crate::{
    clock, entropy,
    store::{StoredToken, TokenState},
};
use counterfoil_core::{
    Timestamp,
    account::AccountKind,
    api::Api,
    id::TokenId,
    ledger::Change,
    time::Seconds,
    token::{Digest, Previous, Secret, Token},
};

/// What came of asking for a new secret in place of a certain one.
#[derive(Debug)]
pub(crate) enum Rotation {
    New(Box<Issued>),
    /// That one had been replaced before, by a secret that was shown then.
    Before,
}

/// What tells a token's secrets apart, and says nothing else of them.
pub(crate) fn mark(digest: &Digest) -> String {
    format!("{:016x}", u64::from_be_bytes(digest.mark()))
}

impl Service {
    /// Gives a token a new secret; the old one works for `overlap` more, but
    /// no longer than the token itself.
    pub(crate) async fn rotate_token(
        &self,
        caller: &Caller,
        id: TokenId,
        overlap: Seconds,
    ) -> Result<Issued, ServiceError> {
        caller.may("tokens:write")?;
        let stored = self.seen_token(caller, id).await?;
        let until = (overlap.0 > 0).then(|| clock::now().plus(overlap));
        self.rotate(caller, stored, until).await
    }

    /// The same up to a moment, if the secret is still the one with this [`mark`]: who asks
    /// twice for the same gets one new secret.
    pub(crate) async fn rotate_token_once(
        &self,
        caller: &Caller,
        id: TokenId,
        until: Option<Timestamp>,
        replaces: &str,
    ) -> Result<Rotation, ServiceError> {
        caller.may("tokens:write")?;
        let stored = self.seen_token(caller, id).await?;
        if mark(&stored.token.digest) != replaces {
            return Ok(Rotation::Before);
        }
        match self.rotate(caller, stored, until).await {
            Ok(issued) => Ok(Rotation::New(Box::new(issued))),
            // Somebody may have come first.
            Err(error @ ServiceError::Conflict(_)) => match self.seen_token(caller, id).await {
                Ok(stored) if mark(&stored.token.digest) != replaces => Ok(Rotation::Before),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the caller may give this token, which they see, a new secret now.
    pub(crate) async fn may_rotate(
        &self,
        caller: &Caller,
        stored: &StoredToken,
    ) -> Result<bool, ServiceError> {
        let may = match self.api(&stored.token.api) {
            Ok(api) => self.check_may_rotate(caller, stored, &api).await,
            Err(error) => Err(error),
        };
        match may {
            Ok(()) => Ok(true),
            Err(ServiceError::Unavailable(why)) => Err(ServiceError::Unavailable(why)),
            Err(_) => Ok(false),
        }
    }

    /// Ends the secret before the last rotation, if it is still the one with this [`mark`]:
    /// who decided on one does not end another.
    pub(crate) async fn end_previous_secret(
        &self,
        caller: &Caller,
        id: TokenId,
        previous: &str,
    ) -> Result<StoredToken, ServiceError> {
        caller.may("tokens:write")?;
        self.settle(caller, async |at| {
            let stored = self.seen_token(caller, id).await?;
            let lives = |found: &Previous| mark(&found.digest) == previous && at < found.until;
            let ended = stored.revoked_at.is_some();
            let Some(found) = stored.previous.filter(lives).filter(|_| !ended) else {
                return Ok((None, stored));
            };
            let change = Change::TokenPreviousEnded {
                token: id,
                organization: stored.token.organization,
                previous: found.digest,
            };
            let (previous, previous_last_used) = (None, None);
            Ok((Some(change), StoredToken { previous, previous_last_used, ..stored }))
        })
        .await
    }

    async fn rotate(
        &self,
        caller: &Caller,
        stored: StoredToken,
        until: Option<Timestamp>,
    ) -> Result<Issued, ServiceError> {
        let api = self.api(&stored.token.api)?;
        self.check_may_rotate(caller, &stored, &api).await?;
        let now = clock::now();
        let secret = Secret::mint(&api.tokens.prefix, &entropy::bytes());
        let Token { id, organization, digest: replaces, expires_at, .. } = stored.token;
        let previous_until = until
            .map(|until| expires_at.map_or(until, |end| end.min(until)))
            .filter(|until| now < *until);
        let token = Token {
            digest: secret.digest(),
            prefix: api.tokens.prefix.as_str().into(),
            last_four: secret.last_four().into(),
            ..stored.token
        };
        let rotated = Change::TokenRotated {
            token: id,
            organization,
            revision: stored.revision,
            replaces,
            previous_until,
            digest: token.digest,
            prefix: token.prefix.clone(),
            last_four: token.last_four.clone(),
        };
        // Somebody who rotated at the same moment has given away a secret that
        // this would end: that is for people to sort out, so no second try.
        let number = self.append(caller, now, [rotated], None).await?;
        let spread = self.waits.wait(number, None).await;
        let previous = previous_until.map(|until| Previous { digest: replaces, until });
        // What was used until now was used with what is the secret before, from now on.
        let previous_last_used = stored.present_last_used.clone();
        let present_last_used = None;
        let token =
            StoredToken { token, previous, present_last_used, previous_last_used, ..stored };
        Ok(Issued { token, secret, spread })
    }

    /// A new secret is as good as a new token: only a person's own hands get it.
    async fn check_may_rotate(
        &self,
        caller: &Caller,
        stored: &StoredToken,
        api: &Api,
    ) -> Result<(), ServiceError> {
        let token = &stored.token;
        check_whole(caller, api, token)?;
        if let Caller::Member(member) = caller
            && token.owner != member.account
        {
            let owner = self.stored_account(&AccountName::Id(token.owner)).await?;
            if owner.kind == AccountKind::Person {
                return Err(ServiceError::Forbidden(
                    "only its owner rotates a person's token; you may pause or revoke it".into(),
                ));
            }
        }
        if matches!(stored.state_at(clock::now()), TokenState::Revoked | TokenState::Expired) {
            return Err(ServiceError::Conflict(
                "the token has ended, and a new secret would not bring it back; issue a new one"
                    .into(),
            ));
        }
        Ok(())
    }
}

//! A verified access token.

use crate::claims::Claims;
use crate::scope::Scope;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An access token that was verified: whose it is, and what it may do.
///
/// Only [`Verifier::verify`](crate::Verifier::verify) makes one, so a function that takes one
/// cannot be called without the check. It holds the claims and not the token's text, which
/// neither `Debug` nor anything else can print. Cloning it copies a pointer.
///
/// It says what held when it was verified. Whoever keeps one for long, as over a WebSocket, ends
/// that at [`expires_at`](Self::expires_at).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken(Arc<Claims>);

impl AccessToken {
    pub(crate) fn new(claims: Claims) -> Self {
        Self(Arc::new(claims))
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.0
    }

    /// The token's own id (`jti`).
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The id of the account whose token it is (`sub`).
    pub fn account(&self) -> &str {
        &self.0.account
    }

    /// The id of the long-lived token that it was obtained with (`client_id`).
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// The id of the organization for which it may act.
    pub fn organization(&self) -> &str {
        &self.0.organization
    }

    /// The role that was granted, where it was a role.
    pub fn role(&self) -> Option<&str> {
        self.0.role.as_deref()
    }

    /// The scopes that were granted, as they are written. To ask whether something may be
    /// done use [`allows`](Self::allows): scopes cover others.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scope.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether the granted scopes cover `needed`: a bare `read` covers every `…:read`; nothing
    /// covers a bare scope but itself; `write` does not imply `read`.
    pub fn allows(&self, needed: &Scope) -> bool {
        self.scopes().any(|held| needed.is_covered_by(held))
    }

    /// When it was issued (`iat`).
    pub fn issued_at(&self) -> SystemTime {
        time(self.0.issued_at)
    }

    /// From when on it is refused (`exp`), but for an
    /// [`expiry_leeway`](crate::Builder::expiry_leeway).
    pub fn expires_at(&self) -> SystemTime {
        time(self.0.expires_at)
    }
}

/// Claims are in bounds in which this does not overflow.
fn time(unix: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix)
}

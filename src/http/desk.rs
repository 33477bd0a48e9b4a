//! The desk, where people do what programs do with `POST /authenticate`: exchange a token for an
//! access token. And have one read: what it says, whose it is, whether it is accepted now.

use super::door::{Common, Door, Doors, Seen};
use crate::{
    config::{Config, EXCHANGE},
    service::{Service, access_tokens::NotIssued},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use counterfoil_core::{
    Code, Refusal, Timestamp,
    access_token::{self, AccessToken},
    api::Api,
    credential::Headers,
    id::TokenId,
    route::Requirement,
    scope::Scope,
    time::Seconds,
    token::{Digest, State},
};
use serde_json::{Map, Value};
use std::{net::IpAddr, sync::Arc};
use zeroize::Zeroizing;

/// The longest text that is read at all.
const LONGEST: usize = 16 * 1024;

/// What is asked at.
pub(crate) struct Desk {
    doors: Doors,
    common: Common,
    service: Arc<Service>,
}

/// An access token that was just obtained.
pub(crate) struct Obtained {
    pub(crate) text: Zeroizing<String>,
    pub(crate) api: Arc<Api>,
    /// What it was obtained with.
    pub(crate) token: TokenId,
    pub(crate) scopes: Box<[Scope]>,
    pub(crate) expires_at: Timestamp,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotObtained {
    #[error("this is an access token already; it is used as it is until it ends")]
    IsOne,
    #[error("the token is refused: {}", .0.code)]
    Refused(Refusal),
    #[error(transparent)]
    NotIssued(#[from] NotIssued),
}

/// An access token, read.
pub(crate) struct Opened {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    /// What it says, where one of our keys has signed it.
    pub(crate) says: Option<Arc<AccessToken>>,
    /// Whether it would be accepted now, or why not.
    pub(crate) verdict: Result<Reach, Why>,
}

/// From where one is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Anywhere,
    /// From the networks alone that its token is bound to.
    ItsNetworks,
}

/// Why one is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) code: Code,
    /// The true reason, to go behind "refused: ".
    pub(crate) words: &'static str,
}

/// A text that is no JWT at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no access token: one is three parts of letters, digits, - and _ with dots between \
     them, and begins with eyJ"
)]
pub(crate) struct NoAccessToken;

/// One header line, as bearer tokens come.
#[derive(Clone, Copy)]
struct Bearer<'a>(&'a [u8]);

impl Headers for Bearer<'_> {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        (name == "authorization").then_some(self.0).into_iter()
    }
}

impl Desk {
    pub(crate) fn new(config: &Config, common: &Common, service: Arc<Service>) -> Self {
        let doors = Doors::new("authenticate", config, common);
        Self { doors, common: common.clone(), service }
    }

    /// Exchanges a secret for an access token with these scopes, or with all that it has. It
    /// counts as a use of the token, as it is one.
    pub(crate) fn exchange(
        &self,
        secret: &str,
        scopes: Option<Vec<Scope>>,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Obtained, NotObtained> {
        if access_token::is_plausible(secret) {
            return Err(NotObtained::IsOne);
        }
        let refused = |code| NotObtained::Refused(Refusal::new(code));
        let index = self.common.replica.index().ok_or_else(|| refused(Code::NodeStale))?;
        let missed = self.common.replica.may_miss_tokens();
        let unknown = if missed { Code::NodeStale } else { Code::UnknownToken };
        let entry = index.find(&Digest::of(secret)).ok_or_else(|| refused(unknown))?;
        let api = entry.api();
        let none = || NotObtained::NotIssued(NotIssued::None(api.into()));
        let door = self.doors.find(api).filter(|door| door.api.access_tokens.is_some());
        let door = door.ok_or_else(none)?;
        let line = line(secret);
        let seen = seen(&line, client, now);
        let admitted = door.judge(seen, Requirement::Any).map_err(NotObtained::Refused)?;
        let identity = admitted.identity().ok_or_else(|| refused(Code::MissingCredential))?;
        let token = identity.token().ok_or_else(|| refused(Code::MissingCredential))?;
        door.let_through(&admitted, seen);
        let issued = self.service.issue_access_token(&door.api, identity, scopes, now)?;
        Ok(Obtained {
            text: issued.text,
            api: door.api.clone(),
            token,
            scopes: issued.scopes,
            // It is in whole seconds.
            expires_at: now.beginning(Seconds(1)).plus(issued.expires_in),
        })
    }

    /// Reads an access token. Nothing counts it as used.
    pub(crate) fn read(&self, text: &str, now: Timestamp) -> Result<Opened, NoAccessToken> {
        let parts: Vec<&str> = text.split('.').collect();
        let ([header, claims, _], true) = (&parts[..], text.len() <= LONGEST) else {
            return Err(NoAccessToken);
        };
        let part = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
        };
        let (Some(header), Some(claims)) = (part(header), part(claims)) else {
            return Err(NoAccessToken);
        };
        let signing = self.common.access_tokens.signing();
        let says = signing.and_then(|signing| signing.open(text));
        let verdict = match &says {
            Some(says) => self.judge(text, says, now),
            None => Err(Why {
                code: Code::UnknownToken,
                words: "none of our keys has signed it, or one that was withdrawn",
            }),
        };
        Ok(Opened { header, claims, says, verdict })
    }

    fn judge(&self, text: &str, says: &AccessToken, now: Timestamp) -> Result<Reach, Why> {
        let why = |code, words| Err(Why { code, words });
        if self.common.access_tokens.issuer().is_none_or(|issuer| issuer != says.issuer) {
            let words = "it was issued under another server.public_url than the present one";
            return why(Code::UnknownToken, words);
        }
        let Some(door) = self.door(&says.audience) else {
            return why(Code::WrongApi, "its API has no access tokens any more, or is not here");
        };
        let line = line(text);
        let Err(refusal) = door.judge(seen(&line, None, now), Requirement::Any) else {
            return Ok(Reach::Anywhere);
        };
        // Where from is not asked here, and everything else was right.
        if refusal.code == Code::NetworkNotAllowed {
            return Ok(Reach::ItsNetworks);
        }
        why(refusal.code, self.words(refusal.code, says, now))
    }

    fn door(&self, api: &str) -> Option<&Door> {
        self.doors.find(api).filter(|door| door.api.access_tokens.is_some())
    }

    /// The true reason, as far as the token behind it is one.
    fn words(&self, code: Code, says: &AccessToken, now: Timestamp) -> &'static str {
        match code {
            Code::Expired if now >= says.expires_at => "it has ended",
            Code::Expired => "the secret that it was obtained with has ended",
            Code::Revoked => {
                let index = self.common.replica.index();
                let token = index.and_then(|index| index.find_by_id(says.token));
                match token {
                    None => "its token is not here",
                    Some(token) if token.state() == State::Revoked => "its token is revoked",
                    Some(_) if index.is_some_and(|index| index.denies(says.token)) => {
                        "the operator has this node deny its token"
                    }
                    Some(_) => {
                        "the secret that it was obtained with was replaced by a rotation, or its \
                         token was handed over"
                    }
                }
            }
            Code::Paused => "its token is paused",
            Code::AccountDisabled => "its token's owner is disabled, or has left the organization",
            Code::OrganizationClosed => "its organization is closed",
            Code::NodeStale => "this server cannot tell now whether its token is still good",
            _ => "its API does not take it",
        }
    }
}

fn line(bearer: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(bearer.len() + 7));
    line.push_str("Bearer ");
    line.push_str(bearer);
    line
}

fn seen(line: &str, client: Option<IpAddr>, at: Timestamp) -> Seen<'_, Bearer<'_>> {
    Seen { at, method: "POST", path: EXCHANGE, client, headers: Bearer(line.as_bytes()) }
}

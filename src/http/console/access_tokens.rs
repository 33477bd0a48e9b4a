//! Access tokens: what one is, how a token is exchanged for one, and what one says that somebody
//! has found. Nothing that is pasted here is kept, nor does it come back.

use super::{
    Again, Console, Form, Frame, Page, Trouble, Visitor,
    examples::{self, Example, Given},
    portal::in_words,
    token::scope_in_words,
    tokens::facts,
    visitor::Address,
    when::{When, when},
};
use crate::{
    clock,
    config::ProtectedApi,
    http::desk::{NotObtained, Obtained, Opened, Reach},
    service::{ServiceError, access_tokens::NotIssued},
    store::StoredToken,
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use counterfoil_core::{
    Timestamp,
    access_token::AccessToken,
    credential::Scheme,
    scope::Scope,
    token::{Digest, Grant},
};
use http::StatusCode;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/access-tokens", get(show))
        .route("/access-tokens/read", post(read).get(back))
        .route("/access-tokens/exchange", post(exchange).get(back))
}

/// What there is to say of an API's access tokens.
pub(crate) struct About {
    /// How long one lives.
    pub(crate) lifetime: String,
    pub(crate) algorithm: &'static str,
    /// A command that obtains one.
    pub(crate) line: String,
    /// In whose name they are signed.
    pub(crate) issuer: String,
    /// Where the keys are that verify them.
    pub(crate) keys: String,
}

#[derive(Template)]
#[template(path = "pages/access_tokens.html")]
struct AccessTokensPage {
    page: Frame,
    /// APIs that have some, and for how long one of theirs is good.
    apis: Vec<(String, String)>,
    read: Option<Read>,
    /// What is wrong with what was pasted to be read.
    read_error: String,
    /// And with what was pasted to be exchanged.
    exchange_error: String,
}

/// An access token in words, for who sees the token behind it.
struct Read {
    state: &'static str,
    word: &'static str,
    reason: String,
    token: String,
    href: String,
    hint: String,
    owner: String,
    api: String,
    may: String,
    issued: When,
    ends: When,
    algorithm: String,
    kid: String,
    id: String,
}

/// The one page with an access token in it.
#[derive(Template)]
#[template(path = "pages/access_token_reveal.html")]
struct RevealPage<'a> {
    page: Frame,
    apis: Vec<(String, String)>,
    read: Option<Read>,
    read_error: String,
    exchange_error: String,
    api: String,
    token: String,
    href: String,
    may: String,
    ends: When,
    secret: &'a str,
    examples: Vec<Example>,
}

impl Console {
    /// Whether any API has access tokens.
    pub(super) fn has_access_tokens(&self) -> bool {
        self.apis.iter().any(|api| api.api.access_tokens.is_some())
    }

    /// What there is to say of an API's access tokens, where it has some.
    pub(super) fn about_access_tokens(&self, api: &ProtectedApi) -> Option<About> {
        let policy = api.api.access_tokens?;
        let url = examples::exchange_url(&self.gateway_url, api);
        Some(About {
            lifetime: facts::span(policy.lifetime),
            algorithm: policy.algorithm.name(),
            line: examples::exchange(&url, examples::PLACEHOLDER).to_string(),
            issuer: self.public_url.clone(),
            keys: format!("{}/.well-known/jwks.json", self.public_url),
        })
    }

    fn access_tokens(&self, visitor: &Visitor) -> AccessTokensPage {
        AccessTokensPage {
            page: self.frame(visitor, "access_tokens"),
            apis: self.with_access_tokens(),
            read: None,
            read_error: String::new(),
            exchange_error: String::new(),
        }
    }

    fn with_access_tokens(&self) -> Vec<(String, String)> {
        let apis = self.apis.iter().filter_map(|protected| {
            let policy = protected.api.access_tokens?;
            Some((protected.api.name.to_string(), facts::span(policy.lifetime)))
        });
        apis.collect()
    }

    /// What an access token says, where the visitor sees the token behind it.
    async fn read(
        &self,
        visitor: &Visitor,
        text: &str,
        now: Timestamp,
    ) -> Result<Result<Read, String>, Trouble> {
        let caller = visitor.caller()?;
        let opened = match self.desk.read(text, now) {
            Ok(opened) => opened,
            Err(_) if self.is_secret(text) => {
                return Ok(Err("This is the secret of a token, not an access token. Exchange it \
                               for one below."
                    .into()));
            }
            Err(error) => return Ok(Err(facts::sentence(&error.to_string()))),
        };
        let Opened { header, says: Some(says), verdict, .. } = opened else {
            return Ok(Err(NOT_YOURS.into()));
        };
        let stored = match self.service.token(caller, says.token).await {
            Ok(stored) => stored,
            // No less is said than of one that nobody has signed.
            Err(ServiceError::NotFound(_)) => return Ok(Err(NOT_YOURS.into())),
            Err(error) => return Err(error.into()),
        };
        let owner = self.service.owner_of(caller, says.token).await?;
        let (state, word, reason) = match verdict {
            Ok(Reach::Anywhere) => ("live", "Accepted now", String::new()),
            Ok(Reach::ItsNetworks) => {
                ("live", "Accepted now", "From its token's networks alone.".into())
            }
            Err(why) => ("revoked", "Refused", facts::sentence(why.words)),
        };
        let said = |name: &str| {
            header.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let StoredToken { token, .. } = stored;
        Ok(Ok(Read {
            state,
            word,
            reason,
            href: format!("/tokens/{}", token.id),
            hint: format!("{}…{}", token.prefix, token.last_four),
            token: token.name,
            owner: owner.name,
            api: says.audience.to_string(),
            may: self.scopes_in_words(&says.audience, &says.scopes),
            issued: when(says.issued_at, now),
            ends: when(says.expires_at, now),
            algorithm: said("alg"),
            kid: said("kid"),
            id: AccessToken::clone(&says).id.into(),
        }))
    }

    /// Whether it is the secret of a token, or would be one.
    fn is_secret(&self, text: &str) -> bool {
        self.apis.iter().any(|api| {
            let prefix = &api.api.tokens.prefix;
            text.starts_with(prefix.as_str()) && prefix.is_plausible(text)
        })
    }

    fn scopes_in_words(&self, api: &str, scopes: &[Scope]) -> String {
        let api = self.known_api(api);
        if scopes.is_empty() {
            return match api {
                Some(api) if api.scopes.is_empty() => "everything that this API offers".into(),
                _ => "nothing".into(),
            };
        }
        let words = scopes.iter().map(|scope| scope_in_words(api.as_deref(), scope));
        words.collect::<Vec<_>>().join(", ")
    }

    /// The token with this secret, where the visitor is to use it: their own, or an
    /// administrator a program's.
    async fn usable(
        &self,
        visitor: &Visitor,
        secret: &str,
    ) -> Result<Option<StoredToken>, Trouble> {
        let caller = visitor.caller()?;
        let found = self.service.tokens_of_digests(caller, &[Digest::of(secret)]).await?;
        let Some(stored) = found.into_iter().flatten().next() else { return Ok(None) };
        let is_own = stored.token.owner == visitor.here.account.id;
        let is_usable = is_own
            || (visitor.is_administrator()
                && self.service.owner_of(caller, stored.token.id).await?.is_service);
        Ok(is_usable.then_some(stored))
    }
}

/// What is said of whatever is not theirs to see, forged or not.
const NOT_YOURS: &str = "This is no access token that you may see: its token is not yours, or \
                         nothing here has signed it, or its key has been withdrawn.";

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<AccessTokensPage>, Trouble> {
    visitor.caller()?;
    Ok(Page(console.access_tokens(&visitor)))
}

/// Whoever asks for an answer again gets the form: what was pasted is gone.
async fn back(_visitor: Visitor) -> Response {
    super::to("/access-tokens")
}

async fn read(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let page = console.access_tokens(&visitor);
    let text = form.text("access_token");
    let text = text.strip_prefix("Authorization:").unwrap_or(text).trim();
    let text = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    if text.is_empty() {
        let read_error = "Paste an access token.".to_owned();
        return Ok(Again(AccessTokensPage { read_error, ..page }).into_response());
    }
    Ok(match console.read(&visitor, text, clock::now()).await? {
        Ok(read) => Page(AccessTokensPage { read: Some(read), ..page }).into_response(),
        Err(read_error) => Again(AccessTokensPage { read_error, ..page }).into_response(),
    })
}

/// The answer with the access token in it. Nothing else has it.
async fn exchange(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Address(address): Address,
    form: Form,
) -> Result<Response, Trouble> {
    let page = console.access_tokens(&visitor);
    let again =
        |exchange_error: String| Again(AccessTokensPage { exchange_error, ..page }).into_response();
    let secret = form.text("secret");
    if secret.is_empty() {
        return Ok(again("Paste the secret of a token.".into()));
    }
    let now = clock::now();
    let obtained = match console.usable(&visitor, secret).await? {
        Some(stored) => {
            console.desk.exchange(secret, None, address, now).map(|obtained| (stored, obtained))
        }
        None if counterfoil_core::access_token::is_plausible(secret) => Err(NotObtained::IsOne),
        None => {
            return Ok(again(
                "This is not the secret of a token of yours. A person's token is exchanged by \
                 that person alone."
                    .into(),
            ));
        }
    };
    Ok(match obtained {
        Ok((stored, obtained)) => console.reveal_obtained(&visitor, stored, &obtained, now),
        Err(NotObtained::NotIssued(NotIssued::Service(error))) => return Err(error.into()),
        Err(NotObtained::Refused(refusal)) => {
            again(format!("{}. {}", in_words(refusal.code).0, in_words(refusal.code).1))
        }
        Err(other) => again(facts::sentence(&other.to_string())),
    })
}

impl Console {
    fn reveal_obtained(
        &self,
        visitor: &Visitor,
        stored: StoredToken,
        obtained: &Obtained,
        now: Timestamp,
    ) -> Response {
        let Ok(api) = self.api(&obtained.api.name) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let grant = Grant::Scopes(obtained.scopes.clone());
        let url = examples::url(&self.gateway_url, api, &grant);
        let given = Given { url: &url, secret: &obtained.text, client_id: "", email: None };
        Page(RevealPage {
            page: self.frame(visitor, "access_tokens"),
            apis: self.with_access_tokens(),
            read: None,
            read_error: String::new(),
            exchange_error: String::new(),
            api: obtained.api.name.to_string(),
            href: format!("/tokens/{}", stored.token.id),
            token: stored.token.name,
            may: self.scopes_in_words(&obtained.api.name, &obtained.scopes),
            ends: when(obtained.expires_at, now),
            secret: &obtained.text,
            examples: examples::examples(&api.api, Scheme::Bearer, &given),
        })
        .into_response()
    }
}

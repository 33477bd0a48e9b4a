//! Verifies Counterfoil's access tokens, for services that do so themselves.
//!
//! A client exchanges its long-lived token at Counterfoil for an access token: a JWT
//! (RFC 9068) that is signed by Counterfoil, ends soon, and is for one API. This crate tells
//! whether such a token is genuine, by the issuer's public keys alone, so that the service asks
//! nobody on the path of a request.
//!
//! ```no_run
//! use counterfoil_resource_server::{Refused, Verifier};
//!
//! # async fn example(token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! // Once, at the start: who issues, and the API's name in Counterfoil's configuration.
//! let verifier = Verifier::builder("https://tokens.example.com", "ingest").build().await?;
//!
//! // With each request: what follows `Authorization: Bearer `.
//! match verifier.verify(token).await {
//!     Ok(token) if token.allows(&"ingest:write".parse()?) => {
//!         println!("{} of {}", token.account(), token.organization());
//!     }
//!     Ok(_) => println!("403"),
//!     Err(Refused::NoKeys) => println!("503"),
//!     Err(refused) => println!("401, for the log: {refused}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With `tower` this is a layer, [`Verifier::guard`], which answers as RFC 6750 says; with the
//! feature `axum`, [`AccessToken`] is an argument of handlers behind it:
//!
//! ```no_run
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::post};
//! use counterfoil_resource_server::{AccessToken, Verifier};
//!
//! async fn ingest(token: AccessToken, body: String) -> String {
//!     format!("{} bytes for {}\n", body.len(), token.organization())
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = Verifier::builder("https://tokens.example.com", "ingest").build().await?;
//! let guard = verifier.guard().requires("ingest:write".parse()?);
//! let app: Router = Router::new().route("/ingest", post(ingest).route_layer(guard));
//! # Ok(())
//! # }
//! # }
//! ```
//!
//! # What cannot be known here
//!
//! Behind Counterfoil's gateway, forward auth and `/v1/verify`, revoked means revoked. A service
//! that verifies by itself does not hear of it. Until an access token's `exp`, it is accepted
//! here though in the meantime
//!
//! - the token that it was obtained with was revoked, paused or rotated,
//! - its account was disabled or has left the organization, or the organization was closed,
//! - its role or scopes were narrowed,
//! - or it is presented from a network from which it may not be used.
//!
//! So access tokens should live for minutes (`api.NAME.access_tokens.lifetime`), and what must
//! end at once is asked of Counterfoil: `POST /v1/verify`, or `POST /oauth2/introspect`. Nor is
//! known
//!
//! - whether somebody else has copied the token: whoever has it can use it. Give it TLS;
//! - what is counted elsewhere, as limits on rates are;
//! - the true time: tokens end by this machine's clock. A clock that is behind accepts what has
//!   ended;
//! - a key that the issuer has withdrawn, for up to [`Builder::refresh_within`], and for up to
//!   [`Builder::rely_on_keys_for`] while the issuer cannot be reached.
//!
//! # What is checked
//!
//! - The token has 16 KiB at most, which is looked at first; it is three parts in base64url, in
//!   the one form without padding, and its JSON names nothing twice.
//! - `typ` is `at+jwt`. Anything else that the issuer signs is no access token.
//! - `kid` names one of the issuer's keys, and the key says which algorithm it is for: `EdDSA`
//!   on Ed25519, or `ES256`. The header's `alg` has to agree, and decides nothing. `jku`, `x5u`,
//!   `jwk` and `x5c` are not looked at, `crit` is refused.
//! - `iss` and `aud` are exactly what was given to [`Verifier::builder`], and `aud` is one.
//! - `exp`, `nbf` if it is there, and `iat`, by the wall clock: see [`Builder::expiry_leeway`] and
//!   [`Builder::start_leeway`].
//! - `jti`, `sub`, `client_id` and `organization` are there; `role` and `scope` need not be.
//!
//! # Keys
//!
//! A task fetches the issuer's keys before they age, and when a token names a key that is not
//! known: one request at a time, and none in the ten seconds after the last, whatever clients
//! send. The issuer should publish a key some minutes before it signs with it. While the issuer
//! is down, what was fetched last is used.
//!
//! An answer has 64 KiB and five seconds at most; redirects are not followed. TLS trusts the
//! system's certificates, and those that the variable `SSL_CERT_FILE` names in their place.
//!
//! # Features
//!
//! - `axum`: the extractor.

mod access_token;
mod builder;
mod claims;
mod clock;
#[cfg(feature = "axum")]
mod extract;
mod fetch;
mod guard;
mod json;
mod jws;
mod keeper;
mod keys;
mod refused;
mod remembered;
mod scope;
#[cfg(test)]
mod tests;
mod verifier;

pub use access_token::AccessToken;
pub use builder::{BuildError, Builder};
#[cfg(feature = "axum")]
pub use extract::NotGuarded;
pub use guard::{Guard, Guarded};
pub use refused::Refused;
pub use scope::{NotAScope, Scope};
pub use verifier::Verifier;

//! Counterfoil's domain.
//!
//! Nothing here does I/O, reads a clock or draws randomness: time and entropy
//! are arguments. What a request presents becomes a [`credential`], its secret
//! a digest, the digest a token in the [`index`], and [`verify()`] turns token
//! and request into [`Admitted`] or a [`Refusal`].

pub mod access_token;
pub mod account;
pub mod api;
pub mod credential;
pub mod error_format;
pub mod id;
pub mod index;
pub mod lease;
pub mod ledger;
pub mod limit;
pub mod network;
pub mod path;
pub mod refusal;
pub mod route;
pub mod scope;
pub mod time;
pub mod token;
pub mod verify;

pub use refusal::{Code, Refusal};
pub use time::Timestamp;
pub use verify::{Admitted, Grounds, verify};

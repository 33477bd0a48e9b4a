//! What tests from outside have in common: an installation of the real program, its
//! server, an upstream, a caller, a browser, a mail server.
//!
//! Nothing here knows how the program works; what a test waits for, it waits
//! for with a bound, and every server, directory and port is the test's own.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it says so")]
#![expect(clippy::missing_panics_doc, reason = "the same")]
#![expect(
    missing_docs,
    reason = "only tests call these; a name that says it all need not be repeated"
)]

pub mod authenticator;
pub mod browser;
pub mod byte_upstream;
pub mod caller;
pub mod certificates;
pub mod forward;
pub mod installation;
pub mod lookalike;
pub mod mail;
pub mod pages;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod response;
pub mod server;
pub mod traefik;
pub mod upstream;
pub mod valve;
pub mod visitor;
mod webdriver;
pub mod wire;

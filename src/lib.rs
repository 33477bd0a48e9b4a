//! Counterfoil: the API-token server that a company runs beside its API.
//!
//! Direction: `main → lib → cli → http → app → {service, replica} → store → core`.
//! A library only so that fuzzing reaches its parsers; nothing else is for others.

mod access_tokens;
mod app;
mod cli;
mod clock;
mod config;
mod denials;
mod entropy;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod generated_page;
mod http;
mod jobs;
mod latency;
mod limiter;
mod loggable;
mod mail;
mod named_file;
mod refusals;
mod replica;
mod reserved_fields;
mod service;
mod signing;
mod store;
mod tally;
mod telemetry;
mod tls;
mod usage;
mod watch;

pub use cli::run;

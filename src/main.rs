//! Counterfoil: the API-token server that a company runs beside its API.
//!
//! Direction: `main → cli → http → app → {service, replica} → store → core`.

mod app;
mod cli;
mod clock;
mod config;
mod entropy;
#[cfg(test)]
mod generated_page;
mod http;
mod jobs;
mod loggable;
mod refusals;
mod replica;
mod reserved_fields;
mod service;
mod store;
mod telemetry;
mod usage;

fn main() -> std::process::ExitCode {
    cli::run()
}

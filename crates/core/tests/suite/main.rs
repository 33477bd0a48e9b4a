//! The rules that several modules of the core make together, as tables, transcripts and properties.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it says so")]

mod access_tokens;
mod challenges;
mod concurrency;
mod denied;
mod error_format;
mod grounds;
mod hostile_input;
mod limit_rates;
mod limit_script;
mod limit_slots;
mod look_alikes;
mod model;
mod passwords;
mod replay;
mod scene;
mod verify;
mod verify_model;

//! The console in a real browser: Chromium, driven as a person would use it.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it says so")]

mod access_tokens;
mod documents;
mod harness;
mod leak_desk;
mod leavers;
mod pages;
mod portal;
mod reveal;
mod token_page;
mod why;

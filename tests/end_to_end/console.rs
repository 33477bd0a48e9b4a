//! The console: what its pages answer, and what they refuse, without a browser.

mod portal;
mod token;
mod tokens;

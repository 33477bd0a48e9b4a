//! The console: what its pages answer, and what they refuse, without a browser.

mod tokens;

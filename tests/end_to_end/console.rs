//! The console: what a browser gets, and what it must not.

mod portal;

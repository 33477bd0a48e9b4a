//! The real program, from outside: its command line, its sockets, its files, and `curl`.
//!
//! Nothing here knows how the program works; what a test waits for, it waits
//! for with a bound, and every server, directory and port is the test's own.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it says so")]

mod command_line;
mod contracts;
mod durability;
mod gateway;
mod installation;
mod process;
mod response;
mod secrets;
mod server;
mod tampering;
mod trouble;
mod upstream;
mod wire;

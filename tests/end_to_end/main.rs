//! The real program, from outside: its command line, its sockets, its files, and `curl`.
//!
//! Nothing here knows how the program works; what a test waits for, it waits
//! for with a bound, and every server, directory and port is the test's own.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it says so")]

mod access_tokens;
mod command_line;
mod console;
mod contracts;
mod database;
mod deploy;
mod description;
mod durability;
mod floods;
mod forward_auth;
mod gateway;
mod hostile;
mod http2;
mod import;
mod leaks;
mod limits;
mod management;
mod nodes;
mod oauth;
mod passwords;
mod reload;
mod restore;
mod rows;
mod sample;
mod secrets;
mod shared_limits;
mod smuggling;
mod tampering;
mod tls;
mod trouble;
mod trusted_proxies;
mod usage;
mod verify;
mod why;

use counterfoil_support::{
    byte_upstream, caller, certificates, installation, postgres, process, redis, response, server,
    traefik, upstream, valve, wire,
};

//! A database server that speaks `PostgreSQL`'s protocol and has less than `PostgreSQL`: one stands
//! behind it, and what `CockroachDB` or `YugabyteDB` do not know by their own documents is made
//! unintelligible on its way there.
//!
//! What the two do otherwise is not shown by it: they are distributed, and have other locks, plans
//! and failures.

use crate::postgres::Postgres;
use std::{
    io::{self, Read, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// What at least one of the two does not know, and what is understood in its place: words of the
/// same length.
const UNKNOWN: [(&str, &str); 16] = [
    // Notifications.
    ("LISTEN ", "LISTE? "),
    ("pg_notify", "pg_notif_"),
    // Locks on tables, and those that are on nothing.
    ("LOCK TABLE", "LOCK TABL?"),
    ("advisory", "advisor_"),
    // Columns and functions that tell of the engine beneath.
    ("ctid", "cti_"),
    ("xmin", "xmi_"),
    ("txid_", "txi__"),
    ("pg_current_", "pg_curren__"),
    ("pg_is_in_recovery", "pg_is_in_recover_"),
    ("regcollation", "regcollatio_"),
    // A setting.
    ("plan_cache_mode", "plan_cache_mod_"),
    ("'fsync'", "'fsyn_'"),
    // Copies in binary form, and lists of no columns.
    ("COPY (", "COP? ("),
    ("SELECT FROM", "SELECT FRO?"),
    // Known, with results that are others.
    ("sha256(", "shahex("),
    ("version()", "versio_()"),
];

/// Not understood where a table is made or changed.
const IN_TABLES: (&str, &str) = ("COLLATE", "COLLAT?");

/// What [`UNKNOWN`] has in place of functions whose results are others, wherever tables are
/// looked for.
const FUNCTIONS: &str = "
    SET allow_system_table_mods = on;
    CREATE FUNCTION pg_catalog.shahex(bytea) RETURNS text LANGUAGE sql IMMUTABLE
        AS $$ SELECT encode(sha256($1), 'hex') $$;
    CREATE FUNCTION pg_catalog.versio_() RETURNS text LANGUAGE sql IMMUTABLE
        AS $$ SELECT 'CockroachDB, as it were'::text $$";

/// A listener on loopback that passes on what is understood.
#[derive(Debug)]
pub struct Lookalike {
    address: SocketAddr,
}

impl Lookalike {
    /// One in front of this server.
    pub fn of(server: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let port = server.port();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // The test may be at its end.
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                }
                let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || until_the_end(from, to, io::copy));
                thread::spawn(move || until_the_end(client, server, ask));
            }
        });
        Self { address }
    }

    /// A database of its own on that server, by its name.
    pub fn create_database(server: &Postgres) -> String {
        let database = server.create_database();
        server.run(&database, FUNCTIONS);
        database
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

fn until_the_end<T>(
    mut from: TcpStream,
    mut to: TcpStream,
    pass: impl Fn(&mut TcpStream, &mut TcpStream) -> io::Result<T>,
) {
    // However it ends, both ends are told.
    let _ = pass(&mut from, &mut to);
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Passes on messages, the first of which has no kind before its length.
fn ask(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    to.write_all(&message(from, Vec::new())?)?;
    loop {
        let mut kind = [0];
        from.read_exact(&mut kind)?;
        let mut message = message(from, kind.to_vec())?;
        // Statements, and not what they are given.
        if matches!(kind, [b'Q' | b'P']) {
            for (word, instead) in UNKNOWN {
                replace(&mut message, word, instead);
            }
            refuse_conflicts_of_expressions(&mut message);
            let is_of_tables = ["CREATE TABLE", "ALTER TABLE"];
            if is_of_tables.iter().any(|begin| find(&message, begin).is_some()) {
                replace(&mut message, IN_TABLES.0, IN_TABLES.1);
            }
        }
        to.write_all(&message)?;
    }
}

/// The rest of a message: its length, which counts itself, and what follows.
fn message(from: &mut impl Read, mut begun: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    begun.extend(length);
    let rest = u64::from(u32::from_be_bytes(length).saturating_sub(4));
    from.take(rest).read_to_end(&mut begun)?;
    Ok(begun)
}

/// A conflict is one of columns.
fn refuse_conflicts_of_expressions(text: &mut [u8]) {
    let begin = "ON CONFLICT (";
    if let Some(place) = find(text, begin) {
        let target = &mut text[place + begin.len()..];
        let first = target.iter().position(|&byte| matches!(byte, b'(' | b')'));
        if let Some(first) = first.filter(|&first| target[first] == b'(') {
            target[first] = b'?';
        }
    }
}

fn find(text: &[u8], word: &str) -> Option<usize> {
    text.windows(word.len()).position(|part| part == word.as_bytes())
}

fn replace(text: &mut [u8], word: &str, instead: &str) {
    assert_eq!(word.len(), instead.len());
    while let Some(place) = find(text, word) {
        text[place..][..word.len()].copy_from_slice(instead.as_bytes());
    }
}

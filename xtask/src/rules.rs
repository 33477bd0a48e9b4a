//! The house rules: what the compiler and clippy cannot know about where things belong here.
//!
//! Rules look at code, comments and literals separately (see [`Source`]), so a
//! rule's own needles, which are literals, never match it.

use crate::process::root;
use crate::source::{Source, mentions};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

const DIRECTORIES: &[&str] =
    &["src", "crates", "fuzz", "xtask", "tests", "bench", "benches", "examples"];
const MOST_LINES: usize = 700;

/// Words that have a better one in ARCHITECTURE.md, which stands above each; in
/// pieces, since literals are searched too.
const WORDS: &[&str] = &[
    // organization
    concat!("ten", "ant"),
    // token
    concat!("api", " key"),
    // role
    concat!("permission", " set"),
];
/// A token, in names of our own; literals may hold those of others' headers and schemes.
const NAMES: &[&str] = &[concat!("api", "_key"), concat!("api", "key")];

/// Checks every Rust file of the workspace; whether all keep to the rules.
pub(crate) fn run() -> Result<bool> {
    let mut files = Vec::new();
    for directory in DIRECTORIES {
        collect(&root().join(directory), &mut files)?;
    }
    files.sort();
    let mut broken = 0_usize;
    for path in &files {
        let text = fs::read_to_string(root().join(path)).with_context(|| path.clone())?;
        for finding in check(&Source::new(path, &text)) {
            println!("{path}:{finding}");
            broken += 1;
        }
    }
    println!("{} rules, {} files, {broken} broken", RULES.len(), files.len());
    Ok(broken == 0)
}

struct Rule {
    reason: &'static str,
    /// The lines that break it.
    find: fn(&Source) -> Vec<usize>,
}

const RULES: &[Rule] = &[
    Rule { reason: "a file begins by saying, in a `//!` line, what it is about", find: untitled },
    Rule { reason: "a file of more than 700 lines is two files", find: too_long },
    Rule { reason: "a module `x` with children is `x.rs` beside `x/`", find: mod_rs },
    Rule { reason: "a module is named for its subject; this name fits anything", find: nameless },
    Rule { reason: "SQL belongs in src/store", find: sql },
    Rule { reason: "only src/store knows its database driver", find: driver },
    Rule { reason: "status codes belong in src/http", find: status_code },
    Rule { reason: "src/service and src/store know nothing of HTTP", find: http_below },
    Rule {
        reason: "core does no I/O and has no threads, environment or randomness",
        find: core_io,
    },
    Rule { reason: "time is read in src/clock and handed on as an argument", find: clock },
    Rule { reason: "the environment is read in src/config", find: environment },
    Rule { reason: "a getter is named for what it returns", find: getter },
    Rule { reason: "a test that does not run is not a test", find: ignored },
    Rule {
        reason: "an exception from a lint is `#[expect(lint, reason = \"…\")]`", find: allowed
    },
    Rule { reason: "what is unfinished is not merged", find: unfinished },
    Rule { reason: "a test waits for what it waits for, not for a while", find: sleep },
    Rule {
        reason: "the words are those of ARCHITECTURE.md: organization, token, role",
        find: words,
    },
];

fn untitled(source: &Source) -> Vec<usize> {
    first_line(!source.text.starts_with("//! "))
}

fn too_long(source: &Source) -> Vec<usize> {
    match source.text.lines().count() {
        lines if lines > MOST_LINES => vec![lines],
        _ => vec![],
    }
}

fn mod_rs(source: &Source) -> Vec<usize> {
    first_line(source.path.ends_with("/mod.rs"))
}

fn nameless(source: &Source) -> Vec<usize> {
    const NAMES: &[&str] = &["utils", "util", "helpers", "helper", "misc", "common"];
    let mut found = first_line(source.names().any(|name| NAMES.contains(&name)));
    found.extend(code_lines(source, |code| {
        NAMES.iter().any(|name| {
            mentions(code, &format!("mod {name};")) || mentions(code, &format!("mod {name} {{"))
        })
    }));
    found
}

fn sql(source: &Source) -> Vec<usize> {
    const STATEMENTS: &[&str] = &[
        "ALTER TABLE ",
        "CREATE INDEX ",
        "CREATE TABLE ",
        "CREATE UNIQUE ",
        "DELETE FROM ",
        "DROP TABLE ",
        "INSERT ",
        "PRAGMA ",
        "SELECT ",
        "UPDATE ",
        "WITH RECURSIVE ",
    ];
    if !is_product(source) || source.is_in("src/store") {
        return vec![];
    }
    let is_sql = |literal: &str| {
        let words: Vec<&str> = literal.split_whitespace().take(3).collect();
        let start = words.join(" ");
        STATEMENTS.iter().any(|statement| start.starts_with(statement))
    };
    source
        .literals
        .iter()
        .filter(|(line, literal)| !source.lines[line - 1].test && is_sql(literal))
        .map(|(line, _)| *line)
        .collect()
}

fn driver(source: &Source) -> Vec<usize> {
    if !is_product(source) || source.is_in("src/store") {
        return vec![];
    }
    mentioned(source, &["deadpool_postgres", "rusqlite", "tokio_postgres"])
}

fn status_code(source: &Source) -> Vec<usize> {
    const GUARD: &str = "crates/resource-server/src/guard";
    const EXTRACT: &str = "crates/resource-server/src/extract";
    if !is_product(source) || ["src/http", GUARD, EXTRACT].iter().any(|room| source.is_in(room)) {
        return vec![];
    }
    mentioned(source, &["StatusCode"])
}

fn http_below(source: &Source) -> Vec<usize> {
    if !source.is_in("src/service") && !source.is_in("src/store") {
        return vec![];
    }
    mentioned(source, &["axum::", "hyper::", "hyper_util::", "http::"])
}

fn core_io(source: &Source) -> Vec<usize> {
    if !source.is_in("crates/core/src") {
        return vec![];
    }
    mentioned(
        source,
        &[
            "std::env",
            "std::fs",
            "std::process",
            "std::thread",
            "TcpListener",
            "TcpStream",
            "UdpSocket",
            "rand::",
            "getrandom::",
        ],
    )
}

fn clock(source: &Source) -> Vec<usize> {
    const ROOMS: [&str; 2] = ["src/clock", "crates/resource-server/src/clock"];
    if !is_product(source) || ROOMS.iter().any(|room| source.is_in(room)) {
        return vec![];
    }
    mentioned(
        source,
        &[
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "Uuid::now_v7",
            "clock_gettime",
        ],
    )
}

fn environment(source: &Source) -> Vec<usize> {
    if !is_product(source) || source.is_in("src/config") {
        return vec![];
    }
    mentioned(source, &["env::var"])
}

fn getter(source: &Source) -> Vec<usize> {
    code_lines(source, |code| mentions(code, "fn get_"))
}

fn ignored(source: &Source) -> Vec<usize> {
    code_lines(source, |code| code.contains("#[ignore"))
}

fn allowed(source: &Source) -> Vec<usize> {
    code_lines(source, |code| code.contains("#[allow(") || code.contains("#![allow("))
}

fn unfinished(source: &Source) -> Vec<usize> {
    lines(source, |index| {
        let line = &source.lines[index];
        ["todo!", "unimplemented!", "dbg!"].iter().any(|name| mentions(&line.code, name))
            || ["TODO", "FIXME", "XXX"].iter().any(|mark| mentions(&line.comment, mark))
    })
}

fn sleep(source: &Source) -> Vec<usize> {
    if source.path.starts_with("benches/") {
        return vec![];
    }
    lines(source, |index| {
        let line = &source.lines[index];
        line.test && ["thread::sleep", "time::sleep"].iter().any(|name| mentions(&line.code, name))
    })
}

fn words(source: &Source) -> Vec<usize> {
    let has = |text: &str, words: &[&str]| {
        let text = text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    let mut found = lines(source, |index| {
        let line = &source.lines[index];
        has(&line.code, WORDS) || has(&line.code, NAMES) || has(&line.comment, WORDS)
    });
    let literals = source.literals.iter();
    found.extend(literals.filter(|(_, literal)| has(literal, WORDS)).map(|(line, _)| *line));
    found
}

/// What is built into the server, as opposed to what tests, measures or checks it.
fn is_product(source: &Source) -> bool {
    source.path.starts_with("src/") || source.path.starts_with("crates/")
}

/// Lines, but those of tests, whose code has one of these names.
fn mentioned(source: &Source, names: &[&str]) -> Vec<usize> {
    lines(source, |index| {
        let line = &source.lines[index];
        !line.test && names.iter().any(|name| mentions(&line.code, name))
    })
}

fn code_lines(source: &Source, breaks: impl Fn(&str) -> bool) -> Vec<usize> {
    lines(source, |index| breaks(&source.lines[index].code))
}

fn lines(source: &Source, breaks: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..source.lines.len()).filter(|index| breaks(*index)).map(|index| index + 1).collect()
}

fn first_line(breaks: bool) -> Vec<usize> {
    if breaks { vec![1] } else { vec![] }
}

fn check(source: &Source) -> Vec<String> {
    RULES
        .iter()
        .flat_map(|rule| (rule.find)(source).into_iter().map(move |line| (line, rule)))
        .map(|(line, rule)| format!("{line}: {}", rule.reason))
        .collect()
}

/// The Rust files under a directory that may be missing, as paths from the workspace's.
fn collect(directory: &Path, files: &mut Vec<String>) -> Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(root()).context("a file of elsewhere")?;
            files.push(path.to_str().context("a name that is not UTF-8")?.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Find = fn(&Source) -> Vec<usize>;

    #[track_caller]
    fn breaks(find: Find, path: &str, text: &str) {
        let found = find(&Source::new(path, text));
        assert!(!found.is_empty(), "{path} should break the rule: {text}");
    }

    #[track_caller]
    fn keeps(find: Find, path: &str, text: &str) {
        let found = find(&Source::new(path, text));
        assert!(found.is_empty(), "{path} keeps the rule: {text}: {found:?}");
    }

    fn in_test(code: &str) -> String {
        format!("#[cfg(test)]\nmod tests {{\n{code}\n}}")
    }

    #[test]
    fn files_have_a_title() {
        breaks(untitled, "src/x.rs", "use a;");
        breaks(untitled, "src/x.rs", "// About x.");
        keeps(untitled, "src/x.rs", "//! About x.\nuse a;");
    }

    #[test]
    fn files_end() {
        breaks(too_long, "src/x.rs", &"\n".repeat(MOST_LINES + 1));
        keeps(too_long, "src/x.rs", &"\n".repeat(MOST_LINES));
    }

    #[test]
    fn modules_have_files_of_their_name() {
        breaks(mod_rs, "src/store/mod.rs", "");
        keeps(mod_rs, "src/store.rs", "");
    }

    #[test]
    fn modules_have_subjects() {
        breaks(nameless, "src/utils.rs", "");
        breaks(nameless, "tests/common/server.rs", "");
        breaks(nameless, "src/x.rs", "pub(crate) mod helpers {");
        keeps(nameless, "src/x.rs", "mod commonwealth;");
    }

    #[test]
    fn sql_is_the_stores() {
        let query = "x(\"\n  SELECT\n  id FROM token\");";
        breaks(sql, "src/service/tokens.rs", query);
        assert_eq!(sql(&Source::new("src/x.rs", query)), [1]);
        breaks(sql, "src/x.rs", "x(r#\"PRAGMA foreign_keys\"#)");
        keeps(sql, "src/store/sqlite.rs", query);
        keeps(sql, "tests/store.rs", query);
        keeps(sql, "src/x.rs", &in_test(query));
        keeps(sql, "src/x.rs", "// \"SELECT id\"\nx(\"SELECTED one\")");
    }

    #[test]
    fn drivers_are_the_stores() {
        breaks(driver, "src/replica.rs", "use rusqlite::Connection;");
        keeps(driver, "src/store/sqlite.rs", "use rusqlite::Connection;");
        keeps(driver, "src/replica.rs", "use crate::store::Store;");
    }

    #[test]
    fn status_codes_are_for_http() {
        breaks(status_code, "src/service.rs", "StatusCode::OK");
        breaks(status_code, "crates/resource-server/src/verifier.rs", "StatusCode::OK");
        keeps(status_code, "src/http/error.rs", "StatusCode::OK");
        keeps(status_code, "crates/resource-server/src/guard.rs", "StatusCode::OK");
        keeps(status_code, "src/service.rs", "// A StatusCode is not ours.");
    }

    #[test]
    fn services_and_stores_know_no_http() {
        breaks(http_below, "src/service/tokens.rs", "use axum::Json;");
        breaks(http_below, "src/store.rs", "crate::http::error()");
        keeps(http_below, "src/http/api.rs", "use axum::Json;");
        keeps(http_below, "src/service.rs", "use crate::store::Store;");
    }

    #[test]
    fn core_does_no_io() {
        breaks(core_io, "crates/core/src/index.rs", "std::fs::read(x)");
        keeps(core_io, "crates/core/src/network.rs", "std::net::IpAddr");
        keeps(core_io, "crates/core/src/x.rs", &in_test("std::thread::scope(f)"));
        keeps(core_io, "src/main.rs", "std::fs::read(x)");
    }

    #[test]
    fn time_has_one_room() {
        breaks(clock, "src/replica.rs", "let now = Instant::now();");
        breaks(clock, "crates/core/src/x.rs", "std::time::SystemTime::now()");
        breaks(clock, "crates/resource-server/src/keeper.rs", "Instant::now()");
        keeps(clock, "src/clock.rs", "SystemTime::now()");
        keeps(clock, "crates/resource-server/src/clock.rs", "SystemTime::now()");
        keeps(clock, "xtask/src/test.rs", "Instant::now()");
        keeps(clock, "src/replica.rs", "clock.now()");
    }

    #[test]
    fn the_environment_has_one_room() {
        breaks(environment, "src/cli.rs", "std::env::var(\"HOME\")");
        keeps(environment, "src/config/file.rs", "std::env::var(\"HOME\")");
        keeps(environment, "src/cli.rs", "env!(\"CARGO_PKG_VERSION\")");
    }

    #[test]
    fn getters_have_no_prefix() {
        breaks(getter, "src/x.rs", "pub fn get_name(&self)");
        keeps(getter, "src/x.rs", "pub fn name(&self) { self.get_mut() }");
    }

    #[test]
    fn tests_run() {
        breaks(ignored, "tests/x.rs", "#[ignore = \"slow\"]");
        keeps(ignored, "tests/x.rs", "#[test]");
    }

    #[test]
    fn exceptions_expire() {
        breaks(allowed, "src/x.rs", "#[allow(dead_code)]");
        breaks(allowed, "src/x.rs", "#![allow(dead_code)]");
        keeps(allowed, "src/x.rs", "#[expect(dead_code, reason = \"x\")]");
    }

    #[test]
    fn code_is_finished() {
        breaks(unfinished, "src/x.rs", "todo!()");
        breaks(unfinished, "src/x.rs", "// FIXME: later");
        keeps(unfinished, "src/x.rs", "let x = \"todo!\"; // done");
    }

    #[test]
    fn tests_do_not_sleep() {
        breaks(sleep, "tests/x.rs", "std::thread::sleep(second)");
        breaks(sleep, "src/x.rs", &in_test("tokio::time::sleep(second)"));
        keeps(sleep, "src/x.rs", "tokio::time::sleep(second)");
        keeps(sleep, "tests/x.rs", "tokio::time::advance(second)");
    }

    #[test]
    fn words_are_ours() {
        let (customer, key, name) = (WORDS[0], WORDS[1], NAMES[0]);
        breaks(words, "src/x.rs", &format!("let {customer} = 1;"));
        breaks(words, "src/x.rs", &format!("/// An {key}."));
        breaks(words, "src/x.rs", &format!("x(\"no such {key}\")"));
        breaks(words, "src/x.rs", &format!("fn {name}() {{}}"));
        keeps(words, "src/x.rs", "x(\"x-api-key\", \"ApiKey\") // ApiKey");
    }

    #[test]
    fn findings_name_line_and_reason() {
        let source = Source::new("src/x.rs", "//! X.\ntodo!()");
        assert_eq!(check(&source), ["2: what is unfinished is not merged"]);
    }
}

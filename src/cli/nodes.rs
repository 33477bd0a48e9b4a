//! `counterfoil nodes`.

use super::{Failure, Global, operator::Operator, output, progress::progress};
use clap::{Args, Subcommand};
use counterfoil_core::lease::Length;
use http::Method;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = NODES)]
pub(crate) struct Nodes {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set L: for how long nodes verify without the database, and answers wait at worst
    #[command(after_help = LEASE)]
    Lease {
        /// From 2 to 600
        #[arg(value_parser = clap::value_parser!(u64).range(
            Length::MIN.seconds()..=Length::MAX.seconds()
        ))]
        seconds: u64,
    },
}

const NODES: &str = "\
What is told is what the node on the data directory sees. STATE is when it saw a renewal of the \
other's lease, by its own clock; one that is silent is struck off once it was for L, and is waited \
for no more. BEHIND is how many entries of the ledger a node has not acknowledged. KNOWS is the \
version of the list of kinds of entries that it can apply. CONFIGURATION is the beginning of the \
digest of its APIs: where it differs, requests are judged by that of the node they come to.";

const LEASE: &str = "\
To make L longer is done at once. To make it shorter takes as long as it was: leases that are out \
there have to end before answers to changes wait for less. To interrupt the command harms nothing. \
The server goes on without it; where none runs, or where it was stopped meanwhile, run the command \
again.";

pub(crate) async fn run(global: &Global, nodes: Nodes) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let result = match nodes.command {
        None => list(global, &operator).await,
        Some(Command::Lease { seconds }) => set_lease(global, &operator, seconds).await,
    };
    operator.close().await;
    result
}

async fn list(global: &Global, operator: &Operator) -> Result<(), Failure> {
    let found = operator.call(Method::GET, "/v1/nodes", None).await?;
    if global.json {
        return Ok(output::json(&found)?);
    }
    let nodes: Vec<&Value> = found["items"].as_array().into_iter().flatten().collect();
    if global.quiet {
        for node in nodes {
            output::print(format_args!("{}", output::text(&node["id"])))?;
        }
        return Ok(());
    }
    if found["lease"].is_null() {
        return Ok(output::print(format_args!(
            "One node, this one: its database is SQLite, which it has to itself. There is no \
             lease, and every change is effective at once.\n{}",
            output::facts(&[("head", output::text(&found["head"]))])
        ))?);
    }
    if nodes.is_empty() {
        output::note(format_args!("No node runs on this database."));
    } else {
        output::table(&HEADINGS, nodes.iter().map(|node| row(node)))?;
    }
    output::print(format_args!("\n{}", output::facts(&lease(&found))))?;
    warn(&found, &nodes);
    Ok(())
}

const HEADINGS: [&str; 9] =
    ["node", "name", "state", "entry", "behind", "knows", "configuration", "version", "joined"];

/// How much of a digest or an id tells one from another.
const TELLING: usize = 8;

fn row(node: &Value) -> Vec<String> {
    let is_this = node["is_this"] == json!(true);
    let name = output::text(&node["name"]);
    let configuration = beginning(&node["configuration"]);
    vec![
        beginning(&node["id"]),
        if is_this { format!("{name} (this)") } else { name },
        state(node),
        output::text(&node["acknowledged"]),
        output::text(&node["lag"]),
        output::text(&node["knows"]),
        if node["configuration_differs"] == json!(true) {
            format!("{configuration} differs")
        } else {
            configuration
        },
        output::text(&node["version"]),
        output::text(&node["joined_at"]),
    ]
}

fn beginning(value: &Value) -> String {
    output::text(value).chars().take(TELLING).collect()
}

fn state(node: &Value) -> String {
    let ago = node["renewed_ms_ago"].as_u64().map(seconds);
    match (node["state"].as_str(), ago) {
        (Some("renewing"), Some(ago)) => format!("renewed {ago} ago"),
        (Some("silent"), Some(ago)) => format!("silent for {ago}"),
        (Some("unknown"), _) => "not seen to renew yet".to_owned(),
        (state, _) => state.unwrap_or_default().to_owned(),
    }
}

/// Milliseconds as people read them.
fn seconds(milliseconds: u64) -> String {
    if milliseconds < 10_000 {
        format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
    } else {
        format!("{} s", milliseconds / 1000)
    }
}

/// L, and what there is of this node's own lease.
fn lease(found: &Value) -> Vec<(&'static str, String)> {
    let lease = &found["lease"];
    let (length, wait) = (output::text(&lease["seconds"]), output::text(&lease["wait_seconds"]));
    let left = match lease["left_ms"].as_u64() {
        Some(0) => "none: this node verifies nothing".to_owned(),
        Some(left) => format!("{} left", seconds(left)),
        None => String::new(),
    };
    let round_trip = lease["round_trip_ms"].as_f64();
    let database = match (lease["database_answers"] == json!(true), round_trip) {
        (true, Some(took)) => format!("answers; the last renewal took {took:.1} ms"),
        (true, None) => "answers".to_owned(),
        (false, _) => {
            let ago = seconds(lease["seen_ms_ago"].as_u64().unwrap_or_default());
            format!("does not answer; this is what was seen {ago} ago")
        }
    };
    vec![
        (
            "L",
            if length == wait {
                format!("{length} s")
            } else {
                format!(
                    "{length} s; answers to changes still wait for {wait} s at worst, until \
                     `counterfoil nodes lease {length}` has come to its end"
                )
            },
        ),
        ("this lease", left),
        ("head", output::text(&found["head"])),
        ("database", database),
    ]
}

/// What an operator should do something about.
fn warn(found: &Value, nodes: &[&Value]) {
    let names = |is_so: &dyn Fn(&Value) -> bool| {
        let names: Vec<_> =
            nodes.iter().filter(|n| is_so(n)).map(|n| output::text(&n["name"])).collect();
        names.join(", ")
    };
    let differing = names(&|node| node["configuration_differs"] == json!(true));
    if !differing.is_empty() {
        output::note(format_args!(
            "\nOther APIs than this node's ({}) have: {differing}. Make the configurations alike, \
             and have the servers read them again (SIGHUP).",
            beginning(&found["configuration"])
        ));
    }
    let silent = names(&|node| node["state"] == json!("silent"));
    if !silent.is_empty() {
        output::note(format_args!(
            "\nNot heard of: {silent}. Changes may wait for L until it is struck off."
        ));
    }
}

async fn set_lease(global: &Global, operator: &Operator, wanted: u64) -> Result<(), Failure> {
    let says_nothing = global.quiet || global.json;
    let (bar, moved) = progress("seconds", move |passed, of| {
        if !says_nothing {
            output::note(format_args!(
                "{passed} of {of} seconds, until the leases that are out there have ended"
            ));
        }
    });
    let report = |step: &Value| {
        let number = |name: &str| step[name].as_u64().unwrap_or_default();
        moved(number("passed"), number("of"));
    };
    let body = json!({ "seconds": wanted }).to_string().into_bytes();
    let outcome = operator.follow("/v1/nodes/lease", body, report).await;
    bar.finish_and_clear();
    let outcome = outcome?;
    if global.json {
        output::json(&outcome)?;
    } else if !global.quiet {
        output::print(format_args!(
            "L is {} s; it was {} s.",
            outcome["lease_seconds"], outcome["was_seconds"]
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_in_a_line() {
        let node = json!({
            "id": "0123456789abcdef", "name": "a/7", "is_this": false, "state": "renewing",
            "version": "1.2.3", "joined_at": "2026-11-23T18:00:00Z", "acknowledged": 9, "lag": 2,
            "renewed_ms_ago": 9_940, "knows": 3, "configuration": "fedcba9876543210",
            "configuration_differs": true,
        });
        let told = row(&node).join("|");
        let expected =
            "01234567|a/7|renewed 9.9 s ago|9|2|3|fedcba98 differs|1.2.3|2026-11-23T18:00:00Z";
        assert_eq!(told, expected);
        // One of an earlier release does not say everything.
        let node = json!({"id": "01", "name": "a/7", "is_this": true, "state": "silent",
            "renewed_ms_ago": 21_300, "acknowledged": 9, "lag": 0, "knows": 1});
        assert_eq!(row(&node).join("|"), "01|a/7 (this)|silent for 21 s|9|0|1|||");
    }

    #[test]
    fn a_lease_is_told_in_words() {
        let told = |lease: Value| lease_in_words(&json!({"head": 9, "lease": lease}));
        let lowered = told(json!({"seconds": 10, "wait_seconds": 60, "left_ms": 0,
            "database_answers": false, "seen_ms_ago": 3_000}));
        assert!(lowered.contains("still wait for 60 s"), "{lowered}");
        assert!(
            lowered.contains("verifies nothing") && lowered.contains("seen 3.0 s ago"),
            "{lowered}"
        );
        let plain = told(json!({"seconds": 30, "wait_seconds": 30, "left_ms": 23_400,
            "database_answers": true, "round_trip_ms": 1.26, "seen_ms_ago": 0}));
        assert!(plain.contains("23 s left") && plain.contains("took 1.3 ms"), "{plain}");
    }

    fn lease_in_words(found: &Value) -> String {
        output::facts(&lease(found))
    }
}

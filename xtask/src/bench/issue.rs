//! Durable issue: clients that post, beside a loop that inserts the same rows in groups.

use super::Options;
use super::load::{self, Contestant, Request};
use super::over_http::posting;
use super::servers::{Pinning, bench_program};
use super::subject::Subject;
use super::table::{Bar, Row};
use crate::process::output_within;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::time::Duration;

const CLIENTS: u32 = 64;
/// The rows that are inserted are the last that have been issued.
const MOST: usize = 200_000;
const INSERTING: Duration = Duration::from_mins(5);

pub(crate) fn run(
    options: &Options,
    directory: &Path,
    pinning: &Pinning,
    subject: &Subject,
) -> Result<Vec<Row>> {
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let started = subject.start()?;
        let caller = subject.caller("tokens:write")?;
        let body = r#"{"api":"bench","name":"bench","role":"reader"}"#.to_owned();
        let request = Request {
            path: "/v1/tokens",
            headers: vec![],
            script: Some(posting(directory, "issue", &caller, &[body])?),
            units: 1.0,
            connections: CLIENTS,
        };
        let contestant = Contestant {
            name: "counterfoil",
            port: started.server,
            processes: vec![&started.running],
            request: &request,
        };
        let issued = load::run(pinning, options.seconds, &contestant)?;
        println!("round {round}, counterfoil: {issued}");
        started.stop()?;

        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a count of rows"
        )]
        let rows = (issued.per_second * options.seconds as f64 * 0.9) as usize;
        let new = directory.join("inserted");
        fs::create_dir(&new)?;
        let mut insert = pinning.tested(&bench_program());
        insert.arg("insert").arg(subject.data().join("counterfoil.db"));
        insert.arg(rows.clamp(100, MOST).to_string()).arg(new.join("new.db"));
        let said = output_within(INSERTING, &mut insert)?;
        fs::remove_dir_all(&new)?;
        let inserted: f64 = said.trim().parse().context("what the insertion said")?;
        if inserted <= 0.0 {
            bail!("nothing was inserted");
        }
        println!("round {round}, insertion: {inserted:.0} a second");
        rounds.push((inserted, issued.per_second));
    }
    let name = "issue, 64 clients / insertion in groups of 100";
    Ok(vec![Row::by_turns(name, "rows/s", &rounds, Bar::RatioAtLeast(0.5))])
}

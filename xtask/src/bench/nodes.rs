//! Three nodes on one PostgreSQL: how long a revocation takes until it is true everywhere, how
//! much can be issued, how long a node takes to join. What following the ledger costs those who
//! verify is measured in process (`benches/verify`): here they would share a processor with it.

use super::load::{self, Contestant, Request};
use super::over_http::posting;
use super::postgres::Postgres;
use super::servers::{Pinning, bench_program};
use super::subject::{EMAIL, Started, Subject, get, question_of_a_proxy};
use super::table::{Bar, Row};
use super::{Options, What};
use crate::process::{Running, output_within};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NODES: u8 = 3;
const CLIENTS: u32 = 64;
const LIMIT: Duration = Duration::from_mins(10);

/// The tokens of the database: rows like that of the one token there is, which nobody can present.
/// The indexes are made afterwards, which is faster.
const FILL: &str = "DO $$
DECLARE made text[]; one record;
BEGIN
    SELECT array_agg(indexdef) INTO made FROM pg_indexes
        WHERE tablename = 'token' AND indexdef NOT LIKE 'CREATE UNIQUE%';
    FOR one IN SELECT indexname FROM pg_indexes
        WHERE tablename = 'token' AND indexdef NOT LIKE 'CREATE UNIQUE%'
    LOOP EXECUTE 'DROP INDEX ' || one.indexname; END LOOP;
    CREATE TEMP TABLE pattern AS SELECT * FROM token WHERE api = 'bench' LIMIT 1;
    ALTER TABLE pattern DROP COLUMN id, DROP COLUMN digest;
    EXECUTE (
        SELECT format('INSERT INTO token (id, digest, %1$s) SELECT decode(md5(n::text), ''hex''),
            sha256(n::text::bytea), %1$s FROM pattern, generate_series(2, COUNT) n',
            string_agg(quote_ident(attname), ', '))
        FROM pg_attribute WHERE attrelid = 'pattern'::regclass AND attnum > 0 AND NOT attisdropped
    );
    FOR at IN 1 .. coalesce(array_length(made, 1), 0) LOOP EXECUTE made[at]; END LOOP;
END $$";

/// A row as long as a token's, under a key as long as its id.
const TABLE: &str = "CREATE TABLE inserted (id uuid PRIMARY KEY, body bytea NOT NULL)";
const INSERT: &str = "INSERT INTO inserted
    VALUES (gen_random_uuid(), decode(repeat(md5(random()::text), 20), 'hex'));";

/// What issuing a token writes, in tables like those that it is written to, with all their
/// indexes and as many tokens.
const SAME_TABLES: &str = "CREATE SEQUENCE same_number;
CREATE TABLE same_token (LIKE token INCLUDING ALL);
CREATE TABLE same_ledger (LIKE ledger INCLUDING ALL);
CREATE TABLE same_detail (LIKE ledger_detail INCLUDING ALL);
CREATE TABLE pattern_token AS SELECT * FROM token WHERE api = 'bench' ORDER BY id LIMIT 1;
ALTER TABLE pattern_token DROP COLUMN id, DROP COLUMN digest;
CREATE TABLE pattern_ledger AS SELECT ledger.*, salt, detail FROM ledger JOIN ledger_detail
    USING (number) ORDER BY number DESC LIMIT 1;
INSERT INTO same_token SELECT * FROM token";
const OTHER_COLUMNS: &str = "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'pattern_token'::regclass AND attnum > 0
    AND NOT attisdropped";
/// Ids and numbers rise, as those of tokens do.
const INSERT_THE_SAME: &str = "WITH next AS MATERIALIZED (
        SELECT number, decode('01' || lpad(to_hex(number), 30, '0'), 'hex') AS id
        FROM nextval('same_number') AS number),
    token AS (INSERT INTO same_token (id, digest, COLUMNS)
        SELECT id, sha256(id), COLUMNS FROM next, pattern_token),
    ledger AS (INSERT INTO same_ledger (number, entry, hash, organization, subject, actor)
        SELECT next.number, entry, sha256(id), organization, id, actor FROM next, pattern_ledger)
    INSERT INTO same_detail (number, salt, detail)
        SELECT next.number, salt, detail FROM next, pattern_ledger;";

/// Nodes that run, and what they are asked with.
struct Nodes<'a> {
    options: &'a Options,
    pinning: &'a Pinning,
    directory: &'a Path,
    postgres: Postgres,
    started: Vec<Started>,
    /// A token that issues and revokes.
    caller: String,
    /// A token that the doors are asked about, and the question in a file.
    secret: String,
    question: PathBuf,
}

pub(crate) fn run(
    options: &Options,
    program: &Path,
    directory: &Path,
    pinning: &Pinning,
    upstream: u16,
) -> Result<Vec<Row>> {
    let directory = &directory.join("nodes");
    fs::create_dir(directory)?;
    let postgres = Postgres::start(pinning)?;
    let url = postgres.url();
    let node = |name: &str| Subject::node(program, &directory.join(name), pinning, upstream, &url);
    let first = node("node-0")?;
    let mut started = vec![first.start_with(None)?];
    first.administer(&["init", "--email", EMAIL])?;
    let caller = first.caller("tokens:write")?;
    let token = ["token", "create", "--api", "bench", "--role", "reader", "--owner", EMAIL];
    let secret = first.administer(&[&token[..], &["--quiet"]].concat())?.trim().to_owned();
    println!("filling a database with {} tokens", options.tokens());
    postgres.run(&FILL.replace("COUNT", &options.tokens().to_string()))?;
    postgres.run("VACUUM ANALYZE token")?;
    postgres.run("CHECKPOINT")?;

    let mut rows = Vec::new();
    if options.has(What::Join) {
        rows.push(join(options, &node("joining")?, &secret)?);
    }
    // What has been filled in is in no ledger: all nodes start behind it.
    started.remove(0).stop()?;
    for at in 0..NODES {
        started.push(node(&format!("node-{at}"))?.start_with(Some(&secret))?);
    }
    let question = directory.join("question");
    fs::write(&question, get("/auth/bench", &question_of_a_proxy(&secret)))?;
    let nodes = Nodes { options, pinning, directory, postgres, started, caller, secret, question };
    if options.has(What::Revoke) {
        rows.extend(nodes.revoke()?);
    }
    if options.has(What::IssueShared) {
        rows.extend(nodes.issue()?);
    }
    nodes.started.into_iter().try_for_each(Started::stop)?;
    Ok(rows)
}

/// How long a node takes from its start until it verifies.
fn join(options: &Options, node: &Subject, secret: &str) -> Result<Row> {
    let mut times = Vec::new();
    // One more, and first: the database's pages come from the disk.
    for round in 0..=options.rounds {
        let started = node.start_with(Some(secret))?;
        let memory = started.resident()? / 1_048_576.0;
        println!("join {round}: verifies after {:.2} s, {memory:.0} MiB", started.times.admitted);
        if round > 0 {
            times.push(started.times.admitted);
        }
        started.stop()?;
    }
    // The bar is for a million.
    let bar = (options.tokens() == 1_000_000).then_some(Bar::AtMost(4.0));
    Ok(Row::alone(&format!("a node joins, {} tokens", options.tokens()), "s", &times, bar))
}

impl Nodes<'_> {
    fn revoke(&self) -> Result<Vec<Row>> {
        let count = 200 * self.options.seconds;
        let mut rows = self.revocations("idle", count, 25.0)?;
        let half = self.half()? / f64::from(NODES);
        println!("half load: {half:.0} requests a second at each node");
        // They end when they go.
        let load = |node: &Started| {
            let (port, rate) = (node.forward_auth, format!("{half:.0}"));
            Running::start(&mut load::steady(self.pinning, port, &self.question, &rate, 600))
        };
        let mut loads: Vec<Running> = self.started.iter().map(load).collect::<Result<_>>()?;
        rows.extend(self.revocations("at half load", count, 100.0)?);
        for load in &mut loads {
            anyhow::ensure!(load.ended()?.is_none(), "a node did not keep up with its load");
        }
        Ok(rows)
    }

    fn revocations(&self, how: &str, count: u64, most: f64) -> Result<Vec<Row>> {
        let (mut half, mut nearly_all) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds {
            let mut revoke = self.pinning.beside(&bench_program());
            revoke.args(["revoke", &self.caller, BODY, &count.to_string()]);
            revoke.args(self.started.iter().map(|node| node.server.to_string()));
            let said = output_within(LIMIT, &mut revoke)?;
            println!("round {round}, {how}, µs p50 p99 most: {}", said.trim());
            let (p50, p99) = load::two(&said)?;
            half.push(p50 / 1e3);
            nearly_all.push(p99 / 1e3);
        }
        let name = |which: &str| format!("revocation on {NODES} nodes, {how}, {which}");
        let bar = Some(Bar::AtMost(most));
        Ok(vec![
            Row::alone(&name("p50"), "ms", &half, None),
            Row::alone(&name("p99"), "ms", &nearly_all, bar),
        ])
    }

    /// Half of what the nodes can verify a second: they share one processor.
    fn half(&self) -> Result<f64> {
        let request = Request {
            path: "/auth/bench",
            headers: question_of_a_proxy(&self.secret),
            script: None,
            units: 1.0,
            connections: CLIENTS,
        };
        let node = &self.started[0];
        let contestant = Contestant {
            name: "a node",
            port: node.forward_auth,
            processes: vec![&node.running],
            request: &request,
        };
        let sample = load::run(self.pinning, self.options.seconds, &contestant)?;
        println!("all of a processor: {sample}");
        Ok(sample.per_second / 2.0)
    }

    fn issue(&self) -> Result<Vec<Row>> {
        let request = Request {
            path: "/v1/tokens",
            headers: vec![],
            script: Some(posting(self.directory, "issue", &self.caller, &[BODY.to_owned()])?),
            units: 1.0,
            connections: CLIENTS,
        };
        let node = self.started.first().context("no node")?;
        let contestant = Contestant {
            name: "counterfoil",
            port: node.server,
            processes: vec![&node.running],
            request: &request,
        };
        self.postgres.run(TABLE)?;
        self.postgres.run(SAME_TABLES)?;
        let columns = self.postgres.run(OTHER_COLUMNS)?;
        let insert_the_same = INSERT_THE_SAME.replace("COLUMNS", &columns);
        self.postgres.run("VACUUM ANALYZE same_token")?;
        self.postgres.run("CHECKPOINT")?;
        let (mut the_same, mut alone) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds {
            let pgbench = |insert| self.postgres.pgbench(CLIENTS, self.options.seconds, insert);
            let (same, one) = (pgbench(&insert_the_same)?, pgbench(INSERT)?);
            let issued = load::run(self.pinning, self.options.seconds, &contestant)?;
            println!(
                "round {round}: pgbench {same:.0} a second of the same rows, {one:.0} of one row \
                 under one key; counterfoil {issued}"
            );
            the_same.push((same, issued.per_second));
            alone.push((one, issued.per_second));
        }
        let row = |beside: &str, rounds: &[_]| {
            let name = format!("issue on {NODES} nodes, {CLIENTS} clients / pgbench, {beside}");
            Row::by_turns(&name, "tokens/s", rounds, Bar::RatioAtLeast(0.5))
        };
        Ok(vec![row("the same rows", &the_same), row("one row, one key", &alone)])
    }
}

const BODY: &str = r#"{"api":"bench","name":"bench","role":"reader"}"#;

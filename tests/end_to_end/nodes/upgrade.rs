//! Nodes of the release before this one are replaced one by one by the present one, which brings
//! the database further, while requests and changes go on; and nodes that meet what they do not
//! know guess at nothing.

use super::{DATABASE, NODES, Nodes, Stop, ask, judged, wait_until};
use crate::{
    installation::{ADA, Release, Token},
    postgres::Postgres,
    wire::Wire,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Nodes of the earlier release, on a database that it has made.
fn earlier(postgres: &Postgres, count: usize, lease: u32) -> Nodes {
    let urls = vec![postgres.url_of(DATABASE); count];
    Nodes::start_as(postgres, &urls, lease, |installation| installation.call(Release::Earlier))
}

/// What a balancer knows of a node.
struct Place {
    /// Held by whoever sends it a request, or replaces it.
    address: Mutex<SocketAddr>,
    /// No more requests are to begin: else whoever replaces it might never have its turn.
    is_out: AtomicBool,
}

/// What clients know, and what they have seen.
#[derive(Default)]
struct Seen {
    /// How many tokens' revocations have been answered.
    revoked: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

/// Shows a token that stays good to a node, and the one that was revoked last.
fn show(place: &Place, live: &Token, doomed: &[Token], seen: &Seen) {
    while !seen.stop.load(Ordering::SeqCst) {
        if place.is_out.load(Ordering::SeqCst) {
            thread::yield_now();
            continue;
        }
        let address = place.address.lock().unwrap();
        let mut wire = Wire::<TcpStream>::connect(*address).unwrap();
        let status = wire.exchange(judged(live)).unwrap().status;
        assert_eq!(status, 200, "a good token, at a node that is there");
        seen.accepted.fetch_add(1, Ordering::SeqCst);
        // Before the request is sent: that is what counts.
        let revoked = seen.revoked.load(Ordering::SeqCst);
        let Some(last) = revoked.checked_sub(1) else { continue };
        let status = wire.exchange(judged(&doomed[last])).unwrap().status;
        // A machine that stands still for two seconds has its nodes say that they do not know.
        assert!(
            [401, 503].contains(&status),
            "token {last} of {revoked} that are revoked: {status}"
        );
        seen.refused.fetch_add(1, Ordering::SeqCst);
    }
}

impl Nodes {
    /// Stops a node, and starts it as another release.
    fn replace(&mut self, node: usize, release: Release) {
        let mut installation = self.servers[node].take().unwrap().stop();
        installation.call(release);
        self.servers[node] = Some(installation.start());
        self.wait_until_ready(node);
    }

    /// Whether every node takes it, once it has heard of it.
    fn is_taken_everywhere(&self, token: &Token) {
        for node in 0..self.servers.len() {
            wait_until("a new token is taken", || self.judge(node, token) == 200);
        }
    }
}

#[test]
fn nodes_are_replaced_one_by_one_while_everything_goes_on() {
    const EACH: usize = 4;
    let postgres = Postgres::start();
    let mut nodes = earlier(&postgres, NODES, 30);
    let live = nodes.issue(1).remove(0);
    let doomed = nodes.issue((NODES + 1) * EACH);
    let seen = Seen::default();
    let place = |node: usize| Place {
        address: Mutex::new(nodes.node(node).gateway),
        is_out: AtomicBool::new(false),
    };
    let places: Vec<Place> = (0..NODES).map(place).collect();
    let steps = || postgres.run(DATABASE, "SELECT count(*) FROM schema_step").parse::<usize>();
    assert_eq!(steps(), Ok(1));
    let brought_to = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres"));
    thread::scope(|scope| {
        let clients: Vec<_> =
            places.iter().map(|place| scope.spawn(|| show(place, &live, &doomed, &seen))).collect();
        let stop = Stop(&seen.stop);
        for (round, place) in places.iter().map(Some).chain([None]).enumerate() {
            // Revoked at nodes of both releases, and what is issued at either is taken at both.
            for turn in 0..EACH {
                let number = round * EACH + turn;
                nodes.revoke(number % NODES, &doomed[number]);
                seen.revoked.store(number + 1, Ordering::SeqCst);
            }
            for node in [round % NODES, (round + NODES - 1) % NODES] {
                nodes.is_taken_everywhere(&nodes.issue_at(node));
            }
            if let Some(place) = place {
                place.is_out.store(true, Ordering::SeqCst);
                let mut address = place.address.lock().unwrap();
                nodes.replace(round, Release::Present);
                *address = nodes.node(round).gateway;
                place.is_out.store(false, Ordering::SeqCst);
            }
        }
        drop(stop);
        for client in clients {
            client.join().unwrap();
        }
    });
    let counts = [&seen.accepted, &seen.refused].map(|count| count.load(Ordering::SeqCst));
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!(steps(), Ok(brought_to.unwrap().count()));
    for (node, token) in (0..NODES).flat_map(|node| doomed.iter().map(move |t| (node, t))) {
        assert_eq!(nodes.judge(node, token), 401);
    }
    nodes.is_sound();
}

/// What a node's gateway answers to a token of the API `facets` beside this address.
fn judge_beside(nodes: &Nodes, node: usize, email: &str, token: &Token) -> u16 {
    let pair = BASE64_STANDARD.encode(format!("{email}:{}", token.secret));
    let request =
        format!("GET /facets/7 HTTP/1.1\r\nhost: a\r\nauthorization: Basic {pair}\r\n\r\n");
    ask(nodes.node(node).gateway, request).unwrap().status
}

#[test]
fn what_only_the_new_release_knows_is_made_once_no_old_node_is_left() {
    const NEW: &str = "countess@example.com";
    let postgres = Postgres::start();
    let mut nodes = earlier(&postgres, NODES, 30);
    let token = nodes.node(0).issue("facets", &[]);
    let set = |nodes: &Nodes, node: usize| {
        let (path, body) = (format!("/v1/accounts/{ADA}/email"), json!({ "email": NEW }));
        let mut operator = nodes.node(node).operator().unwrap();
        operator.call("PUT", &path, &body.to_string()).unwrap()
    };
    let is_known_by = |nodes: &Nodes, one: &str, other: &str| {
        for node in 0..NODES {
            // 503, where the machine has stood still for too long.
            wait_until("its lease holds", || judge_beside(nodes, node, one, &token) == 200);
            wait_until("its lease holds", || judge_beside(nodes, node, other, &token) == 401);
        }
    };
    is_known_by(&nodes, ADA, NEW);
    let written = || postgres.run(DATABASE, "SELECT head.number, email FROM head, account");
    let before = written();
    for replaced in 0..NODES {
        for node in 0..NODES {
            let answer = set(&nodes, node);
            if node >= replaced {
                // There it is no call at all.
                assert_eq!(answer.status, 404, "{answer:?}");
                continue;
            }
            assert_eq!(answer.status, 503, "{answer:?}");
            assert_eq!(answer.json()["code"], "older_nodes");
            let said = nodes.node(node).cli(["account", "set-email", ADA, NEW]).failed(1);
            assert!(said.contains("runs an older version"), "{said}");
            nodes.node(node).process().wait_for_message("a change was refused, which these nodes");
        }
        assert_eq!(written(), before);
        is_known_by(&nodes, ADA, NEW);
        nodes.replace(replaced, Release::Present);
    }
    let answer = set(&nodes, 1);
    assert_eq!((answer.status, &answer.json()["email"]), (200, &json!(NEW)), "{answer:?}");
    // Whoever is told has waited until each node knew.
    for node in 0..NODES {
        assert_ne!(judge_beside(&nodes, node, ADA, &token), 200, "at node {node}");
    }
    is_known_by(&nodes, NEW, ADA);
    assert_ne!(written(), before);
    // Nobody who does not know the kind loads what has come of it.
    let mut installation = nodes.servers[2].take().unwrap().stop();
    installation.call(Release::Earlier);
    let said = installation.cli(["serve"]).failed(1);
    assert!(said.contains("made by a newer version of Counterfoil"), "{said}");
    installation.call(Release::Present);
    nodes.servers[2] = Some(installation.start());
    is_known_by(&nodes, NEW, ADA);
    nodes.is_sound();
}

#[test]
fn a_release_that_does_not_know_the_tables_does_not_start() {
    let postgres = Postgres::start();
    let nodes = earlier(&postgres, 1, 30);
    let live = nodes.issue(1).remove(0);
    // As a release to come will leave it behind.
    let steps = "INSERT INTO schema_step SELECT step, 1 FROM generate_series(90, 99) AS step";
    postgres.run(DATABASE, steps);
    // What runs goes on, as it does in an upgrade.
    assert_eq!(nodes.judge(0, &live), 200);
    let mut installation = nodes.servers.into_iter().flatten().next().unwrap().stop();
    for release in [Release::Earlier, Release::Present] {
        installation.call(release);
        let refuses = |arguments: &[&str]| {
            let said = installation.cli(arguments).failed(1);
            assert!(said.contains("made by a newer version of Counterfoil"), "{release:?} {said}");
        };
        refuses(&["serve"]);
        refuses(&["token", "revoke", &live.id]);
        refuses(&["ledger", "verify"]);
    }
}

/// Appends an entry of a kind that no release knows, as another one would.
const APPEND_UNKNOWN: &str = r#"
    WITH made AS (
        SELECT head.number + 1 AS number, head.hash, decode('00112233445566778899aabbccddeeff', 'hex') AS salt,
            convert_to('{"kind":"moon_waned"}', 'UTF8') AS detail
        FROM head),
    written AS (
        SELECT made.*, organization, subject, actor, convert_to(jsonb_build_object(
            'form', 1, 'number', made.number, 'at', last -> 'at', 'actor', last -> 'actor',
            'kind', 'moon_waned', 'organization', last -> 'organization',
            'subject', last -> 'subject', 'commitment', encode(sha256(salt || detail), 'hex')
        )::text, 'UTF8') AS entry
        FROM made JOIN ledger ON ledger.number = made.number - 1,
            LATERAL (SELECT convert_from(ledger.entry, 'UTF8')::jsonb AS last) AS parsed),
    chained AS (SELECT *, sha256(hash || entry) AS next FROM written),
    appended AS (
        INSERT INTO ledger (number, entry, hash, organization, subject, actor)
        SELECT number, entry, next, organization, subject, actor FROM chained),
    detailed AS (INSERT INTO ledger_detail SELECT number, salt, detail FROM chained)
    UPDATE head SET number = chained.number, hash = chained.next FROM chained;
    NOTIFY counterfoil_entries;"#;

#[test]
fn a_node_that_meets_a_kind_it_does_not_know_vouches_for_nothing() {
    let postgres = Postgres::start();
    let mut nodes = earlier(&postgres, 2, 3);
    nodes.replace(1, Release::Present);
    let tokens = nodes.issue(2);
    let (live, doomed) = (&tokens[0], &tokens[1]);
    for node in 0..2 {
        // On a busy machine so short a lease may just have ended.
        wait_until("it judges", || nodes.judge(node, live) == 200);
    }
    postgres.run(DATABASE, APPEND_UNKNOWN);
    for node in 0..2 {
        let said = nodes.node(node).process().wait_for_message("this node has stopped following");
        let error = said["error"].as_str().unwrap();
        assert!(error.contains("of a kind that this program does not know"), "{error}");
        // Others make changes as before, and wait for it no longer than it may judge.
        wait_until("its lease has ended", || nodes.judge(node, live) == 503);
        let ready = ask(nodes.node(node).main, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(ready.unwrap().status, 503);
    }
    nodes.revoke(0, doomed);
    assert_eq!(nodes.judge(1, doomed), 503);
    // Nor does it say that all is well when it is asked.
    let said = nodes.node(1).cli(["ledger", "verify"]).failed(1);
    assert!(said.contains("of a kind that this program does not know"), "{said}");
}

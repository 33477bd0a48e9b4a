//! How nodes are, as their operator is told; and L, as the operator sets it.

use super::{DATABASE, Nodes, wait_until};
use crate::{
    installation::{ADA, Installation},
    postgres::Postgres,
    process::{Running, run},
    server::Server,
};
use counterfoil_support::visitor::Visitor;
use serde_json::{Value, json};
use std::process::Command;

fn seen_by(server: &Server) -> Value {
    server.cli(["nodes", "--json"]).done().json()
}

/// How many of the nodes that are told of are so.
fn count(told: &Value, is_so: impl Fn(&Value) -> bool) -> usize {
    told["items"].as_array().unwrap().iter().filter(|node| is_so(node)).count()
}

/// A metric without labels.
#[track_caller]
fn metric(server: &Server, name: &str) -> f64 {
    let told = server.scrape();
    let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not among {told}")).parse().unwrap()
}

/// Whether the metrics have this line.
fn tells(server: &Server, line: &str) -> bool {
    server.scrape().lines().any(|told| told == line)
}

fn l(postgres: &Postgres) -> String {
    postgres.run(DATABASE, "SELECT lease_seconds, wait_seconds FROM cluster")
}

/// A command that takes its time.
fn begin_to_set(server: &Server, seconds: &str) -> Running {
    Running::start(&mut server.command(["nodes", "lease", seconds]))
}

#[test]
fn nodes_are_told_of_and_one_that_is_silent_too() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 4);
    wait_until("each has seen the others renew", || {
        (0..super::NODES).all(|node| {
            let told = seen_by(nodes.node(node));
            count(&told, |node| node["state"] == "renewing" && node["lag"] == 0) == super::NODES
        })
    });
    let told = seen_by(nodes.node(0));
    let this = told["items"].as_array().unwrap().iter().find(|node| node["is_this"] == true);
    let this = this.unwrap();
    assert_eq!(count(&told, |node| node["is_this"] == true), 1, "{told}");
    let process = nodes.node(0).process().id().to_string();
    assert!(this["name"].as_str().unwrap().ends_with(&format!("/{process}")), "{this}");
    assert_eq!(this["configuration"], told["configuration"]);
    assert_eq!(count(&told, |node| node["configuration_differs"] == true), 0, "{told}");
    assert_eq!(count(&told, |node| node["acknowledged"] == told["head"]), super::NODES, "{told}");
    let lease = &told["lease"];
    let (seconds, wait) = (&lease["seconds"], &lease["wait_seconds"]);
    assert_eq!((seconds, wait, &lease["database_answers"]), (&json!(4), &json!(4), &json!(true)));
    assert!((1..=3200).contains(&lease["left_ms"].as_u64().unwrap()), "{lease}");

    let table = nodes.node(1).cli(["nodes"]).done();
    assert_eq!(table.out.matches("(this)").count(), 1, "{table:?}");
    assert_eq!(table.out.matches("renewed").count(), super::NODES, "{table:?}");
    assert!(table.out.contains("L           4 s\n"), "{table:?}");
    assert_eq!(table.err, "");
    let ids = nodes.node(1).cli(["nodes", "--quiet"]).done().out;
    assert!(ids.lines().any(|id| id == this["id"].as_str().unwrap()), "{ids}");

    let token = nodes.issue(1).pop().unwrap();
    nodes.revoke(0, &token);
    let server = nodes.node(0);
    for line in [
        "counterfoil_nodes 3",
        "counterfoil_nodes_configuration_differing 0",
        "counterfoil_lease_seconds 4",
        "counterfoil_node_lag_entries 0",
        "counterfoil_lease_renewal_failures_total 0",
        "counterfoil_nodes_struck_off_total 0",
        "counterfoil_changes_waiting 0",
        // One was issued, one revoked.
        "counterfoil_change_wait_seconds_count 2",
    ] {
        assert!(tells(server, line), "{line}: {}", server.scrape());
    }
    wait_until("all were seen where they are", || {
        tells(server, "counterfoil_nodes_lag_entries_max 0")
    });
    assert!(metric(server, "counterfoil_lease_renewals_total") >= 1.0);
    assert!(metric(server, "counterfoil_lease_renewal_seconds") > 0.0);
    assert!((0.0..=3.2).contains(&metric(server, "counterfoil_lease_seconds_left")));

    nodes.node(2).process().pause();
    wait_until("it is silent", || {
        let told = seen_by(server);
        count(&told, |node| node["state"] == "silent") == 1
            || told["items"].as_array().unwrap().len() == 2
    });
    wait_until("it is struck off", || {
        seen_by(server)["items"].as_array().unwrap().len() == 2
            && tells(server, "counterfoil_nodes 2")
    });
    let struck_off = |node| metric(nodes.node(node), "counterfoil_nodes_struck_off_total");
    assert!(struck_off(0) + struck_off(1) >= 1.0);
    nodes.node(2).process().go_on();
}

#[test]
fn while_the_database_is_silent_what_was_seen_last_is_told() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 9);
    let server = nodes.node(0);
    wait_until("all are seen", || count(&seen_by(server), |_| true) == super::NODES);
    postgres.pause();
    let told = seen_by(server);
    assert_eq!(told["lease"]["database_answers"], false, "{told}");
    assert_eq!(count(&told, |_| true), super::NODES, "{told}");
    let words = server.cli(["nodes"]).done();
    assert!(words.out.contains("does not answer; this is what was seen"), "{words:?}");
    wait_until("a renewal has failed", || {
        metric(server, "counterfoil_lease_renewal_failures_total") >= 1.0
    });
    postgres.go_on();
    wait_until("it answers again", || seen_by(server)["lease"]["database_answers"] == true);
}

#[test]
fn another_configuration_is_told_until_there_is_none() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 4);
    let (server, other) = (nodes.node(0), nodes.node(2));
    wait_until("all are seen", || count(&seen_by(server), |_| true) == super::NODES);
    let before = std::fs::read_to_string(other.configuration()).unwrap();
    let configure = |text: &str| {
        std::fs::write(other.configuration(), text).unwrap();
        let id = other.process().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    let differing = |server| count(&seen_by(server), |node| node["configuration_differs"] == true);

    configure(&(before.clone() + "in_flight = 5\n"));
    let said = server.process().wait_for_message(
        "a node has other APIs in its configuration than this one: requests are judged by that of \
         the node they come to",
    );
    let process = other.process().id().to_string();
    assert!(said["name"].as_str().unwrap().ends_with(&format!("/{process}")), "{said}");
    assert_ne!(said["theirs"], said["ours"]);
    assert_eq!((differing(server), differing(other)), (1, super::NODES - 1));
    assert!(tells(server, "counterfoil_nodes_configuration_differing 1"));
    let words = server.cli(["nodes"]).done();
    assert!(words.out.contains(" differs") && words.err.contains("SIGHUP"), "{words:?}");

    configure(&before);
    let again = "all nodes have the same APIs in their configurations again";
    server.process().wait_for_message(again);
    assert_eq!((differing(server), differing(other)), (0, 0));
    assert!(tells(server, "counterfoil_nodes_configuration_differing 0"));
    let warned = server.process().log().matches("has other APIs").count();
    assert_eq!(warned, 1, "{}", server.process().log());
}

#[test]
fn the_console_tells_of_all_nodes() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 4);
    nodes.node(0).give_password(ADA);
    let main = nodes.node(0).main;
    let ada = Visitor::sign_in(main, ADA);
    let has = |text: &str| ada.get("/operator").text().contains(text);
    wait_until("all nodes are seen to renew", || {
        let page = ada.get("/operator");
        page.text().matches(">Renewed ").count() == super::NODES - 1
    });
    for text in ["3 nodes share this database", ">Verifies<", "this one</span>", "last 4 s"] {
        assert!(has(text), "{text}: {}", ada.get("/operator").text());
    }
    let token = nodes.issue(1).pop().unwrap();
    let answer = ada.post(&format!("/tokens/{}/revoke", token.id), &[("reason", "")]);
    let receipt = answer.header("location").to_owned();
    let page = ada.get(&receipt);
    assert!(page.text().contains("Refused on 3 of 3 in "), "{}", page.text());
    assert!(page.text().contains("<span>2 other servers</span>"), "{}", page.text());
    // At another node the receipt is the same, but for how long it took.
    let elsewhere = Visitor::sign_in(nodes.node(1).main, ADA);
    let page = elsewhere.get(&receipt);
    assert!(page.text().contains("Refused on 3 of 3<"), "{}", page.text());

    // One that stands still is waited for, and said to be shut.
    let token = nodes.issue(1).pop().unwrap();
    nodes.node(2).process().pause();
    ada.post(&format!("/tokens/{}/revoke", token.id), &[("reason", "")]);
    let page = ada.get(&format!("/tokens/{}/receipt", token.id));
    let told = page.text();
    assert!(told.contains("; 1 verifies nothing") || told.contains("Refused on 2 of 2"), "{told}");
    wait_until("its row is gone", || has("2 nodes share this database"));
    nodes.node(2).process().go_on();
}

#[test]
fn l_is_raised_at_once_and_lowered_once_old_leases_have_ended() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 3);
    let server = nodes.node(0);
    let set = |seconds: &str| server.cli(["nodes", "lease", seconds]);
    assert_eq!(set("4").done().out, "L is 4 s; it was 3 s.\n");
    assert_eq!(l(&postgres), "4|4");
    let set_it = set("2").done();
    assert_eq!((&*set_it.out, &*l(&postgres)), ("L is 2 s; it was 4 s.\n", "2|2"));
    let json = server.cli(["nodes", "lease", "6", "--json"]).done().json();
    assert_eq!(json, json!({"lease_seconds": 6, "was_seconds": 2}));

    // Whoever goes away stops nothing, and whoever asks again does no harm.
    let lowering = begin_to_set(server, "2");
    wait_until("leases are shorter", || l(&postgres) == "2|6");
    let words = nodes.node(1).cli(["nodes"]).done().out;
    assert!(words.contains("still wait for 6 s at worst"), "{words}");
    lowering.kill();
    assert_eq!(set("2").done().out, "L is 2 s; it was 6 s.\n");
    assert_eq!(l(&postgres), "2|2");

    // Of two who want different things, one is told.
    set("6").done();
    let mut lowering = begin_to_set(nodes.node(1), "2");
    wait_until("leases are shorter", || l(&postgres) == "2|6");
    set("7").done();
    assert_eq!(lowering.wait().code(), Some(1));
    assert!(lowering.log().contains("somebody else has changed L"), "{}", lowering.log());
    assert_eq!(l(&postgres), "7|7");

    for wrong in ["1", "601", "x"] {
        set(wrong).failed(2);
    }
    let mut operator = server.operator().unwrap();
    let answer = operator.call("POST", "/v1/nodes/lease", "{\"seconds\": 1}").unwrap();
    assert_eq!((answer.status, &answer.json()["field"]), (400, &json!("seconds")));
    nodes.is_sound();
}

#[test]
fn where_one_process_has_the_database_there_is_no_lease() {
    let installation = Installation::new("").set_up();
    let told = installation.cli(["nodes"]).done().out;
    assert!(told.contains("One node, this one") && told.contains("SQLite"), "{told}");
    let server = installation.start();
    let told = seen_by(&server);
    assert_eq!((count(&told, |node| node["is_this"] == true), &told["lease"]), (1, &Value::Null));
    let refused = server.cli(["nodes", "lease", "10"]).failed(1);
    assert!(refused.contains("database.url"), "{refused}");
    let told = server.scrape();
    assert!(!told.contains("counterfoil_lease") && !told.contains("counterfoil_nodes"), "{told}");
}

#[test]
fn without_a_server_the_command_asks_the_database_itself() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 4);
    let mut elsewhere = Installation::new("");
    elsewhere.set("COUNTERFOIL_DATABASE_URL", &postgres.url_of(DATABASE));
    let told = run(&mut elsewhere.command(["nodes", "--json"]), &[]).done().json();
    assert_eq!(count(&told, |node| node["state"] == "unknown"), super::NODES, "{told}");
    assert_eq!(count(&told, |node| node["is_this"] == true), 0, "{told}");
    // It has no APIs at all.
    assert_eq!(count(&told, |node| node["configuration_differs"] == true), super::NODES, "{told}");
    assert_eq!(told["lease"]["left_ms"], Value::Null);
    assert_eq!(elsewhere.cli(["nodes", "lease", "5"]).done().out, "L is 5 s; it was 4 s.\n");
    drop(nodes);
}

//! One node stands still, or is cut off: nobody waits for it for longer than a lease, and it
//! judges nothing that it could not hear of.

use super::{DATABASE, NODES, Nodes, installation, judged, url_through, wait_until};
use crate::{
    caller::call, installation::ADA, postgres::Postgres, upstream::Upstream, valve::Valve,
    wire::Wire,
};
use serde_json::json;
use std::net::TcpStream;

#[test]
fn a_node_that_stood_still_accepts_nothing_that_was_revoked_meanwhile() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 3);
    let tokens = nodes.issue(4);
    let still = nodes.node(2);
    for (number, token) in tokens.iter().enumerate() {
        let mut open = Wire::<TcpStream>::connect(still.gateway).unwrap();
        assert_eq!(open.exchange(judged(token)).unwrap().status, 200);
        still.process().pause();
        let answer = nodes.revoke(number % 2, token);
        // It may have been struck off before.
        assert!(answer["nodes"].as_u64().unwrap() >= 2, "{answer}");
        // On a connection that was open, and on one that is new.
        open.send(judged(token)).unwrap();
        let mut fresh = Wire::<TcpStream>::connect(still.gateway).unwrap();
        fresh.send(judged(token)).unwrap();
        still.process().go_on();
        for wire in [&mut open, &mut fresh] {
            let status = wire.read_response().unwrap().status;
            assert!([401, 503].contains(&status), "{status}");
        }
        // It comes back by itself.
        wait_until("it judges again", || nodes.judge(2, token) == 401);
    }
    nodes.is_sound();
}

#[test]
fn a_repeat_waits_for_what_it_repeats() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 4);
    let tokens = nodes.issue(1);
    nodes.node(2).process().pause();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| nodes.revoke(0, &tokens[0]));
        let revoked = "SELECT count(*) FROM token WHERE revoked_at IS NOT NULL";
        wait_until("it is committed", || postgres.run(DATABASE, revoked) == "1");
        // The one that asked first has no answer yet; this one finds it revoked.
        nodes.revoke(1, &tokens[0]);
        let mut fresh = Wire::<TcpStream>::connect(nodes.node(2).gateway).unwrap();
        fresh.send(judged(&tokens[0])).unwrap();
        nodes.node(2).process().go_on();
        let status = fresh.read_response().unwrap().status;
        assert!([401, 503].contains(&status), "{status}");
        first.join().unwrap();
    });
}

#[test]
fn many_that_leak_together_wait_together_for_a_node_that_stands_still() {
    let postgres = Postgres::start();
    // One alone is waited for longer than anything may take here.
    let nodes = Nodes::on(&postgres, 300);
    let tokens = nodes.issue(4);
    nodes.node(2).process().pause();
    let secrets: Vec<_> = tokens.iter().map(|token| &token.secret).collect();
    let report = json!({ "secrets": secrets }).to_string();
    let answer = call(nodes.node(0).main, "", "POST", "/v1/revoke", &report);
    assert_eq!(answer.status, 202, "{answer:?}");
    for token in &tokens {
        wait_until("it is revoked", || [0, 1].map(|node| nodes.judge(node, token)) == [401, 401]);
    }
    nodes.node(2).process().go_on();
    wait_until("all nodes have heard", || tokens.iter().all(|it| nodes.judge(2, it) == 401));
}

#[test]
fn a_node_that_is_cut_off_is_waited_for_no_longer_than_it_can_judge() {
    let postgres = Postgres::start();
    let valve = Valve::to(postgres.port());
    let direct = postgres.url_of(DATABASE);
    let nodes =
        Nodes::start(&postgres, &[direct.clone(), direct, url_through(&valve, &postgres)], 4);
    let tokens = nodes.issue(2);
    let (live, doomed) = (&tokens[0], &tokens[1]);
    assert_eq!(nodes.judge(2, doomed), 200);
    valve.shut();
    // It still holds its lease, and judges by what it knows.
    assert_eq!(nodes.judge(2, live), 200);
    nodes.revoke(0, doomed);
    assert_eq!(nodes.judge(2, doomed), 503);
    assert_eq!(nodes.judge(2, live), 503);
    assert_eq!([nodes.judge(0, doomed), nodes.judge(1, live)], [401, 200]);
    // Others find out that it is gone, and wait no more.
    wait_until("its row is struck off", || {
        postgres.run(DATABASE, "SELECT count(*) FROM node") == "2"
    });
    let answer = nodes.revoke(1, live);
    assert_eq!(answer["nodes"], 2, "{answer}");
    valve.open();
    for token in [live, doomed] {
        wait_until("it judges again", || nodes.judge(2, token) == 401);
    }
    nodes.is_sound();
}

#[test]
fn of_first_organizations_that_nodes_make_at_once_there_is_one() {
    let postgres = Postgres::start();
    let upstream = Upstream::start();
    let nodes = [(); NODES].map(|()| installation(&upstream, &postgres.url_of(DATABASE)).start());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked = nodes.each_ref().map(|node| {
            scope.spawn(|| {
                let body = json!({"email": ADA, "organization": "First"}).to_string();
                node.operator().unwrap().call("POST", "/v1/init", &body).unwrap().status
            })
        });
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(postgres.run(DATABASE, "SELECT count(*) FROM organization"), "1");
}

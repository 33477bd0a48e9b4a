//! The database hangs, so that nothing can be revoked: a node can still be made to deny a token.

use super::{DATABASE, Nodes, judged, revoke, wait_until};
use crate::{postgres::Postgres, wire::Wire};
use std::{net::TcpStream, thread};

#[test]
fn while_nothing_can_be_revoked_a_node_can_deny_a_token() {
    let postgres = Postgres::start();
    // It is to hold until everything here is done.
    let mut nodes = Nodes::on(&postgres, 120);
    let tokens = nodes.issue(2);
    let (live, leaked) = (&tokens[0], &tokens[1]);
    for node in 0..super::NODES {
        wait_until("it knows the token", || nodes.judge(node, leaked) == 200);
    }
    let mut open = Wire::<TcpStream>::connect(nodes.node(0).gateway).unwrap();
    assert_eq!(open.exchange(judged(leaked)).unwrap().status, 200);
    postgres.pause();
    thread::scope(|scope| {
        let revoking = scope.spawn(|| revoke(nodes.node(0), leaked).unwrap());
        let denying = ["token", "deny", "--secret-file", "-", "--quiet"];
        let denied = nodes.node(0).cli_reading(&leaked.secret, denying).done().out;
        assert_eq!(denied.trim(), leaked.id);
        assert_eq!(open.exchange(judged(leaked)).unwrap().status, 401);
        assert_eq!([nodes.judge(0, leaked), nodes.judge(0, live)], [401, 200]);
        // Others know nothing of it until they are told.
        assert_eq!(nodes.judge(1, leaked), 200);
        nodes.node(1).cli(["token", "deny", &leaked.id]).done();
        assert_eq!([nodes.judge(1, leaked), nodes.judge(1, live)], [401, 200]);
        // Whoever tries is told of it.
        let why = nodes.node(1).cli(["token", "revoke", &leaked.id]).failed(1);
        let command = format!("counterfoil token deny {}", leaked.id);
        assert!(why.contains(&command) && !why.contains("revoked at"), "{why}");
        // Nobody was told that it is revoked.
        assert_eq!(revoking.join().unwrap().status, 503);
    });
    postgres.go_on();
    let count = "SELECT count(*) FROM token WHERE revoked_at IS NOT NULL";
    assert_eq!(postgres.run(DATABASE, count), "0");

    // A node that starts anew denies it from its first moment on.
    let stopped = nodes.servers[0].take().unwrap().stop();
    nodes.servers[0] = Some(stopped.start());
    wait_until("it judges again", || nodes.judge(0, live) == 200);
    assert_eq!(nodes.judge(0, leaked), 401);
    nodes.revoke(2, leaked);
    for node in 0..super::NODES {
        wait_until("it judges", || nodes.judge(node, live) == 200);
        assert_eq!(nodes.judge(node, leaked), 401);
        // Which ends what each had of its own.
        let listed = nodes.node(node).cli(["token", "deny", "--list", "--quiet"]).done().out;
        assert_eq!(listed, "");
    }
    nodes.is_sound();
}

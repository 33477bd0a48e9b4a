//! The database answers nothing, or cannot be reached: verification goes on for as long as
//! leases last, then nobody is let in, and all of it comes back by itself.

use super::{Nodes, ask, judged, wait_until};
use crate::postgres::Postgres;
use std::{thread, time::Duration};

#[test]
fn verification_outlives_the_database_by_a_lease() {
    let postgres = Postgres::start();
    let nodes = Nodes::on(&postgres, 9);
    let tokens = nodes.issue(3);
    let (live, doomed) = (&tokens[0], &tokens[1]);
    postgres.pause();
    let mut statuses = Vec::new();
    thread::scope(|scope| {
        // Nobody is told that it is revoked before it is.
        let revoking = scope.spawn(|| nodes.revoke(0, doomed));
        for node in 0..super::NODES {
            // What a node holds is good; that there is no such token nobody can say, after a while.
            assert_eq!(nodes.judge(node, live), 200);
            let mut unknown = live.clone();
            unknown.secret = format!("orders_{}", "0".repeat(39));
            wait_until("it knows that it may not know", || nodes.judge(node, &unknown) == 503);
        }
        for node in 0..super::NODES {
            wait_until("its lease has ended", || {
                let answer = ask(nodes.node(node).gateway, judged(live)).unwrap();
                statuses.push(answer.status);
                let is_over = answer.status == 503;
                if is_over {
                    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
                }
                is_over
            });
            let ready = ask(nodes.node(node).main, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(ready.unwrap().status, 503);
        }
        assert!(!revoking.is_finished());
        // Not a single failure before that.
        assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
        postgres.go_on();
        revoking.join().unwrap();
    });
    for node in 0..super::NODES {
        wait_until("it judges again", || nodes.judge(node, live) == 200);
        assert_eq!(nodes.judge(node, doomed), 401);
    }
    // And things can be changed as before.
    nodes.revoke(1, live);
    for node in 0..super::NODES {
        assert_eq!(nodes.judge(node, live), 401);
    }
    nodes.is_sound();
    let _ = Duration::ZERO;
}

//! The database answers nothing, or cannot be reached: verification goes on for as long as
//! leases last, then nobody is let in, and all of it comes back by itself.

use super::{DATABASE, Nodes, ask, judged, url_through, wait_until};
use crate::{postgres::Postgres, valve::Valve};
use std::thread;

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
}

#[test]
fn a_standby_that_takes_over_has_all_that_was_answered() {
    let first = Postgres::start();
    let standby = first.standby("other");
    first.run(DATABASE, "ALTER SYSTEM SET synchronous_standby_names = 'other'");
    first.run(DATABASE, "SELECT pg_reload_conf()");
    let in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    wait_until("the standby is in step", || first.run(DATABASE, in_step) == "1");
    let valve = Valve::to(first.port());
    let nodes = Nodes::start(&first, &vec![url_through(&valve, &first); super::NODES], 4);
    let tokens = nodes.issue(7);
    let (live, doomed) = tokens.split_last().unwrap();
    let (before, after) = doomed.split_at(3);
    for (node, token) in before.iter().enumerate() {
        nodes.revoke(node, token);
    }
    first.kill();
    assert_eq!(nodes.judge(0, live), 200);
    standby.promote();
    valve.turn_to(standby.port());
    for (node, token) in after.iter().enumerate() {
        nodes.revoke(node, token);
    }
    for node in 0..super::NODES {
        wait_until("it judges", || nodes.judge(node, live) == 200);
        for token in doomed {
            assert_eq!(nodes.judge(node, token), 401);
        }
    }
    nodes.is_sound();
}

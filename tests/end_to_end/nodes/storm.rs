//! Tokens are revoked one after the other, at one node after the other, while clients show them
//! to all nodes, and everything goes wrong that can.

use super::{DATABASE, Nodes, Stop, judged};
use crate::{installation::Token, postgres::Postgres, wire::Wire};
use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Something that happens to nodes, or to their database.
type Trouble = fn(&mut Nodes, &Postgres);

/// How many revocations there are in each trouble.
const EACH: usize = 12;

/// What clients know, and what they have seen.
#[derive(Default)]
struct Seen {
    /// How many tokens' revocations have been answered.
    revoked: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    stale: AtomicUsize,
    stop: AtomicBool,
}

/// Shows tokens to a node: the one that was revoked last, and the one that will be next.
fn show(address: &Mutex<SocketAddr>, tokens: &[Token], seen: &Seen) {
    let mut wire: Option<Wire<TcpStream>> = None;
    for number in 0_usize.. {
        if seen.stop.load(Ordering::SeqCst) {
            return;
        }
        // Before the request is sent: that is what counts.
        let revoked = seen.revoked.load(Ordering::SeqCst);
        let shown = revoked.saturating_sub(number % 2).min(tokens.len() - 1);
        let status = wire.take().or_else(|| Wire::connect(*address.lock().unwrap()).ok()).and_then(
            |mut fresh| {
                let status = fresh.exchange(judged(&tokens[shown])).ok()?.status;
                wire = Some(fresh);
                Some(status)
            },
        );
        match status {
            Some(200) => {
                assert!(shown >= revoked, "token {shown} was accepted when {revoked} were revoked");
                seen.accepted.fetch_add(1, Ordering::SeqCst);
            }
            Some(401) => drop(seen.refused.fetch_add(1, Ordering::SeqCst)),
            Some(503) => drop(seen.stale.fetch_add(1, Ordering::SeqCst)),
            // The node is gone for a moment.
            None => thread::yield_now(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_was_revoked_is_accepted_by_nobody_whatever_happens() {
    let postgres = Postgres::start();
    let mut nodes = Nodes::on(&postgres, 3);
    let troubles: [Trouble; 5] = [
        |_, _| {},
        // All connections end.
        |_, postgres| {
            postgres.run(
                DATABASE,
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE application_name = 'counterfoil'",
            );
        },
        |nodes, _| {
            let killed = nodes.servers[2].take().unwrap().kill();
            nodes.servers[2] = Some(killed.start());
        },
        |_, postgres| postgres.restart(),
        |_, postgres| {
            postgres.kill();
            postgres.start_again();
        },
    ];
    let tokens = nodes.issue(troubles.len() * EACH);
    let seen = Seen::default();
    let addresses: Vec<_> =
        (0..super::NODES).map(|node| Mutex::new(nodes.node(node).gateway)).collect();
    thread::scope(|scope| {
        let clients: Vec<_> =
            addresses.iter().map(|address| scope.spawn(|| show(address, &tokens, &seen))).collect();
        let stop = Stop(&seen.stop);
        for (round, trouble) in troubles.iter().enumerate() {
            for turn in 0..EACH {
                let number = round * EACH + turn;
                if turn == EACH / 3 {
                    trouble(&mut nodes, &postgres);
                    *addresses[2].lock().unwrap() = nodes.node(2).gateway;
                }
                nodes.revoke(number % super::NODES, &tokens[number]);
                seen.revoked.store(number + 1, Ordering::SeqCst);
            }
        }
        drop(stop);
        for client in clients {
            client.join().unwrap();
        }
    });
    let counts = [&seen.accepted, &seen.refused, &seen.stale].map(|n| n.load(Ordering::SeqCst));
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
    for (node, token) in (0..super::NODES).flat_map(|node| tokens.iter().map(move |t| (node, t))) {
        nodes.wait_until_ready(node);
        assert_eq!(nodes.judge(node, token), 401);
    }
    nodes.is_sound();
}

//! A storm: tokens are issued and revoked from all sides, and the server is
//! killed in the middle of it, again and again.

use super::{issue, judge, listed, stage};
use crate::{installation::Token, process::PATIENCE, server::Server};
use std::{
    collections::{HashMap, HashSet},
    io::Result,
    sync::mpsc,
    thread,
};

const ROUNDS: usize = 50;
const CLIENTS: usize = 8;

/// What a client saw.
enum Event {
    Issued(Token),
    /// Asked for; whether it was done will be known when the answer comes.
    Revoking(String),
    Revoked(String),
}

/// What all clients together know, of all rounds.
#[derive(Default)]
struct Known {
    /// Ids and secrets of the tokens that were issued.
    issued: HashMap<String, String>,
    revoked: HashSet<String>,
    /// Those for which the server was asked, and died before it answered.
    in_doubt: HashSet<String>,
}

impl Known {
    fn note(&mut self, event: Event) {
        match event {
            Event::Issued(token) => {
                self.issued.insert(token.id, token.secret);
            }
            Event::Revoking(id) => {
                self.in_doubt.insert(id);
            }
            Event::Revoked(id) => {
                self.in_doubt.remove(&id);
                self.revoked.insert(id);
            }
        }
    }

    fn acknowledged(&self) -> usize {
        self.issued.len() + self.revoked.len()
    }

    /// Checks a server that has just been started against all this.
    fn holds_at(&self, server: &Server, round: usize) {
        let states: HashMap<String, String> = listed(server)
            .iter()
            .map(|token| {
                let text = |name: &str| token[name].as_str().unwrap().to_owned();
                (text("id"), text("state"))
            })
            .collect();
        // At most one each that was made, but not acknowledged, in every round so far.
        let unheard_of = states.keys().filter(|id| !self.issued.contains_key(*id)).count();
        assert!(unheard_of <= CLIENTS * (round + 1), "{unheard_of}");

        let (ids, secrets): (Vec<&str>, Vec<&str>) =
            self.issued.iter().map(|(id, secret)| (id.as_str(), secret.as_str())).unzip();
        for (id, status) in ids.into_iter().zip(judge(server, &secrets)) {
            let state = states.get(id).unwrap_or_else(|| panic!("{id} is lost"));
            if self.revoked.contains(id) {
                assert_eq!(state, "revoked", "{id}");
            } else if !self.in_doubt.contains(id) {
                assert_eq!(state, "active", "{id}");
            }
            // The door and the books never disagree.
            assert_eq!(status, if state == "active" { 200 } else { 401 }, "{id} is {state}");
        }
    }
}

/// Issues tokens and revokes every other one, until the server is gone.
fn rage(server: &Server, events: &mpsc::Sender<Event>) -> Result<()> {
    let mut operator = server.operator()?;
    for number in 0_usize.. {
        let token = issue(&mut operator)?;
        let id = token.id.clone();
        events.send(Event::Issued(token)).unwrap();
        if number.is_multiple_of(2) {
            events.send(Event::Revoking(id.clone())).unwrap();
            let answer = operator.call("POST", &format!("/v1/tokens/{id}/revoke"), "{}")?;
            assert_eq!(answer.status, 200, "{answer:?}");
            events.send(Event::Revoked(id)).unwrap();
        }
    }
    Ok(())
}

#[test]
fn killed_in_the_middle_of_a_storm_it_loses_nothing() {
    let (_upstream, mut server) = stage();
    let mut known = Known::default();
    for round in 0..ROUNDS {
        // Early in the storm, and later in it.
        let enough = known.acknowledged() + 20 + 7 * (round % 10);
        let (sender, events) = mpsc::channel();
        thread::scope(|scope| {
            let raging: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    let (server, sender) = (&server, sender.clone());
                    scope.spawn(move || rage(server, &sender))
                })
                .collect();
            drop(sender);
            while known.acknowledged() < enough {
                known.note(events.recv_timeout(PATIENCE).unwrap());
            }
            server.process().kill();
            for client in raging {
                // Each of them was cut off.
                client.join().unwrap().unwrap_err();
            }
            for event in events {
                known.note(event);
            }
        });
        let installation = server.kill();
        installation.cli(["ledger", "verify"]).done();
        server = installation.start();
        known.holds_at(&server, round);
        server.cli(["ledger", "verify"]).done();
    }
    assert!(known.revoked.len() > ROUNDS && known.issued.len() > 10 * ROUNDS);
}

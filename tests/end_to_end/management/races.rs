//! Changes side by side: what was taken away does not come back.

use super::{Stage, send};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn whoever_keeps_changing_a_token_does_not_undo_its_narrowing() {
    let stage = Stage::set();
    for round in 0..5 {
        let wide = ["--scope", "read", "--scope", "write", "--name", "wide"];
        let token = stage.server.issue_to(super::BOB, "costs", &wide);
        let path = format!("/v1/tokens/{}", token.id);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let busy: Vec<_> = (0..3)
                .map(|n| {
                    let (over, path, bob) = (&over, &path, &stage.bob);
                    scope.spawn(move || {
                        let mut done = 0_u32;
                        while !over.load(Ordering::Acquire) || done == 0 {
                            let note = json!({"note": format!("{n}.{done}")});
                            let answer = send(bob, &("PATCH", path.clone(), note));
                            // Of two decisions on one row one is taken anew; after a few it is told.
                            assert!([200, 409].contains(&answer.status), "{answer:?}");
                            done += u32::from(answer.status == 200);
                        }
                    })
                })
                .collect();
            let narrow = json!({"scopes": ["read"], "allowed_networks": ["10.0.0.0/8"]});
            let narrowed = loop {
                let answer = send(&stage.ada, &("PATCH", path.clone(), narrow.clone()));
                if answer.status == 200 {
                    break answer;
                }
                assert_eq!(answer.status, 409, "{answer:?}");
            };
            assert_eq!(narrowed.json()["scopes"], json!(["read"]));
            // They go on for a while.
            for _ in 0..10 {
                let shown = stage.ada.get(&path).json();
                assert_eq!(shown["scopes"], json!(["read"]), "round {round}");
                assert_eq!(shown["allowed_networks"], json!(["10.0.0.0/8"]), "round {round}");
            }
            over.store(true, Ordering::Release);
            for one in busy {
                one.join().unwrap();
            }
        });
        let last = stage.ada.get(&path).json();
        assert_eq!(last["scopes"], json!(["read"]));
        assert_ne!(last["note"], Value::Null);
    }
    stage.server.cli(["ledger", "verify"]).done();
}

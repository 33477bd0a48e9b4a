//! Every target is fed a million inputs, the same in every run.

use counterfoil_fuzz::{Failure, TARGETS, run};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

const INPUTS: u64 = 1_000_000;
const SEED: u64 = 0x636f_756e_7465_7266;

#[test]
fn a_million_inputs_break_no_target() {
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<Failure>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match run(target, SEED, |number| number < INPUTS) {
                        Ok(number) => assert!(number >= INPUTS),
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let said: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn targets_have_names_of_their_own_in_order() {
    assert!(TARGETS.is_sorted_by(|one, other| one.name < other.name));
}

//! `verify` and what it is made of, beside loops that only do what has to be done.
//!
//! Time is the thread's own CPU time. What counts is the ratio of two that are measured by
//! turns, in one process, over the same tokens in the same order; criterion measures one
//! after the other, and says how sure it is of each.
//!
//! ```sh
//! cargo bench --bench verify                    # criterion, then the table
//! cargo bench --bench verify -- 'of 1M'         # what is called so
//! cargo bench --bench verify -- turns           # the table alone
//! cargo bench --bench verify -- turns --tokens 10000000
//! cargo bench --bench verify -- turns --quick   # 10,000 tokens
//! ```

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a program of its own"
)]

mod case;
mod comparisons;
mod world;

use case::{Comparison, CpuTime};
use criterion::Criterion;
use std::cell::LazyCell;
use world::World;

/// How many tokens the hot set has.
const HOT: u64 = 10_000;
const SIZES: [u64; 3] = [10_000, 1_000_000, 10_000_000];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let tokens = arguments.iter().skip_while(|argument| *argument != "--tokens").nth(1);
    let sizes = match tokens {
        Some(tokens) => vec![tokens.parse().unwrap()],
        None if has("--quick") => vec![HOT],
        None => SIZES.to_vec(),
    };
    if !has("turns") {
        let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
        for size in sizes.clone() {
            of_size(size, |comparison| comparison.measure(&mut criterion));
        }
        criterion.final_summary();
    }
    let turns = if has("--quick") { (3, 20_000) } else { (7, 200_000) };
    for size in sizes {
        of_size(size, |comparison| println!("{}", comparison.by_turns(turns.0, turns.1)));
    }
}

/// Goes through everything there is to compare at a size. What is not asked for is not made.
fn of_size(size: u64, mut each: impl FnMut(&Comparison)) {
    let world = LazyCell::new(move || World::new(size, 1, 1));
    for comparison in comparisons::of_world(&world, size) {
        each(&comparison);
    }
    if size > HOT {
        let small = LazyCell::new(|| World::new(HOT, 1, 1));
        each(&comparisons::growth(&world, &small, size, "10k tokens", Some(1.6)));
    }
    if size == 1_000_000 || size == HOT {
        for (apis, owners, than) in [(100, 1, "100 APIs"), (1000, 1, "1000 APIs")]
            .into_iter()
            .chain([(1, size / 10, "an owner for ten tokens")])
        {
            let larger = LazyCell::new(move || World::new(size, apis, owners));
            each(&comparisons::wider(&larger, &world, size, than));
        }
    }
}

/// A size as people say it.
fn spoken(size: u64) -> String {
    match size {
        size if size.is_multiple_of(1_000_000) => format!("{}M", size / 1_000_000),
        size if size.is_multiple_of(1000) => format!("{}k", size / 1000),
        size => size.to_string(),
    }
}

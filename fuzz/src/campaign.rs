//! One target fed input after input, until it fails or somebody has had enough.

use crate::{
    Target,
    mutation::{Inputs, Random},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// An input that broke a target.
#[derive(Debug)]
pub struct Failure {
    /// Which target.
    pub target: &'static str,
    /// What the inputs of this run were drawn from.
    pub seed: u64,
    /// The how many-eth input it was.
    pub number: u64,
    /// The input.
    pub input: Vec<u8>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, number, input } = self;
        write!(
            f,
            "{target} fails on input {number} of the seed {seed:#x}; for fuzz/tests/found.rs:\n    \
             (\"{target}\", b\"{}\"),",
            input.escape_ascii()
        )
    }
}

impl std::error::Error for Failure {}

/// Feeds `target` its seeds and then what is made of them, while `goes_on` says so to
/// the number of inputs so far; how many there were.
pub fn run(
    target: &'static Target,
    seed: u64,
    mut goes_on: impl FnMut(u64) -> bool,
) -> Result<u64, Failure> {
    let seeds = (target.seeds)();
    let mut number = 0;
    let feed = |number, input: &[u8]| {
        catch_unwind(AssertUnwindSafe(|| (target.check)(input))).map_err(|_| Failure {
            target: target.name,
            seed,
            number,
            input: input.to_vec(),
        })
    };
    for input in &seeds {
        feed(number, input)?;
        number += 1;
    }
    let mut inputs = Inputs::new(seeds, Random(seed));
    while goes_on(number) {
        feed(number, inputs.next())?;
        number += 1;
    }
    Ok(number)
}

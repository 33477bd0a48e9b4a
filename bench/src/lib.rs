//! What the benchmarks share: tokens that are made from a number.

pub mod made;

//! Tokens that are made from a number, so that nobody has to keep their secrets.

use anyhow::{Result, anyhow};
use counterfoil_core::token::{Prefix, Secret};
use std::{
    fmt::Write as _,
    io::{BufWriter, Write as _},
    ops::Range,
};

/// What they begin with; the API of the benchmarks has the same prefix.
const PREFIX: &str = "bench_live";

/// Makes the secret of each number.
pub(crate) struct Mint(Prefix);

impl Mint {
    pub(crate) fn new() -> Result<Self> {
        Prefix::try_from(PREFIX.to_owned()).map(Self).map_err(|error| anyhow!(error))
    }

    pub(crate) fn secret(&self, number: u64) -> Secret {
        let mut entropy = [0; 24];
        for (at, chunk) in entropy.chunks_exact_mut(8).enumerate() {
            let word = mix(number.wrapping_mul(3).wrapping_add(at as u64));
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        Secret::mint(&self.0, &entropy)
    }
}

/// Prints the numbers' tokens as `counterfoil import --from sha256` reads them.
pub(crate) fn digests(numbers: Range<u64>) -> Result<()> {
    let mint = Mint::new()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "digest,name")?;
    let mut line = String::new();
    for number in numbers {
        line.clear();
        for byte in mint.secret(number).digest().as_bytes() {
            write!(line, "{byte:02x}")?;
        }
        writeln!(out, "{line},token {number}")?;
    }
    Ok(out.flush()?)
}

/// Prints the numbers' secrets, a line each.
pub(crate) fn secrets(numbers: Range<u64>) -> Result<()> {
    let mint = Mint::new()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for number in numbers {
        writeln!(out, "{}", mint.secret(number).reveal())?;
    }
    Ok(out.flush()?)
}

/// The last step of splitmix64: a number that looks random, another for each.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_own_sound_secret() {
        let mint = Mint::new().unwrap();
        let secrets: std::collections::BTreeSet<String> =
            (0..1000).map(|number| mint.secret(number).reveal().to_owned()).collect();
        assert_eq!(secrets.len(), 1000);
        assert!(secrets.iter().all(|secret| mint.0.is_plausible(secret)));
        assert_eq!(mint.secret(7).reveal(), mint.secret(7).reveal());
    }
}

//! Tokens that are made from a number, so that nobody has to keep their secrets.

use counterfoil_core::{
    Timestamp,
    id::TokenId,
    token::{NotAPrefix, Prefix, Secret},
};

/// Makes the secret of each number.
pub struct Mint {
    /// What they begin with.
    pub prefix: Prefix,
}

impl Mint {
    /// One for the API of the benchmarks, whose prefix it is.
    pub fn new() -> Result<Self, NotAPrefix> {
        Ok(Self { prefix: Prefix::try_from("bench_live".to_owned())? })
    }

    /// The secret of a number.
    pub fn secret(&self, number: u64) -> Secret {
        let mut entropy = [0; 24];
        for (at, chunk) in entropy.chunks_exact_mut(8).enumerate() {
            let word = mix(number.wrapping_mul(3).wrapping_add(at as u64));
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        Secret::mint(&self.prefix, &entropy)
    }
}

/// The id of a number's token.
pub fn id(number: u64) -> TokenId {
    // Ids are issued one after the other; a thousand in a millisecond.
    let at = 1_700_000_000_000 + i64::try_from(number / 1000).unwrap_or(0);
    TokenId::new(Timestamp::from_millis(at), entropy(number))
}

/// The random part of a number's id.
pub fn entropy(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&mix(number).to_be_bytes()[..2]);
    // The index tells ids by their ends.
    bytes[2..].copy_from_slice(&mix(!number).to_be_bytes());
    bytes
}

/// The last step of splitmix64: a number that looks random, another for each.
pub fn mix(number: u64) -> u64 {
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
        assert!(secrets.iter().all(|secret| mint.prefix.is_plausible(secret)));
        assert_eq!(mint.secret(7).reveal(), mint.secret(7).reveal());
    }
}

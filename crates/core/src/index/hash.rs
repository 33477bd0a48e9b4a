//! Hashing of what is random already: ids.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are ids, or pairs of them.
pub(crate) type ByTail = BuildHasherDefault<TailHasher>;

/// Hashes an id or two by the random bytes at their ends.
#[derive(Default)]
pub(crate) struct TailHasher(u64);

impl Hasher for TailHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(tail) = bytes.last_chunk::<8>() else { return };
        // The first two bits of an id's tail are the same in all of them. The map takes
        // its slot from the low bits, and a multiplication carries upwards only: so
        // those two go to the top, where all the others reach them.
        self.0 =
            (self.0.rotate_left(5) ^ u64::from_be_bytes(*tail)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    // The length of a slice says nothing where all have the same.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Timestamp,
        id::{AccountId, OrganizationId, TokenId},
        token::Digest,
    };
    use std::{
        collections::BTreeSet,
        hash::{BuildHasher, Hash},
    };

    fn hash(key: impl Hash) -> u64 {
        ByTail::default().hash_one(key)
    }

    #[test]
    fn hashes_fill_the_table() {
        let organization = OrganizationId::new(Timestamp::from_millis(1), [7; 10]);
        // As random as real ones are, the same in every run.
        let entropy = (0..4096u32).map(|n| {
            let mut entropy = [0; 10];
            entropy.copy_from_slice(&Digest::of(&n.to_string()).as_bytes()[..10]);
            entropy
        });
        let now = Timestamp::from_millis(1_700_000_000_000);
        let (ids, pairs): (Vec<u64>, Vec<u64>) = entropy
            .map(|entropy| {
                let id = AccountId::new(now, entropy);
                (hash(TokenId::new(now, entropy)), hash((organization, id)))
            })
            .unzip();
        for (what, hashes) in [("ids", ids), ("pairs", pairs)] {
            // As many keys as slots leave 1/e of the slots empty: 2589 of 4096 are taken.
            // Tables take their slot from the low bits, parts of the index from the high ones.
            for bits in [0, 52] {
                let slots: BTreeSet<u64> = hashes.iter().map(|h| h >> bits & 0xfff).collect();
                assert!(slots.len() > 2500, "{what}: {} slots", slots.len());
            }
            // The map compares the first seven bits before it compares keys.
            let tags: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert_eq!(tags.len(), 128, "{what}");
        }
    }
}

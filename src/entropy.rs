//! The one place where randomness is drawn: a generator fit for secrets, seeded by the system.

use crate::clock;
use counterfoil_core::{Timestamp, id::RequestId};
use ring::rand::SystemRandom;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes);
    bytes
}

/// What makes signing keys and signs. It takes the system's generator and no other: the trait
/// for one is sealed.
pub(crate) fn for_signing() -> SystemRandom {
    SystemRandom::new()
}

/// A fresh name for an answer.
pub(crate) fn request_id() -> RequestId {
    request_id_at(clock::now())
}

/// The same, for whoever has read the clock already.
pub(crate) fn request_id_at(now: Timestamp) -> RequestId {
    RequestId::new(now, bytes())
}

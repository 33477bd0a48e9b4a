//! How often one address may ask for something that needs no credential.

use crate::entropy;
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// In constant memory, whoever asks: addresses share slots, and nobody can
/// know with whom.
const SLOTS: usize = 4096;

/// How long is counted together.
const WINDOW: Duration = Duration::from_mins(1);

/// So many calls a minute, for each address.
pub(crate) struct Throttle {
    most: u32,
    key: [u8; 16],
    began: Instant,
    /// The window's number in the upper half, its count in the lower.
    slots: Box<[AtomicU64]>,
}

impl Throttle {
    pub(crate) fn new(most: u32, now: Instant) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { most, key: entropy::bytes(), began: now, slots }
    }

    /// Counts a call; where it is one too many, how long to wait.
    pub(crate) fn admit(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.began);
        let window = since.as_secs() / WINDOW.as_secs();
        let counted = |kept: u64| {
            let count = if kept >> 32 == window { kept & u64::from(u32::MAX) } else { 0 };
            (count < u64::from(self.most)).then_some(window << 32 | (count + 1))
        };
        let slot = &self.slots[self.slot(client)];
        let counted = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted);
        counted.map(drop).map_err(|_| {
            let seconds = WINDOW.as_secs();
            Duration::from_secs(seconds - since.as_secs() % seconds)
        })
    }

    fn slot(&self, client: Option<IpAddr>) -> usize {
        // Whoever has one IPv6 address has all of its network.
        let client = client.map(|client| match client {
            IpAddr::V4(_) => client,
            IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        });
        let mut hasher = DefaultHasher::new();
        (self.key, client).hash(&mut hasher);
        usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_window_and_again_in_the_next() {
        let start = Instant::now();
        let throttle = Throttle::new(3, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let client: Option<IpAddr> = Some("192.0.2.7".parse().unwrap());
        for _ in 0..3 {
            assert_eq!(throttle.admit(client, at(10)), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(throttle.admit(client, at(25)), Err(Duration::from_secs(35)));
        }
        assert_eq!(throttle.admit(client, at(60)), Ok(()));
        // A window in which nobody asked.
        for _ in 0..3 {
            assert_eq!(throttle.admit(client, at(300)), Ok(()));
        }
        assert!(throttle.admit(client, at(301)).is_err());
    }

    #[test]
    fn addresses_do_not_count_for_each_other() {
        let start = Instant::now();
        let throttle = Throttle::new(1, start);
        let admitted = |text: &str| throttle.admit(Some(text.parse().unwrap()), start).is_ok();
        assert!(admitted("2001:db8::1"));
        assert!(!admitted("2001:db8::2"), "the same network");
        // Of a hundred others few share a slot.
        let others = (0..100).filter(|n| admitted(&format!("198.51.100.{n}"))).count();
        assert!(others > 90, "{others}");
        assert!(throttle.admit(None, start).is_ok());
    }
}

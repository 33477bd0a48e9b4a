//! How often one address may ask for something that needs no credential.

use crate::tally::Tally;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many addresses' worth a whole site of IPv6 gets: it has 65,536 networks,
/// which must not fill everybody's slots.
const SITE: u32 = 8;

/// So many in a window of time, for each address.
pub(crate) struct Throttle {
    began: Instant,
    /// How long is counted together, in seconds.
    window: u64,
    /// Addresses, and networks of IPv6.
    addresses: Tally,
    sites: Tally,
}

impl Throttle {
    /// Nothing is counted yet. A window has a second at least.
    pub(crate) fn new(most: u32, window: Duration, now: Instant) -> Self {
        Self {
            began: now,
            window: window.as_secs().max(1),
            addresses: Tally::new(most),
            sites: Tally::new(most.saturating_mul(SITE)),
        }
    }

    /// Counts a call; where it is one too many, how long to wait.
    pub(crate) fn admit(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.began);
        let window = since.as_secs() / self.window;
        let is_admitted = match client.map(|client| client.to_canonical()) {
            Some(IpAddr::V4(address)) => self.addresses.add(&address, window).is_some(),
            // Whoever has one IPv6 address has all of its network, and often all of a site.
            Some(IpAddr::V6(address)) => {
                let bits = u128::from(address);
                self.sites.add(&(bits >> 80), window).is_some()
                    && self.addresses.add(&(bits >> 64), window).is_some()
            }
            None => self.sites.add(&(), window).is_some(),
        };
        let left = || Duration::from_secs(self.window - since.as_secs() % self.window);
        is_admitted.then_some(()).ok_or_else(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn so_many_in_a_window_and_again_in_the_next() {
        let start = Instant::now();
        let throttle = Throttle::new(3, MINUTE, start);
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
        let throttle = Throttle::new(1, MINUTE, start);
        let admitted = |text: &str| throttle.admit(Some(text.parse().unwrap()), start).is_ok();
        assert!(admitted("2001:db8::1"));
        assert!(!admitted("2001:db8::2"), "the same network");
        assert!(admitted("2001:db8:0:1::1"), "another network");
        assert!(admitted("192.0.2.1"));
        assert!(!admitted("::ffff:192.0.2.1"), "the same address");
        assert!(throttle.admit(None, start).is_ok());
    }

    #[test]
    fn nobody_stops_the_others() {
        let start = Instant::now();
        let throttle = Throttle::new(30, MINUTE, start);
        let ask = |address: IpAddr| throttle.admit(Some(address), start).is_ok();
        // A whole site of IPv6, and ten thousand addresses besides.
        let site = u128::from("2001:db8::".parse::<std::net::Ipv6Addr>().unwrap());
        let networks = (0..40_000).map(|n| IpAddr::from((site | n << 64).to_be_bytes()));
        assert_eq!(networks.filter(|network| ask(*network)).count(), 30 * SITE as usize);
        let many = (0..10_000_u32).map(|n| IpAddr::from((0x0a00_0000 | n).to_be_bytes()));
        let admitted: usize = many.map(|address| (0..40).filter(|_| ask(address)).count()).sum();
        assert!((270_000..=300_000).contains(&admitted), "{admitted}");
        // Of a table a seventh is full then, and both of somebody's slots seldom.
        let others = (0..400_u32).filter(|n| ask(IpAddr::from((0xc633_6400 | n).to_be_bytes())));
        assert!(others.count() > 360);
    }
}

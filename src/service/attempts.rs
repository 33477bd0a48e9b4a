//! How often somebody may be wrong: at a password, and at the code of a second factor.
//!
//! Every attempt counts when it begins, so that many side by side are no way around, and
//! one that succeeds is taken back. Counts are of windows of 15 minutes, in constant memory.
//! An account is the e-mail address as it was typed, whether there is one or not, so that
//! the answer tells nothing. So an account that is given another address has what counted for that
//! one so far: mostly nothing.
//!
//! Guessing at one account is bounded by three counts, and so is locking somebody out:
//!
//! - 10 an account **from one network** (an address; of IPv6, a /64). Whoever is elsewhere
//!   than the attacker does not notice.
//! - 100 an account from everywhere, against attackers who have many networks. It does not
//!   hold where the account has signed in before, since this server started: there the 10
//!   are the limit. So a person who signs in from where they always do is not locked out by
//!   anybody elsewhere, however long that goes on; from a new place they may have to wait or
//!   to reset the password by mail, which makes it a place like the others.
//! - 30 an address, whatever the account (a site of IPv6 has as many as 8), against trying
//!   one password at many accounts. A success does not reset it. It is the one by which
//!   somebody behind the same address can keep others from signing in, there and as long as
//!   they go on; sessions go on, too.
//!
//! Codes come after the password, so whoever is wrong at them has it: 5 a session, which
//! ends then, and 10 an account. The way out is a new password, after which the other gets
//! no further than that.
//!
//! Where there are several nodes each counts for itself, and lets its part of each of these
//! through: of `n` nodes one in `n`, but three at least, since whoever mistypes may come to the
//! same node each time.

use crate::{
    entropy,
    tally::{Added, Tally},
};
use counterfoil_core::id::AccountId;
use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long is counted together.
const WINDOW: Duration = Duration::from_mins(15);
/// How long the codes of a session are: longer than a session waits for its first.
const SESSION_WINDOW: Duration = Duration::from_hours(24);
/// Wrong passwords at an account from one network.
const FROM_ONE_NETWORK: u32 = 10;
/// Wrong passwords at an account from everywhere it has not signed in.
const FROM_EVERYWHERE: u32 = 100;
/// Wrong passwords from an address.
const OF_ADDRESS: u32 = 30;
/// How many addresses' worth a site of IPv6 gets.
const SITE: u32 = 8;
/// Wrong codes at an account.
const CODES: u32 = 10;
/// Wrong codes in a session.
const CODES_OF_SESSION: u32 = 5;
/// How many a node lets through at least, however many nodes there are.
const LEAST: u32 = 3;
/// How many places of sign-ins are remembered; a later one may take an earlier one's slot.
const PLACES: usize = 1 << 16;

/// All that is counted.
pub(crate) struct Attempts {
    began: Instant,
    /// How many nodes there are, as far as this one knows.
    nodes: Arc<AtomicUsize>,
    key: [u8; 16],
    /// By account and network.
    pairs: Tally,
    accounts: Tally,
    addresses: Tally,
    /// Of IPv6, and all that is nowhere.
    sites: Tally,
    codes: Tally,
    sessions: Tally,
    /// Where accounts have signed in, as digests.
    places: Box<[AtomicU64]>,
}

/// An attempt that has begun. Dropped, it was wrong.
#[must_use]
pub(crate) struct Attempt<'a> {
    counted: Counted<'a>,
    place: u64,
    places: &'a [AtomicU64],
}

/// The same, at a code.
#[must_use]
pub(crate) struct CodeAttempt<'a> {
    counted: Counted<'a>,
    /// Whether the session has to end when this one is wrong.
    pub(crate) is_last: bool,
}

/// Why no code is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoCode {
    /// The session was wrong too often, and has to end.
    SessionOver,
    /// The account was; so long is there to wait.
    Wait(Duration),
}

impl Attempts {
    /// Nothing is counted yet, by one of so many nodes.
    pub(crate) fn new(now: Instant, nodes: Arc<AtomicUsize>) -> Self {
        Self {
            began: now,
            nodes,
            key: entropy::bytes(),
            pairs: Tally::new(FROM_ONE_NETWORK),
            accounts: Tally::new(FROM_EVERYWHERE),
            addresses: Tally::new(OF_ADDRESS),
            sites: Tally::new(OF_ADDRESS * SITE),
            codes: Tally::new(CODES),
            sessions: Tally::new(CODES_OF_SESSION),
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Begins an attempt at the password of `email`, as it was typed; or says how long to
    /// wait. To be asked before anything is looked up.
    pub(crate) fn password(
        &self,
        email: &str,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt<'_>, Duration> {
        let Whence { account, network, site, place } = self.whence(email, client);
        let is_known = self.places[slot(place)].load(Ordering::Acquire) == place;
        let counts = [
            Some((&self.pairs, FROM_ONE_NETWORK, self.digest(&(account, network)))),
            (!is_known).then_some((&self.accounts, FROM_EVERYWHERE, account)),
            site.map(|site| (&self.sites, OF_ADDRESS * SITE, site)),
            client.map(|_| (&self.addresses, OF_ADDRESS, network)),
        ];
        let mut counted = Counted::new();
        for (tally, most, whom) in counts.into_iter().flatten() {
            let window = self.window(WINDOW, now);
            if let Err(left) = counted.add(tally, self.part(most), whom, window) {
                counted.take_back();
                return Err(left);
            }
        }
        Ok(Attempt { counted, place, places: &self.places })
    }

    /// Notes that somebody has proved by other means that the account is theirs: by a link
    /// that came to `email`.
    pub(crate) fn remember(&self, email: &str, client: Option<IpAddr>) {
        let place = self.whence(email, client).place;
        self.places[slot(place)].store(place, Ordering::Release);
    }

    /// Begins an attempt at a code, in a session that has shown the password.
    pub(crate) fn code(
        &self,
        account: AccountId,
        session: &impl Hash,
        now: Instant,
    ) -> Result<CodeAttempt<'_>, NoCode> {
        let session = self.digest(session);
        let window @ (of_session, _) = self.window(SESSION_WINDOW, now);
        let most = self.part(CODES_OF_SESSION);
        let mut counted = Counted::new();
        if counted.add(&self.sessions, most, session, window).is_err() {
            return Err(NoCode::SessionOver);
        }
        let window = self.window(WINDOW, now);
        if let Err(left) = counted.add(&self.codes, self.part(CODES), self.digest(&account), window)
        {
            counted.take_back();
            return Err(NoCode::Wait(left));
        }
        Ok(CodeAttempt { counted, is_last: self.sessions.has(most, &session, of_session) })
    }

    /// What this node lets through of what all of them may together.
    fn part(&self, of: u32) -> u32 {
        let nodes = u32::try_from(self.nodes.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        of.div_ceil(nodes.max(1)).max(LEAST.min(of))
    }

    fn whence(&self, email: &str, client: Option<IpAddr>) -> Whence {
        let account = self.digest(&email.trim().to_ascii_lowercase());
        let (network, site) = match client.map(|client| client.to_canonical()) {
            Some(IpAddr::V4(address)) => (self.digest(&address), None),
            // Whoever has one IPv6 address has all of its network, and often all of a site.
            Some(IpAddr::V6(address)) => {
                let bits = u128::from(address);
                (self.digest(&(bits >> 64)), Some(self.digest(&(bits >> 80))))
            }
            None => (self.digest(&()), Some(self.digest(&()))),
        };
        // A site of IPv6 is one place, so that one account cannot take all the slots.
        let place = self.digest(&(account, site.unwrap_or(network)));
        Whence { account, network, site, place }
    }

    /// The number of a window of this length, and how much is left of it.
    fn window(&self, length: Duration, now: Instant) -> (u64, Duration) {
        let (since, length) =
            (now.saturating_duration_since(self.began).as_secs(), length.as_secs());
        (since / length, Duration::from_secs(length - since % length))
    }

    fn digest(&self, of: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.key, of).hash(&mut hasher);
        hasher.finish()
    }
}

impl Attempt<'_> {
    /// The password was right.
    pub(crate) fn succeeded(self) {
        self.places[slot(self.place)].store(self.place, Ordering::Release);
        self.counted.take_back();
    }

    /// Whether it was right nobody has found out.
    pub(crate) fn undecided(self) {
        self.counted.take_back();
    }
}

impl CodeAttempt<'_> {
    /// The code was right, or nobody has found out.
    pub(crate) fn not_wrong(self) {
        self.counted.take_back();
    }
}

/// Who tries, and from where, as digests.
struct Whence {
    account: u64,
    /// An address of IPv4, a network of IPv6.
    network: u64,
    /// A site of IPv6, or nowhere: a trusted proxy did not say where.
    site: Option<u64>,
    place: u64,
}

/// What one attempt has added, and where.
struct Counted<'a>(Vec<(&'a Tally, u64, u64, Added)>);

impl<'a> Counted<'a> {
    fn new() -> Self {
        Self(Vec::with_capacity(4))
    }

    fn add(
        &mut self,
        tally: &'a Tally,
        most: u32,
        whom: u64,
        (window, left): (u64, Duration),
    ) -> Result<(), Duration> {
        let added = tally.add_up_to(most, &whom, window).ok_or(left)?;
        self.0.push((tally, whom, window, added));
        Ok(())
    }

    fn take_back(self) {
        for (tally, whom, window, added) in self.0 {
            tally.take_back(&whom, window, added);
        }
    }
}

fn slot(place: u64) -> usize {
    usize::try_from(place % PLACES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One that has no others beside it.
    fn alone(start: Instant) -> Attempts {
        Attempts::new(start, Arc::new(AtomicUsize::new(1)))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 | number).to_be_bytes())
    }

    /// How many wrong passwords are taken of `tries`.
    fn wrong(attempts: &Attempts, email: &str, from: IpAddr, now: Instant) -> usize {
        (0..200).take_while(|_| attempts.password(email, Some(from), now).is_ok()).count()
    }

    #[test]
    fn ten_an_account_from_one_network() {
        let start = Instant::now();
        let attempts = alone(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let here = ip("192.0.2.7");
        assert_eq!(wrong(&attempts, "ada@example.com", here, at(60)), 10);
        assert_eq!(
            attempts.password("Ada@Example.com ", Some(here), at(300)).err(),
            Some(Duration::from_mins(10)),
            "however it is typed"
        );
        assert_eq!(wrong(&attempts, "ada@example.com", ip("192.0.2.8"), at(300)), 10);
        assert_eq!(wrong(&attempts, "bob@example.com", here, at(300)), 10);
        assert_eq!(wrong(&attempts, "ada@example.com", here, at(900)), 10, "another window");
    }

    #[test]
    fn thirty_an_address_whatever_succeeds() {
        let start = Instant::now();
        let attempts = alone(start);
        let here = ip("192.0.2.7");
        let names = (0..60).map(|n| format!("{n}@example.com"));
        let taken = names.filter(|name| {
            if let Ok(own) = attempts.password("eve@example.com", Some(here), start) {
                own.succeeded();
            }
            attempts.password(name, Some(here), start).is_ok()
        });
        assert_eq!(taken.count(), 30);
        assert!(attempts.password("eve@example.com", Some(here), start).is_err());
        assert!(attempts.password("eve@example.com", Some(ip("192.0.2.8")), start).is_ok());
    }

    #[test]
    fn a_site_of_ipv6_is_not_65536_addresses() {
        let start = Instant::now();
        let attempts = alone(start);
        let site = u128::from("2001:db8::".parse::<std::net::Ipv6Addr>().unwrap());
        let taken: usize = (0..1000_u128)
            .map(|n| {
                let address = IpAddr::from((site | n << 64 | n).to_be_bytes());
                wrong(&attempts, &format!("{n}@example.com"), address, start)
            })
            .sum();
        assert_eq!(taken, (OF_ADDRESS * SITE) as usize);
        assert_eq!(wrong(&attempts, "ada@example.com", ip("2001:db9::1"), start), 10);
    }

    #[test]
    fn whoever_has_many_networks_gets_a_hundred_and_locks_nobody_out_at_home() {
        let start = Instant::now();
        let attempts = alone(start);
        let (home, email) = (ip("198.51.100.1"), "ada@example.com");
        attempts.password(email, Some(home), start).unwrap().succeeded();
        for round in 0..50 {
            let now = start + Duration::from_mins(15) * round;
            let taken: usize = (0..100).map(|n| wrong(&attempts, email, v4(n), now)).sum();
            assert_eq!(taken, 100, "round {round}");
            attempts.password(email, Some(home), now).unwrap().succeeded();
        }
        let (away, now) = (Some(ip("203.0.113.1")), start + WINDOW * 49);
        assert!(attempts.password(email, away, now).is_err());
        attempts.remember(email, away);
        assert!(attempts.password(email, away, now).is_ok());
    }

    #[test]
    fn whoever_is_nowhere_is_counted_too() {
        let start = Instant::now();
        let attempts = alone(start);
        let names = (0..300).map(|n| format!("{n}@example.com"));
        let taken = names.filter(|name| attempts.password(name, None, start).is_ok());
        assert_eq!(taken.count(), (OF_ADDRESS * SITE) as usize);
    }

    #[test]
    fn a_refused_attempt_takes_nothing_from_anybody() {
        let start = Instant::now();
        let attempts = alone(start);
        let here = ip("192.0.2.7");
        assert_eq!(wrong(&attempts, "ada@example.com", here, start), 10);
        for _ in 0..100 {
            assert!(attempts.password("ada@example.com", Some(here), start).is_err());
        }
        assert_eq!(wrong(&attempts, "bob@example.com", here, start), 10);
    }

    #[test]
    fn codes() {
        let start = Instant::now();
        let attempts = alone(start);
        let account = AccountId::from_bytes([1; 16]);
        let try_at = |session: u8, now| attempts.code(account, &[session; 32], now);
        let try_one = |session| try_at(session, start);
        for count in 1..=5 {
            assert_eq!(try_one(1).ok().unwrap().is_last, count == 5);
        }
        assert_eq!(try_one(1).err(), Some(NoCode::SessionOver));
        for _ in 0..20 {
            try_one(2).ok().unwrap().not_wrong();
        }
        for _ in 0..5 {
            assert!(try_one(2).is_ok());
        }
        assert_eq!(try_one(3).err(), Some(NoCode::Wait(WINDOW)));
        let other = AccountId::from_bytes([2; 16]);
        assert!(attempts.code(other, &[4_u8; 32], start).is_ok());
        let later = start + WINDOW;
        assert_eq!(try_at(1, later).err(), Some(NoCode::SessionOver));
        assert!(!try_at(3, later).ok().unwrap().is_last);
    }

    /// However many nodes there are, guessing is bounded nearly as at one of them, and nobody is
    /// locked out for having mistyped once or twice.
    #[test]
    fn nodes_let_their_part_through() {
        let start = Instant::now();
        let here = ip("192.0.2.7");
        for (count, each, of_address) in [(1, 10, 30), (2, 5, 15), (3, 4, 10), (50, 3, 3)] {
            let nodes = Arc::new(AtomicUsize::new(count));
            let attempts = Attempts::new(start, nodes.clone());
            assert_eq!(wrong(&attempts, "ada@example.com", here, start), each, "{count}");
            let names = (0..60).map(|n| format!("{n}@example.com"));
            let others = names.filter(|name| attempts.password(name, Some(here), start).is_ok());
            assert_eq!(others.count() + each, of_address.max(each), "{count}");
            let account = AccountId::from_bytes([1; 16]);
            let code = |session: u8| attempts.code(account, &[session; 32], start);
            let tries = (1..9).take_while(|_| code(1).is_ok()).count();
            assert_eq!(tries, 5_usize.div_ceil(count).max(3), "{count}");
            // Where one has gone, the others let more through.
            nodes.store(1, Ordering::Relaxed);
            assert_eq!(wrong(&attempts, "ada@example.com", here, start), 10 - each, "{count}");
        }
    }

    proptest! {
        /// However successes, failures and refusals mix: so many wrong ones, and no more.
        #[test]
        fn never_more_wrong_ones_than_are_allowed(
            steps in prop::collection::vec((0..3_u8, 0..4_u32, 0..3_u8, 0..900_u64), 1..400),
        ) {
            let start = Instant::now();
            let attempts = alone(start);
            let mut steps = steps;
            steps.sort_by_key(|step| step.3);
            let (mut pairs, mut addresses) = ([[0; 4]; 3], [0; 4]);
            for (account, network, outcome, seconds) in steps {
                let now = start + Duration::from_secs(seconds);
                let email = format!("{account}@example.com");
                let (a, n) = (usize::from(account), network as usize);
                match attempts.password(&email, Some(v4(network)), now) {
                    Ok(attempt) if outcome == 0 => attempt.succeeded(),
                    Ok(attempt) if outcome == 1 => attempt.undecided(),
                    Ok(_) => {
                        pairs[a][n] += 1;
                        addresses[n] += 1;
                        prop_assert!(pairs[a][n] <= 10 && addresses[n] <= 30);
                    }
                    Err(left) => {
                        prop_assert_eq!(left, Duration::from_secs(900 - seconds));
                        prop_assert!(pairs[a][n] == 10 || addresses[n] == 30);
                    }
                }
            }
        }
    }
}

//! Limits: how many requests a token may have in flight, and how many it may make in a time.
//!
//! [`Limiter`] decides for one node. Whatever decides for several takes the same [`Ask`], with
//! the moment, and gives the same [`Granted`] or [`Refused`].
//!
//! # What is promised
//! - Never more than a rate's number is granted in any span of its length, and never more
//!   requests are in flight than the limit. A request that is refused counts nowhere.
//! - Fewer may be granted, a little. A request counts for its span and up to a fourteenth of it
//!   longer, so that no pattern gets less than from an exact count over 15/14 of the span (and
//!   four ticks). Who asks evenly gets all but two: of 1000/60s, 998 a minute.
//! - `Retry-After` is when a request will be granted if nobody else asks, rounded up to a second.
//!
//! # One decision, step by step
//! A limiter that several nodes share keeps the same counters and repeats this, in one script;
//! then it decides as [`Limiter`] does. Numbers are whole, less than 2^53, and `/` rounds down.
//! A [`Rate`] says `requests`, `tick`, `length` and `part`. Of a token there are `latest` and
//! `back`; for each rate `newest` and 15 parts, part `p` in place `p mod 15`, each with
//! `granted`, `last` and `lag`; and the slots, each with its id, owner and end. What is absent
//! is 0, and `newest` then is step 2's.
//!
//! 1. `now` is the script's own clock in milliseconds, and `back`. Is it more than 60,000 less
//!    than `latest`, then `back` is raised by the difference. Is it less at all, it is `latest`;
//!    and `latest` is `now`.
//! 2. For each rate: `at = max(now / tick, newest * part + last)`, the `last` of part `newest`.
//!    The parts from `newest + 1` to `at / part` are cleared, the last 15 of them at most, and
//!    `newest = at / part`.
//! 3. Each part `p` from `newest - 14` on holds, with `ticks = at - p * part - length`: nothing,
//!    if `ticks >= last`; `granted`, if `ticks < lag`; else what of `granted` is left by
//!    `(ticks - lag + 1) * requests / length`, rounded up.
//! 4. `over` is what all parts hold together, and 1, less `requests`. Is it more than 0, the
//!    request is refused. It would be granted once the `over`th is given back: in the first
//!    part that holds `over` after those before it are subtracted. It is the
//!    `granted - held + over - 1`th of that part, counted from none, and is given back in tick
//!    `p * part + length + min(last, lag + nth * length / requests)`; a tick begins at
//!    `tick` times its number. The longest wait of all rates is the answer.
//! 5. With a limit on requests in flight: slots that have ended (`now >= end`) are removed; are
//!    as many left as the limit, the request is refused.
//! 6. Else, for each rate, in part `newest`, with `offset = at - newest * part`:
//!    `lag = max(lag, offset - granted * length / requests)`, then `last = max(last, offset)`,
//!    then `granted` is one more. And the slot is added.
//!
//! A node that dies cannot give its slots back. So each slot that is shared is a [`Claim`], the
//! node's or the service's that took it, and ends unless it is renewed. What of a token is over
//! after [`Rate::memory_millis`], if nothing is in flight, may be forgotten.

mod fields;
mod limiter;
mod rate;
mod slots;
mod steady;
pub mod window;

pub use fields::fields;
pub use limiter::{Limiter, NoSuchSlot};
pub use rate::{NotARate, Rate};
pub use slots::Slot;

use crate::{
    Code, Refusal,
    id::{AccountId, SlotId, TokenId},
    refusal::About,
    time::Seconds,
    token::Digest,
};
use std::sync::Arc;

/// The most requests in flight that a limit may allow.
const MOST_IN_FLIGHT: u32 = 100_000;
/// The most rates that an API may have.
const MOST_RATES: usize = 4;

/// What an API allows each of its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    in_flight: Option<u32>,
    rates: Arc<Vec<Rate>>,
}

/// Why an API cannot have these limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// None at all, or more than anybody has.
    #[error("expected a number from 1 to {MOST_IN_FLIGHT}")]
    InFlight,
    /// More rates than are counted.
    #[error("expected {MOST_RATES} rates at most")]
    TooManyRates,
    /// The rate at this index has the span of one before it.
    #[error("there is a rate for {per} already, expected one for each span")]
    Repeated {
        /// Which one.
        index: usize,
        /// Its span.
        per: Seconds,
    },
}

impl Limits {
    /// So many requests in flight, and all these rates; nothing, where there is no limit.
    pub fn new(in_flight: Option<u64>, rates: Vec<Rate>) -> Result<Self, Unsound> {
        let in_flight = in_flight.map(|most| {
            let most = u32::try_from(most).ok();
            most.filter(|most| (1..=MOST_IN_FLIGHT).contains(most)).ok_or(Unsound::InFlight)
        });
        let in_flight = in_flight.transpose()?;
        if rates.len() > MOST_RATES {
            return Err(Unsound::TooManyRates);
        }
        for (index, rate) in rates.iter().enumerate() {
            if rates[..index].iter().any(|before| before.per() == rate.per()) {
                return Err(Unsound::Repeated { index, per: rate.per() });
            }
        }
        Ok(Self { in_flight, rates: Arc::new(rates) })
    }

    /// How many requests may be in flight, where there is a limit.
    pub fn in_flight(&self) -> Option<u32> {
        self.in_flight
    }

    /// The rates.
    pub fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_none() && self.rates.is_empty()
    }

    /// What each of so many nodes may grant when they cannot ask one another: a part of each
    /// number, rounded down, but one at least. So together they keep to a number that is not
    /// smaller than they are many.
    #[must_use]
    pub fn divided(&self, nodes: u32) -> Self {
        let in_flight = self.in_flight.map(|most| (most / nodes.max(1)).max(1));
        Self { in_flight, ..self.rates_divided(nodes) }
    }

    /// The same of the rates alone.
    #[must_use]
    pub fn rates_divided(&self, nodes: u32) -> Self {
        let rates = self.rates.iter().map(|rate| rate.divided(nodes)).collect();
        Self { in_flight: self.in_flight, rates: Arc::new(rates) }
    }

    /// The longest that a request may count against its token, by any of the rates.
    pub fn memory_millis(&self) -> i64 {
        self.rates.iter().map(Rate::memory_millis).max().unwrap_or(0)
    }
}

/// A request that wants to go on.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// With whose requests it is counted.
    pub whose: Key,
    /// What its API allows.
    pub limits: &'a Limits,
    /// What it takes beside its place in the windows.
    pub holds: Holds,
}

/// Whose requests are counted together: a token's, with all that was obtained with it, or
/// those that show an API one account's own password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// An account's, by its own password at the API of this name. It is no token's: those
    /// are UUIDs of version 7, and this is one of version 8 (RFC 9562 §5.8).
    pub fn of_password(account: AccountId, api: &str) -> Self {
        let digest = Digest::of(&format!("{account} {api}"));
        let mut key = [0; 16];
        key.copy_from_slice(&digest.as_bytes()[..16]);
        key[6] = 0x80 | key[6] & 0x0f;
        key[8] = 0x80 | key[8] & 0x3f;
        Self(key)
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<TokenId> for Key {
    fn from(token: TokenId) -> Self {
        Self(*token.as_bytes())
    }
}

/// What a request takes of those that may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Nothing: whoever asks does not see the request's end.
    Nothing,
    /// A slot, until it is dropped.
    Slot,
    /// A slot by name, until it is given back or its time is over.
    Named(Claim),
}

/// A slot by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The name. Whoever asks has drawn it, and no other slot has it.
    pub id: SlotId,
    /// Who may renew it and give it back.
    pub owner: Owner,
    /// For how long, if it is not renewed.
    pub lasts: Seconds,
}

/// The credential that takes a slot by name: the token, the session or the node that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(pub [u8; 16]);

impl From<TokenId> for Owner {
    fn from(token: TokenId) -> Self {
        Self(*token.as_bytes())
    }
}

impl Ask<'_> {
    /// How many may be in flight, where this request would be one of them.
    pub fn in_flight(&self) -> Option<u32> {
        self.limits.in_flight.filter(|_| self.holds != Holds::Nothing)
    }
}

/// Leave to go on, as far as limits are concerned.
#[derive(Debug)]
pub struct Granted<S = Slot> {
    /// The slot that was taken. None where it has a name, where none was asked for, and where
    /// the API has no limit on them.
    pub slot: Option<S>,
    /// How the rates stand, this request counted.
    pub standings: Standings,
}

impl<S> Default for Granted<S> {
    fn default() -> Self {
        Self { slot: None, standings: Standings::default() }
    }
}

/// Why a request may not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There were too many requests in a time.
    #[error("too many requests in a time")]
    RateLimited(#[from] Throttled),
    /// Too many requests are in flight.
    #[error("too many requests in flight")]
    TooManyInFlight,
    /// More tokens are active than the limiter has room for, and this one was not among them.
    #[error("too many tokens are active")]
    Full,
}

/// How far over its rates a token is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} to wait", .retry_after)]
pub struct Throttled {
    /// When a request would be granted, if nobody else asked.
    pub retry_after: Seconds,
    /// How the rates stand.
    pub standings: Standings,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let second = About::RetryAfter(Seconds(1));
        match refused {
            Refused::RateLimited(throttled) => {
                let about = About::Throttled(Box::new(throttled));
                Self { about, ..Self::new(Code::RateLimited) }
            }
            Refused::TooManyInFlight => Self { about: second, ..Self::new(Code::TooManyInFlight) },
            // It is the node that cannot count one more; the client did nothing.
            Refused::Full => Self { about: second, ..Self::new(Code::NodeStale) },
        }
    }
}

/// How the rates of one token stand, in the order of its [`Limits`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Standings {
    all: [Standing; MOST_RATES],
    count: usize,
}

/// How one rate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many requests it allows.
    pub requests: u32,
    /// In how much time.
    pub per: Seconds,
    /// How many it allows now.
    pub remaining: u32,
    /// When it allows one more than now, rounded up; its whole span, when it allows all.
    pub reset: Seconds,
}

impl Default for Standing {
    fn default() -> Self {
        Self { requests: 0, per: Seconds(0), remaining: 0, reset: Seconds(0) }
    }
}

impl Standings {
    pub(crate) fn push(&mut self, standing: Standing) {
        if let Some(place) = self.all.get_mut(self.count) {
            *place = standing;
            self.count += 1;
        }
    }
}

impl FromIterator<Standing> for Standings {
    /// In the order of the rates.
    fn from_iter<I: IntoIterator<Item = Standing>>(all: I) -> Self {
        let mut standings = Self::default();
        all.into_iter().for_each(|standing| standings.push(standing));
        standings
    }
}

impl std::ops::Deref for Standings {
    type Target = [Standing];

    fn deref(&self) -> &[Standing] {
        &self.all[..self.count]
    }
}

impl PartialEq for Standings {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Standings {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(texts: &[&str]) -> Vec<Rate> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn limits_that_make_no_sense_say_so() {
        let limits = Limits::new(Some(5), rates(&["1000/60s", "10000/24h"])).unwrap();
        assert_eq!((limits.in_flight(), limits.rates().len()), (Some(5), 2));
        assert!(!limits.is_empty());
        assert!(Limits::new(None, vec![]).unwrap().is_empty());
        for (in_flight, texts, message) in [
            (Some(0), &[][..], "expected a number from 1 to 100000"),
            (Some(100_001), &[], "expected a number from 1 to 100000"),
            (Some(u64::MAX), &[], "expected a number from 1 to 100000"),
            (
                None,
                &["1/60s", "2/1h", "3/1m"],
                "there is a rate for 1m already, expected one for each span",
            ),
            (None, &["1/1s", "2/2s", "3/3s", "4/4s", "5/5s"], "expected 4 rates at most"),
        ] {
            let error = Limits::new(in_flight, rates(texts)).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let repeated = Limits::new(None, rates(&["1/60s", "2/1h", "3/1m"])).unwrap_err();
        assert_eq!(repeated, Unsound::Repeated { index: 2, per: Seconds(60) });
    }

    #[test]
    fn a_password_is_counted_apart() {
        let (now, entropy) = (crate::Timestamp::from_millis(1), [7; 10]);
        let (account, other) = (AccountId::new(now, entropy), AccountId::new(now, [8; 10]));
        let key = Key::of_password(account, "orders");
        assert_eq!(key, Key::of_password(account, "orders"));
        assert_ne!(key, Key::of_password(account, "costs"));
        assert_ne!(key, Key::of_password(other, "orders"));
        let token = Key::from(TokenId::new(now, entropy));
        assert_eq!((token.as_bytes()[6] >> 4, key.as_bytes()[6] >> 4), (7, 8));
    }

    #[test]
    fn nodes_on_their_own_share() {
        let limits = Limits::new(Some(5), rates(&["1000/60s", "2/24h"])).unwrap().divided(3);
        assert_eq!(limits.in_flight(), Some(1));
        assert_eq!(limits.rates(), rates(&["333/60s", "1/24h"]));
        assert_eq!(Limits::default().divided(3), Limits::default());
        let limits = Limits::new(Some(5), rates(&["1000/60s"])).unwrap().rates_divided(3);
        assert_eq!((limits.in_flight(), limits.rates()), (Some(5), &*rates(&["333/60s"])));
        assert_eq!(limits.memory_millis(), limits.rates()[0].memory_millis());
        assert_eq!(Limits::default().memory_millis(), 0);
    }

    #[test]
    fn what_a_refused_request_is_told() {
        let throttled = Throttled { retry_after: Seconds(56), standings: Standings::default() };
        for (refused, code, about, said) in [
            (
                Refused::from(throttled.clone()),
                Code::RateLimited,
                About::Throttled(Box::new(throttled)),
                "56s to wait",
            ),
            (
                Refused::TooManyInFlight,
                Code::TooManyInFlight,
                About::RetryAfter(Seconds(1)),
                "1s to wait",
            ),
            (Refused::Full, Code::NodeStale, About::RetryAfter(Seconds(1)), "1s to wait"),
        ] {
            let refusal = Refusal::from(refused);
            assert_eq!(refusal.about.to_string(), said);
            assert_eq!(refusal, Refusal { code, about, matched: None });
        }
    }
}

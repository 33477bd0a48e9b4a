//! Credentials that prove nothing, and how many of them one address may show.
//!
//! Whoever shows too many is answered 429, whatever the reason was, and nothing of it is
//! written down: a flood takes no memory, no disk and no log. Credentials that do prove
//! something are not counted, and pass, wherever they come from.

use super::throttle::Throttle;
use crate::clock;
use counterfoil_core::{Code, Refusal, limit::Rate, refusal::About, time::Seconds};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How often at most the log says that somebody is throttled.
const TOLD: Duration = Duration::from_mins(1);

/// What is counted of each address, at all doors together.
pub(crate) struct Unproven {
    rate: Rate,
    throttle: Throttle,
    /// When the log was told last.
    told: Mutex<Option<Instant>>,
}

impl Unproven {
    /// Allows so many in each window of a rate's span.
    pub(crate) fn new(rate: Rate) -> Self {
        let window = Duration::from_secs(rate.per().0);
        let throttle = Throttle::new(rate.requests(), window, clock::steady());
        Self { rate, throttle, told: Mutex::default() }
    }

    /// What goes on counting where the rate has stayed as it is, and else begins.
    pub(crate) fn kept(before: Option<Arc<Self>>, rate: Option<Rate>) -> Option<Arc<Self>> {
        let rate = rate?;
        Some(
            before
                .filter(|before| before.rate == rate)
                .unwrap_or_else(|| Arc::new(Self::new(rate))),
        )
    }

    /// Counts a refusal that went to `client`; what is said instead, where it is one too many.
    /// Nobody is throttled for an address that is not known.
    pub(crate) fn instead_of(&self, refusal: &Refusal, client: Option<IpAddr>) -> Option<Refusal> {
        // Whoever shows nothing is asked for something; what is proven has limits of its own.
        if refusal.code.status() != 401 || refusal.code == Code::MissingCredential {
            return None;
        }
        let client = client?;
        let now = clock::steady();
        let left = self.throttle.admit(Some(client), now).err()?;
        self.tell(client, now);
        let about = About::RetryAfter(Seconds(left.as_secs().max(1)));
        Some(Refusal { about, ..Refusal::new(Code::RateLimited) })
    }

    fn tell(&self, client: IpAddr, now: Instant) {
        // Whoever tells already tells for the others.
        let Ok(mut told) = self.told.try_lock() else { return };
        if told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD) {
            *told = Some(now);
            tracing::warn!(%client, "too many credentials that prove nothing; this address, and any other that does the same, is answered 429 for a while");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_counting_under_the_same_rate() {
        let rate = |text: &str| Some(text.parse().unwrap());
        let first = Unproven::kept(None, rate("2/1h")).unwrap();
        let kept = |rate| Unproven::kept(Some(first.clone()), rate);
        assert!(Arc::ptr_eq(&first, &kept(rate("2/1h")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &kept(rate("3/1h")).unwrap()));
        assert!(kept(None).is_none());
    }

    #[test]
    fn only_what_proves_nothing_counts() {
        let unproven = Unproven::new("2/1h".parse().unwrap());
        let client = Some("192.0.2.7".parse().unwrap());
        let instead = |code| unproven.instead_of(&Refusal::new(code), client);
        for code in [
            Code::MissingCredential,
            Code::InsufficientScope,
            Code::NetworkNotAllowed,
            Code::RateLimited,
            Code::TooManyInFlight,
            Code::NodeStale,
        ] {
            for _ in 0..3 {
                assert_eq!(instead(code), None, "{code}");
            }
        }
        // Whatever the true reason is, it counts alike and reads alike.
        assert_eq!(instead(Code::MalformedCredential), None);
        assert_eq!(instead(Code::Revoked), None);
        for code in [Code::UnknownToken, Code::MalformedCredential, Code::Expired, Code::WrongApi] {
            let refusal = instead(code).unwrap();
            assert_eq!((refusal.code, refusal.matched), (Code::RateLimited, None), "{code}");
            let About::RetryAfter(Seconds(left)) = refusal.about else { panic!("{refusal:?}") };
            assert!((1..=3600).contains(&left), "{left}");
        }
        // Elsewhere there is none too many, and nowhere there is nobody to throttle.
        let elsewhere = Some("192.0.2.8".parse().unwrap());
        assert_eq!(unproven.instead_of(&Refusal::new(Code::UnknownToken), elsewhere), None);
        for _ in 0..20 {
            assert_eq!(unproven.instead_of(&Refusal::new(Code::UnknownToken), None), None);
        }
    }
}

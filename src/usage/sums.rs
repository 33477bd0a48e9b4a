//! How the requests of one token add up.

use super::{Count, LastUse, ORIGINS, Origin, Outcome, TokenUsage, Use};
use crate::loggable::{self, loggable};
use counterfoil_core::{Timestamp, time::Seconds};
use std::borrow::{Borrow, Cow};

/// How many sums of one token wait at most: then the oldest hour's go.
const COUNTS: usize = 200;

impl TokenUsage {
    pub(super) fn requests(&self) -> u64 {
        self.counts.iter().map(|count| count.requests).sum()
    }

    /// Takes in one request. `hush` is asked for whatever text is not kept already: what
    /// equals a kept text says nothing new.
    pub(super) fn add(
        &mut self,
        outcome: Outcome,
        request: &Use<'_>,
        hush: &impl for<'t> Fn(&'t str) -> Cow<'t, str>,
    ) {
        let at = request.at;
        let admitted = outcome == Outcome::Admitted;
        self.count(Count { hour: at.beginning(Seconds::HOUR), outcome, requests: 1 });
        let day = at.beginning(Seconds::DAY);
        origin(&mut self.addresses, day, request.client.as_ref(), at).add(at, admitted);
        let agent = request.user_agent.filter(|text| !text.is_empty());
        let agent = if let Some(known) = found(&mut self.user_agents, day, agent) {
            known.add(at, admitted);
            agent.map(Cow::Borrowed)
        } else {
            let shown = agent.map(|text| loggable(&hush(text)));
            origin(&mut self.user_agents, day, shown.as_deref(), at).add(at, admitted);
            shown.map(Cow::Owned)
        };
        if admitted {
            self.used(request, agent.as_deref(), hush);
        }
    }

    /// Notes the last request, in the texts that are there already. `agent` is fit to be kept.
    fn used(
        &mut self,
        request: &Use<'_>,
        agent: Option<&str>,
        hush: &impl for<'t> Fn(&'t str) -> Cow<'t, str>,
    ) {
        let Use { at, door, client: address, method, path, secret, .. } = *request;
        let door = Cow::Borrowed(door);
        let mark = secret.map(|secret| secret.mark);
        let is_previous = secret.is_some_and(|secret| secret.is_previous);
        if !is_previous && self.last.as_ref().is_some_and(|last| last.secret != mark) {
            // A rotation has come in between.
            let mut other = Self::default();
            other.used(request, agent, hush);
            super::keep_later(&mut self.last, &mut self.previous, other.last);
            return;
        }
        let first = || LastUse {
            at,
            door: door.clone(),
            address,
            user_agent: None,
            route: None,
            secret: mark,
        };
        let last = if is_previous {
            &mut **self.previous.get_or_insert_with(|| Box::new(first()))
        } else {
            self.last.get_or_insert_with(first)
        };
        if at < last.at {
            return;
        }
        (last.at, last.door, last.address, last.secret) = (at, door, address, mark);
        if last.user_agent.as_deref() != agent {
            match agent {
                Some(agent) => agent.clone_into(last.user_agent.get_or_insert_default()),
                None => last.user_agent = None,
            }
        }
        if path.is_empty() {
            last.route = None;
        } else if !last.route.as_deref().is_some_and(|route| is_route(route, method, path)) {
            let route = last.route.get_or_insert_default();
            route.clear();
            loggable::write(route, &hush(method));
            route.push(' ');
            loggable::write(route, &hush(path));
        }
    }

    fn count(&mut self, more: Count) {
        let same = |kept: &&mut Count| kept.hour == more.hour && kept.outcome == more.outcome;
        if let Some(kept) = self.counts.iter_mut().rev().find(same) {
            kept.requests += more.requests;
            return;
        }
        self.counts.push(more);
        if self.counts.len() > COUNTS
            && let Some(oldest) = self.counts.iter().map(|count| count.hour).min()
        {
            self.counts.retain(|count| count.hour != oldest);
        }
    }

    /// Takes in what was kept elsewhere, or was taken away and could not be written.
    pub(super) fn absorb(&mut self, other: Self) {
        other.counts.into_iter().for_each(|count| self.count(count));
        for from in other.addresses {
            origin(&mut self.addresses, from.day, from.value.as_ref(), from.first_at).absorb(&from);
        }
        for from in other.user_agents {
            origin(&mut self.user_agents, from.day, from.value.as_deref(), from.first_at)
                .absorb(&from);
        }
        let at = |last: Option<&LastUse>| last.map(|last| last.at);
        super::keep_later(&mut self.last, &mut self.previous, other.last);
        if at(other.previous.as_deref()) > at(self.previous.as_deref()) {
            self.previous = other.previous;
        }
    }
}

impl<T> Origin<T> {
    fn add(&mut self, at: Timestamp, admitted: bool) {
        self.admitted += u64::from(admitted);
        self.refused += u64::from(!admitted);
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// What is known of this origin, which may be nothing yet; where there is no
/// room for one more, what is known of the others.
fn origin<'o, T, Q>(
    origins: &'o mut Vec<Origin<T>>,
    day: Timestamp,
    value: Option<&Q>,
    at: Timestamp,
) -> &'o mut Origin<T>
where
    T: Borrow<Q>,
    Q: ?Sized + PartialEq + ToOwned<Owned = T>,
{
    let mut sought = (position(origins, day, value), value);
    if sought.0.is_none() && origins.len() >= ORIGINS as usize {
        sought = (position(origins, day, None), None);
    }
    let (place, value) = sought;
    let place = place.unwrap_or(origins.len());
    if place == origins.len() {
        let value = value.map(ToOwned::to_owned);
        origins.push(Origin { day, value, admitted: 0, refused: 0, first_at: at, last_at: at });
    }
    &mut origins[place]
}

/// What is known of this origin.
fn found<'o, T: Borrow<Q>, Q: ?Sized + PartialEq>(
    origins: &'o mut [Origin<T>],
    day: Timestamp,
    value: Option<&Q>,
) -> Option<&'o mut Origin<T>> {
    position(origins, day, value).map(|place| &mut origins[place])
}

/// Where this origin stands: at the end from now on, for the next request is most
/// likely from the same one.
fn position<T: Borrow<Q>, Q: ?Sized + PartialEq>(
    origins: &mut [Origin<T>],
    day: Timestamp,
    value: Option<&Q>,
) -> Option<usize> {
    let is =
        |origin: &Origin<T>| origin.day == day && origin.value.as_ref().map(T::borrow) == value;
    let place = origins.iter().rposition(is)?;
    let end = origins.len() - 1;
    if place != end {
        origins.swap(place, end);
    }
    Some(end)
}

/// Whether `route` is these two with a space between them.
fn is_route(route: &str, method: &str, path: &str) -> bool {
    route
        .strip_suffix(path)
        .and_then(|rest| rest.strip_suffix(' '))
        .is_some_and(|rest| rest == method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{
        Presented,
        tests::{at, refused, request},
    };
    use counterfoil_core::Code;
    use std::net::IpAddr;

    const SECRET: &str = "acme_live_0123456789012345678901234567890123456789";

    fn add(usage: &mut TokenUsage, outcome: Outcome, request: &Use<'_>) {
        usage.add(outcome, request, &|text| text.into());
    }

    #[test]
    fn requests_are_added_up() {
        let mut usage = TokenUsage::default();
        for hours in [23, 23, 24] {
            add(&mut usage, Outcome::Admitted, &request(hours));
        }
        add(&mut usage, refused(Code::InsufficientScope), &Use { path: "/b", ..request(25) });
        let count = |hours, outcome, requests| Count {
            hour: at(hours).beginning(Seconds::HOUR),
            outcome,
            requests,
        };
        let expected = [
            count(23, Outcome::Admitted, 2),
            count(24, Outcome::Admitted, 1),
            count(25, refused(Code::InsufficientScope), 1),
        ];
        assert_eq!(usage.counts, expected);
        assert_eq!(usage.requests(), 4);
        let origin = |hours, admitted, refused, first, last| Origin {
            day: at(hours).beginning(Seconds::DAY),
            value: Some("curl/8".to_owned()),
            admitted,
            refused,
            first_at: at(first),
            last_at: at(last),
        };
        assert_eq!(usage.user_agents, [origin(0, 2, 0, 23, 23), origin(24, 1, 1, 24, 25)]);
        assert_eq!(usage.addresses.len(), 2);
        // What was refused is no use.
        let last = usage.last.unwrap();
        assert_eq!((last.at, last.route.as_deref()), (at(24), Some("GET /a")));
    }

    #[test]
    fn the_last_use_is_the_last() {
        let mut usage = TokenUsage::default();
        let nowhere =
            Use { client: None, user_agent: None, path: "", door: "verify", ..request(2) };
        for (request, address, agent, route) in [
            (request(1), true, Some("curl/8"), Some("GET /a")),
            (
                Use { path: "/a/b", method: "PUT", ..request(1) },
                true,
                Some("curl/8"),
                Some("PUT /a/b"),
            ),
            (nowhere, false, None, None),
            (Use { user_agent: Some(""), ..request(3) }, true, None, Some("GET /a")),
        ] {
            add(&mut usage, Outcome::Admitted, &request);
            let last = usage.last.clone().unwrap();
            assert_eq!((last.at, &*last.door), (request.at, request.door));
            assert_eq!(last.address.is_some(), address);
            assert_eq!((last.user_agent.as_deref(), last.route.as_deref()), (agent, route));
        }
        let before = usage.last.clone();
        add(&mut usage, Outcome::Admitted, &request(2));
        assert_eq!(usage.last, before);
    }

    #[test]
    fn what_a_rotation_replaced_is_kept_apart() {
        let with = |hours, mark, is_previous| Use {
            secret: Some(Presented { mark: [mark; 8], is_previous }),
            ..request(hours)
        };
        let shown = |usage: &TokenUsage| {
            let told = |last: &LastUse| (last.at, last.secret.unwrap()[0]);
            (usage.last.as_ref().map(told), usage.previous.as_deref().map(told))
        };
        let mut usage = TokenUsage::default();
        add(&mut usage, Outcome::Admitted, &with(1, 1, false));
        assert_eq!(shown(&usage), (Some((at(1), 1)), None));
        add(&mut usage, Outcome::Admitted, &with(2, 2, false));
        assert_eq!(shown(&usage), (Some((at(2), 2)), Some((at(1), 1))));
        add(&mut usage, Outcome::Admitted, &with(3, 1, true));
        assert_eq!(shown(&usage), (Some((at(2), 2)), Some((at(3), 1))));
        // One from before the rotation that comes late changes nothing.
        add(&mut usage, Outcome::Admitted, &with(1, 1, false));
        assert_eq!(shown(&usage), (Some((at(2), 2)), Some((at(3), 1))));
        let mut waited = TokenUsage::default();
        add(&mut waited, Outcome::Admitted, &with(4, 2, false));
        let mut both = usage.clone();
        both.absorb(waited.clone());
        waited.absorb(usage);
        for usage in [both, waited] {
            assert_eq!(shown(&usage), (Some((at(4), 2)), Some((at(3), 1))));
        }
    }

    #[test]
    fn a_secret_is_left_out() {
        let mut usage = TokenUsage::default();
        let agent = format!("tool/1 ({SECRET})");
        let path = format!("/x/{SECRET}/y");
        for _ in 0..2 {
            let request =
                Use { user_agent: Some(&agent), path: &path, method: SECRET, ..request(1) };
            add(&mut usage, Outcome::Admitted, &request);
        }
        assert_eq!(usage.user_agents.len(), 1);
        let last = usage.last.as_ref().unwrap();
        assert_eq!(last.user_agent.as_deref(), Some("tool/1 (…)"));
        assert_eq!(last.route.as_deref(), Some("… /x/…/y"));
        assert!(!format!("{usage:?}").contains("0123456789"));
    }

    #[test]
    fn whatever_is_sent_memory_is_bounded() {
        let mut usage = TokenUsage::default();
        let long = "x ".repeat(10_000);
        for n in 0..1_000_u32 {
            let (agent, client) = (format!("{n} {long}"), Some(IpAddr::from(n.to_be_bytes())));
            let request =
                Use { user_agent: Some(&agent), client, path: &long, ..request(i64::from(n)) };
            add(&mut usage, Outcome::Admitted, &request);
        }
        assert_eq!(usage.counts.len(), COUNTS);
        let oldest = usage.counts.iter().map(|count| count.hour).min();
        assert_eq!(oldest, Some(at(800).beginning(Seconds::HOUR)));
        assert!(usage.user_agents.iter().all(|o| o.value.as_ref().is_none_or(|v| v.len() < 300)));
        // Those that are told apart, and one for the others of each of 42 days.
        assert!(usage.addresses.len() <= ORIGINS as usize + 42, "{}", usage.addresses.len());
        assert_eq!(usage.addresses.iter().map(|o| o.admitted).sum::<u64>(), 1_000);
        assert!(usage.last.unwrap().route.unwrap().len() < 300);
    }

    #[test]
    fn what_equals_a_kept_text_is_not_looked_at_again() {
        let mut usage = TokenUsage::default();
        let looked_at = std::cell::Cell::new(0);
        let mut look = |request: &Use<'_>| {
            let before = looked_at.replace(0);
            usage.add(Outcome::Admitted, request, &|text| {
                looked_at.set(looked_at.get() + 1);
                text.into()
            });
            before + looked_at.replace(0)
        };
        // The user agent, the method, the path.
        assert_eq!(look(&request(1)), 3);
        assert_eq!(look(&request(2)), 0);
        assert_eq!(look(&Use { path: "/b", ..request(2) }), 2);
        assert_eq!(look(&Use { path: "/b", user_agent: Some("curl/9"), ..request(2) }), 1);
        assert_eq!(look(&Use { path: "/b", ..request(2) }), 0);
        // What is late changes no text.
        assert_eq!(look(&request(1)), 0);
    }

    #[test]
    fn what_two_kept_is_one_sum() {
        let (mut one, mut other, mut both) = <(TokenUsage, TokenUsage, TokenUsage)>::default();
        for n in 0..100_u32 {
            let agent = format!("{}", n % 7);
            let client = Some(IpAddr::from((n % 5).to_be_bytes()));
            let seen = Use { user_agent: Some(&agent), client, ..request(i64::from(n / 10)) };
            let outcome = if n % 3 == 0 { refused(Code::Paused) } else { Outcome::Admitted };
            add(if n % 2 == 0 { &mut one } else { &mut other }, outcome, &seen);
            add(&mut both, outcome, &seen);
        }
        one.absorb(other);
        for usage in [&mut one, &mut both] {
            usage.counts.sort_by_key(|count| (count.hour, count.outcome.as_str()));
            usage.addresses.sort_by_key(|origin| origin.value);
            usage.user_agents.sort_by_key(|origin| origin.value.clone());
        }
        assert_eq!(one, both);
    }

    #[test]
    fn a_route_is_a_method_and_a_path() {
        for (route, method, path, same) in [
            ("GET /a", "GET", "/a", true),
            ("GET /a", "GET", "a", false),
            ("GET /a", "ET", "/a", false),
            ("GET /a/a", "GET", "/a", false),
            ("GET/a", "GET", "/a", false),
            (" /a", "", "/a", true),
        ] {
            assert_eq!(is_route(route, method, path), same, "{route:?}");
        }
    }
}

//! When a key signs, and for how long it is published: a matter of when the keys of its
//! algorithm were made, of the policy, and of the time.
//!
//! A key that is dated later than it is now was made under a wrong clock, or the clock is wrong
//! now. It stays published, and no key waits for it to sign; what was true of the others is.
//!
//! The first key signs at once. Every other is published first, so that whoever keeps our keys
//! for a while knows it by the time it signs. Once the next one signs, it stays published for as
//! long as what it signed last can live.

use counterfoil_core::{Timestamp, time::Seconds};

/// How much later than now a key may be dated: clocks are set back a little.
const TOLERANCE: Seconds = Seconds(3600);

/// How keys follow each other.
///
/// Where it changes, what was signed under the earlier one is kept verifiable by the later one:
/// a shorter `longest_lifetime` withdraws a retired key earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How long after a key was made the next one is.
    pub(crate) rotate_every: Seconds,
    /// How long a key is published before it signs.
    pub(crate) lead: Seconds,
    /// How long an access token lives at most.
    pub(crate) longest_lifetime: Seconds,
}

/// What a key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is published, and will sign.
    Next {
        /// From when on.
        signs_at: Timestamp,
    },
    /// It signs.
    Signing,
    /// What it signed is still alive.
    Retired {
        /// From when on nothing of it is.
        until: Timestamp,
    },
}

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Whether a key is to be made.
    pub(super) make: bool,
    /// How many of the oldest keys are not needed any more.
    pub(super) over: usize,
}

/// Whether a key is dated so much later than now that one of the two times is wrong.
pub(super) fn is_astray(made_at: Timestamp, now: Timestamp) -> bool {
    made_at > now.plus(TOLERANCE)
}

/// Those of which the date can be right.
fn credible(made: &[Timestamp], now: Timestamp) -> &[Timestamp] {
    &made[..made.partition_point(|made_at| !is_astray(*made_at, now))]
}

/// Which one signs, of keys that were made at these times, the oldest first; none where there
/// is no key.
pub(super) fn signing(made: &[Timestamp], now: Timestamp, policy: Policy) -> Option<usize> {
    let last = made.len().checked_sub(1)?;
    // Where a clock was turned back and none is ready, the oldest is the best known.
    Some((1..=last).rev().find(|at| made[*at].plus(policy.lead) <= now).unwrap_or(0))
}

/// Whether one waits for its time to sign.
pub(super) fn is_waiting(made: &[Timestamp], now: Timestamp, policy: Policy) -> bool {
    signing(made, now, policy).is_some_and(|at| at + 1 < credible(made, now).len())
}

/// What each of them is there for. Retired ones may be over.
pub(super) fn standings(
    made: &[Timestamp],
    now: Timestamp,
    policy: Policy,
) -> impl Iterator<Item = Standing> {
    let signing = signing(made, now, policy).unwrap_or_default();
    (0..made.len()).map(move |at| match at {
        at if at > signing => Standing::Next { signs_at: made[at].plus(policy.lead) },
        at if at == signing => Standing::Signing,
        // It stopped when the next one began.
        at => {
            let stopped = made[at + 1].plus(policy.lead);
            Standing::Retired { until: stopped.plus(policy.longest_lifetime) }
        }
    })
}

/// What each of them is there for, and until when.
pub(super) fn spells(
    made: &[Timestamp],
    now: Timestamp,
    policy: Policy,
) -> impl Iterator<Item = (Standing, Timestamp)> {
    standings(made, now, policy).enumerate().map(move |(at, standing)| {
        let until = match standing {
            Standing::Next { signs_at } => signs_at,
            Standing::Retired { until } => until,
            // It signs until the next one does, which is made when it is time.
            Standing::Signing => {
                let due = || made[at].plus(policy.rotate_every);
                credible(made, now).get(at + 1).copied().unwrap_or_else(due).plus(policy.lead)
            }
        };
        (standing, until)
    })
}

/// What has to be done by now.
pub(super) fn due(made: &[Timestamp], now: Timestamp, policy: Policy) -> Due {
    let is_over =
        |standing: &Standing| matches!(standing, Standing::Retired { until } if *until <= now);
    Due {
        make: match credible(made, now).last() {
            // One at a time, however short a time a key is to sign.
            Some(newest) => {
                newest.plus(policy.rotate_every) <= now && !is_waiting(made, now, policy)
            }
            None => true,
        },
        over: standings(made, now, policy).take_while(is_over).count(),
    }
}

/// When the next key is said to be made: now, but behind all others whose dates can be right,
/// also where the clock was set back a little.
pub(super) fn next(made: &[Timestamp], now: Timestamp) -> Timestamp {
    let behind = |newest: &Timestamp| Timestamp::from_millis(newest.as_millis().saturating_add(1));
    credible(made, now).last().map_or(now, |newest| now.max(behind(newest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy =
        Policy { rotate_every: Seconds(1000), lead: Seconds(100), longest_lifetime: Seconds(50) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn the_first_signs_at_once_and_every_other_after_its_lead() {
        let made = [at(0), at(1000)];
        assert_eq!(signing(&[], at(0), POLICY), None);
        assert_eq!(signing(&made[..1], at(0), POLICY), Some(0));
        assert_eq!(signing(&made, at(1099), POLICY), Some(0));
        assert_eq!(signing(&made, at(1100), POLICY), Some(1));
        // Before there was any, as a clock that was turned back has it.
        assert_eq!(signing(&made, at(-5), POLICY), Some(0));
    }

    #[test]
    fn a_key_is_next_then_signs_then_is_retired_then_is_over() {
        let made = [at(0), at(1000)];
        let standings = |now| standings(&made, at(now), POLICY).collect::<Vec<_>>();
        assert_eq!(standings(1050), [Standing::Signing, Standing::Next { signs_at: at(1100) }]);
        assert_eq!(standings(1120), [Standing::Retired { until: at(1150) }, Standing::Signing]);
        assert_eq!(due(&made, at(1149), POLICY), Due { make: false, over: 0 });
        assert_eq!(due(&made, at(1150), POLICY), Due { make: false, over: 1 });
    }

    #[test]
    fn it_is_known_until_when() {
        let until = |made: &[Timestamp], now| {
            spells(made, at(now), POLICY).map(|(_, until)| until).collect::<Vec<_>>()
        };
        assert_eq!(until(&[at(0)], 1), [at(1100)]);
        assert_eq!(until(&[at(0), at(500)], 550), [at(600), at(600)]);
        assert_eq!(until(&[at(0), at(500)], 620), [at(650), at(1600)]);
    }

    #[test]
    fn a_key_is_made_when_the_newest_is_old_enough_and_none_waits() {
        assert!(due(&[], at(0), POLICY).make);
        assert!(!due(&[at(0)], at(999), POLICY).make);
        assert!(due(&[at(0)], at(1000), POLICY).make);
        assert!(!due(&[at(0), at(1000)], at(1001), POLICY).make);
        // After a long time out of service there is one, not one for each time that was missed.
        assert_eq!(due(&[at(0), at(1000)], at(1_000_000), POLICY), Due { make: true, over: 1 });
        let hasty = Policy { rotate_every: Seconds(0), ..POLICY };
        assert!(!due(&[at(0), at(1)], at(100), hasty).make);
        assert!(due(&[at(0), at(1)], at(101), hasty).make);
    }

    #[test]
    fn keys_have_an_order_where_the_clock_was_set_back_a_little() {
        assert_eq!(next(&[], at(5)), at(5));
        assert_eq!(next(&[at(4)], at(5)), at(5));
        assert_eq!(next(&[at(5)], at(5)), Timestamp::from_millis(5001));
        assert_eq!(next(&[at(9)], at(5)), Timestamp::from_millis(9001));
    }

    #[test]
    fn a_clock_that_was_ahead_stops_no_rotation() {
        let later = at(1_000_000);
        let made = [at(0), later];
        let is_due = |made: &[Timestamp], now| due(made, at(now), POLICY).make;
        assert!(is_astray(later, at(5)) && !is_astray(at(3600), at(0)));
        assert!(!is_waiting(&made, at(5), POLICY));
        assert_eq!(next(&made, at(5)), at(5));
        assert!(!is_due(&made, 999) && is_due(&made, 1000));
        let until = spells(&made, at(5), POLICY).next().map(|(_, until)| until);
        assert_eq!(until, Some(at(1100)));
        // The one that is made then is one like any other.
        let made = [at(0), at(1000), later];
        assert!(is_waiting(&made, at(1001), POLICY) && !is_due(&made, 1001));
        assert_eq!(signing(&made, at(1100), POLICY), Some(1));
        assert!(is_due(&made, 2000));
        // Also where all were made under that clock; there is no end to it for want of one.
        assert!(is_due(&[later], 5) && !is_due(&[at(5), later], 6));
        // A clock that is behind, and for how long it is, is no reason to remove any.
        assert_eq!(due(&[at(100_000), later], at(0), POLICY).over, 0);
    }

    /// What happens to keys: time goes by, what is due is done or is late, one is asked for.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Pass(u64),
        Tick,
        Rotate,
        Sign,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0_u64..2_000).prop_map(Step::Pass),
            3 => Just(Step::Tick),
            1 => Just(Step::Rotate),
            3 => Just(Step::Sign),
        ];
        prop::collection::vec(step, 0..80)
    }

    fn policies() -> impl Strategy<Value = Policy> {
        (0_u64..5_000, 0_u64..2_000, 0_u64..3_000).prop_map(|(rotate_every, lead, lifetime)| {
            Policy {
                rotate_every: Seconds(rotate_every),
                lead: Seconds(lead),
                longest_lifetime: Seconds(lifetime),
            }
        })
    }

    proptest! {
        #[test]
        fn what_was_signed_stays_verifiable_and_what_signs_was_published(
            policy in policies(),
            steps in steps(),
        ) {
            let mut now = at(1_000_000);
            let first = now;
            let mut made = vec![now];
            let mut signed: Vec<(Timestamp, Timestamp)> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(seconds) => now = now.plus(Seconds(seconds)),
                    Step::Tick => {
                        let due = due(&made, now, policy);
                        if due.make {
                            made.push(next(&made, now));
                        }
                        made.drain(..due.over);
                    }
                    Step::Rotate => if !is_waiting(&made, now, policy) {
                        made.push(next(&made, now));
                    },
                    Step::Sign => {
                        let key = made[signing(&made, now, policy).unwrap()];
                        prop_assert!(key == first || key.plus(policy.lead) <= now);
                        signed.push((now, key));
                    }
                }
                prop_assert!(made.is_sorted_by(|one, other| one < other));
                let count = standings(&made, now, policy)
                    .filter(|standing| *standing == Standing::Signing)
                    .count();
                prop_assert_eq!(count, 1);
                for (when, key) in &signed {
                    let alive = when.plus(policy.longest_lifetime) > now;
                    prop_assert!(!alive || made.contains(key), "{:?} at {:?}", when, now);
                }
                // At most one waits.
                let waiting = made.len() - 1 - signing(&made, now, policy).unwrap();
                prop_assert!(waiting <= 1);
            }
            // Everything that is due has been done after one step of each kind.
            let Due { make, over } = due(&made, now, policy);
            if make {
                made.push(next(&made, now));
            }
            made.drain(..over);
            prop_assert_eq!(due(&made, now, policy).over, 0);
        }
    }
}

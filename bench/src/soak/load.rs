//! The load: tokens presented at every door, at a steady pace.

use super::{
    Shared,
    doors::{DOORS, Door, Doors},
    live::Live,
    note,
};
use counterfoil_bench::made::mix;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

/// How many clients each door has.
const CLIENTS: u64 = 10;
/// How often a client asks: 3,000 requests a second in all.
const PACE: Duration = Duration::from_millis(10);
/// A clock that wakes clients up is a little late; a server that keeps them from asking is later.
const LATE: Duration = Duration::from_millis(5);

pub(crate) fn start(work: &mut JoinSet<()>, doors: &Arc<Doors>, live: &Arc<Live>, record: &Shared) {
    for (number, door) in (0..CLIENTS).flat_map(|number| DOORS.map(|door| (number, door))) {
        let (doors, live, record) = (doors.clone(), live.clone(), record.clone());
        work.spawn(async move {
            // Not all at once.
            tokio::time::sleep(Duration::from_micros(mix(number) % 10_000)).await;
            client(number, door, &doors, &live, &record).await;
        });
    }
}

async fn client(number: u64, door: Door, doors: &Doors, live: &Live, record: &Shared) {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for turn in number << 32.. {
        let due = ticks.tick().await;
        let begin = asked_at(due, Instant::now());
        let place = usize::try_from(mix(turn) >> 8).unwrap_or(0);
        let Some(token) = live.at(place) else { continue };
        let outcome = doors.admits(door, &token.secret).await;
        let took = begin.elapsed();
        let mistake = match outcome {
            Ok(true) => None,
            Ok(false) if token.may_be_refused() => None,
            Ok(false) => Some(format!("{door:?} refused the live token {}", token.id)),
            Err(error) => Some(format!("{door:?}: {error:#}")),
        };
        note(record, |record| {
            record.latencies.push(took);
            record.mistakes.extend(mistake);
        });
    }
}

/// From when on a request's time counts: from when it was due, where it is late.
fn asked_at(due: Instant, now: Instant) -> Instant {
    if now.saturating_duration_since(due) > LATE { due } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_ones_turn_counts() {
        let due = Instant::now();
        let soon = due + Duration::from_millis(1);
        let late = due + Duration::from_secs(1);
        assert_eq!(asked_at(due, soon), soon);
        assert_eq!(asked_at(due, late), due);
    }
}

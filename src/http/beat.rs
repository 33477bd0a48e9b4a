//! Deadlines that cost nothing while they are kept.
//!
//! Each request waits for several things that hardly ever take too long. With a timer for
//! each of them, timers would be set and cleared all the time, and none would go off. So a
//! connection has one timer, which goes off every now and then; whatever is waited for on
//! that connection then looks whether it has waited too long.

use crate::clock;
use hyper::rt;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often deadlines are looked at.
const BEAT: Duration = Duration::from_secs(2);

/// Does `work`, which is polled at least once in every [`BEAT`]. In it, and nowhere else,
/// a [`Deadline`] is kept.
pub(crate) fn keeping_deadlines<F: Future>(work: F) -> impl Future<Output = F::Output> {
    // On the heap: moved here, there would be room for it three times.
    looking_every(BEAT, Box::pin(work))
}

async fn looking_every<F: Future + Unpin>(beat: Duration, mut work: F) -> F::Output {
    let mut next = pin!(sleep(beat));
    let mut is_set = false;
    poll_fn(|cx| {
        // This process may have stood still meanwhile: a deadline that is made now must not
        // lie in the past.
        clock::refresh();
        // Once it is set it need not be asked again: it wakes this task.
        if !is_set || next.is_elapsed() {
            while next.as_mut().poll(cx).is_ready() {
                next.as_mut().reset((clock::steady() + beat).into());
            }
            is_set = true;
        }
        Pin::new(&mut work).poll(cx)
    })
    .await
}

/// A moment, known to within two beats: something may take until then, or a little longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// When `patience` is at its end; never before.
    pub(crate) fn after(patience: Duration) -> Self {
        Self::at(clock::lately() + patience)
    }

    fn at(moment: Instant) -> Self {
        // The clock was read a while ago, to the millisecond.
        Self(moment + BEAT)
    }

    /// Whether it has gone by.
    pub(crate) fn is_over(self) -> bool {
        clock::lately() >= self.0
    }
}

/// For hyper, which asks for the time and sets a timer with each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beats;

impl rt::Timer for Beats {
    fn sleep(&self, patience: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Waiting(Deadline::after(patience)))
    }

    fn sleep_until(&self, moment: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Waiting(Deadline::at(moment)))
    }

    fn now(&self) -> Instant {
        clock::lately()
    }
}

/// Whoever polls this is polled with each beat.
struct Waiting(Deadline);

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl rt::Sleep for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Timer as _;

    #[test]
    fn a_deadline_is_never_early() {
        clock::refresh();
        let now = clock::lately();
        assert!(!Deadline::after(Duration::ZERO).is_over());
        assert!(!Deadline::at(now).is_over());
        assert!(Deadline::at(now.checked_sub(BEAT).unwrap()).is_over());
    }

    #[tokio::test]
    async fn deadlines_begin_when_they_are_made() {
        let mut before = None;
        let work = poll_fn(|cx| {
            if let Some(before) = before {
                // What is read is the kernel's own note, some milliseconds old.
                assert!(clock::lately() + Duration::from_millis(20) > before);
                return Poll::Ready(());
            }
            let begun = clock::steady();
            while begun.elapsed() < Duration::from_millis(50) {
                std::hint::spin_loop();
            }
            before = Some(clock::steady());
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        looking_every(BEAT, work).await;
    }

    #[tokio::test]
    async fn what_nothing_wakes_is_looked_at_all_the_same() {
        let beat = Duration::from_millis(1);
        clock::refresh();
        let over = Beats.sleep_until(Beats.now().checked_sub(BEAT).unwrap() + 5 * beat);
        looking_every(beat, over).await;
    }
}

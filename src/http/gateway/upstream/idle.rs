//! Connections that wait for the next request.

use super::link::Link;
use crate::http::beat::Deadline;
use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// How often those are looked for that have been unused for too long, or closed meanwhile.
const SWEEP: Duration = Duration::from_secs(5);

/// Unused connections, and until when they are kept.
type Links = Vec<(Deadline, Link)>;

/// All of them, apart for each thread: so none waits for another, and a connection
/// stays where it was opened as long as its requests do.
pub(super) struct Idle {
    /// The one that was used last stands last, and is used next.
    threads: Box<[Mutex<Links>]>,
    most_each: usize,
}

impl Idle {
    pub(super) fn new(most: usize) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self::among(threads, most)
    }

    fn among(threads: usize, most: usize) -> Self {
        // Some threads share where there is not one for each.
        let lists = threads.min(most).max(1);
        Self { threads: (0..lists).map(|_| Mutex::default()).collect(), most_each: most / lists }
    }

    pub(super) fn take(&self) -> Option<Link> {
        let mut links = self.of_this_thread();
        let (end, link) = links.pop()?;
        if !end.is_over() {
            return Some(link);
        }
        // So it is for all that were used before. They are closed outside the lock.
        let over = mem::take(&mut *links);
        drop(links);
        drop(over);
        None
    }

    /// Keeps `link` for the next request, unless it is old: names may lead elsewhere by now.
    pub(super) fn put(&self, link: Link) {
        if link.is_old() {
            return;
        }
        let mut links = self.of_this_thread();
        if links.len() < self.most_each {
            links.push((Deadline::after(IDLE), link));
        }
    }

    fn of_this_thread(&self) -> MutexGuard<'_, Links> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        let place = THREAD.with(|thread| thread % self.threads.len());
        self.threads[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what nobody has used for long, or what the upstream has closed, for as long as
/// anybody may want the rest.
pub(super) async fn sweep(idle: Weak<Idle>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(idle) = idle.upgrade() else { return };
        for links in &idle.threads {
            let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
            let of_no_use: Links =
                links.extract_if(.., |(end, link)| end.is_over() || link.has_ended()).collect();
            drop(links);
            // Closed outside the lock, for which requests wait.
            drop(of_no_use);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        for (threads, most, kept) in
            [(4, 0, 0), (4, 1, 1), (4, 3, 3), (4, 4, 4), (4, 7, 4), (1, 9, 9)]
        {
            let idle = Idle::among(threads, most);
            assert_eq!(idle.threads.len() * idle.most_each, kept, "{most} for {threads}");
        }
    }
}

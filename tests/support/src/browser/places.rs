//! How many tests have browsers at once: as many as there are processors.
//!
//! A browser keeps more than one processor busy while it starts; many at once are slower
//! than one after the other, and run out of memory.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    sync::{Condvar, Mutex},
    thread::available_parallelism,
};

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

thread_local! {
    /// The place of the test that runs on this thread.
    static OURS: RefCell<Weak<Place>> = const { RefCell::new(Weak::new()) };
}

/// A place for one test and all its browsers, free again when the last of them has ended.
#[derive(Debug)]
pub(super) struct Place(());

/// Waits for a place, unless this test has one: two tests that each have a browser and
/// wait for a second one would wait for each other.
pub(super) fn take() -> Rc<Place> {
    OURS.with_borrow_mut(|ours| {
        if let Some(place) = ours.upgrade() {
            return place;
        }
        let places = available_parallelism().map_or(1, usize::from);
        let taken = TAKEN.lock().unwrap();
        let mut taken = FREED.wait_while(taken, |taken| *taken >= places).unwrap();
        *taken += 1;
        drop(taken);
        let place = Rc::new(Place(()));
        *ours = Rc::downgrade(&place);
        place
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap() -= 1;
        FREED.notify_one();
    }
}

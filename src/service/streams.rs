//! Answers without an end in sight: how many may be under way at once.

use super::{Caller, Service, ServiceError};
use counterfoil_core::id::OrganizationId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// How many an organization may have.
const EACH: usize = 4;
/// How many all of them may have.
const MOST: usize = 32;

/// How many each organization has under way.
#[derive(Debug, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<OrganizationId, usize>>>);

/// A place among them, free again once it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    of: OrganizationId,
    streams: Streams,
}

impl Streams {
    fn take(&self, of: OrganizationId) -> Result<StreamPlace, ServiceError> {
        let busy = |whose| {
            Err(ServiceError::Busy(format!(
                "{whose} has as many streams under way as there may be; wait until one of them \
                 has ended, or read the list in parts"
            )))
        };
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.get(&of).is_some_and(|own| *own >= EACH) {
            return busy("your organization");
        }
        if taken.values().sum::<usize>() >= MOST {
            return busy("the server");
        }
        *taken.entry(of).or_default() += 1;
        Ok(StreamPlace { of, streams: Self(self.0.clone()) })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut taken = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.of) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

impl Service {
    /// A place for a stream, to be kept for as long as it has a reader; the operator needs none.
    pub(crate) fn stream(&self, caller: &Caller) -> Result<Option<StreamPlace>, ServiceError> {
        caller.home().map(|home| self.streams.take(home)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization(n: usize) -> OrganizationId {
        OrganizationId::from_bytes([u8::try_from(n).unwrap(); 16])
    }

    #[test]
    fn one_organization_leaves_places_for_the_others_and_all_have_an_end() {
        let streams = Streams::default();
        let mut places: Vec<StreamPlace> =
            (0..EACH).map(|_| streams.take(organization(0)).unwrap()).collect();
        assert!(matches!(streams.take(organization(0)), Err(ServiceError::Busy(_))));
        places.extend((EACH..MOST).map(|n| streams.take(organization(n)).unwrap()));
        assert!(matches!(streams.take(organization(MOST)), Err(ServiceError::Busy(_))));
        // Whatever ends makes room, for the same and for others.
        places.swap_remove(0);
        places.push(streams.take(organization(0)).unwrap());
        assert!(matches!(streams.take(organization(0)), Err(ServiceError::Busy(_))));
        drop(places);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}

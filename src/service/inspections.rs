//! The ledger recomputed and held against the state: how far it is, and what it found last.

use super::{Caller, Service, ServiceError};
use crate::{
    clock,
    store::{Inspection, Progress},
};
use counterfoil_core::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The last inspection since the start, whoever asked for it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Inspections(Arc<Mutex<Inspected>>);

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub(crate) enum Inspected {
    #[default]
    NotYet,
    /// So many entries of so many are checked.
    UnderWay {
        checked: u64,
        of: u64,
    },
    Done {
        at: Timestamp,
        inspection: Inspection,
    },
    /// It came to no end, and why.
    BrokenOff {
        at: Timestamp,
        why: String,
    },
}

/// One that is under way; dropped before its end, it is broken off.
struct UnderWay(Inspections);

impl Inspections {
    /// What is known of the last one.
    pub(crate) fn last(&self) -> Inspected {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inspected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> UnderWay {
        *self.lock() = Inspected::UnderWay { checked: 0, of: 0 };
        UnderWay(self.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut last = self.0.lock();
        if matches!(*last, Inspected::UnderWay { .. }) {
            let why = "nobody waited for it to end".to_owned();
            *last = Inspected::BrokenOff { at: clock::now(), why };
        }
    }
}

impl Service {
    /// Recomputes the ledger's chain and holds it against the state.
    pub(crate) async fn inspect_ledger(
        &self,
        caller: &Caller,
        progress: Progress,
    ) -> Result<Inspection, ServiceError> {
        caller.is_operator()?;
        self.inspect(self.inspections.begin(), progress).await
    }

    async fn inspect(
        &self,
        under_way: UnderWay,
        progress: Progress,
    ) -> Result<Inspection, ServiceError> {
        let inspections = self.inspections.clone();
        let told = move |checked, of| {
            *inspections.lock() = Inspected::UnderWay { checked, of };
            progress(checked, of);
        };
        let outcome = self.store.inspect_ledger(Box::new(told)).await;
        let at = clock::now();
        *under_way.0.lock() = match &outcome {
            Ok(inspection) => Inspected::Done { at, inspection: inspection.clone() },
            Err(error) => Inspected::BrokenOff { at, why: error.to_string() },
        };
        Ok(outcome?)
    }

    /// Begins one that nobody waits for, where none is under way.
    pub(crate) fn begin_inspection(self: &Arc<Self>, caller: &Caller) -> Result<(), ServiceError> {
        caller.is_operator()?;
        if matches!(self.inspections.last(), Inspected::UnderWay { .. }) {
            return Ok(());
        }
        // Whoever looks from now on sees that it is under way.
        let (service, under_way) = (self.clone(), self.inspections.begin());
        // It changes nothing: stopping doesn't wait for it.
        tokio::spawn(async move {
            if let Err(error) = service.inspect(under_way, Box::new(|_, _| {})).await {
                tracing::error!(%error, "the ledger could not be verified");
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_alone_is_broken_off() {
        let inspections = Inspections::default();
        assert!(matches!(inspections.last(), Inspected::NotYet));
        let under_way = inspections.begin();
        assert!(matches!(inspections.last(), Inspected::UnderWay { .. }));
        drop(under_way);
        assert!(matches!(inspections.last(), Inspected::BrokenOff { .. }));
    }
}

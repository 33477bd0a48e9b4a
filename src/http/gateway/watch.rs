//! Requests that go on for a while: they end once what they were admitted on has ended.

use super::{Gateway, mounts::Mounted};
use crate::{clock, http::beat::Deadline};
use counterfoil_core::{Code, Grounds, Refusal, id::RequestId};
use std::{sync::Arc, time::Duration};

/// A request that has been let through, in a few words.
#[derive(Clone, Copy)]
pub(super) struct Admission {
    pub(super) request_id: RequestId,
    /// Which of the gateway's mounts it came to.
    pub(super) mount: usize,
    pub(super) grounds: Grounds,
}

/// What asks whether a request may still go on. It costs nothing until the first time that
/// it asks, which short requests do not live to see.
pub(super) struct Watch {
    gateway: Arc<Gateway>,
    admission: Admission,
    next: Deadline,
}

impl Watch {
    pub(super) fn new(gateway: Arc<Gateway>, admission: Admission) -> Self {
        Self { gateway, admission, next: next() }
    }

    /// Why the request has to end, if it has; that is told once, in the log and in what is
    /// counted. To be asked with each beat, and with each piece that passes.
    pub(super) fn refusal(&mut self) -> Option<Refusal> {
        if !self.next.is_over() {
            return None;
        }
        self.next = next();
        let replica = &self.gateway.replica;
        let refusal = match replica.index() {
            Some(index) => self.admission.grounds.holds(index, clock::now()).err()?,
            None => Refusal::new(Code::NodeStale),
        };
        let mounted = self.mounted();
        mounted.streams_ended.inc();
        let request_id = self.admission.request_id;
        let token = refusal.matched.map(|(token, _)| token.to_string());
        tracing::info!(%request_id, api = %mounted.door.api.name, code = %refusal.code, token, "a request that was under way has been cut off");
        Some(refusal)
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    fn mounted(&self) -> &Mounted {
        self.gateway.mounts.numbered(self.admission.mount)
    }
}

/// With the next beat, or the one after it.
fn next() -> Deadline {
    Deadline::after(Duration::ZERO)
}

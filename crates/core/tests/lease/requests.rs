//! Requests with a token: each is judged step by step, while everything else goes on.

use crate::{
    database::Tokens,
    mutation::Mutation,
    process::{Arrival, Judging},
    world::{Violation, World},
};

impl World {
    /// A request with this token has arrived at process `p`. It may stand in a queue for long.
    pub(crate) fn arrive(&mut self, p: usize, token: u32) {
        let answered = self.answered & (1 << token) != 0;
        self.processes[p].requests.push(Arrival { token, answered, stage: Judging::Queued });
    }

    /// The next little thing that becomes of request `r` at process `p`.
    pub(crate) fn judge(&mut self, p: usize, r: usize) {
        let process = &self.processes[p];
        let Arrival { token, answered, stage } = process.requests[r];
        let (lease, revoked) = (&process.lease, process.index.refused());
        let clock = match self.mutation {
            Mutation::CachedClock => process.cached_clock,
            _ => self.clock(p),
        };
        let next = match stage {
            Judging::Queued if self.mutation == Mutation::IndexBeforeLease => {
                Some(Judging::IndexTaken(revoked))
            }
            Judging::Queued => Some(Judging::TermRead(lease.term())),
            // No lease: 503.
            Judging::TermRead(term) => term.is_held(clock).then_some(Judging::Held),
            Judging::Held => {
                self.accept_unless(p, token, answered, revoked);
                None
            }
            Judging::IndexTaken(revoked) => Some(Judging::TermReadLate(revoked, lease.term())),
            Judging::TermReadLate(revoked, term) => {
                if term.is_held(clock) {
                    self.accept_unless(p, token, answered, revoked);
                }
                None
            }
        };
        match next {
            Some(stage) => self.processes[p].requests[r].stage = stage,
            None => {
                self.processes[p].requests.swap_remove(r);
            }
        }
    }

    fn accept_unless(&mut self, p: usize, token: u32, answered: bool, revoked: Tokens) {
        if revoked & (1 << token) == 0 && answered {
            let told = format!(
                "node {p} accepts token {token}, whose revocation had been answered when the request arrived"
            );
            self.violated(Violation::Accepted, told);
        }
    }
}

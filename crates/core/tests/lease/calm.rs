//! The end of a schedule: trouble ceases, but for processes that are stopped or gone. Then
//! everything that waits comes to its end, and what is stopped hinders nobody.

use crate::{
    process::{ChangeStage, Driver, What},
    world::{SECOND, TOKENS, Violation, World},
};
use counterfoil_core::lease::Stage;

/// Time passes in so many pieces of the longest L.
const PIECES: u64 = 64;

impl World {
    pub(crate) fn calm_down(&mut self) {
        self.say(|| "trouble ceases".into());
        self.is_up = true;
        self.is_calm = true;
        self.network.hurry();
        if let Some(at) = self.restored_at {
            self.time = self.time.max(at);
            self.restore();
        }
        // Whatever is under way to the database comes first, so that L is what it will be.
        let length = self.database.lengths().wait().seconds().max(24) * SECOND;
        let Some(p) = (0..self.processes.len()).find(|p| self.is_well(*p)) else { return };
        self.ask_to_revoke(p, 0b11 << TOKENS);
        // The longest L by a clock that is slow, and some rounds to and fro.
        self.go_quietly(length, PIECES * 9 / 8 + 12);
        self.expect_answers("in L");
        for p in (0..self.processes.len()).filter(|p| self.is_well(*p)).collect::<Vec<_>>() {
            let now = self.clock(p);
            let report = self.processes[p].node.report();
            if report.stage != Stage::Inside || !self.processes[p].lease.term().is_held(now) {
                self.violated(Violation::Stalled, format!("node {p} has no lease: {report:?}"));
            }
        }
        // By then whoever shows no sign of life is struck off, and no wait takes L any more.
        self.go_quietly(length, PIECES * 2);
        if let Some(p) = (0..self.processes.len()).find(|p| self.is_well(*p)) {
            self.ask_to_revoke(p, 0b100 << TOKENS);
            self.go_quietly(length, 12);
            self.expect_answers("at once");
        }
    }

    /// Whether a process runs and nothing keeps it from its work for good.
    fn is_well(&self, p: usize) -> bool {
        let process = &self.processes[p];
        process.is_active() && !matches!(process.driver, Driver::Halted | Driver::Gone)
    }

    fn go_quietly(&mut self, length: u64, rounds: u64) {
        for _ in 0..rounds {
            self.time += length / PIECES;
            for p in 0..self.processes.len() {
                if !self.processes[p].is_active() {
                    continue;
                }
                // Notifications arrive.
                self.processes[p].node.wake();
                self.rush(p, 60);
                for change in (0..self.processes[p].changes.len()).rev() {
                    self.go_on(p, change);
                }
                self.poll(p);
                while !self.processes[p].requests.is_empty() {
                    self.judge(p, 0);
                }
                self.check();
            }
            for _ in 0..20 {
                self.serve(None);
            }
        }
    }

    fn expect_answers(&mut self, when: &str) {
        for p in 0..self.processes.len() {
            let process = &self.processes[p];
            let waits = process.is_active()
                && process.changes.iter().any(|change| {
                    matches!(change.what, What::Revoke(_))
                        && !matches!(change.stage, ChangeStage::Lowers(..))
                });
            if waits {
                self.violated(Violation::Stalled, format!("node {p} did not answer {when}"));
            }
        }
    }
}

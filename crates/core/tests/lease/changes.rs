//! Changes and those who wait for them, and the one poller that reads rows for all of them.

use crate::{
    database::{Answer, Named, Request, StoredRow, Tokens},
    mutation::Mutation,
    network::Fate,
    process::{Change, ChangeStage, Poller, What},
    world::World,
};
use counterfoil_core::lease::{Length, Lengths, Lowering, Rows, Wait};
use std::time::Duration;

impl World {
    /// Somebody asks process `p` to revoke these.
    pub(crate) fn ask_to_revoke(&mut self, p: usize, tokens: Tokens) {
        self.say(|| format!("node {p} is asked to revoke {}", Named(tokens)));
        let began = self.clock(p);
        let stage = if self.mutation == Mutation::RowsBeforeCommit {
            ChangeStage::LooksAtRows(self.network.send(p, Request::Rows))
        } else if self.random.one_in(2) {
            ChangeStage::Looks(self.network.send(p, Request::Look { tokens }))
        } else {
            self.commit(p, tokens)
        };
        let what = What::Revoke(tokens);
        self.processes[p].changes.push(Change { what, stage, began, early_rows: None });
    }

    pub(crate) fn ask_for_length(&mut self, p: usize, length: Length) {
        self.say(|| format!("node {p} is asked for an L of {} s", length.seconds()));
        let began = self.clock(p);
        let stage = ChangeStage::Commits(self.network.send(p, Request::SetLength { length }));
        let change = Change { what: What::SetLength, stage, began, early_rows: None };
        self.processes[p].changes.push(change);
    }

    fn commit(&mut self, p: usize, tokens: Tokens) -> ChangeStage {
        // A new kind is written only once all know it. Where one that does not joins meanwhile, it
        // stops, and nothing worse.
        let all_know = self.database.rows().iter().all(|stored| stored.row.knows > 1);
        let is_written = all_know || (!self.is_calm && self.random.one_in(2));
        let kind = if is_written { self.processes[p].knows } else { 1 };
        ChangeStage::Commits(self.network.send(p, Request::Revoke { tokens, kind }))
    }

    /// The next little thing that becomes of change `c` of process `p`; whether there was one.
    pub(crate) fn go_on(&mut self, p: usize, c: usize) -> bool {
        let now = self.clock(p);
        let Change { what, stage, began, early_rows } = self.processes[p].changes.swap_remove(c);
        let mut early_rows = early_rows;
        let (stage, moved) = match stage {
            ChangeStage::LooksAtRows(ticket) => match self.network.fate(ticket) {
                Fate::UnderWay => (Some(ChangeStage::LooksAtRows(ticket)), false),
                Fate::Answered(Answer::Rows { rows, lengths }) => {
                    // It will be said that they were asked for after the commit.
                    early_rows = Some(self.rows(p, &rows, lengths));
                    let What::Revoke(tokens) = what else { return false };
                    (Some(self.commit(p, tokens)), true)
                }
                _ => (None, true),
            },
            ChangeStage::Commits(ticket) => self.committed(p, what, ticket),
            ChangeStage::Looks(ticket) => self.looked(p, what, ticket),
            ChangeStage::Returned(number) => {
                let since =
                    if self.mutation == Mutation::CountedFromBeforeCommit { began } else { now };
                let mut wait = Wait::begin(number, since);
                // Rows whose reading began after this commit, as whoever made the mistake believes.
                let early = early_rows.take().and_then(|early| {
                    let rows: Vec<_> = early.iter().copied().collect();
                    let rows = Rows::new(now.plus(Duration::from_nanos(1)), rows, early.lengths());
                    wait.read(&rows, now)
                });
                match early {
                    Some(_) => {
                        self.answer(p, what);
                        (None, true)
                    }
                    None => (Some(ChangeStage::Waits(wait)), true),
                }
            }
            ChangeStage::Waits(wait) => match wait.passed(now) {
                Some(reached) if self.mutation != Mutation::WaitsForever => {
                    self.say(|| format!("node {p} has waited: {reached:?}"));
                    self.answer(p, what);
                    (None, true)
                }
                _ => (Some(ChangeStage::Waits(wait)), false),
            },
            ChangeStage::Lowers(lowering, revision) => match lowering.settled(now) {
                Some(_) => {
                    let request = Request::SettleLength { revision };
                    (Some(ChangeStage::Settles(self.network.send(p, request))), true)
                }
                None => (Some(ChangeStage::Lowers(lowering, revision)), false),
            },
            ChangeStage::Settles(ticket) => match self.network.fate(ticket) {
                Fate::UnderWay => (Some(ChangeStage::Settles(ticket)), false),
                _ => (None, true),
            },
        };
        if let Some(stage) = stage {
            self.processes[p].changes.push(Change { what, stage, began, early_rows });
        }
        moved
    }

    fn committed(
        &mut self,
        p: usize,
        what: What,
        ticket: crate::network::Ticket,
    ) -> (Option<ChangeStage>, bool) {
        match (self.network.fate(ticket), what) {
            (Fate::UnderWay, _) => (Some(ChangeStage::Commits(ticket)), false),
            (Fate::Answered(Answer::Revoked { first, last }), _) => {
                self.say(|| format!("node {p} has committed {first} to {last}"));
                let number =
                    if self.mutation == Mutation::GroupWaitsForFirst { first } else { last };
                (Some(ChangeStage::Returned(number)), true)
            }
            (Fate::Answered(Answer::Length { lengths, revision }), _) => {
                let lowers = lengths.wait() > lengths.lease();
                let lowering = Lowering::begin(lengths, self.clock(p));
                (lowers.then_some(ChangeStage::Lowers(lowering, revision)), true)
            }
            (_, What::Revoke(_)) if self.mutation == Mutation::UnknownOutcomeIsSuccess => {
                self.answer(p, what);
                (None, true)
            }
            // The outcome is not known: so the entry is read, or the change given up.
            (_, What::Revoke(tokens)) => {
                (Some(ChangeStage::Looks(self.network.send(p, Request::Look { tokens }))), true)
            }
            (_, What::SetLength) => (None, true),
        }
    }

    fn looked(
        &mut self,
        p: usize,
        what: What,
        ticket: crate::network::Ticket,
    ) -> (Option<ChangeStage>, bool) {
        match (self.network.fate(ticket), what) {
            (Fate::UnderWay, _) => (Some(ChangeStage::Looks(ticket)), false),
            (Fate::Answered(Answer::Looked { revoked, head }), What::Revoke(tokens)) => {
                if revoked & tokens != tokens {
                    return (Some(self.commit(p, tokens)), true);
                }
                self.say(|| {
                    format!("node {p} sees that {} is revoked, head {head}", Named(tokens))
                });
                if self.mutation == Mutation::RepeatAnsweredAtOnce {
                    self.answer(p, what);
                    return (None, true);
                }
                (Some(ChangeStage::Returned(head)), true)
            }
            // Whoever asked is told that it failed.
            _ => (None, true),
        }
    }

    fn answer(&mut self, p: usize, what: What) {
        if let What::Revoke(tokens) = what {
            self.say(|| format!("node {p} answers that {} is revoked", Named(tokens)));
            self.answered |= tokens;
        }
    }

    fn rows(&self, p: usize, rows: &[StoredRow], lengths: Lengths) -> Rows {
        let rows: Vec<_> = rows.iter().map(|stored| stored.row).collect();
        Rows::new(self.clock(p), rows, lengths)
    }

    /// The next little thing that the poller of process `p` does; whether there was one.
    pub(crate) fn poll(&mut self, p: usize) -> bool {
        let now = self.clock(p);
        match self.processes[p].poller {
            Poller::Idle => {
                let waits = |change: &Change| matches!(change.stage, ChangeStage::Waits(_));
                if !self.processes[p].changes.iter().any(waits) {
                    return false;
                }
                self.processes[p].poller = Poller::Noted(now);
            }
            Poller::Noted(asked) => {
                let ticket = self.network.send(p, Request::Rows);
                self.processes[p].poller = Poller::Waits(asked, ticket);
            }
            Poller::Waits(asked, ticket) => match self.network.fate(ticket) {
                Fate::UnderWay => return false,
                Fate::Answered(Answer::Rows { rows, lengths }) => {
                    self.processes[p].poller = Poller::Idle;
                    let rows: Vec<_> = rows.iter().map(|stored| stored.row).collect();
                    self.read(p, &Rows::new(asked, rows, lengths));
                }
                _ => self.processes[p].poller = Poller::Idle,
            },
        }
        true
    }

    /// All that wait look at the same rows.
    fn read(&mut self, p: usize, rows: &Rows) {
        let now = self.clock(p);
        let forever = self.mutation == Mutation::WaitsForever;
        let mut done = Vec::new();
        self.processes[p].changes.retain_mut(|change| {
            let ChangeStage::Waits(wait) = &mut change.stage else { return true };
            match wait.read(rows, now) {
                Some(reached) if !(forever && reached.applied < reached.nodes) => {
                    done.push((change.what, reached));
                    false
                }
                _ => true,
            }
        });
        for (what, reached) in done {
            self.say(|| format!("node {p} reads in the rows: {reached:?}"));
            self.answer(p, what);
        }
    }
}

//! A database in memory: the ledger, the rows, L, and statements that run one after the other.

use crate::{mutation::Mutation, random::Random};
use counterfoil_core::{
    lease::{Epoch, Length, Lengths, Loaded, Renewed, Row, RowId},
    ledger::{EntryHash, Head},
};

/// Revoked tokens, a bit each.
pub(crate) type Tokens = u64;

/// Tokens, told one by one.
pub(crate) struct Named(pub(crate) Tokens);

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let these = (0..Tokens::BITS).filter(|token| self.0 & (1 << token) != 0);
        f.debug_set().entries(these).finish()
    }
}

/// One entry: a token's revocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) token: u32,
    /// A node applies the kinds that it knows: those up to a number.
    pub(crate) kind: u32,
    pub(crate) before: EntryHash,
    pub(crate) head: Head,
}

/// A row, what it cannot forget, and what the mistake with wall clocks needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredRow {
    pub(crate) row: Row,
    /// What was acknowledged when it joined.
    joined_with: u64,
    pub(crate) wall: i64,
}

/// What is asked of it: one transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    Load,
    Head,
    Entries {
        after: u64,
        through: Option<u64>,
        batch: usize,
    },
    Join {
        row: RowId,
        applied: u64,
        knows: u32,
        wall: i64,
    },
    Renew {
        row: RowId,
        wall: i64,
    },
    Acknowledge {
        row: RowId,
        applied: u64,
    },
    Rows,
    StrikeOff {
        row: RowId,
        renewals: u64,
    },
    Leave {
        row: RowId,
    },
    /// Revokes those that are not revoked.
    Revoke {
        tokens: Tokens,
        kind: u32,
    },
    /// Reads whether tokens are revoked.
    Look {
        tokens: Tokens,
    },
    SetLength {
        length: Length,
    },
    SettleLength {
        revision: u32,
    },
}

/// What comes of it.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Loaded { loaded: Loaded, revoked: Tokens, kind: u32 },
    Head(Head),
    Entries { entries: Vec<Entry>, more: bool },
    Done,
    NoRow,
    Renewed(Renewed),
    Rows { rows: Vec<StoredRow>, lengths: Lengths },
    Revoked { first: u64, last: u64 },
    Looked { revoked: Tokens, head: u64 },
    Length { lengths: Lengths, revision: u32 },
}

#[derive(Clone)]
struct State {
    entries: Vec<Entry>,
    rows: Vec<StoredRow>,
    lengths: Lengths,
}

pub(crate) struct Database {
    state: State,
    backup: State,
    revision: u32,
    epoch: Epoch,
    /// What is revoked once an entry is applied: of all entries that ever were, by what their
    /// hash begins with.
    written: Vec<Tokens>,
    pub(crate) mutation: Mutation,
}

impl Database {
    pub(crate) fn new(length: Length, mutation: Mutation) -> Self {
        let state = State { entries: Vec::new(), rows: Vec::new(), lengths: Lengths::of(length) };
        let (backup, written) = (state.clone(), vec![0]);
        Self { state, backup, revision: 0, epoch: Epoch(1), written, mutation }
    }

    pub(crate) fn head(&self) -> Head {
        self.state.entries.last().map_or(Head::EMPTY, |entry| entry.head)
    }

    /// What a replay of the ledger through this head would have revoked.
    pub(crate) fn replay(&self, head: Head) -> Tokens {
        let [a, b, c, d, ..] = head.hash.0;
        self.written[u32::from_le_bytes([a, b, c, d]) as usize]
    }

    pub(crate) fn revoked(&self) -> Tokens {
        self.replay(self.head())
    }

    /// The token that was revoked last.
    pub(crate) fn last_revoked(&self) -> Option<u32> {
        self.state.entries.last().map(|entry| entry.token)
    }

    pub(crate) fn rows(&self) -> &[StoredRow] {
        &self.state.rows
    }

    pub(crate) fn lengths(&self) -> Lengths {
        self.state.lengths
    }

    pub(crate) fn back_up(&mut self) {
        self.backup = self.state.clone();
    }

    /// Puts the last backup back, without its rows: they are those of other leases.
    pub(crate) fn restore(&mut self, new_epoch: bool) {
        self.state = self.backup.clone();
        self.state.rows.clear();
        self.revision += 1;
        self.epoch.0 += u64::from(new_epoch);
    }

    /// Goes down, and comes up again without some of what it was told and did not wait for the
    /// disk with.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        for StoredRow { row, joined_with, .. } in &mut self.state.rows {
            let lost = row.acknowledged.saturating_sub(*joined_with);
            if lost > 0 && random.one_in(2) {
                row.acknowledged -= random.below(lost + 1);
            }
        }
    }

    /// What a renewal's statement sees when it begins.
    pub(crate) fn seen_by_renewal(&self) -> Renewed {
        Renewed { head: self.head(), epoch: self.epoch, lengths: self.state.lengths }
    }

    /// A renewal, once it comes to its row.
    pub(crate) fn renew(&mut self, row: RowId, wall: i64, seen: Renewed) -> Answer {
        let (mutation, revoked) = (self.mutation, seen.head.number);
        match self.row(row) {
            Some(stored) => {
                stored.row.renewals += 1;
                stored.wall = wall;
                if mutation == Mutation::RenewalAcknowledges {
                    stored.row.acknowledged = stored.row.acknowledged.max(revoked);
                }
                Answer::Renewed(seen)
            }
            None if mutation == Mutation::NoRowIgnored => Answer::Renewed(seen),
            None => Answer::NoRow,
        }
    }

    pub(crate) fn run(&mut self, request: &Request) -> Answer {
        match *request {
            Request::Load => {
                let kind = self.state.entries.iter().map(|entry| entry.kind).max();
                let Renewed { head, epoch, lengths } = self.seen_by_renewal();
                let loaded = Loaded { head, epoch, lengths };
                Answer::Loaded { loaded, revoked: self.revoked(), kind: kind.unwrap_or(0) }
            }
            Request::Head => Answer::Head(self.head()),
            Request::Entries { after, through, batch } => {
                let end = self.state.entries.len().min(through.unwrap_or(u64::MAX) as usize);
                let begin = (after as usize).min(end);
                let entries = &self.state.entries[begin..end.min(begin + batch)];
                Answer::Entries { entries: entries.to_vec(), more: begin + batch < end }
            }
            Request::Join { row, applied, knows, wall } => {
                self.join(row, applied, knows, wall);
                Answer::Done
            }
            Request::Renew { row, wall } => {
                let seen = self.seen_by_renewal();
                self.renew(row, wall, seen)
            }
            Request::Acknowledge { row, applied } => match self.row(row) {
                Some(stored) => {
                    stored.row.acknowledged = stored.row.acknowledged.max(applied);
                    Answer::Done
                }
                None => Answer::NoRow,
            },
            Request::Rows => {
                Answer::Rows { rows: self.state.rows.clone(), lengths: self.state.lengths }
            }
            Request::StrikeOff { .. } if self.mutation == Mutation::NobodyStruckOff => Answer::Done,
            Request::StrikeOff { row, renewals } => {
                let whatever = self.mutation == Mutation::UnconditionalStrikeOff;
                self.state.rows.retain(|stored| {
                    stored.row.id != row || (stored.row.renewals != renewals && !whatever)
                });
                Answer::Done
            }
            Request::Leave { row } => {
                self.state.rows.retain(|stored| {
                    stored.row.id.node != row.node || stored.row.id.joined > row.joined
                });
                Answer::Done
            }
            Request::Revoke { tokens, kind } => self.revoke(tokens, kind),
            Request::Look { tokens } => {
                Answer::Looked { revoked: self.revoked() & tokens, head: self.head().number }
            }
            Request::SetLength { length } => {
                self.state.lengths = match self.mutation {
                    Mutation::LoweredAtOnce => Lengths::of(length),
                    _ => self.state.lengths.toward(length),
                };
                self.revision += 1;
                Answer::Length { lengths: self.state.lengths, revision: self.revision }
            }
            Request::SettleLength { revision } => {
                if revision == self.revision {
                    self.state.lengths = Lengths::of(self.state.lengths.lease());
                    self.revision += 1;
                }
                Answer::Done
            }
        }
    }

    fn row(&mut self, row: RowId) -> Option<&mut StoredRow> {
        self.state.rows.iter_mut().find(|stored| stored.row.id == row)
    }

    fn join(&mut self, id: RowId, applied: u64, knows: u32, wall: i64) {
        let row = Row { id, renewals: 0, acknowledged: applied, knows };
        let same = self.mutation == Mutation::SameRowAgain;
        let new = StoredRow { row, joined_with: applied, wall };
        match self.state.rows.iter_mut().find(|stored| stored.row.id.node == id.node) {
            Some(stored) if stored.row.id.joined < id.joined => *stored = new,
            Some(stored) if same => stored.row.acknowledged = stored.row.acknowledged.max(applied),
            Some(_) => {}
            None => self.state.rows.push(new),
        }
    }

    fn revoke(&mut self, tokens: Tokens, kind: u32) -> Answer {
        let new = tokens & !self.revoked();
        let first = self.head().number + u64::from(new != 0);
        for token in (0..Tokens::BITS).filter(|token| new & (1 << token) != 0) {
            let before = self.head();
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&(self.written.len() as u32).to_le_bytes());
            self.written.push(self.replay(before) | (1 << token));
            let head = Head { number: before.number + 1, hash: EntryHash(hash) };
            self.state.entries.push(Entry { token, kind, before: before.hash, head });
        }
        Answer::Revoked { first, last: self.head().number }
    }
}

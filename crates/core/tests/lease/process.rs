//! A process: a node, its index, and what is under way in it. All of it is gone when it ends.

use crate::{
    database::{Entry, Tokens},
    network::Ticket,
};
use counterfoil_core::{
    lease::{BootTime, Lease, Lowering, Node, NodeId, Rows, Step, Tail, Term, Wait},
    ledger::Head,
};
use std::sync::Arc;

/// What an index is here: the tokens that it has as revoked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Index {
    /// Whether it was loaded. One that was dropped knows no token, and accepts none.
    pub(crate) is_loaded: bool,
    pub(crate) revoked: Tokens,
    pub(crate) applied: Head,
}

impl Index {
    pub(crate) const EMPTY: Index = Index { is_loaded: false, revoked: 0, applied: Head::EMPTY };

    /// The tokens that are refused.
    pub(crate) fn refused(&self) -> Tokens {
        if self.is_loaded { self.revoked } else { Tokens::MAX }
    }
}

pub(crate) struct Process {
    pub(crate) machine: Machine,
    /// How often it was started.
    pub(crate) life: u32,
    pub(crate) runs: bool,
    /// Since when it is stopped (SIGSTOP), or its machine sleeps.
    pub(crate) stopped: Option<u64>,
    pub(crate) knows: u32,
    pub(crate) node: Node,
    pub(crate) lease: Arc<Lease>,
    pub(crate) index: Index,
    pub(crate) driver: Driver,
    pub(crate) told_to_leave: bool,
    pub(crate) changes: Vec<Change>,
    pub(crate) poller: Poller,
    pub(crate) requests: Vec<Arrival>,
    /// Only mistakes look at these: the clock as the driver read it last, the node before its
    /// last step, a head from before the row was committed, part of a snapshot.
    pub(crate) cached_clock: BootTime,
    pub(crate) node_before: Option<Node>,
    pub(crate) early_head: Option<Head>,
    pub(crate) early_state: Option<Tokens>,
}

/// The computer that it runs on: its clocks.
pub(crate) struct Machine {
    /// What its clock is ahead by, and how many steps it makes in nine of the true one.
    pub(crate) offset: u64,
    pub(crate) rate: u64,
    /// What somebody has set the wall clock to, compared with the true one.
    pub(crate) wall: i64,
    /// Whether it sleeps, and for how long it has, by its own clock.
    pub(crate) sleeps: bool,
    pub(crate) slept: u64,
}

/// What the loop that drives the node is at. Between any two of these the process may stop.
pub(crate) enum Driver {
    /// About to read the clock.
    Ready,
    /// The clock is read, and what is next not asked yet.
    Noted(BootTime),
    /// A statement is under way, to be given up at that moment.
    Waits {
        step: Step,
        by: BootTime,
        ticket: Ticket,
    },
    /// Entries are here, and some of them are applied.
    Applies {
        tail: Option<Tail>,
        entries: Vec<Entry>,
        done: usize,
        more: bool,
        lost: bool,
    },
    Rests(BootTime),
    Halted,
    Gone,
}

/// A change, or a reading of what it would have changed, that somebody waits for.
pub(crate) struct Change {
    pub(crate) what: What,
    pub(crate) stage: ChangeStage,
    /// The clock before anything was sent, and rows from then; only mistakes look at them.
    pub(crate) began: BootTime,
    pub(crate) early_rows: Option<Rows>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Revoke(Tokens),
    SetLength,
}

pub(crate) enum ChangeStage {
    /// Only a mistake begins with this: rows are read before anything is changed.
    LooksAtRows(Ticket),
    Commits(Ticket),
    Looks(Ticket),
    /// The COMMIT or the read has returned, and the clock is not read yet.
    Returned(u64),
    Waits(Wait),
    Lowers(Lowering, u32),
    Settles(Ticket),
}

/// The one reader of rows for all who wait.
pub(crate) enum Poller {
    Idle,
    Noted(BootTime),
    Waits(BootTime, Ticket),
}

/// A request with a token, that has arrived.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) token: u32,
    /// Whether the token's revocation had been answered by then.
    pub(crate) answered: bool,
    pub(crate) stage: Judging,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Judging {
    Queued,
    TermRead(Term),
    Held,
    /// Only a mistake has these two: the index was taken before the lease was looked at.
    IndexTaken(Tokens),
    TermReadLate(Tokens, Term),
}

impl Process {
    pub(crate) fn new(machine: Machine) -> Self {
        let node = Node::new(NodeId([0; 16]));
        Self {
            machine,
            life: 0,
            runs: false,
            stopped: None,
            knows: 1,
            lease: node.lease(),
            node,
            index: Index::EMPTY,
            driver: Driver::Gone,
            told_to_leave: false,
            changes: Vec::new(),
            poller: Poller::Idle,
            requests: Vec::new(),
            cached_clock: BootTime::default(),
            node_before: None,
            early_head: None,
            early_state: None,
        }
    }

    /// Starts it anew, as a node that nobody has seen before.
    pub(crate) fn start(&mut self, number: usize, knows: u32) {
        let life = self.life + 1;
        let mut id = [0; 16];
        id[0] = number as u8;
        id[1..5].copy_from_slice(&life.to_le_bytes());
        let node = Node::new(NodeId(id));
        let machine = Machine { ..self.machine };
        let fresh = Self::new(machine);
        let (lease, driver) = (node.lease(), Driver::Ready);
        *self = Self { life, runs: true, knows, lease, node, driver, ..fresh };
    }

    /// Ends it, whatever it was at.
    pub(crate) fn end(&mut self) {
        self.runs = false;
        self.stopped = None;
        self.machine.sleeps = false;
        self.driver = Driver::Gone;
        self.changes.clear();
        self.requests.clear();
        self.poller = Poller::Idle;
    }

    pub(crate) fn is_active(&self) -> bool {
        self.runs && self.stopped.is_none()
    }

    pub(crate) fn is_its_row(&self, node: NodeId, number: usize) -> bool {
        let life = u32::from_le_bytes([node.0[1], node.0[2], node.0[3], node.0[4]]);
        self.runs && usize::from(node.0[0]) == number && life == self.life
    }
}

//! The protocol's mistakes: each of them a sentence of the protocol left out, by the driver or by
//! the database. The node itself is the product's and has no such switch.

/// What the simulated driver or database does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Nothing.
    None,
    /// The first renewal after joining goes by a head that was read before the row was committed.
    HeadBeforeRow,
    /// A renewal goes by the clock as it was after its statement.
    ClockAfterStatement,
    /// The node is told that entries are applied before they are.
    TrustBeforeApply,
    /// A tenth of margin instead of a fifth.
    SmallerMargin,
    /// A renewal that finds no row counts.
    NoRowIgnored,
    /// What was read is acknowledged before it is applied.
    AcknowledgedBeforeApply,
    /// A renewal counts as an acknowledgement of the head that it returns.
    RenewalAcknowledges,
    /// A change looks at rows that were read before its COMMIT.
    RowsBeforeCommit,
    /// A change counts L from before its COMMIT.
    CountedFromBeforeCommit,
    /// Who revokes what is revoked already is answered at once.
    RepeatAnsweredAtOnce,
    /// What was committed together waits for its first number only.
    GroupWaitsForFirst,
    /// State is read first, the head later.
    LaggingSnapshot,
    /// Half of the state is read first, the other half and the head later.
    TornSnapshot,
    /// A row is struck off however often it was renewed meanwhile.
    UnconditionalStrikeOff,
    /// A row is struck off by the wall clock that its node wrote into it.
    WallClockStrikeOff,
    /// A request takes the index first and looks at the lease then.
    IndexBeforeLease,
    /// A request goes by the clock as something else has read it.
    CachedClock,
    /// The clock stops while the machine sleeps.
    SleepingClock,
    /// A node that joins anew has the row that it had.
    SameRowAgain,
    /// L is lowered without waiting the old L.
    LoweredAtOnce,
    /// A head behind what was applied is taken for what was applied.
    HeadBehindIgnored,
    /// A node that leaves deletes its row first and drops its lease then.
    LeftBeforeDropping,
    /// An entry of a kind that is not known is passed over.
    UnknownKindSkipped,
    /// A commit whose outcome is not known is answered like one that succeeded.
    UnknownOutcomeIsSuccess,
    /// A row's silence is counted from before it was read.
    SilenceFromBeforeRead,
    /// A database is put back without waiting L, so that there are leases of before.
    RestoredAtOnce,
    /// No row is ever struck off.
    NobodyStruckOff,
    /// Whoever waits does so until every row has acknowledged, however long that takes.
    WaitsForever,
    /// A node that has no row does not join anew.
    NeverJoinsAnew,
}

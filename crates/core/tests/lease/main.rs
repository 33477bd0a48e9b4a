//! The lease, simulated: nodes, clocks, messages and a database, in random schedules; and the
//! same with each of the protocol's mistakes, which has to be found.
//!
//! `cargo xtask simulate` runs as many schedules as one likes. A schedule is a function of its
//! seed, so what was found can be run again, and is told step by step.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it says so")]
#![expect(clippy::print_stdout, reason = "where a mistake was found is worth knowing")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "the numbers of a simulation are small"
)]

mod calm;
mod changes;
mod database;
mod driver;
mod mutation;
mod network;
mod process;
mod random;
mod requests;
mod world;

use mutation::Mutation;
use std::time::Instant;
use world::{Violation, World};

/// How many things happen in a schedule.
const STEPS: u32 = 400;
/// How many schedules there are, unless somebody says otherwise.
const SCHEDULES: u64 = 30_000;
/// Within how many a mistake has to be found.
const ENOUGH: u64 = 200_000;

const EVERYTHING: &[Violation] = &[
    Violation::Accepted,
    Violation::Uncovered,
    Violation::AcknowledgedAhead,
    Violation::NotAReplay,
    Violation::LeaseWithoutRow,
    Violation::Stalled,
];
/// What is promised to people. A mistake is found when this breaks, whatever else does.
const PROMISE: &[Violation] = &[Violation::Accepted, Violation::Uncovered];

/// The first of so many schedules that breaks.
fn search(
    seeds: std::ops::Range<u64>,
    mutation: Mutation,
    watched: &'static [Violation],
) -> Option<(u64, Violation, String)> {
    seeds.into_iter().find_map(|seed| {
        let mut world = World::new(seed, mutation, watched, false);
        world.run(STEPS);
        world.violation.map(|(violation, told)| (seed, violation, told))
    })
}

/// What happened in a schedule, in words.
fn retold(seed: u64, mutation: Mutation, watched: &'static [Violation]) -> String {
    let mut world = World::new(seed, mutation, watched, true);
    world.run(STEPS);
    shortened(&world.trace().join("\n"))
}

/// Of what is written as many bytes, the first two, which tell one from another here.
fn shortened(text: &str) -> String {
    let shorten = |part: &str| match part.split_once("])") {
        Some((bytes, rest)) => {
            let told: Vec<&str> = bytes.split(", ").take(2).collect();
            format!("({}){rest}", told.join(" "))
        }
        None => format!("([{part}"),
    };
    let mut parts = text.split("([");
    let first = parts.next().map(str::to_owned);
    first.into_iter().chain(parts.map(shorten)).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long to go on is for whoever starts it to say")]
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_schedule_breaks_the_promise() {
    let (schedules, first) =
        (number("COUNTERFOIL_SCHEDULES", SCHEDULES), number("COUNTERFOIL_SEED", 1));
    let begin = Instant::now();
    if let Some((seed, violation, told)) =
        search(first..first + schedules, Mutation::None, EVERYTHING)
    {
        let trace = retold(seed, Mutation::None, EVERYTHING);
        panic!("{trace}\nseed {seed}: {violation:?}: {told}");
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{schedules} schedules of {STEPS} steps from seed {first} on, none broken, in {seconds:.1} s"
    );
}

/// Looks for a schedule in which a mistake breaks one of these.
#[track_caller]
fn finds(mutation: Mutation, watched: &'static [Violation]) {
    let found = search(1..1 + ENOUGH, mutation, watched);
    let Some((seed, violation, told)) = found else {
        panic!("{mutation:?} was not found in {ENOUGH} schedules");
    };
    println!("{mutation:?}: schedule {seed}: {violation:?}: {told}");
    if number("COUNTERFOIL_RETELL", 0) != 0 {
        println!("{}", retold(seed, mutation, watched));
    }
}

macro_rules! mistakes {
    ($($name:ident: $mutation:ident breaks $watched:expr;)*) => {$(
        #[test]
        fn $name() {
            finds(Mutation::$mutation, $watched);
        }
    )*};
}

mistakes! {
    finds_a_head_read_before_the_row_is_committed: HeadBeforeRow breaks PROMISE;
    finds_a_clock_noted_after_the_statement: ClockAfterStatement breaks PROMISE;
    finds_trust_before_apply: TrustBeforeApply breaks PROMISE;
    finds_a_smaller_margin: SmallerMargin breaks PROMISE;
    finds_that_no_row_is_ignored: NoRowIgnored breaks PROMISE;
    finds_an_acknowledgement_before_apply: AcknowledgedBeforeApply breaks PROMISE;
    finds_a_renewal_that_acknowledges: RenewalAcknowledges breaks PROMISE;
    finds_rows_read_before_the_commit: RowsBeforeCommit breaks PROMISE;
    finds_l_counted_from_before_the_commit: CountedFromBeforeCommit breaks PROMISE;
    finds_a_repeat_answered_at_once: RepeatAnsweredAtOnce breaks PROMISE;
    finds_a_group_that_waits_for_its_first_number: GroupWaitsForFirst breaks PROMISE;
    finds_a_lagging_snapshot: LaggingSnapshot breaks PROMISE;
    finds_a_torn_snapshot: TornSnapshot breaks PROMISE;
    finds_an_unconditional_strike_off: UnconditionalStrikeOff breaks PROMISE;
    finds_a_strike_off_by_wall_clocks: WallClockStrikeOff breaks PROMISE;
    finds_an_index_taken_before_the_lease_check: IndexBeforeLease breaks &[Violation::Accepted];
    finds_a_cached_clock: CachedClock breaks &[Violation::Accepted];
    finds_a_clock_that_sleeps: SleepingClock breaks PROMISE;
    finds_a_row_used_again: SameRowAgain breaks PROMISE;
    finds_l_lowered_at_once: LoweredAtOnce breaks PROMISE;
    finds_that_a_head_behind_is_ignored: HeadBehindIgnored breaks PROMISE;
    finds_a_row_deleted_before_the_lease_is_dropped: LeftBeforeDropping breaks PROMISE;
    finds_an_unknown_kind_passed_over: UnknownKindSkipped breaks PROMISE;
    finds_an_unknown_outcome_taken_for_success: UnknownOutcomeIsSuccess breaks PROMISE;
    finds_silence_counted_from_before_the_read: SilenceFromBeforeRead breaks PROMISE;
    finds_a_database_put_back_at_once: RestoredAtOnce breaks PROMISE;
    finds_that_nobody_is_struck_off: NobodyStruckOff breaks &[Violation::Stalled];
    finds_a_wait_without_end: WaitsForever breaks &[Violation::Stalled];
    finds_that_nobody_joins_anew: NeverJoinsAnew breaks &[Violation::Stalled];
    sees_that_more_is_acknowledged_than_applied:
        AcknowledgedBeforeApply breaks &[Violation::AcknowledgedAhead];
    sees_that_an_index_is_no_replay: TornSnapshot breaks &[Violation::NotAReplay];
}

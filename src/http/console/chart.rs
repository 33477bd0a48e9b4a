//! Requests by hour or by day as bars: what was admitted stands on a line, what was refused
//! hangs below it. The template draws them, hatched where they are refused, so that no colour
//! is needed to tell them apart.

use crate::usage::{Outcome, StoredCount};
use counterfoil_core::{Timestamp, time::Seconds};

/// The drawing.
const WIDTH: u32 = 672;
const HEIGHT: u32 = 120;
/// The space between two bars.
const GAP: u32 = 2;
/// How many words stand below them, or a few more.
const WORDS: usize = 6;

/// Bars, and what is said of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chart {
    /// Unique on its page.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// For who does not see it.
    pub(crate) summary: String,
    /// How far down the line is.
    pub(crate) line: u32,
    /// The earliest first.
    pub(crate) bars: Vec<Bar>,
    /// What stands below them, from left to right.
    pub(crate) axis: Vec<String>,
    /// The same as a table, without what is empty; the latest first.
    pub(crate) rows: Vec<Row>,
}

/// The requests of one hour or day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) x: u32,
    pub(crate) width: u32,
    /// Where it begins above the line, and how high it is there.
    pub(crate) up_y: u32,
    pub(crate) up: u32,
    /// How deep it hangs.
    pub(crate) down: u32,
    pub(crate) words: String,
    /// Whether any were.
    pub(crate) refused: bool,
}

/// The requests of one hour or day, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) when: String,
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
}

impl Chart {
    /// The last 48 hours, this one among them.
    pub(crate) fn by_hour(id: &'static str, counts: &[StoredCount], now: Timestamp) -> Self {
        Self::new(id, "hour", Seconds::HOUR, 48, "%-d %b %H:00", counts, now)
    }

    /// So many days, today among them: 90 at most, as counts are kept.
    pub(crate) fn by_day(
        id: &'static str,
        days: u32,
        counts: &[StoredCount],
        now: Timestamp,
    ) -> Self {
        Self::new(id, "day", Seconds::DAY, days.clamp(1, 90), "%-d %b", counts, now)
    }

    fn new(
        id: &'static str,
        unit: &str,
        span: Seconds,
        many: u32,
        form: &str,
        counts: &[StoredCount],
        now: Timestamp,
    ) -> Self {
        let last = now.beginning(span);
        let begins = |n: u32| last.minus(Seconds(span.0 * u64::from(many - 1 - n)));
        let mut sums: Vec<(Timestamp, u64, u64)> = (0..many).map(|n| (begins(n), 0, 0)).collect();
        for count in counts {
            let begins = count.hour.beginning(span);
            let Ok(place) = sums.binary_search_by_key(&begins, |sum| sum.0) else { continue };
            let (_, admitted, refused) = &mut sums[place];
            let sum = if count.outcome == Outcome::Admitted.as_str() { admitted } else { refused };
            *sum = sum.saturating_add(count.count);
        }
        let all = |of: fn(&(Timestamp, u64, u64)) -> u64| sums.iter().map(of);
        let most = all(|sum| sum.1).max().unwrap_or_default();
        let worst = all(|sum| sum.2).max().unwrap_or_default();
        let admitted = all(|sum| sum.1).fold(0, u64::saturating_add);
        let refused = all(|sum| sum.2).fold(0, u64::saturating_add);
        // Both sides in one measure: what is as long is as many.
        let line = match (most, worst) {
            (_, 0) => HEIGHT,
            (0, _) => 0,
            _ => scaled(most, most, worst).clamp(1, HEIGHT - 1),
        };
        let step = WIDTH / many;
        let bars = (0..many).zip(&sums).map(|(n, (begins, admitted, refused))| {
            let up = scaled(*admitted, most, worst).min(line);
            let down = scaled(*refused, most, worst).min(HEIGHT - line);
            Bar {
                x: n * step,
                width: step - GAP,
                up_y: line - up,
                up,
                down,
                words: format!(
                    "{}: {admitted} admitted, {refused} refused",
                    written(*begins, form)
                ),
                refused: *refused > 0,
            }
        });
        let busy = sums.iter().rev().filter(|(_, admitted, refused)| *admitted > 0 || *refused > 0);
        Self {
            id,
            title: format!("By {unit}"),
            summary: format!(
                "Requests in the last {many} {unit}s: {admitted} admitted, {refused} refused; at \
                 most {most} admitted and {worst} refused in one {unit}."
            ),
            line,
            bars: bars.collect(),
            axis: sums
                .iter()
                .step_by((sums.len() / WORDS).max(1))
                .map(|(begins, ..)| written(*begins, form))
                .collect(),
            rows: busy
                .map(|(begins, admitted, refused)| Row {
                    when: written(*begins, form),
                    admitted: *admitted,
                    refused: *refused,
                })
                .collect(),
        }
    }
}

/// How long a bar of so many is where these are the most on both sides. What there is can be
/// seen, however little it is.
fn scaled(count: u64, most: u64, worst: u64) -> u32 {
    let all = (u128::from(most) + u128::from(worst)).max(1);
    let length = u128::from(count) * u128::from(HEIGHT) / all;
    u32::try_from(length).unwrap_or(HEIGHT).max(u32::from(count > 0))
}

/// A moment in UTC.
fn written(at: Timestamp, form: &str) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::id::TokenId;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600_000;
    /// 2026-11-22 10:30.
    const NOW: i64 = 1_795_343_400_000;

    fn count(hours_ago: i64, outcome: &str, count: u64) -> StoredCount {
        StoredCount {
            token: TokenId::new(Timestamp::from_millis(1), [1; 10]),
            api: "orders".into(),
            hour: Timestamp::from_millis(NOW - hours_ago * HOUR).beginning(Seconds::HOUR),
            outcome: outcome.into(),
            count,
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(NOW)
    }

    #[test]
    fn counts_stand_in_their_hours_and_days() {
        let counts = [
            count(0, "admitted", 3),
            count(0, "expired", 1),
            count(0, "paused", 1),
            count(47, "admitted", 10),
            count(48, "admitted", 99),
        ];
        let chart = Chart::by_hour("hours", &counts, now());
        assert_eq!(chart.bars.len(), 48);
        assert_eq!(
            chart.summary,
            "Requests in the last 48 hours: 13 admitted, 2 refused; at most 10 admitted and 2 \
             refused in one hour."
        );
        // Ten of twelve are above the line.
        assert_eq!(chart.line, 100);
        let (first, last) = (&chart.bars[0], &chart.bars[47]);
        assert_eq!((first.up_y, first.up, first.down, first.refused), (0, 100, 0, false));
        assert_eq!((last.up_y, last.up, last.down, last.refused), (70, 30, 20, true));
        assert_eq!(first.words, "20 Nov 11:00: 10 admitted, 0 refused");
        let rows: Vec<_> = chart.rows.iter().map(|row| row.when.as_str()).collect();
        assert_eq!(rows, ["22 Nov 10:00", "20 Nov 11:00"]);
        assert_eq!((chart.axis.len(), chart.axis[0].as_str()), (6, "20 Nov 11:00"));

        let chart = Chart::by_day("days", 30, &counts, now());
        assert_eq!(chart.bars.len(), 30);
        assert_eq!(chart.rows[0], Row { when: "22 Nov".into(), admitted: 3, refused: 2 });
        assert_eq!(chart.rows[1], Row { when: "20 Nov".into(), admitted: 109, refused: 0 });
    }

    #[test]
    fn nothing_and_nothing_but_refusals_can_be_drawn() {
        let empty = Chart::by_day("days", 90, &[], now());
        assert_eq!((empty.line, empty.bars.len(), empty.rows.len()), (HEIGHT, 90, 0));
        assert!(empty.bars.iter().all(|bar| bar.up == 0 && bar.down == 0 && !bar.refused));
        let one = Chart::by_day("days", 1, &[count(0, "revoked", 1)], now());
        let [bar] = &one.bars[..] else { panic!("{one:?}") };
        assert_eq!((one.line, bar.up, bar.down, bar.width), (0, 0, HEIGHT, WIDTH - GAP));
    }

    #[test]
    fn little_beside_much_is_seen() {
        let counts = [
            count(1, "admitted", 1),
            count(0, "admitted", u64::MAX),
            count(0, "admitted", 1),
            count(0, "paused", 1),
        ];
        let chart = Chart::by_hour("hours", &counts, now());
        assert_eq!((chart.line, chart.bars[46].up), (HEIGHT - 1, 1));
        assert_eq!((chart.bars[47].up, chart.bars[47].down), (HEIGHT - 1, 1));
    }

    proptest! {
        #[test]
        fn whatever_is_counted_stays_in_the_picture(
            all in proptest::collection::vec((0i64..3_000, any::<bool>(), 1..=u64::MAX), 0..60),
            days in 0u32..200,
        ) {
            let outcome = |good| if good { "admitted" } else { "expired" };
            let counts: Vec<_> =
                all.into_iter().map(|(ago, good, n)| count(ago, outcome(good), n)).collect();
            for chart in [
                Chart::by_hour("hours", &counts, now()),
                Chart::by_day("days", days, &counts, now()),
            ] {
                for bar in &chart.bars {
                    prop_assert_eq!(bar.up_y + bar.up, chart.line);
                    prop_assert!(chart.line + bar.down <= HEIGHT);
                    prop_assert!(bar.width > 0 && bar.x + bar.width <= WIDTH);
                    prop_assert_eq!(bar.refused, bar.down > 0);
                    prop_assert_eq!(bar.up > 0, !bar.words.contains(": 0 admitted"));
                }
                let busy = chart.bars.iter().filter(|bar| bar.up > 0 || bar.refused).count();
                prop_assert_eq!(chart.rows.len(), busy);
            }
        }
    }
}

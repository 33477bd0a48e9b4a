//! The table that a benchmark ends with.

use std::fmt::{self, Write};

/// One row: what was measured, beside what, and what is asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: String,
    /// What it is compared with; nothing, where the figure stands for itself.
    pub(crate) floor: Option<f64>,
    pub(crate) ours: f64,
    pub(crate) ratio: Option<Spread>,
    pub(crate) bar: Option<Bar>,
}

/// What a row is to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// The ratio.
    RatioAtMost(f64),
    /// The ratio, of something that is better when it is more.
    RatioAtLeast(f64),
    /// The figure itself.
    AtMost(f64),
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Bar::RatioAtMost(most) => write!(f, "≤ {most:.2} ×"),
            Bar::RatioAtLeast(least) => write!(f, "≥ {least:.2} ×"),
            Bar::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

impl Row {
    /// A row of what was measured in turns: in each round the floor, then ours.
    pub(crate) fn by_turns(name: &str, unit: &str, rounds: &[(f64, f64)], bar: Bar) -> Self {
        Row {
            name: name.to_owned(),
            unit: unit.to_owned(),
            floor: Some(Spread::of(rounds.iter().map(|(floor, _)| *floor)).median),
            ours: Spread::of(rounds.iter().map(|(_, ours)| *ours)).median,
            // Ratios within a round, so that what slowed the machine down slowed both.
            ratio: Some(Spread::of(rounds.iter().map(|(floor, ours)| ours / floor))),
            bar: Some(bar),
        }
    }

    /// A row of something that is compared with nothing.
    pub(crate) fn alone(name: &str, unit: &str, rounds: &[f64], bar: Option<Bar>) -> Self {
        let ours = Spread::of(rounds.iter().copied()).median;
        Row { name: name.to_owned(), unit: unit.to_owned(), floor: None, ours, ratio: None, bar }
    }

    /// A row as an in-process benchmark prints it: `figure:`, then name, unit, floor, ours, the
    /// ratio's median, least and most, and the bar, with tabs between them and `-` for nothing.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("figure:\t")?.split('\t');
        let mut next = || fields.next();
        let (name, unit) = (next()?.to_owned(), next()?.to_owned());
        let mut number = || next().and_then(|field| field.parse::<f64>().ok());
        let (floor, ours) = (number(), number()?);
        let ratio = match (number(), number(), number()) {
            (Some(median), Some(least), Some(most)) => Some(Spread { least, median, most }),
            _ => None,
        };
        let bar = next().and_then(|bar| {
            let (kind, limit) = bar.split_once(' ')?;
            let limit = limit.parse().ok()?;
            Some(if kind == "ratio" { Bar::RatioAtMost(limit) } else { Bar::AtMost(limit) })
        });
        Some(Row { name, unit, floor, ours, ratio, bar })
    }

    fn missed(&self) -> bool {
        let ratio = self.ratio.as_ref().map(|ratio| ratio.median);
        match self.bar {
            Some(Bar::RatioAtMost(most)) => ratio.is_some_and(|ratio| ratio > most),
            Some(Bar::RatioAtLeast(least)) => ratio.is_some_and(|ratio| ratio < least),
            Some(Bar::AtMost(most)) => self.ours > most,
            None => false,
        }
    }
}

/// All rows under one head.
pub(crate) fn print(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max();
    let (name, unit) = (width(|row| &row.name).unwrap_or(0), width(|row| &row.unit).unwrap_or(0));
    let mut text = format!(
        "{:<name$}  {:<unit$}{:>11}{:>13}{:>8}{:>16}  {:<10}",
        "", "", "floor", "counterfoil", "ratio", "least to most", "bar"
    );
    text.truncate(text.trim_end().len());
    text.push('\n');
    for row in rows {
        let floor = row.floor.map(figure).unwrap_or_default();
        let (ratio, range) = row.ratio.as_ref().map_or_else(Default::default, |ratio| {
            (format!("{:.2}", ratio.median), format!("{:.2} to {:.2}", ratio.least, ratio.most))
        });
        let bar = row.bar.map(|bar| bar.to_string()).unwrap_or_default();
        let missed = if row.missed() { "missed" } else { "" };
        let line = format!(
            "{:<name$}  {:<unit$}{floor:>11}{:>13}{ratio:>8}{range:>16}  {bar:<10}{missed}",
            row.name,
            row.unit,
            figure(row.ours),
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Three digits at least, and none that say nothing.
fn figure(value: f64) -> String {
    match value {
        value if value >= 1000.0 => format!("{value:.0}"),
        value if value >= 100.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// What a median was taken of.
#[derive(Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Spread {
            least: at(0),
            // The same one for an odd number, the two in the middle for an even one.
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            most: at(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_benchmark_are_read() {
        let line = "figure:\tverify, 10k hot of 1M\tns\t100.0\t150.0\t1.50\t1.40\t1.60\tratio 1.5";
        let row = Row::read(line).unwrap();
        assert_eq!((row.floor, row.ours), (Some(100.0), 150.0));
        assert_eq!(row.ratio, Some(Spread { least: 1.4, median: 1.5, most: 1.6 }));
        assert_eq!(row.bar, Some(Bar::RatioAtMost(1.5)));
        let alone = Row::read("figure:\tfind\tns\t-\t9.5\t-\t-\t-\t-").unwrap();
        assert_eq!((alone.floor, alone.ours, alone.ratio, alone.bar), (None, 9.5, None, None));
        assert_eq!(Row::read("running 1 test"), None);
    }

    #[test]
    fn the_median_is_the_middle() {
        let spread = Spread::of([3.0, 1.0, 10.0, 2.0].into_iter());
        let expected = Spread { least: 1.0, median: 2.5, most: 10.0 };
        assert_eq!(spread, expected);
        assert!((Spread::of([7.0].into_iter()).median - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let rounds = [(10.0, 12.0), (20.0, 24.0), (10.0, 15.0)];
        let row = Row::by_turns("a", "µs", &rounds, Bar::RatioAtMost(1.15));
        assert!((row.ratio.as_ref().unwrap().median - 1.2).abs() < 1e-9, "{row:?}");
        assert!(row.missed());
        let text = print(&[row]);
        assert!(text.contains("1.20") && text.trim_end().ends_with("missed"), "{text}");
    }

    #[test]
    fn a_bar_that_is_kept_is_not_missed() {
        let kept = [
            Row::by_turns("a", "", &[(1.0, 1.1)], Bar::RatioAtMost(1.15)),
            Row::by_turns("b", "", &[(1.0, 1.7)], Bar::RatioAtLeast(1.6)),
            Row::alone("c", "s", &[1.5], Some(Bar::AtMost(2.0))),
            Row::alone("d", "s", &[9.0], None),
        ];
        assert!(!print(&kept).contains("missed"));
        assert!(Row::by_turns("b", "", &[(1.0, 1.5)], Bar::RatioAtLeast(1.6)).missed());
        assert!(Row::alone("c", "s", &[2.5], Some(Bar::AtMost(2.0))).missed());
    }
}

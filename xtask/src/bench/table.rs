//! The tables that a benchmark ends with.

use super::load::Sample;
use std::fmt::Write;

/// What a figure whose name begins so is compared with: the one whose name ends alike.
const FLOORS: [(&str, &str); 1] = [("verify, ", "hash and look up, ")];

/// One line for each in-process figure, with its ratio to its floor where there is one.
pub(crate) fn figures(figures: &[(&str, f64)]) -> String {
    let width = figures.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0).max(20);
    let mut text = format!("{:<width$}{:>12}{:>10}\n", "", "median ns", "ratio");
    for (name, nanoseconds) in figures {
        let ratio = floor(name, figures).map(|floor| format!("{:.2}", nanoseconds / floor));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{name:<width$}{nanoseconds:>12.1}{:>10}",
            ratio.as_deref().unwrap_or_default()
        );
    }
    text
}

fn floor(name: &str, figures: &[(&str, f64)]) -> Option<f64> {
    let floor = FLOORS.iter().find_map(|(beginning, floor)| {
        name.strip_prefix(beginning).map(|rest| format!("{floor}{rest}"))
    })?;
    figures.iter().find(|(other, _)| *other == floor).map(|(_, nanoseconds)| *nanoseconds)
}

/// Least, median and most of each contestant, and the later ones' ratios to the first.
pub(crate) fn samples(rows: &[(&str, Vec<Sample>)]) -> String {
    let mut text = format!(
        "{:<24}{:>27}{:>30}\n{:<24}{}{}\n",
        "",
        "CPU µs a request",
        "requests/s",
        "",
        heads(9),
        heads(10)
    );
    for (name, samples) in rows {
        let cpu = Spread::of(samples.iter().map(|sample| sample.cpu_per_request));
        let rate = Spread::of(samples.iter().map(|sample| sample.requests_per_second));
        let _ = writeln!(text, "{name:<24}{}{}", cpu.cells(9, 2), rate.cells(10, 0));
    }
    let Some(((base, baseline), others)) = rows.split_first() else {
        return text;
    };
    for (name, samples) in others {
        // Ratios within a round, so that what slowed the machine down slowed both.
        let ratios = |of: fn(&Sample) -> f64| {
            let rounds = samples.iter().zip(baseline);
            Spread::of(rounds.map(|(sample, base)| of(sample) / of(base)))
        };
        let cpu = ratios(|sample| sample.cpu_per_request);
        let rate = ratios(|sample| sample.requests_per_second);
        let _ = writeln!(
            text,
            "{:<24}{}{}\n\n{name} / {base}, median of the rounds' ratios: \
             {:.2} × the CPU time a request, {:.2} × the requests/s",
            "ratio",
            cpu.cells(9, 2),
            rate.cells(10, 2),
            cpu.median,
            rate.median
        );
    }
    text
}

#[derive(Debug, PartialEq)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
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

    fn cells(&self, width: usize, digits: usize) -> String {
        let Spread { least, median, most } = self;
        format!("{least:>width$.digits$}{median:>width$.digits$}{most:>width$.digits$}")
    }
}

fn heads(width: usize) -> String {
    format!("{:>width$}{:>width$}{:>width$}", "min", "median", "max")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_per_request: f64, requests_per_second: f64) -> Sample {
        Sample { cpu_per_request, requests_per_second }
    }

    #[test]
    fn figures_are_held_against_their_floors() {
        let text = figures(&[("hash and look up, a", 100.0), ("verify, a", 150.0), ("other", 1.0)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].starts_with("verify, a") && lines[2].ends_with("1.50"), "{text}");
        assert!(
            lines[1].ends_with("100.0          ") && lines[3].ends_with("1.0          "),
            "{text}"
        );
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
        let rows = [
            ("base", vec![sample(10.0, 100.0), sample(20.0, 50.0), sample(10.0, 100.0)]),
            ("other", vec![sample(12.0, 90.0), sample(24.0, 45.0), sample(15.0, 80.0)]),
        ];
        let text = samples(&rows);
        assert!(text.contains("1.20 × the CPU time"), "{text}");
        assert!(text.contains("0.90 × the requests/s"), "{text}");
    }
}

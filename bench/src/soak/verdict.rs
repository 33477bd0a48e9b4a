//! What a line says, and what is made of all of them.

use super::Record;
use std::{fmt, time::Duration};

/// What a token that was issued meanwhile may have added to the memory, whatever became of it.
const A_TOKEN: f64 = 300.0;
/// How much the memory may grow in the second half besides: this part of it, and so much.
const PART: f64 = 0.05;
const SLACK: f64 = 4.0 * MIB;
/// How much slower the slowest hundredth may get, and what is no difference at all.
const SLOWER: f64 = 1.5;
const ONE_MILLISECOND: f64 = 1.0;
/// With fewer lines than this nobody can tell what grows.
const FEWEST: usize = 8;
const MIB: f64 = 1_048_576.0;

/// What happened in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Seconds since the beginning.
    pub(crate) at: f64,
    pub(crate) requests: usize,
    pub(crate) changes: u64,
    pub(crate) mistakes: usize,
    /// Bytes.
    pub(crate) resident: f64,
    /// How many tokens have been issued since the beginning.
    pub(crate) issued: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Line {
    pub(crate) const HEAD: &str =
        "       s   requests  changes  errors  tokens   RSS MiB   p50 ms   p99 ms";

    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 bytes, nor tokens")]
    pub(crate) fn of(record: &mut Record, at: Duration, resident: u64, issued: u64) -> Self {
        record.latencies.sort();
        let part = |hundredths: usize| {
            let last = record.latencies.len().saturating_sub(1);
            let at = record.latencies.len() * hundredths / 100;
            record.latencies.get(at.min(last)).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        Self {
            at: at.as_secs_f64(),
            requests: record.latencies.len(),
            changes: record.changes,
            mistakes: record.mistakes.len(),
            resident: resident as f64,
            issued: issued as f64,
            p50: part(50),
            p99: part(99),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.0}{:>11}{:>9}{:>8}{:>8}{:>10.1}{:>9.2}{:>9.2}",
            self.at,
            self.requests,
            self.changes,
            self.mistakes,
            self.issued,
            self.resident / MIB,
            self.p50,
            self.p99
        )
    }
}

/// What is wrong; nothing, where all is well.
pub(crate) fn judge(lines: &[Line]) -> Vec<String> {
    let mut found = Vec::new();
    let mistakes: usize = lines.iter().map(|line| line.mistakes).sum();
    if mistakes > 0 {
        found.push(format!("{mistakes} errors"));
    }
    if lines.iter().any(|line| line.requests == 0 || line.changes == 0) {
        found.push("a stretch without requests, or without changes".to_owned());
    }
    if lines.len() < FEWEST {
        found.push("too short to tell whether memory and p99 are flat".to_owned());
        return found;
    }
    let (first, second) = lines.split_at(lines.len() / 2);
    found.extend(grown(second));
    found.extend(slower(first, second));
    found
}

/// Memory is flat where the line through the second half, less what the tokens issued meanwhile
/// may have added, rises by no more than a twentieth of it.
fn grown(second: &[Line]) -> Option<String> {
    let beginning = second.first()?;
    let points = second.iter().map(|line| (line.at, line.resident - A_TOKEN * line.issued));
    let rise = slope(points) * (second.last()?.at - beginning.at);
    (rise > beginning.resident * PART + SLACK).then(|| {
        let (rise, whole) = (rise / MIB, beginning.resident / MIB);
        format!("memory grew by {rise:.1} of {whole:.1} MiB in the second half, besides tokens")
    })
}

/// Of straight lines through the points, the best one's (by least squares).
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (mut count, mut at, mut value) = (0.0, 0.0, 0.0);
    for (x, y) in points.clone() {
        count += 1.0;
        at += x;
        value += y;
    }
    let (at, value) = (at / count, value / count);
    let (mut product, mut square) = (0.0, 0.0);
    for (x, y) in points {
        product += (x - at) * (y - value);
        square += (x - at) * (x - at);
    }
    if square > 0.0 { product / square } else { 0.0 }
}

/// The slowest hundredth is flat where the median of its times in the last quarter is near that
/// in the second: the first quarter warms up.
fn slower(first: &[Line], second: &[Line]) -> Option<String> {
    let middle = |lines: &[Line]| {
        let mut times: Vec<f64> = lines.iter().map(|line| line.p99).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    };
    let before = middle(&first[first.len() / 2..]);
    let after = middle(&second[second.len() / 2..]);
    (after > before * SLOWER && after > before + ONE_MILLISECOND)
        .then(|| format!("p99 went from {before:.2} to {after:.2} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u32, of: impl Fn(f64) -> (f64, f64, f64)) -> Vec<Line> {
        (0..count)
            .map(|minute| {
                let (resident, issued, p99) = of(minute.into());
                let at = f64::from(minute) * 60.0;
                Line {
                    at,
                    requests: 9,
                    changes: 9,
                    mistakes: 0,
                    resident: resident * MIB,
                    issued,
                    p50: 1.0,
                    p99,
                }
            })
            .collect()
    }

    #[test]
    fn a_quiet_hour_passes() {
        let noisy = |minute: f64| (60.0 + (minute % 3.0), 300.0 * minute, 2.0 + (minute % 2.0));
        assert_eq!(judge(&lines(60, noisy)), [""; 0]);
    }

    #[test]
    fn what_tokens_take_is_no_leak() {
        let tokens = |minute: f64| (60.0 + minute * 10_000.0 * 250.0 / MIB, minute * 10_000.0, 2.0);
        assert_eq!(judge(&lines(60, tokens)), [""; 0]);
    }

    #[test]
    fn a_leak_shows() {
        let leak = |minute: f64| (60.0 + minute * 0.5, 0.0, 2.0);
        let found = judge(&lines(60, leak));
        assert!(found[0].starts_with("memory grew by 14.5 of 75.0 MiB"), "{found:?}");
    }

    #[test]
    fn getting_slower_shows() {
        let slower = |minute: f64| (60.0, 0.0, 2.0 + minute / 10.0);
        assert!(judge(&lines(60, slower))[0].starts_with("p99 went from"));
        let hardly = |minute: f64| (60.0, 0.0, 0.2 + minute / 100.0);
        assert_eq!(judge(&lines(60, hardly)), [""; 0], "less than a millisecond");
    }

    #[test]
    fn errors_and_silence_show() {
        let mut some = lines(60, |_| (60.0, 0.0, 2.0));
        some[3].mistakes = 2;
        assert_eq!(judge(&some), ["2 errors"]);
        some[3].mistakes = 0;
        some[9].changes = 0;
        assert!(judge(&some)[0].contains("without changes"));
        assert!(judge(&some[..7])[0].contains("too short"));
    }

    #[test]
    fn a_line_knows_its_middle_and_its_slowest() {
        let latencies = (0..200).rev().map(Duration::from_millis).collect();
        let mut record = Record { latencies, changes: 3, mistakes: vec!["x".to_owned()] };
        let line = Line::of(&mut record, Duration::from_mins(1), 1 << 20, 5);
        let expected = Line {
            at: 60.0,
            requests: 200,
            changes: 3,
            mistakes: 1,
            resident: MIB,
            issued: 5.0,
            p50: 100.0,
            p99: 198.0,
        };
        assert_eq!(line, expected);
        let nothing = Line::of(&mut Record::default(), Duration::ZERO, 0, 0);
        assert_eq!((nothing.requests, nothing.p99.to_bits()), (0, 0));
    }
}

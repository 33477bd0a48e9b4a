//! What each way in has come to, for people and for programs.

use super::{
    super::progress::count,
    sending::{Refused, Sent},
};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Secret,
    AccessToken,
    Password,
}

/// One way, used until its time was over.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) way: Way,
    sent: Sent,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Secret, Self::AccessToken, Self::Password];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::AccessToken => "access token",
            Self::Password => "password",
        }
    }

    pub(super) fn purpose(self) -> &'static str {
        match self {
            Self::Secret => {
                "what programs send; at our own doors as fast as an access token, and refused from \
                 the moment that it is revoked."
            }
            Self::AccessToken => {
                "ends by itself, so little is lost when it leaks, and services elsewhere can verify \
                 it without asking us."
            }
            Self::Password => {
                "to try something by hand; each request costs a slow hash, on purpose. Programs \
                 should have a secret."
            }
        }
    }
}

impl Measured {
    pub(super) fn of(way: Way, mut sent: Sent) -> Self {
        sent.times.sort_unstable();
        Self { way, sent }
    }

    /// One for which there is nothing to send with.
    pub(super) fn refused(way: Way, refused: &Refused) -> Self {
        let sent = Sent {
            refused: [(refused.status, 1)].into(),
            ended: Some(refused.to_string()),
            ..Sent::default()
        };
        Self { way, sent }
    }

    /// Whether the API has taken anything.
    pub(super) fn is_nothing(&self) -> bool {
        self.sent.events == 0
    }

    /// Why it ended before its time.
    pub(super) fn ended(&self) -> Option<&str> {
        self.sent.ended.as_deref()
    }

    fn requests(&self) -> u64 {
        self.sent.times.len() as u64
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate, to be read")]
    fn a_second(&self, number: u64) -> f64 {
        number as f64 / self.sent.took.max(Duration::from_millis(1)).as_secs_f64()
    }

    /// Within how many milliseconds so many of a hundred were answered; the times are in order.
    fn within(&self, percent: usize) -> Option<f64> {
        let times = &self.sent.times;
        let at = (times.len() * percent).div_ceil(100).checked_sub(1)?;
        times.get(at).map(|micros| f64::from(*micros) / 1000.0)
    }

    pub(super) fn row(&self) -> Vec<String> {
        let rate = |number| format!("{:.0}", self.a_second(number));
        let within =
            |percent| self.within(percent).map_or_else(|| "-".into(), |ms| format!("{ms:.2}"));
        let refused =
            self.sent.refused.iter().map(|(status, n)| format!("{} × {status}", count(*n)));
        vec![
            self.way.name().into(),
            rate(self.requests()),
            rate(self.sent.events),
            count(self.sent.events),
            within(50),
            within(99),
            refused.collect::<Vec<_>>().join(", "),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let refused: Map<String, Value> =
            self.sent.refused.iter().map(|(status, n)| (status.to_string(), json!(n))).collect();
        json!({
            "way": self.way.name(),
            "requests": self.requests(),
            "events": self.sent.events,
            "seconds": self.sent.took.as_secs_f64(),
            "requests_per_second": self.a_second(self.requests()),
            "events_per_second": self.a_second(self.sent.events),
            "p50_ms": self.within(50),
            "p99_ms": self.within(99),
            "refused": refused,
            "ended_early": self.sent.ended,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_what_was_sent() {
        let sent = Sent {
            events: 2000,
            took: Duration::from_secs(2),
            times: (1..=200).rev().map(|ms| ms * 1000).collect(),
            refused: [(429, 3), (401, 1)].into(),
            ended: None,
        };
        let measured = Measured::of(Way::Secret, sent);
        let row = ["secret", "100", "1000", "2,000", "100.00", "198.00", "1 × 401, 3 × 429"];
        assert_eq!(measured.row(), row);
        let json = measured.json();
        assert_eq!((&json["requests"], &json["events_per_second"]), (&json!(200), &json!(1000.0)));
        assert_eq!(json["refused"], json!({"401": 1, "429": 3}));
        assert!(!measured.is_nothing());
    }

    #[test]
    fn nothing_has_no_percentiles() {
        let measured = Measured::of(Way::Password, Sent::default());
        assert_eq!(measured.row(), ["password", "0", "0", "0", "-", "-", ""]);
        assert!(measured.is_nothing());
        assert_eq!(measured.json()["p99_ms"], Value::Null);
    }
}

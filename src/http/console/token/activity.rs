//! What a token did: how often, and from where.

use super::super::{
    Console, Trouble,
    when::{When, when},
};
use crate::{
    service::{Caller, usage::WantedUsage},
    store::Page,
    usage::{Origin, StoredCount},
};
use counterfoil_core::{Timestamp, id::TokenId, time::Seconds};

/// How far back hours go, and how far days.
const HOURS: u32 = 48;
const DAYS: u32 = 30;
/// How many days of addresses, user agents and routes there are.
pub(super) const LATELY: u32 = 7;
/// How many of each.
const LINES: usize = 10;
/// Counts of one token: an hour has one for each outcome.
const COUNTS: u32 = 32 * 24 * DAYS;
/// The outcome of requests that were let through.
const ADMITTED: &str = "admitted";

/// Requests over time.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) summary: String,
    pub(super) rows: Vec<Span>,
}

/// An hour or a day in which there were any.
pub(super) struct Span {
    pub(super) when: String,
    pub(super) admitted: u64,
    pub(super) refused: u64,
}

/// Addresses, user agents or routes.
pub(super) struct Origins {
    pub(super) heading: &'static str,
    pub(super) rows: Vec<Line>,
    /// Whether requests are counted: of routes only some are known.
    pub(super) counted: bool,
}

/// One of them.
pub(super) struct Line {
    pub(super) value: String,
    pub(super) admitted: u64,
    pub(super) refused: u64,
    pub(super) last: When,
}

/// What used a token in the last days, for whoever is about to end it.
pub(super) struct Lately {
    pub(super) requests: u64,
    pub(super) refused: u64,
    pub(super) origins: Vec<Origins>,
}

impl Console {
    /// Requests by hour and by day.
    pub(super) async fn charts(
        &self,
        caller: &Caller,
        id: TokenId,
        now: Timestamp,
    ) -> Result<Vec<Chart>, Trouble> {
        let from = now.minus(Seconds::days(DAYS - 1)).beginning(Seconds::DAY);
        let wanted = WantedUsage { token: Some(id), from: Some(from), ..WantedUsage::default() };
        let page = Page { after: None, limit: COUNTS };
        let counts = self.service.usage(caller, wanted, page).await?;
        let first_hour = now.minus(Seconds(u64::from(HOURS - 1) * 3600)).beginning(Seconds::HOUR);
        let late = counts.iter().filter(|count| count.hour >= first_hour);
        let by_hour = spans(late, Seconds::HOUR, "%Y-%m-%d %H:00");
        let by_day = spans(counts.iter(), Seconds::DAY, "%Y-%m-%d");
        Ok(vec![
            chart("hours", "By hour, the last 48 hours", by_hour),
            chart("days", "By day, the last 30 days", by_day),
        ])
    }

    /// Where it was used from lately.
    pub(super) async fn lately(
        &self,
        caller: &Caller,
        id: TokenId,
        now: Timestamp,
    ) -> Result<Lately, Trouble> {
        let recent = self.service.recent_use(caller, id, LATELY).await?;
        let lines = |origins: Vec<Origin<String>>| -> Vec<Line> {
            let lines = origins.into_iter().take(LINES).map(|origin| Line {
                value: origin.value.unwrap_or_else(|| "others, or not known".into()),
                admitted: origin.admitted,
                refused: origin.refused,
                last: when(origin.last_at, now),
            });
            lines.collect()
        };
        Ok(Lately {
            requests: recent.admitted + recent.refused,
            refused: recent.refused,
            origins: vec![
                Origins { heading: "Address", rows: lines(recent.addresses), counted: true },
                Origins { heading: "User agent", rows: lines(recent.user_agents), counted: true },
                Origins { heading: "Route", rows: lines(recent.routes), counted: false },
            ],
        })
    }
}

/// Counts by the span in which they lie, those of the last first.
fn spans<'c>(
    counts: impl Iterator<Item = &'c StoredCount>,
    span: Seconds,
    form: &str,
) -> Vec<Span> {
    let mut spans: std::collections::BTreeMap<Timestamp, (u64, u64)> = Default::default();
    for count in counts {
        let (admitted, refused) = spans.entry(count.hour.beginning(span)).or_default();
        let sum = if count.outcome == ADMITTED { admitted } else { refused };
        *sum = sum.saturating_add(count.count);
    }
    let told = |at: Timestamp| {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        instant.strftime(form).to_string()
    };
    let spans = spans.into_iter().rev();
    spans.map(|(at, (admitted, refused))| Span { when: told(at), admitted, refused }).collect()
}

fn chart(id: &'static str, title: &'static str, rows: Vec<Span>) -> Chart {
    let admitted: u64 = rows.iter().map(|span| span.admitted).sum();
    let refused: u64 = rows.iter().map(|span| span.refused).sum();
    Chart { id, title, summary: format!("{admitted} admitted, {refused} refused"), rows }
}

//! What a token did: how often, and from where.

use super::super::{
    Console, Trouble,
    chart::Chart,
    when::{When, when},
};
use crate::{
    service::{Caller, usage::WantedUsage},
    store::Page,
    usage::Origin,
};
use counterfoil_core::{Timestamp, id::TokenId, time::Seconds};

/// How far back days go.
const DAYS: u32 = 30;
/// How many days of addresses, user agents and routes there are.
pub(super) const LATELY: u32 = 7;
/// How many of each.
const LINES: usize = 10;
/// Counts of one token: an hour has one for each outcome.
const COUNTS: u32 = 32 * 24 * DAYS;

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
        let by_hour = Chart::by_hour("hours", &counts, now);
        Ok(vec![by_hour, Chart::by_day("days", DAYS, &counts, now)])
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

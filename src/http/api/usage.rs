//! `/v1/usage`, and where a token was used from.

use super::{Asking, Limit, List, Moment, bounded};
use crate::{
    http::{
        calls::{self, Calls},
        extract::{Path, Query},
        problem::Problem,
    },
    service::{Caller, Service, usage::WantedUsage},
    store::{OriginKind, Page, UsageKey},
    usage::{LastUse, Origin, StoredCount},
};
use axum::extract::State;
use counterfoil_core::{
    Timestamp,
    id::{OrganizationId, TokenId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, str::FromStr, sync::Arc};

/// How many days of addresses are sent when nobody says.
const DAYS: u32 = 30;

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::get("/v1/usage", "list_usage")
                .does("How often tokens were used, by hour and outcome")
                .about(
                    "Of the last 24 hours, where nothing else is asked for; kept for 90 days. A \
                     member sees their own tokens, an administrator all of the organization.",
                )
                .needs("tokens:read"),
            list,
        )
        .on(
            calls::get("/v1/tokens/{id}/addresses", "list_token_addresses")
                .does("Where a token was used from")
                .about("A day's addresses, up to 20 of them; the rest are counted together.")
                .needs("tokens:read"),
            addresses,
        )
        .on(
            calls::get("/v1/tokens/{id}/user-agents", "list_token_user_agents")
                .does("What a token was used with")
                .about("A day's user agents, up to 20 of them; the rest are counted together.")
                .needs("tokens:read"),
            user_agents,
        )
}

/// A token's last use, among what else there is to say of the token.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LastUse")]
pub(super) struct LastUseView {
    at: Moment,
    door: String,
    address: Option<IpAddr>,
    user_agent: Option<String>,
    route: Option<String>,
}

impl From<LastUse> for LastUseView {
    fn from(last: LastUse) -> Self {
        Self {
            at: Moment(last.at),
            door: last.door.into_owned(),
            address: last.address,
            user_agent: last.user_agent,
            route: last.route,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Count")]
struct CountView {
    /// When it began.
    hour: Moment,
    token: TokenId,
    api: String,
    /// `admitted`, or a refusal's code.
    outcome: String,
    count: u64,
}

impl From<StoredCount> for CountView {
    fn from(count: StoredCount) -> Self {
        Self {
            hour: Moment(count.hour),
            token: count.token,
            api: count.api,
            outcome: count.outcome,
            count: count.count,
        }
    }
}

/// Where the list goes on: the last item's token, hour and outcome.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct Cursor(UsageKey);

impl Cursor {
    fn of(count: &StoredCount) -> String {
        format!("{}.{}.{}", count.token, count.hour.as_millis(), count.outcome)
    }
}

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let mut parts = text.splitn(3, '.');
        let (Some(token), Some(hour), Some(outcome)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NOT_A_CURSOR);
        };
        let token = token.parse().map_err(|_| NOT_A_CURSOR)?;
        let hour = i64::from_str(hour).map_err(|_| NOT_A_CURSOR)?;
        Ok(Self((token, Timestamp::from_millis(hour), outcome.to_owned())))
    }
}

const NOT_A_CURSOR: &str = "cursor: expected the next_cursor of the list before";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    /// Only of this token.
    token: Option<TokenId>,
    /// Only of tokens of this API.
    api: Option<String>,
    /// Only of tokens of this organization.
    organization: Option<OrganizationId>,
    /// From when on; a day before `to`, where absent.
    from: Option<Moment>,
    /// Until when; now, where absent.
    to: Option<Moment>,
    /// Where the part begins: the `next_cursor` of the one before.
    cursor: Option<Cursor>,
    /// How many items at most.
    limit: Option<Limit>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<UsageQuery>,
) -> Result<axum::Json<List<CountView>>, Problem> {
    let wanted = WantedUsage {
        token: query.token,
        api: query.api,
        organization: query.organization,
        from: query.from.map(|moment| moment.0),
        to: query.to.map(|moment| moment.0),
    };
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor.map(|cursor| cursor.0), limit: limit + 1 };
    let rows = service.usage(&caller, wanted, page).await?;
    Ok(axum::Json(List::of(rows, limit, Cursor::of, CountView::from)))
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Origin")]
struct OriginView {
    /// When it began.
    day: Moment,
    /// Null where it was not known, and for all beyond those that are told apart.
    value: Option<String>,
    admitted: u64,
    refused: u64,
    first_at: Moment,
    last_at: Moment,
}

impl From<Origin<String>> for OriginView {
    fn from(origin: Origin<String>) -> Self {
        Self {
            day: Moment(origin.day),
            value: origin.value,
            admitted: origin.admitted,
            refused: origin.refused,
            first_at: Moment(origin.first_at),
            last_at: Moment(origin.last_at),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OriginQuery {
    /// Of so many days; 30, where absent.
    #[schemars(range(max = u32::MAX))]
    days: Option<u32>,
}

async fn addresses(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Query(query): Query<OriginQuery>,
) -> Result<axum::Json<List<OriginView>>, Problem> {
    origins(&service, &caller, id, OriginKind::Address, &query).await
}

async fn user_agents(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Query(query): Query<OriginQuery>,
) -> Result<axum::Json<List<OriginView>>, Problem> {
    origins(&service, &caller, id, OriginKind::UserAgent, &query).await
}

/// All of them: there are only so many a day.
async fn origins(
    service: &Service,
    caller: &Caller,
    id: TokenId,
    kind: OriginKind,
    query: &OriginQuery,
) -> Result<axum::Json<List<OriginView>>, Problem> {
    let days = query.days.unwrap_or(DAYS);
    let found = service.origins(caller, id, kind, days).await?;
    let items = found.into_iter().map(OriginView::from).collect();
    Ok(axum::Json(List { items, next_cursor: None }))
}

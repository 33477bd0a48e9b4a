//! What tokens did, for whoever sees the tokens.

use super::{Caller, Service, ServiceError, tokens::no_such_token};
use crate::{
    clock,
    store::{OriginKind, Page, StoredToken, TokenFilter, UsageFilter, UsageKey},
    usage::{Origin, StoredCount},
};
use counterfoil_core::{
    Timestamp,
    id::{OrganizationId, TokenId},
    time::Seconds,
};
use std::collections::HashMap;

/// Which counts are asked for.
#[derive(Debug, Default)]
pub(crate) struct WantedUsage {
    pub(crate) token: Option<TokenId>,
    pub(crate) api: Option<String>,
    pub(crate) organization: Option<OrganizationId>,
    /// A day before `to`, when absent.
    pub(crate) from: Option<Timestamp>,
    /// Now, when absent.
    pub(crate) to: Option<Timestamp>,
}

/// What a token did lately, each list with what came last first.
#[derive(Debug)]
pub(crate) struct RecentUse {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    /// By day no more: `day` is the first.
    pub(crate) addresses: Vec<Origin<String>>,
    pub(crate) user_agents: Vec<Origin<String>>,
    /// Method and path. How many requests there were is not known.
    pub(crate) routes: Vec<Origin<String>>,
}

/// The days of each value as one.
fn added_up(days: Vec<Origin<String>>) -> Vec<Origin<String>> {
    let mut sums: Vec<Origin<String>> = Vec::new();
    for day in days {
        match sums.iter_mut().find(|sum| sum.value == day.value) {
            Some(sum) => sum.absorb(&day),
            None => sums.push(day),
        }
    }
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.last_at));
    sums
}

impl Service {
    /// How often tokens were used, by hour and outcome.
    pub(crate) async fn usage(
        &self,
        caller: &Caller,
        wanted: WantedUsage,
        page: Page<UsageKey>,
    ) -> Result<Vec<StoredCount>, ServiceError> {
        caller.may("tokens:read")?;
        let to = wanted.to.unwrap_or_else(clock::now);
        let from = wanted.from.unwrap_or_else(|| to.minus(Seconds::DAY));
        if from >= to {
            return Err(ServiceError::Invalid {
                field: "from",
                message: "must be earlier than to (which is now, where it is not given)".into(),
            });
        }
        if wanted.organization.is_some_and(|asked| !caller.reaches(asked)) {
            return Ok(Vec::new());
        }
        self.usage.flush().await;
        let filter = UsageFilter {
            token: wanted.token,
            api: wanted.api,
            organization: caller.home().or(wanted.organization),
            owner: caller.confined_to(),
            // The hour in which it lies counts whole.
            from: from.beginning(Seconds::HOUR),
            to,
        };
        Ok(self.store.usage(filter, page).await?)
    }

    /// Where the requests with a token came from in the last `days` days.
    pub(crate) async fn origins(
        &self,
        caller: &Caller,
        id: TokenId,
        kind: OriginKind,
        days: u32,
    ) -> Result<Vec<Origin<String>>, ServiceError> {
        let token = self.token(caller, id).await?.token.id;
        // The day in which it lies counts whole, as hours do.
        let since = clock::now().minus(Seconds::days(days)).beginning(Seconds::DAY);
        Ok(self.store.origins(token, kind, since).await?)
    }

    /// Who used a token in the last `days` days, today among them: for whoever is about to
    /// end it. Of routes there are some, and no counts of requests.
    pub(crate) async fn recent_use(
        &self,
        caller: &Caller,
        id: TokenId,
        days: u32,
    ) -> Result<RecentUse, ServiceError> {
        let token = self.token(caller, id).await?.token.id;
        let since = clock::now().minus(Seconds::days(days)).beginning(Seconds::DAY);
        self.usage.flush().await;
        let of = async |kind| {
            let days = self.store.origins(token, kind, since).await?;
            Ok::<_, ServiceError>(added_up(days))
        };
        let addresses = of(OriginKind::Address).await?;
        Ok(RecentUse {
            admitted: addresses.iter().map(|origin| origin.admitted).sum(),
            refused: addresses.iter().map(|origin| origin.refused).sum(),
            addresses,
            user_agents: of(OriginKind::UserAgent).await?,
            routes: of(OriginKind::Route).await?,
        })
    }

    /// A token with its last use, which may not be written yet.
    pub(super) async fn stored_token(&self, id: TokenId) -> Result<StoredToken, ServiceError> {
        let waiting = self.usage.last_uses(id);
        let mut stored = self.store.token(id).await?.ok_or_else(no_such_token)?;
        stored.used(waiting);
        Ok(stored)
    }

    /// Tokens with their last uses, which may not be written yet.
    pub(super) async fn stored_tokens(
        &self,
        filter: TokenFilter,
        page: Page<TokenId>,
    ) -> Result<Vec<StoredToken>, ServiceError> {
        if filter.unused_since.is_some() {
            // The store chooses by what is written.
            self.usage.flush().await;
        }
        let flushes = self.usage.flushes();
        let mut found = self.store.tokens(filter.clone(), page).await?;
        let waiting: HashMap<_, _> = found
            .iter()
            .map(|stored| (stored.token.id, self.usage.last_uses(stored.token.id)))
            .collect();
        if self.usage.flushes() != flushes {
            // What was written between the two looks is in neither, but in the store by now.
            found = self.store.tokens(filter, page).await?;
        }
        for stored in &mut found {
            if let Some(waiting) = waiting.get(&stored.token.id) {
                stored.used(waiting.clone());
            }
        }
        Ok(found)
    }
}

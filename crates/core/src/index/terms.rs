//! Terms: what tokens have in common, kept once for all that have it.

use super::{OutOfStep, slab::Slab};
use crate::{network::Network, token::Grant};
use std::{collections::HashMap, sync::Arc};

/// What a token is for: what many have in common.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Its API.
    pub(crate) api: Arc<str>,
    /// What it may do.
    pub(crate) grant: Grant,
    /// Where it may be used from.
    pub(crate) allowed_networks: Box<[Network]>,
}

type ByNetworks = HashMap<Box<[Network]>, u32>;

/// The numbers of the terms that there are. None is taken away before a restart: there are
/// few, for people give their tokens the same ones again and again. Whoever makes up new
/// ones makes changes in the ledger with each, which take more of the disk than this takes
/// of the memory.
#[derive(Default)]
pub(super) struct TermsRegistry {
    numbers: HashMap<Arc<str>, HashMap<Grant, ByNetworks>>,
    count: u32,
}

impl TermsRegistry {
    /// The number of these terms.
    pub(super) fn number(
        &mut self,
        terms: &Slab<Terms>,
        api: &str,
        grant: &Grant,
        allowed_networks: &[Network],
    ) -> Result<u32, OutOfStep> {
        let of_api = self.numbers.get(api);
        let known = of_api.and_then(|api| api.get(grant)?.get(allowed_networks));
        if let Some(number) = known {
            return Ok(*number);
        }
        let number = self.count;
        self.count = number.checked_add(1).ok_or(OutOfStep)?;
        let api =
            self.numbers.get_key_value(api).map_or_else(|| api.into(), |(api, _)| api.clone());
        let networks: Box<[Network]> = allowed_networks.into();
        let by_grant = self.numbers.entry(api.clone()).or_default();
        by_grant.entry(grant.clone()).or_default().insert(networks.clone(), number);
        terms.put(number, Terms { api, grant: grant.clone(), allowed_networks: networks });
        Ok(number)
    }
}

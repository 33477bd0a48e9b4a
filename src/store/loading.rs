//! Tokens on their way from a database into an index.

use counterfoil_core::{
    Timestamp,
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, Loaded, OutOfStep},
    network::Network,
    token::{Digest, Grant, Previous, State},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// How many different grants are remembered as they were read; most tokens have one of a few.
const GRANTS: usize = 1_000;

/// A token, as verification needs it.
pub(super) struct TokenRow {
    pub(super) id: TokenId,
    pub(super) api: Arc<str>,
    pub(super) organization: OrganizationId,
    pub(super) owner: AccountId,
    pub(super) grant: Arc<Grant>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) allowed_networks: Vec<Network>,
    pub(super) state: State,
    pub(super) digest: Digest,
    pub(super) previous: Option<Previous>,
}

impl TokenRow {
    /// Puts it where it belongs.
    pub(super) fn put(&self, index: &Index) -> Result<(), OutOfStep> {
        index.load_token(&Loaded {
            id: self.id,
            api: &self.api,
            organization: self.organization,
            owner: self.owner,
            grant: &self.grant,
            expires_at: self.expires_at,
            allowed_networks: &self.allowed_networks,
            state: self.state,
            digest: self.digest,
            previous: self.previous,
        })
    }
}

/// What was read before. Most tokens say what one of a few others has said.
#[derive(Default)]
pub(super) struct Known {
    apis: HashSet<Arc<str>>,
    grants: HashMap<Box<str>, Arc<Grant>>,
}

impl Known {
    pub(super) fn api(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.apis.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.apis.insert(name.clone());
        name
    }

    pub(super) fn grant(&mut self, text: &str) -> Result<Arc<Grant>, serde_json::Error> {
        if let Some(known) = self.grants.get(text) {
            return Ok(known.clone());
        }
        let grant: Arc<Grant> = Arc::new(serde_json::from_str(text)?);
        if self.grants.len() >= GRANTS {
            self.grants.clear();
        }
        self.grants.insert(text.into(), grant.clone());
        Ok(grant)
    }
}

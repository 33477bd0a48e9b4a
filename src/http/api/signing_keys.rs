//! `/v1/signing-keys`, the operator's.

use super::{Asking, List, Moment};
use crate::{
    http::{
        calls::{self, Calls},
        extract::Json,
        problem::Problem,
    },
    service::Service,
    signing::{Listed, Standing},
};
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::get("/v1/signing-keys", "list_signing_keys")
                .does("List the keys that sign access tokens")
                .about("All that are published; none where no API has access tokens.")
                .for_the_operator(),
            list,
        )
        .on(
            calls::post("/v1/signing-keys/rotate", "rotate_signing_keys")
                .does("Have the next keys sign access tokens")
                .about(
                    "A new key of each algorithm is published now and signs a day later; what \
                     was signed before stays good. Where one waits for its day already, none is \
                     made. With `at_once` new keys sign now and all others are withdrawn: what \
                     they have signed is refused here when this is answered, and elsewhere once \
                     the list of keys has been read again. Where no API has access tokens, \
                     `at_once` withdraws what keys there are, and makes none. Keys that nodes \
                     share (`signing.keys_directory`) are files that no server changes: 409.",
                )
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            rotate,
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SigningKey")]
pub(crate) struct KeyView {
    /// What tokens and lists of keys call it: the thumbprint of RFC 7638.
    kid: Box<str>,
    /// As JOSE calls it: `EdDSA` or `ES256`.
    algorithm: &'static str,
    state: KeyState,
    /// Since when it is published.
    since: Moment,
    /// Until when it is in this state: a next one until it signs, one that signs until the next
    /// one does, a retired one until nothing that it signed is alive.
    until: Moment,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KeyState {
    /// It is published, and will sign.
    Next,
    /// It signs.
    Signing,
    /// What it signed may still be alive.
    Retired,
}

impl From<Listed> for KeyView {
    fn from(key: Listed) -> Self {
        Self {
            kid: key.kid,
            algorithm: key.algorithm.name(),
            state: match key.standing {
                Standing::Next { .. } => KeyState::Next,
                Standing::Signing => KeyState::Signing,
                Standing::Retired { .. } => KeyState::Retired,
            },
            since: Moment(key.made_at),
            until: Moment(key.until),
        }
    }
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<axum::Json<List<KeyView>>, Problem> {
    let items = service.signing_keys(&caller)?.into_iter().map(KeyView::from).collect();
    Ok(axum::Json(List { items, next_cursor: None }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RotateSigningKeys", extend("examples" = [{"at_once": false}]))]
pub(crate) struct RotateBody {
    /// Whether the present keys are withdrawn now, because somebody may have them.
    #[serde(default)]
    at_once: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RotatedSigningKeys")]
struct RotatedView {
    /// The names of keys that are published from now on.
    made: Vec<Box<str>>,
    /// The names of those that are not any more.
    withdrawn: Vec<Box<str>>,
    /// All that are published now.
    keys: Vec<KeyView>,
}

async fn rotate(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<RotateBody>,
) -> Result<axum::Json<RotatedView>, Problem> {
    let rotated = service.rotate_signing_keys(&caller, body.at_once).await?;
    Ok(axum::Json(RotatedView {
        made: rotated.made,
        withdrawn: rotated.withdrawn,
        keys: rotated.keys.into_iter().map(KeyView::from).collect(),
    }))
}

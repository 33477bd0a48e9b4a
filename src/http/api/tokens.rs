//! `/v1/tokens`.

mod revoke;

#[cfg(feature = "fuzzing")]
pub(crate) use revoke::{RevokeBody, RevokeQuery};

use super::{
    Asking, Limit, List, Moment, bounded, field::Field, state_changes_alone, usage::LastUseView,
};
use crate::{
    clock,
    http::{
        calls::{self, Answers, Calls, Created, Operation, Unkept},
        extract::{DigestedJson, IdempotencyKey, Json, Path, Query},
        problem::Problem,
    },
    replica::waits::Spread,
    service::{
        EXTERNAL_ID, NAME, Service, TEXT,
        accounts::AccountName,
        idempotency::Idempotency,
        tokens::{self, Expiry, Issuance, Issued, NewToken, PARTS, TokenChanges},
    },
    store::{Page, StoredToken, TokenFilter, TokenState},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use counterfoil_core::{
    id::{AccountId, OrganizationId, TokenId},
    network::Network,
    time::Seconds,
    token::{Digest, Grant},
};
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use std::{borrow::Cow, sync::Arc};

/// What may be done with a token whose secret was just told.
const AFTER_ISSUE: [&str; 4] = ["show_token", "change_token", "rotate_token", "revoke_token"];

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::post("/v1/tokens", "issue_token")
                .does("Issue a token")
                .about(
                    "The answer has the secret, which is told this once. A token of the API \
                     `counterfoil` never reaches further than the caller's own.",
                )
                .needs("tokens:write")
                .fails(&[StatusCode::NOT_FOUND, StatusCode::CONFLICT])
                .leads("id", "/client_id", &AFTER_ISSUE),
            issue,
        )
        .on(
            calls::get("/v1/tokens", "list_tokens")
                .does("List tokens")
                .about("A member sees their own, an administrator all of the organization.")
                .needs("tokens:read")
                .fails(&[StatusCode::NOT_FOUND]),
            list,
        )
        .on(
            calls::get("/v1/tokens/{id}", "show_token").does("Show a token").needs("tokens:read"),
            show,
        )
        .on(
            calls::patch("/v1/tokens/{id}", "change_token")
                .does("Change what is not the secret of a token")
                .about("`state` changes alone: to `paused`, and back to `active`.")
                .needs("tokens:write")
                .fails(&[StatusCode::CONFLICT]),
            change,
        )
        .on(
            calls::post("/v1/tokens/{id}/rotate", "rotate_token")
                .does("Give a token a new secret")
                .about(
                    "The answer has the secret, which is told this once. Only its owner rotates \
                     a person's token.",
                )
                .needs("tokens:write")
                .fails(&[StatusCode::CONFLICT])
                .leads("id", "/client_id", &AFTER_ISSUE),
            rotate,
        )
        .on(
            calls::post("/v1/tokens/{id}/revoke", "revoke_token")
                .does("End a token for good")
                .about(
                    "Once this is answered, the token is refused everywhere. A repeat says when \
                     it was ended.",
                )
                .needs("tokens:write")
                .fails(&[StatusCode::CONFLICT]),
            revoke::revoke,
        )
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "IssueToken", extend("not" = not_both(), "examples" = [
    {"api": "finout", "name": "ci", "role": "viewer", "expires_in": "90d"},
    {
        "api": "orders",
        "owner": "build@example.com",
        "allowed_networks": ["10.0.0.0/8"],
        "expires_at": null,
        "metadata": {"team": "payments"},
    },
]))]
pub(crate) struct IssueBody {
    /// The API that it is for, by its name in the configuration.
    api: String,
    /// Needed only where the owner belongs to several.
    organization: Option<OrganizationId>,
    /// Today's date, where absent.
    #[schemars(length(max = tokens::NAME), regex(pattern = NAME))]
    name: Option<String>,
    #[schemars(length(max = tokens::NOTE), regex(pattern = TEXT))]
    note: Option<String>,
    /// The caller, where absent; the operator has to name one.
    #[schemars(with = "Option<AccountName>")]
    owner: Option<String>,
    /// What it may do: a role of the API, or else `scopes`.
    role: Option<String>,
    /// What it may do: scopes of the API, or else a `role`. On an API without scopes neither.
    #[schemars(length(max = PARTS))]
    scopes: Option<Vec<String>>,
    /// When it ends. Null: never. Where neither this nor `expires_in` is there, the API's default.
    #[serde(default)]
    expires_at: Field<Moment>,
    /// After how long it ends; or else `expires_at`.
    #[serde(default)]
    expires_in: Field<Span>,
    /// Where it may be used from; none: from everywhere.
    #[serde(default)]
    #[schemars(with = "Vec<Network>", length(max = PARTS))]
    allowed_networks: Vec<String>,
    /// What you call it.
    #[schemars(length(min = 1, max = EXTERNAL_ID), regex(pattern = NAME))]
    external_id: Option<String>,
    /// What you want to keep with it: 4096 bytes of JSON and 32 levels at most.
    #[schemars(with = "Option<Map<String, Value>>")]
    metadata: Option<Value>,
}

/// There are two ways to say when a token ends.
fn not_both() -> Value {
    json!({"required": ["expires_at", "expires_in"]})
}

/// A span of time: seconds, or a number with its unit, as in `"90d"`, `"24h"`, `"15m"`, `"30s"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) Seconds);

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Seconds, or a number with its unit: days, hours, minutes or seconds.",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": u64::MAX},
                {"type": "string", "pattern": "^[0-9]{1,14}[dhms]?$"},
            ],
            "examples": ["90d", "24h", "15m", 30],
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl serde::de::Visitor<'_> for Either {
            type Value = Span;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of seconds, or a text such as \"90d\"")
            }

            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Span, E> {
                Ok(Span(Seconds(seconds)))
            }

            // To JSON Schema 3600.0 is an integer, and some programs write it so.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is whole, and within bounds"
            )]
            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Span, E> {
                let fits = (0.0..18_446_744_073_709_551_616.0).contains(&seconds);
                if seconds.fract() != 0.0 || !fits {
                    return Err(E::invalid_type(serde::de::Unexpected::Float(seconds), &self));
                }
                Ok(Span(Seconds(seconds as u64)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map(Span).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IssuedToken")]
struct IssuedView {
    token: TokenView,
    /// Told this once.
    #[schemars(extend("examples" = ["fin_live_…"]))]
    secret: String,
    /// The token's id, as some schemes want it beside the secret.
    client_id: TokenId,
    effective: Effective,
}

/// Where a change is known.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Effective {
    /// At every node.
    Everywhere,
    /// Not at every node yet.
    Pending,
}

impl From<Spread> for Effective {
    fn from(spread: Spread) -> Self {
        if spread.is_everywhere() { Self::Everywhere } else { Self::Pending }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
struct TokenView {
    id: TokenId,
    api: Box<str>,
    organization: OrganizationId,
    owner: AccountId,
    name: String,
    note: String,
    /// What it may do; null where it has scopes, or may do anything.
    role: Option<Box<str>>,
    /// What it may do; null where it has a role, or may do anything.
    scopes: Option<Vec<String>>,
    state: TokenState,
    /// How the secret begins.
    prefix: Box<str>,
    /// How the secret ends.
    last_four: Box<str>,
    /// Where it may be used from; none: from everywhere.
    allowed_networks: Vec<Network>,
    external_id: Option<Box<str>>,
    #[schemars(with = "Option<Map<String, Value>>")]
    metadata: Option<Value>,
    created_at: Moment,
    expires_at: Option<Moment>,
    /// Until when the secret before the last rotation works.
    previous_secret_until: Option<Moment>,
    paused_at: Option<Moment>,
    revoked_at: Option<Moment>,
    revoke_reason: String,
    last_used: Option<LastUseView>,
    /// The last use with the present secret.
    present_secret_last_used: Option<LastUseView>,
    /// The last use with the secret before the last rotation.
    previous_secret_last_used: Option<LastUseView>,
}

impl From<StoredToken> for TokenView {
    fn from(stored: StoredToken) -> Self {
        let now = clock::now();
        let state = stored.state_at(now);
        let token = stored.token;
        let (role, scopes) = match token.grant {
            Grant::Any => (None, None),
            Grant::Role(role) => (Some(role), None),
            Grant::Scopes(scopes) => (None, Some(scopes.iter().map(ToString::to_string).collect())),
        };
        Self {
            id: token.id,
            api: token.api,
            organization: token.organization,
            owner: token.owner,
            name: token.name,
            note: token.note,
            role,
            scopes,
            state,
            prefix: token.prefix,
            last_four: token.last_four,
            allowed_networks: token.allowed_networks,
            external_id: token.external_id,
            metadata: token.metadata,
            created_at: Moment(token.created_at),
            expires_at: token.expires_at.map(Moment),
            previous_secret_until: stored
                .previous
                .map(|previous| previous.until)
                .filter(|until| now < *until)
                .map(Moment),
            paused_at: stored.paused_at.map(Moment),
            revoked_at: stored.revoked_at.map(Moment),
            revoke_reason: stored.revoke_reason,
            last_used: stored.last_used.map(LastUseView::from),
            present_secret_last_used: stored.present_last_used.map(LastUseView::from),
            previous_secret_last_used: stored.previous_last_used.map(LastUseView::from),
        }
    }
}

/// What a repeat under the same key gets: everything but the secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RepeatedToken")]
struct RepeatedView {
    token: TokenView,
    /// The token's id, as some schemes want it beside the secret.
    client_id: TokenId,
    effective: Effective,
}

/// What came of asking for a token.
enum Issuing {
    New(IssuedView),
    Repeat(RepeatedView),
}

impl IntoResponse for Issuing {
    fn into_response(self) -> Response {
        match self {
            Self::New(view) => Created(view).into_response(),
            Self::Repeat(view) => axum::Json(view).into_response(),
        }
    }
}

impl Answers for Issuing {
    fn describe(operation: &mut Operation<'_>) {
        Created::<IssuedView>::describe(operation);
        let about = "It had been issued under this key before; the secret is not told again.";
        operation.answers_json::<RepeatedView>(StatusCode::OK, about);
    }
}

/// The one answer with a secret in it; nothing on the way may keep it.
fn reveal(issued: Issued) -> IssuedView {
    let client_id = issued.token.token.id;
    IssuedView {
        token: issued.token.into(),
        secret: issued.secret.reveal().to_owned(),
        client_id,
        effective: issued.spread.into(),
    }
}

async fn issue(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    IdempotencyKey(key): IdempotencyKey,
    DigestedJson(body, digest): DigestedJson<IssueBody>,
) -> Result<Unkept<Issuing>, Problem> {
    let expiry = read_expiry(body.expires_at, body.expires_in)?.unwrap_or(Expiry::Default);
    let new = NewToken {
        api: body.api,
        organization: body.organization,
        name: body.name,
        note: body.note,
        owner: body.owner.as_deref().map(read_owner).transpose()?,
        role: body.role,
        scopes: body.scopes,
        expiry,
        allowed_networks: body.allowed_networks,
        external_id: body.external_id,
        metadata: body.metadata,
    };
    let Some(key) = key else {
        let issued = service.issue_token(&caller, &new).await?;
        return Ok(Unkept(Issuing::New(reveal(issued))));
    };
    let idempotency = Idempotency::new(&caller, &key, digest);
    Ok(Unkept(match service.issue_token_once(&caller, &new, idempotency).await? {
        Issuance::New(issued) => Issuing::New(reveal(issued)),
        Issuance::Repeat(token, spread) => {
            let client_id = token.token.id;
            let effective = spread.into();
            Issuing::Repeat(RepeatedView { token: token.into(), client_id, effective })
        }
    }))
}

/// When a token is to end; none where nothing is said.
fn read_expiry(at: Field<Moment>, within: Field<Span>) -> Result<Option<Expiry>, Problem> {
    Ok(match (at, within) {
        (Field::Absent, Field::Absent) => None,
        (Field::Null, Field::Absent) | (Field::Absent, Field::Null) => Some(Expiry::Never),
        (Field::Value(end), Field::Absent) => Some(Expiry::At(end.0)),
        (Field::Absent, Field::Value(span)) => Some(Expiry::In(span.0)),
        _ => {
            return Err(
                Problem::bad_request("give expires_at or expires_in, not both").about("expires_in")
            );
        }
    })
}

fn read_owner(text: &str) -> Result<AccountName, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("owner: {error}")).about("owner"))
}

/// A field of metadata: its name, a colon, and its text, or its value as JSON writes it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct MetadataField {
    name: String,
    value: String,
}

impl TryFrom<String> for MetadataField {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected a field's name, a colon and its value, as in team:payments"),
        }
    }
}

impl JsonSchema for MetadataField {
    fn schema_name() -> Cow<'static, str> {
        "MetadataField".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[^:]+:", "examples": ["team:payments"]})
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only those for this API.
    api: Option<String>,
    /// Only those that you call so.
    external_id: Option<String>,
    /// Only those whose metadata have this field, as in `team:payments`.
    metadata: Option<MetadataField>,
    /// Only the one whose secret has this SHA-256, in hexadecimal digits, or had it before
    /// a rotation: so a secret that was found need not be sent.
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    digest: Option<Digest>,
    /// Only those of this organization.
    organization: Option<OrganizationId>,
    /// Only this account's: an id or an e-mail address.
    #[schemars(with = "Option<AccountName>")]
    owner: Option<String>,
    /// Only those in this state.
    state: Option<TokenState>,
    /// Only those made so many days ago or more, and not used since.
    #[schemars(range(max = u32::MAX))]
    unused_days: Option<u32>,
    /// Only those that end before this moment.
    expires_before: Option<Moment>,
    /// Where the part begins: the `next_cursor` of the one before.
    cursor: Option<TokenId>,
    /// How many items at most.
    limit: Option<Limit>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<TokenView>>, Problem> {
    let owner = match query.owner.as_deref().map(read_owner).transpose()? {
        Some(owner) => Some(service.seen_account(&caller, &owner).await?.id),
        None => None,
    };
    let now = clock::now();
    let filter = TokenFilter {
        api: query.api,
        external_id: query.external_id,
        metadata: query.metadata.map(|field| (field.name, field.value)),
        digest: query.digest,
        organization: query.organization,
        owner,
        state: query.state.map(|state| (state, now)),
        unused_since: query.unused_days.map(|days| now.minus(Seconds::days(days))),
        expires_before: query.expires_before.map(|moment| moment.0),
    };
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor, limit: limit + 1 };
    let rows = service.tokens(&caller, filter, page).await?;
    Ok(axum::Json(List::of(rows, limit, |row| row.token.id.to_string(), TokenView::from)))
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
) -> Result<axum::Json<TokenView>, Problem> {
    Ok(axum::Json(TokenView::from(service.token(&caller, id).await?)))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeToken", extend("not" = not_both(), "examples" = [
    {"state": "paused"},
    {"name": "ci of payments", "expires_in": "30d", "external_id": null},
]))]
pub(crate) struct ChangeBody {
    /// Changes alone.
    state: Option<ChangeableState>,
    #[schemars(length(max = tokens::NAME), regex(pattern = NAME))]
    name: Option<String>,
    #[schemars(length(max = tokens::NOTE), regex(pattern = TEXT))]
    note: Option<String>,
    /// Instead of the role or the scopes that it has.
    role: Option<String>,
    /// Instead of the role or the scopes that it has.
    #[schemars(length(max = PARTS))]
    scopes: Option<Vec<String>>,
    /// When it ends. Null: never.
    #[serde(default)]
    expires_at: Field<Moment>,
    /// After how long, from now, it ends; or else `expires_at`.
    #[serde(default)]
    expires_in: Field<Span>,
    /// Where it may be used from; none: from everywhere.
    #[schemars(with = "Option<Vec<Network>>", length(max = PARTS))]
    allowed_networks: Option<Vec<String>>,
    /// What you call it. Null: it goes.
    #[serde(default)]
    #[schemars(length(min = 1, max = EXTERNAL_ID), regex(pattern = NAME))]
    external_id: Field<String>,
    /// What you want to keep with it: 4096 bytes of JSON and 32 levels at most. Null: it goes.
    #[serde(default)]
    #[schemars(with = "Field<Map<String, Value>>")]
    metadata: Field<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeableState {
    /// It works.
    Active,
    /// It is held back.
    Paused,
}

async fn change(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Json(body): Json<ChangeBody>,
) -> Result<axum::Json<TokenView>, Problem> {
    let (state, changes) = read_changes(body)?;
    let stored = match state {
        Some(state) => {
            let paused = state == ChangeableState::Paused;
            service.set_token_paused(&caller, id, paused).await?
        }
        None => service.change_token(&caller, id, &changes).await?,
    };
    Ok(axum::Json(TokenView::from(stored)))
}

/// The state that is asked for, or else the other changes.
pub(crate) fn read_changes(
    body: ChangeBody,
) -> Result<(Option<ChangeableState>, TokenChanges), Problem> {
    let changes = TokenChanges {
        name: body.name,
        note: body.note,
        role: body.role,
        scopes: body.scopes,
        expiry: read_expiry(body.expires_at, body.expires_in)?,
        allowed_networks: body.allowed_networks,
        external_id: body.external_id.into(),
        metadata: body.metadata.into(),
    };
    if body.state.is_some() && changes.is_something() {
        return Err(state_changes_alone());
    }
    Ok((body.state, changes))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RotateToken", extend("examples" = [{"overlap": "15m"}]))]
pub(crate) struct RotateBody {
    /// For how long the old secret works beside the new one.
    overlap: Option<Span>,
}

async fn rotate(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Json(body): Json<RotateBody>,
) -> Result<Unkept<axum::Json<IssuedView>>, Problem> {
    let overlap = body.overlap.map_or(Seconds(0), |span| span.0);
    let issued = service.rotate_token(&caller, id, overlap).await?;
    Ok(Unkept(axum::Json(reveal(issued))))
}

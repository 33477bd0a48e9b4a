//! What each program keeps of its tokens, and what becomes of it here.

use super::{
    file::{Record, fold, shown},
    value::{self, Written},
};
use clap::ValueEnum;
use counterfoil_core::token::Digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where tokens come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// A table of one's own with SHA-256 of each whole token, in hexadecimal digits or base64
    #[value(name = "sha256")]
    Sha256,
    /// Django REST framework's authtoken
    DrfAuthtoken,
    /// django-rest-knox, where it was set to SHA-256
    Knox,
    /// better-auth's plugin for keys
    BetterAuth,
}

/// Why a row is passed over before anybody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Skip {
    Sha512,
    OldKnox,
    LimitedUses,
    OtherModel,
}

impl Skip {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Sha512 => "sha512",
            Self::OldKnox => "old_knox",
            Self::LimitedUses => "limited_uses",
            Self::OtherModel => "other_model",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Sha512 => {
                "kept as SHA-512, from which nobody can tell the SHA-256 that is needed here: \
                 have these issued anew, or let them expire where they are"
            }
            Self::OldKnox => {
                "made by knox before 5.0, whose digests are not those of the token's text: have \
                 these issued anew, or let them expire where they are"
            }
            Self::LimitedUses => {
                "good for a limited number of uses, which nothing here counts: have these issued \
                 anew, or leave out the column `remaining` to have them go on without the limit"
            }
            Self::OtherModel => "not tokens, but another model's objects",
        }
    }
}

/// A field's name, and what is wrong with it.
type Wrong = (String, String);

fn wrong<T>(field: &str, message: impl Into<String>) -> Result<T, Wrong> {
    Err((field.to_owned(), message.into()))
}

/// The columns that every source may have.
const COLUMNS: [&str; 15] = [
    "owner",
    "organization",
    "name",
    "note",
    "role",
    "scopes",
    "created_at",
    "expires_at",
    "external_id",
    "metadata",
    "allowed_networks",
    "prefix",
    "last_four",
    "state",
    "digest",
];

impl Source {
    /// Its name on the command line and in the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::DrfAuthtoken => "drf-authtoken",
            Self::Knox => "knox",
            Self::BetterAuth => "better-auth",
        }
    }

    /// The entropy of the secrets that it makes, in bits, if nobody has set it
    /// otherwise, less what is shown of them; none where nobody can know.
    pub(super) fn entropy_bits(self) -> Option<u16> {
        match self {
            Self::Sha256 => None,
            // 40 hexadecimal digits.
            Self::DrfAuthtoken => Some(160),
            // 64 of them, 8 of which are shown.
            Self::Knox => Some(224),
            // 64 letters of 52, 8 of which are shown at most.
            Self::BetterAuth => Some(319),
        }
    }

    /// Which columns say what a token is known by, and whose it is: one of each
    /// has to be there.
    fn needed(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Sha256 => (&["digest"], &["owner"]),
            Self::DrfAuthtoken => (&["key"], &["owner", "user_id", "user"]),
            Self::Knox => (&["digest"], &["owner", "user_id", "user"]),
            Self::BetterAuth => (&["key"], &["owner", "referenceId", "userId"]),
        }
    }

    /// Columns of its own that mean nothing here.
    fn idle(self) -> &'static [&'static str] {
        match self {
            Self::Sha256 => &[],
            Self::DrfAuthtoken | Self::Knox => &["id", "pk", "model"],
            Self::BetterAuth => &[
                "configId",
                "lastRefillAt",
                "lastRequest",
                "rateLimitEnabled",
                "rateLimitMax",
                "rateLimitTimeWindow",
                "rateLimitWindowStart",
                "refillAmount",
                "refillInterval",
                "requestCount",
                "updatedAt",
            ],
        }
    }

    /// Whether a file's columns, by folded and written names, are enough.
    pub(super) fn check_header(
        self,
        columns: &[(&str, &str)],
        owner_is_given: bool,
    ) -> Result<(), String> {
        let has = |names: &[&str]| {
            names.iter().any(|name| columns.iter().any(|(folded, _)| *folded == fold(name)))
        };
        let (key, owner) = self.needed();
        if !has(key) {
            return Err(format!(
                "has no column `{}` in its first line; export it with a header, as `\\copy … csv \
                 header` does",
                key[0]
            ));
        }
        if !owner_is_given && !has(owner) {
            return Err(format!(
                "has no column `{}` that says whose each token is; add one, or give --owner",
                owner.join("` or `")
            ));
        }
        if self == Self::Sha256 {
            for (folded, written) in columns {
                if !COLUMNS.iter().any(|known| fold(known) == *folded) {
                    return Err(format!("cannot be used: {}", no_such_column(written)));
                }
            }
        }
        Ok(())
    }

    /// Makes of a row what the server takes; the names of fields that nobody
    /// looked at go to `idle`.
    pub(super) fn convert(
        self,
        mut record: Record,
        idle: &mut BTreeSet<String>,
    ) -> Result<Result<Map<String, Value>, Skip>, Wrong> {
        let mut row = Map::new();
        row.insert("line".into(), record.place.into());
        let skip = match self {
            Self::Sha256 => sha256(&mut record, &mut row)?,
            Self::DrfAuthtoken => drf(&mut record, &mut row)?,
            Self::Knox => knox(&mut record, &mut row)?,
            Self::BetterAuth => better_auth(&mut record, &mut row)?,
        };
        if let Some(skip) = skip {
            return Ok(Err(skip));
        }
        common(&mut record, &mut row)?;
        for name in self.idle() {
            record.take(name);
        }
        for name in record.left() {
            if self == Self::Sha256 {
                return wrong(shown(name), no_such_column(name));
            }
            if idle.len() < 20 {
                idle.insert(shown(name).to_owned());
            }
        }
        Ok(Ok(row))
    }
}

fn no_such_column(name: &str) -> String {
    let near = COLUMNS.iter().min_by_key(|known| strsim::damerau_levenshtein(name, known));
    let near = near.filter(|known| strsim::damerau_levenshtein(name, known) <= 3);
    match near {
        Some(near) => format!("there is no column `{}`; did you mean `{near}`?", shown(name)),
        None => format!("there is no column `{}`; there are {}", shown(name), COLUMNS.join(", ")),
    }
}

fn sha256(record: &mut Record, row: &mut Map<String, Value>) -> Result<Option<Skip>, Wrong> {
    match record.take("digest").as_ref().and_then(Value::as_str).and_then(value::digest) {
        Some(Written::Sha256(digest)) => {
            row.insert("digest".into(), json!(digest));
            Ok(None)
        }
        Some(Written::Sha512) => Ok(Some(Skip::Sha512)),
        None => wrong("digest", "expected SHA-256, in 64 hexadecimal digits or in base64"),
    }
}

/// The key is there in plain: its digest is made at once, and goes on alone.
fn drf(record: &mut Record, row: &mut Map<String, Value>) -> Result<Option<Skip>, Wrong> {
    record.unwrap_fixture();
    if is_other_model(record, &["token", "tokenproxy"]) {
        return Ok(Some(Skip::OtherModel));
    }
    record.rename("pk", "key");
    let key = record.take("key");
    let key = key.as_ref().and_then(Value::as_str).unwrap_or_default();
    let own = key.len() == 40 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !own {
        return wrong(
            "key",
            "not one that authtoken makes, which has 40 hexadecimal digits; for keys of another \
             make, import their SHA-256 with --from sha256",
        );
    }
    row.insert("digest".into(), json!(Digest::of(key)));
    record.rename("user_id", "owner");
    record.rename("user", "owner");
    record.rename("created", "created_at");
    Ok(None)
}

fn knox(record: &mut Record, row: &mut Map<String, Value>) -> Result<Option<Skip>, Wrong> {
    record.unwrap_fixture();
    if is_other_model(record, &["authtoken"]) {
        return Ok(Some(Skip::OtherModel));
    }
    record.rename("pk", "digest");
    if let Some(skip) = sha256(record, row)? {
        return Ok(Some(skip));
    }
    let beginning = record.take("token_key");
    let beginning = beginning.as_ref().and_then(Value::as_str);
    // Until 4.x the first 8 characters were kept, and with a salt until 4.1.
    if record.take("salt").is_some() || beginning.is_some_and(|text| text.len() <= 8) {
        return Ok(Some(Skip::OldKnox));
    }
    if let Some(text) = beginning {
        row.insert("prefix".into(), beginning_of(text).into());
    }
    record.rename("user_id", "owner");
    record.rename("user", "owner");
    record.rename("created", "created_at");
    record.rename("expiry", "expires_at");
    record.rename("expires", "expires_at");
    Ok(None)
}

fn better_auth(record: &mut Record, row: &mut Map<String, Value>) -> Result<Option<Skip>, Wrong> {
    let key = record.take("key");
    let key = key.as_ref().and_then(Value::as_str).filter(|key| key.len() == 43);
    let Some(Written::Sha256(digest)) = key.and_then(value::digest) else {
        return wrong(
            "key",
            "expected SHA-256 in base64, as better-auth keeps it; where `disableKeyHashing` is \
             set the keys are in plain: import their SHA-256 with --from sha256",
        );
    };
    row.insert("digest".into(), json!(digest));
    if record.take("remaining").is_some() {
        return Ok(Some(Skip::LimitedUses));
    }
    // Both are what the key begins with: the longer tells more of whose it looks like.
    let beginnings = ["start", "prefix"].map(|name| record.take(name));
    let beginnings = beginnings.iter().flatten().filter_map(Value::as_str).map(beginning_of);
    if let Some(text) = beginnings.max_by_key(String::len) {
        row.insert("prefix".into(), text.into());
    }
    if let Some(enabled) = record.take("enabled") {
        match value::flag(&enabled) {
            Some(true) => {}
            Some(false) => {
                row.insert("state".into(), "paused".into());
            }
            None => return wrong("enabled", "expected true or false"),
        }
    }
    if let Some(permissions) = record.take("permissions") {
        row.insert("scopes".into(), permissions_as_scopes(permissions)?);
    }
    record.rename("referenceId", "owner");
    record.rename("userId", "owner");
    record.rename("id", "external_id");
    record.rename("ipAllowlist", "allowed_networks");
    Ok(None)
}

/// As much of a token's beginning as may be shown.
fn beginning_of(text: &str) -> String {
    text.chars().take(8).collect()
}

/// `{"files": ["read"]}` is the scope `files:read`.
fn permissions_as_scopes(permissions: Value) -> Result<Value, Wrong> {
    let expected = || wrong("permissions", "expected an object of lists, as better-auth keeps it");
    let Some(Value::Object(permissions)) = value::json(permissions) else { return expected() };
    let mut scopes = Vec::new();
    for (resource, actions) in permissions {
        let Some(actions) = value::list(&actions) else { return expected() };
        scopes
            .extend(actions.into_iter().map(|action| Value::from(format!("{resource}:{action}"))));
    }
    if scopes.is_empty() {
        return wrong("permissions", "a token that may do nothing; leave it out");
    }
    Ok(scopes.into())
}

fn is_other_model(record: &mut Record, models: &[&str]) -> bool {
    let model = record.take("model");
    let name = model.as_ref().and_then(Value::as_str);
    let name = name.and_then(|name| name.rsplit('.').next()).map(str::to_ascii_lowercase);
    name.is_some_and(|name| !models.contains(&&*name))
}

/// What every source may say, in columns of these names.
fn common(record: &mut Record, row: &mut Map<String, Value>) -> Result<(), Wrong> {
    let texts =
        ["owner", "organization", "name", "note", "role", "external_id", "prefix", "last_four"];
    for name in texts {
        let text = match record.take(name) {
            None => continue,
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            // What Django writes for a natural key of one part.
            Some(Value::Array(parts)) if parts.len() == 1 && parts[0].is_string() => {
                parts[0].as_str().unwrap_or_default().to_owned()
            }
            Some(_) => return wrong(name, "expected a text"),
        };
        row.entry(name).or_insert(text.into());
    }
    for name in ["scopes", "allowed_networks"] {
        if let Some(value) = record.take(name) {
            match value::list(&value) {
                Some(list) => row.entry(name).or_insert(list.into()),
                None => return wrong(name, "expected a list, or words with spaces between"),
            };
        }
    }
    for name in ["created_at", "expires_at"] {
        if let Some(value) = record.take(name) {
            match value::time(&value) {
                Some(time) => row.insert(name.into(), time.to_string().into()),
                None => return wrong(name, "expected a time, as in 2027-01-31T12:00:00Z"),
            };
        }
    }
    if let Some(metadata) = record.take("metadata") {
        match value::json(metadata) {
            Some(Value::Null) => {}
            Some(metadata @ Value::Object(_)) => {
                row.insert("metadata".into(), metadata);
            }
            _ => return wrong("metadata", "expected a JSON object"),
        }
    }
    if let Some(state) = record.take("state") {
        let state = state.as_str().map(|state| state.trim().to_ascii_lowercase());
        match state.as_deref() {
            // A source's own word is at most `paused`, and the stricter of two holds.
            Some("active") => {}
            Some(state @ ("paused" | "revoked")) => {
                row.insert("state".into(), state.into());
            }
            _ => return wrong("state", "expected active, paused or revoked"),
        }
    }
    Ok(())
}

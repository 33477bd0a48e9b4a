//! Answers, as they are written: what they say is borrowed from what was judged.

use super::slots::SlotView;
use crate::http::api::Moment;
use counterfoil_core::{
    Code,
    api::Api,
    error_format,
    id::{AccountId, OrganizationId, TokenId},
    scope::Scope,
    verify::Identity,
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use std::collections::BTreeMap;

/// What there is to say to a question.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Answer")]
pub(super) enum Verified<'a> {
    Active(Active<'a>),
    Refused(Refused<'a>),
}

// The answers to a batch.
#[derive(JsonSchema)]
#[schemars(rename = "Answers")]
pub(super) struct Several {
    #[expect(dead_code, reason = "they are written one by one; this describes them")]
    items: Vec<Verified<'static>>,
}

/// It may pass. What is null does not apply: nobody need be known on an anonymous route, and
/// behind an account's own password there is no token, role or end.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
#[expect(clippy::struct_field_names, reason = "the interface names it so")]
pub(super) struct Active<'a> {
    #[schemars(extend("const" = true))]
    active: bool,
    token: Option<TokenId>,
    account: Option<AccountId>,
    organization: Option<OrganizationId>,
    role: Option<&'a str>,
    #[schemars(with = "Vec<String>")]
    scopes: Scopes<'a>,
    expires_at: Option<Moment>,
    /// Only where a slot was asked for: null, where the API has no limit on requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SlotView>")]
    slot: Option<SlotTaken>,
}

/// What a question for a slot has got.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum SlotTaken {
    Slot(SlotView),
    /// The API has no limit on requests in flight.
    None,
}

/// It may not.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Refused<'a> {
    #[schemars(extend("const" = false))]
    active: bool,
    /// The true reason: for the service, not for its caller.
    #[schemars(extend("enum" = Code::ALL.map(Code::as_str)))]
    code: &'static str,
    refusal: RefusalView<'a>,
}

/// What the API would answer.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct RefusalView<'a> {
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// A value, or values where a header is repeated.
    #[schemars(with = "BTreeMap<String, super::question::OneOrMore<'static>>")]
    headers: Fields<'a>,
    body: &'a str,
}

impl<'a> Verified<'a> {
    pub(super) fn active(
        identity: Option<Identity<'a>>,
        api: &'a Api,
        slot: Option<SlotTaken>,
    ) -> Self {
        Self::Active(Active {
            active: true,
            token: identity.and_then(Identity::token),
            account: identity.map(Identity::account),
            organization: identity.map(Identity::organization),
            role: identity.and_then(|identity| identity.role(api)),
            scopes: Scopes(identity.map(|identity| (identity, api))),
            expires_at: identity.and_then(Identity::expires_at).map(Moment),
            slot,
        })
    }

    pub(super) fn refused(code: Code, answer: &'a error_format::Answer) -> Self {
        let headers = Fields(&answer.headers);
        let refusal = RefusalView { status: answer.status, headers, body: &answer.body };
        Self::Refused(Refused { active: false, code: code.as_str(), refusal })
    }
}

impl Verified<'_> {
    /// Writes it down. Most may pass: that is written by hand, as serde would write it.
    pub(super) fn write(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Active(active) => active.write(json),
            Self::Refused(_) => serde_json::to_writer(json, self),
        }
    }
}

impl Active<'_> {
    fn write(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        let place = &mut [0; 36];
        let Self { active, token, account, organization, role, scopes, expires_at, slot } = self;
        json.extend_from_slice(b"{\"active\":");
        json.extend_from_slice(if *active { b"true" } else { b"false" });
        json.extend_from_slice(b",\"token\":");
        write_plain(json, token.as_ref().map(|id| id.write_to(place)));
        json.extend_from_slice(b",\"account\":");
        write_plain(json, account.as_ref().map(|id| id.write_to(place)));
        json.extend_from_slice(b",\"organization\":");
        write_plain(json, organization.as_ref().map(|id| id.write_to(place)));
        json.extend_from_slice(b",\"role\":");
        match role {
            None => write_plain(json, None),
            Some(role) => serde_json::to_writer(&mut *json, role)?,
        }
        json.extend_from_slice(b",\"scopes\":[");
        for (at, scope) in scopes.held().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            write_plain(json, Some(scope.as_str()));
        }
        json.extend_from_slice(b"],\"expires_at\":");
        match expires_at {
            None => write_plain(json, None),
            Some(moment) => serde_json::to_writer(&mut *json, moment)?,
        }
        if let Some(slot) = slot {
            json.extend_from_slice(b",\"slot\":");
            serde_json::to_writer(&mut *json, slot)?;
        }
        json.push(b'}');
        Ok(())
    }
}

/// Writes a text that has nothing to escape, as ids and scopes have not.
fn write_plain(json: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            json.push(b'"');
            json.extend_from_slice(text.as_bytes());
            json.push(b'"');
        }
        None => json.extend_from_slice(b"null"),
    }
}

/// The scopes that somebody holds.
struct Scopes<'a>(Option<(Identity<'a>, &'a Api)>);

impl<'a> Scopes<'a> {
    fn held(&self) -> impl Iterator<Item = &'a Scope> {
        self.0.into_iter().flat_map(|(identity, api)| identity.scopes(api))
    }
}

impl Serialize for Scopes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.held().map(Scope::as_str))
    }
}

/// An answer's header fields. One that is repeated is a list, as in the question.
struct Fields<'a>(&'a [(&'static str, String)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            let is_same = |(other, _): &&(&str, String)| other == name;
            if self.0[..at].iter().any(|field| is_same(&field)) {
                continue;
            }
            let values: Vec<&str> =
                self.0[at..].iter().filter(is_same).map(|(_, value)| &**value).collect();
            match values[..] {
                [_] => map.serialize_entry(name, value)?,
                _ => map.serialize_entry(name, &values)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::{Timestamp, id::SlotId};
    use proptest::prelude::*;

    fn written(answer: &Verified<'_>) -> String {
        let mut json = Vec::new();
        answer.write(&mut json).unwrap();
        assert_eq!(String::from_utf8_lossy(&json), serde_json::to_string(answer).unwrap());
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn a_header_that_is_repeated_is_a_list() {
        let field = |name, value: &str| (name, value.to_owned());
        let headers = vec![field("a", "1"), field("b", "2"), field("a", "\"3"), field("c", "")];
        let answer = error_format::Answer { status: 401, headers, body: "{\"x\":1}".into() };
        let expected = "{\"active\":false,\"code\":\"expired\",\"refusal\":{\"status\":401,\
                        \"headers\":{\"a\":[\"1\",\"\\\"3\"],\"b\":\"2\",\"c\":\"\"},\
                        \"body\":\"{\\\"x\\\":1}\"}}";
        assert_eq!(written(&Verified::refused(Code::Expired, &answer)), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_by_hand_is_what_serde_writes(
            ids in prop::option::of(any::<([u8; 16], [u8; 16], [u8; 16])>()),
            role in prop::option::of("\\PC{0,9}|[\"\\\\\\n]{0,3}"),
            expires_at in prop::option::of(0..4_000_000_000_000i64),
            slot in prop::option::of(prop::option::of(any::<[u8; 16]>())),
        ) {
            let active = Active {
                active: true,
                token: ids.map(|ids| TokenId::from_bytes(ids.0)),
                account: ids.map(|ids| AccountId::from_bytes(ids.1)),
                organization: ids.map(|ids| OrganizationId::from_bytes(ids.2)),
                role: role.as_deref(),
                scopes: Scopes(None),
                expires_at: expires_at.map(|at| Moment(Timestamp::from_millis(at))),
                slot: slot.map(|slot| {
                    let expires_at = Moment(Timestamp::from_millis(1));
                    let view = |id| SlotView { id: SlotId::from_bytes(id), expires_at };
                    slot.map_or(SlotTaken::None, |id| SlotTaken::Slot(view(id)))
                }),
            };
            written(&Verified::Active(active));
        }
    }
}

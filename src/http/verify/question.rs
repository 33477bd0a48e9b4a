//! Questions: as they came, and each part as its type.

use super::slots::SlotSeconds;
use crate::http::{client_address, loggable::loggable, problem::Problem};
use counterfoil_core::{
    api::Api,
    credential::{Headers, Scheme},
    path::canonical,
    scope::Scope,
    time::Seconds,
};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr};

/// How many questions one batch may hold.
pub(super) const BATCH: usize = 1000;

/// How many questions there is room for before one is read.
const MANY: usize = 128;

/// How many header lines one question may hold.
const HEADERS: usize = 200;

/// How many fields a request mostly has.
const SOME: usize = 16;

/// The longest name of a header, in bytes.
const NAME: usize = (1 << 16) - 1;

/// A question: what arrived, or a secret alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Question", extend("examples" = [{
    "api": "finout",
    "headers": {"x-finout-client-id": "01890a5d-…", "x-finout-secret-key": "fin_live_…"},
    "method": "GET",
    "path": "/v1/costs",
    "client_address": "203.0.113.9",
}]))]
pub(crate) struct Asked<'a> {
    /// The API whose request it is, by its name in the configuration.
    #[serde(borrow)]
    pub(super) api: Text<'a>,
    /// The request's header fields: 200 lines at most. Or else `secret`.
    #[schemars(with = "Option<BTreeMap<String, OneOrMore<'static>>>")]
    #[serde(borrow)]
    headers: Option<Fields<'a>>,
    /// The secret alone. Or else `headers`.
    #[serde(borrow)]
    secret: Option<Text<'a>>,
    /// `GET`, where absent.
    #[serde(borrow)]
    method: Option<Text<'a>>,
    /// As the API's `routes` call it, without a mount; no route is looked for where it is absent.
    #[serde(borrow)]
    path: Option<Text<'a>>,
    /// Where the request came from, for tokens that are confined to networks.
    #[serde(borrow)]
    client_address: Option<Text<'a>>,
    /// One more scope that is needed.
    #[schemars(with = "Option<Scope>")]
    #[serde(borrow)]
    scope: Option<Text<'a>>,
    /// Whether the request takes one of the slots that its token has. The answer names it; it
    /// is given back with `DELETE /v1/slots/{id}`, or when its time is over.
    slot: Option<bool>,
    /// How long the slot lasts unless it is renewed: 30 seconds where absent.
    slot_seconds: Option<SlotSeconds>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Questions")]
pub(crate) struct Batch<'a> {
    #[schemars(length(max = BATCH))]
    #[serde(borrow, deserialize_with = "read_items")]
    pub(super) items: Vec<Asked<'a>>,
}

/// Reads questions into a list that has room for many from the start: to move them from
/// one to a larger one would cost more than to read them.
fn read_items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Asked<'de>>, D::Error> {
    struct Items;

    impl<'de> Visitor<'de> for Items {
        type Value = Vec<Asked<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::with_capacity(MANY);
            // One too many tells enough: what follows need not be kept.
            while items.len() <= BATCH
                && let Some(item) = list.next_element()?
            {
                items.push(item);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Items)
}

// A text, as it stands in the body where it has no escapes.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(text.into()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(text.to_owned().into()))
            }
        }

        deserializer.deserialize_str(Words)
    }
}

/// Header fields as they were written: a name that comes twice counts twice.
struct Fields<'a>(List<Field<'a>>);

/// A name, and its values.
pub(crate) type Field<'a> = (Text<'a>, OneOrMore<'a>);

/// Things of which there is mostly one.
enum List<T> {
    One(T),
    Any(Vec<T>),
}

impl<T> std::ops::Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Any(all) => all,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of header fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let Some(first) = map.next_entry()? else {
                    return Ok(Fields(List::Any(Vec::new())));
                };
                let Some(second) = map.next_entry()? else { return Ok(Fields(List::One(first))) };
                let mut fields = Vec::with_capacity(SOME);
                fields.extend([first, second]);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(List::Any(fields)))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A header's value, or its values where it was repeated.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
pub(crate) enum OneOrMore<'a> {
    One(Text<'a>),
    More(Vec<Text<'a>>),
}

impl<'a> OneOrMore<'a> {
    fn all(&self) -> &[Text<'a>] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for OneOrMore<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        impl<'de> Visitor<'de> for Values {
            type Value = OneOrMore<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<OneOrMore<'de>, E> {
                Ok(OneOrMore::One(Text(text.into())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMore<'de>, E> {
                Ok(OneOrMore::One(Text(text.to_owned().into())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<'de>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMore::More(values))
            }
        }

        deserializer.deserialize_any(Values)
    }
}

/// What was asked, each part as its type.
pub(crate) struct Read<'a> {
    pub(crate) shown: Shown<'a>,
    pub(crate) client: Option<IpAddr>,
    /// What is asked for besides the route's scope.
    pub(crate) scope: Option<Scope>,
    /// Canonical, without the query.
    pub(crate) path: Option<Cow<'a, str>>,
    pub(crate) method: &'a str,
    /// How long a slot is to last, where one is asked for.
    pub(crate) slot: Option<Seconds>,
}

/// What the request shows of whose it is.
pub(crate) enum Shown<'a> {
    /// Its header fields, all of which can be some.
    Fields(&'a [Field<'a>]),
    /// A secret alone: the header in which it would have come, and what would stand before it.
    Secret { name: &'a str, before: &'static str, secret: &'a str },
}

/// Header lines, made of what a request shows.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    fields: &'a [Field<'a>],
    alone: Option<(&'a str, &'a [u8])>,
}

impl Shown<'_> {
    /// As header lines. The one of a secret alone is put together in `line`.
    pub(crate) fn lines<'l>(&'l self, line: &'l mut Vec<u8>) -> Lines<'l> {
        match self {
            Self::Fields(fields) => Lines { fields, alone: None },
            Self::Secret { name, before, secret } => {
                line.clear();
                line.extend_from_slice(before.as_bytes());
                line.extend_from_slice(secret.as_bytes());
                Lines { fields: &[], alone: Some((name, line)) }
            }
        }
    }
}

#[cfg(feature = "fuzzing")]
impl Lines<'_> {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        count(self.fields) + self.alone.iter().len()
    }
}

impl Headers for Lines<'_> {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let fields = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        let values = fields.flat_map(|(_, values)| values.all()).map(|value| value.as_bytes());
        let alone = self.alone.filter(|(field, _)| *field == name).map(|(_, value)| value);
        values.chain(alone)
    }
}

impl Asked<'_> {
    pub(crate) fn read<'a>(&'a self, api: &'a Api) -> Result<Read<'a>, Problem> {
        let shown = self.shown(api)?;
        let client = match &self.client_address {
            Some(text) => Some(client_address::address(text).ok_or_else(|| {
                Problem::bad_request("client_address: that is no IP address")
                    .about("client_address")
            })?),
            None => None,
        };
        let scope =
            match &self.scope {
                Some(text) => Some(text.parse::<Scope>().map_err(|error| {
                    Problem::bad_request(format!("scope: {error}")).about("scope")
                })?),
                None => None,
            };
        let path = match &self.path {
            Some(path) => {
                let path = path.split('?').next().unwrap_or_default();
                Some(canonical(path).map_err(|error| {
                    Problem::bad_request(format!("path: {error}")).about("path")
                })?)
            }
            None => None,
        };
        let method = self.method.as_deref().unwrap_or("GET");
        let slot = match (self.slot.unwrap_or(false), &self.slot_seconds) {
            (false, Some(_)) => {
                let detail = "slot_seconds: there is no slot to last without `\"slot\": true`";
                return Err(Problem::bad_request(detail).about("slot_seconds"));
            }
            (false, None) => None,
            (true, seconds) => Some(SlotSeconds::span(*seconds)),
        };
        Ok(Read { shown, client, scope, path, method, slot })
    }

    fn shown<'a>(&'a self, api: &'a Api) -> Result<Shown<'a>, Problem> {
        let wrong = |detail: String| Problem::bad_request(detail).about("headers");
        match (&self.headers, &self.secret) {
            (Some(Fields(fields)), None) => {
                if count(fields) > HEADERS {
                    return Err(wrong(format!("headers: at most {HEADERS} header lines")));
                }
                for (name, values) in &**fields {
                    if !is_name(name) {
                        let name = loggable(name);
                        return Err(wrong(format!("headers: {name} cannot be a header's name")));
                    }
                    if !values.all().iter().all(|value| is_value(value)) {
                        let name = loggable(name);
                        return Err(wrong(format!("headers: the value of {name} cannot be one")));
                    }
                }
                Ok(Shown::Fields(fields))
            }
            (None, Some(secret)) => alone(api, secret),
            _ => Err(wrong("give headers or secret, one of the two".into())),
        }
    }
}

fn count(fields: &[Field<'_>]) -> usize {
    fields.iter().map(|(_, values)| values.all().len()).sum()
}

/// What a secret alone would have come in.
fn alone<'a>(api: &'a Api, secret: &'a str) -> Result<Shown<'a>, Problem> {
    let schemes = &api.schemes;
    let accepts = |scheme| schemes.accepted.contains(&scheme);
    let (name, before) = if accepts(Scheme::Bearer) {
        ("authorization", "Bearer ")
    } else if accepts(Scheme::Token) {
        ("authorization", "Token ")
    } else {
        match &schemes.header {
            Some(name) if accepts(Scheme::Header) => (name.as_str(), ""),
            _ => {
                let detail = "secret: a secret alone proves nothing to this API; give the headers";
                return Err(Problem::bad_request(detail).about("secret"));
            }
        }
    };
    // What cannot stand in a header cannot be a credential: nor can two words.
    let secret = if is_value(secret) { secret } else { "? ?" };
    Ok(Shown::Secret { name, before, secret })
}

/// Whether a header can be called so (RFC 9110 §5.1).
fn is_name(text: &str) -> bool {
    (1..=NAME).contains(&text.len()) && is_all(text, NAMES)
}

/// Whether a header can have this value (RFC 9110 §5.5).
fn is_value(text: &str) -> bool {
    is_all(text, VALUES)
}

/// Whether each byte has its place in this class. All are looked at, without a branch:
/// nearly always each has.
fn is_all(text: &str, class: u8) -> bool {
    text.bytes().fold(class, |all, byte| all & CLASSES[usize::from(byte)]) != 0
}

/// What may stand in a header's name.
const NAMES: u8 = 1;
/// What may stand in its value.
const VALUES: u8 = 2;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    loop {
        classes[byte as usize] = match byte {
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' => {
                NAMES | VALUES
            }
            _ if byte.is_ascii_alphanumeric() => NAMES | VALUES,
            b'\t' | b' '..=b'~' | 0x80.. => VALUES,
            _ => 0,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

#[cfg(test)]
mod tests;

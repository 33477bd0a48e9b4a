//! What is borrowed and judged where it stands is what would be copied into a header map.

use super::*;
use crate::http::extract::read_json;
use counterfoil_core::{
    api::{Issuers, TokenPolicy},
    credential::{self, Malformed, Schemes},
    error_format::ErrorFormat,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

/// A question, all of it copied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copied {
    api: String,
    headers: Option<CopiedFields>,
    secret: Option<String>,
    method: Option<String>,
    path: Option<String>,
    client_address: Option<String>,
    scope: Option<String>,
    slot: Option<bool>,
    slot_seconds: Option<SlotSeconds>,
}

#[derive(Debug)]
struct CopiedFields(Vec<(String, Values)>);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    More(Vec<String>),
}

impl<'de> Deserialize<'de> for CopiedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = CopiedFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of header fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CopiedFields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(CopiedFields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

type Found = Result<Option<(Scheme, String)>, Malformed>;

fn found(schemes: &Schemes, headers: &impl Headers) -> Found {
    let found = credential::read(schemes, headers)?;
    Ok(found.map(|credential| (credential.scheme(), credential.secret().to_owned())))
}

struct Arrived(HeaderMap);

impl Headers for Arrived {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.0.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

impl Copied {
    /// The header fields as they would have arrived; none where they could not have.
    fn arrived(&self, schemes: &Schemes) -> Option<Arrived> {
        let mut map = HeaderMap::new();
        match (&self.headers, &self.secret) {
            (Some(CopiedFields(fields)), None) => {
                for (name, values) in fields {
                    let name = HeaderName::try_from(name).ok()?;
                    let values = match values {
                        Values::One(value) => std::slice::from_ref(value),
                        Values::More(values) => values,
                    };
                    for value in values {
                        map.append(name.clone(), HeaderValue::try_from(value).ok()?);
                    }
                }
                (map.len() <= HEADERS).then_some(Arrived(map))
            }
            (None, Some(secret)) => {
                let (name, before) = match schemes.accepted[..] {
                    [Scheme::Bearer, ..] => ("authorization", "Bearer "),
                    [Scheme::Token, ..] => ("authorization", "Token "),
                    [Scheme::Header, ..] => ("x-api-key", ""),
                    _ => return None,
                };
                let value = HeaderValue::try_from(format!("{before}{secret}"));
                let value = value.or_else(|_| HeaderValue::try_from(format!("{before}? ?")));
                map.insert(name, value.unwrap());
                Some(Arrived(map))
            }
            _ => None,
        }
    }
}

fn api(accepted: &[Scheme]) -> Api {
    Api {
        name: "orders".into(),
        schemes: Schemes {
            accepted: accepted.to_vec(),
            header: Some("x-api-key".into()),
            header_pair: Some(["x-id".into(), "x-secret".into()]),
            exact_token_keyword: false,
        },
        errors: ErrorFormat::Problem,
        realm: "orders".into(),
        routes: Vec::new(),
        scopes: Vec::new(),
        roles: Vec::new(),
        issuers: Issuers::Members,
        tokens: TokenPolicy {
            prefix: "orders".to_owned().try_into().unwrap(),
            default_lifetime: None,
            max_lifetime: None,
            never: true,
        },
        access_tokens: None,
        limits: counterfoil_core::limit::Limits::default(),
    }
}

/// Holds one reading against the other.
fn agree(body: &str, api: &Api) {
    let copied: Result<Copied, _> = read_json(body.as_bytes());
    let asked: Result<Asked<'_>, _> = read_json(body.as_bytes());
    let (copied, asked) = match (copied, asked) {
        (Ok(copied), Ok(asked)) => (copied, asked),
        (Err(copied), Err(asked)) => {
            assert_eq!((copied.status, copied.code), (asked.status, asked.code), "{body}");
            // What a header's value may be is said better than by a list of variants.
            if !copied.detail.contains("untagged") {
                assert_eq!(copied, asked, "{body}");
            }
            return;
        }
        (copied, asked) => panic!("{body}: {copied:?}, {:?}", asked.err()),
    };
    for (text, copy) in [
        (Some(&asked.api), Some(&copied.api)),
        (asked.secret.as_ref(), copied.secret.as_ref()),
        (asked.method.as_ref(), copied.method.as_ref()),
        (asked.path.as_ref(), copied.path.as_ref()),
        (asked.client_address.as_ref(), copied.client_address.as_ref()),
        (asked.scope.as_ref(), copied.scope.as_ref()),
    ] {
        assert_eq!(text.map(|text| &**text), copy.map(String::as_str), "{body}");
    }
    assert_eq!(asked.slot, copied.slot, "{body}");
    assert_eq!(asked.slot_seconds, copied.slot_seconds, "{body}");
    let shown = asked.shown(api);
    let arrived = copied.arrived(&api.schemes);
    match (&shown, &arrived) {
        (Ok(shown), Some(arrived)) => {
            let mut line = b"what was there before".to_vec();
            let lines = shown.lines(&mut line);
            assert_eq!(found(&api.schemes, &lines), found(&api.schemes, arrived), "{body}");
            for name in ["user-agent", "x-request-id", "x-other"] {
                assert!(lines.values(name).eq(arrived.values(name)), "{body}");
            }
        }
        (Err(_), None) => {}
        _ => panic!("{body}: {:?}, {}", shown.err(), arrived.is_some()),
    }
}

/// Texts as JSON has them, with escapes and without.
fn text() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        "[ -~é\\x00-\\x1f]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        r#""(Bearer|Basic|token) [A-Za-z0-9_=]{0,9}""#,
    ];
    prop_oneof![
        4 => plain,
        1 => Just(r#""\u0041b\n\"\ud83d\ude00""#.to_owned()),
        1 => Just(r#""\ud83d""#.to_owned()),
    ]
}

/// Anything that may stand where a text is expected.
fn value() -> impl Strategy<Value = String> {
    let list =
        prop::collection::vec(text(), 0..3).prop_map(|texts| format!("[{}]", texts.join(",")));
    let odd =
        prop::sample::select(vec!["null", "7", "-1.5e3", "true", "{}", r#"{"a":1}"#, "[[1]]"]);
    prop_oneof![6 => text(), 2 => list, 1 => odd.prop_map(str::to_owned)]
}

fn headers() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "Authorization", "authorization", "x-api-key", "X-Id", "x-secret", "User-Agent",
            "x-request-id", "x-other", "\\u0078-id", "", "a b", "x:", "é",
        ]).prop_map(|name| format!("\"{name}\"")),
        1 => text(),
    ];
    let field = (name, value()).prop_map(|(name, value)| format!("{name}: {value}"));
    prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(", ")))
}

fn body() -> impl Strategy<Value = String> {
    let names = [
        "api",
        "headers",
        "secret",
        "method",
        "path",
        "client_address",
        "scope",
        "slot",
        "slot_seconds",
        "scpoe",
        "\\u0061pi",
    ];
    let field = (prop::sample::select(names.to_vec()), value())
        .prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let shown = prop_oneof![
        4 => headers().prop_map(|headers| vec![format!("\"headers\":{headers}")]),
        2 => text().prop_map(|secret| vec![format!("\"secret\":{secret}")]),
        1 => Just(Vec::new()),
    ];
    let more = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(field, 0..3)];
    let end = prop_oneof![9 => Just("}"), 1 => Just(""), 1 => Just("} x")];
    (text(), shown, more, end).prop_map(|(api, shown, more, end)| {
        let fields = [vec![format!("\"api\": {api}")], shown, more].concat();
        format!("{{{}{end}", fields.join(","))
    })
}

fn schemes() -> impl Strategy<Value = Api> {
    let accepted = [
        &[Scheme::Bearer][..],
        &[Scheme::Token, Scheme::HeaderPair],
        &[Scheme::Header],
        &[Scheme::HeaderPair],
        &[Scheme::Basic],
        &[Scheme::Bearer, Scheme::Basic, Scheme::Header, Scheme::HeaderPair],
    ];
    prop::sample::select(accepted.to_vec()).prop_map(api)
}

#[test]
fn so_many_lines_and_no_more() {
    for (fields, lines) in [(1, 200), (200, 1), (2, 101), (201, 1), (1, 201)] {
        let values = vec!["v"; lines];
        let fields: Vec<String> =
            (0..fields).map(|n| format!("\"n{n}\":{}", serde_json::json!(values))).collect();
        let body = format!(r#"{{"api":"orders","headers":{{{}}}}}"#, fields.join(","));
        agree(&body, &api(&[Scheme::Bearer]));
    }
}

#[test]
fn long_names_are_names() {
    for length in [64, 65, NAME, NAME + 1] {
        let name = "a".repeat(length);
        assert_eq!(is_name(&name), HeaderName::try_from(&name).is_ok(), "{length}");
    }
}

proptest! {
    #[test]
    fn both_readings_agree(body in body(), api in schemes()) {
        agree(&body, &api);
    }

    #[test]
    fn both_readings_agree_on_anything(
        body in r#"(\{|\}|\[|\]|:|,|"api"|"headers"|"x"|null|7| ){0,12}"#,
    ) {
        agree(&body, &api(&[Scheme::Bearer]));
    }

    #[test]
    fn names_and_values_are_those_of_the_library(text in "([ -~]|\\PC|[\\x00-\\x1f\\x7f]){0,9}") {
        prop_assert_eq!(is_name(&text), HeaderName::try_from(&text).is_ok());
        prop_assert_eq!(is_value(&text), HeaderValue::try_from(&text).is_ok());
    }
}

//! What the management API takes in, and what of it is logged.

use crate::{
    input::{Fields, choice, chosen, could_be_secret, seeds, text},
    ledger,
    scene::{self, NOW, prepared},
};
use counterfoil::fuzzing::{self, Said};
use counterfoil_core::{
    Timestamp,
    credential::{self, Scheme},
    ledger::{Actor, Change},
    path,
    token::Grant,
};
use http::{HeaderMap, HeaderName, Uri};
use serde_json::{Map, Value};

/// Stands in seeds for what must not be repeated.
const HUSH: &str = "hunter2";

/// Which body, then the body.
pub(crate) fn body(input: &[u8]) {
    let (which, body) = choice(input);
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match fuzzing::body(which, body) {
        Ok(()) => assert!(value.is_some_and(|value| value.is_object())),
        Err(said) => check_said(&said, value.as_ref()),
    }
}

/// What holds of every problem: it is JSON, says something, and repeats no secret.
fn check_said(said: &Said, asked: Option<&Value>) {
    assert!((400..500).contains(&said.status));
    assert!(!said.detail.trim().is_empty());
    let body: Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!(body["detail"], said.detail.as_str());
    assert_eq!(body["field"].as_str(), said.field.as_deref());
    assert!(!could_be_secret(&said.detail), "{}", said.detail);
    assert!(!said.detail.contains(char::is_control), "{:?}", said.detail);
    // The name of a field may be repeated, a value never. What is no JSON has neither.
    if said.detail.contains(HUSH) {
        assert!(asked.is_none_or(names_it), "{}", said.detail);
    }
}

fn names_it(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(HUSH) || names_it(value))
        }
        Value::Array(items) => items.iter().any(names_it),
        _ => false,
    }
}

pub(crate) fn body_seeds() -> Vec<Vec<u8>> {
    let id = scene::token().id;
    let bodies = [
        (
            0,
            r#"{"api":"orders","organization":"ID","name":"hunter2","note":"n","owner":"ada@example.com","role":"viewer","expires_at":"2027-01-31T12:00:00Z","allowed_networks":["10.0.0.0/8"]}"#,
        ),
        (
            0,
            r#"{"api":"orders","scopes":["costs:read"],"expires_in":"90d","external_id":"x","metadata":{"a":[1,2.5,null]}}"#,
        ),
        (1, r#"{"state":"paused"}"#),
        (
            1,
            r#"{"name":"hunter2","expires_in":3600,"external_id":null,"metadata":null,"expires_at":null}"#,
        ),
        (2, r#"{"overlap":"24h"}"#),
        (3, r#"{"reason":"hunter2"}"#),
        (4, r#"{"email":"ada@example.com","organization":"Acme","password":"hunter2 hunter2"}"#),
        (5, r#"{"kind":"service","email":null,"name":"ci","organization":"ID","rank":"member"}"#),
        (6, r#"{"state":"disabled"}"#),
        (7, r#"{"password":"hunter2"}"#),
        (8, r#"{"name":"Acme"}"#),
        (9, r#"{"state":"closed"}"#),
        (10, r#"{"organization":"ID","account":"ada@example.com","rank":"administrator"}"#),
        (
            11,
            r#"{"api":"orders","headers":{"authorization":"Bearer hunter2","x-a":["1","2"]},"method":"GET","path":"/v1","client_address":"10.0.0.1","scope":"read"}"#,
        ),
        (12, r#"{"items":[{"api":"orders","secret":"hunter2"},{"api":"a","headers":{}}]}"#),
        (13, r#"{"secrets":["hunter2","x"]}"#),
        (
            14,
            r#"{"api":"orders","from":"sha256","entropy_bits":128,"owner":"ada@example.com","expires_in":"90d","dry_run":true}"#,
        ),
        (
            15,
            r#"{"line":2,"digest":"00","owner":"ada@example.com","name":"hunter2","created_at":"2027-01-31T12:00:00Z"}"#,
        ),
        (7, r#"["hunter2"]"#),
        (7, r#"{"pass\u0077ord":31337}"#),
    ];
    chosen(bodies.map(|(which, body)| (which, body.replace("ID", &id.to_string()))))
}

/// Which query string, then the query string.
pub(crate) fn query(input: &[u8]) {
    let (which, query) = choice(input);
    let Ok(uri) = format!("/?{}", text(query)).parse::<Uri>() else { return };
    if let Err(said) = fuzzing::query(which, &uri) {
        assert!((400..500).contains(&said.status));
        assert!(said.detail.len() > "query string: ".len());
        assert!(!could_be_secret(&said.detail), "{}", said.detail);
        assert!(!said.detail.contains(char::is_control), "{:?}", said.detail);
    }
}

pub(crate) fn query_seeds() -> Vec<Vec<u8>> {
    let id = scene::token().id;
    let secret = scene::secret();
    chosen([
        (0, format!("api=orders&organization={id}&owner=ada%40example.com&state=active&limit=5")),
        (0, format!("external_id=x+y&cursor={id}")),
        (1, format!("cursor={id}&limit=4294967295")),
        (2, "name=Acme%20%26+Co&limit=0".into()),
        (3, format!("organization={id}&account=ada@example.com&cursor={id}.{id}")),
        (4, format!("organization={id}&account={id}")),
        (5, format!("after=7&subject={id}&organization={id}&limit=3")),
        (
            6,
            format!(
                "token={id}&from=2027-01-31T12:00:00Z&to=2027-02-01T00:00:00Z&cursor={id}.1.admitted"
            ),
        ),
        (7, "days=30".into()),
        (8, "after=18446744073709551615".into()),
        (9, "wait=false".into()),
        (
            0,
            format!("unused_days=90&expires_before=2027-01-31T12:00:00Z&digest={}", "0".repeat(64)),
        ),
        (0, format!("state={}", secret.reveal())),
        (0, format!("{}=1", secret.reveal())),
    ])
}

/// A change to a token. What is accepted is sound, and the ledger can keep it.
pub(crate) fn change(input: &[u8]) {
    let (bits, body) = choice(input);
    let api = prepared(bits, 0);
    let token = match fuzzing::change(api, scene::token(), NOW, body) {
        Ok(Some(token)) => token,
        Ok(None) => return,
        Err(said) => {
            assert!((400..500).contains(&said.status) && !said.detail.is_empty());
            let answered: Value = serde_json::from_str(&said.body).unwrap();
            assert!(answered.is_object());
            return;
        }
    };
    assert!(!token.name.trim().is_empty() && !token.name.contains(char::is_control));
    assert!(!token.note.contains(|c: char| c.is_control() && c != '\n'));
    assert!(token.expires_at.is_none_or(|end| NOW < end && end <= Timestamp::MAX));
    assert!(token.metadata.as_ref().is_none_or(Value::is_object));
    match &token.grant {
        Grant::Any => panic!("this API has scopes"),
        Grant::Role(name) => assert!(api.role(name).is_some()),
        Grant::Scopes(scopes) => {
            assert!(!scopes.is_empty() && api.scopes_of(&token.grant).count() == scopes.len());
        }
    }
    ledger::is_kept_whole(NOW, Actor::Operator, &Change::TokenIssued(Box::new(token)));
}

pub(crate) fn change_seeds() -> Vec<Vec<u8>> {
    let nested = format!("{{\"metadata\":{{\"a\":{}{}}}}}", "[".repeat(120), "]".repeat(120));
    chosen([
        (1, r#"{"name":" a ","note":"b\r\n\tc"}"#),
        (1, r#"{"role":"viewer","expires_in":"90d"}"#),
        (1, r#"{"scopes":["read","costs:write","read"],"expires_at":"2127-01-31T12:00:00Z"}"#),
        (1, r#"{"expires_at":null,"allowed_networks":["10.0.0.0/8","::1","::ffff:10.0.0.0/104"]}"#),
        (
            1,
            r#"{"external_id":"x","metadata":{"a":[1,-2.5e-7,null,true,"b"],"c":{"d":1.7976931348623157e308}}}"#,
        ),
        (
            1,
            r#"{"metadata":{"a":0.1234567890123456789,"b":18446744073709551616,"c":5e-324,"d":-0.0}}"#,
        ),
        (1, r#"{"external_id":null,"metadata":null}"#),
        (1, r#"{"state":"paused"}"#),
        (1, &nested),
    ])
}

/// Which schemes the API accepts, then a question about it.
pub(crate) fn question(input: &[u8]) {
    let (bits, body) = choice(input);
    let api = prepared(bits, 0);
    let asked: Option<Value> = serde_json::from_slice(body).ok();
    let read = match fuzzing::question(api, body) {
        Ok(read) => read,
        Err(said) => return check_said(&said, asked.as_ref()),
    };
    if let Some(path) = &read.path {
        assert_eq!(path::canonical(path).as_deref(), Ok(&**path));
    }
    assert!(read.client.is_none_or(|client| client == client.to_canonical()));
    assert!(read.lines <= 200);
    let asked = asked.unwrap();
    if let Some(fields) = asked["headers"].as_object() {
        // The server finds in the text what it would find had the fields arrived.
        let fields = arrived(fields);
        // A name that came twice is here once.
        if fields.len() == read.lines {
            let fields = Fields(&fields);
            let found = credential::read(&api.schemes, &fields);
            let found = found.map(|found| found.map(|c| (c.scheme(), c.secret().to_owned())));
            assert_eq!(found, read.found);
        }
    }
    if let (Ok(Some((scheme, found))), Some(secret)) = (read.found, asked["secret"].as_str()) {
        assert_eq!(found, secret.trim_ascii());
        assert!(matches!(scheme, Scheme::Bearer | Scheme::Token | Scheme::Header));
    }
}

/// Header fields as they arrive, from those of a question that was read.
fn arrived(fields: &Map<String, Value>) -> HeaderMap {
    let mut arrived = HeaderMap::new();
    for (name, values) in fields {
        let name: HeaderName = name.parse().unwrap();
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        for value in values {
            arrived.append(name.clone(), value.as_str().unwrap().parse().unwrap());
        }
    }
    arrived
}

pub(crate) fn question_seeds() -> Vec<Vec<u8>> {
    let secret = scene::secret();
    let alone = format!(r#"{{"api":"orders","secret":"{}"}}"#, secret.reveal());
    let fields = format!(
        r#"{{"api":"orders","headers":{{"Authorization":"Bearer {}"}},"path":"/v1/costs?x=1","method":"POST"}}"#,
        secret.reveal()
    );
    chosen([
        (0x02, alone.as_str()),
        (0x04, &alone),
        (0x08, &alone),
        (0x01, &alone),
        (0x1f, &fields),
        (
            0x1f,
            r#"{"api":"orders","headers":{"x-api-key":["hunter2","b"]},"client_address":"[::ffff:10.0.0.1]:80"}"#,
        ),
        (0x1f, r#"{"api":"orders","headers":{},"scope":"costs:read","path":"/%63osts/../x"}"#),
        (0x02, r#"{"api":"orders","secret":"hunter2\u0000"}"#),
    ])
}

pub(crate) fn loggable(input: &[u8]) {
    let text = text(input);
    let shown = fuzzing::loggable(&text);
    assert!(!could_be_secret(&shown), "{shown}");
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(shown.len() < 250, "{} bytes", shown.len());
    // What hides nothing and is short is left alone.
    if text.len() < 200 && !could_be_secret(&text) && !text.contains(char::is_control) {
        assert_eq!(shown, text);
    }
}

pub(crate) fn loggable_seeds() -> Vec<Vec<u8>> {
    let secret = scene::secret();
    seeds([
        "/v1/tables/".to_owned(),
        format!("/x/{}/y", secret.reveal()),
        format!("unknown field `{}`, expected `a`", secret.reveal()),
        "a\nb\u{1b}[0m\u{85}".to_owned(),
        "/ab".repeat(80),
        "x".repeat(19) + "-" + &"y".repeat(19),
    ])
}

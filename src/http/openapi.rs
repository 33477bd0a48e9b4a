//! `/openapi.json`: what all calls take and answer (OpenAPI 3.1).

use super::{
    api,
    calls::{Answers, Calls, Operation, Schemas, Takes, get, problems},
    leaks, oauth, status, verify,
};
use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header, request::Parts};
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};
use std::{convert::Infallible, fmt::Write as _, sync::LazyLock};

const ABOUT: &str = "\
Issues, changes and revokes API tokens, and answers whether a request may pass.

JSON in `snake_case`, times in RFC 3339 and UTC, ids UUIDs. Lists are continued with \
`cursor`, which is the `next_cursor` of the part before. A field that is not known is an \
error, and whatever is answered with an error has changed nothing, but perhaps where its \
code is `outcome_unknown`. Every answer has an \
`X-Request-Id` of its own. A method that a path does not take is answered with 405 and \
those that it does take.

On the server's listener a caller shows a token of the API `counterfoil` and acts in its \
organization, with its scopes and its owner's rank. On the operator's socket nothing need \
be shown and everything may be done; reports of leaks, the server's health and OAuth are not \
there.";

pub(crate) fn calls() -> Calls {
    let call = get("/openapi.json", "describe")
        .does("This description")
        .about("It changes with the version of the program alone.");
    Calls::new().on(call, describe)
}

async fn describe(known: Known) -> Description {
    Description { is_known: known.0 }
}

/// The description as it is served, and its `ETag`.
static PAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let page = written();
    let mut etag = String::from("\"");
    for byte in &Sha256::digest(&page)[..16] {
        // Writing to a text cannot fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    (page, etag)
});

/// Whether the caller has the description already (RFC 9110 §13.1.2).
struct Known(bool);

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let tags = parts.headers.get_all(header::IF_NONE_MATCH).into_iter();
        let mut tags = tags.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        let is_ours = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == PAGE.1;
        Ok(Self(tags.any(|tag| is_ours(tag.trim()))))
    }
}

impl Takes for Known {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({"type": "string", "description": "The `ETag` of the one you have."});
        operation.takes("header", "If-None-Match", schema, false);
    }
}

struct Description {
    is_known: bool,
}

impl IntoResponse for Description {
    fn into_response(self) -> Response {
        let (page, etag) = &*PAGE;
        let headers = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, "no-cache")];
        if self.is_known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(header::CONTENT_TYPE, "application/json")], page.as_str()).into_response()
    }
}

impl Answers for Description {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({"type": "object"});
        operation.answers(StatusCode::OK, "OpenAPI 3.1.", Some(("application/json", schema)));
        operation.answers(StatusCode::NOT_MODIFIED, "You have it.", None);
    }
}

/// The whole description: pretty, and in the order in which calls are registered.
fn written() -> String {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    let mut tags = Vec::new();
    let described = [
        api::calls().described(),
        leaks::calls().described(),
        verify::calls().described(),
        oauth::exchange_calls().described(),
        oauth::calls().described(),
        api::access_tokens::calls().described(),
        api::denials::calls().described(),
        status::calls().described(),
        calls().described(),
    ];
    for (call, describe) in described.into_iter().flatten() {
        let mut operation = Operation::new(call, &mut schemas);
        describe(&mut operation);
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        path[call.method] = operation.written();
        let tag = json!({"name": call.subject()});
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let mut definitions = schemas.definitions();
    definitions.insert("Problem".into(), problems::schema());
    definitions.sort_keys();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Counterfoil",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": problems::responses(),
            "headers": {"RequestId": {
                "description": "What this answer is called, for `counterfoil why` and for the logs.",
                "required": true,
                "schema": {"type": "string", "format": "uuid"},
            }},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the API `counterfoil`. The operator's socket asks for none.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of an API that has access tokens, or such an access token.",
                },
                "client": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "A token's id and its secret, each encoded as in a form first (RFC 6749 §2.3.1).",
                },
            },
        },
    });
    // What is made of texts and numbers alone is written without fail.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_reference_is_current() {
        crate::generated_page::check("openapi.json", &PAGE.0);
    }

    #[test]
    fn everything_has_a_name_of_its_own_and_is_there() {
        let document: Value = serde_json::from_str(&PAGE.0).unwrap();
        let (mut names, mut count) = (BTreeSet::new(), 0);
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} twice");
                count += 1;
                assert_ne!(operation["summary"], "", "{method} {path}");
            }
        }
        // What a link leads to is a call.
        collect("operationId", &document, &mut names);
        assert_eq!(names.len(), count, "{names:?}");
        let mut referred = BTreeSet::new();
        collect("$ref", &document, &mut referred);
        for reference in referred {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    fn collect(key: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get(key).and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| collect(key, field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(key, item, found)),
            _ => {}
        }
    }
}

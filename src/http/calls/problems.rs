//! Problems as the description has them: for each status what it means, and its codes.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// Problems of one status.
struct Kind {
    status: StatusCode,
    /// What the description calls them.
    name: &'static str,
    about: &'static str,
    codes: &'static [&'static str],
}

/// Every problem that the management API answers with.
const KINDS: &[Kind] = &[
    Kind {
        status: StatusCode::BAD_REQUEST,
        name: "BadRequest",
        about: "Something about the request is wrong; `field` says which part, where it is one.",
        codes: &["invalid_request", "invalid_json"],
    },
    Kind {
        status: StatusCode::UNAUTHORIZED,
        name: "Unauthorized",
        about: "No token was shown, or none that is good here.",
        codes: &["missing_credential", "malformed_credential", "unknown_token"],
    },
    Kind {
        status: StatusCode::FORBIDDEN,
        name: "Forbidden",
        about: "The caller may not do this, or not from there.",
        codes: &["forbidden", "network_not_allowed"],
    },
    Kind {
        status: StatusCode::NOT_FOUND,
        name: "NotFound",
        about: "It does not exist, or not for this caller.",
        codes: &["not_found", "unknown_api", "no_access_tokens"],
    },
    Kind {
        status: StatusCode::METHOD_NOT_ALLOWED,
        name: "MethodNotAllowed",
        about: "There is something at this path, but not for this method; `Allow` has those that \
                there are.",
        codes: &["method_not_allowed"],
    },
    Kind {
        status: StatusCode::REQUEST_TIMEOUT,
        name: "RequestTimeout",
        about: "The body took more than 20 seconds to arrive.",
        codes: &["body_too_slow"],
    },
    Kind {
        status: StatusCode::CONFLICT,
        name: "Conflict",
        about: "It cannot be done as things are; nothing was changed.",
        codes: &["conflict"],
    },
    Kind {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        name: "PayloadTooLarge",
        about: "The body, or a line of it, is larger than the call takes: 1 MiB in all, unless the \
                call says otherwise.",
        codes: &["body_too_large"],
    },
    Kind {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        name: "KeyReused",
        about: "The `Idempotency-Key` was used for another request.",
        codes: &["idempotency_key_reused"],
    },
    Kind {
        status: StatusCode::TOO_MANY_REQUESTS,
        name: "TooManyRequests",
        about: "Too often; `Retry-After` says how many seconds to wait.",
        codes: &["rate_limited"],
    },
    Kind {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        name: "HeadTooLarge",
        about: "The request's head is larger than 64 KiB; `field` says which part is largest.",
        codes: &["head_too_large"],
    },
    Kind {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        name: "Internal",
        about: "A mistake of ours.",
        codes: &["internal"],
    },
    Kind {
        status: StatusCode::SERVICE_UNAVAILABLE,
        name: "ServiceUnavailable",
        about: "Not now; later it may work. With `outcome_unknown` it may have been done: look. With \
                `older_nodes` it will work once all nodes are of one version.",
        codes: &["node_stale", "busy", "unavailable", "outcome_unknown", "older_nodes"],
    },
];

/// Whether a problem is one of those that are described.
pub(crate) fn is_described(status: StatusCode, code: &str) -> bool {
    KINDS.iter().any(|kind| kind.status == status && kind.codes.contains(&code))
}

/// Refers to the problems of one status.
pub(super) fn reference(status: StatusCode) -> Value {
    let name = KINDS.iter().find(|kind| kind.status == status).map_or("Undescribed", |k| k.name);
    json!({"$ref": format!("#/components/responses/{name}")})
}

/// What every answer has.
pub(super) fn headers() -> Value {
    json!({"X-Request-Id": {"$ref": "#/components/headers/RequestId"}})
}

/// Response Objects, by their names.
pub(crate) fn responses() -> Map<String, Value> {
    let response = |kind: &Kind| {
        let mut headers = headers();
        match kind.status {
            StatusCode::UNAUTHORIZED => {
                headers["WWW-Authenticate"] = header("How to show a token (RFC 6750).");
            }
            StatusCode::METHOD_NOT_ALLOWED => headers["Allow"] = header("The methods there are."),
            StatusCode::TOO_MANY_REQUESTS => headers["Retry-After"] = header("In seconds."),
            _ => {}
        }
        let narrowed = json!({"properties": {
            "status": {"const": kind.status.as_u16()},
            "code": {"enum": kind.codes},
        }});
        let schema = json!({"allOf": [{"$ref": "#/components/schemas/Problem"}, narrowed]});
        let response = json!({
            "description": kind.about,
            "headers": headers,
            "content": {"application/problem+json": {"schema": schema}},
        });
        (kind.name.to_owned(), response)
    };
    KINDS.iter().map(response).collect()
}

fn header(about: &str) -> Value {
    json!({"description": about, "required": true, "schema": {"type": "string"}})
}

/// What all problems have (RFC 9457).
pub(crate) fn schema() -> Value {
    let codes: Vec<&str> = KINDS.iter().flat_map(|kind| kind.codes).copied().collect();
    json!({
        "description": "How we say no (RFC 9457).",
        "type": "object",
        "properties": {
            "type": {"const": "about:blank"},
            "title": {"type": "string", "description": "The status in words."},
            "status": {"type": "integer", "description": "The status."},
            "detail": {"type": "string", "description": "For people: what happened, why, and what to do."},
            "code": {"type": "string", "enum": codes, "description": "For programs: never changes."},
            "request_id": {
                "type": "string",
                "format": "uuid",
                "description": "What this answer is called, as in `X-Request-Id`.",
            },
            "field": {"type": "string", "description": "The field that it is about, where it is about one."},
        },
        "required": ["type", "title", "status", "detail", "code", "request_id"],
    })
}

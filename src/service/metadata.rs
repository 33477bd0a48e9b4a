//! Metadata: what others keep with a token is theirs, within bounds.

use super::ServiceError;
use serde_json::Value;

/// The largest, in bytes of JSON.
const BYTES: usize = 4096;
/// How deep it may be: how many objects and arrays lie in each other.
const LEVELS: usize = 32;

/// An object, and neither a large one nor a deep one: whoever wraps it has to be
/// able to read it again.
pub(super) fn check_metadata(value: Value) -> Result<Value, ServiceError> {
    let invalid = |message: String| Err(ServiceError::Invalid { field: "metadata", message });
    if !value.is_object() {
        return invalid("must be a JSON object".into());
    }
    if value.to_string().len() > BYTES {
        return invalid(format!("must not be larger than {BYTES} bytes"));
    }
    if !is_within(&value, LEVELS) {
        return invalid(format!("must not be deeper than {LEVELS} levels of objects and arrays"));
    }
    Ok(value)
}

/// Whether no more than `levels` objects and arrays lie in each other.
fn is_within(value: &Value, levels: usize) -> bool {
    let inside = |value: &Value| is_within(value, levels - 1);
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(inside),
        Value::Object(fields) => levels > 0 && fields.values().all(inside),
        _ => true,
    }
}

//! JSON as it is taken from strangers: one object in which no name stands twice.

use serde::de::{DeserializeOwned, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::fmt;

/// Reads an object. Where a name stands twice, two readers may each believe another value, so
/// that is not read at all, be the name one that counts or not.
pub(crate) fn object<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    // What is skipped is not looked at by serde_json, so this is done here.
    let text = str::from_utf8(text).ok()?;
    serde_json::from_str::<DistinctNames>(text).ok()?;
    serde_json::from_str(text).ok()
}

struct DistinctNames;

impl<'de> Deserialize<'de> for DistinctNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = DistinctNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DistinctNames, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(DistinctNames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct One {
        a: u8,
    }

    #[test]
    fn an_object_is_read_strictly() {
        assert_eq!(object(br#" {"a":1,"b":[{"c":2,"c":3}]} "#), Some(One { a: 1 }));
        for wrong in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":1,"b":2,"b":2}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1}x"#,
            "[1]",
            "1",
            "",
            "\u{feff}{\"a\":1}",
        ] {
            assert_eq!(object::<One>(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(object::<One>(b"{\"a\":1,\"b\":\"\xff\"}"), None);
    }

    #[test]
    fn depth_takes_no_stack() {
        let deep = format!("{{\"a\":1,\"b\":{}", "[".repeat(1 << 20));
        assert_eq!(object::<One>(deep.as_bytes()), None);
        let closed = format!("{{\"a\":1,\"b\":{}{}}}", "[".repeat(8000), "]".repeat(8000));
        // Whether it is read is all the same, as long as it is answered.
        let _ = object::<One>(closed.as_bytes());
    }
}

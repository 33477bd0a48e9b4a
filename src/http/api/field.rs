//! Fields of a body: those that may be absent, null or there, and spans of time.

use crate::service::Update;
use counterfoil_core::time::Seconds;
use serde::{Deserialize, Deserializer};

/// A field for which null means something else than its absence.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

impl<T> From<Field<T>> for Update<T> {
    fn from(field: Field<T>) -> Self {
        match field {
            Field::Absent => Self::Keep,
            Field::Null => Self::Clear,
            Field::Value(value) => Self::Set(value),
        }
    }
}

/// Seconds, or text such as `"90d"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) Seconds);

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

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map(Span).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

//! Fields of a body that may be absent, null, or there.

use crate::service::Update;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// A field for which null means something else than its absence.
#[derive(Debug, Default, JsonSchema)]
#[schemars(try_from = "Option<T>", inline)]
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

//! The schemas of what is asked and what is told (JSON Schema 2020-12).

use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where the description keeps them.
const PLACE: &str = "/components/schemas";

/// Schemas of types, and of those that they are made of.
pub(crate) struct Schemas {
    /// What may be left out may be absent.
    asked: SchemaGenerator,
    /// What we tell is all there.
    told: SchemaGenerator,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        let generator = |contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = PLACE.into();
                settings.meta_schema = None;
                settings.contract = contract;
            });
            settings.into_generator()
        };
        Self { asked: generator(Contract::Deserialize), told: generator(Contract::Serialize) }
    }

    pub(super) fn asked<T: JsonSchema>(&mut self) -> Value {
        self.asked.subschema_for::<T>().to_value()
    }

    pub(super) fn told<T: JsonSchema>(&mut self) -> Value {
        self.told.subschema_for::<T>().to_value()
    }

    /// The fields of a type that we are asked with: name, schema, whether it must be there.
    pub(super) fn fields<T: JsonSchema>(&mut self) -> Vec<(String, Value, bool)> {
        let schema = T::json_schema(&mut self.asked).to_value();
        let required = schema["required"].as_array().into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let fields = schema["properties"].as_object().into_iter().flatten();
        fields
            .map(|(name, schema)| {
                (name.clone(), without_null(schema), required.contains(&name.as_str()))
            })
            .collect()
    }

    /// Whether nothing need be said of a type, since all of it may be absent.
    pub(super) fn may_be_empty<T: JsonSchema>(&mut self) -> bool {
        let schema = T::json_schema(&mut self.asked);
        schema.get("required").is_none_or(|required| *required == Value::Array(Vec::new()))
    }

    /// All that were named, by their names.
    pub(crate) fn definitions(mut self) -> Map<String, Value> {
        let definitions = self.asked.take_definitions(true).into_iter();
        let definitions = definitions.chain(self.told.take_definitions(true));
        definitions.collect::<BTreeMap<_, _>>().into_iter().collect()
    }
}

/// A parameter is there or not; it is never null.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| !is_null(choice));
        if let [only] = &choices[..] {
            let Value::Object(only) = only.clone() else { return schema };
            if let Value::Object(fields) = &mut schema {
                fields.remove("anyOf");
                fields.extend(only);
            }
        }
    }
    schema
}

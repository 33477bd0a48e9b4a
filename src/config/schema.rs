//! The settings as a tree: what the file may hold, read from the schema that is
//! derived from [`Settings`]. Checks, variables and reference all walk this tree.

use super::settings::Settings;
use schemars::{
    Schema,
    generate::{Contract, SchemaSettings},
};
use serde_json::Value;
use std::sync::LazyLock;

/// A setting, or a table of them.
pub(super) struct Node {
    pub(super) kind: Kind,
    /// What it means, in Markdown, in one line.
    pub(super) about: String,
    /// The default, in Markdown; absent for tables.
    pub(super) default: Option<String>,
}

/// What a value may be.
pub(super) enum Kind {
    /// Fixed keys, in the order in which they are declared.
    Table { fields: Vec<(String, Node)>, inline: bool },
    /// Keys of the operator's choice, which the reference calls `key`.
    Map { key: String, item: Box<Node> },
    /// Values of one kind; `length` where there is but one right number of them.
    /// With `lone`, one may stand without a list around it.
    List { item: Box<Node>, length: Option<usize>, lone: bool },
    /// One of a few words.
    Choice(Vec<Choice>),
    /// Any text.
    Text,
    /// True or false.
    Flag,
    /// A whole number that is not negative.
    Number,
}

/// One of the words that a setting may be.
pub(super) struct Choice {
    pub(super) word: String,
    pub(super) about: String,
}

/// The whole file.
pub(super) fn root() -> &'static Node {
    static ROOT: LazyLock<Node> = LazyLock::new(|| Node::read(derived().as_value()));
    &ROOT
}

fn derived() -> Schema {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            // What is written holds every field, so that `required` lists them
            // all, in the order of the struct; `properties` may be sorted.
            settings.contract = Contract::Serialize;
        })
        .into_generator()
        .into_root_schema_for::<Settings>()
}

impl Node {
    fn read(schema: &Value) -> Self {
        let text = |key: &str| schema[key].as_str().unwrap_or_default();
        Self {
            kind: Kind::read(schema),
            about: in_one_line(text("description")),
            default: match &schema["x-default"] {
                Value::String(words) => Some(words.clone()),
                _ => written(&schema["default"]).map(|default| format!("`{default}`")),
            },
        }
    }
}

impl Kind {
    /// Panics nowhere: a type that the settings don't use yet reads as text, which
    /// the test below notices.
    fn read(schema: &Value) -> Self {
        if let Value::Object(fields) = &schema["properties"] {
            let fields = words(&schema["required"])
                .filter_map(|name| Some((name.to_owned(), Node::read(fields.get(name)?))))
                .collect();
            return Self::Table { fields, inline: schema["x-inline"] == true };
        }
        if let item @ Value::Object(_) = &schema["additionalProperties"] {
            let key = schema["x-key"].as_str().unwrap_or("KEY").to_owned();
            return Self::Map { key, item: Box::new(Node::read(item)) };
        }
        if let item @ Value::Object(_) = &schema["items"] {
            let length = (schema["minItems"] == schema["maxItems"])
                .then(|| schema["maxItems"].as_u64().and_then(|n| usize::try_from(n).ok()))
                .flatten();
            let lone = is(schema, "string");
            return Self::List { item: Box::new(Node::read(item)), length, lone };
        }
        if let Value::Array(choices) = &schema["oneOf"] {
            let choice = |choice: &Value| Choice {
                word: choice["const"].as_str().unwrap_or_default().to_owned(),
                about: in_one_line(choice["description"].as_str().unwrap_or_default()),
            };
            return Self::Choice(choices.iter().map(choice).collect());
        }
        if is(schema, "boolean") {
            Self::Flag
        } else if is(schema, "integer") {
            Self::Number
        } else {
            Self::Text
        }
    }
}

fn is(schema: &Value, name: &str) -> bool {
    schema["type"] == name || words(&schema["type"]).any(|word| word == name)
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn in_one_line(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// A default as TOML has it; none for tables and for what is absent.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(written).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        scalar => Some(scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_understood_and_every_setting_documented() {
        fn check(name: &str, schema: &Value, node: &Node) {
            assert!(!node.about.is_empty(), "{name} has no documentation");
            match &node.kind {
                Kind::Table { fields, .. } => {
                    let declared = schema["properties"].as_object().unwrap();
                    assert_eq!(declared.len(), fields.len(), "{name}");
                    for (key, field) in fields {
                        check(&format!("{name}.{key}"), &declared[key], field);
                    }
                }
                Kind::Map { item, .. } => {
                    if let Kind::Table { fields, .. } = &item.kind {
                        let declared = &schema["additionalProperties"]["properties"];
                        for (key, field) in fields {
                            check(&format!("{name}.{key}"), &declared[key], field);
                        }
                    }
                }
                Kind::List { .. } => assert!(is(schema, "array"), "{name}"),
                Kind::Choice(choices) => {
                    for choice in choices {
                        assert!(!choice.about.is_empty(), "{name} = {}", choice.word);
                    }
                }
                Kind::Text => assert!(is(schema, "string"), "{name}: {schema}"),
                Kind::Flag => assert!(is(schema, "boolean"), "{name}"),
                Kind::Number => assert!(is(schema, "integer"), "{name}"),
            }
        }
        let schema = derived();
        check("the file", schema.as_value(), root());
    }
}

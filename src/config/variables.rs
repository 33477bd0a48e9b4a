//! The environment variables: one for each setting that is a single value.

use super::{
    Environment,
    document::Document,
    key_path::KeyPath,
    mistake::nearest,
    schema::{Kind, Node},
};
use std::collections::BTreeMap;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What the names of all variables begin with.
pub(super) const BEGINNING: &str = "COUNTERFOIL_";

/// Has the documentation rewritten by its test.
pub(super) const UPDATE_DOCS: &str = "COUNTERFOIL_UPDATE_DOCS";

/// What others read: the command line and the tests.
const ELSEWHERE: [&str; 3] = ["COUNTERFOIL_CONFIG", "COUNTERFOIL_DATA", UPDATE_DOCS];

/// Puts the variables into `document`. What is left over may be there for a
/// reason (orchestrators set `COUNTERFOIL_PORT` and its like for a service of
/// that name), so it is a warning and not a mistake.
pub(super) fn apply<'a>(
    root: &Node,
    environment: &'a Environment,
    document: &mut Document<'a>,
) -> Vec<String> {
    let known = known(root, document.table());
    let mut warnings = Vec::new();
    for (variable, text) in &environment.0 {
        if let Some(setting) = known.get(variable) {
            document.set(&setting.path, variable, setting.value(text));
        } else if variable.starts_with(BEGINNING) && !ELSEWHERE.contains(&variable.as_str()) {
            let nearest = nearest(variable, known.keys().map(String::as_str)).unwrap_or(BEGINNING);
            warnings.push(format!(
                "the environment variable {variable} sets nothing; did you mean {nearest}?"
            ));
        }
    }
    warnings
}

/// The name of the variable for the setting at `path`.
pub(super) fn name(path: &KeyPath) -> String {
    let keys: Vec<_> = path.keys().map(|key| key.replace('-', "_").to_uppercase()).collect();
    format!("{BEGINNING}{}", keys.join("_"))
}

/// A setting that a variable may set.
struct Setting {
    path: KeyPath,
    kind: Single,
}

/// What a single value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Single {
    Text,
    Flag,
    Number,
}

impl Setting {
    fn value<'a>(&self, text: &'a str) -> DeValue<'a> {
        match (self.kind, text) {
            (Single::Flag, "true") => DeValue::Boolean(true),
            (Single::Flag, "false") => DeValue::Boolean(false),
            (Single::Number, _) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                DeValue::parse(text).map_or(DeValue::String(text.into()), Spanned::into_inner)
            }
            // A flag or a number with another value is found out with the file's mistakes.
            _ => DeValue::String(text.into()),
        }
    }
}

fn known(root: &Node, table: &DeTable<'_>) -> BTreeMap<String, Setting> {
    let mut known = BTreeMap::new();
    collect(root, Some(table), &KeyPath::default(), &mut known);
    known
}

fn collect(
    node: &Node,
    table: Option<&DeTable<'_>>,
    path: &KeyPath,
    known: &mut BTreeMap<String, Setting>,
) {
    let below = |key: &str| table?.get(key)?.get_ref().as_table();
    match &node.kind {
        Kind::Table { fields, .. } => {
            for (key, field) in fields {
                collect(field, below(key), &path.key(key), known);
            }
        }
        // Variables add to the tables that the file defines; keys of the
        // operator's choice cannot be told from the name of a variable.
        Kind::Map { item, .. } if matches!(item.kind, Kind::Table { .. }) => {
            for key in table.into_iter().flat_map(DeTable::keys) {
                let key: &str = key.get_ref();
                collect(item, below(key), &path.key(key), known);
            }
        }
        Kind::Map { .. } | Kind::List { .. } => {}
        Kind::Choice(_) | Kind::Text | Kind::Flag | Kind::Number => {
            let kind = match node.kind {
                Kind::Flag => Single::Flag,
                Kind::Number => Single::Number,
                _ => Single::Text,
            };
            known.insert(name(path), Setting { path: path.clone(), kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::schema, *};

    /// `[api.a] tokens.prefix` and `[api.a-tokens] prefix` would share a variable,
    /// if there were a `prefix` there. No setting of an API may end like that.
    #[test]
    fn no_two_settings_of_apis_can_share_a_variable() {
        let mut paths = Vec::new();
        let Kind::Table { fields, .. } = &schema::root().kind else { panic!("not a table") };
        let Some((_, Node { kind: Kind::Map { item, .. }, .. })) =
            fields.iter().find(|(key, _)| key == "api")
        else {
            panic!("no APIs")
        };
        let mut known = BTreeMap::new();
        collect(item, None, &KeyPath::default(), &mut known);
        for setting in known.values() {
            paths.push(name(&setting.path).replace(BEGINNING, "_"));
        }
        assert!(paths.len() > 20, "{paths:?}");
        for one in &paths {
            for other in &paths {
                assert!(one == other || !one.ends_with(other), "{one} and {other}");
            }
        }
    }
}

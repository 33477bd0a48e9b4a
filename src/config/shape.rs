//! Whether the document has the shape of the settings: known keys, right types, known words.
//!
//! Serde would stop at the first objection, so the tree is walked before it is asked.

use super::{
    key_path::KeyPath,
    mistake::{Report, likeness, nearest},
    schema::{Choice, Kind, Node},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Reports whatever does not fit.
pub(super) fn check(root: &Node, report: &mut Report<'_>) {
    if let Kind::Table { fields, .. } = &root.kind {
        check_table(fields, report.document.table(), &KeyPath::default(), report);
    }
}

fn check_table(
    fields: &[(String, Node)],
    table: &DeTable<'_>,
    path: &KeyPath,
    report: &mut Report<'_>,
) {
    for (key, value) in table {
        let key: &str = key.get_ref();
        let path = path.key(key);
        match fields.iter().find(|(name, _)| name == key) {
            Some((_, node)) => check_value(node, value, &path, report),
            None => {
                report.add_key(&path, "unknown key", nearest_key(key, fields).as_deref());
            }
        }
    }
}

fn check_value(node: &Node, value: &Spanned<DeValue<'_>>, path: &KeyPath, report: &mut Report<'_>) {
    match (&node.kind, value.get_ref()) {
        (Kind::Table { fields, .. }, DeValue::Table(table)) => {
            check_table(fields, table, path, report);
        }
        (Kind::Map { item, .. }, DeValue::Table(table)) => {
            for (key, value) in table {
                check_value(item, value, &path.key(key.get_ref()), report);
            }
        }
        (Kind::List { item, length, .. }, DeValue::Array(values)) => {
            if let Some(length) = length
                && *length != values.len()
            {
                report.add(path, format_args!("expected a list of {length}"));
            }
            for (at, value) in values.iter().enumerate() {
                check_value(item, value, &path.index(at), report);
            }
        }
        (Kind::List { item, lone: true, .. }, DeValue::String(_)) => {
            check_value(item, value, path, report);
        }
        (Kind::Choice(choices), DeValue::String(word)) => check_word(choices, word, path, report),
        (Kind::Text, DeValue::String(text)) => {
            // None of the texts may be empty; and a variable that is not UTF-8
            // arrives with replacement characters.
            if text.trim().is_empty() {
                report.add(path, "expected a text that is not empty");
            } else if text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
                report.add(path, "expected a text without control characters");
            }
        }
        (Kind::Flag, DeValue::Boolean(_)) => {}
        (Kind::Number, DeValue::Integer(number)) => {
            if u64::from_str_radix(number.as_str(), number.radix()).is_err() {
                report.add(path, format_args!("expected {}", node.kind.name()));
            }
        }
        (kind, other) => {
            report.add(
                path,
                format_args!(
                    "expected {}, found a value of type {}",
                    kind.name(),
                    other.type_str()
                ),
            );
        }
    }
}

fn check_word(choices: &[Choice], word: &str, path: &KeyPath, report: &mut Report<'_>) {
    let words = || choices.iter().map(|choice| choice.word.as_str());
    if words().any(|known| known == word) {
        return;
    }
    let expected = words().collect::<Vec<_>>().join(", ");
    let nearest = nearest(word, words());
    report.add_near(path, format_args!("unknown word, expected one of {expected}"), nearest);
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Table { .. } | Self::Map { .. } => "a table",
            Self::List { lone: false, .. } => "a list",
            Self::List { lone: true, .. } => "a text in quotes, or a list of them",
            Self::Choice(_) | Self::Text => "a text in quotes",
            Self::Flag => "true or false",
            Self::Number => "a whole number that is not negative",
        }
    }
}

/// The key that was probably meant: one of this table, or one that belongs into
/// a table below it.
fn nearest_key(key: &str, fields: &[(String, Node)]) -> Option<String> {
    let here = nearest(key, fields.iter().map(|(name, _)| name.as_str()))?;
    let mut best = (here.to_owned(), likeness(key, here));
    for (name, node) in fields {
        below(key, name, node, &mut best);
    }
    Some(best.0)
}

fn below(key: &str, path: &str, node: &Node, best: &mut (String, f64)) {
    let Kind::Table { fields, .. } = &node.kind else { return };
    for (name, node) in fields {
        let path = format!("{path}.{name}");
        let likeness = likeness(key, name);
        // A key that stands in the wrong table is rarely misspelt as well.
        if likeness > best.1 && likeness > 0.8 {
            *best = (path.clone(), likeness);
        }
        below(key, &path, node, best);
    }
}

//! What a command prints: results to standard output, everything else to standard error.

use comfy_table::{Cell, Table, presets};
use serde_json::Value;
use std::io::Write as _;

/// A line for people, to standard error. Where nobody can read it, there is
/// nothing left to say it with.
pub(crate) fn note(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A result, to standard output.
pub(crate) fn print(text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A result for programs.
pub(crate) fn json(value: &Value) -> std::io::Result<()> {
    print(format_args!("{value:#}"))
}

/// Rows of a list, each with the same fields.
pub(crate) fn table(
    headings: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> std::io::Result<()> {
    let mut table = plain_table();
    table.set_header(headings.iter().map(|heading| Cell::new(heading.to_uppercase())));
    table.add_rows(rows);
    print(format_args!("{}", table.trim_fmt()))
}

/// One thing's facts, a line each; what is empty is left out.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let mut table = plain_table();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([*name, value]);
    }
    table.trim_fmt()
}

/// A field as text; nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

//! The file as parsed TOML, with the environment's variables put in and every place known.

use super::{
    Source,
    key_path::{KeyPath, Step},
    mistake::{Mistake, Place},
    settings::Settings,
};
use serde::Deserialize;
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A configuration before it is understood.
pub(super) struct Document<'a> {
    name: &'a str,
    text: &'a str,
    table: DeTable<'a>,
    /// The variables that were put in. The n-th stands, for whoever asks for a
    /// place, n places behind the end of the text: one number says where any
    /// value comes from, also through serde.
    variables: Vec<&'a str>,
}

impl<'a> Document<'a> {
    /// The parsed `source`; without one, nothing is set.
    pub(super) fn parse(source: Option<&'a Source>) -> Result<Self, Mistake> {
        let (name, text) = source.map_or(("no file", ""), |source| (&source.name, &source.text));
        let mut document = Self { name, text, table: DeTable::new(), variables: Vec::new() };
        match DeTable::parse(text) {
            Ok(table) => document.table = table.into_inner(),
            Err(error) => return Err(document.mistake(&error)),
        }
        Ok(document)
    }

    /// Sets the value at `path` to that of `variable`. Where the file has
    /// something other than a table on the way, that is the mistake to report.
    pub(super) fn set(&mut self, path: &KeyPath, variable: &'a str, value: DeValue<'a>) {
        let at = self.text.len() + 1 + self.variables.len();
        self.variables.push(variable);
        let mut keys: Vec<&str> = path.keys().collect();
        let Some(last) = keys.pop() else { return };
        let mut table = &mut self.table;
        for key in keys {
            let next = table
                .entry(Spanned::new(at..at, key.to_owned().into()))
                .or_insert_with(|| Spanned::new(at..at, DeValue::Table(DeTable::new())));
            let DeValue::Table(next) = next.get_mut() else { return };
            table = next;
        }
        let key = Spanned::new(at..at, last.to_owned().into());
        table.insert(key, Spanned::new(at..at, value));
    }

    pub(super) fn table(&self) -> &DeTable<'a> {
        &self.table
    }

    /// The settings, once [`shape`](super::shape) has no objection.
    pub(super) fn settings(&self) -> Result<Settings, Mistake> {
        let table = Spanned::new(0..self.text.len(), self.table.clone());
        Settings::deserialize(toml::de::Deserializer::from(table))
            .map_err(|error| self.mistake(&error))
    }

    /// Whether anybody set the value at `path`.
    pub(super) fn has(&self, path: &KeyPath) -> bool {
        self.walk(path).1
    }

    /// Where the value at `path` stands, or else the table that lacks it.
    pub(super) fn place_of(&self, path: &KeyPath) -> Place {
        self.place(self.walk(path).0)
    }

    /// Where the last key of `path` stands.
    pub(super) fn place_of_key(&self, path: &KeyPath) -> Place {
        self.place(self.key_offset(path))
    }

    /// The keys of the table at `path` in the order of the file.
    pub(super) fn keys_in_order<'k>(
        &self,
        path: &KeyPath,
        keys: impl Iterator<Item = &'k String>,
    ) -> Vec<&'k String> {
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by_key(|key| self.key_offset(&path.key(key)));
        keys
    }

    fn key_offset(&self, path: &KeyPath) -> usize {
        let mut offset = 0;
        let mut table = Some(&self.table);
        for key in path.keys() {
            let Some((key, value)) = table.and_then(|table| table.get_key_value(key)) else {
                break;
            };
            offset = key.span().start;
            table = value.get_ref().as_table();
        }
        offset
    }

    /// The offset of what `path` leads to, as far as it goes, and whether it goes all the way.
    fn walk(&self, path: &KeyPath) -> (usize, bool) {
        let mut offset = 0;
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        for step in path.steps() {
            let table = value.map_or(Some(&self.table), |value| value.get_ref().as_table());
            let next = match step {
                Step::Key(key) => {
                    table.and_then(|table| table.get_key_value(key.as_str())).map(|(key, value)| {
                        // A table's own span may be that of one of its headers only.
                        let is_table = value.get_ref().is_table();
                        (if is_table { key.span() } else { value.span() }, value)
                    })
                }
                Step::Index(index) => value
                    .and_then(|value| value.get_ref().get(*index))
                    .map(|element| (element.span(), element)),
            };
            let Some((span, next)) = next else { return (offset, false) };
            offset = span.start;
            value = Some(next);
        }
        (offset, true)
    }

    fn place(&self, offset: usize) -> Place {
        let behind = offset.checked_sub(self.text.len() + 1);
        if let Some(variable) = behind.and_then(|at| self.variables.get(at)) {
            return Place::Variable((*variable).to_owned());
        }
        let bytes = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line_start = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        Place::File {
            name: self.name.to_owned(),
            line: bytes.split(|b| *b == b'\n').count(),
            // Characters, which are the bytes that do not continue one (RFC 3629 §3).
            column: bytes[line_start..].iter().filter(|b| **b & 0xc0 != 0x80).count() + 1,
        }
    }

    fn mistake(&self, error: &toml::de::Error) -> Mistake {
        let span = error.span().unwrap_or_default();
        let message = error.message().trim().to_owned();
        // Only a key is safe to repeat: what else fails to parse may be a secret.
        let path = if message == "duplicate key" { self.snippet(&span) } else { String::new() };
        Mistake { place: self.place(span.start), path, message, nearest: None }
    }

    fn snippet(&self, span: &Range<usize>) -> String {
        let text = self.text.get(span.clone()).unwrap_or_default();
        if text.contains(char::is_control) { String::new() } else { text.to_owned() }
    }
}

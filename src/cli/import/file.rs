//! Files of rows: CSV with a header line, lines of JSON, or an array of it.

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::Value;
use std::{fmt, rc::Rc};

/// How long one field may be, in bytes.
const FIELD: usize = 16 * 1024;

/// What is wrong with one row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The line's number, or the item's.
    pub(super) place: u32,
    pub(super) field: String,
    pub(super) message: String,
}

/// One row. Names are compared without regard to case and underscores, since one
/// program's `userId` is the other's `user_id`.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) place: u32,
    fields: Vec<(Name, Value)>,
}

#[derive(Debug, Clone)]
struct Name {
    folded: Rc<str>,
    written: Rc<str>,
}

impl Name {
    fn new(written: &str) -> Self {
        Self { folded: fold(written).into(), written: written.into() }
    }
}

/// How a name is compared.
pub(super) fn fold(name: &str) -> String {
    let letters = name.trim().chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// A name as it may be repeated: where a header is missing it is a value, which
/// may be a secret.
pub(super) fn shown(name: &str) -> &str {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b));
    if plain && name.len() <= 24 { name } else { "…" }
}

impl Record {
    /// Takes a field out; none where it is empty or null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let folded = fold(name);
        let at = self.fields.iter().position(|(name, _)| *name.folded == *folded)?;
        match self.fields.swap_remove(at).1 {
            Value::Null => None,
            Value::String(text) if text.trim().is_empty() => None,
            value => Some(value),
        }
    }

    /// Has a field count under another name, if there is none of that.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.take(from)
            && !self.has(to)
        {
            self.fields.push((Name::new(to), value));
        }
    }

    fn has(&self, name: &str) -> bool {
        let folded = fold(name);
        self.fields.iter().any(|(name, value)| *name.folded == *folded && !value.is_null())
    }

    /// The names of what has not been taken and says something.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| &*name.written)
    }

    /// From what `manage.py dumpdata` writes: the key and the fields beside it.
    pub(super) fn unwrap_fixture(&mut self) {
        let at = self.fields.iter().position(|(name, _)| &*name.folded == "fields");
        if let Some(at) = at
            && let (_, Value::Object(fields)) = &mut self.fields[at]
        {
            let inner = std::mem::take(fields);
            self.fields.swap_remove(at);
            self.fields.extend(inner.into_iter().map(|(name, value)| (Name::new(&name), value)));
        }
    }
}

/// What rows are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    Lines,
    Items,
}

impl Places {
    pub(super) fn one(self) -> &'static str {
        match self {
            Self::Lines => "line",
            Self::Items => "item",
        }
    }

    pub(super) fn several(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Items => "items",
        }
    }
}

/// Reads rows out of a whole file, each into `take`. `check_header` looks at the
/// folded and written names of a CSV file's columns. An error is about the file.
pub(super) fn read(
    bytes: &[u8],
    longest_row: usize,
    check_header: impl Fn(&[(&str, &str)]) -> Result<(), String>,
    mut take: impl FnMut(u32, Result<Record, Mistake>),
) -> Result<Places, String> {
    let text = text_of(bytes)?;
    match text.trim_start().chars().next() {
        None => Err("is empty".into()),
        Some('[') => read_array(text, take).map(|()| Places::Items),
        Some('{') => {
            for (place, line) in (1u32..).zip(text.lines()) {
                if !line.trim().is_empty() {
                    take(place, read_line(place, line, longest_row));
                }
            }
            Ok(Places::Lines)
        }
        Some(_) => read_csv(text, longest_row, check_header, take).map(|()| Places::Lines),
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("is UTF-16; save it as UTF-8".into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("is not UTF-8, at line {line}; export it as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn read_line(place: u32, line: &str, longest: usize) -> Result<Record, Mistake> {
    let mistake = |message: String| Mistake { place, field: "row".into(), message };
    if line.len() > longest {
        return Err(mistake(format!("is longer than {longest} bytes")));
    }
    let value: Value = serde_json::from_str(line).map_err(|error| {
        let column = error.column();
        mistake(format!("is not one whole JSON object (column {column}); `jq -c` writes them so"))
    })?;
    record(place, value)
}

fn record(place: u32, value: Value) -> Result<Record, Mistake> {
    let Value::Object(fields) = value else {
        let message = "expected a JSON object".into();
        return Err(Mistake { place, field: "row".into(), message });
    };
    let fields = fields.into_iter().map(|(name, value)| (Name::new(&name), value)).collect();
    Ok(Record { place, fields })
}

/// One item after the other, so that not all of them are in memory.
fn read_array(text: &str, take: impl FnMut(u32, Result<Record, Mistake>)) -> Result<(), String> {
    struct Items<F>(F);

    impl<'de, F: FnMut(u32, Result<Record, Mistake>)> Visitor<'de> for Items<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            let mut place = 0;
            while let Some(value) = items.next_element()? {
                place += 1;
                (self.0)(place, record(place, value));
            }
            Ok(())
        }
    }

    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_seq(Items(take)).and_then(|()| reader.end());
    read.map_err(|error| {
        format!("is not JSON, at line {}, column {}", error.line(), error.column())
    })
}

fn read_csv(
    text: &str,
    longest: usize,
    check_header: impl Fn(&[(&str, &str)]) -> Result<(), String>,
    mut take: impl FnMut(u32, Result<Record, Mistake>),
) -> Result<(), String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let broken = |error: csv::Error| format!("cannot be read as CSV: {error}");
    let mut row = csv::StringRecord::new();
    reader.read_record(&mut row).map_err(broken)?;
    let names: Vec<Name> = row.iter().map(Name::new).collect();
    if let [only] = &names[..]
        && only.written.contains([';', '\t'])
    {
        return Err("has other separators than commas; export it with commas".into());
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].iter().any(|other| other.folded == name.folded) {
            return Err(format!("has the column `{}` twice", shown(&name.written)));
        }
    }
    let pairs: Vec<(&str, &str)> =
        names.iter().map(|name| (&*name.folded, &*name.written)).collect();
    check_header(&pairs)?;
    while reader.read_record(&mut row).map_err(broken)? {
        let line = row.position().map_or(0, csv::Position::line);
        let place = u32::try_from(line).unwrap_or(u32::MAX);
        take(place, fields(place, &names, &row, longest));
    }
    Ok(())
}

fn fields(
    place: u32,
    names: &[Name],
    row: &csv::StringRecord,
    longest: usize,
) -> Result<Record, Mistake> {
    let mistake = |field: &str, message: String| Mistake { place, field: field.into(), message };
    if row.len() != names.len() {
        let (has, wants) = (row.len(), names.len());
        return Err(mistake("row", format!("has {has} fields, and the header has {wants}")));
    }
    if row.as_slice().len() > longest {
        return Err(mistake("row", format!("is longer than {longest} bytes")));
    }
    let long = names.iter().zip(row).find(|(_, value)| value.len() > FIELD);
    if let Some((name, _)) = long {
        let message = format!("is longer than {FIELD} bytes; is a quotation mark missing?");
        return Err(mistake(shown(&name.written), message));
    }
    let values = names.iter().zip(row).filter(|(_, value)| !value.is_empty());
    let fields = values.map(|(name, value)| (name.clone(), value.into())).collect();
    Ok(Record { place, fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    type Found = Vec<Result<(u32, Option<Value>), Mistake>>;

    /// What `bytes` have as their rows' field `a`.
    fn found(bytes: &[u8]) -> Result<Found, String> {
        let mut found = Vec::new();
        read(
            bytes,
            200,
            |_| Ok(()),
            |place, record| {
                found.push(record.map(|mut record| (place, record.take("a"))));
            },
        )?;
        Ok(found)
    }

    #[test]
    fn three_forms_say_the_same() {
        for text in [
            "b,A\n1,one\n,\"t\nwo\"\n",
            "\u{feff}A\r\none\r\n\"t\nwo\"",
            "{\"a\": \"one\"}\n\n{\"A\": \"t\\nwo\", \"b\": 1}",
            "\n[{\"a\": \"one\"}, {\"_a\": \"t\\nwo\"}]",
        ] {
            let values: Vec<_> =
                found(text.as_bytes()).unwrap().into_iter().map(|row| row.unwrap().1).collect();
            assert_eq!(values, [Some(json!("one")), Some(json!("t\nwo"))], "{text}");
        }
    }

    #[test]
    fn rows_have_the_numbers_of_their_lines() {
        let places = |text: &str| -> Vec<u32> {
            let rows = found(text.as_bytes()).unwrap().into_iter();
            rows.map(|row| row.map_or_else(|mistake| mistake.place, |(place, _)| place)).collect()
        };
        assert_eq!(places("a\n1\n\"2\n3\"\n4\n"), [2, 3, 5]);
        assert_eq!(places("{}\n\n{}\nx\n"), [1, 3, 4]);
        assert_eq!(places("[{}, 1, {}]"), [1, 2, 3]);
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said_without_its_values() {
        let long = "x".repeat(201);
        for (text, message) in [
            ("a,b\nhunter2\n", "has 1 fields, and the header has 2".to_owned()),
            (&format!("a\n{long}\n"), "is longer than 200 bytes".to_owned()),
            (&format!("{{}}\n{{\"a\": \"{long}\"}}"), "is longer than 200 bytes".to_owned()),
            (
                "{}\n{\"a\": hunter2}",
                "is not one whole JSON object (column 7); `jq -c` writes them so".to_owned(),
            ),
            ("{}\n[\"hunter2\"]", "expected a JSON object".to_owned()),
            ("[{}, \"hunter2\"]", "expected a JSON object".to_owned()),
        ] {
            let rows = found(text.as_bytes()).unwrap();
            let mistake = rows.into_iter().find_map(Result::err).unwrap();
            assert_eq!((mistake.place, mistake.message), (2, message), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file() {
        for (bytes, error) in [
            (&b""[..], "is empty"),
            (b" \n ", "is empty"),
            (b"\xff\xfea\x00", "is UTF-16; save it as UTF-8"),
            (b"a\nb\n\xe4\n", "is not UTF-8, at line 3; export it as UTF-8"),
            (b"a;b\n1;2\n", "has other separators than commas; export it with commas"),
            (b"a,b,A\n", "has the column `A` twice"),
            (b"[{}", "is not JSON, at line 1, column 3"),
            (b"[{}] x", "is not JSON, at line 1, column 6"),
        ] {
            assert_eq!(found(bytes).unwrap_err(), error);
        }
    }

    #[test]
    fn only_plain_names_are_repeated() {
        assert_eq!(shown("expires_at"), "expires_at");
        for secret in ["9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b", "a=b", "ä"] {
            assert_eq!(shown(secret), "…");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = found(&bytes);
        }

        #[test]
        fn no_text_panics(text in "[\\[{\"a,:}\\]\n ]{0,60}") {
            let _ = found(text.as_bytes());
        }
    }
}

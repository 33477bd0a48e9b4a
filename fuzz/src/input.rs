//! Arbitrary bytes taken apart into what parsers take.

use counterfoil_core::credential::Headers;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// The first byte, which chooses among variants, and the rest.
pub(crate) fn choice(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (*first, rest))
}

/// What stands before the first line break, and what behind it.
pub(crate) fn line(input: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Text; what is no UTF-8 is replaced.
pub(crate) fn text(input: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// Header lines, `name: value` each, names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(pub(crate) Vec<(String, Vec<u8>)>);

impl Lines {
    pub(crate) fn read(input: &[u8]) -> Self {
        let lines = input.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = text(&line[..colon]).to_ascii_lowercase();
            Some((name, line[colon + 1..].to_vec()))
        });
        Self(lines.collect())
    }

    /// As an HTTP server has them: what cannot be a field has not got that far.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.0 {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(value.trim_ascii());
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }
}

impl Headers for Lines {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| &value[..])
    }
}

/// The fields of a map, seen as the server's doors see them.
pub(crate) struct Fields<'a>(pub(crate) &'a HeaderMap);

impl Headers for Fields<'_> {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.0.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// What of a text could be a token: a run of letters, digits and underscores that is
/// longer than any that people read.
pub(crate) fn could_be_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|run| run.len() >= 20)
}

/// Seeds from texts.
pub(crate) fn seeds<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Vec<Vec<u8>> {
    texts.into_iter().map(|text| text.as_ref().to_vec()).collect()
}

/// Seeds that begin with a choice.
pub(crate) fn chosen<T: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (u8, T)>) -> Vec<Vec<u8>> {
    let seed = |(choice, text): (u8, T)| [&[choice], text.as_ref()].concat();
    pairs.into_iter().map(seed).collect()
}

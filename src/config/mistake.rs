//! What is wrong with a configuration, and where.

use super::{document::Document, key_path::KeyPath};
use std::fmt;

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<Mistake>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    /// Where it stands.
    pub(crate) place: Place,
    /// The key that it is about, as in `api.finout.realm`; empty where the file is not TOML.
    pub(crate) path: String,
    /// What is wrong, or what was expected. Values are not repeated: they may be secret.
    pub(crate) message: String,
    /// The nearest thing that would have been right.
    pub(crate) nearest: Option<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// From the file; line and column (in characters) are counted from 1.
    File {
        /// What the source is called.
        name: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// From the environment variable of this name.
    Variable(String),
}

impl Mistakes {
    /// The mistakes one by one.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    /// One line for each mistake, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// Proof that a mistake was reported: why there is no value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted;

/// The mistakes found so far in one document.
pub(super) struct Report<'d> {
    pub(super) document: &'d Document<'d>,
    mistakes: Vec<Mistake>,
}

impl<'d> Report<'d> {
    pub(super) fn new(document: &'d Document<'d>) -> Self {
        Self { document, mistakes: Vec::new() }
    }

    /// Notes that the value at `path`, or the lack of one, is wrong.
    pub(super) fn add(&mut self, path: &KeyPath, message: impl fmt::Display) -> Noted {
        self.push(self.document.place_of(path), path, message, None)
    }

    /// The same, with what was probably meant.
    pub(super) fn add_near(
        &mut self,
        path: &KeyPath,
        message: impl fmt::Display,
        nearest: Option<&str>,
    ) -> Noted {
        self.push(self.document.place_of(path), path, message, nearest)
    }

    /// Notes that the key at `path` is wrong, whatever its value.
    pub(super) fn add_key(
        &mut self,
        path: &KeyPath,
        message: impl fmt::Display,
        nearest: Option<&str>,
    ) -> Noted {
        self.push(self.document.place_of_key(path), path, message, nearest)
    }

    /// What was read, or its error as a mistake at `path`.
    pub(super) fn accept<T, E: fmt::Display>(
        &mut self,
        path: &KeyPath,
        read: Result<T, E>,
    ) -> Result<T, Noted> {
        read.map_err(|error| self.add(path, error))
    }

    /// What was built, unless anything was wrong.
    pub(super) fn finish<T>(mut self, built: Result<T, Noted>) -> Result<T, Mistakes> {
        match built {
            Ok(built) if self.mistakes.is_empty() => Ok(built),
            _ => {
                self.mistakes.sort();
                Err(Mistakes(self.mistakes))
            }
        }
    }

    fn push(
        &mut self,
        place: Place,
        path: &KeyPath,
        message: impl fmt::Display,
        nearest: Option<&str>,
    ) -> Noted {
        self.mistakes.push(Mistake {
            place,
            path: path.to_string(),
            message: message.to_string(),
            nearest: nearest.map(str::to_owned),
        });
        Noted
    }
}

/// The one of `known` that is most like `name`; of equals, the first.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let mut best: Option<(&str, f64)> = None;
    for candidate in known {
        let likeness = likeness(name, candidate);
        if best.is_none_or(|(_, least)| likeness > least) {
            best = Some((candidate, likeness));
        }
    }
    best.map(|(candidate, _)| candidate)
}

/// How alike two names are, from 0 to 1.
pub(super) fn likeness(one: &str, other: &str) -> f64 {
    // The measure is quadratic, and nobody mistypes a kilobyte.
    if one.len() > 200 { 0.0 } else { strsim::normalized_damerau_levenshtein(one, other) }
}

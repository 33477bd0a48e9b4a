//! A copy of the ledger's chain, as `ledger export` prints it.

use super::super::Failure;
use crate::store::{Link, Store};
use anyhow::anyhow;
use counterfoil_core::ledger::{self, Broken, Head, Undone};
use serde::Deserialize;
use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead as _, BufReader, Lines},
    path::{Path, PathBuf},
};

/// How many links of our own chain are read at a time.
const AT_A_TIME: u32 = 1_000;

/// A file of lines, of which none is read yet.
pub(super) struct Export {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    read: u64,
}

/// A line of it.
#[derive(Deserialize)]
struct Line {
    number: u64,
    hash: String,
    entry: String,
}

impl Export {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| {
            Failure::Wrong(anyhow!("the export {} cannot be read: {error}", path.display()))
        })?;
        let lines = BufReader::new(file).lines();
        Ok(Self { path: path.to_owned(), lines, read: 0 })
    }

    fn next(&mut self) -> Result<Option<Line>, Failure> {
        let Some(line) = self.lines.next() else { return Ok(None) };
        self.read += 1;
        let line = serde_json::from_str(&line?);
        line.map(Some).map_err(|_| {
            Failure::Wrong(anyhow!(
                "line {} of {} is none that `ledger export` wrote",
                self.read,
                self.path.display()
            ))
        })
    }

    /// Holds it against the ledger that was put back, up to its head, and reads what stands
    /// behind that.
    pub(super) async fn read(mut self, store: &dyn Store, head: Head) -> Result<Undone, Failure> {
        let failed = |why: String| Failure::Failed(anyhow!("{why}; nothing was done"));
        let path = self.path.display().to_string();
        let first = self.next()?.ok_or_else(|| failed(format!("{path} has no entries")))?;
        if first.number == 0 || first.number > head.number + 1 {
            return Err(failed(format!(
                "{path} begins with entry {}, and what was put back ends with entry {}: those in \
                 between are missing; give an export that goes further back",
                first.number, head.number
            )));
        }
        let mut ours = Ours { store, links: VecDeque::new() };
        let mut last = match first.number {
            1 => Head::EMPTY,
            number => ours.head_at(number - 1).await?,
        };
        let mut undone = Undone::default();
        let mut next = Some(first);
        while let Some(line) = next {
            let other = || {
                failed(format!(
                    "entry {} of {path} is not the one that was put back: that is another \
                     ledger, or changes were made to this one since it was put back",
                    line.number
                ))
            };
            let bytes = from_hex(&line.hash).unwrap_or_default();
            let (behind, entry) = match ledger::check(last, line.entry.as_bytes(), &bytes, None) {
                Ok((behind, entry, _)) => (behind, entry),
                // Its first entry follows from one that stands here.
                Err(Broken::Chain) if line.number == last.number + 1 && self.read == 1 => {
                    return Err(other());
                }
                Err(broken) => {
                    return Err(failed(format!(
                        "line {} of {path}, entry {}: {broken}",
                        self.read, line.number
                    )));
                }
            };
            if behind.number <= head.number {
                if ours.head_at(behind.number).await? != behind {
                    return Err(other());
                }
            } else {
                undone.note(&entry).map_err(|unknown| failed(unknown.to_string()))?;
            }
            last = behind;
            next = self.next()?;
        }
        if last.number < head.number {
            return Err(failed(format!(
                "{path} ends with entry {}, and what was put back with entry {}: it does not \
                 tell what came after that; give a later one",
                last.number, head.number
            )));
        }
        Ok(undone)
    }
}

/// The chain that was put back, read in its order.
struct Ours<'s> {
    store: &'s dyn Store,
    links: VecDeque<Link>,
}

impl Ours<'_> {
    /// The head behind the entry of this number, which is there and behind those asked for before.
    async fn head_at(&mut self, number: u64) -> Result<Head, Failure> {
        while self.links.front().is_some_and(|link| link.number < number) {
            self.links.pop_front();
        }
        if self.links.is_empty() {
            let read = self.store.chain(number - 1, AT_A_TIME).await;
            self.links = read.map_err(anyhow::Error::from)?.into();
        }
        match self.links.front() {
            Some(link) if link.number == number => Ok(Head { number, hash: link.hash }),
            _ => Err(Failure::Failed(anyhow!("entry {number} is missing"))),
        }
    }
}

/// The bytes that a hash is written for; none where it is none.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair.get(1)?).ok();
    pairs.chunks(2).map(byte).collect()
}

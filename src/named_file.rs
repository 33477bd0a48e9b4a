//! Files that a setting names.

use std::{fs::File, io::Read as _, path::Path};

/// How large one may be, in bytes: the certificates that a system trusts take a quarter of it.
const LARGEST: u64 = 1024 * 1024;

/// What the file holds.
pub(crate) fn read(name: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    let name = name.as_ref();
    let cannot = |error: std::io::Error| format!("cannot read this file: {error}");
    // A pipe would let the start wait for ever.
    if !std::fs::metadata(name).map_err(cannot)?.is_file() {
        return Err("cannot read this file: it is not a regular one".into());
    }
    let mut bytes = Vec::new();
    File::open(name)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err("cannot read this file: it has more than 1 MiB".into());
    }
    Ok(bytes)
}

//! Lists of made tokens, for whoever imports or presents them.

use anyhow::Result;
use counterfoil_bench::made::Mint;
use std::{
    fmt::Write as _,
    io::{BufWriter, Write as _},
    ops::Range,
};

/// Prints the numbers' tokens as `counterfoil import --from sha256` reads them.
pub(crate) fn digests(numbers: Range<u64>) -> Result<()> {
    let mint = Mint::new()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "digest,name")?;
    let mut line = String::new();
    for number in numbers {
        line.clear();
        for byte in mint.secret(number).digest().as_bytes() {
            write!(line, "{byte:02x}")?;
        }
        writeln!(out, "{line},token {number}")?;
    }
    Ok(out.flush()?)
}

/// Prints the numbers' secrets, a line each.
pub(crate) fn secrets(numbers: Range<u64>) -> Result<()> {
    let mint = Mint::new()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for number in numbers {
        writeln!(out, "{}", mint.secret(number).reveal())?;
    }
    Ok(out.flush()?)
}

//! A build of the release before this one: tests have its nodes replaced by those of the present
//! one, and put what the present one writes before it.

use crate::process::{cargo, output_within, quietly, root, succeeds, target_dir};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path, process::Command, time::Duration};

/// What that release was made of.
const COMMIT: &str = "5c4dfb8e8857ea84ca9340672204ea685a6ca534";

/// How long fetching one commit may take.
const FETCH: Duration = Duration::from_mins(2);
/// How long unpacking may take.
const UNPACK: Duration = Duration::from_mins(1);

/// Builds it, unless it is there, as `target/earlier/counterfoil`.
pub(crate) fn ensure() -> Result<bool> {
    let home = target_dir().join("earlier");
    let (program, note) = (home.join("counterfoil"), home.join("commit"));
    let is_built = fs::read_to_string(&note).is_ok_and(|commit| commit == COMMIT);
    if is_built && program.is_file() {
        return Ok(true);
    }
    fs::create_dir_all(&home)?;
    let source = home.join("source");
    unpack(&source)?;
    name(&source.join("Cargo.toml"))?;
    // In the same directory as everything else, so that what it depends on is built once.
    let mut build = cargo(&["build", "--package", "counterfoil", "--bin", "counterfoil"]);
    build.current_dir(&source).env("CARGO_INCREMENTAL", "0");
    if !succeeds(&mut build)? {
        return Ok(false);
    }
    fs::copy(target_dir().join("debug/counterfoil"), &program)
        .with_context(|| format!("cannot keep {}", program.display()))?;
    fs::write(&note, COMMIT)?;
    fs::remove_dir_all(&source)?;
    Ok(true)
}

/// Gives its packages a version of their own. Cargo tells packages apart by name and version, not
/// by where they are: it would take a crate of the one release for the other's.
fn name(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let version =
        text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    let version = version.context("the earlier release has no version")?;
    let theirs = format!("version = \"{version}\"\n");
    let its_own = format!("version = \"{version}-at{}\"\n", &COMMIT[..7]);
    Ok(fs::write(manifest, text.replacen(&theirs, &its_own, 1))?)
}

/// Puts that commit's files there.
fn unpack(source: &Path) -> Result<()> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(root());
        command
    };
    let object = format!("{COMMIT}^{{tree}}");
    let is_here = || quietly(&mut git(&["cat-file", "-e", &object]));
    if !is_here() {
        let mut fetch = git(&["fetch", "--quiet", "--depth", "1", "origin", COMMIT]);
        let fetched = output_within(FETCH, &mut fetch);
        if !is_here() {
            let why = fetched.err().map(|error| format!(" ({error:#})")).unwrap_or_default();
            bail!(
                "the release before this one is not in this clone, and cannot be fetched{why}; \
                 tests of an upgrade are made with commit {COMMIT}: fetch the whole history \
                 (git fetch --unshallow), or that commit, and start again"
            );
        }
    }
    if source.exists() {
        fs::remove_dir_all(source)?;
    }
    fs::create_dir_all(source)?;
    let archive = source.with_extension("tar");
    let to = archive.to_str().context("the target directory's path is not text")?;
    output_within(UNPACK, &mut git(&["archive", "--format=tar", "--output", to, COMMIT]))?;
    let mut tar = Command::new("tar");
    output_within(UNPACK, tar.arg("-xf").arg(&archive).arg("-C").arg(source))?;
    Ok(fs::remove_file(&archive)?)
}

//! Programs that Rust does not bring along: from Debian, from rustup, from where cargo finds crates.

use crate::process::{cargo, find, quietly, succeeds, target_dir};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// A Debian package, what shows that it is there, and what we want it for.
pub(crate) struct Package {
    name: &'static str,
    shown_by: Shown,
    purpose: &'static str,
}

/// What shows that a package is there.
enum Shown {
    Program(&'static str),
    /// A module of Python's, for packages that have no program.
    Module(&'static str),
}

/// What `cargo xtask test` needs; a C compiler is there already, since Rust links with it.
pub(crate) const FOR_TESTS: &[Package] = &[
    Package {
        name: "nginx-light",
        shown_by: Shown::Program("nginx"),
        purpose: "end-to-end tests have it ask about requests, as the documentation shows",
    },
    Package { name: "haproxy", shown_by: Shown::Program("haproxy"), purpose: "the same" },
    Package { name: "caddy", shown_by: Shown::Program("caddy"), purpose: "the same" },
    Package {
        name: "redis-server",
        shown_by: Shown::Program("redis-server"),
        purpose: "end-to-end tests have several servers share limits in it",
    },
    POSTGRESQL,
    Package {
        name: "curl",
        shown_by: Shown::Program("curl"),
        purpose: "end-to-end tests run the commands that the documentation shows",
    },
    Package {
        name: "git",
        shown_by: Shown::Program("git"),
        purpose: "cargo-deny fetches the advisories with it",
    },
    Package {
        name: "python3",
        shown_by: Shown::Program("python3"),
        purpose: "schemathesis holds the server against its description",
    },
    Package {
        name: "python3-venv",
        shown_by: Shown::Module("ensurepip"),
        purpose: "schemathesis and Envoy are installed into an environment of their own",
    },
    CHROMIUM,
    CHROMEDRIVER,
    Package {
        name: "npm",
        shown_by: Shown::Program("npm"),
        purpose: "fetches axe-core, which checks pages for what keeps people out, and clients \
                  that talk to the server",
    },
    Package {
        name: "openssl",
        shown_by: Shown::Program("openssl"),
        purpose: "makes the certificates that mail servers in tests show",
    },
    Package {
        name: "systemd",
        shown_by: Shown::Program("systemd-analyze"),
        purpose: "systemd-analyze judges the unit that deploy/ has",
    },
];

/// What `cargo xtask screenshots` needs.
pub(crate) const FOR_SCREENSHOTS: &[Package] = &[CHROMIUM, CHROMEDRIVER, POSTGRESQL];

const POSTGRESQL: Package = Package {
    name: "postgresql",
    shown_by: Shown::Program("psql"),
    purpose: "tests of the store make clusters of their own with its programs",
};

const CHROMIUM: Package = Package {
    name: "chromium",
    shown_by: Shown::Program("chromium"),
    purpose: "browser tests have it show the console",
};

const CHROMEDRIVER: Package = Package {
    name: "chromium-driver",
    shown_by: Shown::Program("chromedriver"),
    purpose: "browser tests drive the browser with it",
};

/// What `cargo xtask bench` needs for its HTTP rows.
pub(crate) const FOR_BENCHMARKS: &[Package] = &[
    Package {
        name: "nginx-light",
        shown_by: Shown::Program("nginx"),
        purpose: "the proxy to compare with, and the upstream of both",
    },
    Package { name: "wrk", shown_by: Shown::Program("wrk"), purpose: "makes the load" },
    Package {
        name: "postgresql",
        shown_by: Shown::Program("psql"),
        purpose: "what nodes share, and pgbench to compare with",
    },
];

/// A program of somebody's crate, in the version that is known to do what we want of it.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Checks licences, sources, layering and advisories.
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// Builds for libFuzzer.
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

/// Installs in one go. Debian starts a server once it is installed, unless
/// policy-rc.d says no; one that is there already has its own opinion.
const INSTALL: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
"#;

/// Sees to it that the packages are installed, or says what the reader has to install.
pub(crate) fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("missing: {} ({})", package.name, package.purpose);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let by_hand =
        format!("install what is missing, then try again: apt-get install {}", names.join(" "));
    let Some(mut shell) = root_shell() else {
        bail!("{by_hand}");
    };
    if !succeeds(shell.args(["-c", INSTALL, "sh"]).args(&names))? {
        bail!("{by_hand}");
    }
    match self::missing(packages).first() {
        None => Ok(()),
        Some(package) => bail!("{} is installed, but does not work", package.name),
    }
}

/// Sees to it that rustfmt and clippy are there.
pub(crate) fn ensure_components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if quietly(&mut cargo(&[subcommand, "--version"])) {
            continue;
        }
        println!("missing: {component}");
        let mut rustup = Command::new("rustup");
        if !succeeds(rustup.args(["component", "add", component]))? {
            bail!("install it, then try again: rustup component add {component}");
        }
    }
    Ok(())
}

/// Whether rustup has a nightly toolchain. One is not installed without being asked for.
pub(crate) fn has_nightly() -> bool {
    quietly(Command::new("rustup").args(["run", "nightly", "rustc", "--version"]))
}

/// The tool in our version; builds it, once, where there is none.
pub(crate) fn ensure_tool(tool: &Tool) -> Result<PathBuf> {
    let Tool { name, version } = tool;
    let tools = target_dir().join("tools");
    let ours = tools.join("bin").join(name);
    let found = find(name).into_iter().chain([ours.clone()]);
    for program in found {
        if is(tool, &program) {
            return Ok(program);
        }
    }
    println!("missing: {name} {version}; building it once, for about a minute");
    let start = Instant::now();
    // An unoptimised one is sooner built, and its own work takes about a second.
    let mut install = cargo(&["install", "--locked", "--debug", "--force", name]);
    install
        .args(["--version", version, "--root"])
        .arg(&tools)
        .env("CARGO_TARGET_DIR", tools.join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    if !succeeds(&mut install)? || !is(tool, &ours) {
        bail!("cannot build {name} {version}");
    }
    println!("built in {} s", start.elapsed().as_secs());
    Ok(ours)
}

fn missing(packages: &[Package]) -> Vec<&Package> {
    packages.iter().filter(|package| !package.shown_by.is_there()).collect()
}

impl Shown {
    fn is_there(&self) -> bool {
        match self {
            Self::Program(program) => find(program).is_some(),
            Self::Module(module) => {
                quietly(Command::new("python3").args(["-c", &format!("import {module}")]))
            }
        }
    }
}

/// A shell that may install, where one is to be had without a question.
fn root_shell() -> Option<Command> {
    find("apt-get")?;
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        return Some(Command::new("sh"));
    }
    quietly(Command::new("sudo").args(["-n", "true"])).then(|| {
        let mut command = Command::new("sudo");
        command.args(["-n", "sh"]);
        command
    })
}

fn is(tool: &Tool, program: &PathBuf) -> bool {
    Command::new(program).arg("--version").output().context("not there").is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout);
        said.trim() == format!("{} {}", tool.name, tool.version)
    })
}

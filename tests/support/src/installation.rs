//! An installation: a home with a configuration file and a data directory in it.

use crate::{
    process::{Outcome, run},
    server::Server,
    upstream::Upstream,
};
use serde_json::Value;
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The administrator whom [`Installation::set_up`] makes.
pub const ADA: &str = "ada@example.com";

/// The five contracts' example files.
pub const EXAMPLES: [&str; 5] = ["facets", "togai", "selectstar", "finout", "aristotle"];

/// A home, and how programs are called there.
#[derive(Debug)]
pub struct Installation {
    home: TempDir,
    data: PathBuf,
    environment: Vec<(String, String)>,
    /// What is called: a build of ours.
    program: PathBuf,
    /// A program that calls ours, and its arguments; none: it is called directly.
    through: Vec<String>,
}

/// A build of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    Present,
    /// The one before, which `cargo xtask earlier` builds.
    Earlier,
}

/// A token as it was issued.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: String,
    pub secret: String,
    pub owner: String,
    pub organization: String,
    /// All that was printed.
    pub json: Value,
}

impl Installation {
    /// One with this configuration, whose listeners have ports of their own.
    pub fn new(configuration: &str) -> Self {
        let installation = Self::without_configuration();
        std::fs::write(installation.configuration(), configuration).unwrap();
        installation
    }

    pub fn without_configuration() -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let (environment, through) = (Vec::new(), Vec::new());
        let program = built("counterfoil");
        let mut installation = Self { home, data, environment, program, through };
        for listener in ["SERVER", "GATEWAY", "FORWARD_AUTH", "METRICS"] {
            installation.set(&format!("COUNTERFOIL_{listener}_LISTEN"), "127.0.0.1:0");
        }
        installation
    }

    /// One with the five example files as they are, in front of one upstream.
    pub fn of_examples(upstream: &Upstream) -> Self {
        let files = EXAMPLES.map(|name| std::fs::read_to_string(example(name)).unwrap());
        let mut installation = Self::new(&files.join("\n"));
        for name in EXAMPLES {
            let variable = format!("COUNTERFOIL_API_{}_UPSTREAM", name.to_uppercase());
            installation.set(&variable, &upstream.url());
        }
        installation
    }

    /// Sets an environment variable for every program that is called here.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment.retain(|(name, _)| name != variable);
        self.environment.push((variable.to_owned(), value.to_owned()));
    }

    /// Takes one back.
    pub fn unset(&mut self, variable: &str) {
        self.environment.retain(|(name, _)| name != variable);
    }

    /// Has the release before the present one called, or the present one again.
    pub fn call(&mut self, release: Release) {
        self.program = match release {
            Release::Present => built("counterfoil"),
            Release::Earlier => built("earlier/counterfoil"),
        };
    }

    /// Has ours called by another program.
    pub fn call_through(&mut self, program: Vec<String>) {
        self.through = program;
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// Has the data directory elsewhere.
    pub fn set_data(&mut self, data: &Path) {
        data.clone_into(&mut self.data);
    }

    pub fn configuration(&self) -> PathBuf {
        self.home().join("counterfoil.toml")
    }

    /// Our program, about to be called.
    pub fn command(&self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Command {
        let mut command = match &self.through[..] {
            [] => Command::new(&self.program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
        };
        for name in inherited() {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        command.env("COUNTERFOIL_DATA", &self.data);
        if self.configuration().exists() {
            command.env("COUNTERFOIL_CONFIG", self.configuration());
        }
        command.current_dir(self.home()).args(arguments);
        command
    }

    /// Calls our program.
    pub fn cli(&self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Outcome {
        run(&mut self.command(arguments), &[])
    }

    /// Calls our program with something to read.
    pub fn cli_reading(
        &self,
        input: &str,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Outcome {
        run(&mut self.command(arguments), input.as_bytes())
    }

    /// Makes the first organization, and Ada its administrator.
    #[must_use]
    pub fn set_up(self) -> Self {
        self.cli(["init", "--email", ADA]).done();
        self
    }

    /// Issues a token of Ada's; `arguments` say what else there is to say.
    #[track_caller]
    pub fn issue(&self, api: &str, arguments: &[&str]) -> Token {
        self.issue_to(ADA, api, arguments)
    }

    #[track_caller]
    pub fn issue_to(&self, owner: &str, api: &str, arguments: &[&str]) -> Token {
        let first = ["token", "create", "--json", "--owner", owner, "--api", api];
        Token::of(self.cli(first.iter().chain(arguments)).done().json())
    }

    pub fn start(self) -> Server {
        Server::start(self)
    }
}

impl Token {
    #[track_caller]
    pub fn of(json: Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            id: text(&json["token"]["id"]),
            secret: text(&json["secret"]),
            owner: text(&json["token"]["owner"]),
            organization: text(&json["token"]["organization"]),
            json,
        }
    }
}

/// The variables that would have a say in what these tests are about.
#[expect(clippy::disallowed_methods, reason = "it is read to be kept out")]
fn inherited() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_string_lossy().starts_with("COUNTERFOIL_"))
}

/// Where an example file is.
pub fn example(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../../examples").join(name).with_extension("toml")
}

/// A file among what cargo builds, or `cargo xtask test` installs, near this very program.
pub fn built(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let mut places = this.ancestors().skip(1).map(|directory| directory.join(name));
    let found = places.find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not there; `cargo xtask test` makes it"))
}

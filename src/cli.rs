//! The command line.
//!
//! Exit codes: 0 done; 1 it could not be done; 2 what was asked for is wrong
//! (the command line, a value in it, or the configuration).

mod access_tokens;
mod accounts;
mod audit;
mod backup;
mod configuration;
mod demo;
mod denials;
mod import;
mod invitations;
mod keys;
mod ledger;
mod nodes;
mod operator;
mod organizations;
mod output;
mod progress;
mod restore;
mod sample;
mod serve;
mod tokens;
mod usage;
mod verify;
mod why;

use clap::{
    ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::ErrorKind, parser::ValueSource,
};
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode};

/// The API-token server that a company runs beside its API.
#[derive(Debug, Parser)]
#[command(name = "counterfoil", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 it could not be done; 2 the command line, a value \
     in it or the configuration is wrong.\nWhat was asked for goes to standard output, everything else to \
     standard error.";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file [default: counterfoil.toml, then /etc/counterfoil/counterfoil.toml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "COUNTERFOIL_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// The data directory [default: counterfoil-data]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "COUNTERFOIL_DATA",
        hide_env_values = true
    )]
    data: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    /// Print only what was asked for: the secret, or ids
    #[arg(long, short, global = true, conflicts_with = "json")]
    quiet: bool,
}

impl Global {
    fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| "counterfoil-data".into())
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// How many, up to 1000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Where to go on: the `next_cursor` of the list before
    #[arg(long)]
    cursor: Option<String>,
}

impl Part {
    /// As parameters of a query.
    fn parameters(self) -> [(&'static str, Option<String>); 2] {
        [("cursor", self.cursor), ("limit", Some(self.limit.to_string()))]
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve {
        /// Try it: throw-away data, five example APIs and a sample upstream, all on loopback
        #[arg(long)]
        demo: bool,
    },
    /// Make the first organization and its administrator; before or while the server runs
    Init {
        /// The administrator's e-mail address
        #[arg(long)]
        email: String,
        /// A file with the administrator's password (its first line); - reads standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// What the organization is called
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
    },
    /// Check or explain the configuration
    #[command(subcommand)]
    Config(configuration::Command),
    /// Issue, list and end tokens
    #[command(subcommand)]
    Token(tokens::Command),
    /// Take over tokens that were issued elsewhere, by their digests: all of them or none
    Import(import::Import),
    /// People and programs
    #[command(subcommand)]
    Account(accounts::Command),
    /// Customers and who belongs to them
    #[command(subcommand)]
    Organization(organizations::Command),
    /// Links by which people join an organization
    #[command(subcommand)]
    Invitation(invitations::Command),
    /// Say how often tokens were used, by hour and outcome
    Usage(usage::Usage),
    /// Ask whether a request would be let through; exit code 1 when it would be refused
    Verify(verify::Verify),
    /// Say why a request was refused
    Why {
        /// The `X-Request-Id` of the refusal
        request_id: String,
    },
    /// Who changed what, and when
    Audit(audit::Audit),
    /// The log of every change
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Copy the database while the server runs, or without one
    Backup(backup::Backup),
    /// Put a backup back, and take away again what was taken away since
    Restore(restore::Restore),
    /// The keys that sign access tokens
    #[command(subcommand)]
    Keys(keys::Command),
    /// The servers that share this database, and how each of them is
    Nodes(nodes::Nodes),
    /// Try an API that is made for volume: an upstream that counts events, and load for it
    #[command(subcommand)]
    Sample(sample::Command),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Why a command failed, and how it exits.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done: exit code 1.
    Failed(anyhow::Error),
    /// What was asked for is wrong: exit code 2.
    Wrong(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    // Whatever is written is for this user alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let line = read_command_line();
    let (error, code) = match dispatch(line) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => (error, 1),
        Err(Failure::Wrong(error)) => (error, 2),
    };
    // A reader that has seen enough, such as head, is no failure of ours.
    let broken_pipe = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
    if broken_pipe {
        return ExitCode::SUCCESS;
    }
    output::note(format_args!("counterfoil: {error:#}"));
    ExitCode::from(code)
}

fn read_command_line() -> CommandLine {
    let mut command = CommandLine::command();
    let matches = command.get_matches_mut();
    if let Some(serve) = matches.subcommand_matches("serve")
        && configures_demo(serve)
    {
        let mistake = "the argument '--demo' cannot be used with '--config <FILE>'";
        command.error(ErrorKind::ArgumentConflict, mistake).exit();
    }
    CommandLine::from_arg_matches(&matches)
        .unwrap_or_else(|error| error.format(&mut command).exit())
}

/// Whether the demonstration is to have a configuration of its own. Only the
/// flag asks for that: the variable is there for other commands too.
fn configures_demo(serve: &ArgMatches) -> bool {
    serve.get_flag("demo") && serve.value_source("config") == Some(ValueSource::CommandLine)
}

fn dispatch(line: CommandLine) -> Result<(), Failure> {
    let global = &line.global;
    match line.command {
        Command::Config(command) => configuration::run(global, &command),
        Command::Completions { shell } => {
            // By way of memory: clap_complete panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut CommandLine::command(), "counterfoil", &mut script);
            Ok(output::print(format_args!("{}", String::from_utf8_lossy(&script).trim_end()))?)
        }
        Command::Serve { demo } => wait_for(serve::run(global, demo)),
        Command::Init { email, password_file, organization } => wait_for(accounts::initialise(
            global,
            &email,
            password_file.as_deref(),
            organization.as_deref(),
        )),
        Command::Token(command) => wait_for(tokens::run(global, command)),
        Command::Import(import) => wait_for(import::run(global, import)),
        Command::Account(command) => wait_for(accounts::run(global, command)),
        Command::Organization(command) => wait_for(organizations::run(global, command)),
        Command::Invitation(command) => wait_for(invitations::run(global, command)),
        Command::Usage(usage) => wait_for(usage::run(global, usage)),
        Command::Verify(verify) => wait_for(verify::run(global, verify)),
        Command::Why { request_id } => wait_for(why::run(global, &request_id)),
        Command::Audit(audit) => wait_for(audit::run(global, audit)),
        Command::Ledger(command) => wait_for(ledger::run(global, &command)),
        Command::Backup(backup) => wait_for(backup::run(global, &backup)),
        Command::Restore(restore) => wait_for(restore::run(global, restore)),
        Command::Keys(command) => wait_for(keys::run(global, &command)),
        Command::Nodes(nodes) => wait_for(nodes::run(global, nodes)),
        Command::Sample(command) => wait_for(sample::run(global, command)),
    }
}

/// What a list looks like to people.
struct Listing<'a, Row> {
    /// What to say where there is nothing.
    empty: &'a str,
    headings: &'a [&'a str],
    /// The field that names an item: all that scripts get of it.
    id: &'a str,
    row: Row,
    /// The option that goes on where the list ended.
    more: &'a str,
}

impl<Row: Fn(&Value) -> Vec<String>> Listing<'_, Row> {
    /// Prints what the API answered, and how to see the rest where there is more.
    fn print(&self, global: &Global, found: &Value) -> Result<(), Failure> {
        if global.json {
            return Ok(output::json(found)?);
        }
        let items: Vec<&Value> = found["items"].as_array().into_iter().flatten().collect();
        if global.quiet {
            for item in items {
                output::print(format_args!("{}", output::text(&item[self.id])))?;
            }
        } else if items.is_empty() {
            output::note(format_args!("{}", self.empty));
        } else {
            output::table(self.headings, items.into_iter().map(&self.row))?;
        }
        if let Some(cursor) = found["next_cursor"].as_str() {
            output::note(format_args!("There is more: add {} {cursor}", self.more));
        }
        Ok(())
    }
}

fn wait_for(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// Every command's own help, one after the other.
    fn reference() -> String {
        fn describe(page: &mut String, command: &mut clap::Command, path: &str) {
            let name = format!("{path}{}", command.get_name());
            let help = command.clone().bin_name(&name).render_help().to_string();
            let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
            let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim());
            for inner in command.get_subcommands_mut().filter(|c| c.get_name() != "help") {
                describe(page, inner, &format!("{name} "));
            }
        }
        let mut page = String::from(
            "# The command line\n\n<!-- Generated from src/cli; its test rewrites this page when\n     \
             COUNTERFOIL_UPDATE_DOCS is set. -->\n",
        );
        let mut command = CommandLine::command().term_width(88);
        command.build();
        describe(&mut page, &mut command, "");
        page
    }

    #[test]
    fn the_reference_is_current() {
        crate::generated_page::check("command-line.md", &reference());
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }
}

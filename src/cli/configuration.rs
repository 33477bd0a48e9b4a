//! `counterfoil config`, and how every command finds its configuration.

use super::{Failure, Global, output};
use crate::{
    access_tokens::OWN_KEYS_OF_MANY,
    clock,
    config::{self, Config, Environment, Loaded, Source},
};
use anyhow::anyhow;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a first configuration file, to start from
    Init {
        /// Where to
        #[arg(default_value = "counterfoil.toml")]
        file: PathBuf,
    },
    /// Say whether a configuration is sound, and if not, what is wrong where
    Check {
        /// Which file [default: the one that the server would read]
        file: Option<PathBuf>,
    },
    /// Print every setting with its default, its variable and its meaning
    Reference,
}

/// What a first configuration file says.
const FIRST_FILE: &str = include_str!("../../examples/first.toml");

/// The API that there is to try when nothing is configured. Its upstream is
/// whatever port the server's own sample gets.
const SAMPLE: &str = "[api.sample]\nupstream = \"http://127.0.0.1:9\"\n";

pub(crate) fn run(global: &Global, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Reference => {
            Ok(output::print(format_args!("{}", config::reference().trim_end()))?)
        }
        Command::Check { file } => {
            let explicit = file.as_deref().or(global.config.as_deref());
            let source = find(explicit)?;
            let loaded = read(source.as_ref())?;
            warn(&loaded.warnings);
            warn(&concerns(&loaded.config));
            let name = source.map_or("no configuration file".to_owned(), |source| source.name);
            let apis = loaded.config.apis.len();
            let noun = if apis == 1 { "API" } else { "APIs" };
            output::note(format_args!("{name}: sound, {apis} {noun}"));
            Ok(())
        }
        Command::Init { file } => {
            use std::io::Write as _;
            let mut made = std::fs::File::create_new(file).map_err(|error| {
                Failure::Failed(anyhow!("{} cannot be made: {error}", file.display()))
            })?;
            made.write_all(FIRST_FILE.as_bytes())?;
            output::note(format_args!(
                "wrote {}; change it, then try it with `counterfoil config check`",
                file.display()
            ));
            Ok(())
        }
    }
}

/// The configuration for a command: the file's, or the built-in sample.
pub(crate) fn load(global: &Global) -> Result<Config, Failure> {
    let loaded = match find(global.config.as_deref())? {
        Some(source) => read(Some(&source))?,
        None => sample()?,
    };
    warn(&loaded.warnings);
    Ok(loaded.config)
}

/// The configuration once more, while a server runs on it.
pub(crate) fn load_again(file: Option<&std::path::Path>) -> anyhow::Result<Config> {
    let source =
        config::find(file)?.ok_or_else(|| anyhow!("there is no configuration file to read"))?;
    let loaded = Config::load(Some(&source), &Environment::of_process())
        .map_err(|mistakes| anyhow!("{mistakes}"))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.config)
}

/// Whether no configuration file is there, so that the sample is what there is.
pub(crate) fn is_sample(global: &Global) -> Result<bool, Failure> {
    Ok(find(global.config.as_deref())?.is_none())
}

/// Reads a configuration that is built in.
pub(crate) fn built_in(name: &str, text: String) -> Result<Loaded, Failure> {
    read(Some(&Source { name: name.to_owned(), text }))
}

fn sample() -> Result<Loaded, Failure> {
    built_in("the built-in sample", SAMPLE.to_owned())
}

fn find(explicit: Option<&std::path::Path>) -> Result<Option<Source>, Failure> {
    config::find(explicit).map_err(|error| Failure::Wrong(anyhow!("{error}")))
}

fn read(source: Option<&Source>) -> Result<Loaded, Failure> {
    Config::load(source, &Environment::of_process())
        .map_err(|mistakes| Failure::Wrong(anyhow!("the configuration is wrong\n{mistakes}")))
}

/// What there is to know of what is in order otherwise: certificates, and keys.
fn concerns(config: &Config) -> Vec<String> {
    let listeners = [
        ("server", &config.server.tls),
        ("gateway", &config.gateway.tls),
        ("forward_auth", &config.forward_auth.tls),
    ];
    let each = listeners.into_iter().filter_map(|(name, files)| Some((name, files.as_ref()?)));
    let each = each.flat_map(|(name, files)| {
        let concerns = files.concerns(clock::now()).into_iter();
        concerns.map(move |(setting, why)| format!("{name}.tls.{}: {why}", setting.name()))
    });
    let has_access_tokens =
        config.apis.iter().any(|protected| protected.api.access_tokens.is_some());
    let is_trap = has_access_tokens
        && config.database.server.is_some()
        && config.signing.keys_directory.is_none();
    each.chain(is_trap.then(|| OWN_KEYS_OF_MANY.to_owned())).collect()
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        output::note(format_args!("counterfoil: warning: {warning}"));
    }
}

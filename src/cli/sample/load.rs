//! `counterfoil sample load`: events by each of the three ways in, and a summary.

use super::{
    super::{
        Failure, Global,
        operator::read_secret,
        output,
        progress::{Line, count},
    },
    measured::{Measured, Way},
    sending::{Bounds, Gateway, Refused, So},
};
use anyhow::anyhow;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use http::{HeaderValue, Uri};
use serde_json::json;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// How long it may take where requests are counted.
const LONGEST: u64 = 60;

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Where the gateway, on this machine, has the API
    #[arg(long, default_value = "http://127.0.0.1:8081/togai")]
    url: Uri,
    /// A file with a token's secret (its first line); - reads standard input
    #[arg(long, value_name = "FILE", required_unless_present = "email")]
    secret_file: Option<PathBuf>,
    /// Whose password is tried, too
    #[arg(long, requires = "password_file")]
    email: Option<String>,
    /// A file with that password (its first line); - reads standard input
    #[arg(long, value_name = "FILE", requires = "email")]
    password_file: Option<PathBuf>,
    /// For how long each way is used [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    seconds: Option<u64>,
    /// How many requests there are by each way, if that is less
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    requests: Option<u64>,
    /// How many events a request has
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    events: u64,
    /// How many requests are under way at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,
}

/// What proves who sends, by the way in.
struct Credentials {
    secret: Option<HeaderValue>,
    password: Option<HeaderValue>,
}

pub(crate) async fn run(global: &Global, load: &Load) -> Result<(), Failure> {
    is_here(&load.url)?;
    let credentials = Credentials::read(load)?;
    let gateway = Gateway::new(&load.url, load.events);
    let mut measured = Vec::new();
    for way in Way::ALL {
        let Some(obtained) = credentials.obtain(way, &gateway).await? else { continue };
        let outcome = match obtained {
            Ok(credential) => by(way, credential, load, &gateway, global.quiet).await,
            Err(refused) => Measured::refused(way, &refused),
        };
        measured.push(outcome);
    }
    if global.json {
        let ways: Vec<_> = measured.iter().map(Measured::json).collect();
        output::json(&json!({"ways": ways}))?;
    } else {
        tell(&measured, global.quiet)?;
    }
    if measured.iter().all(Measured::is_nothing) {
        return Err(Failure::Failed(anyhow!("no event was taken, by any way")));
    }
    Ok(())
}

/// Uses one way in, and says how far it is.
async fn by(
    way: Way,
    credential: HeaderValue,
    load: &Load,
    gateway: &Arc<Gateway>,
    quiet: bool,
) -> Measured {
    let default = if load.requests.is_some() { LONGEST } else { 10 };
    let bounds = Bounds {
        time: Duration::from_secs(load.seconds.unwrap_or(default)),
        requests: load.requests,
        connections: load.connections,
    };
    let text = |so: &So| {
        let line = format!("{:<14}{:>16} events", way.name(), count(so.events));
        format!("{line}{:>14} a second{:>8} refused", count(so.a_second()), count(so.refused))
    };
    let mut line = (!quiet).then(Line::new);
    let sent = gateway
        .send(credential, &bounds, |so| {
            if let Some(line) = &mut line {
                line.say(&text(so));
            }
        })
        .await;
    if let Some(line) = line {
        line.end(&text(&sent.so()));
    }
    Measured::of(way, sent)
}

fn tell(measured: &[Measured], quiet: bool) -> Result<(), Failure> {
    let headings = ["way in", "requests/s", "events/s", "events", "p50 ms", "p99 ms", "refused"];
    output::table(&headings, measured.iter().map(Measured::row))?;
    if quiet {
        return Ok(());
    }
    output::print(format_args!(""))?;
    for measured in measured {
        output::print(format_args!("{}: {}", measured.way.name(), measured.way.purpose()))?;
        if let Some(why) = measured.ended() {
            output::note(format_args!("{}: it ended early: {why}", measured.way.name()));
        }
    }
    Ok(())
}

/// A load is for one's own machine; and a secret, unencrypted, for nobody else's.
fn is_here(url: &Uri) -> Result<(), Failure> {
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let here = address.map_or(host == "localhost", |address| address.is_loopback());
    if here && url.scheme_str() == Some("http") {
        return Ok(());
    }
    Err(Failure::Wrong(anyhow!(
        "the load is for a gateway on this machine, such as http://127.0.0.1:8081/togai, and {url} \
         is not on a loopback address"
    )))
}

impl Credentials {
    fn read(load: &Load) -> Result<Self, Failure> {
        let stdin = Some(Path::new("-"));
        if load.secret_file.as_deref() == stdin && load.password_file.as_deref() == stdin {
            let twice = "only one of the secret and the password can be read from standard input";
            return Err(Failure::Wrong(anyhow!(twice)));
        }
        let secret = load.secret_file.as_deref().map(read_secret).transpose()?;
        let secret = secret.map(Zeroizing::new);
        let password = load.password_file.as_deref().map(read_secret).transpose()?;
        let password = load.email.as_deref().zip(password.map(Zeroizing::new));
        Ok(Self {
            secret: secret.map(|secret| field("Bearer", &secret)).transpose()?,
            password: password
                .map(|(email, password)| {
                    let pair = Zeroizing::new(format!("{email}:{}", password.as_str()));
                    field("Basic", &BASE64_STANDARD.encode(pair.as_bytes()))
                })
                .transpose()?,
        })
    }

    /// What goes into `Authorization`; nothing, where a way cannot be tried.
    async fn obtain(
        &self,
        way: Way,
        gateway: &Gateway,
    ) -> Result<Option<Result<HeaderValue, Refused>>, Failure> {
        let Some(secret) = &self.secret else {
            return Ok(self.password.clone().filter(|_| way == Way::Password).map(Ok));
        };
        Ok(match way {
            Way::Secret => Some(Ok(secret.clone())),
            Way::AccessToken => Some(match gateway.authenticate(secret.clone()).await? {
                Ok(token) => Ok(field("Bearer", &token)?),
                Err(refused) => Err(refused),
            }),
            Way::Password => self.password.clone().map(Ok),
        })
    }
}

fn field(scheme: &str, credential: &str) -> Result<HeaderValue, Failure> {
    // Not repeated: it is a secret.
    let wrong =
        |_| Failure::Wrong(anyhow!("there is a character in the secret that no header has"));
    let mut field = HeaderValue::try_from(format!("{scheme} {credential}")).map_err(wrong)?;
    field.set_sensitive(true);
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_stays_on_this_machine() {
        for here in ["http://127.0.0.1:8081/togai", "http://[::1]:1", "http://localhost/x"] {
            assert!(is_here(&here.parse().unwrap()).is_ok(), "{here}");
        }
        for elsewhere in [
            "http://192.0.2.1/",
            "http://localhost.example.com/",
            "https://127.0.0.1/",
            "http://127.0.0.1.example.com/",
            "http://127.0.0.1@192.0.2.1/",
            "/togai",
        ] {
            assert!(is_here(&elsewhere.parse().unwrap()).is_err(), "{elsewhere}");
        }
    }
}

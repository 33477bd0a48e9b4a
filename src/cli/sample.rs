//! `counterfoil sample`: an API that is made for volume, to try one on.

mod load;
mod measured;
mod sending;

use super::{Failure, Global, output};
use crate::http::sample_upstream;
use anyhow::anyhow;
use clap::Subcommand;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an upstream that counts events: POST batches of them to /ingest, GET the total
    Upstream {
        /// Where it listens
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
    },
    /// Send events by each way in, one after the other, and say how many a second there were
    Load(load::Load),
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Upstream { listen } => upstream(listen).await,
        Command::Load(load) => load::run(global, &load).await,
    }
}

/// Serves until it is interrupted.
async fn upstream(listen: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        anyhow!("{listen} cannot be listened on: {error}; name another address with --listen")
    })?;
    output::print(format_args!("http://{}", listener.local_addr()?))?;
    sample_upstream::serve(listener, CancellationToken::new()).await;
    Ok(())
}

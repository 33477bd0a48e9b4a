//! Places for connections: as many as there are file descriptors to spare.
//!
//! What strangers open must leave enough for the database and for the operator,
//! who may want to revoke a token just then.

use super::{arrival::Accepted, in_time::InTime, listen::Listener};
use crate::tls::Certificate;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Descriptors for the database, the listeners and the operator.
const RESERVE: u64 = 128;
/// What a connection to the gateway takes: itself, one to the upstream, and one there
/// that waits to be used again.
const EACH: u64 = 3;
/// The most that are of use to one process.
const MOST: u64 = 1 << 20;

/// The places that this process has, shared out.
#[derive(Debug)]
pub(crate) struct Places {
    /// For the gateway, where strangers are.
    pub(crate) public: Arc<Semaphore>,
    /// For each of the three other listeners: a connection there takes one descriptor.
    private: usize,
}

impl Places {
    /// How many places this process's limit has room for.
    pub(crate) fn in_all() -> usize {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST);
        usize::try_from(limit.saturating_sub(RESERVE) / EACH).unwrap_or(1).max(1)
    }

    /// Raises this process's limit as far as it may, and divides what it then is.
    pub(crate) fn of_process() -> Self {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let wanted = maximum.unwrap_or(MOST).min(MOST);
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            tracing::debug!(%error, "the limit of file descriptors stays as it is");
        }
        let places = Self::in_all();
        let private = (places / 4).max(1);
        let public = places.saturating_sub(private).max(1);
        tracing::debug!(public, private, "places for connections");
        Self { public: Arc::new(Semaphore::new(public)), private }
    }

    /// For one of the other listeners. A flood at the gateway or at the management API,
    /// where strangers are too, must not keep proxies from asking, nor whoever watches out.
    pub(crate) fn of_listener(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(self.private))
    }
}

/// A listener that accepts no more than there are places for.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) listener: TcpListener,
    pub(crate) places: Arc<Semaphore>,
    /// What is shown there, where TLS is spoken.
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl Listener for Bounded {
    type Arrival = Accepted<OwnedSemaphorePermit>;
    type Peer = SocketAddr;

    async fn next(&mut self) -> std::io::Result<(Self::Arrival, SocketAddr)> {
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, peer) = self.listener.next().await?;
        let stream = InTime::new(stream, place);
        Ok((Accepted { stream, certificate: self.certificate.clone() }, peer))
    }
}

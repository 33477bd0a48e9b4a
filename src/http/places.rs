//! Places for connections: as many as there are file descriptors to spare.
//!
//! What strangers open must leave enough for the database and for the operator,
//! who may want to revoke a token just then. And connections that only rest must leave
//! enough for those that the requests of others need to the upstreams.

use super::{arrival::Accepted, in_time::InTime, listen::Listener};
use crate::tls::Certificate;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Descriptors for the database, the listeners and the operator.
const RESERVE: u64 = 128;
/// Into how many parts the rest is divided. What is not named below is the gateway's.
const PARTS: usize = 16;
/// Those of each of the three other listeners.
const PRIVATE: usize = 1;
/// Those that only connections to upstreams take.
const ONWARD: usize = 3;
/// The most that are of use to one process.
const MOST: u64 = 1 << 20;

/// The places that this process has, shared out.
#[derive(Debug)]
pub(crate) struct Places {
    /// For the gateway, where strangers are.
    pub(crate) public: Arc<Semaphore>,
    /// For each of the three other listeners.
    private: usize,
    /// For connections to upstreams, before they take those of the gateway.
    onward: Arc<Semaphore>,
    /// How many connections to upstreams wait unused, at most.
    pub(crate) idle: usize,
}

impl Places {
    /// Those of this process, whose limit is raised as far as it may be.
    pub(crate) fn of_process() -> &'static Self {
        static PLACES: LazyLock<Places> = LazyLock::new(|| {
            raise_limit();
            let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST);
            Places::within(usize::try_from(limit.saturating_sub(RESERVE)).unwrap_or_default())
        });
        &PLACES
    }

    /// Divides so many file descriptors.
    fn within(descriptors: usize) -> Self {
        let part = |parts: usize| (descriptors / PARTS * parts).max(1);
        let (private, onward) = (part(PRIVATE), part(ONWARD));
        let public = descriptors.saturating_sub(3 * private + onward).max(1);
        tracing::debug!(public, private, onward, "places for connections");
        Self {
            public: Arc::new(Semaphore::new(public)),
            private,
            onward: Arc::new(Semaphore::new(onward)),
            // The others are for requests that find none of these.
            idle: onward / 2,
        }
    }

    /// For one connection to an upstream, if there is one. Where clients leave places, as
    /// many of these can be had as there are clients.
    pub(crate) fn onward(&self) -> Option<OwnedSemaphorePermit> {
        let own = self.onward.clone().try_acquire_owned();
        own.or_else(|_| self.public.clone().try_acquire_owned()).ok()
    }

    /// For one of the other listeners. A flood at the gateway or at the management API,
    /// where strangers are too, must not keep proxies from asking, nor whoever watches out.
    pub(crate) fn of_listener(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(self.private))
    }
}

fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MOST).min(MOST);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_descriptors_have_a_place() {
        for descriptors in [0, 1, 20, 128, 896, 19_872, 1 << 20] {
            let places = Places::within(descriptors);
            let all = places.public.available_permits()
                + 3 * places.private
                + places.onward.available_permits();
            assert_eq!(all, descriptors.max(5), "{descriptors}");
            assert!(places.idle <= places.onward.available_permits() / 2);
        }
        // What is held at once where 20,000 may be open, as on many a machine.
        assert!(Places::within(19_872).public.available_permits() > 11_000);
    }

    #[test]
    fn clients_leave_some_for_upstreams() {
        let places = Places::within(16);
        let clients = places.public.clone().try_acquire_many_owned(10).unwrap();
        assert!(places.public.clone().try_acquire_owned().is_err());
        let mut onward: Vec<_> = std::iter::from_fn(|| places.onward()).collect();
        assert_eq!(onward.len(), 3);
        // What clients leave goes on to upstreams, and back.
        drop(clients);
        onward.extend(std::iter::from_fn(|| places.onward()));
        assert_eq!(onward.len(), 13);
        drop(onward);
        assert_eq!(places.public.available_permits(), 10);
    }
}

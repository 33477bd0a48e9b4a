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

/// The places of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    /// Fewer than these are few.
    few: usize,
}

impl Room {
    fn of(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), few: places / 16 }
    }

    /// Whether hardly any is left: then whoever only rests has to go.
    pub(super) fn is_crowded(&self) -> bool {
        self.places.available_permits() < self.few
    }
}

/// The places that this process has, shared out.
#[derive(Debug)]
pub(crate) struct Places {
    /// For the gateway, where strangers are.
    pub(crate) public: Room,
    /// How many of those are left to its clients.
    left: usize,
    /// For each of the three other listeners.
    private: usize,
    /// For connections to upstreams, before they take those of the gateway.
    onward: Arc<Semaphore>,
    /// How many connections to upstreams wait unused, at most.
    pub(crate) idle: usize,
    /// How many connections to upstreams there can be.
    most_onward: usize,
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
            public: Room::of(public),
            left: public / 4,
            private,
            onward: Arc::new(Semaphore::new(onward)),
            // The others are for requests that find none of these.
            idle: onward / 2,
            most_onward: onward + (public - public / 4),
        }
    }

    /// For one connection to an upstream, if there is one. These may be clients' places, too,
    /// but for a quarter: whoever has many requests on few connections must not shut others
    /// out.
    pub(crate) fn onward(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(own) = self.onward.clone().try_acquire_owned() {
            return Some(own);
        }
        let public = &self.public.places;
        let is_left = public.available_permits() > self.left;
        is_left.then(|| public.clone().try_acquire_owned().ok()).flatten()
    }

    /// How many connections to its upstreams one of so many APIs may have: where there are
    /// others, it leaves them a quarter.
    pub(crate) fn of_api(&self, apis: usize) -> usize {
        if apis > 1 { (self.most_onward / 4 * 3).max(1) } else { self.most_onward }
    }

    /// For one of the other listeners. A flood at the gateway or at the management API,
    /// where strangers are too, must not keep proxies from asking, nor whoever watches out.
    pub(crate) fn of_listener(&self) -> Room {
        Room::of(self.private)
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
    pub(crate) room: Room,
    /// What is shown there, where TLS is spoken.
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl Listener for Bounded {
    type Arrival = Accepted<OwnedSemaphorePermit>;
    type Peer = SocketAddr;

    async fn next(&mut self) -> std::io::Result<(Self::Arrival, SocketAddr)> {
        // The semaphore is never closed.
        let place =
            self.room.places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, peer) = self.listener.next().await?;
        let stream = InTime::of_client(stream, place);
        Ok((Accepted { stream, certificate: self.certificate.clone() }, peer))
    }

    fn room(&self) -> Option<Room> {
        Some(self.room.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_descriptors_have_a_place() {
        for descriptors in [0, 1, 20, 128, 896, 19_872, 1 << 20] {
            let places = Places::within(descriptors);
            let all = places.public.places.available_permits()
                + 3 * places.private
                + places.onward.available_permits();
            assert_eq!(all, descriptors.max(5), "{descriptors}");
            assert!(places.idle <= places.onward.available_permits() / 2);
        }
        // What is held at once where 20,000 may be open, as on many a machine.
        let places = Places::within(19_872);
        let clients = places.public.places.try_acquire_many(11_000).unwrap();
        assert!(!places.public.is_crowded());
        drop(clients);
    }

    #[test]
    fn clients_and_upstreams_leave_each_other_some() {
        let places = Places::within(160);
        let public = || places.public.places.clone();
        let all = || std::iter::from_fn(|| places.onward()).collect::<Vec<_>>();
        let clients = public().try_acquire_many_owned(100).unwrap();
        assert!(places.public.is_crowded() && public().try_acquire_owned().is_err());
        assert_eq!(all().len(), 30);
        // What clients leave goes on to upstreams, but for a quarter, and back.
        drop(clients);
        let onward = all();
        assert_eq!((onward.len(), places.of_api(1)), (105, 105));
        assert!(places.of_api(2) < 80);
        let clients = public().try_acquire_many_owned(25).unwrap();
        assert!(places.public.is_crowded());
        drop((onward, clients));
        assert_eq!(public().available_permits(), 100);
        assert!(!places.public.is_crowded());
    }
}

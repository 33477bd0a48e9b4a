//! The addresses of a name. However many ask at a time, it is looked up once: each look-up
//! takes a thread, and where names are not answered it takes that for long.

use hyper_util::client::legacy::connect::dns::Name;
use std::{
    io::{Error, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    vec,
};
use tokio::sync::watch;
use tower::Service;

type Found = Option<Result<Vec<SocketAddr>, (ErrorKind, String)>>;

/// Looks up the one name of an upstream.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    under_way: Arc<Mutex<Option<watch::Receiver<Found>>>>,
}

impl Names {
    /// What the look-up that is under way will have found, or else a new one.
    fn ask(&self, name: &Name) -> watch::Receiver<Found> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = &*under_way
            && asked.borrow().is_none()
            && asked.has_changed().is_ok()
        {
            return asked.clone();
        }
        let (tell, asked) = watch::channel(None);
        let name = name.as_str().to_owned();
        tokio::spawn(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map(Iterator::collect);
            tell.send_replace(Some(found.map_err(|error| (error.kind(), error.to_string()))));
        });
        *under_way = Some(asked.clone());
        asked
    }
}

impl Service<Name> for Names {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut asked = self.ask(&name);
        Box::pin(async move {
            let found = asked.wait_for(Option::is_some).await.map_err(Error::other)?.clone();
            match found {
                Some(Ok(addresses)) => Ok(addresses.into_iter()),
                Some(Err((kind, text))) => Err(Error::new(kind, text)),
                None => Err(Error::other("the look-up has not ended")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_at_a_time_shares_one_look_up() {
        let names = Names::default();
        let name: Name = "localhost".parse().unwrap();
        // Nothing else runs before the first wait.
        let (one, mut other) = (names.ask(&name), names.ask(&name));
        assert!(one.same_channel(&other));
        other.wait_for(Option::is_some).await.unwrap();
        assert!(!names.ask(&name).same_channel(&one));
        let found: Vec<_> = names.clone().call(name).await.unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn a_name_that_is_nobodys() {
        let mut names = Names::default();
        assert!(names.call("nobody.invalid".parse().unwrap()).await.is_err());
    }
}

//! New connections to an upstream: its name's addresses, one after the other, then TLS.

use super::{
    super::failure::{Failure, chain},
    io::Io,
    names::Names,
};
use crate::http::{in_time::InTime, places::Places};
use anyhow::Context as _;
use http::{Uri, uri::Authority};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{error::Error, io::ErrorKind, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tower::ServiceExt as _;

/// A connection's place: one of its API's, and one of all.
pub(super) struct Place(
    #[expect(dead_code, reason = "that it is there is what counts")] OwnedSemaphorePermit,
    #[expect(dead_code, reason = "that it is there is what counts")] OwnedSemaphorePermit,
);

/// Connects to one upstream.
pub(super) struct Connector {
    address: Uri,
    tcp: HttpConnector<Names>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    patience: Duration,
    /// Those of the API, among all that there are.
    places: Arc<Semaphore>,
}

impl Connector {
    /// One for the upstream at `url`, by TLS as `tls` has it where the URL wants that.
    pub(super) fn new(
        url: &Uri,
        tls: Option<(Arc<ClientConfig>, Option<ServerName<'static>>)>,
        patience: Duration,
        places: Arc<Semaphore>,
    ) -> anyhow::Result<Self> {
        let host = url.host().unwrap_or_default();
        let usual = if tls.is_some() { 443 } else { 80 };
        let authority: Authority = format!("{host}:{}", url.port_u16().unwrap_or(usual)).parse()?;
        let address = Uri::builder().scheme("http").authority(authority).path_and_query("/");
        let mut tcp = HttpConnector::new_with_resolver(Names::default());
        tcp.set_nodelay(true);
        // Of several addresses each gets a part.
        tcp.set_connect_timeout(Some(patience));
        let tls = match tls {
            None => None,
            Some((config, name)) => {
                let of_url = || {
                    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                    ServerName::try_from(host).context("the upstream's host")
                };
                let name = name.map_or_else(of_url, Ok)?;
                Some((TlsConnector::from(config), name))
            }
        };
        Ok(Self { address: address.build()?, tcp, tls, patience, places })
    }

    /// A new connection, or why there is none.
    pub(super) async fn connect(&self) -> Result<Io, Failure> {
        let own = self.places.clone().try_acquire_owned().map_err(|_| Failure::NoPlace)?;
        let place = Place(own, Places::of_process().onward().ok_or(Failure::NoPlace)?);
        timeout(self.patience, self.open(place)).await.unwrap_or(Err(Failure::Unconnected))
    }

    async fn open(&self, place: Place) -> Result<Io, Failure> {
        let stream = self.tcp.clone().oneshot(self.address.clone()).await;
        let stream = stream.map_err(|error| failure(&error))?.into_inner();
        // hyper asks for no more of a body while what it has of it is not taken.
        let stream = InTime::new(stream, place);
        match &self.tls {
            None => Ok(Io::plain(stream)),
            Some((tls, name)) => match tls.connect(name.clone(), stream).await {
                Ok(stream) => Ok(Io::tls(stream)),
                Err(error) => Err(failure(&error)),
            },
        }
    }
}

fn failure(error: &(dyn Error + 'static)) -> Failure {
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            if error.kind() == ErrorKind::TimedOut {
                return Failure::Unconnected;
            }
            // What it holds is not its source.
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match inner {
                Some(rustls::Error::InvalidCertificate(why)) => {
                    return Failure::Unreachable(format!("its certificate does not verify: {why}"));
                }
                Some(error) => return Failure::Unreachable(format!("TLS has failed: {error}")),
                None => {}
            }
        }
        source = error.source();
    }
    Failure::Unreachable(chain(error))
}

//! The certificates of the listeners that speak TLS.

use crate::{
    clock,
    config::Config,
    tls::{Certificate, Files, Unusable},
};
use anyhow::anyhow;
use std::sync::Arc;

/// By listener.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    pub(super) server: Option<Arc<Certificate>>,
    pub(super) gateway: Option<Arc<Certificate>>,
    pub(super) forward_auth: Option<Arc<Certificate>>,
}

impl Certificates {
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let open = |listener, files: &Option<Files>| {
            let Some(files) = files else { return Ok(None) };
            let opened = Certificate::open(listener, files.clone(), clock::now());
            opened.map(|certificate| Some(Arc::new(certificate))).map_err(
                |Unusable { setting, why }| anyhow!("{listener}.tls.{}: {why}", setting.name()),
            )
        };
        Ok(Self {
            server: open("server", &config.server.tls)?,
            gateway: open("gateway", &config.gateway.tls)?,
            forward_auth: open("forward_auth", &config.forward_auth.tls)?,
        })
    }

    /// All that there are.
    pub(super) fn all(&self) -> Vec<Arc<Certificate>> {
        [&self.server, &self.gateway, &self.forward_auth].into_iter().flatten().cloned().collect()
    }

    /// Reads them again, from where a new configuration has them.
    pub(super) fn renew(&self, config: &Config) {
        for (certificate, files) in [
            (&self.server, &config.server.tls),
            (&self.gateway, &config.gateway.tls),
            (&self.forward_auth, &config.forward_auth.tls),
        ] {
            if let (Some(certificate), Some(files)) = (certificate, files) {
                certificate.renew(files, clock::now());
            }
        }
    }

    /// Takes over what lies where it lay before.
    pub(super) fn look(&self) {
        for certificate in self.all() {
            certificate.look(clock::now());
        }
    }
}

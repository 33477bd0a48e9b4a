//! How an https upstream proves that it is the one.

use crate::config::UpstreamTls;
use anyhow::{Context as _, bail};
use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};
use std::sync::Arc;

/// What there is to speak is HTTP/1.1, and nothing else is offered.
const PROTOCOL: &[u8] = b"http/1.1";

/// What connections by TLS begin with.
pub(super) fn config(tls: &UpstreamTls) -> anyhow::Result<ClientConfig> {
    let mut trusted = RootCertStore::empty();
    if let Some(certificates) = &tls.authorities {
        for certificate in certificates {
            trusted.add(certificate.clone())?;
        }
    } else {
        let system = rustls_native_certs::load_native_certs();
        let (known, strange) = trusted.add_parsable_certificates(system.certs);
        tracing::debug!(known, strange, "the system's certificates");
        if known == 0 {
            let why = system.errors.first().map(|error| format!(": {error}"));
            bail!(
                "an https upstream's certificate is checked against the system's, and there \
                 are none{}; install them (ca-certificates), or name a ca_file in the API's \
                 upstream_tls",
                why.unwrap_or_default()
            );
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted);
    let mut config = match &tls.own {
        None => config.with_no_client_auth(),
        Some((certificates, key)) => config
            .with_client_auth_cert(certificates.clone(), key.clone_key())
            .context("the certificate to show to upstreams")?,
    };
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

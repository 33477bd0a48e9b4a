//! How a connection is protected.

use super::{
    connect::{Settings, TlsMode},
    error::OpenError,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use std::sync::Arc;

pub(super) fn config(settings: &Settings) -> Result<ClientConfig, OpenError> {
    let failed = |why: Error| OpenError::Settings(why.to_string());
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    if settings.tls != TlsMode::VerifyFull {
        let whoever = Arc::new(Whoever(provider));
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(whoever)
            .with_no_client_auth());
    }
    let mut trusted = RootCertStore::empty();
    if let Some(pem) = &settings.authorities {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|error| OpenError::Settings(error.to_string()))?;
            trusted.add(certificate).map_err(failed)?;
        }
    } else {
        let system = rustls_native_certs::load_native_certs();
        if trusted.add_parsable_certificates(system.certs).0 == 0 {
            return Err(OpenError::Settings(
                "the server's certificate is checked against the system's, and there are none; \
                 install them (ca-certificates), or name a ca_file in [database]"
                    .into(),
            ));
        }
    }
    Ok(builder.with_root_certificates(trusted).with_no_client_auth())
}

/// Takes any server for the one that is meant: who listens in hears nothing, but who stands in
/// between does.
#[derive(Debug)]
struct Whoever(Arc<CryptoProvider>);

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

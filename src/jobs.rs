//! What the server does by itself, now and then.

use crate::{
    access_tokens::AccessTokenKeys,
    clock, refusals,
    replica::Replica,
    service::{Service, idempotency},
    tls::Certificate,
    usage::{self, Usage},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often the ledger's head is logged.
const HEAD_EVERY: Duration = Duration::from_mins(1);

/// How often it is looked whether a signing key is due.
const KEYS_EVERY: Duration = Duration::from_mins(10);

/// How often keys are read again that nodes share.
const SHARED_KEYS_EVERY: Duration = Duration::from_mins(1);

/// How often it is looked whether a certificate was renewed, or is to be.
const CERTIFICATES_EVERY: Duration = Duration::from_mins(1);

/// How often what is too old is deleted.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// Logs the ledger's head when it has moved. Whoever can write to the database
/// can write a new chain; a log that is kept elsewhere would not agree with it.
pub(crate) async fn log_head(replica: Arc<Replica>, stop: CancellationToken) {
    let mut logged = replica.head();
    let mut ticks = tokio::time::interval(HEAD_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let head = replica.head();
        if head != logged {
            tracing::info!(ledger_head = head.number, head_hash = %head.hash, "ledger");
            logged = head;
        }
    }
}

/// Ends leaked tokens that could not be ended before, writes refusals down, and forgets
/// what is kept for a while only.
pub(crate) async fn keep_books(service: Arc<Service>, stop: CancellationToken) {
    let mut flushes = tokio::time::interval(refusals::FLUSH_EVERY);
    let mut forgets = tokio::time::interval(FORGET_EVERY);
    loop {
        tokio::select! {
            _ = flushes.tick() => {
                service.end_leaked().await;
                service.refusals.flush().await;
            }
            _ = forgets.tick() => {
                service.refusals.forget(clock::now()).await;
                idempotency::forget(&*service.store).await;
                service.forget_sessions(clock::now()).await;
            }
            () = stop.cancelled() => return,
        }
    }
}

/// Makes the next signing keys and removes those that have done their work, when it is time; or
/// follows what the operator does to keys that are shared.
pub(crate) async fn keep_keys(service: Arc<Service>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(KEYS_EVERY);
    let mut looks = tokio::time::interval(SHARED_KEYS_EVERY);
    loop {
        let keep = tokio::select! {
            _ = ticks.tick() => AccessTokenKeys::tick,
            _ = looks.tick() => AccessTokenKeys::look_again,
            () = stop.cancelled() => return,
        };
        let service = service.clone();
        // It reads or writes files, and waits until they are on the disk.
        let ticked =
            tokio::task::spawn_blocking(move || keep(&service.access_tokens, clock::now()));
        if let Err(error) = ticked.await {
            tracing::error!(%error, "signing keys cannot be kept up");
        }
    }
}

/// Takes renewed certificates over, and says which ones end soon.
pub(crate) async fn keep_certificates(
    certificates: Vec<Arc<Certificate>>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(CERTIFICATES_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let certificates = certificates.clone();
        // It may read files, from wherever they lie.
        let looked = tokio::task::spawn_blocking(move || {
            for certificate in certificates {
                certificate.look(clock::now());
            }
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "certificates cannot be looked after");
        }
    }
}

/// Writes down what tokens did, and forgets what is too old.
pub(crate) async fn keep_usage(usage: Arc<Usage>, stop: CancellationToken) {
    let mut flushes = tokio::time::interval(usage::FLUSH_EVERY);
    let mut forgets = tokio::time::interval(FORGET_EVERY);
    loop {
        tokio::select! {
            _ = flushes.tick() => usage.flush().await,
            _ = forgets.tick() => usage.forget(clock::now()).await,
            () = stop.cancelled() => return,
        }
    }
}

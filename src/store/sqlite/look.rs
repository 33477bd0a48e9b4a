//! Looking one row up: one thread, which answers all who wait in one snapshot.
//!
//! A decision rests on a row or two, and to look them up takes less than to wake a thread
//! that does it. So there is one, which has no rest while somebody waits. What may take
//! longer, as a list does, has threads of its own.

use super::{describe, open_reader};
use crate::store::StoreError;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
};
use tokio::sync::oneshot;

/// How many share a snapshot at most: one that is kept for long keeps the log from being
/// folded into the database.
const GROUP: usize = 64;

/// A look at the database, and the telling of what was there; whether it succeeded.
type Look = Box<dyn FnOnce(Result<&Connection, StoreError>) -> bool + Send>;

/// The way to the thread.
pub(super) struct Lookout {
    looks: Mutex<Option<mpsc::Sender<Look>>>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

impl Lookout {
    pub(super) fn start(path: PathBuf) -> std::io::Result<Self> {
        let (looks, queue) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("sqlite-look".into()).spawn(move || {
            answer(&path, &queue);
            // Nobody may be waiting for the end.
            let _ = end.send(());
        })?;
        Ok(Self { looks: Mutex::new(Some(looks)), ended: tokio::sync::Mutex::new(Some(ended)) })
    }

    /// Runs `look` on a snapshot that is no older than the call.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the server is stopping".into());
        let (tell, told) = oneshot::channel();
        let look: Look = Box::new(move |connection| {
            let failed = |error| StoreError::Unavailable(describe(&error));
            let found = connection.and_then(|connection| look(connection).map_err(failed));
            let succeeded = found.is_ok();
            // Whoever asked may have gone.
            let _ = tell.send(found);
            succeeded
        });
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        looks.ok_or_else(closed)?.send(look).map_err(|_| closed())?;
        told.await.map_err(|_| closed())?
    }

    /// Answers who waits, and waits for the thread.
    pub(super) async fn close(&self) {
        drop(self.looks.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(ended) = self.ended.lock().await.take() {
            let _ = ended.await;
        }
    }
}

fn answer(path: &Path, queue: &mpsc::Receiver<Look>) {
    let mut idle: Option<Connection> = None;
    while let Ok(first) = queue.recv() {
        // All of them are here before the snapshot begins.
        let group: Vec<Look> =
            std::iter::once(first).chain(queue.try_iter().take(GROUP - 1)).collect();
        let opened = idle.take().map_or_else(|| open_reader(path), Ok);
        idle = look_at(opened, group);
    }
}

/// Looks, and gives back the connection if nothing failed on it.
fn look_at(
    mut opened: Result<Connection, rusqlite::Error>,
    group: Vec<Look>,
) -> Option<Connection> {
    let snapshot = match &mut opened {
        Ok(connection) => connection.transaction().map_err(|error| describe(&error)),
        Err(error) => Err(describe(error)),
    };
    let mut all = true;
    for look in group {
        let snapshot = snapshot.as_deref().map_err(|why| StoreError::Unavailable(why.clone()));
        all &= look(snapshot);
    }
    drop(snapshot);
    opened.ok().filter(|_| all)
}

//! The operator's socket: the management API, for whoever owns the data directory.

use super::listen;
use axum::Router;
use hyper_util::service::TowerToHyperService;
use std::{
    fs::File,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// The socket's name in the data directory.
const NAME: &str = "operator.sock";
/// The longest path that a socket's address holds, with a little to spare.
const LONGEST: usize = 100;

/// Makes the socket. A file of that name is what a killed server left behind:
/// the lock on the directory says that none is running.
pub(crate) fn bind(directory: &Path) -> std::io::Result<UnixListener> {
    let path = directory.join(NAME);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let reach = Reach::new(directory)?;
    UnixListener::bind(&reach.path)
}

/// Connects to the server that runs on `directory`.
pub(crate) async fn connect(directory: &Path) -> std::io::Result<UnixStream> {
    let reach = Reach::new(directory)?;
    UnixStream::connect(&reach.path).await
}

/// Takes the socket's file away. It matters little: a stale one is recognised.
pub(crate) fn remove(directory: &Path) {
    let _ = std::fs::remove_file(directory.join(NAME));
}

/// Serves what `router` gives at the time to this process's own user, and to root.
pub(crate) async fn serve(
    listener: UnixListener,
    stop: CancellationToken,
    router: impl Fn() -> Router + Send + 'static,
) {
    let own = rustix::process::geteuid().as_raw();
    listen::serve(listener, stop, move |user| {
        if user == own || user == 0 {
            return Some(TowerToHyperService::new(router()));
        }
        tracing::warn!(user, "another user tried to use the operator's socket");
        None
    })
    .await;
}

/// A way to the socket that fits into its address, however deep the directory lies.
struct Reach {
    path: PathBuf,
    _directory: Option<File>,
}

impl Reach {
    fn new(directory: &Path) -> std::io::Result<Self> {
        let path = directory.join(NAME);
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path, _directory: None });
        }
        let directory = File::open(directory)?;
        let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()).into();
        Ok(Self { path, _directory: Some(directory) })
    }
}

//! A body on its way through: cut off when it stands still, and known to be done.

use http_body::{Body, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Sleep, sleep, timeout},
};

/// How long a client may take to the next piece of an upload.
const UPLOAD: Duration = Duration::from_mins(1);
/// How long an upstream may take to the next piece of a download. Streams of
/// events are quiet for minutes.
const DOWNLOAD: Duration = Duration::from_mins(10);

/// A body that has to go on.
pub(crate) struct Paced {
    inner: Incoming,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// How much has gone on; dropped when the body has been passed on or given up.
    told: Option<watch::Sender<u64>>,
}

/// How an upload goes on, for whoever waits for its end.
pub(super) struct Upload(watch::Receiver<u64>);

impl Upload {
    /// Returns when the upload has ended, or when nobody has taken any of it
    /// for as long as a client may take to send some.
    pub(super) async fn ends_or_stands_still(mut self) {
        while let Ok(Ok(())) = timeout(UPLOAD, self.0.changed()).await {}
    }
}

/// The sender of a body did not finish it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error("the body broke off: {0}")]
    BrokeOff(hyper::Error),
    #[error("the body stood still for too long")]
    StoodStill,
}

impl Paced {
    /// A client's body, and what tells how it goes on.
    pub(super) fn upload(inner: Incoming) -> (Self, Upload) {
        let (told, upload) = watch::channel(0);
        // Nobody asks an empty body for its end.
        let told = (!inner.is_end_stream()).then_some(told);
        (Self { inner, patience: UPLOAD, waiting: None, told }, Upload(upload))
    }

    /// An upstream's body.
    pub(super) fn download(inner: Incoming) -> Self {
        Self { inner, patience: DOWNLOAD, waiting: None, told: None }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = None;
            if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
                this.told = None;
            } else if let Some(told) = &this.told {
                told.send_modify(|frames| *frames += 1);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Interrupted::BrokeOff)));
        }
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(this.patience)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                this.told = None;
                Poll::Ready(Some(Err(Interrupted::StoodStill)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

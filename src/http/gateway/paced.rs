//! A body on its way through: cut off when it stands still, and known to be done.

use http_body::{Body, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
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
    /// Told, or dropped, when the body has been passed on or given up.
    done: Option<oneshot::Sender<()>>,
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
    /// A client's body, and what tells when it has been sent.
    pub(super) fn upload(inner: Incoming) -> (Self, oneshot::Receiver<()>) {
        let (done, sent) = oneshot::channel();
        // Nobody asks an empty body for its end.
        let done = (!inner.is_end_stream()).then_some(done);
        (Self { inner, patience: UPLOAD, waiting: None, done }, sent)
    }

    /// An upstream's body.
    pub(super) fn download(inner: Incoming) -> Self {
        Self { inner, patience: DOWNLOAD, waiting: None, done: None }
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
                this.done = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Interrupted::BrokeOff)));
        }
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(this.patience)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                this.done = None;
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

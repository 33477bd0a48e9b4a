//! A body on its way through: cut off when it stands still, and known to be done.

use super::{trailers, watch::Watch};
use crate::http::beat::Deadline;
use counterfoil_core::Refusal;
use http_body::{Body, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use std::{
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// How long a client may take to the next piece of an upload.
const UPLOAD: Duration = Duration::from_mins(1);
/// How long an upstream may take to the next piece of a download. Streams of
/// events are quiet for minutes.
const DOWNLOAD: Duration = Duration::from_mins(10);
/// How long the upstream may take from the end of a request to the head of its response.
const RESPONSE: Duration = Duration::from_mins(1);

/// A body that has to go on.
pub(crate) struct Paced {
    inner: Incoming,
    patience: Duration,
    /// While the next piece is waited for.
    deadline: Option<Deadline>,
    /// How many pieces have gone on; dropped when the body has been passed on or given up.
    told: Option<Arc<AtomicU64>>,
    /// What says when it has to end.
    watch: Option<Watch>,
    /// Whether it is a client's.
    is_upload: bool,
}

/// How long the upstream's response is waited for. An upload takes as long as it takes,
/// while it goes on; then it is the upstream's turn.
pub(super) struct Patience {
    deadline: Deadline,
    /// How an upload goes on, and how many of its pieces have been seen to.
    upload: Option<(Weak<AtomicU64>, u64)>,
}

impl Patience {
    /// Whether an upload is still going on.
    pub(super) fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(|(told, _)| told.strong_count() > 0)
    }

    /// Whether it is at its end. To be asked with each beat.
    pub(super) fn is_over(&mut self) -> bool {
        let Some((told, seen)) = &mut self.upload else { return self.deadline.is_over() };
        // Nobody holds what tells of an upload that has ended.
        let pieces = told.upgrade().map(|told| told.load(Ordering::Relaxed));
        if let Some(pieces) = pieces
            && pieces > *seen
        {
            *seen = pieces;
            self.deadline = Deadline::after(UPLOAD);
        }
        if pieces.is_none() || self.deadline.is_over() {
            self.upload = None;
            self.deadline = Deadline::after(RESPONSE);
        }
        false
    }
}

/// The end of a body that somebody else passes on.
pub(super) struct End(Weak<AtomicU64>);

impl End {
    /// Whether the body has been passed on or given up.
    pub(super) fn has_come(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// The sender of a body did not finish it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error("the body broke off: {0}")]
    BrokeOff(hyper::Error),
    #[error("the body stood still for too long")]
    StoodStill,
    #[error("what the request was admitted on has ended")]
    Refused(Refusal),
}

impl Paced {
    /// A client's body, and how long the response to it is waited for.
    pub(super) fn upload(inner: Incoming, watch: impl FnOnce() -> Watch) -> (Self, Patience) {
        // Nobody asks an empty body for its end.
        let told = (!inner.is_end_stream()).then(Arc::<AtomicU64>::default);
        let patience = Patience {
            deadline: Deadline::after(if told.is_some() { UPLOAD } else { RESPONSE }),
            upload: told.as_ref().map(|told| (Arc::downgrade(told), 0)),
        };
        let watch = told.as_ref().map(|_| watch());
        let body = Self { inner, patience: UPLOAD, deadline: None, told, watch, is_upload: true };
        (body, patience)
    }

    /// What can say whether this body is over, once somebody else has it.
    pub(super) fn end(&self) -> End {
        End(self.told.as_ref().map(Arc::downgrade).unwrap_or_default())
    }

    /// An upstream's body.
    pub(super) fn download(inner: Incoming) -> Self {
        let (patience, deadline, told, watch) = (DOWNLOAD, None, None, None);
        Self { inner, patience, deadline, told, watch, is_upload: false }
    }

    /// Has it end when `watch` says so.
    pub(super) fn watched_by(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// Trailers as they may go on.
    fn cleaned(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(mut fields) => {
                match &self.watch {
                    Some(watch) if self.is_upload => watch.gateway().clean_trailers(&mut fields),
                    _ => trailers::clean(&mut fields, |_| false),
                }
                Frame::trailers(fields)
            }
            Err(other) => other,
        }
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
        if let Some(refusal) = this.watch.as_mut().and_then(Watch::refusal) {
            this.told = None;
            return Poll::Ready(Some(Err(Interrupted::Refused(refusal))));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.deadline = None;
            if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
                this.told = None;
            } else if let Some(told) = &this.told {
                told.fetch_add(1, Ordering::Relaxed);
            }
            let frame = frame.map(|frame| frame.map_err(Interrupted::BrokeOff));
            return Poll::Ready(match frame {
                Some(Ok(frame)) if frame.is_trailers() => Some(Ok(this.cleaned(frame))),
                other => other,
            });
        }
        let deadline = *this.deadline.get_or_insert_with(|| Deadline::after(this.patience));
        if deadline.is_over() {
            this.told = None;
            return Poll::Ready(Some(Err(Interrupted::StoodStill)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

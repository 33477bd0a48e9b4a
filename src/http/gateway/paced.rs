//! A body on its way through: cut off when it stands still, and known to be done.

use super::held::Hold;
use crate::http::beat::Deadline;
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
    /// What is given back once the body has been passed on or given up.
    hold: Hold,
    /// The last piece, while it is kept back.
    #[expect(clippy::option_option, reason = "of a body that has ended it is nothing")]
    last: Option<Option<Frame<Bytes>>>,
}

/// How long the upstream's response is waited for. An upload takes as long as it takes,
/// while it goes on; then it is the upstream's turn.
pub(super) struct Patience {
    deadline: Deadline,
    /// How an upload goes on, and how many of its pieces have been seen to.
    upload: Option<(Weak<AtomicU64>, u64)>,
}

impl Patience {
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
}

impl Paced {
    /// A client's body, and how long the response to it is waited for.
    pub(super) fn upload(inner: Incoming) -> (Self, Patience) {
        // Nobody asks an empty body for its end.
        let told = (!inner.is_end_stream()).then(Arc::<AtomicU64>::default);
        let patience = Patience {
            deadline: Deadline::after(if told.is_some() { UPLOAD } else { RESPONSE }),
            upload: told.as_ref().map(|told| (Arc::downgrade(told), 0)),
        };
        let hold = Hold::Nothing;
        (Self { inner, patience: UPLOAD, deadline: None, told, hold, last: None }, patience)
    }

    /// What can say whether this body is over, once somebody else has it.
    pub(super) fn end(&self) -> End {
        End(self.told.as_ref().map(Arc::downgrade).unwrap_or_default())
    }

    /// An upstream's body.
    pub(super) fn download(inner: Incoming, hold: Hold) -> Self {
        Self { inner, patience: DOWNLOAD, deadline: None, told: None, hold, last: None }
    }
}

impl Paced {
    /// Passes on the last piece, once what is held has been given back.
    fn poll_last(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        self.hold.poll_end(cx).map(|()| self.last.take().flatten().map(Ok))
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
        if this.last.is_some() {
            return this.poll_last(cx);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.deadline = None;
            if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
                this.told = None;
                if this.hold.is_any() && !matches!(frame, Some(Err(_))) {
                    this.last = Some(frame.and_then(Result::ok));
                    return this.poll_last(cx);
                }
            } else if let Some(told) = &this.told {
                told.fetch_add(1, Ordering::Relaxed);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Interrupted::BrokeOff)));
        }
        let deadline = *this.deadline.get_or_insert_with(|| Deadline::after(this.patience));
        if deadline.is_over() {
            this.told = None;
            return Poll::Ready(Some(Err(Interrupted::StoodStill)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

//! A body on its way through: cut off when it stands still, and known to be done.

use super::{failure::chain, held::Hold, trailers, upstream::Upstream, watch::Watch};
use crate::{
    config::Timeouts,
    http::{beat::Deadline, in_time},
};
use counterfoil_core::{Refusal, id::RequestId};
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

/// A body that has to go on. It is moved often on its way: what few have lies elsewhere.
pub(crate) struct Paced {
    /// None: there is nothing.
    inner: Option<Incoming>,
    patience: Duration,
    /// While the next piece is waited for.
    deadline: Option<Deadline>,
    /// How many pieces have gone on; dropped when the body has been passed on or given up.
    told: Option<Arc<AtomicU64>>,
    /// What is given back once the body has been passed on or given up.
    hold: Hold,
    /// The last piece, while it is kept back.
    #[expect(clippy::option_option, reason = "of a body that has ended it is nothing")]
    last: Option<Option<Box<Frame<Bytes>>>>,
    /// Who is told of where the rest of it does not come.
    source: Option<Source>,
    /// What says when it has to end.
    watch: Option<Box<Watch>>,
    /// Whether it is a client's.
    is_upload: bool,
}

/// Where a response comes from.
pub(super) struct Source {
    pub(super) upstream: Arc<Upstream>,
    pub(super) request_id: RequestId,
}

impl Source {
    /// Says why the rest has not come.
    fn tell(&self, why: &Interrupted) {
        let Self { upstream, request_id } = self;
        upstream.failures.cut.inc();
        let (api, upstream) = (&upstream.api, &upstream.name);
        tracing::warn!(%request_id, api, upstream, %why, "the upstream's response was cut off");
    }
}

/// How long the upstream's response is waited for. An upload takes as long as it takes,
/// while it goes on; then it is the upstream's turn.
pub(super) struct Patience {
    deadline: Deadline,
    /// How an upload goes on, and how many of its pieces have been seen to.
    upload: Option<(Weak<AtomicU64>, u64)>,
    timeouts: Timeouts,
}

impl Patience {
    /// Whether an upload is still going on.
    pub(super) fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(|(told, _)| told.strong_count() > 0)
    }

    /// Begins from now on: so far nobody could have answered.
    pub(super) fn begin_anew(&mut self) {
        let Timeouts { upload, response, .. } = self.timeouts;
        self.deadline = Deadline::after(if self.upload.is_some() { upload } else { response });
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
            self.deadline = Deadline::after(self.timeouts.upload);
        }
        if pieces.is_none() || self.deadline.is_over() {
            self.upload = None;
            self.deadline = Deadline::after(self.timeouts.response);
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
    #[error("the body broke off: {}", chain(.0))]
    BrokeOff(hyper::Error),
    #[error("the body stood still for too long")]
    StoodStill,
    #[error("what the request was admitted on has ended")]
    Refused(Refusal),
}

impl Paced {
    /// A client's body, and how long the response to it is waited for.
    pub(super) fn upload(
        inner: Incoming,
        timeouts: Timeouts,
        watch: impl FnOnce() -> Watch,
    ) -> (Self, Patience) {
        // Nobody asks an empty body for its end.
        let told = (!inner.is_end_stream()).then(Arc::<AtomicU64>::default);
        let patience = Patience {
            deadline: Deadline::after(match &told {
                Some(_) => timeouts.upload,
                None => timeouts.response,
            }),
            upload: told.as_ref().map(|told| (Arc::downgrade(told), 0)),
            timeouts,
        };
        let watch = told.as_ref().map(|_| Box::new(watch()));
        let body = Self::new(Some(inner), timeouts.upload);
        (Self { told, watch, is_upload: true, ..body }, patience)
    }

    /// What can say whether this body is over, once somebody else has it.
    pub(super) fn end(&self) -> End {
        End(self.told.as_ref().map(Arc::downgrade).unwrap_or_default())
    }

    /// An upstream's body; `source` is told where the rest of it does not come.
    pub(super) fn download(
        inner: Incoming,
        timeouts: Timeouts,
        hold: Hold,
        source: Option<Source>,
    ) -> Self {
        Self { hold, source, ..Self::new(Some(inner), timeouts.download) }
    }

    /// No body.
    pub(super) fn nothing() -> Self {
        Self::new(None, Duration::ZERO)
    }

    fn new(inner: Option<Incoming>, patience: Duration) -> Self {
        let hold = Hold::Nothing;
        let (deadline, told, last, source, watch) = (None, None, None, None, None);
        Self { inner, patience, deadline, told, hold, last, source, watch, is_upload: false }
    }
}

impl Paced {
    /// Passes on the last piece, once what is held has been given back.
    fn poll_last(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        self.hold.poll_end(cx).map(|()| self.last.take().flatten().map(|frame| Ok(*frame)))
    }

    /// Has an upstream's end when `watch` says so, unless all of it is there already.
    pub(super) fn watched_by(&mut self, watch: impl FnOnce() -> Watch) {
        if self.source.is_some() {
            self.watch = Some(Box::new(watch()));
        }
    }

    /// Trailers as they may go on; anything else as it is.
    fn cleaned(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if !frame.is_trailers() {
            return frame;
        }
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

    /// Passes `why` on, and tells the source.
    fn interrupted(&mut self, why: Interrupted) -> Interrupted {
        if let Some(source) = self.source.take() {
            source.tell(&why);
        }
        why
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
        if let Some(refusal) = this.watch.as_mut().and_then(|watch| watch.refusal()) {
            this.told = None;
            return Poll::Ready(Some(Err(Interrupted::Refused(refusal))));
        }
        if this.last.is_some() {
            return this.poll_last(cx);
        }
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let polled = if !this.is_upload && in_time::is_full() {
            Poll::Pending
        } else {
            Pin::new(&mut *inner).poll_frame(cx)
        };
        if let Poll::Ready(frame) = polled {
            this.deadline = None;
            let ends = inner.is_end_stream();
            let frame = frame.map(|frame| frame.map(|frame| this.cleaned(frame)));
            if !matches!(frame, Some(Ok(_))) || ends {
                this.told = None;
                if this.hold.is_any() && !matches!(frame, Some(Err(_))) {
                    this.last = Some(frame.and_then(Result::ok).map(Box::new));
                    return this.poll_last(cx);
                }
            } else if let Some(told) = &this.told {
                told.fetch_add(1, Ordering::Relaxed);
            }
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| this.interrupted(Interrupted::BrokeOff(error)))
            }));
        }
        let deadline = *this.deadline.get_or_insert_with(|| Deadline::after(this.patience));
        if deadline.is_over() {
            this.told = None;
            return Poll::Ready(Some(Err(this.interrupted(Interrupted::StoodStill))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

//! One connection to an upstream: it carries one request at a time, and is kept for the next.
//!
//! It is driven by whoever has a request on it, in the task of the client's own connection:
//! nothing is passed between tasks, and no thread wakes another. What is not done with when
//! the response begins goes on in a task of its own.

use super::{
    super::{
        failure::Failure,
        held::{Hold, Until},
        paced::Paced,
    },
    Load, Upstream,
    fit::{self, Fit},
    io::Io,
};
use crate::{
    http::beat::{Deadline, keeping_deadlines},
    limiter::Held,
};
use http::{Request, Response, Version};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, Connection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    io::ErrorKind,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// For how long one connection is used. Then a name is looked up anew: it may lead elsewhere.
const OLD: Duration = Duration::from_mins(5);
/// How large the head of a response may be, and how much of a body is read ahead.
pub(super) const HEAD: usize = 64 * 1024;

/// Both ends of what hyper makes of a connection.
pub(super) struct Link {
    requests: SendRequest<Paced>,
    connection: Box<Connection<TokioIo<Io>, Paced>>,
    old: Deadline,
}

/// A response that has begun.
pub(super) struct Begun {
    pub(super) response: Response<Incoming>,
    pub(super) hold: Hold,
    /// Whether all of it is there already.
    pub(super) is_whole: bool,
}

/// Why no response has begun.
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Box<Request<Paced>>>,
    /// The request once more, where it was sent, and the upstream closed the connection as if
    /// nothing had come.
    pub(super) again: Option<Box<Request<Paced>>>,
}

impl Link {
    pub(super) async fn new(io: Io) -> hyper::Result<Self> {
        let (requests, connection) =
            Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(io)).await?;
        Ok(Self { requests, connection: Box::new(connection), old: Deadline::after(OLD) })
    }

    /// Sends a request, and waits for the head of the response. The connection is kept
    /// once all has gone through; until then, or until it is closed, there is a `load`.
    pub(super) async fn ask(
        mut self,
        request: Box<Request<Paced>>,
        upstream: &Arc<Upstream>,
        held: &mut Option<Held>,
        load: &mut Option<Load>,
    ) -> Result<Begun, Unanswered> {
        let end = request.body().end();
        let mut answer = pin!(self.requests.try_send_request(*request));
        let mut connection = Some(self.connection);
        let (mut io, mut ended) = (None, Ok(()));
        let mut is_sent = false;
        let answered = poll_fn(|cx| {
            // Before anything is read: the response may be there a moment before the end.
            is_sent = end.has_come();
            if let Some(open) = &mut connection
                && let Poll::Ready(how) = Pin::new(open).poll(cx)
            {
                ended = how;
                // Taken apart, it gives an unsent request back.
                io = connection.take().map(|over| over.into_parts().io.into_inner());
            }
            answer.as_mut().poll(cx)
        });
        let mut response = match answered.await {
            Ok(response) => response,
            Err(error) => return Err(Unanswered::of(error, io)),
        };
        let fit = fit::check(&mut response).map_err(|why| Unanswered::from(Failure::Unfit(why)))?;
        // Whoever answers before the end of a request may take the rest for the next one.
        // What is older than HTTP/1.1 would be sent the next as HTTP/1.0, without its chunks.
        let is_kept = is_sent && response.version() >= Version::HTTP_11 && fit == Fit::Again;
        let mut is_whole = false;
        upstream.has_ended(ended);
        if let Some(connection) = connection {
            self.connection = connection;
            is_whole = self.is_idle();
            if !is_whole {
                let (until, kept) = Hold::part(held.take(), is_sent);
                let finish = self.finish(upstream.clone(), is_kept, load.take(), until);
                tokio::spawn(keeping_deadlines(finish));
                return Ok(Begun { response, hold: kept, is_whole });
            }
            if is_kept {
                upstream.idle.put(self);
            }
        }
        Ok(Begun { response, hold: held.take().into(), is_whole })
    }

    /// Sends a request that may turn the connection into something else, and waits for the head
    /// of the response. A connection that has become nothing else is not kept.
    pub(super) async fn switch(
        mut self,
        request: Request<Paced>,
        held: Option<Held>,
        load: Load,
    ) -> Result<(Response<Incoming>, Hold), Failure> {
        let answer = self.requests.send_request(request);
        let (until, rest) = Hold::part(held, true);
        tokio::spawn(keeping_deadlines(async move {
            // It is over once the upgrade takes the connection away, too.
            let _ = self.connection.with_upgrades().await;
            drop(load);
            if let Some(until) = until {
                until.is_over();
            }
        }));
        let mut response = answer.await.map_err(|error| Failure::of(&error))?;
        fit::check(&mut response).map_err(Failure::Unfit)?;
        Ok((response, rest))
    }

    /// Whether the request and the response have gone through whole. hyper then waits for
    /// the next request, and says so.
    fn is_idle(&self) -> bool {
        self.requests.is_ready()
    }

    /// Whether it is time for a new one.
    pub(super) fn is_old(&self) -> bool {
        self.old.is_over()
    }

    /// Whether the other side has closed it, or said something unasked.
    pub(super) fn has_ended(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        Pin::new(&mut self.connection).poll(&mut nobody).is_ready()
    }

    /// Lets a request and its response go through whole; then keeps the connection, if it
    /// `is_kept`.
    async fn finish(
        mut self,
        upstream: Arc<Upstream>,
        is_kept: bool,
        load: Option<Load>,
        until: Option<Until>,
    ) {
        let ended = poll_fn(|cx| match Pin::new(&mut self.connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if self.is_idle() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match ended.await {
            None if is_kept => upstream.idle.put(self),
            ended => {
                upstream.has_ended(ended.unwrap_or(Ok(())));
                drop(self);
            }
        }
        drop(load);
        // Not before: the upstream could see one request more than there may be.
        if let Some(until) = until {
            until.is_over();
        }
    }
}

impl Unanswered {
    fn of(mut error: TrySendError<Request<Paced>>, io: Option<Io>) -> Self {
        let unsent = error.take_message().map(Box::new);
        let error = error.into_error();
        let again = io.filter(|_| unsent.is_none() && is_closed(&error)).and_then(Io::unanswered);
        let again = again.map(|request| Box::new(request.map(|()| Paced::nothing())));
        Self { failure: Failure::of(&error), unsent, again }
    }
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self { failure, unsent: None, again: None }
    }
}

/// Whether the other side has closed the connection, and nothing else is wrong.
fn is_closed(error: &hyper::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    const CLOSED: [ErrorKind; 5] =
        [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof];
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return CLOSED.contains(&error.kind());
        }
        source = error.source();
    }
    error.is_incomplete_message()
}

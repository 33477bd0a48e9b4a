//! What a request holds until it has ended: passed back to the client and over at the
//! upstream, whichever of the two comes last.
//!
//! Mostly both come in the task of the client's connection, and there is one holder. Where a
//! task of its own sees to the end of what goes on with the upstream, that task has it first,
//! and sends it on to the response's body. Until it comes, the body keeps its last piece back:
//! whoever has all of a response may take it that the request counts no more.

use crate::limiter::Held;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// What the body of a response holds.
#[derive(Debug)]
pub(super) enum Hold {
    /// Nothing: there is no limit.
    Nothing,
    /// All of it.
    Here(#[expect(dead_code, reason = "that it is there is what counts")] Held),
    /// It will come once the request is over at the upstream.
    Expected {
        from: Receiver<Held>,
        /// Whether the response may not end before. Where the client is still sending, it may:
        /// then the end may depend on what the client makes of the response.
        is_awaited: bool,
    },
}

/// What is held by whoever sees a request and its response through at the upstream.
#[derive(Debug)]
pub(super) struct Until {
    held: Held,
    to: Sender<Held>,
}

impl From<Option<Held>> for Hold {
    fn from(held: Option<Held>) -> Self {
        held.map_or(Self::Nothing, Self::Here)
    }
}

impl Hold {
    /// In two parts: for whoever sees the request through at the upstream, and for the body.
    pub(super) fn part(held: Option<Held>, is_awaited: bool) -> (Option<Until>, Self) {
        let Some(held) = held else { return (None, Self::Nothing) };
        let (to, from) = channel();
        (Some(Until { held, to }), Self::Expected { from, is_awaited })
    }

    /// Whether there is anything to give back.
    pub(super) fn is_any(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// Gives back what is held at the end of a response, as soon as the response may end.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Expected { from, is_awaited: true } = self
            && Pin::new(from).poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        *self = Self::Nothing;
        Poll::Ready(())
    }
}

impl Until {
    /// The request is over at the upstream. Where nobody waits for the rest of the response,
    /// what is held is given back here.
    #[expect(clippy::wrong_self_convention, reason = "it is told so, once")]
    pub(super) fn is_over(self) {
        let _ = self.to.send(self.held);
    }
}

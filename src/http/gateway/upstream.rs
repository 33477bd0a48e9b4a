//! Connections to an upstream: each carries one request at a time, and is kept for the next.
//!
//! A connection is driven by whoever has a request on it, in the task of the client's own
//! connection: nothing is passed between tasks, and no thread wakes another. What is not
//! done with when the response begins goes on in a task of its own.

use super::{
    held::{Hold, Until},
    paced::Paced,
};
use crate::{
    http::{
        beat::{Deadline, keeping_deadlines},
        in_time::InTime,
    },
    limiter::Held,
};
use http::{Request, Response, Uri, Version, uri::Authority};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, Connection, SendRequest},
    },
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};
use tower::ServiceExt as _;

/// How long the upstream may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// How often those are looked for that have been unused for too long, or closed meanwhile.
const SWEEP: Duration = Duration::from_secs(5);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// One API's upstream.
pub(super) struct Upstream {
    address: Uri,
    connector: HttpConnector,
    idle: Arc<Idle>,
}

impl Upstream {
    /// The one at `authority`. No more than `most` unused connections are kept.
    pub(super) fn new(authority: &Authority, most: usize) -> anyhow::Result<Self> {
        let address = Uri::builder()
            .scheme("http")
            .authority(authority.clone())
            .path_and_query("/")
            .build()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let idle = Arc::new(Idle::new(most));
        tokio::spawn(keeping_deadlines(sweep(Arc::downgrade(&idle))));
        Ok(Self { address, connector, idle })
    }

    /// Sends a request, and waits for the head of the response. What is `held` is given back
    /// when the request is over here, or goes on to whoever passes the response on.
    pub(super) async fn ask(
        &self,
        mut request: Request<Paced>,
        mut held: Option<Held>,
    ) -> Result<(Response<Incoming>, Hold), Error> {
        loop {
            let (link, is_new) = match self.idle.take() {
                Some(link) => (link, false),
                None => (self.connect().await?, true),
            };
            match self.ask_on(link, request, &mut held).await {
                Ok(answered) => return Ok(answered),
                Err(mut error) => match error.take_message() {
                    // The upstream had closed the connection before it could see any of this.
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    async fn ask_on(
        &self,
        mut link: Link,
        request: Request<Paced>,
        held: &mut Option<Held>,
    ) -> Result<(Response<Incoming>, Hold), TrySendError<Request<Paced>>> {
        let end = request.body().end();
        let mut answer = pin!(link.requests.try_send_request(request));
        let mut connection = Some(link.connection);
        let mut is_sent = false;
        let response = poll_fn(|cx| {
            // Before anything is read: the response may be there a moment before the end.
            is_sent = end.has_come();
            // Over, it is dropped, which gives an unsent request back.
            if let Some(open) = &mut connection
                && Pin::new(open).poll(cx).is_ready()
            {
                connection = None;
            }
            answer.as_mut().poll(cx)
        })
        .await?;
        // Whoever answers before the end of a request may take the rest for the next one.
        // What is older than HTTP/1.1 would be sent the next as HTTP/1.0, without its chunks.
        let is_kept = is_sent && response.version() >= Version::HTTP_11;
        if let Some(connection) = connection {
            link.connection = connection;
            if !link.is_idle() {
                let idle = is_kept.then(|| self.idle.clone());
                let (until, hold) = Hold::part(held.take(), is_sent);
                tokio::spawn(keeping_deadlines(finish(until, link, idle)));
                return Ok((response, hold));
            } else if is_kept {
                self.idle.put(link);
            }
        }
        Ok((response, held.take().into()))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let stream = self.connector.clone().oneshot(self.address.clone()).await?;
        // hyper asks for no more of a body while what it has of it is not taken.
        let stream = TokioIo::new(InTime::new(stream.into_inner(), ()));
        let (requests, connection) = http1::handshake(stream).await?;
        Ok(Link { requests, connection: Box::new(connection) })
    }
}

/// Both ends of what hyper makes of a connection.
struct Link {
    requests: SendRequest<Paced>,
    connection: Box<Connection<TokioIo<InTime>, Paced>>,
}

impl Link {
    /// Whether the request and the response have gone through whole. hyper then waits for
    /// the next request, and says so.
    fn is_idle(&self) -> bool {
        self.requests.is_ready()
    }
}

/// Lets a request and its response go through whole; keeps the connection only in `idle`.
async fn finish(until: Option<Until>, mut link: Link, idle: Option<Arc<Idle>>) {
    let is_idle = poll_fn(|cx| match Pin::new(&mut link.connection).poll(cx) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending if link.is_idle() => Poll::Ready(true),
        Poll::Pending => Poll::Pending,
    });
    match (is_idle.await, idle) {
        (true, Some(idle)) => idle.put(link),
        _ => drop(link),
    }
    // Not before: the upstream could see one request more than there may be.
    if let Some(until) = until {
        until.is_over();
    }
}

/// Unused connections, and until when they are kept.
type Links = Vec<(Deadline, Link)>;

/// All of them, apart for each thread: so none waits for another, and a connection
/// stays where it was opened as long as its requests do.
struct Idle {
    /// The one that was used last stands last, and is used next.
    threads: Box<[Mutex<Links>]>,
    most_each: usize,
}

impl Idle {
    fn new(most: usize) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self::among(threads, most)
    }

    fn among(threads: usize, most: usize) -> Self {
        // Some threads share where there is not one for each.
        let lists = threads.min(most).max(1);
        Self { threads: (0..lists).map(|_| Mutex::default()).collect(), most_each: most / lists }
    }

    fn take(&self) -> Option<Link> {
        let mut links = self.of_this_thread();
        let (end, link) = links.pop()?;
        if !end.is_over() {
            return Some(link);
        }
        // So it is for all that were used before. They are closed outside the lock.
        let over = mem::take(&mut *links);
        drop(links);
        drop(over);
        None
    }

    fn put(&self, link: Link) {
        let mut links = self.of_this_thread();
        if links.len() < self.most_each {
            links.push((Deadline::after(IDLE), link));
        }
    }

    fn of_this_thread(&self) -> MutexGuard<'_, Links> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        let place = THREAD.with(|thread| thread % self.threads.len());
        self.threads[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what nobody has used for long, or what the upstream has closed, for as long as
/// anybody may want the rest.
async fn sweep(idle: Weak<Idle>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(idle) = idle.upgrade() else { return };
        for links in &idle.threads {
            let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
            let of_no_use: Links = links
                .extract_if(.., |(end, link)| {
                    let mut nobody = Context::from_waker(Waker::noop());
                    end.is_over() || Pin::new(&mut link.connection).poll(&mut nobody).is_ready()
                })
                .collect();
            drop(links);
            // Closed outside the lock, for which requests wait.
            drop(of_no_use);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        for (threads, most, kept) in
            [(4, 0, 0), (4, 1, 1), (4, 3, 3), (4, 4, 4), (4, 7, 4), (1, 9, 9)]
        {
            let idle = Idle::among(threads, most);
            assert_eq!(idle.threads.len() * idle.most_each, kept, "{most} for {threads}");
        }
    }
}

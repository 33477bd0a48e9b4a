//! A tunnel: two connections of which each is passed what comes from the other, once both
//! sides have agreed that what they speak is HTTP no longer.

use super::{watch::Watch, websocket::Frames};
use crate::http::beat::Deadline;
use std::{
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// How long nothing may come from either side.
const IDLE: Duration = Duration::from_mins(10);
/// The same, once one side has said that nothing more will come from it.
const HALF: Duration = Duration::from_mins(1);
/// How much is read at once. It lies on the stack: a tunnel in which nothing moves has no
/// memory for it.
const PIECE: usize = 16 * 1024;
/// How many pieces go one way before others have their turn.
const PIECES: usize = 16;

/// Why a tunnel has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have said all that they had to say.
    Done,
    /// One of the two connections broke.
    Broken(io::ErrorKind),
    /// Nothing came for too long.
    Idle,
    /// What the client was admitted on has ended.
    Refused,
    /// This node stops.
    Stopping,
}

impl End {
    /// How a WebSocket is told (RFC 6455 §7.4.1).
    fn code(self) -> Option<u16> {
        match self {
            Self::Done | Self::Broken(_) => None,
            Self::Idle | Self::Stopping => Some(1001),
            Self::Refused => Some(1008),
        }
    }
}

/// How patient a tunnel is.
#[derive(Debug, Clone, Copy)]
struct Patience {
    idle: Duration,
    half: Duration,
}

/// Passes on what comes, in a task that keeps deadlines, until there is a reason to end.
/// `held` is let go of when both connections are closed.
pub(super) async fn pass<C, U, H>(
    client: C,
    upstream: U,
    watch: Watch,
    stop: CancellationToken,
    held: H,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut watch = watch;
    let patience = Patience { idle: IDLE, half: HALF };
    let end = pass_while(client, upstream, patience, || watch.refusal().is_none(), stop).await;
    drop(held);
    end
}

async fn pass_while<C, U>(
    mut client: C,
    mut upstream: U,
    patience: Patience,
    mut may_go_on: impl FnMut() -> bool,
    stop: CancellationToken,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Flow::default(), Flow::default());
    let mut frames = Frames::default();
    let mut stopped = pin!(stop.cancelled());
    let mut idle = Deadline::after(patience.idle);
    let end = std::future::poll_fn(|cx| {
        if !may_go_on() {
            return Poll::Ready(End::Refused);
        }
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Stopping);
        }
        let before = (up.passed, down.passed, up.has_ended(), down.has_ended());
        let there = up.poll(cx, &mut client, &mut upstream, |_| ());
        let back = down.poll(cx, &mut upstream, &mut client, |bytes| frames.follow(bytes));
        match (there, back) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                return Poll::Ready(End::Broken(error.kind()));
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Done),
            _ => {}
        }
        if before != (up.passed, down.passed, up.has_ended(), down.has_ended()) {
            let is_half = up.has_ended() || down.has_ended();
            idle = Deadline::after(if is_half { patience.half } else { patience.idle });
        } else if idle.is_over() {
            return Poll::Ready(End::Idle);
        }
        Poll::Pending
    })
    .await;
    // The upstream learns of it by the connection, which is closed before the client's.
    drop(upstream);
    if let Some(code) = end.code()
        && !down.has_ended()
    {
        take_leave(&mut client, down.rest.split_off(down.written), frames.close(code)).await;
    }
    end
}

/// Gives the client what is on its way and, between two frames, one that says why. Then it
/// has a few seconds to take that.
async fn take_leave<C>(client: &mut C, rest: Vec<u8>, frame: Option<[u8; 4]>)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut last = Flow::default();
    if let Some(frame) = frame {
        last.rest = rest;
        last.rest.extend(frame);
    }
    let deadline = Deadline::after(Duration::ZERO);
    std::future::poll_fn(|cx| {
        let mut told = last.poll(cx, &mut Silent, client, |_| ());
        // A connection that is closed with something in it unread takes along what was sent.
        while told.is_ready() {
            let mut space = [MaybeUninit::uninit(); 1024];
            let mut piece = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *client).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() && !deadline.is_over() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => told = Poll::Pending,
            }
        }
        if deadline.is_over() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Where nothing comes from.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One of the two ways.
#[derive(Debug, Default)]
struct Flow {
    state: State,
    /// What was read and is not written yet. While there is any, nothing is read.
    rest: Vec<u8>,
    /// How much of that is written.
    written: usize,
    /// How many bytes have been passed on.
    passed: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Nothing more will come.
    Ending,
    Ended,
}

impl Flow {
    fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Ready once nothing more will come and the other side knows.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); PIECE];
        for _ in 0..PIECES {
            while self.written < self.rest.len() {
                let rest = &self.rest[self.written..];
                let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
                self.pass(written)?;
                self.written += written;
            }
            (self.rest, self.written) = (Vec::new(), 0);
            match self.state {
                State::Open => {
                    let mut piece = ReadBuf::uninit(&mut space);
                    if Pin::new(&mut *from).poll_read(cx, &mut piece)?.is_pending() {
                        // What was written goes before anything more is waited for.
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        return Poll::Pending;
                    }
                    let bytes = piece.filled();
                    if bytes.is_empty() {
                        self.state = State::Ending;
                        continue;
                    }
                    seen(bytes);
                    match Pin::new(&mut *to).poll_write(cx, bytes)? {
                        Poll::Ready(written) => {
                            self.pass(written)?;
                            if written < bytes.len() {
                                self.rest = bytes[written..].to_vec();
                            }
                        }
                        Poll::Pending => self.rest = bytes.to_vec(),
                    }
                }
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn pass(&mut self, written: usize) -> io::Result<()> {
        self.passed += written as u64;
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, http::beat::keeping_deadlines};
    use std::future::poll_fn;
    use tokio::net::{TcpListener, TcpStream};

    const PATIENT: Patience =
        Patience { idle: Duration::from_hours(1), half: Duration::from_hours(1) };

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    async fn write(stream: &mut TcpStream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await.unwrap();
            bytes = &bytes[written..];
        }
    }

    /// So many bytes, or fewer where the other side ends before.
    async fn read(stream: &mut TcpStream, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < most {
            let mut space = vec![0; (most - all.len()).min(1 << 16)];
            let mut piece = ReadBuf::new(&mut space);
            poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut piece)).await.unwrap();
            if piece.filled().is_empty() {
                break;
            }
            all.extend_from_slice(piece.filled());
        }
        all
    }

    async fn end(stream: &mut TcpStream) {
        poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await.unwrap();
    }

    #[tokio::test]
    async fn each_side_ends_by_itself() {
        let ((mut client, ours), (theirs, mut upstream)) = (pair().await, pair().await);
        let stop = CancellationToken::new();
        let tunnel =
            tokio::spawn(keeping_deadlines(pass_while(ours, theirs, PATIENT, || true, stop)));
        write(&mut client, b"hello").await;
        end(&mut client).await;
        assert_eq!(read(&mut upstream, 100).await, b"hello");
        // The other way is still open.
        write(&mut upstream, b"and good bye").await;
        assert_eq!(read(&mut client, 12).await, b"and good bye");
        end(&mut upstream).await;
        assert_eq!(read(&mut client, 1).await, b"");
        assert_eq!(tunnel.await.unwrap(), End::Done);
    }

    #[tokio::test]
    async fn large_amounts_both_ways_arrive_as_they_were() {
        let ((mut client, ours), (theirs, mut upstream)) = (pair().await, pair().await);
        let stop = CancellationToken::new();
        let tunnel =
            tokio::spawn(keeping_deadlines(pass_while(ours, theirs, PATIENT, || true, stop)));
        let text: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let sent = text.clone();
        let echo = tokio::spawn(async move {
            let all = read(&mut upstream, 3_000_000).await;
            write(&mut upstream, &all).await;
            end(&mut upstream).await;
        });
        write(&mut client, &sent).await;
        assert!(read(&mut client, usize::MAX).await == text);
        echo.await.unwrap();
        drop(client);
        tunnel.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_takes_nothing_is_sent_nothing_more() {
        let ((client, ours), (theirs, mut upstream)) = (pair().await, pair().await);
        let stop = CancellationToken::new();
        let mut tunnel = pin!(pass_while(ours, theirs, PATIENT, || true, stop.clone()));
        let piece = vec![0; 1 << 16];
        let mut sent: usize = 0;
        // Until the pipes on both sides are full.
        let mut still = 0;
        while still < 1000 {
            let wrote = poll_fn(|cx| {
                assert!(tunnel.as_mut().poll(cx).is_pending());
                Poll::Ready(Pin::new(&mut upstream).poll_write(cx, &piece))
            })
            .await;
            match wrote {
                Poll::Ready(written) => (sent, still) = (sent + written.unwrap(), 0),
                Poll::Pending => still += 1,
            }
            tokio::task::yield_now().await;
        }
        assert!(sent < 100 << 20, "{sent} bytes are kept for nobody");
        drop(client);
    }

    #[tokio::test]
    async fn where_nothing_comes_it_ends() {
        clock::refresh();
        let ((mut client, ours), (theirs, _upstream)) = (pair().await, pair().await);
        let patience = Patience { idle: Duration::ZERO, half: Duration::ZERO };
        let stop = CancellationToken::new();
        let tunnel =
            tokio::spawn(keeping_deadlines(pass_while(ours, theirs, patience, || true, stop)));
        assert_eq!(read(&mut client, 100).await, [0x88, 2, 0x03, 0xe9]);
        drop(client);
        assert_eq!(tunnel.await.unwrap(), End::Idle);
    }

    #[tokio::test]
    async fn it_ends_between_frames_with_a_word_and_else_without() {
        for (sent, expected) in [
            (&b"\x82\x03abc"[..], &b"\x82\x03abc\x88\x02\x03\xf0"[..]),
            (b"\x82\x03ab", b"\x82\x03ab"),
            (b"\x82", b"\x82"),
        ] {
            let ((mut client, ours), (theirs, mut upstream)) = (pair().await, pair().await);
            let may = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
            let (asked, stop) = (may.clone(), CancellationToken::new());
            let may_go_on = move || asked.load(std::sync::atomic::Ordering::Relaxed);
            let tunnel =
                tokio::spawn(keeping_deadlines(pass_while(ours, theirs, PATIENT, may_go_on, stop)));
            write(&mut upstream, sent).await;
            assert_eq!(read(&mut client, sent.len()).await, sent);
            may.store(false, std::sync::atomic::Ordering::Relaxed);
            // Whatever comes next has it look again.
            write(&mut client, b"x").await;
            assert_eq!(read(&mut client, 100).await, expected[sent.len()..]);
            drop(client);
            assert_eq!(tunnel.await.unwrap(), End::Refused);
            assert_eq!(read(&mut upstream, 100).await, b"");
        }
    }

    #[tokio::test]
    async fn it_ends_when_the_node_does() {
        let ((mut client, ours), (theirs, _upstream)) = (pair().await, pair().await);
        let stop = CancellationToken::new();
        let tunnel = tokio::spawn(keeping_deadlines(pass_while(
            ours,
            theirs,
            PATIENT,
            || true,
            stop.clone(),
        )));
        stop.cancel();
        assert_eq!(read(&mut client, 100).await, [0x88, 2, 0x03, 0xe9]);
        drop(client);
        assert_eq!(tunnel.await.unwrap(), End::Stopping);
    }
}

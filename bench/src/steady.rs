//! Requests at a steady pace, whatever becomes of them, and how long each was waited for.
//!
//! A request is due at its time, not when the one before it has been answered; where all
//! connections are busy it waits, and that counts. So a server that stands still for a moment
//! does not get away with one slow answer.

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

/// More than are busy at once while the server keeps up.
const CONNECTIONS: usize = 64;
/// How long it goes on before times count.
const WARM: Duration = Duration::from_millis(500);
/// How long the last answers are waited for.
const END: Duration = Duration::from_secs(10);

/// What there is to send.
pub(crate) struct Steady<'a> {
    pub(crate) port: u16,
    /// All of one request.
    pub(crate) request: &'a [u8],
    pub(crate) per_second: u32,
    pub(crate) time: Duration,
}

/// What it came to, in microseconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

struct Connection {
    stream: TcpStream,
    /// When the request was due whose answer is waited for, and whether it counts.
    due: Option<(Instant, bool)>,
    read: Vec<u8>,
}

impl Steady<'_> {
    /// Sends all of it and reads all answers.
    pub(crate) fn run(&self) -> Result<Times> {
        let mut connections: Vec<Connection> =
            (0..CONNECTIONS).map(|_| Connection::new(self.port)).collect::<Result<_>>()?;
        let pause = Duration::from_secs(1) / self.per_second;
        let begin = Instant::now();
        let (counts, end) = (begin + WARM, begin + WARM + self.time);
        let (mut next, mut waiting, mut times) = (begin, VecDeque::new(), Vec::new());
        loop {
            let now = Instant::now();
            while next <= now && next < end {
                waiting.push_back(next);
                next += pause;
            }
            for connection in connections.iter_mut().filter(|connection| connection.due.is_none()) {
                let Some(due) = waiting.pop_front() else { break };
                connection.stream.write_all(self.request)?;
                connection.due = Some((due, due >= counts));
            }
            if now >= end && waiting.is_empty() && connections.iter().all(|c| c.due.is_none()) {
                break;
            }
            if now >= end + END {
                bail!("the last answers did not come");
            }
            let until = if next < end { next.saturating_duration_since(now) } else { END };
            let mut busy: Vec<&mut Connection> =
                connections.iter_mut().filter(|connection| connection.due.is_some()).collect();
            for ready in ready(&busy, until)? {
                let Some(connection) = busy.get_mut(ready) else { continue };
                if let Some((due, true)) = connection.answered()? {
                    times.push(due.elapsed());
                }
            }
        }
        times.sort_unstable();
        let at = |share: usize| {
            let place = (times.len() * share / 1000).min(times.len().saturating_sub(1));
            let time = times.get(place).context("nothing was measured")?;
            anyhow::Ok(u64::try_from(time.as_micros())?)
        };
        Ok(Times { p50: at(500)?, p99: at(990)?, p999: at(999)? })
    }
}

impl Connection {
    fn new(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, due: None, read: Vec::new() })
    }

    /// Reads what is there; if that is the end of an answer, when its request was due.
    fn answered(&mut self) -> Result<Option<(Instant, bool)>> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(count) => self.read.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let Some(whole) = length(&self.read)? else { return Ok(None) };
        if self.read.len() > whole {
            bail!("more came than was asked for");
        }
        if self.read.len() < whole {
            return Ok(None);
        }
        self.read.clear();
        Ok(self.due.take())
    }
}

/// How long an answer is, once its head is there.
fn length(read: &[u8]) -> Result<Option<usize>> {
    let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&read[..head])?;
    if !text.starts_with("HTTP/1.1 200 ") && !text.starts_with("HTTP/1.1 201 ") {
        bail!("it answered {text}");
    }
    let body = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    Ok(Some(head + 4 + body.context("an answer without a length")??))
}

/// Which of these have something to read, waiting so long for one.
fn ready(connections: &[&mut Connection], most: Duration) -> Result<Vec<usize>> {
    let mut polled: Vec<PollFd<'_>> =
        connections.iter().map(|c| PollFd::new(&c.stream, PollFlags::IN)).collect();
    let most = Timespec { tv_sec: most.as_secs().try_into()?, tv_nsec: most.subsec_nanos().into() };
    poll(&mut polled, Some(&most))?;
    let ready = polled.iter().enumerate().filter(|(_, polled)| !polled.revents().is_empty());
    Ok(ready.map(|(place, _)| place).collect())
}

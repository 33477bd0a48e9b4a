//! Connections that are held: some that rest between two requests, and some whose answers are
//! taken as slowly as can be.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

/// How much of an answer a slow reader takes at once, and how often.
const BITE: usize = 512;
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// What there is to hold.
pub(crate) struct Held<'a> {
    pub(crate) port: u16,
    /// What resting connections have asked for once.
    pub(crate) small: &'a str,
    /// What slow readers read.
    pub(crate) large: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) resting: usize,
    pub(crate) slow: usize,
}

impl Held<'_> {
    /// Opens all connections, calls `done` once all of them are there, and then holds them for
    /// so long.
    pub(crate) fn run(&self, time: Duration, done: impl FnOnce()) -> Result<()> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        let mut resting = Vec::with_capacity(self.resting);
        for _ in 0..self.resting {
            let mut stream = self.ask(self.small)?;
            let head = read_head(&mut stream)?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse())
            });
            let mut body = vec![0; length.context("an answer without a length")??];
            stream.read_exact(&mut body)?;
            resting.push(stream);
        }
        let mut slow = Vec::with_capacity(self.slow);
        for _ in 0..self.slow {
            let mut stream = self.ask(self.large)?;
            read_head(&mut stream)?;
            slow.push(stream);
        }
        done();
        let begin = Instant::now();
        while begin.elapsed() < time {
            for stream in &mut slow {
                stream.read_exact(&mut [0; BITE]).context("a slow reader was cut off")?;
            }
            std::thread::sleep(PAUSE);
        }
        for stream in &mut resting {
            stream.set_nonblocking(true)?;
            if stream.read(&mut [0]).is_ok() {
                bail!("a resting connection was closed");
            }
        }
        Ok(())
    }

    fn ask(&self, path: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let secret = self.secret;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {secret}\r\n\r\n"
        )?;
        Ok(stream)
    }
}

/// Reads byte by byte, so that nothing of the body is taken.
fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("no answer")?;
        head.extend(byte);
    }
    let head = String::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("it answered {head}");
    }
    Ok(head)
}

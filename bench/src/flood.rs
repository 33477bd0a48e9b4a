//! A flood of wrong passwords, each from an address and for a person of its own, so that no
//! throttle stops it: so many a second, whatever becomes of them.

use anyhow::{Context as _, Result};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// More than can wait at once, so that there is always one who does.
const CONNECTIONS: u32 = 64;

/// What there is to send.
pub(crate) struct Flood<'a> {
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) per_second: u32,
    pub(crate) time: Duration,
}

/// How often each status was answered.
pub(crate) type Answers = BTreeMap<u16, u64>;

impl Flood<'_> {
    /// Sends it, from beginning to end.
    pub(crate) fn run(&self) -> Result<Answers> {
        let next = AtomicU32::new(0);
        let mut all = Answers::new();
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CONNECTIONS).map(|_| scope.spawn(|| self.client(&next))).collect();
            for client in clients {
                let answers = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
                for (status, times) in answers {
                    *all.entry(status).or_default() += times;
                }
            }
            Ok(all)
        })
    }

    fn client(&self, next: &AtomicU32) -> Result<Answers> {
        let begin = Instant::now();
        let pause = Duration::from_secs(1) * CONNECTIONS / self.per_second;
        let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?);
        let mut answers = Answers::new();
        while begin.elapsed() < self.time {
            let sent = Instant::now();
            let number = next.fetch_add(1, Ordering::Relaxed);
            stream.get_mut().write_all(self.request(number).as_bytes())?;
            *answers.entry(status(&mut stream)?).or_default() += 1;
            // Whoever was kept waiting has nothing to make up for.
            thread::sleep(pause.saturating_sub(sent.elapsed()));
        }
        Ok(answers)
    }

    fn request(&self, number: u32) -> String {
        let [_, a, b, c] = number.to_be_bytes();
        let wrong = BASE64_STANDARD.encode(format!("person-{number}@example.com:wrong-{number}"));
        format!(
            "GET {} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Basic {wrong}\r\n\
             X-Forwarded-For: 10.{a}.{b}.{c}\r\n\r\n",
            self.path
        )
    }
}

/// Reads an answer to its end.
fn status(stream: &mut BufReader<TcpStream>) -> Result<u16> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
    status.context("an answer without a status")
}

//! Tokens revoked one after the other, and how long each took until it was dead everywhere.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

/// What there is to revoke, and where.
pub(crate) struct Revoke<'a> {
    /// The secret of a token that may issue and revoke.
    pub(crate) caller: &'a str,
    /// What a token is issued by.
    pub(crate) body: &'a str,
    pub(crate) count: usize,
    /// All nodes' management APIs, on this machine.
    pub(crate) ports: Vec<u16>,
}

/// What it came to, in microseconds.
pub(crate) struct Times {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) most: u64,
}

impl Revoke<'_> {
    pub(crate) fn run(&self) -> Result<Times> {
        ensure!(!self.ports.is_empty() && self.count > 0, "there is nothing to revoke");
        let mut nodes: Vec<Node> =
            self.ports.iter().map(|port| Node::connect(*port)).collect::<Result<_>>()?;
        let mut issued = Vec::new();
        for _ in 0..self.count {
            let (status, token) = nodes[0].post("/v1/tokens", self.caller, self.body)?;
            ensure!(status == 201, "issuing was answered {status}: {token}");
            issued.push(token["token"]["id"].as_str().context("an answer without an id")?.to_owned());
        }
        let (every, mut times) = (nodes.len(), Vec::new());
        for (turn, id) in issued.iter().enumerate() {
            let path = format!("/v1/tokens/{id}/revoke");
            let begin = Instant::now();
            let (status, answer) = nodes[turn % every].post(&path, self.caller, "{}")?;
            times.push(begin.elapsed());
            let everywhere = answer["effective"] == "everywhere" && answer["nodes"] == every;
            ensure!(status == 200 && everywhere, "revoking was answered {status}: {answer}");
        }
        times.sort_unstable();
        let at = |percent: usize| {
            let place = (times.len() * percent / 100).min(times.len() - 1);
            u64::try_from(times[place].as_micros())
        };
        Ok(Times { p50: at(50)?, p99: at(99)?, most: at(100)? })
    }
}

struct Node {
    stream: BufReader<TcpStream>,
}

impl Node {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        // Longer than any lease that nodes are measured with.
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn post(&mut self, path: &str, caller: &str, body: &str) -> Result<(u16, Value)> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {caller}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no status")?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the answer ended within its head");
            }
            match line.trim_end().split_once(':') {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.trim().parse()?);
                }
                Some(_) => {}
            }
        }
        let mut body = vec![0; length.context("an answer without a length")?];
        self.stream.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body)?))
    }
}

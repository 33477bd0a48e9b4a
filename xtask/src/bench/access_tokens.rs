//! Access tokens for the load: obtained as a client obtains them, sent once or again and again.

use super::subject::Started;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// More than any server checks in a second, for none may come a second time.
const A_SECOND: u64 = 40_000;

/// A client of `POST /authenticate`, on one connection.
pub(crate) struct Authenticating {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Authenticating {
    pub(crate) fn with(started: &Started, secret: &str) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, started.server))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let request = format!(
            "POST /authenticate HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {secret}\r\nContent-Length: 0\r\n\r\n"
        );
        Ok(Self { stream: BufReader::new(stream), request })
    }

    /// An access token that nobody has seen yet.
    pub(crate) fn obtain(&mut self) -> Result<String> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let begin = head.len();
            if self.stream.read_line(&mut head)? == 0 {
                bail!("/authenticate broke off after {head}");
            }
            let line = head[begin..].trim().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body)?;
        let token = body.strip_prefix("{\"token\":\"").and_then(|rest| rest.strip_suffix("\"}"));
        let token = token.filter(|_| head.starts_with("HTTP/1.1 200 "));
        Ok(token.with_context(|| format!("/authenticate answered {head}{body}"))?.to_owned())
    }
}

/// A list of access tokens, and the script with which wrk sends each of them once.
pub(crate) struct List {
    file: PathBuf,
    pub(crate) script: PathBuf,
}

impl List {
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let list = Self {
            file: directory.join("access-tokens.txt"),
            script: directory.join("access-tokens.lua"),
        };
        let script = format!(
            "local tokens = io.open([==[{}]==])\n\
             function request()\n\
             \x20 local token = tokens:read(\"*l\")\n\
             \x20 if not token then\n\
             \x20   print(\"there are too few access tokens for this machine\")\n\
             \x20   os.exit(1)\n\
             \x20 end\n\
             \x20 wrk.headers[\"Authorization\"] = \"Bearer \" .. token\n\
             \x20 return wrk.format()\n\
             end\n",
            list.file.display()
        );
        std::fs::write(&list.script, script)?;
        Ok(list)
    }

    /// Fills it anew, for a load of so many seconds.
    pub(crate) fn fill(&self, started: &Started, secret: &str, seconds: u64) -> Result<()> {
        let mut client = Authenticating::with(started, secret)?;
        let mut file = BufWriter::new(File::create(&self.file)?);
        for _ in 0..seconds * A_SECOND {
            writeln!(file, "{}", client.obtain()?)?;
        }
        Ok(file.flush()?)
    }
}

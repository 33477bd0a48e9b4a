//! An upstream that keeps every byte, and reads requests out of them as some servers do: by the
//! letter, or too willingly. What nobody sent as a request must not be one to any of them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// How it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As RFC 9112 has it; what has not exactly one reading is a fault.
    Strict,
    /// `Content-Length` counts, the first one, and whatever it begins with; lines end with LF.
    Lengths,
    /// Chunks count wherever the word is; lines end with CR, LF or both.
    Chunks,
}

/// A request, as it was read.
#[derive(Debug, Clone)]
pub struct Read {
    pub line: String,
    /// Names as the laxest servers read them, in order.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What stands behind the body, likewise.
    pub trailers: Vec<(String, String)>,
    /// Why those should not have been sent like this.
    pub trailers_fault: Option<String>,
    /// Why the rest should not have been sent like this.
    pub fault: Option<String>,
}

impl Read {
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// What came on one connection: the bytes, and the requests in them.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub bytes: Vec<u8>,
    pub requests: Vec<Read>,
}

/// An upstream on a port of its own.
pub struct ByteUpstream {
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
    listening: JoinHandle<Vec<Connection>>,
}

impl ByteUpstream {
    pub fn start(reading: Reading) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::<AtomicBool>::default();
        let is_over = over.clone();
        let listening = thread::spawn(move || {
            let mut connections = Vec::new();
            loop {
                let (stream, _) = listener.accept().unwrap();
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                connections.push(thread::spawn(move || serve(stream, reading)));
            }
            connections.into_iter().map(|connection| connection.join().unwrap()).collect()
        });
        Self { address, over, listening }
    }

    /// All that came, once whoever was connected has gone.
    pub fn finish(self) -> Vec<Connection> {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address).unwrap());
        self.listening.join().unwrap()
    }
}

fn serve(stream: TcpStream, reading: Reading) -> Connection {
    stream.set_nodelay(true).unwrap();
    let kept = Arc::<Mutex<Vec<u8>>>::default();
    let mut answers = stream.try_clone().unwrap();
    let source = BufReader::new(Kept { stream, bytes: kept.clone() });
    let mut reader = Reader { source, reading, fault: None };
    let mut requests = Vec::new();
    while let Some(request) = reader.request() {
        let (line, is_faulty) = (request.line.clone(), request.fault.is_some());
        requests.push(request);
        let says = format!("upstream says: {line}");
        // One that is gone does not listen.
        let said = if line.starts_with("HEAD ") {
            write!(answers, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        } else {
            write!(answers, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{says}", says.len())
        };
        if said.is_err() || (is_faulty && reading == Reading::Strict) {
            break;
        }
    }
    let bytes = std::mem::take(&mut *kept.lock().unwrap());
    Connection { bytes, requests }
}

/// A stream whose bytes are kept.
struct Kept {
    stream: TcpStream,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl std::io::Read for Kept {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.bytes.lock().unwrap().extend(&buffer[..read]);
        Ok(read)
    }
}

struct Reader {
    source: BufReader<Kept>,
    reading: Reading,
    fault: Option<String>,
}

/// Fields with their names as the laxest servers read them.
fn folded(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let fold = |(name, value): (String, String)| {
        let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        (name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"), value)
    };
    fields.into_iter().map(fold).collect()
}

impl Reader {
    fn request(&mut self) -> Option<Read> {
        self.fault = None;
        let mut line = self.line()?;
        while line.is_empty() {
            line = self.line()?;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.split(' ').count() != 3 {
            self.blame("the request line");
        }
        let head = self.fields()?;
        let (lengths, codings) =
            (self.framing(&head, "content-length"), self.framing(&head, "transfer-encoding"));
        let fields = folded(head);
        if lengths.len() + codings.len() > 1 {
            self.blame("its framing");
        }
        let chunks = codings.iter().any(|coding| match self.reading {
            Reading::Strict => coding.eq_ignore_ascii_case("chunked"),
            Reading::Lengths => lengths.is_empty() && coding.contains("chunked"),
            Reading::Chunks => coding.to_ascii_lowercase().contains("chunked"),
        });
        if !codings.is_empty() && !chunks {
            self.blame("its coding");
        }
        let mut trailers = Vec::new();
        let mut trailers_fault = None;
        let body = if chunks {
            let body = self.chunks()?;
            let fault = self.fault.take();
            trailers = folded(self.fields()?);
            trailers_fault = std::mem::replace(&mut self.fault, fault);
            body
        } else {
            let length = match lengths.first() {
                None => 0,
                Some(length) => self.length(length),
            };
            self.exactly(length)?
        };
        let fault = self.fault.take();
        Some(Read { line, fields, body, trailers, trailers_fault, fault })
    }

    /// The values of a field that says where the body ends.
    fn framing(&self, fields: &[(String, String)], name: &str) -> Vec<String> {
        let is_it = |other: &str| match self.reading {
            Reading::Strict => other == name,
            // Whatever is around it, and CGI's spelling.
            _ => other.trim_matches(|c: char| !c.is_ascii_alphanumeric()).replace('_', "-") == name,
        };
        let named = fields.iter().filter(|(other, _)| is_it(other));
        named.map(|(_, value)| value.clone()).collect()
    }

    fn blame(&mut self, what: &str) {
        self.fault.get_or_insert_with(|| what.to_owned());
    }

    /// The bytes of a line; nothing at the end of the connection.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let available = self.source.fill_buf().ok()?;
            let byte = *available.first()?;
            self.source.consume(1);
            match byte {
                b'\n' => {
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    } else {
                        self.blame("a line that ends with LF alone");
                    }
                    if line.contains(&b'\r') || line.contains(&0) {
                        self.blame("a control character");
                    }
                    return Some(line);
                }
                b'\r' if self.reading == Reading::Chunks => {
                    if self.source.fill_buf().ok()?.first() == Some(&b'\n') {
                        self.source.consume(1);
                    }
                    return Some(line);
                }
                byte => line.push(byte),
            }
        }
    }

    /// Up to an empty line.
    fn fields(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields: Vec<(String, String)> = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(fields);
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            if text.starts_with([' ', '\t']) {
                self.blame("a folded line");
                // Some servers take it for a line of its own.
                if self.reading == Reading::Lengths
                    && let Some((_, value)) = fields.last_mut()
                {
                    value.push_str(text.trim());
                    continue;
                }
            }
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(is_token) || !text.contains(':') {
                self.blame("a field's name");
            }
            let lax = self.reading != Reading::Strict;
            let white = |c: char| c == ' ' || c == '\t' || (lax && c.is_ascii_control());
            fields.push((name.to_ascii_lowercase(), value.trim_matches(white).to_owned()));
        }
    }

    fn length(&mut self, text: &str) -> u64 {
        let digits: String = match self.reading {
            Reading::Strict => text.to_owned(),
            _ => text.trim_start_matches('+').chars().take_while(char::is_ascii_digit).collect(),
        };
        digits.parse().unwrap_or_else(|_| {
            self.blame("its length");
            0
        })
    }

    fn exactly(&mut self, length: u64) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        let read = self.source.by_ref().take(length).read_to_end(&mut body).ok()?;
        (u64::try_from(read).ok()? == length).then_some(body)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let text = String::from_utf8_lossy(&line).into_owned();
            let lax = text.trim().trim_start_matches("0x");
            let digits: String = lax.chars().take_while(char::is_ascii_hexdigit).collect();
            if digits != text.split(';').next().unwrap_or_default() {
                self.blame("a chunk's size");
            }
            let size = u64::from_str_radix(&digits, 16);
            let Ok(size) = size else {
                self.blame("a chunk's size");
                return Some(body);
            };
            if size == 0 {
                return Some(body);
            }
            body.extend(self.exactly(size)?);
            if !self.line()?.is_empty() {
                self.blame("a chunk's end");
            }
        }
    }
}

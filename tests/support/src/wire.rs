//! HTTP/1.1 byte by byte, for what `curl` cannot do: many requests on one
//! connection, requests that are wrong, and bodies that come piece by piece.

use crate::{process::PATIENCE, response::Response};
use std::{
    io::{BufRead as _, BufReader, Error, ErrorKind, Read, Result, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

/// One end of a connection.
pub struct Wire<S> {
    stream: BufReader<S>,
}

impl Wire<TcpStream> {
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::of_tcp(TcpStream::connect(address)?)
    }

    /// Whether something has come that was not read.
    pub fn has_come(&self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        !self.stream.buffer().is_empty() || peeked.is_ok()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) -> Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Sends as much as goes without the other side's reading, but no more than `most`.
    pub fn send_until_stuck(&mut self, most: usize) -> Result<usize> {
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        let (piece, mut sent) = (vec![0; 1 << 16], 0);
        while sent < most {
            match stream.write(&piece) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(sent)
    }

    /// The next connection to `listener`.
    pub fn accept(listener: &TcpListener) -> Self {
        let listener = listener.try_clone().unwrap();
        let (sender, receiver) = mpsc::channel();
        // Accepting has no bound of its own.
        thread::spawn(move || sender.send(listener.accept().unwrap().0));
        Self::of_tcp(receiver.recv_timeout(PATIENCE).unwrap()).unwrap()
    }

    fn of_tcp(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }
}

impl Wire<UnixStream> {
    /// Connects to the operator's socket in a data directory.
    pub fn connect_operator(data: &Path) -> Result<Self> {
        let stream = UnixStream::connect(data.join("operator.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }
}

impl<S: Read + Write> Wire<S> {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a request that is complete, and reads the response to it.
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Result<Response> {
        self.send(request)?;
        self.read_response()
    }

    /// Sends a request with JSON in it, or with no body for an empty text.
    pub fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Response> {
        self.exchange(format!(
            "{method} {path} HTTP/1.1\r\nhost: operator\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Everything up to an empty line.
    pub fn read_head(&mut self) -> Result<String> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.stream.read_line(&mut head)? == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, head));
            }
            if head[before..].trim_end().is_empty() {
                return Ok(head);
            }
        }
    }

    /// One piece of a chunked body; an empty one at its end.
    pub fn read_chunk(&mut self) -> Result<Vec<u8>> {
        let mut size = String::new();
        self.stream.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim_end(), 16)
            .map_err(|_| Error::new(ErrorKind::InvalidData, format!("a chunk of {size:?}")))?;
        let mut piece = vec![0; size + 2];
        self.stream.read_exact(&mut piece)?;
        piece.truncate(size);
        Ok(piece)
    }

    /// A response with its body.
    pub fn read_response(&mut self) -> Result<Response> {
        let head = self.read_head()?;
        let mut response = Response::parse(&head, Vec::new());
        if let [length] = response.values("content-length")[..] {
            let mut body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut body)?;
            response.body = body;
        } else if response.values("transfer-encoding") == ["chunked"] {
            loop {
                let piece = self.read_chunk()?;
                if piece.is_empty() {
                    break;
                }
                response.body.extend(piece);
            }
        }
        Ok(response)
    }

    /// So many bytes.
    pub fn read_exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// What comes until the other side closes the connection.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

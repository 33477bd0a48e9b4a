//! HTTP/2 frame by frame (RFC 9113 §4), for what no client would send.

use crate::process::PATIENCE;
use std::{
    io::{Error, ErrorKind, Read as _, Result, Write as _},
    net::{SocketAddr, TcpStream},
};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// What a stream came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An answer, its status.
    Status(u16),
    /// It was reset, or the connection was given up.
    Refused,
}

/// One frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) content: Vec<u8>,
}

/// A connection.
pub(super) struct Frames {
    stream: TcpStream,
}

impl Frames {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut this = Self { stream };
        this.send(SETTINGS, 0, 0, b"").unwrap();
        this
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    pub(super) fn send(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) -> Result<()> {
        self.send_bytes(&frame(kind, flags, stream, content))
    }

    pub(super) fn receive(&mut self) -> Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut content)?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), content })
    }

    /// The first frame that `choose` makes something of.
    pub(super) fn wait_for<T>(&mut self, choose: impl Fn(&Frame) -> Option<T>) -> Result<T> {
        loop {
            let frame = self.receive()?;
            if frame.kind == SETTINGS && frame.flags == 0 {
                self.send(SETTINGS, 1, 0, b"")?;
            }
            if let Some(chosen) = choose(&frame) {
                return Ok(chosen);
            }
        }
    }

    /// What comes of this stream.
    pub(super) fn outcome(&mut self, stream: u32) -> Outcome {
        let found = self.wait_for(|frame| match frame.kind {
            HEADERS if frame.stream == stream => Some(Outcome::Status(status(&frame.content))),
            RST_STREAM if frame.stream == stream => Some(Outcome::Refused),
            GOAWAY => Some(Outcome::Refused),
            _ => None,
        });
        found.unwrap_or(Outcome::Refused)
    }

    /// Waits until the server gives the connection up.
    pub(super) fn wait_for_end(&mut self) {
        loop {
            match self.receive() {
                Ok(_) => {}
                Err(error) if is_end(&error) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub(super) fn is_end(error: &Error) -> bool {
    [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe]
        .contains(&error.kind())
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// Fields as they stand, none of them compressed (RFC 7541 §6.2.2).
pub(super) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.bytes());
        }
    }
    block
}

/// A number of seven bits and more (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(u8::try_from(length).unwrap());
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The status with which a block of fields begins: one of the known ones, or one in digits.
fn status(block: &[u8]) -> u16 {
    match block {
        // First of all the table may be made smaller.
        [0x20..0x40, rest @ ..] => status(rest),
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        // Under the name of one of these, compressed or not: it is none of them.
        _ => 0,
    }
}

//! An address that is known before what answers at it: whatever comes is passed on.

use std::{
    io::{Read, Write, copy},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
};

/// A listener on loopback that does not listen to anybody yet.
#[derive(Debug)]
pub struct Forward(TcpListener);

impl Forward {
    pub fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Passes on to `there` from now on.
    pub fn start(self, there: SocketAddr) {
        self.pass_on_to(move || TcpStream::connect(there).unwrap());
    }

    /// The same, to the operator's socket in a data directory.
    pub fn start_to_the_operator(self, data: PathBuf) {
        self.pass_on_to(move || UnixStream::connect(data.join("operator.sock")).unwrap());
    }

    fn pass_on_to<S: Stream>(self, connect: impl Fn() -> S + Send + 'static) {
        thread::spawn(move || {
            for client in self.0.incoming() {
                pass_on(client.unwrap(), connect());
            }
        });
    }
}

/// A connection of either kind.
trait Stream: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> Self;
    fn has_said_all(&self);
}

impl Stream for TcpStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn has_said_all(&self) {
        // Whoever has gone away cannot listen.
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Stream for UnixStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn has_said_all(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Passes on what either side says, until it has said all; whoever went away cannot listen.
fn pass_on<S: Stream>(client: TcpStream, server: S) {
    one_way(client.twin(), server.twin());
    one_way(server, client);
}

fn one_way<From: Stream, To: Stream>(mut from: From, mut to: To) {
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        to.has_said_all();
    });
}

//! What is large goes through without being kept.

use super::serve;
use crate::{server::Server, wire::Wire};
use std::{
    net::{TcpListener, TcpStream},
    thread,
};

/// A gibibyte.
const SIZE: usize = 1 << 30;
const PIECE: usize = 1 << 20;
/// What one stream may add to the memory that the server takes, in bytes: some pieces on their way.
const MOST: u64 = 32 << 20;

fn stage() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    (listener, server)
}

fn send(wire: &mut Wire<TcpStream>) {
    let piece = vec![b'x'; PIECE];
    for _ in 0..SIZE / PIECE {
        wire.send(&piece).unwrap();
    }
}

fn read(wire: &mut Wire<TcpStream>) {
    for _ in 0..SIZE / PIECE {
        assert!(wire.read_exactly(PIECE).unwrap().iter().all(|byte| *byte == b'x'));
    }
}

#[test]
fn a_gibibyte_each_way_in_constant_memory() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    let before = server.most_memory();
    let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\n";
    client.send(format!("{head}content-length: {SIZE}\r\n\r\n")).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    let upload = thread::spawn(move || {
        send(&mut client);
        client
    });
    read(&mut upstream);
    let mut client = upload.join().unwrap();
    upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).unwrap();
    let download = thread::spawn(move || send(&mut upstream));
    assert!(client.read_head().unwrap().starts_with("HTTP/1.1 200 "));
    read(&mut client);
    download.join().unwrap();
    let taken = server.most_memory() - before;
    assert!(taken < MOST, "{taken} bytes");
}

#[test]
fn whoever_reads_nothing_has_nothing_kept_for_them() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    let before = server.most_memory();
    client.send(super::get("/open/7")).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).unwrap();
    assert!(client.read_head().unwrap().starts_with("HTTP/1.1 200 "));
    let sent = upstream.send_until_stuck(SIZE).unwrap();
    assert!(sent < SIZE / 4, "{sent} bytes went somewhere");
    let taken = server.most_memory() - before;
    assert!(taken < MOST, "{taken} bytes");
}

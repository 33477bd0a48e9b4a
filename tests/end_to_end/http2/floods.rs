//! Clients that ask for more than they could want: a connection of theirs ends, nobody else's.

use super::{
    Client,
    frames::{
        CONTINUATION, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM, fields,
        frame, is_end,
    },
    get, serve,
};
use crate::upstream::Upstream;

const REQUEST: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "gateway"), (":path", "/open/7")];

/// Sends this until the server gives the connection up.
fn until_given_up(frames: &mut Frames, most: u32, piece: impl Fn(u32) -> Vec<u8>) {
    for n in 0..most {
        if let Err(error) = frames.send_bytes(&piece(n)) {
            assert!(is_end(&error), "{error}");
            return;
        }
    }
    frames.wait_for_end();
}

#[test]
fn requests_that_are_taken_back_at_once() {
    let upstream = Upstream::start();
    let server = serve(upstream.address);
    for _ in 0..5 {
        let mut frames = Frames::connect(server.gateway);
        until_given_up(&mut frames, 20_000, |n| {
            let stream = 2 * n + 1;
            let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&REQUEST));
            [request, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        });
    }
    // Whatever was begun is over: as many requests as one connection takes find their place.
    let client = Client::connect(server.gateway);
    for _ in 0..300 {
        assert_eq!(client.send(get("http://gateway/open/8")).unwrap().status(), 200);
    }
}

#[test]
fn fields_without_an_end() {
    let upstream = Upstream::start();
    let server = serve(upstream.address);
    let before = server.memory();
    let mut frames = Frames::connect(server.gateway);
    frames.send(HEADERS, END_STREAM, 1, &fields(&REQUEST)).unwrap();
    until_given_up(&mut frames, 100_000, |n| {
        frame(CONTINUATION, 0, 1, &fields(&[(&format!("x-{n}"), "some value that is long enough")]))
    });
    // Small ones, too, of which none says anything.
    let mut frames = Frames::connect(server.gateway);
    frames.send(HEADERS, END_STREAM, 1, &fields(&REQUEST)).unwrap();
    until_given_up(&mut frames, 100_000, |_| frame(CONTINUATION, 0, 1, b""));
    let after = server.memory();
    assert!(after < before + (64 << 20), "{before} bytes, and then {after}");
    assert!(upstream.take().is_empty());
}

#[test]
fn more_streams_than_there_may_be() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(upstream.local_addr().unwrap());
    let mut frames = Frames::connect(server.gateway);
    // The upstream never answers. From the 129th on each is refused by itself.
    for n in 0..130 {
        frames.send(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &fields(&REQUEST)).unwrap();
    }
    let refused = frames.wait_for(|frame| {
        (frame.kind == RST_STREAM).then(|| (frame.stream, frame.content.clone()))
    });
    // REFUSED_STREAM: it may be sent again.
    assert_eq!(refused.unwrap(), (2 * 128 + 1, 7_u32.to_be_bytes().to_vec()));
}

#[test]
fn whoever_only_pings_is_answered() {
    let server = serve(([127, 0, 0, 1], 1).into());
    let mut frames = Frames::connect(server.gateway);
    for n in 0..1000_u64 {
        frames.send(PING, 0, 0, &n.to_be_bytes()).unwrap();
        let echoed = frames.wait_for(|frame| {
            (frame.kind == PING && frame.flags == 1).then(|| frame.content.clone())
        });
        assert_eq!(echoed.unwrap(), n.to_be_bytes());
    }
}

#[test]
fn what_is_not_http_2_after_all() {
    let server = serve(([127, 0, 0, 1], 1).into());
    let mut frames = Frames::connect(server.gateway);
    frames.send_bytes(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let said = frames.wait_for(|frame| (frame.kind == GOAWAY).then_some(()));
    assert!(said.as_ref().map_or_else(is_end, |()| true), "{said:?}");
    frames.wait_for_end();
}

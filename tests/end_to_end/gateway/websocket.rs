//! WebSocket: what both sides say arrives, and nothing else becomes a tunnel.

use super::{get, serve};
use crate::{installation::Token, process::PATIENCE, server::Server, wire::Wire};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};
use tokio_tungstenite::tungstenite::{
    self, Error, HandshakeError, Message, WebSocket,
    client::IntoClientRequest as _,
    handshake::server::{Request, Response},
    http::{HeaderMap, HeaderValue},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// An upstream that sends back whatever it is sent.
struct Echo {
    address: SocketAddr,
    heads: Receiver<HeaderMap>,
    /// How its conversations have ended.
    ends: Receiver<Option<CloseFrame>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((head, heads), (end, ends)) = (channel(), channel());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (head, end) = (head.clone(), end.clone());
                thread::spawn(move || converse(stream.unwrap(), &head, &end));
            }
        });
        Self { address, heads, ends }
    }
}

/// One conversation, to its end.
#[expect(clippy::result_large_err, reason = "the library has it so")]
fn converse(stream: TcpStream, heads: &Sender<HeaderMap>, ends: &Sender<Option<CloseFrame>>) {
    let callback = |request: &Request, mut response: Response| {
        let _ = heads.send(request.headers().clone());
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        }
        Ok(response)
    };
    let Ok(mut socket) = tungstenite::accept_hdr(stream, callback) else { return };
    let mut last = None;
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => last = frame,
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                socket.send(message).unwrap();
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let _ = ends.send(last);
}

/// A gateway in front of an echo, and a token for `orders`.
fn stage() -> (Server, Echo, Token) {
    let echo = Echo::start();
    let server = serve(echo.address);
    let token = server.issue("orders", &[]);
    (server, echo, token)
}

/// A WebSocket through the gateway, or the status of a refusal.
fn open(
    server: &Server,
    path: &str,
    lines: &[(&'static str, &str)],
) -> Result<WebSocket<TcpStream>, u16> {
    let mut request = format!("ws://{}{path}", server.gateway).into_client_request().unwrap();
    for (name, value) in lines {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let stream = TcpStream::connect(server.gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn bearer(token: &Token) -> String {
    format!("Bearer {}", token.secret)
}

/// The request for a WebSocket with these lines besides, and without the ones of that name.
fn handshake(target: &str, lines: &[&str]) -> String {
    let name = |line: &str| line.split(':').next().unwrap().to_lowercase();
    let usual = [
        "Host: gateway",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let usual = usual.iter().filter(|line| lines.iter().all(|own| name(own) != name(line)));
    let all: Vec<&str> = usual.copied().chain(lines.iter().copied()).collect();
    format!("GET {target} HTTP/1.1\r\n{}\r\n\r\n", all.join("\r\n"))
}

/// What an upstream says that agrees.
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A gateway whose upstream is this test.
fn raw() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    (listener, server)
}

/// Both ends of what has become a tunnel.
fn tunnel(listener: &TcpListener, server: &Server) -> (Wire<TcpStream>, Wire<TcpStream>) {
    let mut client = server.connect().unwrap();
    client.send(handshake("/open/socket", &[])).unwrap();
    let mut upstream = Wire::accept(listener);
    upstream.read_head().unwrap();
    upstream.send(AGREED).unwrap();
    assert!(client.read_head().unwrap().starts_with("HTTP/1.1 101 "));
    (client, upstream)
}

#[test]
fn a_conversation() {
    let (server, echo, token) = stage();
    let own = bearer(&token);
    let lines = [
        ("authorization", own.as_str()),
        ("x-counterfoil-account", "root"),
        ("sec-websocket-protocol", "chat"),
        ("cookie", "counterfoil_session=s3cret; a=1"),
    ];
    let mut socket = open(&server, "/orders/socket?x=1", &lines).unwrap();
    for length in [0, 5, 125, 126, 70_000, 3_000_000] {
        let text = "ä".repeat(length);
        socket.send(Message::text(text.clone())).unwrap();
        assert!(socket.read().unwrap() == Message::text(text), "{length}");
    }
    let head = echo.heads.recv_timeout(PATIENCE).unwrap();
    assert_eq!(head["x-counterfoil-account"], token.owner.as_str());
    assert_eq!(head["x-counterfoil-token-id"], token.id.as_str());
    assert_eq!(
        (&head["cookie"], &head["sec-websocket-protocol"]),
        (&"a=1".parse().unwrap(), &"chat".parse().unwrap())
    );
    assert!(!head.contains_key("authorization"));
    let frame = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    socket.close(Some(frame.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(frame.clone())));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(echo.ends.recv_timeout(PATIENCE).unwrap(), Some(frame));
}

#[test]
fn nobody_gets_one_without_a_token() {
    let (server, echo, token) = stage();
    for lines in [&[][..], &[("authorization", "Bearer wrong")]] {
        assert_eq!(open(&server, "/orders/socket", lines).unwrap_err(), 401);
    }
    server.cli(["token", "revoke", &token.id]).done();
    let lines = [("authorization", &*bearer(&token))];
    assert_eq!(open(&server, "/orders/socket", &lines).unwrap_err(), 401);
    assert_eq!(open(&server, "/nothing/socket", &[]).unwrap_err(), 404);
    assert!(echo.heads.try_recv().is_err());
}

#[test]
fn it_ends_with_its_token() {
    let (server, echo, token) = stage();
    let other = server.issue("orders", &[]);
    let open = |token: &Token| {
        open(&server, "/orders/socket", &[("authorization", &bearer(token))]).unwrap()
    };
    let (mut ends, mut stays) = (open(&token), open(&other));
    for socket in [&mut ends, &mut stays] {
        socket.send(Message::text("there?")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("there?"));
    }
    server.cli(["token", "revoke", &token.id]).done();
    let Message::Close(Some(frame)) = ends.read().unwrap() else { panic!("no close frame") };
    assert_eq!(frame.code, CloseCode::Policy);
    assert_eq!(echo.ends.recv_timeout(PATIENCE).unwrap(), None);
    let said = server.process().wait_for_message("a request that was under way has been cut off");
    assert_eq!((&said["code"], &said["token"]), (&"revoked".into(), &token.id.as_str().into()));
    let line = "counterfoil_gateway_streams_ended_total{api=\"orders\"} 1";
    assert!(server.scrape().lines().any(|other| other == line));
    stays.send(Message::text("still?")).unwrap();
    assert_eq!(stays.read().unwrap(), Message::text("still?"));
}

#[test]
fn it_ends_with_the_node() {
    let (server, _echo, token) = stage();
    let mut socket =
        open(&server, "/orders/socket", &[("authorization", &bearer(&token))]).unwrap();
    server.process().terminate();
    let Message::Close(Some(frame)) = socket.read().unwrap() else { panic!("no close frame") };
    assert_eq!(frame.code, CloseCode::Away);
    drop(socket);
    let (status, log, _) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn exactly_what_is_needed_goes_on() {
    let (listener, server) = raw();
    let mut client = server.connect().unwrap();
    let lines = ["Connection: keep-alive, x-hop, upgrade", "X-Hop: 1", "TE: trailers, gzip"];
    client.send(handshake("/open/socket", &lines)).unwrap();
    let mut upstream = Wire::accept(&listener);
    let head = upstream.read_head().unwrap().to_lowercase();
    assert!(head.starts_with("get /socket http/1.1\r\n"), "{head}");
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {head}");
    }
    assert!(!head.contains("x-hop") && !head.contains("transfer-encoding"), "{head}");
    // What the client says before it is answered goes no further before that.
    client.send("early").unwrap();
    upstream.send(AGREED.to_owned() + "hello").unwrap();
    let answer = client.read_head().unwrap().to_lowercase();
    assert!(answer.contains("\r\nconnection: upgrade\r\n"), "{answer}");
    assert!(answer.contains("\r\nupgrade: websocket\r\n") && !answer.contains("content-length"));
    client.send("later").unwrap();
    // Each side may say that it is done, and still listen.
    client.finish().unwrap();
    assert_eq!(upstream.read_to_end().unwrap(), b"earlylater");
    upstream.send(", and good bye").unwrap();
    drop(upstream);
    assert_eq!(client.read_to_end().unwrap(), b"hello, and good bye");
}

#[test]
fn whoever_goes_takes_the_other_side_along() {
    let (listener, server) = raw();
    let (client, mut upstream) = tunnel(&listener, &server);
    drop(client);
    assert_eq!(upstream.read_to_end().unwrap(), b"");
    drop(upstream);
    let (mut client, upstream) = tunnel(&listener, &server);
    drop(upstream);
    assert_eq!(client.read_to_end().unwrap(), b"");
}

#[test]
fn what_is_asked_for_in_a_wrong_way_goes_nowhere() {
    let (listener, server) = raw();
    let smuggled = get("/open/smuggled");
    for (lines, status) in [
        (&["Connection: upgrade, close"][..], 400),
        (&["Connection: close", "Connection: upgrade"], 400),
        (&["Upgrade: websocket", "Upgrade: websocket"], 400),
        (&["Upgrade: websocket", "Upgrade: h2c"], 400),
        (&["Upgrade: websocket, h2c"], 400),
        (&["Content-Length: 5"], 400),
        (&["Transfer-Encoding: chunked"], 400),
        (&["Sec-WebSocket-Key: short"], 400),
        (
            &[
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ],
            400,
        ),
        (&["Sec-WebSocket-Version: 8"], 426),
    ] {
        let mut client = server.connect().unwrap();
        let behind = if status == 400 { &*smuggled } else { "" };
        let response = client.exchange(handshake("/open/socket", lines) + behind).unwrap();
        assert_eq!(response.status, status, "{lines:?}: {response:?}");
        if status == 426 {
            assert_eq!(response.header("sec-websocket-version"), "13");
        } else {
            assert_eq!(client.read_to_end().unwrap(), b"", "{lines:?}");
        }
    }
    let mut client = server.connect().unwrap();
    let post = handshake("/open/socket", &[]).replace("GET", "POST");
    assert_eq!(client.exchange(post).unwrap().status, 400);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn what_asks_for_something_else_is_an_ordinary_request() {
    let (listener, server) = raw();
    let settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA";
    for request in [
        handshake("/open/7", &["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", settings]),
        handshake("/open/7", &["Upgrade: TLS/1.2"]),
        handshake("/open/7", &["Connection: keep-alive"]),
        handshake("/open/7", &[]).replace("HTTP/1.1", "HTTP/1.0"),
    ] {
        let mut client = server.connect().unwrap();
        client.send(&request).unwrap();
        let mut upstream = Wire::accept(&listener);
        let head = upstream.read_head().unwrap().to_lowercase();
        assert!(!head.contains("upgrade:") && !head.contains("connection:"), "{head}");
        upstream
            .send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .unwrap();
        assert_eq!(client.read_response().unwrap().text(), "ok", "{request}");
    }
}

#[test]
fn an_upstream_that_agrees_to_something_else() {
    let (listener, server) = raw();
    let asks = handshake("/open/socket", &[]);
    let plain = get("/open/7");
    for (request, answer) in [
        // Nobody asked.
        (&plain, AGREED.to_owned()),
        (&asks, AGREED.replace("Upgrade: websocket", "Upgrade: h2c")),
        (&asks, AGREED.replace("Upgrade: websocket\r\n", "")),
        (&asks, AGREED.replace("Upgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n")),
        (&asks, AGREED.replace("Connection: upgrade\r\n", "")),
        (&asks, AGREED.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        (&asks, AGREED.replace("HTTP/1.1", "HTTP/1.0")),
    ] {
        let mut client = server.connect().unwrap();
        client.send(request).unwrap();
        let mut upstream = Wire::accept(&listener);
        upstream.read_head().unwrap();
        upstream.send(answer.clone() + "SECRET").unwrap();
        let response = client.read_response().unwrap();
        assert_eq!(
            (response.status, &response.json()["code"]),
            (502, &"upstream_failed".into()),
            "{answer}"
        );
        // Whatever the client says next is HTTP, and the upstream never hears of it.
        client.send(get("/nothing")).unwrap();
        assert_eq!(client.read_response().unwrap().status, 404, "{answer}");
        assert_eq!(upstream.read_to_end().unwrap_or_default(), b"", "{answer}");
    }
}

#[test]
fn an_upstream_that_does_not_agree_is_passed_on() {
    let (listener, server) = raw();
    let mut client = server.connect().unwrap();
    // What comes too early is another request, and is looked at like one.
    client.send(handshake("/open/socket", &[]) + &get("/orders/smuggled")).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    let answer = "HTTP/1.1 403 Forbidden\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                  x-mine: 1\r\nContent-Length: 4\r\n\r\nnope";
    upstream.send(answer).unwrap();
    let response = client.read_response().unwrap();
    assert_eq!((response.status, response.text(), response.header("x-mine")), (403, "nope", "1"));
    assert!(response.values("upgrade").is_empty());
    assert_eq!(client.read_response().unwrap().status, 401);
    assert_eq!(upstream.read_to_end().unwrap(), b"");
}

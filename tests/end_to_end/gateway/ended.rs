//! What goes on for a while ends with what it was admitted on, and looks cut off.

use crate::{
    installation::{Installation, Token},
    server::Server,
    wire::Wire,
};
use std::{
    net::{TcpListener, TcpStream},
    thread,
};

const APIS: &str = r#"
[api.orders]
upstream = "UPSTREAM"
[api.orders.access_tokens]
lifetime = "10s"

[api.open]
upstream = "UPSTREAM"
routes = ["* /** -> anonymous"]
"#;

const BOB: &str = "bob@example.com";
const CAROL: &str = "carol@example.com";

/// What a client has of a request, and its upstream.
type Ends = (Wire<TcpStream>, Wire<TcpStream>);

struct Stage {
    listener: TcpListener,
    server: Server,
}

impl Stage {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let installation = Installation::new(&APIS.replace("UPSTREAM", &upstream));
        Self { listener, server: installation.set_up().start() }
    }

    fn token(&self) -> Token {
        self.server.issue("orders", &[])
    }

    /// A request that the upstream has received; without a credential for an empty secret.
    fn ask(&self, target: &str, secret: &str) -> Ends {
        let mut client = self.server.connect().unwrap();
        let shown = match secret {
            "" => String::new(),
            secret => format!("authorization: Bearer {secret}\r\n"),
        };
        client.send(format!("GET {target} HTTP/1.1\r\nhost: gateway\r\n{shown}\r\n")).unwrap();
        let mut upstream = Wire::accept(&self.listener);
        upstream.read_head().unwrap();
        (client, upstream)
    }

    /// The same, where the response has begun.
    fn download(&self, target: &str, secret: &str) -> Ends {
        let (mut client, mut upstream) = self.ask(target, secret);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        upstream.send(head.to_owned() + "5\r\nfirst\r\n").unwrap();
        assert!(client.read_head().unwrap().starts_with("HTTP/1.1 200 "));
        assert_eq!(client.read_chunk().unwrap(), b"first");
        (client, upstream)
    }

    /// An upload whose first chunk the upstream has received.
    fn upload(&self, secret: &str) -> Ends {
        let mut client = self.server.connect().unwrap();
        client.send(begun_upload(secret)).unwrap();
        let mut upstream = Wire::accept(&self.listener);
        upstream.read_head().unwrap();
        assert_eq!(upstream.read_chunk().unwrap(), b"first");
        (client, upstream)
    }

    fn cli(&self, arguments: &[&str]) {
        self.server.cli(arguments).done();
    }

    fn cut(&self) -> usize {
        let metrics = self.server.scrape();
        let line = "counterfoil_gateway_streams_ended_total{api=\"orders\"} ";
        metrics.lines().find_map(|it| it.strip_prefix(line)).unwrap().parse().unwrap()
    }
}

fn begun_upload(secret: &str) -> String {
    format!(
        "POST /orders/7 HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret}\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    )
}

#[track_caller]
fn is_cut((mut client, mut upstream): Ends, what: &str) {
    let rest = client.read_to_end().unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "", "{what}");
    assert_eq!(upstream.read_to_end().unwrap_or_default(), b"", "{what}");
}

#[test]
fn a_download_ends_with_its_token() {
    let stage = Stage::set();
    let [revoked, denied, paused, rotated, overlapped, other] = [(); 6].map(|()| stage.token());
    let organization = &other.organization;
    for who in [BOB, CAROL] {
        stage.cli(&["account", "create", "--email", who]);
        stage.cli(&["organization", "add-member", organization, who]);
    }
    let expires = stage.server.issue("orders", &["--expires-in", "10s"]);
    let [of_bob, of_carol] = [BOB, CAROL].map(|who| stage.server.issue_to(who, "orders", &[]));
    let exchanged = |token: &Token| {
        let arguments = ["token", "exchange", "--quiet"];
        stage.server.cli_reading(&token.secret, arguments).done().out.trim().to_owned()
    };
    let (short, of_revoked) = (exchanged(&other), exchanged(&revoked));
    let ends: Vec<(&str, Ends)> = [
        ("short", &short),
        ("expires", &expires.secret),
        ("of_revoked", &of_revoked),
        ("revoked", &revoked.secret),
        ("denied", &denied.secret),
        ("paused", &paused.secret),
        ("rotated", &rotated.secret),
        ("overlapped", &overlapped.secret),
        ("of_bob", &of_bob.secret),
        ("of_carol", &of_carol.secret),
    ]
    .map(|(what, secret)| (what, stage.download("/orders/7", secret)))
    .into();
    let stays = [("/orders/7", &*other.secret), ("/open/7", "")];
    let stay = stays.map(|(target, secret)| stage.download(target, secret));
    for arguments in [
        &["token", "revoke", &revoked.id][..],
        &["token", "deny", &denied.id],
        &["token", "pause", &paused.id],
        &["token", "rotate", &rotated.id],
        &["token", "rotate", &overlapped.id, "--overlap", "1s"],
        &["account", "disable", BOB],
        &["organization", "remove-member", organization, CAROL],
    ] {
        stage.cli(arguments);
    }
    let count = ends.len();
    for (what, ends) in ends {
        is_cut(ends, what);
    }
    assert_eq!(stage.cut(), count);
    for (mut client, mut upstream) in stay {
        upstream.send("5\r\nagain\r\n0\r\n\r\n").unwrap();
        assert_eq!(client.read_chunk().unwrap(), b"again");
        assert_eq!(client.read_chunk().unwrap(), b"");
    }
}

#[test]
fn one_that_never_pauses_ends_too() {
    let stage = Stage::set();
    let token = stage.token();
    let (mut client, mut upstream) = stage.download("/orders/7", &token.secret);
    let writer = thread::spawn(move || while upstream.send("5\r\nagain\r\n").is_ok() {});
    stage.cli(&["token", "revoke", &token.id]);
    let rest = client.read_to_end().unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    writer.join().unwrap();
    assert_eq!(stage.cut(), 1);
}

#[test]
fn an_upload_ends_with_its_token() {
    let stage = Stage::set();
    let token = stage.token();
    let (mut client, mut upstream) = stage.upload(&token.secret);
    stage.cli(&["token", "revoke", &token.id]);
    let response = client.read_response().unwrap();
    assert_eq!((response.status, response.header("connection")), (401, "close"));
    let next = stage.server.connect().unwrap().exchange(begun_upload(&token.secret)).unwrap();
    assert_eq!(response.json()["code"], next.json()["code"]);
    assert_eq!(client.read_to_end().unwrap_or_default(), b"");
    let rest = upstream.read_to_end().unwrap_or_default();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(stage.cut(), 1);
}

#[test]
fn an_upload_behind_its_response_ends_too() {
    let stage = Stage::set();
    let token = stage.token();
    let (mut client, mut upstream) = stage.upload(&token.secret);
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    assert_eq!(client.read_response().unwrap().text(), "ok");
    stage.cli(&["token", "revoke", &token.id]);
    let rest = upstream.read_to_end().unwrap_or_default();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn what_was_accepted_may_still_be_answered() {
    let stage = Stage::set();
    let token = stage.token();
    let (mut client, mut upstream) = stage.ask("/orders/7", &token.secret);
    let other = stage.download("/orders/8", &token.secret);
    stage.cli(&["token", "revoke", &token.id]);
    // By then the first one would have been cut off as well.
    is_cut(other, "the second");
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").unwrap();
    assert_eq!(client.read_response().unwrap().text(), "done");
}

//! Several upstreams, those that are down, those behind TLS, and what is asked twice.

mod secure;

use super::get;
use crate::{
    installation::Installation,
    server::Server,
    upstream::{NOBODY, Upstream},
    wire::Wire,
};
use http::Response;
use http_body_util::Full;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, ipproto, listen, socket};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A gateway before these upstreams, with more settings of its API.
fn before(upstreams: &[SocketAddr], more: &str) -> Server {
    let urls: Vec<_> = upstreams.iter().map(|address| format!("\"http://{address}\"")).collect();
    super::with_one_thread(&format!(
        "[api.open]\nupstream = [{}]\nroutes = [\"* /** -> anonymous\"]\n{more}\n",
        urls.join(", ")
    ))
}

/// A port that is taken, and refuses connections until somebody listens.
struct Deaf {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Deaf {
    fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = getsockname(&socket).unwrap().try_into().unwrap();
        Self { socket, address }
    }

    /// Takes as many connections as wait in line, and no more for now.
    fn listen(self, line: i32) -> TcpListener {
        listen(&self.socket, line).unwrap();
        TcpListener::from(self.socket)
    }
}

#[track_caller]
fn has_line(text: &str, line: &str) {
    assert!(text.lines().any(|other| other == line), "{line}:\n{text}");
}

/// How often a line with these words is in the log.
fn times(server: &Server, words: &str) -> usize {
    server.process().log().lines().filter(|line| line.contains(words)).count()
}

#[test]
fn requests_are_shared_out_and_each_upstream_has_its_own_name() {
    let upstreams = [Upstream::start(), Upstream::start(), Upstream::start()];
    let server = before(&upstreams.each_ref().map(|upstream| upstream.address), "");
    let mut wire = server.connect().unwrap();
    for _ in 0..60 {
        assert_eq!(wire.exchange(get("/open/7")).unwrap().status, 200);
    }
    for upstream in &upstreams {
        let received = upstream.take();
        assert!((10..=30).contains(&received.len()), "{}", received.len());
        for received in received {
            assert_eq!(received.values("host"), [upstream.address.to_string()]);
            assert_eq!(received.target, "/7");
        }
    }
}

#[test]
fn one_that_refuses_is_passed_over() {
    let good = Upstream::start();
    let server = before(&[NOBODY, good.address], "");
    for _ in 0..10 {
        let posted = server.curl("/open/7", ["--data", "hello"]);
        assert_eq!((posted.status, posted.text()), (200, "upstream says: POST /7"));
        assert_eq!(&good.take_one().body[..], b"hello");
    }
    let said = server.process().wait_for_message("an upstream is down");
    assert_eq!((&said["api"], &said["upstream"]), (&"open".into(), &"http://127.0.0.1:1".into()));
    assert!(said["why"].as_str().unwrap().contains("refused"), "{said}");
    assert_eq!(times(&server, "an upstream is down"), 1);
    assert_eq!(times(&server, "another upstream is asked"), 1);
    let metrics = server.scrape();
    let up = |address, up| {
        format!(
            "counterfoil_gateway_upstream_up{{api=\"open\",upstream=\"http://{address}\"}} {up}"
        )
    };
    has_line(&metrics, &up(NOBODY, 0));
    has_line(&metrics, &up(good.address, 1));
    has_line(&metrics, "counterfoil_gateway_upstream_retries_total{api=\"open\"} 1");
    let failures =
        "counterfoil_gateway_upstream_failures_total{api=\"open\",kind=\"unreachable\"} 1";
    has_line(&metrics, failures);
}

#[test]
fn where_all_are_down_they_are_tried_all_the_same() {
    let (one, other) = (Deaf::new(), Deaf::new());
    let server = before(&[one.address, other.address], "");
    for _ in 0..3 {
        let response = server.curl("/open/7", [] as [&str; 0]);
        assert_eq!((response.status, &response.json()["code"]), (502, &"upstream_failed".into()));
    }
    assert_eq!(times(&server, "an upstream is down"), 2);
    // Nobody has to wait until somebody has looked again.
    let listener = other.listen(8);
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    answer(&listener);
    assert_eq!(client.read_response().unwrap().status, 204);
    server.process().wait_for_message("an upstream is up again");
    drop(one);
}

/// Answers the request of the next connection that has one, which a trial connection has not.
fn answer(listener: &TcpListener) -> Wire<TcpStream> {
    loop {
        let mut upstream = Wire::accept(listener);
        if upstream.read_head().is_ok() {
            upstream.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            return upstream;
        }
    }
}

#[test]
fn one_that_comes_back_is_found_without_a_request() {
    let (good, deaf) = (Upstream::start(), Deaf::new());
    let server = before(&[deaf.address, good.address], "");
    for _ in 0..4 {
        assert_eq!(server.curl("/open/7", [] as [&str; 0]).status, 200);
    }
    server.process().wait_for_message("an upstream is down");
    let back = Upstream::on(deaf.listen(8));
    let said = server.process().wait_for_message("an upstream is up again");
    assert_eq!(said["upstream"], back.url());
    // The trial asked for nothing.
    assert!(back.take().is_empty());
    for _ in 0..10 {
        assert_eq!(server.curl("/open/7", [] as [&str; 0]).status, 200);
    }
    assert!(!back.take().is_empty());
}

#[test]
fn who_does_not_take_the_call_is_given_up() {
    let deaf = Deaf::new();
    let address = deaf.address;
    let full = deaf.listen(0);
    // The line is full: whoever else calls hears nothing.
    let waiting = TcpStream::connect(address).unwrap();
    let alone = before(&[address], "timeouts.connect = \"1s\"");
    // Who has not been called yet is not asked for an answer.
    let soon = before(&[address], "timeouts.connect = \"6s\"\ntimeouts.response = \"1s\"");
    for server in [alone, soon] {
        let response = server.curl("/open/7", [] as [&str; 0]);
        assert_eq!((response.status, &response.json()["code"]), (504, &"upstream_silent".into()));
        let why = "it could not be connected to in time";
        assert_eq!(server.process().wait_for_message("the upstream failed")["why"], why);
        assert_eq!(server.process().wait_for_message("an upstream is down")["why"], why);
    }

    let good = Upstream::start();
    let server = before(&[address, good.address], "timeouts.connect = \"1s\"");
    for _ in 0..5 {
        assert_eq!(server.curl("/open/7", ["--data", "x"]).status, 200);
    }
    assert_eq!(good.take().len(), 5);
    drop((full, waiting));
}

#[test]
fn a_client_that_stands_still_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = before(&[listener.local_addr().unwrap()], "timeouts.upload = \"1s\"");
    let mut client = server.connect().unwrap();
    let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ncontent-length: 10\r\n\r\n";
    client.send(head.to_owned() + "01234").unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    // As much as came, and no end of it.
    assert_eq!(upstream.read_to_end().unwrap(), b"01234");
    let response = client.read_response().unwrap();
    assert_eq!((response.status, &response.json()["code"]), (400, &"request_interrupted".into()));
    let said = server.process().wait_for_message("the client did not finish its request");
    assert!(said["why"].as_str().unwrap().contains("stood still"), "{said}");
    // Nothing is held against the upstream.
    let metrics = server.scrape();
    let failed = |line: &str| {
        line.starts_with("counterfoil_gateway_upstream_failures_total{") && !line.ends_with(" 0")
    };
    assert!(!metrics.lines().any(failed), "{metrics}");
}

#[test]
fn a_name_with_several_addresses() {
    // Behind the name there is ::1, too, mostly before this one.
    let upstream = Upstream::start();
    let url = format!("http://localhost:{}", upstream.address.port());
    let server = Installation::new(&format!(
        "[api.open]\nupstream = \"{url}\"\nroutes = [\"* /** -> anonymous\"]"
    ));
    let server = server.start();
    assert_eq!(server.curl("/open/7", [] as [&str; 0]).status, 200);
    let host = format!("localhost:{}", upstream.address.port());
    assert_eq!(upstream.take_one().values("host"), [host]);
}

#[test]
fn a_name_that_leads_nowhere() {
    let server = Installation::new(
        "[api.open]\nupstream = \"http://nobody.invalid:9000\"\nroutes = [\"* /** -> anonymous\"]",
    );
    let server = server.start();
    assert!([502, 504].contains(&server.curl("/open/7", [] as [&str; 0]).status));
    let said = server.process().wait_for_message("the upstream failed");
    assert_eq!(said["upstream"], "http://nobody.invalid:9000");
}

#[test]
fn only_what_can_be_asked_twice_is() {
    let whole = |method: &str| format!("{method} /open/7 HTTP/1.1\r\nhost: gateway\r\n\r\n");
    let with_body = |method: &str| {
        format!("{method} /open/7 HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\n\r\nhi")
    };
    let chunked = "GET /open/7 HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\nhi\r\n0\r\n\r\n";
    let large = format!(
        "GET /open/7 HTTP/1.1\r\nhost: gateway\r\nx-large: {}\r\n\r\n",
        "x".repeat(16 * 1024)
    );
    let table = [
        (whole("GET"), "", true),
        (whole("HEAD"), "", true),
        (whole("OPTIONS"), "", true),
        (whole("DELETE"), "", true),
        (whole("POST"), "", false),
        (whole("PATCH"), "", false),
        (whole("BREW"), "", false),
        (with_body("GET"), "", false),
        (with_body("PUT"), "", false),
        (with_body("DELETE"), "", false),
        (with_body("POST"), "", false),
        (chunked.to_owned(), "", false),
        // What is not kept in memory cannot be sent again.
        (large, "", false),
        // Somebody has begun to answer.
        (whole("GET"), "HTTP/1.1 2", false),
        (whole("GET"), "HTTP/1.1 103 Early Hints\r\n\r\n", false),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = before(&[listener.local_addr().unwrap()], "");
    for (request, said, is_again) in &table {
        let what = format!("{:.60} {said:?}", request.escape_debug().to_string());
        // One connection carries a request, and is closed over the next.
        let mut client = server.connect().unwrap();
        client.send(get("/open/first")).unwrap();
        let mut upstream = Wire::accept(&listener);
        upstream.read_head().unwrap();
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        assert_eq!(client.read_response().unwrap().text(), "ok", "{what}");
        client.send(request).unwrap();
        let head = upstream.read_head().unwrap();
        upstream.send(said).unwrap();
        drop(upstream);
        if *is_again {
            let mut next = Wire::accept(&listener);
            assert_eq!(lines(&next.read_head().unwrap()), lines(&head), "{what}");
            next.send("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            assert_eq!(client.read_head().unwrap().split(' ').nth(1), Some("204"), "{what}");
        } else {
            let response = client.read_response().unwrap();
            assert_eq!(response.status, 502, "{what}");
            assert_eq!(response.json()["detail"], "the upstream did not answer", "{what}");
        }
    }
    // Nobody else has come.
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
    let retries = table.iter().filter(|(.., is_again)| *is_again).count();
    let counted = format!("counterfoil_gateway_upstream_retries_total{{api=\"open\"}} {retries}");
    has_line(&server.scrape(), &counted);
}

/// The lines of a head, in an order that says nothing.
fn lines(head: &str) -> Vec<&str> {
    let mut lines: Vec<_> = head.lines().collect();
    lines[1..].sort_unstable();
    lines
}

#[test]
fn what_fails_twice_is_not_tried_a_third_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = before(&[listener.local_addr().unwrap()], "");
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    let mut first = answer(&listener);
    assert_eq!(client.read_response().unwrap().status, 204);
    client.send(get("/open/7")).unwrap();
    first.read_head().unwrap();
    drop(first);
    let mut second = Wire::accept(&listener);
    second.read_head().unwrap();
    drop(second);
    assert_eq!(client.read_response().unwrap().status, 502);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn who_is_unwell_says_so() {
    let is_well = Arc::new(AtomicBool::new(false));
    let asked = is_well.clone();
    let checked = Upstream::answering(move |received| {
        let is_check = received.target == "/state?x=y";
        let status = if is_check && !asked.load(Ordering::Relaxed) { 503 } else { 200 };
        Response::builder().status(status).body(Full::default()).unwrap()
    });
    let good = Upstream::start();
    let check = "health = { path = \"/state?x=y\", interval = \"1s\" }";
    let server = before(&[checked.address, good.address], check);
    let said = server.process().wait_for_message("an upstream is down");
    assert_eq!(said["upstream"], checked.url());
    assert_eq!(said["why"], "its check has failed: it answered 503");
    let check = checked.take().remove(0);
    assert_eq!(check.values("host"), [checked.address.to_string()]);
    assert_eq!(
        (check.values("user-agent"), check.values("connection")),
        (vec!["counterfoil"], vec!["close"])
    );
    for _ in 0..20 {
        assert_eq!(server.curl("/open/7", [] as [&str; 0]).status, 200);
    }
    assert!(checked.take().iter().all(|received| received.target == "/state?x=y"));
    is_well.store(true, Ordering::Relaxed);
    server.process().wait_for_message("an upstream is up again");
    let mut reached = BTreeMap::<_, usize>::new();
    for _ in 0..20 {
        assert_eq!(server.curl("/open/7", [] as [&str; 0]).status, 200);
    }
    for received in checked.take() {
        *reached.entry(received.target).or_default() += 1;
    }
    assert!(reached["/7"] > 0, "{reached:?}");
}

#[test]
fn the_only_one_is_asked_though_it_is_unwell() {
    let alone = Upstream::answering(|received| {
        let status = if received.target == "/state" { 404 } else { 200 };
        Response::builder().status(status).body(Full::default()).unwrap()
    });
    let check = "health = { path = \"/state\", interval = \"1s\", expect = \"204\" }";
    let server = before(&[alone.address], check);
    server.process().wait_for_message("an upstream is down");
    assert_eq!(server.curl("/open/7", [] as [&str; 0]).status, 200);
    let down =
        format!("counterfoil_gateway_upstream_up{{api=\"open\",upstream=\"{}\"}} 0", alone.url());
    has_line(&server.scrape(), &down);
}

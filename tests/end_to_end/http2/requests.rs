//! What HTTP/2 says otherwise, and means the same.

use super::{Client, get, serve};
use crate::{response::fetch, upstream::Upstream, wire::Wire};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Version};
use std::net::TcpListener;
use tokio::task::JoinSet;

#[test]
fn without_tls_for_those_who_know() {
    let upstream = Upstream::start();
    let server = serve(upstream.address);
    let known = ["--http2-prior-knowledge", "--write-out", "%{http_version}"];
    let text = |address, path: &str| {
        let response = fetch(&format!("http://{address}{path}"), known);
        (response.status, response.text().to_owned())
    };
    assert_eq!(text(server.gateway, "/open/7"), (200, "upstream says: GET /72".into()));
    assert_eq!(text(server.main, "/readyz"), (200, "ready\n2".into()));
    assert_eq!(text(server.metrics, "/nothing").0, 404);
    // Of problems nginx passes on a refusal alone.
    assert_eq!(text(server.forward_auth, "/auth/nothing").0, 403);
    let received = upstream.take_one();
    assert_eq!(received.values("host"), [upstream.address.to_string()]);
    assert_eq!(received.values("x-forwarded-host"), [server.gateway.to_string()]);
    assert_eq!(received.values("x-forwarded-proto"), ["http"]);
    // Whoever asks whether it is spoken goes on with what was spoken.
    let response = fetch(
        &format!("http://{}/open/7", server.gateway),
        ["--http2", "--write-out", "%{http_version}"],
    );
    assert_eq!(response.text(), "upstream says: GET /71.1");
}

#[test]
fn cookies_come_one_by_one_and_go_on_as_one() {
    let upstream = Upstream::start();
    let server = serve(upstream.address);
    let client = Client::connect(server.gateway);
    let mut request = get("http://gateway/open/7");
    for cookie in ["a=1", "counterfoil_session=x", "b=2"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    assert_eq!(client.send(request).unwrap().status(), 200);
    assert_eq!(upstream.take_one().values("cookie"), ["a=1; b=2"]);
}

#[test]
fn the_authority_says_whom_it_is_for() {
    let upstream = Upstream::start();
    let server = serve(upstream.address);
    let client = Client::connect(server.gateway);
    let mut request = get("http://api.example.com/7");
    assert_eq!(client.send(request.clone()).unwrap().status(), 200);
    assert_eq!(upstream.take_one().values("x-forwarded-host"), ["api.example.com"]);
    request.headers_mut().insert("host", "API.example.com".parse().unwrap());
    assert_eq!(client.send(request.clone()).unwrap().status(), 200);
    assert_eq!(upstream.take_one().target, "/7");
    request.headers_mut().insert("host", "gateway".parse().unwrap());
    let response = client.send(request).unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.headers().get("connection").is_none());
    // The connection goes on: on it requests cannot be taken for one another.
    assert_eq!(client.send(get("http://gateway/open/7")).unwrap().status(), 200);
    assert!(!server.process().log().contains("illegal in HTTP/2"));
}

#[test]
fn bodies_go_both_ways() {
    let upstream =
        Upstream::answering(|received| hyper::Response::new(Full::from(received.body.clone())));
    let server = serve(upstream.address);
    let client = Client::connect(server.gateway);
    let large: Bytes = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for (version, body) in [(Version::HTTP_2, large), (Version::HTTP_2, Bytes::from_static(b"x"))] {
        let request = Request::post("http://gateway/open/7").version(version);
        let response = client.send(request.body(Full::new(body.clone())).unwrap()).unwrap();
        assert_eq!(response.status(), 200);
        assert!(*response.body() == body);
        let received = upstream.take_one();
        assert_eq!(received.values("content-length"), [body.len().to_string()]);
        assert!(received.values("transfer-encoding").is_empty());
    }
    let file = server.home().join("body");
    std::fs::write(&file, "some").unwrap();
    let data = format!("@{}", file.display());
    let url = format!("http://{}/open/7", server.gateway);
    // Who would rather be asked for it first is not kept waiting.
    for (line, takes_trailers) in
        [("expect: 100-continue", &[][..]), ("te: trailers", &["trailers"])]
    {
        let arguments = ["--http2-prior-knowledge", "--header", line, "--data-binary", &data];
        assert_eq!(fetch(&url, arguments).text(), "some");
        let received = upstream.take_one();
        assert!(received.values("expect").is_empty());
        assert_eq!(received.values("te"), takes_trailers);
    }
}

#[test]
fn two_hundred_at_once_on_one_connection() {
    let upstream = Upstream::start();
    let server = serve(upstream.address);
    let client = Client::connect(server.gateway);
    let requests = client.requests.clone();
    let answers = client.runtime.block_on(async move {
        let mut under_way = JoinSet::new();
        for n in 0..200 {
            let mut requests = requests.clone();
            under_way.spawn(async move {
                let request = get(&format!("http://gateway/open/{n}"));
                let response = requests.send_request(request).await.unwrap();
                let text = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(text, format!("upstream says: GET /{n}"));
            });
        }
        under_way.join_all().await.len()
    });
    assert_eq!((answers, upstream.take().len()), (200, 200));
}

#[test]
fn what_is_under_way_may_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    let client = Client::connect(server.gateway);
    let mut requests = client.requests.clone();
    let answer = client.runtime.spawn(async move {
        let response = requests.send_request(get("http://gateway/open/7")).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    });
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").unwrap();
    // One that asks nothing is let go at once.
    let idle = Client::connect(server.gateway);
    assert_eq!(idle.send(get("http://gateway/nothing")).unwrap().status(), 404);

    server.process().terminate();
    server.process().wait_for_message("stopping");
    let closed = async {
        let mut requests = idle.requests.clone();
        while requests.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    idle.runtime.block_on(closed);
    assert!(idle.send(get("http://gateway/open/8")).is_err());

    upstream.send("half").unwrap();
    assert_eq!(client.runtime.block_on(answer).unwrap(), "halfhalf");
    let (status, log, _) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("have been cut off"), "{log}");
}

/// The client takes it back: so does the gateway, for what the upstream does is for nobody.
#[test]
fn a_request_that_is_taken_back_ends_at_the_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    let client = Client::connect(server.gateway);
    let mut requests = client.requests.clone();
    let asking = client.runtime.spawn(async move {
        let _ = requests.send_request(get("http://gateway/open/7")).await;
    });
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    asking.abort();
    assert_eq!(upstream.read_to_end().unwrap(), b"");
    // And the connection is of use still.
    assert_eq!(client.send(get("http://gateway/nothing")).unwrap().status(), 404);
}

//! How many connections there may be: no more than there are file descriptors for.

use super::get;
use crate::{
    installation::Installation, process::PATIENCE, response::Response, server::Server, wire::Wire,
};
use std::{
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

/// A gateway that may have 400 files open, before whatever listens there.
fn cramped(listener: &TcpListener) -> Server {
    let upstream = listener.local_addr().unwrap();
    let mut installation = Installation::new(&format!(
        "[api.open]\nupstream = \"http://{upstream}\"\nroutes = [\"* /** -> anonymous\"]\n"
    ));
    installation.call_through(["prlimit", "--nofile=400:400"].map(str::to_owned).to_vec());
    installation.set_up().start()
}

/// A client that has asked, and either the upstream's end of that or the client's answer.
fn ask(server: &Server, listener: &TcpListener) -> (Wire<TcpStream>, Result<TcpStream, Response>) {
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    listener.set_nonblocking(true).unwrap();
    loop {
        match listener.accept() {
            Ok((stream, _)) => return (client, Ok(stream)),
            Err(_) if client.has_come() => {
                let answer = client.read_response().unwrap();
                return (client, Err(answer));
            }
            Err(_) => thread::yield_now(),
        }
    }
}

#[test]
fn where_none_is_left_for_an_upstream_the_client_hears_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = cramped(&listener);
    let mut under_way = Vec::new();
    let refused = loop {
        let (client, answer) = ask(&server, &listener);
        match answer {
            Ok(stream) => under_way.push((client, stream)),
            Err(response) => break response,
        }
        assert!(under_way.len() < 400);
    };
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"busy".into()), "{refused:?}");
    assert_eq!(refused.header("retry-after"), "1");
    // A client and its upstream have one each.
    assert!(under_way.len() > 80, "{}", under_way.len());
    let why = &server.process().wait_for_message("the upstream failed")["why"];
    assert!(why.as_str().unwrap().contains("file descriptors"), "{why}");

    // Nothing is held against the upstream, and whoever watches or revokes is heard.
    let metrics = server.scrape();
    for line in [
        "counterfoil_gateway_upstream_failures_total{api=\"open\",kind=\"no_place\"} 1".to_owned(),
        format!(
            "counterfoil_gateway_upstream_up{{api=\"open\",upstream=\"http://{}\"}} 1",
            listener.local_addr().unwrap()
        ),
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line}:\n{metrics}");
    }
    let token = server.issue("open", &[]);
    server.cli(["token", "revoke", &token.id]).done();

    // One that ends leaves its places to the next.
    drop(under_way.pop());
    let deadline = Instant::now() + PATIENCE;
    while let (_, Err(refused)) = ask(&server, &listener) {
        assert_eq!(refused.status, 503);
        assert!(Instant::now() < deadline, "{refused:?}");
    }
}

#[test]
fn who_only_rests_makes_room() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = cramped(&listener);
    // More than there are places for: whoever rests is sent away, one after the other, and all
    // are accepted.
    let resting: Vec<_> = (0..400).map(|_| server.connect().unwrap()).collect();
    let (_client, answer) = ask(&server, &listener);
    answer.unwrap();
    drop(resting);
}

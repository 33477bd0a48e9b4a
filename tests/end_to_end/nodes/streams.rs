//! What goes on for a while at one node ends with what is changed at another; and once the node
//! cannot hear of changes any more.

use super::{DATABASE, Nodes, url_through};
use crate::{installation::Token, postgres::Postgres, valve::Valve, wire::Wire};
use std::net::{TcpListener, TcpStream};

/// What a client has of a request, and its upstream.
struct Stream {
    client: Wire<TcpStream>,
    upstream: Wire<TcpStream>,
}

impl Stream {
    /// A response that has begun.
    fn download(nodes: &Nodes, listener: &TcpListener, token: &Token) -> Self {
        let mut client = Wire::<TcpStream>::connect(nodes.node(0).gateway).unwrap();
        client.send(super::judged(token)).unwrap();
        let mut upstream = Wire::accept(listener);
        upstream.read_head().unwrap();
        upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert!(client.read_head().unwrap().starts_with("HTTP/1.1 200 "));
        let mut this = Self { client, upstream };
        this.goes_on();
        this
    }

    /// A request of which the first chunk has arrived.
    fn upload(nodes: &Nodes, listener: &TcpListener, token: &Token) -> Self {
        let mut client = Wire::<TcpStream>::connect(nodes.node(0).gateway).unwrap();
        let head = format!(
            "POST /orders/7 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
             transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
            token.secret
        );
        client.send(head).unwrap();
        let mut upstream = Wire::accept(listener);
        upstream.read_head().unwrap();
        assert_eq!(upstream.read_chunk().unwrap(), b"first");
        Self { client, upstream }
    }

    fn goes_on(&mut self) {
        self.upstream.send("4\r\nmore\r\n").unwrap();
        assert_eq!(self.client.read_chunk().unwrap(), b"more");
    }

    /// Waits until it is over on both sides; what the client has been told last.
    fn end(&mut self) -> String {
        let rest = self.client.read_to_end().unwrap();
        assert_eq!(self.upstream.read_to_end().unwrap_or_default(), b"");
        String::from_utf8(rest).unwrap()
    }
}

#[test]
fn what_is_under_way_ends_with_a_change_made_elsewhere() {
    let postgres = Postgres::start();
    let valve = Valve::to(postgres.port());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let urls = [url_through(&valve, &postgres), postgres.url_of(DATABASE)];
    let nodes = Nodes::start_as(&postgres, &urls, 12, |installation| {
        installation.set("COUNTERFOIL_API_ORDERS_UPSTREAM", &upstream);
    });
    let [revoked, paused, given_up, stays] = nodes.issue(4).try_into().unwrap();
    let mut ending = [&revoked, &paused].map(|it| Stream::download(&nodes, &listener, it));
    let mut sending = Stream::upload(&nodes, &listener, &given_up);
    let mut staying = Stream::download(&nodes, &listener, &stays);
    nodes.revoke(1, &revoked);
    nodes.node(1).cli(["token", "pause", &paused.id]).done();
    nodes.revoke(1, &given_up);
    for stream in &mut ending {
        // No last chunk: it looks cut off.
        assert_eq!(stream.end(), "");
    }
    let told = sending.end();
    assert!(told.starts_with("HTTP/1.1 401 "), "{told}");
    staying.goes_on();
    // It vouches for nothing once nobody can tell it: what is under way is no exception.
    valve.shut();
    assert_eq!(staying.end(), "");
    assert_eq!(nodes.judge(0, &stays), 503);
    valve.open();
}

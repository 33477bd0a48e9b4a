//! Limits: how many requests a token may have in flight, and how many it may make in a time.

mod ends;
mod in_flight;
mod lifetimes;
mod rates;
mod slots;

use crate::{
    installation::{Installation, Token, example},
    process::PATIENCE,
    response::Response,
    server::Server,
    wire::Wire,
};
use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

/// The contract's own file, in front of whatever listens there.
fn finout(upstream: SocketAddr) -> Server {
    finout_with(upstream, "")
}

/// The same with more settings below it.
fn finout_with(upstream: SocketAddr, more: &str) -> Server {
    let file = std::fs::read_to_string(example("finout")).unwrap();
    let mut installation = Installation::new(&(file + more));
    installation.set("COUNTERFOIL_API_FINOUT_UPSTREAM", &format!("http://{upstream}"));
    installation.set_up().start()
}

/// The header lines of a token of `finout`.
fn pair(token: &Token) -> String {
    format!("x-finout-client-id: {}\r\nx-finout-secret-key: {}\r\n", token.id, token.secret)
}

/// Everything up to the empty line of a request to `finout`; `lines` are more of its header.
fn head(method: &str, path: &str, token: &Token, lines: &str) -> String {
    format!("{method} /finout{path} HTTP/1.1\r\nhost: gateway\r\n{}{lines}\r\n", pair(token))
}

/// The value of a metric that has one value.
fn metric(server: &Server, name: &str) -> u64 {
    let scraped = server.scrape();
    let value = scraped.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    value.unwrap_or_else(|| panic!("{name} is not there: {scraped}")).parse().unwrap()
}

/// Waits until so many requests hold a slot at the gateway.
#[track_caller]
fn wait_for_slots(server: &Server, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let in_use = metric(server, "counterfoil_slots_in_use");
        if in_use == count {
            return;
        }
        assert!(Instant::now() < deadline, "{in_use} slots in use");
        thread::yield_now();
    }
}

/// A request that has reached the upstream: the client's end, and the upstream's.
struct UnderWay {
    client: Wire<TcpStream>,
    upstream: Wire<TcpStream>,
}

/// A gateway whose upstream is this test, and a token that may do everything.
struct Stage {
    listener: TcpListener,
    server: Server,
    token: Token,
}

impl Stage {
    fn set() -> Self {
        Self::with("")
    }

    /// One whose configuration has more settings.
    fn with(more: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = finout_with(listener.local_addr().unwrap(), more);
        let token = server.issue("finout", &["--role", "editor"]);
        Self { listener, server, token }
    }

    /// Sends what is all of a request, or begins one, and waits until it is at the upstream.
    fn begin(&self, request: &str) -> UnderWay {
        let mut client = self.server.connect().unwrap();
        client.send(request).unwrap();
        let mut upstream = Wire::accept(&self.listener);
        upstream.read_head().unwrap();
        UnderWay { client, upstream }
    }

    /// So many requests that are under way.
    fn begin_some(&self, count: usize) -> Vec<UnderWay> {
        (0..count).map(|_| self.begin(&head("GET", "/v1/costs", &self.token, ""))).collect()
    }

    /// The answer to a request that the gateway answers itself.
    fn ask(&self) -> Response {
        let request = head("GET", "/v1/costs", &self.token, "");
        self.server.connect().unwrap().exchange(request).unwrap()
    }

    /// Checks that one more request is one too many, and stays here.
    #[track_caller]
    fn is_full(&self) -> Response {
        let refused = self.ask();
        assert_eq!(refused.status, 429, "{refused:?}");
        self.listener.set_nonblocking(true).unwrap();
        let nobody = self.listener.accept().unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
        self.listener.set_nonblocking(false).unwrap();
        refused
    }
}

//! Three nodes and one server of shared limits: what a token may do is counted once, while the
//! server is there, while it is not, and when it is back.

use crate::{
    installation::{Installation, Token},
    process::{PATIENCE, run},
    redis::Redis,
    server::Server,
    wire::Wire,
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

const NODES: usize = 3;
const IN_FLIGHT: usize = 5;
/// Requests in [`SPAN`], and what is each node's part of them.
const RATE: usize = 30;
const SPAN: Duration = Duration::from_secs(2);

const APIS: &str = r#"
[limiter]
url = "URL"
nodes = 3
patience_ms = 1000

[api.held]
upstream = "UPSTREAM/held"
in_flight = 5

[api.paced]
upstream = "UPSTREAM/paced"
rate = "30/2s"
"#;

/// An upstream that counts how many requests it has at once.
#[derive(Default)]
struct Counting {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    now: usize,
    most: usize,
    all: usize,
}

/// How long a request takes: long enough that others come meanwhile.
const WORK: Duration = Duration::from_millis(25);

impl Counting {
    fn start() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let this = Arc::new(Self::default());
        let counting = this.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let counting = counting.clone();
                // A gateway that goes away is none of the upstream's business.
                thread::spawn(move || counting.answer(&stream.unwrap()));
            }
        });
        (this, url)
    }

    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        while let Some(first) = lines.next().transpose()? {
            for line in lines.by_ref() {
                if line?.is_empty() {
                    break;
                }
            }
            if first.contains("/held/") {
                let mut counts = self.counts.lock().unwrap();
                counts.now += 1;
                counts.all += 1;
                counts.most = counts.most.max(counts.now);
                self.changed.notify_all();
                // No more than so many are allowed: if they come, nobody works any longer.
                let too_many = |counts: &mut Counts| counts.now <= IN_FLIGHT + NODES;
                counts = self.changed.wait_timeout_while(counts, WORK, too_many).unwrap().0;
                counts.now -= 1;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
        Ok(())
    }

    /// Forgets what was; whatever is counted begins.
    fn begin(&self) {
        let mut counts = self.counts.lock().unwrap();
        assert_eq!(counts.now, 0);
        *counts = Counts::default();
    }

    /// Until `is_so`; the most at once so far.
    fn wait(&self, is_so: impl Fn(&Counts) -> bool) -> usize {
        let counts = self.counts.lock().unwrap();
        let (counts, waited) =
            self.changed.wait_timeout_while(counts, PATIENCE, |counts| !is_so(counts)).unwrap();
        assert!(!waited.timed_out(), "{} of {}", counts.most, counts.all);
        counts.most
    }

    fn most(&self) -> usize {
        self.counts.lock().unwrap().most
    }
}

/// Three nodes with the same tokens.
struct Nodes {
    servers: Vec<Server>,
    held: Token,
    paced: Token,
}

impl Nodes {
    fn start(redis: &Redis, upstream: &str) -> Self {
        let apis = APIS.replace("URL", &redis.url()).replace("UPSTREAM", upstream);
        let first = Installation::new(&apis).set_up();
        let [held, paced] = ["held", "paced"].map(|api| first.issue(api, &[]));
        let copies = (1..NODES).map(|_| {
            let copy = Installation::new(&apis);
            let mut command = Command::new("cp");
            run(command.arg("-r").arg(first.data()).arg(copy.data()), &[]).done();
            copy
        });
        let copies: Vec<_> = copies.collect();
        let all = std::iter::once(first).chain(copies);
        Self { servers: all.map(Installation::start).collect(), held, paced }
    }

    /// Has every node asked by several clients, all the time, while `meanwhile` goes on; how
    /// many requests were granted by each, at the API that has a rate.
    fn loaded<T>(&self, meanwhile: impl FnOnce() -> T) -> ([usize; NODES], T) {
        let stop = Mutex::new(false);
        let work = |server: &Server| {
            let mut client = server.connect().unwrap();
            let mut granted = 0;
            while !*stop.lock().unwrap() {
                call(&mut client, "/held/thing", &self.held);
                granted += usize::from(call(&mut client, "/paced/thing", &self.paced));
            }
            granted
        };
        thread::scope(|scope| {
            let clients: Vec<Vec<_>> = self
                .servers
                .iter()
                .map(|server| (0..4).map(|_| scope.spawn(|| work(server))).collect())
                .collect();
            let done = meanwhile();
            *stop.lock().unwrap() = true;
            let mut granted = [0; NODES];
            for (granted, clients) in granted.iter_mut().zip(clients) {
                for client in clients {
                    *granted += client.join().unwrap();
                }
            }
            (granted, done)
        })
    }

    fn say(&self, message: &str) {
        for server in &self.servers {
            server.process().wait_for_message(message);
        }
    }

    fn metric(&self, name: &str) -> [u64; NODES] {
        std::array::from_fn(|at| {
            let scraped = self.servers[at].scrape();
            let line = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
            scraped.lines().find_map(line).unwrap()
        })
    }
}

/// Whether a request was granted.
fn call(client: &mut Wire<TcpStream>, path: &str, token: &Token) -> bool {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", token.secret);
    let response = client.exchange(request).unwrap();
    match response.status {
        200 => true,
        429 => {
            let after: u64 = response.header("retry-after").parse().unwrap();
            assert!((1..=3).contains(&after), "{after}");
            false
        }
        other => panic!("{other}: {}", response.text()),
    }
}

/// As many as a rate allows in the time since `began`, however its windows lie.
fn allowed(rate: usize, began: Instant) -> usize {
    rate * usize::try_from(began.elapsed().as_secs() / SPAN.as_secs() + 1).unwrap()
}

#[test]
fn three_nodes_keep_to_one_limit() {
    let mut redis = Redis::start();
    let (upstream, url) = Counting::start();
    let nodes = Nodes::start(&redis, &url);
    nodes.say("limits are shared");
    assert_eq!(nodes.metric("counterfoil_limiter_shared_up "), [1; NODES]);

    // All of it is used, and no more.
    let began = Instant::now();
    let (granted, most) =
        nodes.loaded(|| upstream.wait(|counts| counts.most >= IN_FLIGHT && counts.all > 100));
    assert_eq!(most, IN_FLIGHT);
    let granted: usize = granted.iter().sum();
    assert!((RATE..=allowed(RATE, began)).contains(&granted), "{granted}");
    assert_eq!(nodes.metric("counterfoil_limiter_decided_alone_total "), [0; NODES]);

    // It goes while they are at it: a node that holds nothing does not know what others do.
    upstream.begin();
    let began = Instant::now();
    let (granted, ()) = nodes.loaded(|| {
        upstream.wait(|counts| counts.all > 20);
        redis.kill();
        nodes.say("the server of shared limits is gone");
    });
    let part = (IN_FLIGHT / NODES).max(1);
    assert!(upstream.most() <= IN_FLIGHT + (NODES - 1) * part, "{}", upstream.most());
    let beyond = (NODES - 1) * (RATE / NODES);
    let granted: usize = granted.iter().sum();
    assert!(granted <= allowed(RATE, began) + beyond, "{granted}");
    assert_eq!(nodes.metric("counterfoil_limiter_shared_up "), [0; NODES]);

    // Each keeps to its part.
    upstream.begin();
    let began = Instant::now();
    let (granted, _) = nodes.loaded(|| upstream.wait(|counts| counts.all > 100));
    assert!(upstream.most() <= NODES * part, "{}", upstream.most());
    for granted in granted {
        assert!(granted <= allowed(RATE / NODES, began), "{granted}");
    }
    assert!(nodes.metric("counterfoil_limiter_decided_alone_total ").iter().all(|&n| n > 0));

    // It is back, and knows nothing; and no moment of that lets more through.
    upstream.begin();
    let began = Instant::now();
    let (granted, most) = nodes.loaded(|| {
        redis.start_again();
        nodes.say("the server of shared limits is back");
        upstream.wait(|counts| counts.most >= IN_FLIGHT && counts.all > 100)
    });
    assert_eq!(most, IN_FLIGHT);
    assert_eq!(nodes.metric("counterfoil_limiter_shared_up "), [1; NODES]);
    // The nodes remember what they had granted.
    let granted: usize = granted.iter().sum();
    assert!(granted <= allowed(RATE, began) + beyond, "{granted}");

    upstream.begin();
    let (_, most) = nodes.loaded(|| upstream.wait(|counts| counts.all > 100));
    assert!(most <= IN_FLIGHT, "{most}");

    // Nothing is left of any of it.
    for server in nodes.servers {
        let (status, log, _) = {
            server.process().terminate();
            server.wait()
        };
        assert!(status.success(), "{log}");
        let lines = |message: &str| log.lines().filter(|line| line.contains(message)).count();
        assert_eq!(lines("the server of shared limits is gone"), 1, "{log}");
        assert_eq!(lines("the server of shared limits is back"), 1, "{log}");
    }
    assert_eq!(redis.says(&["KEYS", "*:slots"]), "");
}

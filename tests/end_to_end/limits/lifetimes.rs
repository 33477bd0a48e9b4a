//! Thousands of requests, each of which ends somewhere: no slot is left over, and the upstream
//! never has more than five of a token, by its own count.

use super::{finout, head, metric, wait_for_slots};
use crate::{installation::Token, process::PATIENCE, server::Server, wire::Wire};
use rustix::net::sockopt::set_socket_linger;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead, BufReader, Read as _, Result, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const LIFETIMES: usize = 10_000;
const AT_ONCE: usize = 32;
const TOKENS: usize = 5;
const LIMIT: usize = 5;

/// After what time nobody else is waited for.
const SOON: Duration = Duration::from_millis(5);

/// Numbers that look random, the same each time (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((n ^ (n >> 31)) % sides as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.roll(among.len())]
    }
}

/// What the upstream does with a request, as its path says.
const WAYS: [&str; 9] =
    ["whole", "whole", "chunked", "until-closed", "early", "cut", "mute", "garbage", "wait"];

/// Where the client cuts a request off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Never,
    InHead,
    InUpload,
    BeforeResponse,
    InResponse,
}

const CUTS: [Cut; 10] = [
    Cut::Never,
    Cut::Never,
    Cut::Never,
    Cut::Never,
    Cut::Never,
    Cut::Never,
    Cut::InHead,
    Cut::InUpload,
    Cut::BeforeResponse,
    Cut::InResponse,
];

/// The upstream, and what it has counted.
struct Upstream {
    address: SocketAddr,
    /// Of each token the requests that are in it: their numbers, and their clients' ports.
    within: Mutex<HashMap<String, BTreeMap<usize, u16>>>,
    /// How many have come.
    came: AtomicUsize,
    /// One has come, or gone.
    changes: Condvar,
    most: AtomicUsize,
    too_many: Mutex<Vec<String>>,
    /// Requests that wait to be let go.
    held: (Mutex<(usize, bool)>, Condvar),
}

/// A request that is in the upstream.
struct Within<'a> {
    upstream: &'a Upstream,
    token: String,
    number: usize,
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        let mut within = self.upstream.within.lock().unwrap();
        within.get_mut(&self.token).unwrap().remove(&self.number);
        self.upstream.changes.notify_all();
    }
}

impl Upstream {
    fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            within: Mutex::default(),
            came: AtomicUsize::new(0),
            changes: Condvar::new(),
            most: AtomicUsize::new(0),
            too_many: Mutex::default(),
            held: Default::default(),
        });
        let serving = upstream.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = serving.clone();
                // Whoever goes away in the middle ends what is done for them.
                thread::spawn(move || serving.converse(&stream.unwrap()));
            }
        });
        upstream
    }

    fn enter(&self, token: String, port: u16) -> Within<'_> {
        let number = self.came.fetch_add(1, Ordering::SeqCst);
        let mut within = self.within.lock().unwrap();
        let requests = within.entry(token.clone()).or_default();
        requests.insert(number, port);
        if requests.len() > LIMIT {
            // Whoever has gone may not have been noticed.
            let gone = Gone::look(self.address.port());
            let there = requests.values().filter(|port| !gone.is(**port)).count();
            if there > LIMIT {
                self.too_many.lock().unwrap().push(format!("{there} of {token}"));
            }
        }
        let most = requests.len().min(LIMIT);
        self.most.fetch_max(most, Ordering::SeqCst);
        self.changes.notify_all();
        drop(within);
        Within { upstream: self, token, number }
    }

    /// Waits until some others have come, or nobody does.
    fn let_others_come(&self, others: usize) {
        let enough = self.came.load(Ordering::SeqCst) + others;
        let within = self.within.lock().unwrap();
        let few = |_: &mut _| self.came.load(Ordering::SeqCst) < enough;
        drop(self.changes.wait_timeout_while(within, SOON, few).unwrap());
    }

    /// Waits until one has come or gone, or nobody does.
    fn wait_for_a_change(&self) {
        drop(self.changes.wait_timeout(self.within.lock().unwrap(), SOON).unwrap());
    }

    fn converse(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let port = stream.peer_addr()?.port();
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        while let Some(head) = read_head(&mut reader)? {
            let field = |name: &str| {
                head.iter().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned()
            };
            let mut within = Some(self.enter(field("x-counterfoil-token-id:"), port));
            let mut asked = head[0].split(' ').nth(1).unwrap().trim_start_matches('/').split('/');
            let way = asked.next().unwrap();
            let size: usize = asked.next().unwrap().parse().unwrap();
            let others: usize = asked.next().unwrap().parse().unwrap();
            let length = field("content-length:").parse().unwrap_or(0);
            let is_chunked = field("transfer-encoding:") == "chunked";
            if way == "early" {
                // Whether all of it has been sent only the gateway knows.
                within = None;
                writer.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")?;
            }
            read_body(&mut reader, length, is_chunked)?;
            self.let_others_come(others);
            let first = "x".repeat(size / 2);
            let second = "x".repeat(size - size / 2);
            match way {
                "early" => {}
                "whole" => {
                    write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", size + 1)?;
                    writer.write_all(first.as_bytes())?;
                    thread::yield_now();
                    writer.write_all(second.as_bytes())?;
                    drop(within);
                    writer.write_all(b".")?;
                }
                "chunked" => {
                    writer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                    write!(writer, "{:x}\r\n{first}x\r\n", first.len() + 1)?;
                    thread::yield_now();
                    write!(writer, "{:x}\r\n{second}.\r\n", second.len() + 1)?;
                    drop(within);
                    writer.write_all(b"0\r\n\r\n")?;
                }
                "until-closed" => {
                    writer.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                    write!(writer, "{first}{second}")?;
                    drop(within);
                    return Ok(());
                }
                "cut" => {
                    write!(
                        writer,
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{first}",
                        size + 1
                    )?;
                    drop(within);
                    return Ok(());
                }
                "garbage" => {
                    drop(within);
                    return writer.write_all(b"\0\0\0 no HTTP\r\n\r\n");
                }
                "hold" => {
                    let (state, changed) = &self.held;
                    let mut held = state.lock().unwrap();
                    held.0 += 1;
                    changed.notify_all();
                    let (state, _) =
                        changed.wait_timeout_while(held, PATIENCE, |(_, go)| !*go).unwrap();
                    drop(state);
                    drop(within);
                    writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
                }
                // Gone without a word.
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits until so many requests wait to be let go.
    fn wait_for_held(&self, count: usize) {
        let (state, changed) = &self.held;
        let (held, waited) = changed
            .wait_timeout_while(state.lock().unwrap(), PATIENCE, |(held, _)| *held < count)
            .unwrap();
        assert!(!waited.timed_out(), "{} of {count} came", held.0);
    }

    fn let_go(&self) {
        self.held.0.lock().unwrap().1 = true;
        self.held.1.notify_all();
    }
}

/// The other ends of connections to a port, as the kernel has them now.
struct Gone(HashMap<u16, bool>);

impl Gone {
    fn look(port: u16) -> Self {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let port_of = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
        let open = table.lines().skip(1).filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
            // Established; else the other end has at least said that it is done.
            (port_of(local)? == port).then_some((port_of(remote)?, state == "01"))
        });
        Self(open.collect())
    }

    fn is(&self, port: u16) -> bool {
        !self.0.get(&port).copied().unwrap_or(false)
    }
}

/// The lines of a head in lower case; none at the end of the connection.
fn read_head(reader: &mut impl BufRead) -> Result<Option<Vec<String>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            return Ok(Some(lines));
        }
        lines.push(line.trim_end().to_ascii_lowercase());
    }
}

fn read_body(reader: &mut impl BufRead, length: usize, is_chunked: bool) -> Result<()> {
    let mut left = length;
    loop {
        if is_chunked {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            left = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)? + 2;
        }
        reader.read_exact(&mut vec![0; left])?;
        if !is_chunked || left == 2 {
            return Ok(());
        }
    }
}

/// What came of a request: the status, unless the client was gone before.
fn live(server: &Server, token: &Token, dice: &mut Dice) -> Result<Option<u16>> {
    let (way, cut) = (dice.pick(&WAYS), dice.pick(&CUTS));
    let size = dice.pick(&[0, 10, 1000, 100_000]);
    let others = dice.pick(&[0, 1, 4, 16]);
    let path = format!("/{way}/{size}/{others}");
    let upload = "y".repeat(dice.pick(&[0, 1, 500, 70_000]));
    let request = if upload.is_empty() {
        head("GET", &path, token, "")
    } else if dice.roll(2) == 0 {
        head("POST", &path, token, &format!("content-length: {}\r\n", upload.len())) + &upload
    } else {
        head("POST", &path, token, "transfer-encoding: chunked\r\n")
            + &format!("{:x}\r\n{upload}\r\n0\r\n\r\n", upload.len())
    };
    let head_ends = request.find("\r\n\r\n").unwrap() + 4;
    let mut stream = TcpStream::connect(server.gateway)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    if dice.roll(2) == 0 {
        // Closed without a farewell.
        set_socket_linger(&stream, Some(Duration::ZERO))?;
    }
    let sent = match cut {
        Cut::InHead => 1 + dice.roll(head_ends - 1),
        Cut::InUpload => head_ends + dice.roll(request.len() - head_ends + 1),
        _ => request.len(),
    };
    // It may be answered, and cut off, before it is all sent.
    let all_sent = stream.write_all(&request.as_bytes()[..sent]);
    if matches!(cut, Cut::InHead | Cut::InUpload | Cut::BeforeResponse) {
        return Ok(None);
    }
    if cut == Cut::InResponse {
        // What there is of it, and no more than that.
        let _ = stream.read(&mut vec![0; 1 + dice.roll(300)])?;
        return Ok(None);
    }
    let mut reader = BufReader::new(&stream);
    let Some(lines) = read_head(&mut reader)? else { return Ok(None) };
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    let whole = match length {
        Some(length) => read_body(&mut reader, length.parse().unwrap(), false),
        None if lines.iter().any(|line| line == "transfer-encoding: chunked") => {
            read_body(&mut reader, 0, true)
        }
        None => Ok(()),
    };
    if all_sent.is_ok() && status == 200 && way != "cut" {
        whole?;
    }
    Ok(Some(status))
}

#[test]
fn ten_thousand_random_lifetimes() {
    let upstream = Upstream::start();
    let server = finout(upstream.address);
    let tokens: Vec<Token> =
        (0..TOKENS).map(|_| server.issue("finout", &["--role", "editor"])).collect();
    let statuses = Mutex::new(BTreeMap::<Option<u16>, usize>::new());
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= LIFETIMES {
                        return;
                    }
                    loop {
                        let mut dice = Dice(number as u64);
                        let token = &tokens[dice.roll(TOKENS)];
                        // Whatever the gateway had to cut off the client sees as an error.
                        let status = live(&server, token, &mut dice).unwrap_or(None);
                        *statuses.lock().unwrap().entry(status).or_default() += 1;
                        if status != Some(429) {
                            break;
                        }
                        upstream.wait_for_a_change();
                    }
                }
            });
        }
    });
    let statuses = statuses.into_inner().unwrap();
    println!("{LIFETIMES} lifetimes in {:?}: {statuses:?}", begun.elapsed());
    let how_many = |status: u16| statuses.get(&Some(status)).copied().unwrap_or(0);
    assert_eq!(*upstream.too_many.lock().unwrap(), [""; 0]);
    assert_eq!(upstream.most.load(Ordering::SeqCst), LIMIT);
    // So many of each that none of them went untried.
    for status in [200, 413, 429, 502] {
        assert!(how_many(status) > 100, "{statuses:?}");
    }
    // A refused one begins anew; of all others there is one each.
    assert_eq!(statuses.values().sum::<usize>() - how_many(429), LIFETIMES);
    let known = [None, Some(200), Some(400), Some(413), Some(429), Some(502)];
    assert!(statuses.keys().all(|status| known.contains(status)), "{statuses:?}");

    wait_for_slots(&server, 0);
    // Five of each token fit again, and no sixth.
    let ask = |token| {
        let mut client = server.connect().unwrap();
        client.send(head("GET", "/hold/0/0", token, "")).unwrap();
        client
    };
    let mut held: Vec<Wire<TcpStream>> =
        tokens.iter().flat_map(|token| (0..LIMIT).map(move |_| token)).map(ask).collect();
    upstream.wait_for_held(TOKENS * LIMIT);
    assert_eq!(metric(&server, "counterfoil_slots_in_use"), (TOKENS * LIMIT) as u64);
    for token in &tokens {
        assert_eq!(ask(token).read_response().unwrap().status, 429);
    }
    upstream.let_go();
    for client in &mut held {
        assert_eq!(client.read_response().unwrap().status, 204);
    }
    wait_for_slots(&server, 0);
    assert_eq!(*upstream.too_many.lock().unwrap(), [""; 0]);
}

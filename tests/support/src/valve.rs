//! What is between a program and a server: it can be shut, one way or both, and lead elsewhere.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// A listener on loopback that passes on what comes, while it is open.
#[derive(Debug)]
pub struct Valve {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct State {
    is_open: bool,
    /// Whether what the server says passes, too.
    is_heard: bool,
    to: u16,
    /// How often it has been led elsewhere: connections of before are at their end.
    turns: usize,
}

/// From the program to the server, or back.
#[derive(Debug, Clone, Copy)]
enum Way {
    Questions,
    Answers,
}

impl Valve {
    /// One that is open, and leads to this port.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State { is_open: true, is_heard: true, to: port, turns: 0 });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let passing = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared) = (client.unwrap(), passing.clone());
                thread::spawn(move || shared.pass_on(client));
            }
        });
        Self { address, shared }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nothing passes any more, and nobody is told.
    pub fn shut(&self) {
        self.change(|state| state.is_open = false);
    }

    /// What is asked passes, and no answer any more.
    pub fn hold_answers_back(&self) {
        self.change(|state| state.is_heard = false);
    }

    /// What has come meanwhile passes, too.
    pub fn open(&self) {
        self.change(|state| (state.is_open, state.is_heard) = (true, true));
    }

    /// Leads elsewhere, and ends all connections.
    pub fn turn_to(&self, port: u16) {
        self.change(|state| {
            *state = State { is_open: true, is_heard: true, to: port, turns: state.turns + 1 };
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Waits until it is open for what is asked, or for answers.
    fn state(&self, way: Way) -> State {
        let is_shut =
            |state: &mut State| !state.is_open || (matches!(way, Way::Answers) && !state.is_heard);
        let state = self.state.lock().unwrap();
        *self.changed.wait_while(state, is_shut).unwrap()
    }

    fn pass_on(self: &Arc<Self>, client: TcpStream) {
        let State { to, turns, .. } = self.state(Way::Questions);
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
        let other = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let this = self.clone();
        thread::spawn(move || this.one_way(Way::Answers, other.1, other.0, turns));
        self.one_way(Way::Questions, client, server, turns);
    }

    fn one_way(&self, way: Way, mut from: TcpStream, mut to: TcpStream, turns: usize) {
        // Now and then it looks whether it has been led elsewhere.
        from.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut piece = [0; 1 << 14];
        loop {
            let read = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if is_timeout(&error) => 0,
                Err(_) => break,
            };
            if self.state(way).turns != turns || to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

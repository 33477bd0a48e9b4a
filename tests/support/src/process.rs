//! Other programs: run to their end, or watched while they run, always within bounds.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up. Nothing comes near it on
/// a machine that works; no test's outcome depends on it on one that is slow.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// The same, having checked that all went well.
    #[expect(clippy::return_self_not_must_use, reason = "mostly it is about the check")]
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    /// What it said on standard error, having checked that it exited with `code`
    /// and printed no result.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert_eq!(self.out, "", "{}", self.err);
        self.err
    }

    /// What it printed for programs.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `command` to its end, with `input` on its standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Outcome {
    let (out, err, status) = run_for_bytes(command, input);
    Outcome {
        code: status.code(),
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// The same, for a program that prints more than text.
pub fn run_for_bytes(command: &mut Command, input: &[u8]) -> (Vec<u8>, Vec<u8>, ExitStatus) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let out = read_aside(child.stdout.take().unwrap());
    let err = read_aside(child.stderr.take().unwrap());
    // One that does not care for its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input);
    let (Ok(out), Ok(err)) = (out.recv_timeout(PATIENCE), err.recv_timeout(PATIENCE)) else {
        child.kill().unwrap();
        panic!("{command:?} did not end");
    };
    (out, err, child.wait().unwrap())
}

fn read_aside(mut stream: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        // Whoever asked may have given up.
        let _ = sender.send(bytes);
    });
    receiver
}

/// A program that runs beside the test, whose output is read as it comes; it is
/// killed, if it still runs, when the test lets go of it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its standard error.
    log: Arc<Lines>,
    /// Its standard output.
    out: Arc<Lines>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (log, out) = (Arc::<Lines>::default(), Arc::<Lines>::default());
        log.follow(child.stderr.take().unwrap());
        out.follow(child.stdout.take().unwrap());
        Self { child, log, out }
    }

    /// Has it read this on its standard input.
    pub fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The first line of its log that `choose` makes something of, waiting for it if need be.
    #[track_caller]
    pub fn wait_for_line<T>(&self, choose: impl Fn(&str) -> Option<T>) -> T {
        self.log.wait_for(|lines| lines.iter().find_map(|line| choose(line)))
    }

    /// The first line of what it prints that `choose` makes something of, waiting for it if need be.
    #[track_caller]
    pub fn wait_for_printed<T>(&self, choose: impl Fn(&str) -> Option<T>) -> T {
        self.out.wait_for(|lines| lines.iter().find_map(|line| choose(line)))
    }

    /// The first lines of what it prints, waiting for them if need be.
    #[track_caller]
    pub fn wait_for_output(&self, lines: usize) -> Vec<String> {
        self.out.wait_for(|printed| printed.get(..lines).map(<[String]>::to_vec))
    }

    /// The first log entry with this message.
    #[track_caller]
    pub fn wait_for_message(&self, message: &str) -> Value {
        self.wait_for_line(|line| {
            let entry: Value = serde_json::from_str(line).ok()?;
            let text = entry["message"].as_str()?;
            text.starts_with(message).then_some(entry)
        })
    }

    /// Everything that it has said so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Everything that it has printed so far.
    pub fn output(&self) -> String {
        self.out.text()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until it has ended and all that it said has been read.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.log.wait_for_end();
        self.out.wait_for_end();
        self.child.wait().unwrap()
    }

    /// Whether it ends within a certain time.
    pub fn ends_within(&self, time: Duration) -> bool {
        let state = self.log.state.lock().unwrap();
        self.log.more.wait_timeout_while(state, time, |state| !state.ended).unwrap().0.ended
    }

    /// Kills it, without a warning.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Has it stand still.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // It has not been waited for, so the number is still its own.
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is all that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program has written to one of its streams.
#[derive(Debug, Default)]
struct Lines {
    state: Mutex<LinesState>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct LinesState {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let this = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                this.state.lock().unwrap().lines.push(line.unwrap());
                this.more.notify_all();
            }
            this.state.lock().unwrap().ended = true;
            this.more.notify_all();
        });
    }

    fn text(&self) -> String {
        self.state.lock().unwrap().lines.join("\n")
    }

    #[track_caller]
    fn wait_for<T>(&self, choose: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(chosen) = choose(&state.lines) {
                return chosen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let lines = state.lines.join("\n");
                drop(state);
                panic!("it did not come:\n{lines}");
            }
            state = self.more.wait_timeout(state, left).unwrap().0;
        }
    }

    #[track_caller]
    fn wait_for_end(&self) {
        let state = self.state.lock().unwrap();
        let (state, waited) =
            self.more.wait_timeout_while(state, PATIENCE, |state| !state.ended).unwrap();
        let lines = state.lines.join("\n");
        drop(state);
        assert!(!waited.timed_out(), "it did not end:\n{lines}");
    }
}

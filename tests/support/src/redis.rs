//! A Redis server: on a socket of its own, keeping nothing on disk.

use crate::process::{Running, run};
use std::{path::PathBuf, process::Command};
use tempfile::TempDir;

/// A server that can be killed, paused and started again, empty.
#[derive(Debug)]
pub struct Redis {
    // Before its files, so that it ends before they go.
    process: Running,
    files: TempDir,
    options: Vec<String>,
}

impl Redis {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One with these options beside the usual ones.
    pub fn with(options: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let process = serve(&files, &options);
        Self { process, files, options }
    }

    pub fn socket(&self) -> PathBuf {
        self.files.path().join("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Kills it, without a warning.
    pub fn kill(&mut self) {
        self.process.kill();
        self.process.wait();
    }

    /// Starts it again; whatever it knew is forgotten.
    pub fn start_again(&mut self) {
        self.process = serve(&self.files, &self.options);
    }

    /// Has it stand still: it takes connections, and answers nothing.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Has it go on.
    pub fn go_on(&self) {
        self.process.go_on();
    }

    /// What it answers, a line each.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        run(command.arg("-s").arg(self.socket()).args(words), &[]).done().out.trim().to_owned()
    }
}

fn serve(files: &TempDir, options: &[String]) -> Running {
    let mut command = Command::new("redis-server");
    command.current_dir(files.path());
    command.args(["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"]);
    let process = Running::start(command.args(options));
    process.wait_for_printed(|line| line.contains("eady to accept connections").then_some(()));
    process
}

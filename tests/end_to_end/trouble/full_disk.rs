//! A full disk: changes are refused, requests are judged as before, and nothing is lost.

use super::small_disk::SmallDisk;
use crate::{
    caller::call,
    installation::{ADA, Installation, Token},
    process::PATIENCE,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use std::{collections::BTreeSet, os::unix::net::UnixStream, time::Instant};

/// Something to throw away when room is needed.
const BALLAST: usize = 1024 * 1024;
/// More tokens than a disk of this size can hold.
const MORE_THAN_FIT: usize = 2000;

struct FullDisk {
    disk: SmallDisk,
    upstream: Upstream,
    server: Server,
    issued: Vec<Token>,
}

impl FullDisk {
    /// Issues tokens on a small disk until it is full.
    fn fill() -> Self {
        let upstream = Upstream::start();
        let configuration = format!("[api.orders]\nupstream = \"{}\"\n", upstream.url());
        let mut installation = Installation::new(&configuration);
        let disk = SmallDisk::mount(&installation.data(), "size=3m,mode=700");
        disk.contains(&mut installation);
        std::fs::write(disk.path_from_outside().join("ballast"), vec![b'x'; BALLAST]).unwrap();
        let server = installation.set_up().start();
        let mut this = Self { disk, upstream, server, issued: Vec::new() };
        this.issue_until_full();
        this
    }

    fn issue_until_full(&mut self) {
        let mut operator = Wire::connect_operator(&self.disk.path_from_outside()).unwrap();
        let body = format!(r#"{{"api": "orders", "owner": "{ADA}"}}"#);
        for _ in 0..MORE_THAN_FIT {
            let answer = operator.call("POST", "/v1/tokens", &body).unwrap();
            if answer.status != 201 {
                assert_eq!(answer.status, 503, "{answer:?}");
                let problem = answer.json();
                assert_eq!(problem["code"], "unavailable");
                assert_eq!(problem["detail"], "nothing was changed, because the disk is full");
                return Self::fill_the_rest(&mut operator);
            }
            self.issued.push(Token::of(answer.json()));
        }
        panic!("the disk does not fill up");
    }

    /// What is too little for a token may be enough for a change that touches fewer pages.
    fn fill_the_rest(operator: &mut Wire<UnixStream>) {
        for n in 0..MORE_THAN_FIT {
            let body = format!(r#"{{"name": "Customer {n}"}}"#);
            if operator.call("POST", "/v1/organizations", &body).unwrap().status == 503 {
                return;
            }
        }
        panic!("the disk does not fill up");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.disk.path_from_outside().join("ballast")).unwrap();
    }

    /// Checks that requests are judged as if nothing were the matter.
    #[track_caller]
    fn judges_all(&self) {
        assert!(self.issued.len() > 10, "{}", self.issued.len());
        let mut wire = self.server.connect().unwrap();
        for token in &self.issued {
            assert_eq!(wire.exchange(request(&token.secret)).unwrap().status, 200);
        }
        assert_eq!(self.upstream.take().len(), self.issued.len());
        assert_eq!(wire.exchange(request("orders_x")).unwrap().status, 401);
    }
}

fn request(secret: &str) -> String {
    format!("GET /orders/7 HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret}\r\n\r\n")
}

#[test]
fn changes_are_refused_and_requests_are_judged_as_before() {
    let full = FullDisk::fill();
    full.judges_all();
    let (server, first) = (&full.server, &full.issued[0].id);
    for arguments in [
        &["token", "create", "--api", "orders", "--owner", ADA][..],
        &["token", "revoke", first],
        &["token", "pause", first],
        &["token", "rotate", first],
        &["account", "disable", ADA],
        &["account", "create", "--email", "bob@example.com"],
        &["organization", "create", "--name", "Acme"],
    ] {
        let error = server.cli(arguments).failed(1);
        let (why, rest) = error.split_once('\n').unwrap();
        assert_eq!(why, "counterfoil: nothing was changed, because the disk is full");
        // There is something to do about a token that has leaked.
        let can_be_denied = rest.contains(&format!("counterfoil token deny {first}"));
        assert_eq!(can_be_denied, arguments[1] == "revoke", "{rest}");
    }
    // What was refused was not done.
    full.judges_all();
    let listed = server.cli(["token", "list", "--quiet", "--limit", "1000"]).done().out;
    let issued: BTreeSet<&str> = full.issued.iter().map(|token| token.id.as_str()).collect();
    assert_eq!(listed.lines().collect::<BTreeSet<_>>(), issued);
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn it_goes_on_once_there_is_room() {
    let mut full = FullDisk::fill();
    full.make_room();
    let token = full.server.issue("orders", &[]);
    full.issued.push(token);
    let revoked = full.issued.swap_remove(0);
    full.server.cli(["token", "revoke", &revoked.id]).done();
    full.judges_all();
    let mut wire = full.server.connect().unwrap();
    assert_eq!(wire.exchange(request(&revoked.secret)).unwrap().status, 401);
    full.server.cli(["ledger", "verify"]).done();

    full.server = full.server.kill().start();
    full.judges_all();
    full.server.cli(["ledger", "verify"]).done();
}

/// Nobody waits for a report of leaked secrets to be carried out, so nobody else tries again.
#[test]
fn what_has_leaked_is_ended_once_there_is_room() {
    let mut full = FullDisk::fill();
    let body = format!(r#"{{"secrets": ["{}"]}}"#, full.issued[0].secret);
    let reported = call(full.server.main, "", "POST", "/v1/revoke", &body);
    assert_eq!(reported.status, 202);
    full.judges_all();
    full.make_room();
    let leaked = full.issued.swap_remove(0);
    let mut wire = full.server.connect().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while wire.exchange(request(&leaked.secret)).unwrap().status == 200 {
        assert!(Instant::now() < deadline, "it is not ended");
    }
    full.upstream.take();
    full.judges_all();
}

#[test]
fn it_starts_on_a_full_disk_and_judges() {
    let mut full = FullDisk::fill();
    full.server = full.server.kill().start();
    full.judges_all();
    full.server = full.server.stop().start();
    full.judges_all();
    full.make_room();
    full.server.issue("orders", &[]);
    full.server.cli(["ledger", "verify"]).done();
}

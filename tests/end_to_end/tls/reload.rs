//! A certificate that is renewed: new handshakes have it, and nothing breaks off.

use super::{Room, serial_of};
use crate::{
    certificates::{Good, Pair},
    installation::Installation,
    server::Server,
    wire::Wire,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Command, Stdio},
};

fn hang_up(server: &Server) {
    let id = server.process().id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

fn put(from: &Pair, to: &Pair) {
    fs::copy(&from.key, &to.key).unwrap();
    fs::copy(&from.certificate, &to.certificate).unwrap();
}

#[test]
fn a_download_goes_on_while_the_certificate_is_exchanged() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let room = Room::new();
    let shown = room.authority.issue("shown", Good::Days(9));
    let configuration = Room::configuration(listener.local_addr().unwrap(), &["gateway"], &shown);
    let server = Installation::new(&configuration).start();
    for version in ["--http2", "--http1.1"] {
        let mut client = Command::new("curl")
            .args(["--disable", "--silent", "--show-error", "--no-buffer", "--max-time", "120"])
            .args([version, "--cacert", room.authority.trusted().to_str().unwrap()])
            .arg(format!("https://{}/open/7", server.gateway))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut upstream = Wire::accept(&listener);
        upstream.read_head().unwrap();
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nfirst\n").unwrap();
        let mut download = BufReader::new(client.stdout.take().unwrap());
        let mut line = String::new();
        download.read_line(&mut line).unwrap();
        assert_eq!(line, "first\n");

        let before = Room::serial(server.gateway);
        assert_eq!(before, serial_of(&shown));
        let next = room.authority.issue(&format!("next{version}"), Good::Days(9));
        put(&next, &shown);
        hang_up(&server);
        let until = |serial: &str| {
            // Nothing says when the signal has been heard; the handshake does.
            let deadline = std::time::Instant::now() + crate::process::PATIENCE;
            while Room::serial(server.gateway) != serial {
                assert!(std::time::Instant::now() < deadline);
            }
        };
        until(&serial_of(&next));

        upstream.send("second").unwrap();
        let mut rest = String::new();
        download.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "second");
        assert!(client.wait().unwrap().success());
    }
}

#[test]
fn a_mistake_keeps_what_is_shown() {
    let room = Room::new();
    let shown = room.authority.issue("shown", Good::Days(9));
    let serial = serial_of(&shown);
    let nobody = ([127, 0, 0, 1], 1).into();
    let configuration = Room::configuration(nobody, &["gateway"], &shown);
    let server = Installation::new(&configuration).start();

    // Not its key: the configuration that names it is wrong.
    let other = room.authority.issue("other", Good::Days(9));
    fs::copy(&other.key, &shown.key).unwrap();
    hang_up(&server);
    let said = server.process().wait_for_message("the configuration stays as it was");
    assert!(said["error"].as_str().unwrap().contains("gateway.tls.key_file: "), "{said}");
    let said = server.process().wait_for_message("the certificate stays as it was");
    assert_eq!(said["setting"], "gateway.tls.key_file");
    assert_eq!(Room::serial(server.gateway), serial);

    // In order, but for the date.
    put(&room.authority.issue("ended", Good::Before), &shown);
    hang_up(&server);
    server.process().wait_for_line(|line| line.contains("is good from 2020").then_some(()));
    assert_eq!(Room::serial(server.gateway), serial);

    // A right one among mistakes elsewhere.
    let next = room.authority.issue("next", Good::Days(9));
    put(&next, &shown);
    fs::write(server.configuration(), "[api.one]\nupstrem = \"x\"").unwrap();
    hang_up(&server);
    server.process().wait_for_line(|line| line.contains("upstrem").then_some(()));
    let deadline = std::time::Instant::now() + crate::process::PATIENCE;
    while Room::serial(server.gateway) != serial_of(&next) {
        assert!(std::time::Instant::now() < deadline);
    }
    server.stop();
}

#[test]
fn tls_begins_and_ends_with_a_restart() {
    let room = Room::new();
    let shown = room.authority.issue("shown", Good::Days(9));
    let nobody = ([127, 0, 0, 1], 1).into();
    let server = Installation::new(&Room::configuration(nobody, &["gateway"], &shown)).start();
    fs::write(server.configuration(), Room::configuration(nobody, &["server"], &shown)).unwrap();
    hang_up(&server);
    server.process().wait_for_message("reloaded");
    let log = server.process().log();
    for setting in ["gateway.tls", "server.tls"] {
        assert!(log.contains(&format!("\"setting\":\"{setting}\"")), "{log}");
    }
    assert_eq!(Room::serial(server.gateway), serial_of(&shown));
    assert_eq!(
        crate::response::fetch(&format!("http://{}/healthz", server.main), [""; 0]).status,
        200
    );
}

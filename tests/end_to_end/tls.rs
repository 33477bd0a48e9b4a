//! TLS on our own listeners: what is spoken there, and certificates that come and go.

mod reload;

use crate::{
    certificates::{Authority, Good, Pair},
    installation::{ADA, Installation},
    process::run,
    response::{Response, fetch},
    upstream::Upstream,
    wire::Wire,
};
use counterfoil_support::visitor::PASSWORD;
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A certificate authority, and a configuration with an API that is open to everybody.
struct Room {
    directory: TempDir,
    authority: Authority,
}

impl Room {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new(directory.path());
        Self { directory, authority }
    }

    /// With TLS on these listeners.
    fn configuration(upstream: SocketAddr, listeners: &[&str], pair: &Pair) -> String {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let tables = listeners.iter().map(|listener| {
            format!(
                "[{listener}.tls]
certificate_file = \"{certificate}\"
key_file = \"{key}\"
"
            )
        });
        tables.collect::<String>()
            + &format!(
                "[api.open]\nupstream = \"http://{upstream}\"\nroutes = [\"* /** -> anonymous\"]\n"
            )
    }

    /// What `curl` gets, trusting the authority.
    #[track_caller]
    fn fetch(&self, address: SocketAddr, path: &str, arguments: &[&str]) -> Response {
        let trusted = self.authority.trusted();
        let arguments =
            ["--cacert", trusted.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
        fetch(&format!("https://{address}{path}"), arguments)
    }

    /// The serial number of the certificate that is shown.
    fn serial(address: SocketAddr) -> String {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &address.to_string()]).stdin(Stdio::null());
        let shown = run(&mut client, &[]).out;
        let mut reader = Command::new("openssl");
        run(reader.args(["x509", "-noout", "-serial"]), shown.as_bytes()).done().out
    }
}

/// The serial number of the certificate in a file.
fn serial_of(pair: &Pair) -> String {
    let mut command = Command::new("openssl");
    let file = pair.certificate.to_str().unwrap();
    run(command.args(["x509", "-noout", "-serial", "-in", file]), &[]).done().out
}

#[test]
fn both_versions_of_http_on_every_listener() {
    let upstream = Upstream::start();
    let room = Room::new();
    let pair = room.authority.issue("server", Good::Days(20));
    let all = ["server", "gateway", "forward_auth"];
    let configuration = Room::configuration(upstream.address, &all, &pair);
    let server = Installation::new(&configuration).set_up().start();
    for (wanted, got) in [("--http2", "2"), ("--http1.1", "1.1"), ("--tls-max=1.2", "2")] {
        let arguments: Vec<&str> =
            wanted.split('=').chain(["--write-out", "%{http_version}"]).collect();
        let response = room.fetch(server.gateway, "/open/7", &arguments);
        assert_eq!(response.text(), format!("upstream says: GET /7{got}"), "{wanted}");
        let received = upstream.take_one();
        assert_eq!(received.values("x-forwarded-proto"), ["https"]);
        assert_eq!(received.values("x-forwarded-host"), [server.gateway.to_string()]);
        let response = room.fetch(server.main, "/healthz", &arguments);
        assert_eq!(response.text(), format!("alive\n{got}"), "{wanted}");
        let question = ["--header", "x-original-method: GET", "--header", "x-original-uri: /7"];
        let response =
            room.fetch(server.forward_auth, "/auth/open", &[&question, &arguments[..]].concat());
        assert_eq!((response.status, response.text()), (200, got), "{wanted}");
    }
    let metrics = server.scrape();
    for listener in all {
        let gauge = format!("counterfoil_certificate_days_left{{listener=\"{listener}\"}} 19.9");
        assert!(metrics.contains(&gauge), "{metrics}");
    }
    let said = server.process().wait_for_message("certificate");
    assert_eq!(said["listener"], "server");
    assert!(said["until"].as_str().unwrap().starts_with("20"), "{said}");
}

#[test]
fn the_console_over_http_2() {
    let room = Room::new();
    let pair = room.authority.issue("server", Good::Days(20));
    let installation =
        Installation::new(&Room::configuration(([127, 0, 0, 1], 1).into(), &["server"], &pair));
    let server = installation.set_up().start();
    server.give_password(ADA);
    let origin = format!("origin: https://{}", server.main);
    let form = format!("email={ADA}&password={}", PASSWORD.replace(' ', "+"));
    let response =
        room.fetch(server.main, "/sign-in", &["--http2", "--header", &origin, "--data", &form]);
    assert_eq!(response.status, 303, "{response:?}");
    let cookie = response.header("set-cookie");
    assert!(cookie.starts_with("__Host-counterfoil_session="), "{cookie}");
    assert!(cookie.contains("; Secure"), "{cookie}");
    // Beside others, each a field of its own.
    let (cookie, _) = cookie.split_once(';').unwrap();
    let lines = ["--header", "cookie: a=1", "--header", &format!("cookie: {cookie}")];
    let page = room.fetch(server.main, "/tokens", &[&["--http2"][..], &lines].concat());
    assert_eq!(page.status, 200, "{page:?}");
}

#[test]
fn whoever_speaks_http_is_told_to_speak_tls() {
    let upstream = Upstream::start();
    let room = Room::new();
    let pair = room.authority.issue("server", Good::Days(20));
    let server =
        Installation::new(&Room::configuration(upstream.address, &["gateway"], &pair)).start();
    let response = server.curl("/open/7", [""; 0]);
    assert_eq!(response.status, 400);
    assert!(response.text().contains("TLS"), "{response:?}");
    for noise in ["\0\0\0", "\r\n\r\n", "\u{16}\u{3}\u{1}\0\u{5}hello"] {
        let mut wire = Wire::connect(server.gateway).unwrap();
        wire.send(noise).unwrap();
        // An alert of TLS at most.
        assert!(wire.read_to_end().unwrap_or_default().len() < 8);
    }
    assert!(upstream.take().is_empty());
    assert_eq!(room.fetch(server.gateway, "/open/7", &[]).status, 200);
    // The others are as they were.
    assert_eq!(fetch(&format!("http://{}/healthz", server.main), [""; 0]).status, 200);
}

#[test]
fn files_of_no_use_keep_it_from_starting() {
    let room = Room::new();
    let nobody = ([127, 0, 0, 1], 1).into();
    let (one, other) =
        (room.authority.issue("one", Good::Days(9)), room.authority.issue("other", Good::Days(9)));
    let mismatched = Pair { key: other.key.clone(), ..one.clone() };
    let missing = Pair { certificate: room.directory.path().join("nothing"), ..one.clone() };
    for (pair, mistake) in [
        (&mismatched, "gateway.tls.key_file: this is not the key of the certificate"),
        (&missing, "gateway.tls.certificate_file: cannot read this file: No such file"),
    ] {
        let installation = Installation::new(&Room::configuration(nobody, &["gateway"], pair));
        let error = installation.cli(["serve"]).failed(2);
        assert!(error.contains(mistake), "{error}");
        assert_eq!(installation.cli(["config", "check"]).failed(2), error);
    }
    for (text, mistake) in [
        ("[server.tls]\n", "server.tls.certificate_file: TLS needs a certificate and its key"),
        (
            "[server]\npublic_url = \"http://a\"\n[server.tls]\ncertificate_file = C\nkey_file = K\n",
            "server.public_url: expected https, since there is server.tls",
        ),
    ] {
        let file = |path: &std::path::Path| format!("{:?}", path.to_str().unwrap());
        let text = text.replace("= C", &format!("= {}", file(&one.certificate)));
        let text = text.replace("= K", &format!("= {}", file(&one.key)));
        let error = Installation::new(&text).cli(["serve"]).failed(2);
        assert!(error.contains(mistake), "{error}");
    }
}

/// A start in the night after a certificate has ended is no reason to stand still.
#[test]
fn an_ended_certificate_is_an_error_in_the_log() {
    let upstream = Upstream::start();
    let room = Room::new();
    let pair = room.authority.issue("server", Good::Before);
    let installation =
        Installation::new(&Room::configuration(upstream.address, &["gateway"], &pair));
    let checked = installation.cli(["config", "check"]).done();
    assert!(
        checked.err.contains("gateway.tls.certificate_file: this certificate is good from 2020"),
        "{checked:?}"
    );
    let server = installation.start();
    let said = server.process().wait_for_message("clients refuse this certificate");
    assert_eq!(said["setting"], "gateway.tls.certificate_file");
    assert_eq!(said["until"], "2020-02-01T00:00:00Z");
    assert_eq!(room.fetch(server.gateway, "/open/7", &["--insecure"]).status, 200);
    assert!(server.scrape().contains("days_left{listener=\"gateway\"} -"));
}

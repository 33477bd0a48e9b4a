//! Upstreams behind TLS: who they are is checked, and cannot be left unchecked.

use crate::{installation::Installation, process::run, server::Server, wire::Wire};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{Arc, mpsc},
    thread,
};
use tempfile::TempDir;

/// Certificates: an authority, one of it for `localhost`, one for us, and one that is nobody's.
fn make_certificates(directory: &Path) {
    let make = |arguments: &[&str]| {
        let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        let mut command = Command::new("openssl");
        command.args(new.split(' ')).args(arguments).current_dir(directory);
        assert_eq!(run(&mut command, &[]).code, Some(0));
    };
    make(&["-subj", "/CN=Test authority", "-keyout", "authority.key", "-out", "authority.pem"]);
    make(&["-subj", "/CN=Nobody", "-keyout", "nobody.key", "-out", "nobody.pem"]);
    for (file, subject, more) in [
        ("server", "/CN=localhost", "subjectAltName=DNS:localhost,DNS:orders.internal"),
        ("client", "/CN=Counterfoil", "extendedKeyUsage=clientAuth"),
    ] {
        let (key, pem) = (format!("{file}.key"), format!("{file}.pem"));
        let from = ["-CA", "authority.pem", "-CAkey", "authority.key", "-subj", subject];
        let is_end = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", more];
        make(&[&from[..], &is_end, &["-keyout", &key, "-out", &pem]].concat());
    }
}

/// What an upstream was told of one connection that came about.
struct Told {
    protocol: Option<Vec<u8>>,
    has_certificate: bool,
    request_line: String,
}

/// An upstream behind TLS, and what it was told.
fn serve(directory: &Path, wants_certificate: bool) -> (u16, mpsc::Receiver<Told>) {
    let pem = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let authority = CertificateDer::from_pem_slice(&pem("authority.pem")).unwrap();
    let builder = if wants_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let certificate = CertificateDer::from_pem_slice(&pem("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem("server.key")).unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            let mut head = String::new();
            // Who does not believe it goes away.
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|n| n > 0) {}
            if !head.ends_with("\r\n\r\n") {
                continue;
            }
            let stream = stream.get_mut();
            let told = Told {
                protocol: stream.conn.alpn_protocol().map(<[u8]>::to_vec),
                has_certificate: stream.conn.peer_certificates().is_some(),
                request_line: head.lines().next().unwrap().to_owned(),
            };
            let response =
                "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecure";
            stream.write_all(response.as_bytes()).unwrap();
            stream.conn.send_close_notify();
            let _ = stream.flush();
            sender.send(told).unwrap();
        }
    });
    (port, receiver)
}

/// A gateway before the upstream at `url`, with these settings of TLS.
fn gateway(url: &str, tls: &str) -> Server {
    let tls = if tls.is_empty() { String::new() } else { format!("upstream_tls = {{ {tls} }}") };
    Installation::new(&format!(
        "[api.open]\nupstream = \"{url}\"\nroutes = [\"* /** -> anonymous\"]\n{tls}\n"
    ))
    .start()
}

fn stage(wants_certificate: bool) -> (TempDir, u16, mpsc::Receiver<Told>) {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let (port, told) = serve(directory.path(), wants_certificate);
    (directory, port, told)
}

fn file(directory: &TempDir, setting: &str, name: &str) -> String {
    format!("{setting} = \"{}\"", directory.path().join(name).display())
}

#[test]
fn one_that_proves_who_it_is() {
    let (directory, port, told) = stage(false);
    let ca = file(&directory, "ca_file", "authority.pem");
    let by_name = gateway(&format!("https://localhost:{port}/base"), &ca);
    let with_name = format!("{ca}, server_name = \"orders.internal\"");
    let by_address = gateway(&format!("https://127.0.0.1:{port}/base"), &with_name);
    for server in [by_name, by_address] {
        let response = server.curl("/open/7", [] as [&str; 0]);
        assert_eq!(
            (response.status, response.text()),
            (200, "secure"),
            "{}",
            server.process().log()
        );
        let told = told.recv().unwrap();
        assert_eq!(told.protocol.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!(told.request_line, "GET /base/7 HTTP/1.1");
        assert!(!told.has_certificate);
    }
}

#[test]
fn one_that_does_not() {
    let (directory, port, told) = stage(false);
    let ca = file(&directory, "ca_file", "authority.pem");
    let other = file(&directory, "ca_file", "nobody.pem");
    for (url, tls, why) in [
        // It is somebody else's, or of somebody whom nobody trusts here.
        (format!("https://127.0.0.1:{port}"), &ca, "its certificate does not verify"),
        (format!("https://localhost:{port}"), &other, "its certificate does not verify"),
        (
            format!("https://localhost:{port}"),
            &format!("{ca}, server_name = \"example.com\""),
            "its certificate does not verify",
        ),
    ] {
        let server = gateway(&url, tls);
        let response = server.curl("/open/7", [] as [&str; 0]);
        assert_eq!((response.status, &response.json()["code"]), (502, &"upstream_failed".into()));
        let said = server.process().wait_for_message("the upstream failed");
        assert!(said["why"].as_str().unwrap().starts_with(why), "{said}");
        assert_eq!(said["upstream"], url);
    }
    assert!(told.try_recv().is_err());
}

#[test]
fn one_that_wants_to_know_who_we_are() {
    let (directory, port, told) = stage(true);
    let ca = file(&directory, "ca_file", "authority.pem");
    let own = [
        ca.clone(),
        file(&directory, "certificate_file", "client.pem"),
        file(&directory, "key_file", "client.key"),
    ];
    let url = format!("https://localhost:{port}");
    let server = gateway(&url, &own.join(", "));
    assert_eq!(server.curl("/open/7", [] as [&str; 0]).status, 200, "{}", server.process().log());
    assert!(told.recv().unwrap().has_certificate);
    let stranger = gateway(&url, &ca);
    assert_eq!(stranger.curl("/open/7", [] as [&str; 0]).status, 502);
    assert!(told.try_recv().is_err());
}

#[test]
fn one_that_does_not_speak_tls() {
    let (directory, ..) = stage(false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = gateway(&url, &file(&directory, "ca_file", "authority.pem"));
    let mut client = server.connect().unwrap();
    client.send(super::get("/open/7")).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(client.read_response().unwrap().status, 502);
    let said = server.process().wait_for_message("the upstream failed");
    assert!(said["why"].as_str().unwrap().starts_with("TLS has failed"), "{said}");
}

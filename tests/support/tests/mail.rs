//! That the mail server of the tests takes what it should, and from nobody else: curl sends.

use counterfoil_support::{
    mail::{Mail, MailServer, PASSWORD, Security, USER},
    process::run,
};
use std::process::Command;

const TEXT: &str = "Subject: Welcome\r\n\r\nCome in, Zoë.\r\n";

/// Sends a message with curl; whether it was taken.
fn send(server: &MailServer, scheme: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new("curl");
    command.args(["--disable", "--noproxy", "*", "--max-time", "120", "--silent"]);
    command.args(["--mail-from", "from@example.com", "--mail-rcpt", "to@example.com"]);
    command.args(["--upload-file", "-"]).args(arguments);
    command.arg(format!("{scheme}://{}/example.com", server.address));
    run(&mut command, TEXT.as_bytes()).code == Some(0)
}

fn sent() -> Mail {
    Mail {
        from: "from@example.com".to_owned(),
        to: vec!["to@example.com".to_owned()],
        text: TEXT.to_owned(),
    }
}

#[test]
fn in_plain_from_everybody() {
    let server = MailServer::start(Security::Plain);
    assert!(send(&server, "smtp", &[]));
    assert_eq!(server.next(), sent());
    assert!(!send(&server, "smtp", &["--ssl-reqd"]));
    assert!(send(&server, "smtp", &[]));
    assert_eq!(server.next(), sent());
    assert_eq!(server.taken(), 2);
}

#[test]
fn over_tls_from_whoever_signs_in() {
    for (security, scheme) in [(Security::StartTls, "smtp"), (Security::Tls, "smtps")] {
        let server = MailServer::start(security);
        let (authority, user) = (server.authority(), format!("{USER}:{PASSWORD}"));
        let trusted = ["--ssl-reqd", "--cacert", authority.to_str().unwrap(), "--user"];
        let refused = |arguments: &[&str]| assert!(!send(&server, scheme, arguments), "{scheme}");
        refused(&["--ssl-reqd", "--user", &user]);
        refused(&trusted[..3]);
        refused(&[&trusted[..], &[&format!("{USER}:wrong")]].concat());
        refused(&[&trusted[..], &[&format!("eve:{PASSWORD}")]].concat());
        if security == Security::StartTls {
            refused(&["--user", &user]);
        }
        assert!(send(&server, scheme, &[&trusted[..], &[&user]].concat()), "{scheme}");
        assert_eq!(server.next(), sent());
        assert_eq!(server.taken(), 1);
    }
}

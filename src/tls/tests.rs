//! What is made of certificates and keys, and what of those that change.

use super::*;
use counterfoil_core::time::Seconds;
use counterfoil_support::certificates::{Authority, Good, Pair};
use std::{fs, os::unix::fs::PermissionsExt as _};
use tempfile::TempDir;

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

    fn issue(&self, name: &str, good: Good) -> Files {
        let Pair { certificate, key } = self.authority.issue(name, good);
        Files { certificate, key }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, content).unwrap();
        file
    }
}

fn now() -> Timestamp {
    crate::clock::now()
}

fn leaf(certificate: &Certificate) -> CertificateDer<'static> {
    certificate.shown.load().chain[0].clone()
}

fn leaf_of(files: &Files) -> CertificateDer<'static> {
    files.read().unwrap().chain[0].clone()
}

#[test]
fn files_that_are_of_no_use_say_which_and_why() {
    let room = Room::new();
    let (one, other) = (room.issue("one", Good::Days(2)), room.issue("other", Good::Days(2)));
    assert!(one.read().unwrap().validity.until > now());
    // Whoever keeps both in one file may.
    let both = fs::read(&one.certificate).unwrap();
    let both = room.write("both", [both, fs::read(&one.key).unwrap()].concat());
    assert!(Files { certificate: both.clone(), key: both }.read().is_ok());

    let text = |file: &PathBuf| fs::read_to_string(file).unwrap();
    let two_keys = room.write("two-keys", text(&one.key) + &text(&other.key));
    let locked = room.write(
        "locked",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let garbled =
        room.write("garbled", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n");
    let hollow =
        room.write("hollow", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let empty = room.write("empty", "");
    let nothing = room.directory.path().join("nothing");
    let (c, k) = (&one.certificate, &one.key);
    for (certificate, key, setting, why) in [
        (c, &other.key, Setting::Key, "this is not the key of the certificate in certificate_file"),
        (c, &two_keys, Setting::Key, "there are 2 private keys in this file: expected one"),
        (c, &locked, Setting::Key, "the private key has a passphrase"),
        (c, c, Setting::Key, "there is no private key in this file"),
        (c, &empty, Setting::Key, "there is no private key in this file"),
        (c, &nothing, Setting::Key, "cannot read this file: No such file"),
        (&nothing, k, Setting::Certificate, "cannot read this file: No such file"),
        (&empty, k, Setting::Certificate, "there is no certificate in this file: expected one"),
        (k, k, Setting::Certificate, "there is no certificate in this file, but a private key"),
        (&garbled, k, Setting::Certificate, "expected certificates in PEM"),
        (&hollow, k, Setting::Certificate, "this is not a certificate"),
    ] {
        let files = Files { certificate: certificate.clone(), key: key.clone() };
        let unusable = files.read().unwrap_err();
        assert_eq!(unusable.setting, setting, "{unusable:?}");
        assert!(unusable.why.starts_with(why), "{unusable:?}");
    }
}

#[test]
fn a_key_that_everybody_may_read_is_seen() {
    let room = Room::new();
    let files = room.issue("one", Good::Days(2));
    for (mode, open) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(files.is_key_open(), open, "{mode:o}");
    }
}

#[test]
fn what_is_renewed_is_taken_over_and_a_mistake_is_not() {
    let room = Room::new();
    let files = room.issue("shown", Good::Days(2));
    let before = leaf_of(&files);
    let certificate = Certificate::open("gateway", files.clone(), now()).unwrap();
    let tls = certificate.tls();
    certificate.look(now());
    assert!(Arc::ptr_eq(&tls, &certificate.tls()), "nothing has changed");

    // The certificate is there, its key not yet: for a moment, or by mistake.
    let next = room.issue("next", Good::Days(2));
    fs::rename(&next.certificate, &files.certificate).unwrap();
    certificate.look(now());
    assert_eq!(leaf(&certificate), before);
    fs::rename(&next.key, &files.key).unwrap();
    certificate.look(now());
    assert_eq!(leaf(&certificate), leaf_of(&files));
    assert_ne!(leaf(&certificate), before);

    // Neither what has ended nor what has not begun yet comes instead of what is good.
    let after = leaf(&certificate);
    for (name, good) in [("ended", Good::Before), ("early", Good::Later)] {
        let next = room.issue(name, good);
        fs::rename(&next.key, &files.key).unwrap();
        fs::rename(&next.certificate, &files.certificate).unwrap();
        certificate.look(now());
        assert_eq!(leaf(&certificate), after, "{name}");
    }
    fs::remove_file(&files.certificate).unwrap();
    certificate.look(now());
    assert_eq!(leaf(&certificate), after);

    // From elsewhere, once the configuration says so.
    let elsewhere = room.issue("elsewhere", Good::Days(2));
    certificate.renew(&elsewhere, now());
    assert_eq!(leaf(&certificate), leaf_of(&elsewhere));
}

#[test]
fn links_are_followed() {
    let room = Room::new();
    let (old, new) = (room.issue("old", Good::Days(2)), room.issue("new", Good::Days(2)));
    let link = |name: &str, to: &PathBuf| {
        let path = room.directory.path().join(name);
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(to, &path).unwrap();
        path
    };
    let files = Files { certificate: link("c", &old.certificate), key: link("k", &old.key) };
    let certificate = Certificate::open("server", files, now()).unwrap();
    link("c", &new.certificate);
    link("k", &new.key);
    certificate.look(now());
    assert_eq!(leaf(&certificate), leaf_of(&new));
}

#[test]
fn the_end_is_told_of_once_a_day() {
    let room = Room::new();
    let files = room.issue("one", Good::Days(30));
    // A moment less than 30 days before its end.
    let start = now().plus(Seconds(1));
    let certificate = Certificate::open("server", files, start).unwrap();
    let told = |days: u32| {
        certificate.look(start.plus(Seconds::days(days)));
        certificate.watched().told
    };
    assert_eq!([0, 15].map(told), [None, None]);
    assert_eq!([17, 17, 28, 31].map(told), [12, 12, 1, -2].map(Some));
    assert!(certificate.days_left(start.plus(Seconds::days(31))) < 0.0);
}

/// It may be all that there is, and other listeners are not to stand still for it.
#[test]
fn what_has_ended_is_shown_all_the_same() {
    let room = Room::new();
    let certificate =
        Certificate::open("server", room.issue("ended", Good::Before), now()).unwrap();
    let longer = room.issue("ended-too", Good::Before);
    certificate.renew(&longer, now());
    assert_eq!(leaf(&certificate), leaf_of(&longer));
}

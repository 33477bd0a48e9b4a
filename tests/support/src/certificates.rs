//! Certificates: an authority, which clients are told to trust, and what servers show.
//! One that is its own authority is believed by few.

use crate::process::run;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// What the authority is told of itself.
const CONFIGURATION: &str = "\
[ca]
default_ca = authority
[authority]
database = issued
rand_serial = yes
default_md = sha256
policy = policy
unique_subject = no
email_in_dn = no
new_certs_dir = .
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
";

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// An authority, and all that it has issued, in one directory.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    /// From now on for so many days.
    Days(u32),
    /// In January of 2020.
    Before,
    /// In January of 2040.
    Later,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(directory: &Path) -> Self {
        let this = Self { directory: directory.to_owned() };
        let itself = ["-subj", "/CN=Test authority", "-days", "30"];
        let files = ["-keyout", "authority.key", "-out", "authority.pem"];
        this.openssl(&[&["req", "-x509"][..], &KEY, &itself, &files].concat());
        fs::write(directory.join("authority.cnf"), CONFIGURATION).unwrap();
        fs::write(directory.join("issued"), "").unwrap();
        this
    }

    /// What has to be trusted, in PEM.
    pub fn trusted(&self) -> PathBuf {
        self.directory.join("authority.pem")
    }

    /// A certificate for `localhost` and `127.0.0.1`, in files of this name.
    pub fn issue(&self, name: &str, good: Good) -> Pair {
        let [key, request, certificate] =
            ["key", "csr", "pem"].map(|extension| format!("{name}.{extension}"));
        let files = ["-subj", "/CN=localhost", "-keyout", &key, "-out", &request];
        self.openssl(&[&["req"][..], &KEY, &files].concat());
        let days;
        let when = match good {
            Good::Days(number) => {
                days = number.to_string();
                &["-days", &days][..]
            }
            Good::Before => &["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"],
            Good::Later => &["-startdate", "20400101000000Z", "-enddate", "20400201000000Z"],
        };
        let by = ["-cert", "authority.pem", "-keyfile", "authority.key"];
        let files = ["-in", &request, "-out", &certificate];
        let how = ["ca", "-batch", "-notext", "-config", "authority.cnf"];
        self.openssl(&[&how[..], &by, &files, when].concat());
        let pair =
            Pair { certificate: self.directory.join(certificate), key: self.directory.join(key) };
        fs::set_permissions(&pair.key, Permissions::from_mode(0o600)).unwrap();
        pair
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(&self.directory);
        let outcome = run(&mut command, &[]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
}

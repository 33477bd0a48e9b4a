//! `[mail]` becomes a [`Mail`], the files that it names among it.

use super::{
    Mail, MailSecurity,
    key_path::KeyPath,
    mistake::{Noted, Report},
    settings::{self, MailTls, Secret},
    url,
};
use crate::named_file;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use std::net::IpAddr;

/// How each certificate begins.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How mail is sent, if a server is named.
pub(super) fn read(
    settings: settings::Mail,
    report: &mut Report<'_>,
) -> Result<Option<Mail>, Noted> {
    let at = KeyPath::of(["mail"]);
    let Some(smtp) = &settings.smtp else { return without_server(&settings, &at, report) };
    let server = report.accept(&at.key("smtp"), url::smtp(smtp));
    let from = match &settings.from {
        Some(text) => report.accept(
            &at.key("from"),
            text.parse().map_err(
                |_| "expected an e-mail address, as in \"Counterfoil <tokens@example.com>\"",
            ),
        ),
        None => Err(report
            .add(&at.key("from"), "mail needs one, as in \"Counterfoil <tokens@example.com>\"")),
    };
    let password = password(&settings, &at, report);
    let authorities = settings.ca_file.as_deref().map(|file| {
        let path = at.key("ca_file");
        let pem = report.accept(&path, named_file::read(file))?;
        report.accept(&path, certificates(&pem)).map(|()| pem)
    });
    let (first, host, port) = server?;
    let is_local = is_loopback(&host);
    let security = match settings.tls {
        MailTls::Auto if first => MailSecurity::Tls,
        _ if first => {
            return Err(report.add(&at.key("tls"), "with smtps, TLS comes first anyway"));
        }
        MailTls::Starttls => MailSecurity::StartTls,
        MailTls::Auto if !is_local => MailSecurity::StartTls,
        MailTls::Auto | MailTls::None => MailSecurity::Clear,
    };
    if security == MailSecurity::Clear && !is_local && settings.user.is_some() {
        let message = "without TLS anybody in between could read the password; use starttls or \
                       smtps, or a server that wants no user";
        return Err(report.add(&at.key("tls"), message));
    }
    let credentials = settings.user.zip(password?);
    let authorities = authorities.transpose()?;
    Ok(Some(Mail { host, port, security, authorities, credentials, from: from? }))
}

/// No mail. Whoever has set something of it all the same forgot the server.
fn without_server(
    settings: &settings::Mail,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Option<Mail>, Noted> {
    let is_set = [
        settings.tls != MailTls::Auto,
        settings.ca_file.is_some(),
        settings.user.is_some(),
        settings.password.is_some(),
        settings.password_file.is_some(),
        settings.from.is_some(),
    ];
    if is_set.contains(&true) {
        let message = "mail needs a server, as in \"smtp://mail.example.com:587\"";
        return Err(report.add(&at.key("smtp"), message));
    }
    Ok(None)
}

fn password(
    settings: &settings::Mail,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Option<Secret>, Noted> {
    let path = at.key("password_file");
    let password = match (&settings.password, &settings.password_file) {
        (Some(_), Some(_)) => {
            return Err(report.add(&path, "expected password or password_file, not both"));
        }
        (Some(password), None) => Some(password.clone()),
        (None, Some(file)) => {
            let read = named_file::read(file).and_then(one_line);
            Some(report.accept(&path, read)?)
        }
        (None, None) => None,
    };
    match (&settings.user, &password) {
        (Some(_), None) => {
            Err(report.add(&at.key("password"), "user needs a password, here or in password_file"))
        }
        (None, Some(_)) => Err(report.add(&at.key("user"), "a password needs a user")),
        _ => Ok(password),
    }
}

/// Whether these are certificates that another can be checked against.
pub(super) fn certificates(pem: &[u8]) -> Result<(), &'static str> {
    const FORM: &str = "expected a file of certificates in PEM";
    // A file without any would be read as none.
    if !pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
        return Err(FORM);
    }
    let trusting = TlsParameters::builder("localhost".into())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(Certificate::from_pem(pem).map_err(|_| FORM)?);
    trusting.build_rustls().map(|_| ()).map_err(|_| FORM)
}

/// A secret as editors save it: the line break at its end is not part of it.
pub(super) fn one_line(bytes: Vec<u8>) -> Result<Secret, String> {
    let text = String::from_utf8(bytes).map_err(|_| "this file is not UTF-8".to_owned())?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains(char::is_control) {
        return Err("expected one line in this file".into());
    }
    Ok(Secret::new(line.to_owned()))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Config, Environment, Loaded, Readers, Source},
        *,
    };

    fn load(text: &str) -> Result<Config, String> {
        let source = Source { name: "c.toml".into(), text: text.into() };
        Config::load(Some(&source), &Environment::default())
            .map(|Loaded { config, .. }| config)
            .map_err(|mistakes| mistakes.to_string())
    }

    fn mail(lines: &str) -> Result<Mail, String> {
        load(&format!("[mail]\n{lines}\n")).map(|config| config.mail.unwrap())
    }

    const FROM: &str = "from = \"Counterfoil <tokens@example.com>\"\n";

    #[test]
    fn without_a_server_there_is_no_mail() {
        assert_eq!(load("").unwrap().mail, None);
        for line in ["tls = \"none\"", "user = \"a\"", "password = \"a\"", "from = \"a@b\""] {
            assert!(mail(line).unwrap_err().contains("mail.smtp: mail needs a server"), "{line}");
        }
    }

    #[test]
    fn the_connection_is_protected_unless_it_stays_here_or_somebody_says_so() {
        use MailSecurity::{Clear, StartTls, Tls};
        for (lines, security) in [
            ("smtp = \"smtp://mail.example.com\"", StartTls),
            ("smtp = \"smtp://mail.example.com\"\ntls = \"none\"", Clear),
            ("smtp = \"smtp://127.0.0.2:25\"", Clear),
            ("smtp = \"smtp://[::1]:25\"", Clear),
            ("smtp = \"smtp://localhost\"", Clear),
            ("smtp = \"smtp://localhost.example.com\"", StartTls),
            ("smtp = \"smtp://localhost\"\ntls = \"starttls\"", StartTls),
            ("smtp = \"smtps://localhost\"", Tls),
            ("smtp = \"smtp://localhost\"\nuser = \"a\"\npassword = \"b\"", Clear),
        ] {
            assert_eq!(mail(&format!("{FROM}{lines}")).unwrap().security, security, "{lines}");
        }
    }

    #[test]
    fn mistakes() {
        for (lines, mistake) in [
            ("smtp = \"mail.example.com\"", "mail.smtp: expected an smtp or smtps URL"),
            ("smtp = \"smtps://a\"\ntls = \"none\"", "mail.tls: with smtps"),
            ("smtp = \"smtp://a\"\ntls = \"implicit\"", "mail.tls: unknown word"),
            ("smtp = \"smtp://a\"\nuser = \"a\"", "mail.password: user needs a password"),
            ("smtp = \"smtp://a\"\npassword = \"a\"", "mail.user: a password needs a user"),
            (
                "smtp = \"smtp://a\"\nuser = \"a\"\npassword = \"b\"\ntls = \"none\"",
                "mail.tls: without TLS anybody in between",
            ),
            (
                "smtp = \"smtp://a\"\nuser = \"a\"\npassword = \"a\"\npassword_file = \"/x\"",
                "mail.password_file: expected password or password_file, not both",
            ),
            (
                "smtp = \"smtp://a\"\nuser = \"a\"\npassword_file = \"/no/such/file\"",
                "mail.password_file: cannot read this file",
            ),
            ("smtp = \"smtp://a\"\nca_file = \"/\"", "mail.ca_file: cannot read this file: it is"),
            ("smtp = \"smtp://a\"\nca_file = \"Cargo.toml\"", "mail.ca_file: expected a file of"),
        ] {
            let found = mail(&format!("{FROM}{lines}")).unwrap_err();
            assert!(found.contains(mistake), "{found}");
        }
        assert!(mail("smtp = \"smtp://a\"").unwrap_err().contains("mail.from: mail needs one"));
        for wrong in ["tokens", "a@b, c@d", "Counterfoil <>"] {
            let found = mail(&format!("smtp = \"smtp://a\"\nfrom = \"{wrong}\"")).unwrap_err();
            assert!(found.contains("mail.from: expected an e-mail address"), "{found}");
        }
    }

    #[test]
    fn a_password_is_read_from_a_file_and_shown_nowhere() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = format!(
            "{FROM}smtp = \"smtp://a\"\nuser = \"ada\"\npassword_file = \"{}\"",
            file.path().display()
        );
        for (content, password) in
            [("hunter2", "hunter2"), ("hunter2\n", "hunter2"), (" hunter 2 \r\n", " hunter 2 ")]
        {
            std::fs::write(file.path(), content).unwrap();
            let read = mail(&lines).unwrap();
            assert_eq!(read.credentials.as_ref().unwrap().1.reveal(), password);
            assert!(!format!("{read:?}").contains("hunter"), "{read:?}");
        }
        for wrong in ["", "\n", "hunter2\n\n", "hunter2\nhunter3\n"] {
            std::fs::write(file.path(), wrong).unwrap();
            let found = mail(&lines).unwrap_err();
            assert!(found.contains("expected one line") && !found.contains("hunter"), "{found}");
        }
        let text =
            format!("[mail]\n{FROM}smtp = \"smtp://a\"\nuser = \"a\"\npassword = \"hunter2\"");
        let source = Source { name: "c.toml".into(), text: text.clone() };
        let variable = ("COUNTERFOIL_MAIL_PASSWORD".to_owned(), "hunter3".to_owned());
        let environment: Environment = [variable].into_iter().collect();
        let loaded = Config::load(Some(&source), &environment).unwrap();
        let shown = format!("{source:?} {environment:?} {loaded:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert_eq!(loaded.config.mail.unwrap().credentials.unwrap().1.reveal(), "hunter3");
        for broken in [format!("{text}\n["), format!("{text}\npassword = \"hunter2\"")] {
            assert!(!load(&broken).unwrap_err().contains("hunter"), "{broken}");
        }
    }

    #[test]
    fn the_console() {
        let console = load("").unwrap().console;
        assert_eq!((console.docs, &*console.operators), (Readers::Members, &[][..]));
        assert_eq!((console.session.0, console.session_max.0), (12 * 3600, 30 * 86_400));
        let text =
            "[console]\ndocs = \"public\"\noperators = [\"Ops@Example.com\"]\nsession = \"30d\"";
        let console = load(text).unwrap().console;
        assert_eq!(
            (console.docs, console.operators[0].as_str()),
            (Readers::Public, "ops@example.com")
        );
        for (line, mistake) in [
            (
                "session = \"31d\"",
                "c.toml:2:11: console.session: 31d is longer than session_max, 30d",
            ),
            ("session_max = \"1h\"", "console.session_max: 1h is shorter than session, 12h"),
            ("session = \"0s\"", "console.session: expected a span longer than zero"),
            ("session_max = \"soon\"", "console.session_max: expected a number and a unit"),
            ("operators = [\"a@b\", \"ops\"]", "console.operators[1]: expected an e-mail address"),
            ("docs = \"all\"", "console.docs: unknown word, expected one of members, public"),
        ] {
            let found = load(&format!("[console]\n{line}")).unwrap_err();
            assert!(found.contains(mistake), "{found}");
        }
    }
}

//! Mail: one attempt for each letter, bounded in time. Nothing of a letter is written down:
//! it may hold a link.

pub(crate) mod letters;

pub(crate) use letters::Letter;

use crate::{
    clock,
    config::{Config, Mail, MailSecurity},
    entropy,
};
use arc_swap::ArcSwapOption;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    address::Envelope,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::{
    error::Error,
    fmt::Write as _,
    net::IpAddr,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;

/// How long sending one letter may take.
const SENDING: Duration = Duration::from_secs(10);
/// How many letters are sent at once.
const AT_ONCE: usize = 8;
/// How many may wait for each one that is being sent.
const WAITING: usize = 16;
/// How long one may wait. The server's stop waits for letters, too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a letter was not sent. What the server said is left out: a filter may quote the
/// link that it did not like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MailError {
    /// There is no `[mail]`.
    #[error("no mail server is configured")]
    NotConfigured,
    /// Nobody can be written to under this address.
    #[error("mail cannot be sent to this address")]
    Address,
    /// Too many letters wait already, or this one has waited for too long.
    #[error("too many letters are under way")]
    Busy,
    /// The server did not take it in time.
    #[error("the mail server has not taken the letter within 10 seconds")]
    TooSlow,
    /// The server said no, with this code (RFC 5321 §4.2).
    #[error("the mail server has refused with code {0}")]
    Refused(u16),
    /// The server was not reached, or not understood, or its certificate is not trusted.
    #[error("no mail can be sent over this server: {0}")]
    Server(String),
}

/// Sends letters as one configuration says.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// A mailer for `mail`, which calls itself by the host of `public_url`.
    pub(crate) fn new(mail: &Mail, public_url: &str) -> Result<Self, MailError> {
        let tls = || tls_parameters(mail).map_err(|error| MailError::Server(chain(&error)));
        let tls = match mail.security {
            MailSecurity::Tls => Tls::Wrapper(tls()?),
            MailSecurity::StartTls => Tls::Required(tls()?),
            MailSecurity::Clear => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
            .port(mail.port)
            .tls(tls)
            .timeout(Some(SENDING))
            .hello_name(own_name(public_url));
        if let Some((user, password)) = &mail.credentials {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            transport = transport.credentials(credentials);
        }
        Ok(Self { transport: transport.build(), from: mail.from.clone() })
    }

    /// Sends a letter: one attempt, of 10 seconds at most.
    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let (envelope, message) = self.written(letter)?;
        match timeout(SENDING, self.transport.send_raw(&envelope, &message)).await {
            Err(_) => Err(MailError::TooSlow),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_timeout() => Err(MailError::TooSlow),
            Ok(Err(error)) => Err(match error.status() {
                Some(code) => MailError::Refused(code.into()),
                // A response that is no SMTP may still quote.
                None if error.is_response() => {
                    MailError::Server("it does not speak SMTP as was expected".into())
                }
                None => MailError::Server(chain(&error)),
            }),
        }
    }

    /// A letter as it goes over the line.
    fn written(&self, letter: &Letter) -> Result<(Envelope, Vec<u8>), MailError> {
        // An address and no more: nothing in it names another one.
        let to: Address = letter.to.as_str().parse().map_err(|_| MailError::Address)?;
        let to = Mailbox::new(None, to);
        let id = entropy::bytes::<16>().iter().fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        });
        let since_epoch = u64::try_from(clock::now().as_millis()).unwrap_or_default();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&*letter.subject)
            .date(UNIX_EPOCH + Duration::from_millis(since_epoch))
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            // No note of absence comes back with the link in it (RFC 3834).
            .raw_header(HeaderValue::new(automatic, "auto-generated".into()))
            .body(letter.text.clone())
            .map_err(|_| MailError::Address)?;
        Ok((message.envelope().clone(), message.formatted()))
    }
}

/// The mailer of the configuration that holds now, and the letters under way.
pub(crate) struct Post {
    mailer: ArcSwapOption<Mailer>,
    sending: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Post {
    /// Letters go as `config` says.
    pub(crate) fn new(config: &Config) -> Result<Self, MailError> {
        let post = Self {
            mailer: ArcSwapOption::empty(),
            sending: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(AT_ONCE * (WAITING + 1))),
        };
        post.configure(config)?;
        Ok(post)
    }

    /// From now on letters go as `config` says.
    pub(crate) fn configure(&self, config: &Config) -> Result<(), MailError> {
        let mailer = config.mail.as_ref().map(|mail| Mailer::new(mail, &config.server.public_url));
        self.mailer.store(mailer.transpose()?.map(Arc::new));
        Ok(())
    }

    /// Whether mail can be sent at all.
    pub(crate) fn is_configured(&self) -> bool {
        self.mailer.load().is_some()
    }

    /// Sends a letter, and waits until it is sent.
    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let mailer = self.mailer.load_full().ok_or(MailError::NotConfigured)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| MailError::Busy)?;
        let place = timeout(PATIENCE, self.sending.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(MailError::Busy) };
        mailer.send(letter).await
    }

    /// Has a letter sent, and does not wait. With none, there is the same to do for
    /// whoever asks: how long it takes does not tell whether there was one. What fails is
    /// logged.
    pub(crate) fn send_later(self: &Arc<Self>, under_way: &TaskTracker, letter: Option<Letter>) {
        let post = self.clone();
        under_way.spawn(async move {
            let Some(letter) = letter else { return };
            let kind = letter.kind;
            match post.send(&letter).await {
                Ok(()) => tracing::info!(letter = kind, "mail sent"),
                Err(error) => {
                    tracing::warn!(letter = kind, error = %error, "mail not sent");
                }
            }
        });
    }
}

/// How the server proves who it is; with a file of certificates, by those alone.
fn tls_parameters(mail: &Mail) -> Result<TlsParameters, lettre::transport::smtp::Error> {
    let mut tls = TlsParameters::builder(mail.host.clone());
    if let Some(pem) = &mail.authorities {
        tls = tls
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(pem)?);
    }
    tls.build_rustls()
}

/// What we say when we greet (RFC 5321 §4.1.1.1).
fn own_name(public_url: &str) -> ClientId {
    let uri = public_url.parse::<http::Uri>().unwrap_or_default();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) if host.is_empty() => ClientId::default(),
        Err(_) => ClientId::Domain(host.to_owned()),
    }
}

/// An error with its causes. None of them has seen the letter.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some say what their cause says.
        let why = error.to_string();
        if !text.contains(&why) {
            let _ = write!(text, ": {why}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use counterfoil_core::time::Seconds;
    use std::io::{BufRead as _, BufReader, Write as _};

    fn mail(security: MailSecurity) -> Mail {
        Mail {
            host: "127.0.0.1".into(),
            port: 9,
            security,
            authorities: None,
            credentials: None,
            from: "tokens@example.com".parse().unwrap(),
        }
    }

    fn mailer() -> Mailer {
        let from = "Größe & Co <tokens@example.com>".parse().unwrap();
        let mail = Mail { from, ..mail(MailSecurity::Clear) };
        Mailer::new(&mail, "https://tokens.example.com").unwrap()
    }

    fn written(letter: &Letter) -> (Envelope, String) {
        let (envelope, bytes) = mailer().written(letter).unwrap();
        (envelope, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn nobody_adds_a_header_line() {
        let evil = "Eve\r\nBcc: all@example.com\r\n\r\nhello\u{0}\u{2028}x";
        let link = "https://tokens.example.com/x";
        let to = "ada@example.com".parse().unwrap();
        let letter = letters::invitation(&to, evil, evil, link, Seconds::days(7));
        let (envelope, text) = written(&letter);
        assert_eq!(envelope.to().len(), 1);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split_once(':').map(|(name, _)| name))
            .collect();
        assert_eq!(
            names,
            [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "Content-Type",
                "Auto-Submitted",
                "Content-Transfer-Encoding"
            ]
        );
        assert!(!body.lines().any(|line| line.starts_with("Bcc")), "{body}");
        // Nor would one that came this far.
        let letter = Letter { subject: evil.into(), ..letter };
        let (_, text) = written(&letter);
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    }

    #[test]
    fn addresses_and_names_are_encoded() {
        for (address, header) in [
            ("ada@example.com", "To: ada@example.com"),
            ("o'neil+x@example.com", "To: o'neil+x@example.com"),
        ] {
            let letter = letters::second_factor_removed(&address.parse().unwrap());
            let (envelope, text) = written(&letter);
            assert_eq!(envelope.to()[0].to_string(), address);
            assert!(text.lines().any(|line| line == header), "{text}");
            let from = "From: =?utf-8?b?R3LDtsOfZSAmIENv?= <tokens@example.com>";
            assert!(text.lines().any(|line| line == from), "{text}");
        }
        // What an account may be called, but no mail gets to.
        for address in ["a@-", "a..b@example.com"] {
            let letter = letters::second_factor_removed(&address.parse().unwrap());
            assert_eq!(mailer().written(&letter).unwrap_err(), MailError::Address, "{address}");
        }
    }

    #[test]
    fn the_link_arrives_whole() {
        let link = format!("https://tokens.example.com/reset/{}", "Ab-_".repeat(11));
        let to = "ada@example.com".parse().unwrap();
        let (_, text) = written(&letters::password_reset(&to, &link, Seconds::HOUR));
        // Lines are cut for the way (RFC 2045 §6.7).
        assert!(text.replace("=\r\n", "").lines().any(|line| line == link), "{text}");
    }

    #[test]
    fn we_greet_with_our_own_name() {
        for (url, name) in [
            ("https://tokens.example.com", "tokens.example.com"),
            ("http://127.0.0.1:8080", "[127.0.0.1]"),
            ("http://[::1]:8080", "[IPv6:::1]"),
        ] {
            assert_eq!(own_name(url).to_string(), name);
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = closed.local_addr().unwrap().port();
        drop(closed);
        let mail = Mail { port, ..mail(MailSecurity::StartTls) };
        let mailer = Mailer::new(&mail, "http://127.0.0.1:8080").unwrap();
        let letter = letters::second_factor_set(&"ada@example.com".parse().unwrap());
        let error = mailer.send(&letter).await.unwrap_err();
        assert!(matches!(&error, MailError::Server(why) if why.contains("refused")), "{error}");
    }

    /// Gives one answer for each line that it reads, the first before any, and then ends.
    fn server(answers: &'static [&'static str]) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for answer in answers {
                stream.write_all(answer.as_bytes()).unwrap();
                if lines.next().is_none_or(|line| line.is_err()) {
                    return;
                }
            }
        });
        port
    }

    async fn sent_to(answers: &'static [&'static str], security: MailSecurity) -> MailError {
        let mail = Mail { port: server(answers), ..mail(security) };
        let mailer = Mailer::new(&mail, "http://127.0.0.1:8080").unwrap();
        let letter = letters::second_factor_set(&"ada@example.com".parse().unwrap());
        mailer.send(&letter).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_the_server_says_is_not_repeated() {
        let spam = &["220 hi\r\n", "250 hi\r\n", "554 5.7.1 https://secret.example\r\n"];
        assert_eq!(sent_to(spam, MailSecurity::Clear).await, MailError::Refused(554));
        let noise = &["https://secret.example\r\n"];
        let error = sent_to(noise, MailSecurity::Clear).await;
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn letters_wait_for_their_turn_and_end() {
        let mut config = Config::load(None, &Environment::default()).unwrap().config;
        let post = Arc::new(Post::new(&config).unwrap());
        let letter = letters::password_changed(&"ada@example.com".parse().unwrap());
        assert!(!post.is_configured());
        assert_eq!(post.send(&letter).await, Err(MailError::NotConfigured));

        let taken = &["220 hi\r\n", "250 a\r\n", "250 b\r\n", "250 c\r\n", "354 d\r\n"];
        config.mail = Some(Mail { port: server(taken), ..mail(MailSecurity::Clear) });
        post.configure(&config).unwrap();
        assert!(post.is_configured());
        let under_way = TaskTracker::new();
        post.send_later(&under_way, None);
        post.send_later(&under_way, Some(letter.clone()));
        under_way.close();
        under_way.wait().await;

        let all = u32::try_from(post.waiting.available_permits()).unwrap();
        let _all = post.waiting.acquire_many(all).await.unwrap();
        assert_eq!(post.send(&letter).await, Err(MailError::Busy));
    }

    #[tokio::test]
    async fn without_tls_there_is_no_mail() {
        let plain = &["220 hi\r\n", "250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"];
        let error = sent_to(plain, MailSecurity::StartTls).await;
        assert!(matches!(error, MailError::Server(_)), "{error}");
    }
}

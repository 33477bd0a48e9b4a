//! Who is let in, who is not, and that nothing is waited for without end.

use super::*;
use crate::{
    app::App,
    config::{Config, Environment},
    replica::Replica,
    service::{Caller, accounts::AccountName},
    store::sqlite::{DataDirectory, Sqlite},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_core::credential::{self, Credential, Headers, Scheme, Schemes};
use std::path::Path;
use zeroize::Zeroizing;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";

async fn house() -> (tempfile::TempDir, App) {
    let directory = tempfile::tempdir().unwrap();
    let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
    let store = Sqlite::open(locked, Path::new("test.db"), Box::new(|_, _| {})).unwrap();
    let config = Config::load(None, &Environment::default()).unwrap().config;
    let app = App::on(&config, Arc::new(store), Arc::new(Replica::default()), None).unwrap();
    let password = Some(Zeroizing::new(PASSWORD.to_owned()));
    app.service
        .initialise(&Caller::Operator, "Acme", ADA.parse().unwrap(), None, password)
        .await
        .unwrap();
    (directory, app)
}

/// The one line that a password comes in.
struct Line(String);

impl Headers for Line {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        (name == "authorization").then_some(self.0.as_bytes()).into_iter()
    }
}

fn shown(email: &str, password: &str, address: u8) -> PasswordShown {
    let schemes = Schemes {
        accepted: vec![Scheme::Password],
        header: None,
        header_pair: None,
        exact_token_keyword: false,
    };
    let line = Line(format!("Basic {}", BASE64_STANDARD.encode(format!("{email}:{password}"))));
    match credential::read(&schemes, &line) {
        Ok(Some(Credential::Password(pair))) => {
            PasswordShown { pair, client: Some([192, 0, 2, address].into()) }
        }
        _ => panic!("not read"),
    }
}

async fn look<'a>(app: &'a App, email: &str, password: &str, address: u8) -> Looked<'a> {
    let shown = shown(email, password, address);
    app.service.door_passwords.look(shown, DoorPasswords::deadline()).await
}

/// Why it is refused; none where it is not.
async fn code(app: &App, email: &str, password: &str, address: u8) -> Option<Code> {
    let looked = look(app, email, password, address).await;
    let code = looked.as_ref().err().map(|refusal| refusal.code);
    if let Ok(proof) = looked {
        proof.settle(&Ok(()));
    }
    code
}

#[tokio::test]
async fn the_right_password_is_its_accounts_and_no_other_is_any() {
    let (_directory, app) = house().await;
    let proof = look(&app, "Ada@Example.com", PASSWORD, 1).await.unwrap();
    let found = app.service.store.credentials_by_email(ADA.parse().unwrap()).await.unwrap();
    assert_eq!(proof.account, found.unwrap().account);
    proof.settle(&Ok(()));
    let wrong = Some(Code::WrongPassword);
    for (email, password) in [
        (ADA, "correct mule"),
        (ADA, ""),
        ("eve@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("", ""),
    ] {
        assert_eq!(code(&app, email, password, 2).await, wrong, "{email} {password}");
    }
}

#[tokio::test]
async fn what_is_changed_counts_at_once() {
    let (_directory, app) = house().await;
    let ada = AccountName::Email(ADA.parse().unwrap());
    assert_eq!(code(&app, ADA, PASSWORD, 1).await, None);
    let new = Zeroizing::new("another password".to_owned());
    app.service.set_password(&Caller::Operator, &ada, new).await.unwrap();
    assert_eq!(code(&app, ADA, PASSWORD, 2).await, Some(Code::WrongPassword));
    assert_eq!(code(&app, ADA, "another password", 2).await, None);
    app.service.set_account_active(&Caller::Operator, &ada, false).await.unwrap();
    assert_eq!(code(&app, ADA, "another password", 2).await, Some(Code::WrongPassword));
}

#[tokio::test]
async fn wrong_ones_count_at_the_sign_in_and_right_ones_nowhere() {
    let (_directory, app) = house().await;
    let attempts = &app.service.attempts;
    for _ in 0..20 {
        assert_eq!(code(&app, ADA, PASSWORD, 1).await, None);
    }
    for _ in 0..10 {
        assert_eq!(code(&app, ADA, "correct mule", 1).await, Some(Code::WrongPassword));
    }
    let client = Some([192, 0, 2, 1].into());
    assert!(attempts.password(ADA, client, clock::steady()).is_err());
    // Then nobody looks any more, and the right one is told nothing else.
    let refusal = look(&app, ADA, PASSWORD, 1).await.err().unwrap();
    assert_eq!(refusal.code, Code::RateLimited);
    assert!(matches!(refusal.about, About::RetryAfter(Seconds(1..=900))));
    assert_eq!(code(&app, ADA, PASSWORD, 2).await, None, "from elsewhere");
}

/// Whoever has a right password that is good for nothing learns nothing from the throttle.
#[tokio::test]
async fn a_right_one_that_is_refused_counts_as_wrong() {
    let (_directory, app) = house().await;
    for (code, limited) in [
        (Code::SeveralOrganizations, true),
        (Code::AccountDisabled, true),
        (Code::InsufficientScope, false),
        (Code::NodeStale, false),
    ] {
        let address = code as u8;
        for _ in 0..10 {
            let proof = look(&app, ADA, PASSWORD, address).await.unwrap();
            proof.settle(&Err::<(), _>(Refusal::new(code)));
        }
        assert_eq!(look(&app, ADA, PASSWORD, address).await.is_err(), limited, "{code}");
    }
}

#[tokio::test]
async fn whoever_finds_no_place_does_not_wait_and_has_not_been_wrong() {
    let (_directory, app) = house().await;
    let all = app.service.door_passwords.occupy();
    for _ in 0..40 {
        assert_eq!(code(&app, ADA, "correct mule", 1).await, Some(Code::RateLimited));
    }
    drop(all);
    assert_eq!(code(&app, ADA, PASSWORD, 1).await, None);
    let shown = shown(ADA, PASSWORD, 1);
    let late = app.service.door_passwords.look(shown, clock::steady()).await.err().unwrap();
    assert_eq!(late.about, About::RetryAfter(LATER));
}

/// People sign in while every place at the doors is taken.
#[tokio::test]
async fn signing_in_has_places_of_its_own() {
    let (_directory, app) = house().await;
    let _all = app.service.door_passwords.occupy();
    let hash = app.service.store.credentials_by_email(ADA.parse().unwrap()).await.unwrap();
    let password = Zeroizing::new(PASSWORD.to_owned());
    let verified = app.service.passwords.verify(password, hash.unwrap().password_hash).await;
    assert_eq!(verified, Ok(Verified::Right));
}

#[test]
fn the_thread_gives_way_alone() {
    let own = rustix::process::getpriority_process(None).unwrap();
    let (jobs, queue) = mpsc::channel::<Job>();
    drop(jobs);
    let other = std::thread::spawn(move || {
        work_off(&queue);
        rustix::process::getpriority_process(None).unwrap()
    });
    assert_eq!(other.join().unwrap(), LOWEST);
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
}

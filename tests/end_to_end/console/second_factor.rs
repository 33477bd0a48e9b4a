//! The second factor.

use super::{ADA, BOB, PASSWORD, Server, Visitor, entries, goes_to, is_in, says, sign_in, start};
use crate::response::Response;
use counterfoil_support::{authenticator::code, visitor::hidden};

/// The key on the page, without its spaces.
pub(crate) fn key(page: &str) -> String {
    let text = page.split("id=\"key\"").nth(1).unwrap();
    let text = text.split('>').nth(1).unwrap().split('<').next().unwrap();
    text.replace(' ', "")
}

pub(crate) fn recovery_codes(page: &str) -> Vec<String> {
    let part = page.split("id=\"codes\"").nth(1).unwrap().split("</div>").next().unwrap();
    part.split("<span>").skip(1).map(|rest| rest.split(' ').next().unwrap().to_owned()).collect()
}

/// Shows a code made with this key, and a password.
fn confirm(ada: &Visitor, key: &str, password: &str, code: &str) -> Response {
    let fields = [("key", key), ("current", password), ("code", code)];
    ada.post("/account/second-factor", &fields)
}

/// Turns Ada's on: her key, and her recovery codes.
pub(crate) fn turn_on(ada: &Visitor) -> (String, Vec<String>) {
    let page = ada.get("/account/second-factor");
    let key = key(page.text());
    assert_eq!(hidden(&page, "key"), key);
    let page = confirm(ada, &key, PASSWORD, &code(&key, 0));
    assert_eq!(page.status, 200, "{}", page.text());
    (key, recovery_codes(page.text()))
}

/// Somebody who has shown the password alone.
fn half(server: &Server) -> Visitor {
    let browser = Visitor::stranger(server.main);
    goes_to(&browser.tries(ADA, PASSWORD), "/sign-in/code?next=%2F");
    browser
}

#[test]
fn from_the_key_to_the_code() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let first = key(ada.get("/account/second-factor").text());
    // What is wrong changes nothing, and the key stays.
    let before = entries(&server);
    for (password, code, text) in [
        (PASSWORD, "12345x", "This code is wrong"),
        (PASSWORD, "", "This code is wrong"),
        ("wrong", &*code(&first, 0), "This is not your password."),
        ("", &*code(&first, 0), "This is not your password."),
    ] {
        let again = confirm(&ada, &first, password, code);
        says(&again, 422, text);
        assert_eq!((key(again.text()), hidden(&again, "key")), (first.clone(), first.clone()));
        assert!(!again.text().contains("value=\"wrong\""));
    }
    // Each time that somebody looks there is another, and that takes none away.
    let second = key(ada.get("/account/second-factor").text());
    assert_ne!(first, second);
    says(&confirm(&ada, &second, PASSWORD, &code(&first, 0)), 422, "This code is wrong");
    for no_key in ["", "GEZDGNBV", &second.to_lowercase()] {
        assert_eq!(confirm(&ada, no_key, PASSWORD, &code(&second, 0)).status, 400);
    }
    let other = sign_in(&server, ADA, PASSWORD);
    assert!(is_in(&other), "it is not asked for yet");
    assert_eq!(entries(&server), before);

    // Whoever is in without it is out, with a copy of this very cookie, too.
    let copied = Visitor::showing(server.main, &ada.secret().unwrap());
    let page = confirm(&ada, &second, PASSWORD, &code(&second, 0));
    says(&page, 200, "Recovery codes");
    assert!(is_in(&ada) && !is_in(&other) && !is_in(&copied));
    let codes = recovery_codes(page.text());
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 19), "{codes:?}");
    says(&ada.get("/account"), 200, "10 of 10 recovery codes are left.");
    // Neither is shown again.
    says(&ada.get("/account/second-factor"), 409, "there is a second factor already");
    let again = confirm(&ada, &second, PASSWORD, &code(&second, 1));
    says(&again, 409, "there is a second factor already");
    assert_eq!(
        server.cli(["account", "show", ADA, "--json"]).done().json()["has_second_factor"],
        true
    );

    // Half in is not in, and the session that was half is not the one that is whole.
    let browser = half(&server);
    assert!(!is_in(&browser));
    says(&browser.get("/sign-in/code"), 200, "Six digits");
    let before = browser.secret().unwrap();
    let shown = code(&second, 1);
    goes_to(
        &browser.post("/sign-in/code", &[("code", &shown), ("next", "/settings")]),
        "/settings",
    );
    assert!(is_in(&browser));
    assert_ne!(browser.secret().unwrap(), before);
    assert!(!is_in(&Visitor::showing(server.main, &before)));
    // A code works once.
    let other = half(&server);
    says(&other.post("/sign-in/code", &[("code", &shown)]), 422, "it has been used");
    assert!(!is_in(&other));
}

/// A session that somebody else has by now turns nothing on that would lock its owner out.
#[test]
fn a_copied_cookie_is_not_enough() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let thief = Visitor::showing(server.main, &ada.secret().unwrap());
    let shown = key(ada.get("/account/second-factor").text());
    let stolen = key(thief.get("/account/second-factor").text());
    // Nobody sees the key that another page shows.
    assert_ne!(shown, stolen);
    let tried = confirm(&thief, &stolen, "guessed", &code(&stolen, 0));
    says(&tried, 422, "This is not your password.");
    assert!(!tried.text().contains(&shown));
    assert!(is_in(&sign_in(&server, ADA, PASSWORD)));
    let page = confirm(&ada, &shown, PASSWORD, &code(&shown, 0));
    says(&page, 200, "Recovery codes");
    assert!(!is_in(&thief));
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn a_recovery_code_works_once() {
    let server = start();
    let (_, codes) = turn_on(&sign_in(&server, ADA, PASSWORD));
    let browser = half(&server);
    says(&browser.get("/sign-in/code?recovery=yes"), 200, "Recovery code");
    let typed = codes[3].to_uppercase().replace('-', " ");
    goes_to(&browser.post("/sign-in/code", &[("code", &typed), ("recovery", "yes")]), "/");
    says(&browser.get("/account"), 200, "9 of 10 recovery codes are left.");
    let other = half(&server);
    let again = other.post("/sign-in/code", &[("code", &codes[3]), ("recovery", "yes")]);
    says(&again, 422, "it has been used");
    goes_to(&other.post("/sign-in/code", &[("code", &codes[4])]), "/");

    // New ones take the place of the old, for whoever shows one.
    let renew = |code: &str| other.post("/account/second-factor/codes", &[("code", code)]);
    says(&other.get("/account/second-factor/codes"), 200, "Those that you have now stop working.");
    says(&renew(&codes[4]), 422, "it has been used");
    let page = renew(&codes[5]);
    says(&page, 200, "Recovery codes");
    let new = recovery_codes(page.text());
    assert!(new.iter().all(|code| !codes.contains(code)) && new.len() == 10);
    let third = half(&server);
    assert_eq!(third.post("/sign-in/code", &[("code", &codes[6])]).status, 422);
    goes_to(&third.post("/sign-in/code", &[("code", &new[0])]), "/");
}

#[test]
fn guessing_ends() {
    let server = start();
    let (_, codes) = turn_on(&sign_in(&server, ADA, PASSWORD));
    // Five a session, which ends then.
    for _ in 0..2 {
        let browser = half(&server);
        for _ in 0..4 {
            says(&browser.post("/sign-in/code", &[("code", "000000")]), 422, "This code is wrong");
        }
        goes_to(&browser.post("/sign-in/code", &[("code", "000000")]), "/sign-in?next=%2F");
        goes_to(&browser.post("/sign-in/code", &[("code", &codes[0])]), "/sign-in?next=%2F");
        assert!(!is_in(&browser));
    }
    // Ten an account.
    let browser = half(&server);
    says(&browser.post("/sign-in/code", &[("code", &codes[0])]), 429, "Try again in");
    assert!(!is_in(&browser));
    // Bob does not notice.
    sign_in(&server, BOB, PASSWORD);
}

#[test]
fn it_goes_with_the_password_and_a_code() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let remove = |password: &str, code: &str| {
        ada.post("/account/second-factor/remove", &[("current", password), ("code", code)])
    };
    says(&remove(PASSWORD, "000000"), 409, "there is no second factor");
    let (_, codes) = turn_on(&ada);
    says(&ada.get("/account/second-factor/remove"), 200, "Turn off the second factor");
    says(&remove("wrong", &codes[0]), 422, "This is not your password.");
    says(&remove(PASSWORD, "000000"), 422, "This code is wrong");
    says(&remove(PASSWORD, ""), 422, "This code is wrong");
    half(&server);
    // The wrong password has not used it up.
    goes_to(&remove(PASSWORD, &codes[0]), "/account?done=factor-removed");
    assert!(is_in(&sign_in(&server, ADA, PASSWORD)));
    says(&ada.get("/account"), 200, "href=\"/account/second-factor\"");
    let audit = server.cli(["audit", "--json"]).done().out;
    assert!(audit.contains("second_factor_set") && audit.contains("second_factor_removed"));
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn a_session_in_which_codes_are_guessed_ends() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    turn_on(&ada);
    for _ in 0..4 {
        assert_eq!(ada.post("/account/second-factor/codes", &[("code", "000000")]).status, 422);
    }
    goes_to(
        &ada.post("/account/second-factor/codes", &[("code", "000000")]),
        "/sign-in?next=%2Faccount",
    );
    assert!(!is_in(&ada));
}

#[test]
fn the_operator_helps_whoever_has_lost_everything() {
    let server = start();
    turn_on(&sign_in(&server, ADA, PASSWORD));
    half(&server);
    let said = server.cli(["account", "remove-second-factor", ADA]).done().out;
    assert!(said.contains("second factor") && said.contains("none"), "{said}");
    assert!(is_in(&sign_in(&server, ADA, PASSWORD)));
    let error = server.cli(["account", "remove-second-factor", ADA]).failed(1);
    assert!(error.contains("there is no second factor"), "{error}");
    // Without a server, too.
    turn_on(&sign_in(&server, ADA, PASSWORD));
    let installation = server.stop();
    installation.cli(["account", "remove-second-factor", ADA]).done();
    assert!(is_in(&sign_in(&installation.start(), ADA, PASSWORD)));
}

/// A password that is set anew is no way around it.
#[test]
fn a_new_password_does_not_take_it_away() {
    let server = start();
    turn_on(&sign_in(&server, ADA, PASSWORD));
    let set = ["account", "set-password", ADA, "--password-file", "-"];
    server.cli_reading("set by the operator", set).done();
    let browser = Visitor::stranger(server.main);
    goes_to(&browser.tries(ADA, "set by the operator"), "/sign-in/code?next=%2F");
    assert!(!is_in(&browser));
}

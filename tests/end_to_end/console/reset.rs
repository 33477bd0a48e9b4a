//! A forgotten password: the link in the mail.

use super::{ADA, BOB, OTHER, PASSWORD, Visitor, face, goes_to, is_in, says, sign_in, start};
use crate::server::Server;
use counterfoil_support::{
    mail::{MailServer, Security},
    visitor::hidden,
};

/// The server, with a mail server beside it.
pub(super) fn start_with_mail() -> (Server, MailServer) {
    start_with_mail_and("")
}

fn start_with_mail_and(more: &str) -> (Server, MailServer) {
    let mail = MailServer::start(Security::Plain);
    let configuration = format!(
        "[mail]\nsmtp = \"smtp://{}\"\nfrom = \"Counterfoil <tokens@example.com>\"\n{more}",
        mail.address
    );
    (super::start_with(&configuration), mail)
}

/// Asks for a link, and takes it out of the mail.
fn link(server: &Server, mail: &MailServer, email: &str) -> String {
    let browser = Visitor::stranger(server.main);
    says(&browser.post("/forgotten", &[("email", email)]), 200, "a link is on its way");
    let letter = mail.next();
    assert_eq!(letter.to, [email]);
    let line = letter.text.lines().find_map(|line| line.strip_prefix(&browser.origin()));
    line.unwrap().to_owned()
}

#[test]
fn from_the_mail_to_a_new_password() {
    let (server, mail) = start_with_mail();
    let ada = [sign_in(&server, ADA, PASSWORD), sign_in(&server, ADA, PASSWORD)];
    let bob = sign_in(&server, BOB, PASSWORD);
    let link = link(&server, &mail, ADA);
    let browser = Visitor::stranger(server.main);
    // However often somebody looks, or chooses what cannot be.
    for _ in 0..2 {
        says(&browser.get(&link), 200, ADA);
        let short = browser.post(&link, &[("password", "short")]);
        says(&short, 422, "It must have at least 8 characters.");
    }
    assert!(ada.iter().all(is_in));
    goes_to(&browser.post(&link, &[("password", OTHER)]), "/tokens");
    assert!(is_in(&browser) && is_in(&bob) && !ada.iter().any(is_in));
    assert!(mail.next().text.contains("Your password was changed"));
    assert_eq!(Visitor::stranger(server.main).tries(ADA, PASSWORD).status, 422);
    sign_in(&server, ADA, OTHER);
    // It works once.
    let eve = Visitor::stranger(server.main);
    says(&eve.get(&link), 404, "This link does not work");
    says(&eve.post(&link, &[("password", "eve's own one")]), 404, "This link does not work");
    assert_eq!(eve.secret(), None);
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn the_newest_link_works_and_none_after_another_change() {
    let (server, mail) = start_with_mail();
    let old = link(&server, &mail, ADA);
    let new = link(&server, &mail, ADA);
    let browser = Visitor::stranger(server.main);
    says(&browser.get(&old), 404, "This link does not work");
    says(&browser.get(&new), 200, ADA);
    let ada = sign_in(&server, ADA, PASSWORD);
    let change = [("current", PASSWORD), ("password", OTHER)];
    goes_to(&ada.post("/account/password", &change), "/account?done=password&ended=0");
    says(&browser.get(&new), 404, "This link does not work");
    // The letter of that change, and no more than three links in a while.
    assert!(mail.next().text.contains("Your password was changed"));
    let third = link(&server, &mail, ADA);
    server.cli(["account", "disable", ADA]).done();
    says(&browser.post(&third, &[("password", "another one")]), 404, "This link does not work");
}

#[test]
fn what_was_mailed_to_the_address_before_leads_nowhere() {
    const NEW: &str = "countess@example.com";
    let (server, mail) = start_with_mail();
    let old = link(&server, &mail, ADA);
    let bobs = link(&server, &mail, BOB);
    server.cli(["account", "set-email", ADA, NEW]).done();
    // Whoever reads the mail there is told that, and not where the account is now.
    let letter = mail.next();
    assert_eq!(letter.to, [ADA]);
    assert!(letter.text.contains("has another e-mail address now"), "{}", letter.text);
    assert!(!letter.text.contains("countess"), "{}", letter.text);
    let browser = Visitor::stranger(server.main);
    says(&browser.get(&old), 404, "This link does not work");
    says(&browser.post(&old, &[("password", OTHER)]), 404, "This link does not work");
    says(&browser.get(&bobs), 200, BOB);
    // Nobody is written to there any more; the next letter is for the new address.
    says(&browser.post("/forgotten", &[("email", ADA)]), 200, "a link is on its way");
    let new = link(&server, &mail, NEW);
    goes_to(&browser.post(&new, &[("password", OTHER)]), "/tokens");
    assert_eq!(mail.next().to, [NEW]);
    // What is so already is told nobody.
    server.cli(["account", "set-email", NEW, NEW]).done();
    let installation = server.stop();
    assert_eq!(mail.taken(), 5);
    drop(installation);
}

#[test]
fn whoever_asks_learns_nothing() {
    let (server, mail) = start_with_mail();
    let dan = "dan@example.com";
    server.cli(["account", "create", "--email", dan]).done();
    server.cli(["account", "disable", dan]).done();
    let ask = |email: &str| {
        let response = Visitor::stranger(server.main).post("/forgotten", &[("email", email)]);
        face(&response, email)
    };
    let answer = ask(ADA);
    assert!(answer.starts_with("200\n"));
    for other in ["eve@example.com", dan, "no address"] {
        assert_eq!(ask(other), answer, "{other}");
    }
    assert_eq!(ask(BOB), answer);
    // Nobody else was written to.
    let mut written = [mail.next().to, mail.next().to];
    written.sort();
    assert_eq!(written, [[ADA], [BOB]]);
    let installation = server.stop();
    assert_eq!(mail.taken(), 2);
    drop(installation);
}

#[test]
fn a_second_factor_is_asked_for_all_the_same() {
    let (server, mail) = start_with_mail();
    let (_, codes) = super::second_factor::turn_on(&sign_in(&server, ADA, PASSWORD));
    assert!(mail.next().text.contains("A second factor was set"));
    let link = link(&server, &mail, ADA);
    let browser = Visitor::stranger(server.main);
    goes_to(&browser.post(&link, &[("password", OTHER)]), "/sign-in/code?next=%2Ftokens");
    assert!(!is_in(&browser));
    goes_to(&browser.post("/sign-in/code", &[("code", &codes[0])]), "/");
    assert!(is_in(&browser));
}

#[test]
fn too_many_requests_wait() {
    let (server, _mail) = start_with_mail();
    let browser = Visitor::stranger(server.main);
    let ask = |n: usize| browser.post("/forgotten", &[("email", &format!("{n}@example.com"))]);
    for n in 0..20 {
        assert_eq!(ask(n).status, 200);
    }
    says(&ask(20), 429, "Try again in");
}

#[test]
fn without_mail_the_page_says_who_helps() {
    let server = start();
    let browser = Visitor::stranger(server.main);
    says(&browser.get("/sign-in"), 200, "href=\"/forgotten\"");
    says(&browser.get("/forgotten"), 200, "counterfoil account set-password");
    says(&browser.post("/forgotten", &[("email", ADA)]), 200, "counterfoil account set-password");
    says(&browser.get("/reset/x"), 404, "This link does not work");
}

/// An administrator invites whatever address, and may open the link themselves.
#[test]
fn an_address_is_the_operators_once_it_is_shown_to_be() {
    let ops = ["ops@example.com", "root@example.com"];
    let (server, mail) = start_with_mail_and(&format!("[console]\noperators = {ops:?}"));
    let ada = sign_in(&server, ADA, PASSWORD);
    let [mallory, other] = ops.map(|email| {
        let home = hidden(&ada.get("/settings"), "organization");
        let fields = [("organization", &*home), ("email", email), ("rank", "member")];
        let made = ada.post("/portal/invitations/new", &fields);
        assert_eq!(mail.next().to, [email]);
        let link = made.text().split_once(&format!("{}/invitations/", ada.origin())).unwrap().1;
        let path = format!("/invitations/{}", link.split('<').next().unwrap());
        let browser = Visitor::stranger(server.main);
        let fields = [("name", "Ops"), ("password", PASSWORD)];
        goes_to(&browser.post(&path, &fields), "/tokens?done=joined");
        assert!(is_in(&browser));
        browser
    });
    let change = [("current", PASSWORD), ("password", OTHER)];
    goes_to(&mallory.post("/account/password", &change), "/account?done=password&ended=0");
    assert!(mail.next().text.contains("Your password was changed"));
    for browser in [&mallory, &other] {
        assert_eq!(browser.get("/operator").status, 404);
        assert_eq!(browser.post("/operator/verify", &[]).status, 404);
        assert!(!browser.get("/tokens").text().contains("/operator"));
    }
    // Whoever reads the mail there is who it names, and has the account from then on.
    let link = link(&server, &mail, ops[0]);
    let owner = Visitor::stranger(server.main);
    goes_to(&owner.post(&link, &[("password", "mine from now on")]), "/tokens");
    assert_eq!(owner.get("/operator").status, 200);
    assert!(!is_in(&mallory));
    assert!(mail.next().text.contains("Your password was changed"));
    // So is whom the operator gives a password.
    server.cli_reading(OTHER, ["account", "set-password", ops[1], "--password-file", "-"]).done();
    assert!(!is_in(&other));
    assert_eq!(sign_in(&server, ops[1], OTHER).get("/operator").status, 200);
    server.cli(["ledger", "verify"]).done();
}

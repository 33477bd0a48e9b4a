//! Signing in and out, and who is not let in.

use super::{
    ADA, BOB, PASSWORD, Visitor, entries, face, goes_to, is_in, says, sessions, sign_in, start,
    start_with,
};
use counterfoil_support::wire::Wire;

const WRONG: &str = "The e-mail address or the password is wrong.";

#[test]
fn in_and_out() {
    let server = start();
    let stranger = Visitor::stranger(server.main);
    goes_to(&stranger.get("/account"), "/sign-in?next=%2Faccount");
    goes_to(&stranger.get("/"), "/sign-in?next=%2F");
    says(&stranger.get("/sign-in"), 200, "<h1>Sign in</h1>");

    let ada = sign_in(&server, ADA, PASSWORD);
    says(&ada.get("/account"), 200, "<h1>Account Settings</h1>");
    goes_to(&ada.get("/sign-in"), "/");
    let secret = ada.secret().unwrap();
    goes_to(&ada.post("/sign-out", &[]), "/signed-out");
    assert_eq!(ada.secret(), None);
    says(&ada.get("/signed-out"), 200, "You are signed out");
    assert!(
        !is_in(&Visitor::showing(server.main, &secret)),
        "it is not only the cookie that is gone"
    );
}

#[test]
fn the_cookie_is_for_this_host_and_no_script() {
    let server = start();
    let browser = Visitor::stranger(server.main);
    let response = browser.tries(ADA, PASSWORD);
    let cookie = response.header("set-cookie");
    let (value, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(value.len(), "counterfoil_session=".len() + 64);
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000");
    assert!(response.body.is_empty());
}

/// Answers to what is wrong differ in nothing but what was typed.
#[test]
fn whoever_is_wrong_learns_nothing() {
    let server = start();
    server.cli(["account", "create", "--email", "carol@example.com"]).done();
    let create = ["account", "create", "--email", "dan@example.com", "--password-file", "-"];
    server.cli_reading(PASSWORD, create).done();
    server.cli(["account", "disable", "dan@example.com"]).done();
    let wrong = |email: &str, password: &str| {
        let response = Visitor::stranger(server.main).tries(email, password);
        says(&response, 422, WRONG);
        assert!(response.values("set-cookie").is_empty());
        face(&response, email)
    };
    let answer = wrong(ADA, "an engine that weaves velvet");
    for (email, password) in [
        (ADA, ""),
        ("eve@example.com", PASSWORD),
        ("no address", PASSWORD),
        // Without a password, and disabled.
        ("carol@example.com", PASSWORD),
        ("dan@example.com", PASSWORD),
    ] {
        assert_eq!(wrong(email, password), answer, "{email}");
    }
}

#[test]
fn a_session_is_never_one_that_somebody_else_chose() {
    let server = start();
    let chosen = "a".repeat(64);
    let browser = Visitor::showing(server.main, &chosen);
    goes_to(&browser.tries(ADA, PASSWORD), "/");
    let secret = browser.secret().unwrap();
    assert_ne!(secret, chosen);
    assert!(!is_in(&Visitor::showing(server.main, &chosen)));

    // Nor does one go on that was there before, whosever it was.
    let bob = sign_in(&server, BOB, PASSWORD);
    let planted = Visitor::showing(server.main, &bob.secret().unwrap());
    goes_to(&planted.tries(ADA, PASSWORD), "/");
    assert!(!is_in(&bob));
    assert!(planted.get("/account").text().contains(ADA));
}

#[test]
fn forged_sessions_are_none() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let secret = ada.secret().unwrap();
    let other = sign_in(&server, ADA, PASSWORD);
    let [id] = &sessions(&other.get("/account"))[..] else { panic!("not one other") };
    for forged in [
        &secret[..63],
        &format!("{secret}A"),
        &secret.to_uppercase(),
        &"a".repeat(64),
        "\" or \"1\"=\"1",
        "%00",
        id,
    ] {
        assert!(!is_in(&Visitor::showing(server.main, forged)), "{forged}");
    }
    let twice = format!("{secret}; counterfoil_session={secret}");
    assert!(!is_in(&Visitor::showing(server.main, &twice)));
    assert!(is_in(&ada));
}

#[test]
fn the_way_on_is_ours() {
    let server = start();
    for (next, path) in [
        ("/settings?x=y", "/settings?x=y"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\r\nset-cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
    ] {
        let browser = Visitor::stranger(server.main);
        let fields = [("email", ADA), ("password", PASSWORD), ("next", next)];
        goes_to(&browser.post("/sign-in", &fields), path);
    }
}

#[test]
fn nothing_that_comes_from_elsewhere_changes_anything() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let (other, origin) = (sign_in(&server, ADA, PASSWORD), ada.origin());
    let before = entries(&server);
    let forms: [(&str, &[(&str, &str)]); 9] = [
        ("/sign-in", &[("email", BOB), ("password", PASSWORD)]),
        ("/sign-out", &[]),
        ("/organization", &[("organization", "x")]),
        ("/account/password", &[("current", PASSWORD), ("password", "attacker's own")]),
        ("/account/sessions/end", &[]),
        ("/account/second-factor", &[("current", PASSWORD), ("code", "000000")]),
        ("/account/second-factor/remove", &[("current", PASSWORD), ("code", "000000")]),
        ("/profile", &[("name", "Eve")]),
        ("/settings", &[("name", "Evil")]),
    ];
    for lines in [
        String::new(),
        "origin: null\r\n".into(),
        "origin: https://evil.example\r\n".into(),
        format!("origin: {origin}.evil.example\r\n"),
        format!("origin: {}\r\n", origin.replace("http:", "https:")),
        format!("origin: {origin}\r\nsec-fetch-site: cross-site\r\n"),
        format!("origin: {origin}\r\nsec-fetch-site: same-site\r\n"),
        "sec-fetch-site: same-origin\r\n".into(),
    ] {
        for (path, fields) in forms {
            let response = ada.post_with(&lines, path, fields);
            says(&response, 403, "This came from elsewhere");
            assert!(response.values("set-cookie").is_empty());
        }
    }
    assert_eq!(entries(&server), before);
    assert!(is_in(&ada) && is_in(&other));
}

#[test]
fn whoever_guesses_waits_and_nobody_else() {
    let server = start_with("[server]\ntrusted_proxies = [\"127.0.0.1\"]");
    let from = |address: &str, email: &str, password: &str| {
        let browser = Visitor::stranger(server.main);
        let lines = format!("origin: {}\r\nx-forwarded-for: {address}\r\n", browser.origin());
        browser.post_with(&lines, "/sign-in", &[("email", email), ("password", password)])
    };
    // The same for an account that is there and one that is not.
    for (address, email) in [("192.0.2.1", ADA), ("192.0.2.2", "eve@example.com")] {
        for _ in 0..10 {
            says(&from(address, email, "wrong"), 422, WRONG);
        }
        let response = from(address, email, PASSWORD);
        says(&response, 429, "Try again in");
        let wait: u64 = response.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
    }
    goes_to(&from("198.51.100.1", ADA, PASSWORD), "/");
    goes_to(&from("192.0.2.1", BOB, PASSWORD), "/");
}

#[test]
fn a_session_ends_with_what_it_rests_on() {
    let server = start();
    let (ada, bob) = (sign_in(&server, ADA, PASSWORD), sign_in(&server, BOB, PASSWORD));
    server.cli(["account", "disable", BOB]).done();
    assert!(!is_in(&bob), "a disabled account");
    server.cli(["account", "enable", BOB]).done();
    assert!(!is_in(&bob), "nor when it is enabled again");
    server.cli(["organization", "remove-member", "Acme", BOB]).done();
    let bob = sign_in(&server, BOB, PASSWORD);
    says(&bob.get("/settings"), 403, "You belong to no organization.");
    assert!(!bob.get("/profile").text().contains("Acme"));
    server
        .cli_reading(
            "set by the operator",
            ["account", "set-password", ADA, "--password-file", "-"],
        )
        .done();
    assert!(!is_in(&ada), "another password");
    says(&Visitor::stranger(server.main).tries(ADA, PASSWORD), 422, WRONG);
    sign_in(&server, ADA, "set by the operator");
}

#[test]
fn another_address_leads_in_and_the_one_before_to_nobody() {
    const NEW: &str = "countess@example.com";
    let server = start_with(&format!("[console]\noperators = [\"{ADA}\"]"));
    let ada = sign_in(&server, ADA, PASSWORD);
    assert_eq!(ada.get("/operator").status, 200);
    server.cli(["account", "set-email", ADA, NEW]).done();
    // Who is in stays in, as the same person, whom the configuration does not name any more.
    says(&ada.get("/account"), 200, NEW);
    assert_eq!(ada.get("/operator").status, 404);
    let refused = Visitor::stranger(server.main).tries(ADA, PASSWORD);
    says(&refused, 422, WRONG);
    let nobody = Visitor::stranger(server.main).tries("eve@example.com", PASSWORD);
    assert_eq!(face(&refused, ADA), face(&nobody, "eve@example.com"));
    let again = sign_in(&server, NEW, PASSWORD);
    says(&again.get("/portal/audit"), 200, "E-mail address changed");
    let other = "wholly unlike the first";
    let change = [("current", PASSWORD), ("password", other)];
    goes_to(&again.post("/account/password", &change), "/account?done=password&ended=1");
    sign_in(&server, NEW, other);
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn sessions_survive_a_restart() {
    let server = start();
    let secret = sign_in(&server, ADA, PASSWORD).secret().unwrap();
    let server = server.stop().start();
    assert!(is_in(&Visitor::showing(server.main, &secret)));
}

/// A request that is held back does nothing once its session has ended.
#[test]
fn whoever_holds_a_request_back_is_judged_when_all_of_it_is_here() {
    let server = start();
    let thief = Visitor::stranger(server.main);
    assert_eq!(thief.tries(ADA, PASSWORD).status, 303);
    let cookie = thief.secret().unwrap();
    let body = "name=Held+back";
    let mut held = Wire::connect(server.main).unwrap();
    held.send(format!(
        "POST /portal/service-accounts HTTP/1.1\r\nhost: {}\r\norigin: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncookie: counterfoil_session={cookie}\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        server.main,
        thief.origin(),
        body.len()
    ))
    .unwrap();
    // It is waiting for the body.
    assert!(held.read_head().unwrap().starts_with("HTTP/1.1 100"));
    goes_to(&thief.post("/sign-out", &[]), "/signed-out");
    held.send(body).unwrap();
    let answer = held.read_response().unwrap();
    goes_to(&answer, "/sign-in?next=%2F");
    let accounts = server.cli(["account", "list"]).done().out;
    assert!(!accounts.contains("Held back"), "{accounts}");
}

//! Why a request was refused: by its number, for whom it concerns.

use crate::{documents::Stage, portal::BOB};
use counterfoil_support::{browser::Browser, installation::Token};

/// What somebody reads of the refusal of this number.
fn look_up(it: &Browser, number: &str) {
    it.go("/why");
    it.fill("Request ID", number);
    it.press("Look");
}

#[test]
fn a_refusal_is_told_to_whom_it_concerns() {
    let stage = Stage::with_bob();
    let ada = &stage.browser;
    let bob = stage.another(BOB);
    let refused = |token: &Token| {
        stage.server.cli(["token", "pause", &token.id]).done();
        let line = format!("Authorization: Bearer {}", token.secret);
        let answer = stage.server.curl("/togai/events", ["--header", &line]);
        assert_eq!(answer.status, 401);
        // The client itself learns nothing but the number.
        assert!(!answer.text().contains("pause"), "{answer:?}");
        answer.request_id().to_owned()
    };
    let of_ada = refused(&stage.server.issue("togai", &["--name", "Ada's own"]));
    let of_bob = refused(&stage.server.issue_to(BOB, "togai", &["--name", "Nightly"]));

    for (it, number, name) in
        [(ada, &of_ada, "Ada's own"), (ada, &of_bob, "Nightly"), (&bob, &of_bob, "Nightly")]
    {
        look_up(it, number);
        it.sees("The token was paused.");
        it.sees("GET /togai/events");
        it.follow(name);
        assert_eq!(it.text_of("//h1"), name);
    }
    look_up(&bob, &of_ada);
    bob.sees("There is no refusal of this ID that concerns a token of yours.");
    assert!(!bob.shows("paused") && !bob.source().contains("Ada's own"), "{}", bob.text());
    // No less than of a number that nobody has.
    let said = bob.text_of("//p[@id='id-error']");
    look_up(&bob, "01890a5b-3c1d-7d2e-9f60-51c2a47be813");
    bob.sees("There is no refusal of this ID");
    assert_eq!(bob.text_of("//p[@id='id-error']"), said);
    look_up(&bob, "nonsense");
    bob.sees("That is no request ID");
    assert_eq!(bob.value("Request ID"), "nonsense");
    assert_eq!(bob.errors(), [""; 0]);
}

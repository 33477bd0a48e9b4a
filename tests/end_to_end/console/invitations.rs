//! How many people an organization invites, by mail and at all, and into which one.

use super::{
    ADA, PASSWORD, Visitor, entries, goes_to, reset::start_with_mail, says, sign_in, start,
};
use crate::{
    response::{Response, curl},
    server::Server,
};
use counterfoil_support::visitor::hidden;
use serde_json::json;

const NEW: &str = "/portal/invitations/new";

fn invite(ada: &Visitor, organization: &str, email: &str) -> Response {
    let fields = [("organization", organization), ("email", email), ("rank", "member")];
    ada.post(NEW, &fields)
}

/// Ada, and the organization that her forms are of.
fn ada(server: &Server) -> (Visitor, String) {
    let ada = sign_in(server, ADA, PASSWORD);
    let organization = hidden(&ada.get(NEW), "organization");
    (ada, organization)
}

#[test]
fn nobody_is_flooded_with_invitations() {
    let (server, mail) = start_with_mail();
    let (ada, acme) = ada(&server);
    let by_mail = "It is also on its way by mail.";
    for _ in 0..3 {
        says(&invite(&ada, &acme, "grace@example.com"), 200, by_mail);
        assert_eq!(mail.next().to, ["grace@example.com"]);
    }
    // The link is there all the same.
    let page = invite(&ada, &acme, "grace@example.com");
    says(&page, 200, "No mail was sent: the address was sent several invitations");
    assert!(page.text().contains("/invitations/") && !page.text().contains(by_mail));
    for n in 3..20 {
        says(&invite(&ada, &acme, &format!("{n}@example.com")), 200, by_mail);
        mail.next();
    }
    let page = invite(&ada, &acme, "joan@example.com");
    says(&page, 200, "No mail was sent: your organization has had many invitations mailed");
    // Whoever forgot a password is written to.
    assert_eq!(ada.post("/forgotten", &[("email", ADA)]).status, 200);
    assert_eq!(mail.next().to, [ADA]);
    let installation = server.stop();
    assert_eq!(mail.taken(), 21);
    drop(installation);
}

/// An invitation's page tells whether the address has an account.
#[test]
fn an_organization_invites_so_many_an_hour() {
    let server = start();
    let (ada, acme) = ada(&server);
    for n in 0..100 {
        assert_eq!(invite(&ada, &acme, &format!("{n}@example.com")).status, 200);
    }
    let before = entries(&server);
    let refused = invite(&ada, &acme, "grace@example.com");
    says(&refused, 429, "Your organization has made 100 invitations within an hour");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() <= 3600);
    // Nor with a token; but the operator does.
    let token = server.issue_to(ADA, "counterfoil", &["--scope", "accounts:write"]);
    let body = json!({"email": "grace@example.com", "rank": "member"}).to_string();
    let lines =
        [&*format!("authorization: Bearer {}", token.secret), "content-type: application/json"];
    let refused =
        curl(server.main, "/v1/invitations", ["-d", &*body, "-H", lines[0], "-H", lines[1]]);
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.json()["code"], "rate_limited");
    assert_eq!(entries(&server), before + 1, "the token");
    let made = ["invitation", "create", "grace@example.com", "--organization", &*acme];
    server.cli(made).done();
}

/// A second tab may have changed the organization: what a form was made for is done there, or
/// nowhere.
#[test]
fn a_form_is_of_the_organization_that_it_was_made_for() {
    let server = start();
    let (ada, acme) = ada(&server);
    let other = server.cli(["organization", "create", "--name", "Other", "--json"]).done().json();
    let other = other["id"].as_str().unwrap();
    server.cli(["organization", "add-member", other, ADA, "--rank", "administrator"]).done();
    let join = ["organization", "add-member"];
    for home in [&*acme, other] {
        server.cli([&join[..], &[home, super::BOB]].concat()).done();
    }
    let bob = server.cli(["account", "show", "--json", super::BOB]).done().json();
    let bob = bob["id"].as_str().unwrap();
    let (member, leaver) = (format!("/portal/members/{bob}"), format!("/portal/leavers/{bob}"));
    let forms: [(&str, &[(&str, &str)]); 5] = [
        (NEW, &[("email", "grace@example.com"), ("rank", "administrator")]),
        ("/portal/service-accounts", &[("name", "exporter")]),
        ("/settings", &[("name", "Renamed")]),
        (&member, &[("rank", "administrator")]),
        (&leaver, &[("end", "yes")]),
    ];
    let made: Vec<_> =
        forms.iter().map(|(path, _)| hidden(&ada.get(path), "organization")).collect();
    assert!(made.iter().all(|of| *of == acme), "{made:?}");
    goes_to(&ada.post("/organization", &[("organization", other)]), "/tokens");
    let before = entries(&server);
    for (path, fields) in forms {
        for of in [&[("organization", &*acme)][..], &[("organization", "")], &[]] {
            let answer = ada.post(path, &[fields, of].concat());
            says(&answer, 409, "not of the organization that you look at now");
        }
    }
    assert_eq!(entries(&server), before);
    for (path, fields) in forms {
        let of = hidden(&ada.get(path), "organization");
        assert_eq!(of, other);
        let answer = ada.post(path, &[fields, &[("organization", &*of)]].concat());
        assert!([200, 303].contains(&answer.status), "{path}: {answer:?}");
    }
    // A service account is made, and joins.
    assert_eq!(entries(&server), before + 6);
}

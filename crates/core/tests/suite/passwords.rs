//! Passwords: what a proven one is good for, and what is taken for one.

use crate::scene::{Scene, account, mistyped, organization, secret};
use counterfoil_core::{
    Code, Timestamp, account::Rank, api::Issuers, credential::Scheme, error_format::ErrorFormat,
    ledger::Change, verify::password_shown,
};

const PASSWORD: &str = "correct horse: battery";

/// Ada shows her password, and somebody has proven that it is hers.
fn proven() -> Scene {
    let mut scene = Scene::new(Scheme::Password);
    scene.secret = PASSWORD.into();
    scene.password = Some(account(1));
    scene
}

fn join(scene: &Scene, name: u32) {
    scene.apply(&Change::OrganizationCreated {
        organization: organization(name),
        name: "Other".into(),
        external_id: None,
    });
    scene.apply(&Change::MembershipAdded {
        organization: organization(name),
        account: account(1),
        rank: Rank::Member,
    });
}

#[test]
fn a_proven_password_is_its_account_with_all_that_a_token_could_have() {
    let scene = proven();
    let admitted = scene.judge().unwrap();
    let identity = admitted.identity().unwrap();
    assert_eq!(identity.account(), account(1));
    assert_eq!(identity.organization(), organization(1));
    assert_eq!(identity.email(&scene.index).unwrap().as_str(), "ada@example.com");
    assert_eq!(identity.rank(), Some(Rank::Member));
    assert_eq!(identity.scopes(&scene.api).count(), scene.api.scopes.len());
    // Nothing of a token's.
    assert_eq!((identity.token(), identity.secret()), (None, None));
    assert_eq!((identity.role(&scene.api), identity.expires_at()), (None, None));
    assert!(identity.access_token().is_none() && !identity.is_previous());
    assert!(identity.allowed_networks().is_empty());
}

#[test]
fn without_proof_it_is_nothing() {
    let mut scene = proven();
    scene.password = None;
    assert_eq!(scene.code(), Some(Code::UnknownToken));
    for scheme in [Scheme::Basic, Scheme::Bearer, Scheme::Token, Scheme::Header] {
        let mut scene = proven();
        scene.scheme = scheme;
        scene.secret = "correct-horse".into();
        scene.api.schemes.accepted = vec![scheme];
        assert_eq!(scene.code(), Some(Code::UnknownToken), "{scheme:?}");
        assert!(password_shown(&scene.api, &scene.headers()).is_none());
    }
}

#[test]
fn the_proof_is_of_the_address_that_was_shown() {
    let mut scene = proven();
    scene.email = "ADA@example.com".into();
    assert_eq!(scene.code(), None);
    scene.email = "bob@example.com".into();
    assert_eq!(scene.code(), Some(Code::OwnerMismatch));
    // Whoever has no address has shown none.
    scene.password = Some(account(3));
    assert_eq!(scene.code(), Some(Code::OwnerMismatch));
}

#[test]
fn it_says_of_no_organization_so_there_must_be_one() {
    let scene = proven();
    join(&scene, 2);
    assert_eq!(scene.code(), Some(Code::SeveralOrganizations));
    scene.apply(&Change::OrganizationClosed { organization: organization(1) });
    let admitted = scene.judge().unwrap();
    assert_eq!(admitted.identity().unwrap().organization(), organization(2));
    scene.apply(&Change::OrganizationClosed { organization: organization(2) });
    assert_eq!(scene.code(), Some(Code::OrganizationClosed));
    let left = |n| Change::MembershipEnded { organization: organization(n), account: account(1) };
    scene.apply(&left(2));
    scene.apply(&left(1));
    assert_eq!(scene.code(), Some(Code::AccountDisabled));
    // An account that has never belonged anywhere.
    let mut scene = proven();
    scene.password = Some(account(9));
    assert_eq!(scene.code(), Some(Code::AccountDisabled));
}

#[test]
fn whoever_is_disabled_is_refused() {
    let scene = proven();
    scene.apply(&Change::AccountDisabled { account: account(1) });
    assert_eq!(scene.code(), Some(Code::AccountDisabled));
    scene.apply(&Change::AccountEnabled { account: account(1) });
    assert_eq!(scene.code(), None);
}

#[test]
fn it_is_good_for_nothing_that_they_could_not_issue() {
    let mut scene = proven();
    scene.api.issuers = Issuers::Administrators;
    assert_eq!(scene.code(), Some(Code::NotAnIssuer));
    scene.apply(&Change::MembershipRankChanged {
        organization: organization(1),
        account: account(1),
        rank: Rank::Administrator,
    });
    assert_eq!(scene.code(), None);
    // A route may need a scope that the configuration does not have.
    scene.path = "/v1/unheard-of/7";
    scene.api.scopes.retain(|(scope, _)| scope.as_need().resource.is_some());
    let refusal = scene.judge().unwrap_err();
    assert_eq!((refusal.code, refusal.matched), (Code::InsufficientScope, None));
}

#[test]
fn a_token_comes_first_and_what_is_made_like_one_is_no_password() {
    let mut scene = proven();
    let shown = |scene: &Scene| password_shown(&scene.api, &scene.headers());
    assert_eq!(shown(&scene).unwrap().secret(), PASSWORD);
    assert_eq!(shown(&scene).unwrap().email(), "ada@example.com");
    // The token is known: its own rules hold, whatever was proven.
    scene.present(1);
    assert_eq!(scene.judge().unwrap().identity().unwrap().token(), Some(scene.token.id));
    scene.now = Timestamp::from_millis(i64::MAX);
    assert_eq!(scene.code(), Some(Code::Expired));
    for text in [mistyped(secret(1).reveal()), "acme_".into(), "acme_my password".into()] {
        scene.secret = text;
        assert!(shown(&scene).is_none());
        assert_eq!(scene.code(), Some(Code::UnknownToken));
    }
    // Where both kinds of Basic are taken, either is.
    let mut scene = proven();
    scene.api.schemes.accepted = vec![Scheme::Basic, Scheme::Password];
    assert!(shown(&scene).is_some() && scene.code().is_none());
    scene.present(1);
    assert_eq!(scene.code(), None);
}

#[test]
fn every_refusal_of_a_password_looks_alike() {
    let spoil: [fn(&mut Scene); 6] = [
        |s| s.password = None,
        |s| s.email = "bob@example.com".into(),
        |s| s.api.issuers = Issuers::Administrators,
        |s| join(s, 2),
        |s| s.apply(&Change::OrganizationClosed { organization: organization(1) }),
        |s| s.secret = "acme_password".into(),
    ];
    for format in [ErrorFormat::Message, ErrorFormat::Problem, ErrorFormat::SimpleJwt] {
        let answers = spoil.map(|spoil| {
            let mut scene = proven();
            spoil(&mut scene);
            scene.answer(format).unwrap()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{format:?}");
    }
}

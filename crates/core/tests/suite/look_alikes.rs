//! Look-alikes: what must not be told apart is the same answer, byte for byte.

use crate::scene::{FORMATS, SCHEMES, Scene, account, api, organization, request_id, token_id};
use counterfoil_core::{
    Code, Refusal,
    api::Api,
    credential::{Malformed, Scheme},
    error_format::{ErrorFormat, answer},
    ledger::Change,
    refusal::About,
    time::Seconds,
};

const ALIKE: [Code; 12] = [
    Code::WrongApi,
    Code::OwnerMismatch,
    Code::ClientMismatch,
    Code::WrongPassword,
    Code::SecondFactor,
    Code::SeveralOrganizations,
    Code::NotAnIssuer,
    Code::Expired,
    Code::Revoked,
    Code::Paused,
    Code::AccountDisabled,
    Code::OrganizationClosed,
];

/// Every set of schemes but the empty one.
fn sets_of_schemes() -> impl Iterator<Item = Vec<Scheme>> {
    (1u32..1 << SCHEMES.len()).map(|set| {
        let chosen = SCHEMES.into_iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
        chosen.map(|(_, scheme)| scheme).collect()
    })
}

#[test]
fn every_way_to_fail_looks_like_no_token() {
    for schemes in sets_of_schemes() {
        for errors in FORMATS {
            let api = Api { errors, ..api("orders", &schemes) };
            let unknown = answer(&api, &Refusal::new(Code::UnknownToken), request_id());
            for code in ALIKE {
                let told = errors == ErrorFormat::SimpleJwt && code == Code::AccountDisabled;
                let same = answer(&api, &Refusal::new(code), request_id()) == unknown;
                assert_eq!(same, !told, "{code} in {errors:?} with {schemes:?}");
            }
        }
    }
}

#[test]
fn what_is_known_beyond_the_code_does_not_show() {
    for errors in FORMATS {
        let api = Api { errors, ..api("orders", &SCHEMES) };
        let unknown = answer(&api, &Refusal::new(Code::UnknownToken), request_id());
        for code in [Code::UnknownToken].into_iter().chain(ALIKE) {
            if errors == ErrorFormat::SimpleJwt && code == Code::AccountDisabled {
                continue;
            }
            for about in [
                About::Nothing,
                About::Scope("costs:write".into()),
                About::RetryAfter(Seconds(9)),
                About::Known("the password is another"),
                About::Malformed(Malformed::Spaces),
            ] {
                for matched in [None, Some((token_id(1), organization(1)))] {
                    let refusal = Refusal { code, about: about.clone(), matched };
                    assert_eq!(answer(&api, &refusal, request_id()), unknown, "{refusal:?}");
                }
            }
        }
    }
}

#[test]
fn the_outward_cases_are_told_apart_where_the_format_has_words_for_it() {
    let outward = Code::ALL.into_iter().filter(|code| code.outward() == *code);
    let outward: Vec<Code> = outward.collect();
    assert_eq!(outward.len(), Code::ALL.len() - ALIKE.len());
    let api = api("orders", &[Scheme::Bearer]);
    let answers: Vec<_> =
        outward.iter().map(|code| answer(&api, &Refusal::new(*code), request_id()).body).collect();
    for (at, body) in answers.iter().enumerate() {
        assert!(!answers[at + 1..].contains(body), "{body}");
    }
}

/// The contract of `simplejwt` tells the bearer of a right token that the account
/// is disabled. Nobody else learns of it.
#[test]
fn only_who_proves_the_token_learns_that_its_account_is_disabled() {
    let inactive = |scene: &Scene| {
        scene.answer(ErrorFormat::SimpleJwt).is_some_and(|a| a.body.contains("User is inactive"))
    };
    let disabled = |scheme| {
        let scene = Scene::new(scheme);
        scene.apply(&Change::AccountDisabled { account: account(1) });
        scene
    };
    for scheme in SCHEMES {
        assert!(inactive(&disabled(scheme)), "{scheme:?}");
        let wrong: [fn(&mut Scene); 6] = [
            |s| s.present(2),
            |s| s.api.name = "invoices".into(),
            |s| s.revoke(),
            |s| s.pause(),
            |s| s.now = crate::scene::EXPIRY,
            |s| s.apply(&Change::OrganizationClosed { organization: organization(1) }),
        ];
        for (at, spoil) in wrong.into_iter().enumerate() {
            let mut scene = disabled(scheme);
            spoil(&mut scene);
            assert!(!inactive(&scene), "{scheme:?}, {at}");
        }
    }
    let mut scene = disabled(Scheme::Basic);
    scene.email = "bob@example.com".into();
    assert!(!inactive(&scene), "with another's e-mail address");
    let mut scene = disabled(Scheme::HeaderPair);
    scene.client_id = token_id(2).to_string();
    assert!(!inactive(&scene), "with another token's client ID");
}

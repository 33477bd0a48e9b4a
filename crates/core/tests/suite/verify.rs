//! Verification: what is admitted, what is refused, and for which reason.

use crate::scene::{
    EXPIRY, FORMATS, Lines, NOW, SCHEMES, Scene, account, credential, email, mistyped,
    organization, scope, token, token_id,
};
use counterfoil_core::{
    Code, Timestamp,
    account::Rank,
    api::Role,
    credential::{Malformed, Scheme},
    error_format::ErrorFormat,
    index::Loaded,
    ledger::Change,
    refusal::About,
    route::Route,
    token::{Digest, Grant, State},
};

type Spoil = fn(&mut Scene);

fn later(time: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis() + millis)
}

fn disable(scene: &mut Scene) {
    scene.apply(&Change::AccountDisabled { account: account(1) });
}

fn leave(scene: &mut Scene) {
    scene.apply(&Change::MembershipEnded { organization: organization(1), account: account(1) });
}

fn rejoin(scene: &mut Scene) {
    scene.apply(&Change::MembershipAdded {
        organization: organization(1),
        account: account(1),
        rank: Rank::Member,
    });
}

fn close(scene: &mut Scene) {
    scene.apply(&Change::OrganizationClosed { organization: organization(1) });
}

#[test]
fn what_can_be_wrong_with_the_secret() {
    admits(&SCHEMES, "nothing", |_| {});
    let unknown = |what, spoil: Spoil| refuses(&SCHEMES, Code::UnknownToken, what, spoil);
    unknown("another minted secret", |s| s.present(2));
    unknown("a wrong last character", |s| s.secret = mistyped(&s.secret));
    unknown("capitals", |s| s.secret.make_ascii_uppercase());
    unknown("half of it", |s| s.secret.truncate(20));
    unknown("a secret of another make", |s| s.secret = "ghp_16C7e42F292c69".into());
    unknown("the token's id", |s| s.secret = s.token.id.to_string());
    unknown("the token's digest", |s| s.secret = hexadecimal(s.token.digest));

    unknown("replaced, no overlap", |s| s.rotate(2, None));
    unknown("replaced twice, with overlaps", |s| {
        s.rotate(2, Some(EXPIRY));
        s.rotate(3, Some(EXPIRY));
    });
    admits(&SCHEMES, "replaced, within the overlap", |s| s.rotate(2, Some(later(NOW, 1))));
    refuses(&SCHEMES, Code::Expired, "replaced, overlap over", |s| s.rotate(2, Some(NOW)));
    admits(&SCHEMES, "the new one", |s| {
        s.rotate(2, None);
        s.present(2);
    });
}

#[test]
fn what_can_be_wrong_with_the_token() {
    let wrong = |code, what, spoil: Spoil| refuses(&SCHEMES, code, what, spoil);
    wrong(Code::WrongApi, "of another API", |s| s.api.name = "invoices".into());
    wrong(Code::WrongApi, "of an API in other case", |s| s.api.name = "Orders".into());
    wrong(Code::Expired, "expired", |s| s.now = EXPIRY);
    wrong(Code::Paused, "paused", |s| s.pause());
    admits(&SCHEMES, "paused and resumed", |s| {
        s.pause();
        s.resume();
    });
    wrong(Code::Revoked, "revoked", |s| s.revoke());
    wrong(Code::Revoked, "replaced and revoked, the old secret", |s| {
        s.rotate(2, Some(EXPIRY));
        s.revoke();
    });
    wrong(Code::Revoked, "replaced and revoked, the new secret", |s| {
        s.rotate(2, Some(EXPIRY));
        s.revoke();
        s.present(2);
    });
    wrong(Code::Revoked, "denied by the operator", deny);
    wrong(Code::Revoked, "denied and replaced, the new secret", |s| {
        deny(s);
        s.rotate(2, None);
        s.present(2);
    });
    admits(&SCHEMES, "denied and lifted", |s| {
        deny(s);
        assert!(s.index.lift(s.token.id));
    });
    admits(&SCHEMES, "another one denied", |s| assert!(s.index.deny(token_id(2))));
}

fn deny(s: &mut Scene) {
    assert!(s.index.deny(s.token.id));
}

#[test]
fn what_can_be_wrong_with_the_owner() {
    let wrong = |code, what, spoil: Spoil| refuses(&SCHEMES, code, what, spoil);
    wrong(Code::AccountDisabled, "disabled", disable);
    admits(&SCHEMES, "disabled and enabled", |s| {
        disable(s);
        s.apply(&Change::AccountEnabled { account: account(1) });
    });
    admits(&SCHEMES, "another account disabled", |s| {
        s.apply(&Change::AccountDisabled { account: account(2) });
    });
    wrong(Code::AccountDisabled, "gone", leave);
    admits(&SCHEMES, "gone and back", |s| {
        leave(s);
        rejoin(s);
    });
    wrong(Code::AccountDisabled, "disabled, gone and back", |s| {
        disable(s);
        leave(s);
        rejoin(s);
    });
    wrong(Code::OrganizationClosed, "closed", close);
}

#[test]
fn what_can_be_wrong_with_the_request() {
    let wrong = |code, what, spoil: Spoil| refuses(&SCHEMES, code, what, spoil);
    wrong(Code::NetworkNotAllowed, "elsewhere", |s| s.client = Some([192, 0, 2, 1].into()));
    wrong(Code::NetworkNotAllowed, "nowhere known", |s| s.client = None);
    admits(&SCHEMES, "nowhere known, any network allowed", |s| {
        s.reissue(|token| token.allowed_networks.clear());
        s.client = None;
    });
    wrong(Code::InsufficientScope, "writing", |s| s.method = "POST");
    wrong(Code::InsufficientScope, "another resource", |s| s.path = "/v1/users/7");
    wrong(Code::InsufficientScope, "a need without resource", |s| s.path = "/reports");
    admits(&SCHEMES, "a route that needs any token", |s| s.path = "/ping");
}

fn admits(schemes: &[Scheme], what: &str, spoil: Spoil) {
    for scheme in schemes {
        let mut scene = Scene::new(*scheme);
        spoil(&mut scene);
        assert_eq!(scene.code(), None, "{what}, as {scheme:?}");
    }
}

fn refuses(schemes: &[Scheme], code: Code, what: &str, spoil: Spoil) {
    for scheme in schemes {
        let mut scene = Scene::new(*scheme);
        spoil(&mut scene);
        assert_eq!(scene.code(), Some(code), "{what}, as {scheme:?}");
    }
}

fn hexadecimal(digest: Digest) -> String {
    serde_json::to_string(&digest).unwrap().replace('"', "")
}

#[test]
fn an_account_is_known_by_the_address_that_it_has_now() {
    let new = "countess@example.com";
    for scheme in [Scheme::Basic, Scheme::Password] {
        let mut scene = Scene::new(scheme);
        // It belongs elsewhere, too, and joins a third organization later.
        let join = |scene: &Scene, n: u32| {
            let (organization, account, rank) = (organization(n), account(1), Rank::Member);
            scene.index.load_organization(organization, true);
            scene.apply(&Change::MembershipAdded { organization, account, rank });
            let token = token(n, "orders", organization, account);
            scene.apply(&Change::TokenIssued(Box::new(token)));
        };
        join(&scene, 2);
        scene.apply(&Change::EmailSet { account: account(1), email: email(new) });
        join(&scene, 3);
        for n in 1..=3 {
            scene.present(n);
            for (shown, code) in [(new, None), ("ada@example.com", Some(Code::OwnerMismatch))] {
                scene.email = shown.into();
                assert_eq!(scene.code(), code, "{shown}, token {n}, as {scheme:?}");
            }
        }
        // What it had is another's to have.
        scene.apply(&Change::EmailSet { account: account(3), email: email("ada@example.com") });
        assert_eq!(scene.code(), Some(Code::OwnerMismatch));
        let organization = organization(3);
        scene.apply(&Change::MembershipAdded {
            organization,
            account: account(3),
            rank: Rank::Member,
        });
        let (token, owner) = (token_id(3), account(3));
        scene.apply(&Change::TokenHandedOver { token, organization, owner });
        assert_eq!(scene.code(), None);
    }
}

#[test]
fn what_basic_adds() {
    let schemes = [Scheme::Basic, Scheme::Password];
    admits(&schemes, "in other case", |s| s.email = "ADA@Example.COM".into());
    let wrong = |what, spoil: Spoil| refuses(&schemes, Code::OwnerMismatch, what, spoil);
    wrong("another account's", |s| s.email = "bob@example.com".into());
    wrong("nobody's", |s| s.email = "eve@example.com".into());
    wrong("none", |s| s.email.clear());
    wrong("with a space", |s| s.email.push(' '));
    wrong("the client ID", |s| s.email.clone_from(&s.client_id));
    wrong("a letter that only looks alike", |s| s.email = "\u{430}da@example.com".into());
    wrong("an owner without one", without_email);
    wrong("an owner without one, none sent", |s| {
        without_email(s);
        s.email.clear();
    });
}

/// Makes the owner an account that has no e-mail address.
fn without_email(scene: &mut Scene) {
    scene.reissue(|token| token.owner = account(3));
}

#[test]
fn what_a_pair_adds() {
    let schemes = [Scheme::HeaderPair];
    admits(&schemes, "in capitals", |s| s.client_id.make_ascii_uppercase());
    let wrong = |what, spoil: Spoil| refuses(&schemes, Code::ClientMismatch, what, spoil);
    wrong("another token's", |s| s.client_id = token_id(2).to_string());
    wrong("without hyphens", |s| s.client_id = s.client_id.replace('-', ""));
    wrong("in braces", |s| s.client_id = format!("{{{}}}", s.client_id));
    wrong("the owner's", |s| s.client_id = account(1).to_string());
    wrong("the e-mail address", |s| s.client_id.clone_from(&s.email));
    refuses(&schemes, Code::MalformedCredential, "empty", |s| s.client_id.clear());
}

#[test]
fn what_cannot_be_judged_at_all() {
    for scheme in SCHEMES {
        let mut scene = Scene::new(scheme);
        scene.api.schemes.accepted =
            SCHEMES.into_iter().filter(|other| !same_place(*other, scheme)).collect();
        assert_eq!(scene.code(), Some(Code::MissingCredential), "{scheme:?} is not accepted");

        let mut scene = Scene::new(scheme);
        scene.secret.insert(9, ' ');
        let code = match scheme {
            // Inside base64 a space is a character like others.
            Scheme::Basic | Scheme::Password => Code::UnknownToken,
            _ => Code::MalformedCredential,
        };
        assert_eq!(scene.code(), Some(code), "a space, as {scheme:?}");

        let mut scene = Scene::new(scheme);
        scene.more = vec![("authorization", "Basic a"), ("authorization", "Basic a")];
        assert_eq!(scene.code(), Some(Code::MalformedCredential), "two lines, as {scheme:?}");

        for other in SCHEMES.into_iter().filter(|other| !same_place(*other, scheme)) {
            let mut scene = Scene::new(scheme);
            let twice = credential(other, &scene.email, &scene.client_id, &scene.secret);
            let mut headers = scene.headers();
            headers.0.extend(twice.0);
            scene.api.schemes.accepted.push(other);
            let refusal = scene.judge_with(&headers).unwrap_err();
            assert_eq!(refusal.code, Code::MalformedCredential, "{scheme:?} and {other:?}");
            // Where only one of them is accepted, only that one is looked at.
            scene.api.schemes.accepted.pop();
            let both_authorization =
                headers.0.iter().filter(|(n, _)| n == "authorization").count() == 2;
            assert_eq!(
                scene.judge_with(&headers).is_err(),
                both_authorization,
                "{scheme:?} and {other:?}"
            );
        }
    }
    let mut scene = Scene::new(Scheme::HeaderPair);
    scene.secret.clear();
    let refusal = scene.judge().unwrap_err();
    assert_eq!(refusal.about, About::Malformed(Malformed::HalfAPair));
}

/// `basic` and `password` cannot be told from one another in a request.
fn same_place(one: Scheme, other: Scheme) -> bool {
    let word = |scheme| if scheme == Scheme::Password { Scheme::Basic } else { scheme };
    word(one) == word(other)
}

/// Everything that can be wrong at once, in the order in which it is noticed.
fn faults(scheme: Scheme) -> Vec<(Code, Spoil)> {
    let mut faults: Vec<(Code, Spoil)> = vec![
        (Code::MalformedCredential, |s| {
            s.more = vec![("authorization", "Basic a"), ("authorization", "Basic a")];
        }),
        (Code::UnknownToken, |s| s.present(2)),
        (Code::WrongApi, |s| s.api.name = "invoices".into()),
        (Code::OrganizationClosed, close),
    ];
    match scheme {
        Scheme::Basic | Scheme::Password => {
            faults.push((Code::OwnerMismatch, |s| s.email = "bob@example.com".into()));
        }
        Scheme::HeaderPair => {
            faults.push((Code::ClientMismatch, |s| s.client_id = account(1).to_string()));
        }
        Scheme::Bearer | Scheme::Token | Scheme::Header => {}
    }
    faults.extend::<[(Code, Spoil); 5]>([
        (Code::Revoked, |s| s.revoke()),
        (Code::Expired, |s| s.now = EXPIRY),
        (Code::AccountDisabled, disable),
        (Code::NetworkNotAllowed, |s| s.client = None),
        (Code::InsufficientScope, |s| s.method = "POST"),
    ]);
    faults
}

#[test]
fn of_several_reasons_the_first_is_told_and_none_shows() {
    for scheme in SCHEMES {
        let faults = faults(scheme);
        let unknown = |format| {
            let mut scene = Scene::new(scheme);
            scene.present(2);
            scene.answer(format)
        };
        for chosen in 0..1u32 << faults.len() {
            let mut scene = Scene::new(scheme);
            let chosen = faults.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
            let mut first = None;
            for (_, (code, spoil)) in chosen {
                spoil(&mut scene);
                first = first.or(Some(*code));
            }
            assert_eq!(scene.code(), first, "{scheme:?}");
            if first.is_some_and(|code| code.outward() == Code::UnknownToken) {
                let format = ErrorFormat::Problem;
                assert_eq!(scene.answer(format), unknown(format), "{scheme:?}, {first:?}");
            }
        }
    }
}

#[test]
fn a_pause_is_told_before_an_expiry() {
    let mut scene = Scene::new(Scheme::Bearer);
    scene.pause();
    scene.now = EXPIRY;
    disable(&mut scene);
    assert_eq!(scene.code(), Some(Code::Paused));
}

#[test]
fn each_reason_alone_looks_like_no_token() {
    for scheme in SCHEMES {
        for format in FORMATS {
            let mut unknown = Scene::new(scheme);
            unknown.present(2);
            for (code, spoil) in faults(scheme) {
                let mut scene = Scene::new(scheme);
                spoil(&mut scene);
                let told = format == ErrorFormat::SimpleJwt && code == Code::AccountDisabled;
                let alike = code.outward() == Code::UnknownToken && !told;
                assert_eq!(
                    scene.answer(format) == unknown.answer(format),
                    alike,
                    "{code}, {scheme:?}, {format:?}"
                );
            }
        }
    }
}

#[test]
fn an_anonymous_route_takes_none_or_the_right_one() {
    for scheme in SCHEMES {
        let public = || {
            let mut scene = Scene::new(scheme);
            scene.path = "/public/prices";
            scene
        };
        let scene = public();
        let admitted = scene.judge().unwrap();
        assert_eq!(admitted.identity().unwrap().token(), Some(scene.token.id), "the right one");

        let nobody = scene.judge_with(&Lines::default()).unwrap();
        assert!(nobody.identity().is_none(), "none");

        let mut ignored = Lines::default();
        ignored.add("authorization", b"Digest username=\"ada\"");
        assert!(scene.judge_with(&ignored).unwrap().identity().is_none(), "of no accepted scheme");

        for (code, spoil) in faults(scheme) {
            let mut scene = public();
            spoil(&mut scene);
            // Writing is not what the route allows; the request falls to another.
            assert_eq!(scene.code(), Some(code), "a wrong one, as {scheme:?}");
        }
    }
}

#[test]
fn a_role_is_what_the_configuration_says_now() {
    let role = |name: &str, scopes: &[&str]| Role {
        name: name.into(),
        scopes: scopes.iter().map(|text| scope(text)).collect(),
    };
    let table = [
        // roles now, method, path, refused for want of a scope
        (vec![role("viewer", &["read"])], "GET", "/v1/costs/7", false),
        (vec![role("viewer", &["read"])], "POST", "/v1/costs/7", true),
        (vec![role("viewer", &["read", "costs:write"])], "POST", "/v1/costs/7", false),
        (vec![role("viewer", &["read", "costs:write"])], "POST", "/v1/users/7", true),
        (vec![role("viewer", &["users:read"])], "GET", "/v1/costs/7", true),
        (vec![role("viewer", &[])], "GET", "/v1/costs/7", true),
        (vec![role("viewer", &[])], "GET", "/ping", false),
        (vec![role("Viewer", &["read"])], "GET", "/v1/costs/7", true),
        (vec![role("editor", &["read"])], "GET", "/v1/costs/7", true),
        (vec![], "GET", "/v1/costs/7", true),
        (vec![], "GET", "/ping", false),
        (vec![], "GET", "/public/prices", false),
    ];
    for (roles, method, path, refused) in table {
        let mut scene = Scene::new(Scheme::Bearer);
        scene.reissue(|token| token.grant = Grant::Role("viewer".into()));
        (scene.api.roles, scene.method, scene.path) = (roles, method, path);
        let expected = refused.then_some(Code::InsufficientScope);
        assert_eq!(scene.code(), expected, "{method} {path} with {:?}", scene.api.roles);
    }
}

#[test]
fn a_grant_of_no_scopes_holds_none() {
    // Issued while the API declared no scopes; now it does.
    let mut scene = Scene::new(Scheme::Bearer);
    scene.reissue(|token| token.grant = Grant::Any);
    assert_eq!(scene.code(), Some(Code::InsufficientScope));
    scene.api.routes = vec!["* /** -> any".parse::<Route>().unwrap()];
    assert_eq!(scene.code(), None);
    scene.reissue(|token| token.grant = Grant::Scopes([].into()));
    assert_eq!(scene.code(), None);
    scene.api.routes = vec!["* /** -> {access}".parse::<Route>().unwrap()];
    assert_eq!(scene.code(), Some(Code::InsufficientScope));
}

#[test]
fn a_need_is_named_in_the_refusal() {
    let mut scene = Scene::new(Scheme::Bearer);
    scene.method = "DELETE";
    let refusal = scene.judge().unwrap_err();
    assert_eq!(refusal.about, About::Scope("costs:write".into()));
}

#[test]
fn expiry_to_the_millisecond() {
    for (expires_at, now, code) in [
        (Some(EXPIRY), later(EXPIRY, -1), None),
        (Some(EXPIRY), EXPIRY, Some(Code::Expired)),
        (Some(EXPIRY), later(EXPIRY, 1), Some(Code::Expired)),
        (Some(Timestamp::MAX), later(Timestamp::MAX, -1), None),
        (Some(Timestamp::MAX), Timestamp::MAX, Some(Code::Expired)),
        (None, Timestamp::MAX, None),
        (None, Timestamp::from_millis(i64::MAX), None),
        (Some(Timestamp::from_millis(0)), Timestamp::from_millis(-1), None),
    ] {
        let mut scene = Scene::new(Scheme::Bearer);
        scene.reissue(|token| token.expires_at = expires_at);
        scene.now = now;
        assert_eq!(scene.code(), code, "{expires_at:?} at {now:?}");
    }
}

#[test]
fn rotation_to_the_millisecond() {
    let until = later(NOW, 60_000);
    let (before, after) = (later(until, -1), later(until, 1));
    for (presented, now, code) in [
        (1, NOW, None),
        (1, before, None),
        (1, until, Some(Code::Expired)),
        (1, after, Some(Code::Expired)),
        (2, NOW, None),
        (2, before, None),
        (2, until, None),
        (2, after, None),
        (2, EXPIRY, Some(Code::Expired)),
        (3, NOW, Some(Code::UnknownToken)),
    ] {
        let mut scene = Scene::new(Scheme::Bearer);
        scene.rotate(2, Some(until));
        scene.present(presented);
        scene.now = now;
        assert_eq!(scene.code(), code, "secret {presented} at {now:?}");
    }
}

#[test]
fn an_overlap_never_outlives_the_token() {
    let mut scene = Scene::new(Scheme::Bearer);
    scene.rotate(2, Some(later(EXPIRY, 60_000)));
    scene.now = EXPIRY;
    assert_eq!(scene.code(), Some(Code::Expired));
}

#[test]
fn a_rotation_ends_the_overlap_of_the_one_before() {
    let mut scene = Scene::new(Scheme::Bearer);
    scene.rotate(2, Some(EXPIRY));
    scene.rotate(3, None);
    for (presented, code) in
        [(1, Some(Code::UnknownToken)), (2, Some(Code::UnknownToken)), (3, None)]
    {
        scene.present(presented);
        assert_eq!(scene.code(), code, "secret {presented}");
    }
}

#[test]
fn networks_and_addresses() {
    for (networks, client, code) in [
        (&[][..], None, None),
        (&[], Some("192.0.2.1"), None),
        (&["10.0.0.0/8"], None, Some(Code::NetworkNotAllowed)),
        (&["10.0.0.0/8"], Some("10.255.255.255"), None),
        (&["10.0.0.0/8"], Some("11.0.0.0"), Some(Code::NetworkNotAllowed)),
        (&["10.0.0.0/8"], Some("::ffff:10.0.0.1"), None),
        (&["10.0.0.0/8"], Some("::10.0.0.1"), Some(Code::NetworkNotAllowed)),
        (&["10.0.0.0/8"], Some("2001:db8::1"), Some(Code::NetworkNotAllowed)),
        (&["2001:db8::/32"], Some("2001:db8::1"), None),
        (&["192.0.2.1", "2001:db8::/32"], Some("192.0.2.1"), None),
        (&["192.0.2.1", "2001:db8::/32"], Some("192.0.2.2"), Some(Code::NetworkNotAllowed)),
        // Everywhere in IPv4 is still nowhere in IPv6, and needs an address.
        (&["0.0.0.0/0"], Some("2001:db8::1"), Some(Code::NetworkNotAllowed)),
        (&["0.0.0.0/0", "::/0"], Some("2001:db8::1"), None),
        (&["0.0.0.0/0", "::/0"], None, Some(Code::NetworkNotAllowed)),
    ] {
        let mut scene = Scene::new(Scheme::Bearer);
        scene.reissue(|token| {
            token.allowed_networks = networks.iter().map(|text| text.parse().unwrap()).collect();
        });
        scene.client = client.map(|text| text.parse().unwrap());
        assert_eq!(scene.code(), code, "{client:?} in {networks:?}");
    }
}

#[test]
fn disabling_an_account_reaches_all_its_tokens_everywhere_and_no_other() {
    let scene = Scene::new(Scheme::Bearer);
    scene.index.load_organization(organization(2), true);
    scene.index.load_membership(organization(2), account(1), Some(Rank::Member)).unwrap();
    let tokens = [
        (2, organization(1), account(1)),
        (3, organization(2), account(1)),
        (4, organization(1), account(2)),
    ];
    for (n, organization, owner) in tokens {
        let token = token(n, "orders", organization, owner);
        scene.index.load_token(&Loaded::of(&token, State::Active, None)).unwrap();
    }
    let codes = |scene: &mut Scene| {
        [1, 2, 3, 4].map(|n| {
            scene.present(n);
            scene.code()
        })
    };
    let mut scene = scene;
    let disabled = Some(Code::AccountDisabled);
    let closed = Some(Code::OrganizationClosed);
    assert_eq!(codes(&mut scene), [None; 4]);
    disable(&mut scene);
    assert_eq!(codes(&mut scene), [disabled, disabled, disabled, None]);
    scene.apply(&Change::AccountEnabled { account: account(1) });
    leave(&mut scene);
    assert_eq!(codes(&mut scene), [disabled, disabled, None, None]);
    close(&mut scene);
    assert_eq!(codes(&mut scene), [closed, closed, None, closed]);
}

#[test]
fn who_was_admitted() {
    let mut scene = Scene::new(Scheme::HeaderPair);
    scene.reissue(|token| token.grant = Grant::Role("editor".into()));
    let admitted = scene.judge().unwrap();
    let identity = admitted.identity().unwrap();
    assert_eq!(identity.token(), Some(scene.token.id));
    assert_eq!(identity.account(), account(1));
    assert_eq!(identity.email(&scene.index), Some(&email("ada@example.com")));
    assert_eq!(identity.organization(), organization(1));
    let held = |api| identity.scopes(api).map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(identity.role(&scene.api), Some("editor"));
    assert_eq!(held(&scene.api), ["read", "write"]);
    assert_eq!(identity.expires_at(), Some(EXPIRY));
    // What the configuration no longer has is not told to an upstream that
    // might still act on the name.
    let mut without_scope = scene.api.clone();
    without_scope.scopes.retain(|(scope, _)| scope.as_str() != "write");
    assert_eq!(held(&without_scope), ["read"]);
    let mut without_role = scene.api.clone();
    without_role.roles.clear();
    assert_eq!((identity.role(&without_role), held(&without_role)), (None, Vec::new()));
}

#[test]
fn a_scope_that_is_no_longer_declared_covers_nothing() {
    let mut scene = Scene::new(Scheme::Bearer);
    assert_eq!(scene.code(), None);
    scene.api.scopes.retain(|(scope, _)| scope.as_str() != "costs:read");
    assert_eq!(scene.code(), Some(Code::InsufficientScope));
}

#[test]
fn a_refusal_names_the_token_that_matched_to_those_entitled() {
    for scheme in SCHEMES {
        for (code, spoil) in faults(scheme) {
            let mut scene = Scene::new(scheme);
            spoil(&mut scene);
            let matched = match code {
                Code::MalformedCredential | Code::UnknownToken => None,
                _ => Some((scene.token.id, organization(1))),
            };
            assert_eq!(scene.judge().unwrap_err().matched, matched, "{code}, {scheme:?}");
        }
    }
}

#[test]
fn the_same_question_has_the_same_answer() {
    for scheme in SCHEMES {
        for (_, spoil) in faults(scheme) {
            let mut scene = Scene::new(scheme);
            spoil(&mut scene);
            assert_eq!(scene.judge().unwrap_err(), scene.judge().unwrap_err());
        }
    }
}

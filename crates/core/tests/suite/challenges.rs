//! Challenges: every 401 has one for each accepted scheme, and no request text gets into a header.

use crate::scene::{FORMATS, SCHEMES, Scene, api, request_id, route};
use counterfoil_core::{
    Code, Refusal,
    access_token::NoAccessTokens,
    api::Api,
    credential::{Malformed, Scheme},
    error_format::{Answer, ErrorFormat, answer},
    path,
    refusal::About,
    verify::{Question, verify},
};
use proptest::prelude::*;

fn challenges(answer: &Answer) -> Vec<&str> {
    let fields = answer.headers.iter().filter(|(name, _)| *name == "www-authenticate");
    fields.map(|(_, value)| value.as_str()).collect()
}

fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Basic | Scheme::Password => "Basic",
        Scheme::Bearer => "Bearer",
        Scheme::Token => "Token",
        Scheme::Header | Scheme::HeaderPair => "ApiKey",
    }
}

#[test]
fn a_401_has_one_for_each_scheme_and_nothing_else_has_any() {
    for set in 1u32..1 << SCHEMES.len() {
        let chosen = SCHEMES.into_iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
        let accepted: Vec<Scheme> = chosen.map(|(_, scheme)| scheme).collect();
        for errors in FORMATS {
            let api = Api { errors, ..api("orders", &accepted) };
            for code in Code::ALL {
                let answer = answer(&api, &Refusal::new(code), request_id());
                let told = challenges(&answer);
                let starts = |scheme: &Scheme| told.iter().any(|c| c.starts_with(word(*scheme)));
                if answer.status == 401 {
                    assert!(accepted.iter().all(starts), "{code} to {accepted:?}: {told:?}");
                } else {
                    // RFC 6750 §3.1 has a word for one 403.
                    let expected =
                        code == Code::InsufficientScope && accepted.contains(&Scheme::Bearer);
                    assert_eq!(told.len(), usize::from(expected), "{code} to {accepted:?}");
                }
                let known = |c: &&str| accepted.iter().any(|s| c.starts_with(word(*s)));
                assert!(told.iter().all(known), "{code} to {accepted:?}: {told:?}");
                let mut once = told.clone();
                once.dedup();
                assert_eq!(once, told);
            }
        }
    }
}

#[test]
fn they_come_in_the_order_in_which_the_api_accepts() {
    for accepted in [[Scheme::Basic, Scheme::Bearer], [Scheme::Bearer, Scheme::Basic]] {
        let answer = answer(&api("orders", &accepted), &Refusal::new(Code::Expired), request_id());
        let told = challenges(&answer);
        assert!(told[0].starts_with(word(accepted[0])) && told[1].starts_with(word(accepted[1])));
    }
}

#[test]
fn a_header_of_ones_own_is_named() {
    for (accepted, told) in [
        (&[Scheme::Header][..], &[r#"ApiKey realm="orders", header="x-api-key""#][..]),
        (
            &[Scheme::Header, Scheme::HeaderPair],
            &[
                r#"ApiKey realm="orders", header="x-api-key""#,
                r#"ApiKey realm="orders", header="x-client-id x-secret-key""#,
            ],
        ),
    ] {
        let answer = answer(&api("orders", accepted), &Refusal::new(Code::Paused), request_id());
        assert_eq!(challenges(&answer), told);
    }
}

/// What a client is told when it asks for `path`, which needs a scope of the path's text.
fn refused_for(path: &str, errors: ErrorFormat) -> Option<Answer> {
    let mut scene = Scene::new(Scheme::Bearer);
    scene.api.errors = errors;
    scene.api.routes = vec![route("* /v1/{resource}/** -> {resource}:write")];
    let question = Question {
        access_tokens: &NoAccessTokens,
        headers: &scene.headers(),
        client: scene.client,
        requirement: scene.api.requirement("GET", path),
        password: None,
    };
    let refusal = verify(&scene.api, &scene.index, &question, scene.now).err()?;
    Some(answer(&scene.api, &refusal, request_id()))
}

#[test]
fn a_path_does_not_get_into_a_header() {
    for (resource, quoted) in [
        ("costs", Some("costs")),
        ("Costs-2.x_y", Some("Costs-2.x_y")),
        // The forms that a canonical path can have.
        ("a\"b", None),
        ("a\",error=\"x", None),
        ("a,b", None),
        ("a=b", None),
        ("a%20b", None),
        ("%C3%A4", None),
        // Those that it cannot, should a door forget.
        ("a%0D%0Ab", None),
        ("a\r\nset-cookie: b", None),
        ("a\nb", None),
        ("a\0b", None),
        ("a\\b", None),
        ("a b", None),
        ("ä", None),
        ("\u{2028}", None),
    ] {
        for errors in FORMATS {
            let answer = refused_for(&format!("/v1/{resource}/x"), errors).unwrap();
            let expected = match quoted {
                Some(text) => format!(
                    r#"Bearer realm="orders", error="insufficient_scope", scope="{text}:write""#
                ),
                None => r#"Bearer realm="orders", error="insufficient_scope""#.to_owned(),
            };
            assert_eq!(challenges(&answer), [expected], "{resource:?}");
            serde_json::from_str::<serde_json::Value>(&answer.body).unwrap();
        }
    }
}

#[test]
fn no_way_of_being_malformed_gets_into_a_header() {
    for value in ["Bearer \"a\"", "Bearer a\"b", "Bearer a b", "Bearer ä", "Bearer a,Bearer b"] {
        let scene = Scene::new(Scheme::Bearer);
        let mut headers = crate::scene::Lines::default();
        headers.add("authorization", value.as_bytes());
        let answer = scene.answer_to(&headers, ErrorFormat::Problem).unwrap();
        assert_eq!(challenges(&answer), [r#"Bearer realm="orders", error="invalid_token""#]);
    }
    for how in [Malformed::Repeated, Malformed::Characters, Malformed::HalfAPair] {
        let refusal = Refusal::from(how);
        let answer = answer(&api("orders", &[Scheme::Basic]), &refusal, request_id());
        assert_eq!(challenges(&answer), [r#"Basic realm="orders", charset="UTF-8""#]);
    }
}

proptest! {
    #[test]
    fn headers_are_visible_ascii_whatever_was_asked(
        resource in "[^/]{1,30}", format in 0..FORMATS.len(),
    ) {
        for path in [format!("/v1/{resource}/x"), format!("/v1/{resource}")] {
            let Some(answer) = refused_for(&path, FORMATS[format]) else { continue };
            for (_, value) in &answer.headers {
                prop_assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{value:?}");
                prop_assert_eq!(value.matches('"').count() % 2, 0);
            }
            prop_assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_ok());
        }
    }

    #[test]
    fn a_scope_is_quoted_whole_or_not_at_all(scope in ".{0,30}") {
        let refusal =
            Refusal { about: About::Scope(scope.clone()), ..Refusal::new(Code::InsufficientScope) };
        let answer = answer(&api("orders", &[Scheme::Bearer]), &refusal, request_id());
        let bare = r#"Bearer realm="orders", error="insufficient_scope""#;
        let whole = bare.to_owned() + ", scope=\"" + &scope + "\"";
        let told = challenges(&answer);
        prop_assert!(told == [bare] || told == [&whole]);
        // A path that has one reading only may hold a quote, and nothing that ends a header.
        if path::canonical(&("/".to_owned() + &scope)).is_ok() {
            prop_assert!(!scope.contains(['\r', '\n', '\0']));
        }
    }
}

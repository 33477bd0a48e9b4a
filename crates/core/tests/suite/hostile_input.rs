//! Hostile input: whatever arrives is judged without a panic, and admits nobody.

use crate::scene::{FORMATS, Lines, SCHEMES, Scene, request_id, route};
use counterfoil_core::{
    Code,
    access_token::NoAccessTokens,
    api::Api,
    credential::{self, Scheme},
    error_format::answer,
    path,
    route::Requirement,
    verify::{Question, verify},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// A scene whose API accepts everything.
fn open_to_all_schemes() -> Scene {
    let mut scene = Scene::new(Scheme::Basic);
    scene.api.schemes.accepted = SCHEMES.to_vec();
    scene
}

const KNOWN: [&str; 4] = ["authorization", "x-api-key", "x-client-id", "x-secret-key"];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(&KNOWN[..]).prop_map(str::to_owned),
        1 => "[a-z-]{0,12}",
    ]
}

/// Bytes at random, and bytes that begin as a credential does.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let keyword = "(?i)(basic|bearer|token|digest|Basic\t|Bearer  |acme)";
    prop_oneof![
        vec(any::<u8>(), 0..80),
        (keyword, vec(any::<u8>(), 0..80))
            .prop_map(|(keyword, rest)| { [keyword.as_bytes(), b" ", &rest].concat() }),
        (keyword, "[A-Za-z0-9+/]{0,60}={0,3}")
            .prop_map(|(keyword, rest)| { [keyword.as_bytes(), b" ", rest.as_bytes()].concat() }),
        "acme_[0-9A-Za-z_]{0,45}".prop_map(String::into_bytes),
        "[0-9a-f-]{36}".prop_map(String::into_bytes),
    ]
}

/// What is done to a right credential on its way.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Truncate(usize),
    Repeat,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<usize>().prop_map(Damage::Remove),
        any::<usize>().prop_map(Damage::Truncate),
        Just(Damage::Repeat),
    ]
}

fn damaged(mut lines: Lines, line: usize, damage: &Damage) -> Lines {
    let line = line % lines.0.len();
    let value = &mut lines.0[line].1;
    let length = value.len();
    match *damage {
        Damage::Set(at, byte) => value[at % length] = byte,
        Damage::Insert(at, byte) => value.insert(at % (length + 1), byte),
        Damage::Remove(at) => drop(value.remove(at % length)),
        Damage::Truncate(at) => value.truncate(at % length),
        Damage::Repeat => {
            let again = lines.0[line].clone();
            lines.0.push(again);
        }
    }
    lines
}

proptest! {
    #[test]
    fn no_headers_panic_and_none_admit(
        lines in vec((name(), value()), 0..5), anonymous: bool,
    ) {
        let mut scene = open_to_all_schemes();
        scene.path = if anonymous { "/public/x" } else { "/ping" };
        match scene.judge_with(&Lines(lines)) {
            Ok(admitted) => prop_assert!(anonymous && admitted.identity().is_none()),
            Err(refusal) => {
                prop_assert_eq!(refusal.matched, None);
                for errors in FORMATS {
                    let api = Api { errors, ..scene.api.clone() };
                    let answer = answer(&api, &refusal, request_id());
                    prop_assert_eq!(answer.status, 401);
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_ok());
                }
            }
        }
    }

    /// A damaged credential is admitted only where the damage is one that the
    /// schemes look past: white space around it, case in a keyword or an address.
    #[test]
    fn damage_admits_nothing_else(
        scheme in select(&SCHEMES[..]), line: usize, damage in damage(),
    ) {
        let scene = Scene::new(scheme);
        let lines = damaged(scene.headers(), line, &damage);
        if scene.judge_with(&lines).is_ok() {
            let read = credential::read(&scene.api.schemes, &lines).unwrap().unwrap();
            prop_assert_eq!(read.secret(), &scene.secret);
            if let Some(address) = read.email() {
                prop_assert!(scene.email.eq_ignore_ascii_case(address));
            }
            if let credential::Credential::HeaderPair { client_id, .. } = read {
                prop_assert!(scene.client_id.eq_ignore_ascii_case(client_id));
            }
        }
    }

    #[test]
    fn no_path_and_no_method_panics(raw in "(/[a-z%{}:*.;?#\\\\ä]{0,6}){0,6}|.*", method in "[A-Z]{0,8}|.*") {
        let scene = Scene::new(Scheme::Bearer);
        if let Ok(path) = path::canonical(&raw) {
            let question = Question {
                access_tokens: &NoAccessTokens,
                headers: &scene.headers(),
                client: scene.client,
                requirement: scene.api.requirement(&method, &path),
                password: None,
            };
            if let Err(refusal) = verify(&scene.api, &scene.index, &question, scene.now) {
                prop_assert_eq!(refusal.code, Code::InsufficientScope);
            }
        }
    }

    /// However a path is spelt, the last route catches it: nothing is left without a rule.
    #[test]
    fn no_path_falls_through(raw in "/.{0,20}", method in ".{0,8}") {
        let mut scene = Scene::new(Scheme::Bearer);
        scene.api.routes = vec![route("GET /public/** -> anonymous"), route("* /** -> nobody")];
        if let Ok(path) = path::canonical(&raw) {
            let requirement = scene.api.requirement(&method, &path);
            let public = path == "/public" || path.starts_with("/public/");
            let open = public && ["GET", "HEAD"].contains(&method.as_str());
            prop_assert_eq!(requirement == Requirement::Anonymous, open, "{} {}", method, path);
        }
    }
}

#[test]
fn long_headers_are_read_in_one_pass() {
    // Any step that went over the whole value again and again would make this last for hours.
    let length = 1 << 20;
    let scene = open_to_all_schemes();
    for (name, keyword, filling) in [
        ("authorization", "", "a"),
        ("authorization", "", " "),
        ("authorization", "Bearer ", "a"),
        ("authorization", "Bearer ", "="),
        ("authorization", "Bearer a", "="),
        ("authorization", "Bearer ", "a "),
        ("authorization", "Token ", "acme_"),
        ("authorization", "Basic ", "QUFB"),
        ("authorization", "Basic ", "Ojo6"),
        ("authorization", "Basic ", "===="),
        ("x-api-key", "", "acme_"),
        ("x-api-key", "acme_", "0"),
        ("x-client-id", "", "0"),
    ] {
        let mut lines = Lines::default();
        lines.add(name, (keyword.to_owned() + &filling.repeat(length / filling.len())).as_bytes());
        assert!(scene.judge_with(&lines).is_err(), "{keyword}{filling}…");
    }
    let mut lines = Lines::default();
    for _ in 0..10_000 {
        lines.add("authorization", b"Bearer a");
    }
    assert_eq!(scene.judge_with(&lines).unwrap_err().code, Code::MalformedCredential);
}

#[test]
fn an_address_of_any_length_is_only_compared() {
    let mut scene = Scene::new(Scheme::Basic);
    scene.email = "a".repeat(1 << 16);
    assert_eq!(scene.code(), Some(Code::OwnerMismatch));
    // The first colon divides: what looks like an address and a token is not both.
    scene.email = "ada@example.com:x".into();
    assert_eq!(scene.code(), Some(Code::UnknownToken));
}

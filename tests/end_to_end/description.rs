//! `/openapi.json`: it is served, described as it is checked in, and known by its `ETag`.

mod tried;

use crate::{
    caller::{Caller, SCOPES, call, says_no},
    installation::{ADA, Installation},
    response::curl,
};
use counterfoil_support::wire::Wire;
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

const PATH: &str = "/openapi.json";

const FORM: &str = "application/x-www-form-urlencoded";

/// The description as it is checked in.
pub(crate) fn checked_in() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn whoever_asks_gets_it() {
    let server = Installation::without_configuration().start();
    let here = curl(server.main, PATH, [""; 0]);
    assert_eq!((here.status, here.text()), (200, &*checked_in()));
    assert_eq!(here.header("content-type"), "application/json");
    assert_eq!(here.header("cache-control"), "no-cache");
    let there = server.operator().unwrap().call("GET", PATH, "").unwrap();
    assert_eq!((there.status, there.text()), (200, here.text()));
}

#[test]
fn whoever_has_it_is_told_so() {
    let server = Installation::without_configuration().start();
    let etag = curl(server.main, PATH, [""; 0]).header("etag").to_owned();
    for (tags, status) in [
        (etag.clone(), 304),
        (format!("W/{etag}"), 304),
        (format!("\"other\", {etag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
        (etag.replace('"', ""), 200),
    ] {
        let answer = curl(server.main, PATH, ["-H", &format!("If-None-Match: {tags}")]);
        assert_eq!(answer.status, status, "{tags}");
        assert_eq!(answer.header("etag"), etag, "{tags}");
        assert_eq!(answer.body.is_empty(), status == 304, "{tags}");
    }
}

/// Every call that is described is there, and asks for a token where it says that it does.
#[test]
fn what_is_described_is_there() {
    let server = Installation::new(tried::APIS).start();
    let description: Value = serde_json::from_str(&checked_in()).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let kinds = operation["requestBody"]["content"].as_object();
            let is_form = kinds.is_some_and(|kinds| kinds.contains_key(FORM));
            let method = method.to_uppercase();
            let status = if is_form {
                let lines = format!("host: x\r\ncontent-type: {FORM}\r\ncontent-length: 0");
                let request = format!("{method} {path} HTTP/1.1\r\n{lines}\r\n\r\n");
                Wire::connect(server.main).unwrap().exchange(request).unwrap().status
            } else {
                call(server.main, "", &method, path, "").status
            };
            let answers = &operation["responses"];
            assert!(answers[status.to_string()].is_object(), "{method} {path}: {status}");
            assert_eq!(status == 401, operation["security"].is_array(), "{method} {path}");
        }
    }
}

/// A path tells which methods it takes (RFC 9110 §15.5.6): those that are described,
/// and HEAD where there is GET.
#[test]
fn another_method_hears_which_there_are() {
    let server = Installation::without_configuration().set_up().start();
    let ada = Caller::new(&server, ADA, &SCOPES, &[]);
    let description: Value = serde_json::from_str(&checked_in()).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let mut expected: BTreeSet<_> =
            methods.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if path == "/authenticate" {
            // The console has a page there.
            expected.insert("GET".to_owned());
        }
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        for method in ["TRACE", "OPTIONS", "QUERY", "FROB"] {
            let refused = ada.call(method, path, "");
            says_no(&refused, 405, "method_not_allowed");
            let allowed = refused.header("allow").split(',').map(|m| m.trim().to_owned());
            assert_eq!(allowed.collect::<BTreeSet<_>>(), expected, "{method} {path}");
        }
    }
}

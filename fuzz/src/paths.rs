//! Paths and routes.

use crate::input::{line, seeds, text};
use counterfoil_core::{
    path::canonical,
    route::{Requirement, Route, access},
};

pub(crate) fn path(input: &[u8]) {
    let raw = text(input);
    let Ok(read) = canonical(&raw) else {
        assert!(!is_plain(&raw), "{raw} has one reading");
        return;
    };
    assert_eq!(canonical(&read).as_deref(), Ok(&*read), "reading again changes nothing");
    assert_eq!(decoded(&read), decoded(&raw), "the meaning is kept");
    assert!(read.starts_with('/'));
    let inner = read.strip_suffix('/').unwrap_or(&read);
    for segment in inner.split('/').skip(1) {
        assert!(!matches!(segment, "" | "." | ".."), "{read}");
        for byte in decoded(segment) {
            assert!(!matches!(byte, b'/' | b'\\' | 0..=0x1f | 0x7f), "{read}");
        }
    }
    for byte in read.bytes() {
        assert!(byte.is_ascii_graphic() && !b"\\;?#".contains(&byte), "{read}");
    }
    // One spelling: what needs no encoding has none, and no dot hides in one.
    for (at, _) in read.match_indices('%') {
        let byte = u8::from_str_radix(&read[at + 1..at + 3], 16).unwrap();
        assert!(!byte.is_ascii_alphanumeric() && !b"-._~".contains(&byte), "{read}");
    }
}

/// Whether a path is so simple that it cannot be refused.
fn is_plain(path: &str) -> bool {
    let Some(inner) = path.strip_prefix('/') else { return false };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    inner.is_empty() && path == "/"
        || inner.split('/').all(|segment| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        })
}

/// What a text stands for, read once.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let pair = pair.and_then(|pair| std::str::from_utf8(pair).ok());
        let encoded = pair.filter(|_| *first == b'%');
        bytes.push(encoded.map_or(*first, |pair| u8::from_str_radix(pair, 16).unwrap()));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    bytes
}

pub(crate) fn path_seeds() -> Vec<Vec<u8>> {
    seeds([
        "/",
        "/a/b/",
        "/%73ecret",
        "/%7Euser/%41",
        "/a%20b/%C3%A4",
        "/%e0%a4%84/%f0%9f%98%80/%e0",
        "/...",
        "/.well-known/x",
        "/a:b@c,d=e+f!$&'()*",
        "/public/../secret",
        "/./x",
        "//x",
        "/a\\b",
        "/a;b",
        "/%2e%2e/x",
        "/a%2fb",
        "/a%5Cb",
        "/a%00",
        "/a%c0%ae",
        "/a%e0%80%af",
        "/a%F0%80%80%AF",
        "/a%",
        "/v1/costs/7?x=1#y",
    ])
}

/// A route, a method and a path, a line each.
pub(crate) fn route(input: &[u8]) {
    let (route, rest) = line(input);
    let (method, raw) = line(rest);
    let (written, method, raw) = (text(route), text(method), text(raw));
    let Ok(route) = written.parse::<Route>() else { return };
    assert_eq!(route.as_str(), written);
    let json = serde_json::to_string(&route).unwrap();
    assert_eq!(serde_json::from_str::<Route>(&json).unwrap(), route);
    let Ok(path) = canonical(&raw) else { return };

    let needs = |method: &str, path: &str| {
        route.requirement(method, path).map(|requirement| match requirement {
            Requirement::Anonymous => "anonymous".to_owned(),
            Requirement::Any => "any".to_owned(),
            Requirement::Scope(need) => need.to_string(),
        })
    };
    let needed = needs(&method, &path);
    assert_eq!(needed, expected(&written, &method, &path), "{written}: {method} {path}");
    // Every spelling of the path is the same request.
    let spelt: String = path.bytes().fold(String::new(), |spelt, byte| match byte {
        b'a'..=b'z' | b'0'..=b'9' => spelt + &format!("%{byte:02X}"),
        _ => spelt + &char::from(byte).to_string(),
    });
    if !path.contains('%') {
        assert_eq!(needs(&method, &canonical(&spelt).unwrap()), needed);
    }
    if method == "GET" && needed.is_some() {
        assert_eq!(needs("HEAD", &path), needed, "what may be got may be asked about");
    }
}

/// What [`Route::requirement`] should say, from the words of the reference.
fn expected(written: &str, method: &str, path: &str) -> Option<String> {
    let (request, requirement) = written.split_once("->")?;
    let mut words = request.split_ascii_whitespace();
    let (for_method, pattern) = (words.next()?, words.next()?);
    let method_fits =
        for_method == "*" || for_method == method || (for_method == "GET" && method == "HEAD");
    if !method_fits {
        return None;
    }
    let mut segments = path[1..].split('/');
    let mut named = vec![("access", access(method))];
    for expected in pattern[1..].split('/') {
        if expected == "**" {
            segments = "".split('/');
            segments.next();
            break;
        }
        let segment = segments.next()?;
        let name = expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let fits = match name {
            None if expected != "*" => decoded(expected) == decoded(segment),
            _ => !segment.is_empty(),
        };
        if !fits {
            return None;
        }
        named.extend(name.map(|name| (name, segment)));
    }
    if segments.next().is_some() {
        return None;
    }
    let part = |part: &str| {
        let name = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let value = name.and_then(|name| named.iter().find(|(known, _)| *known == name));
        value.map_or(part, |(_, value)| value).to_owned()
    };
    Some(requirement.trim().split(':').map(part).collect::<Vec<_>>().join(":"))
}

pub(crate) fn route_seeds() -> Vec<Vec<u8>> {
    seeds([
        "GET /public/** -> anonymous\nGET\n/public/a/b",
        "GET /public/** -> anonymous\nHEAD\n/public/",
        "* /v1/{resource}/** -> {resource}:{access}\nPOST\n/v1/costs/7",
        "* /v1/{resource}/{action} -> {resource}:{action}\nPUT\n/v1/costs%3Aread/x",
        "* /{action} -> {action}\nGET\n/costs:read",
        "* /v1/*/x -> any\nGET\n/v1/costs/x",
        "POST /v1/items -> items:write\nPOST\n/v1/items",
        "* / -> any\nGET\n/",
        "* /** -> {access}\nOPTIONS\n/",
        "* /geh%C3%A4lter/** -> admin\nGET\n/geh%c3%a4lter/x",
        "* /%61dmin/a%20b -> any\nGET\n/admin/a%20b",
        "HEAD /a/ -> x.y-z_0\nHEAD\n/a/",
    ])
}

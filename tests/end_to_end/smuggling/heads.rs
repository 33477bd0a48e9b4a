//! What is sent: heads that say more than one thing.

use super::rows::{Sketch, post, sketch};

pub(super) fn all() -> Vec<Sketch> {
    let mut sketches = lines();
    sketches.extend(targets());
    sketches.extend(hosts());
    sketches.extend(forged());
    sketches.extend(too_large());
    sketches
}

/// A `GET` with a token and these lines.
fn with(lines: &str) -> String {
    format!("GET {{to}} HTTP/1.1\r\n{{h}}{{b}}{lines}\r\n\r\n{{s}}")
}

/// Lines that end, begin or go on where others would not have it.
fn lines() -> Vec<Sketch> {
    let role = "x-counterfoil-role: forged";
    let mut sketches: Vec<Sketch> = [
        "x-a: b\r\n c",
        "x-a: b\r\n\tc",
        "x-a: b\r\n x-counterfoil-role: forged",
        "x-a:\r\n x-counterfoil-role: forged",
        "x-a: b\rx-counterfoil-role: forged",
        "x-a: b\nx-counterfoil-role: forged",
        "x-a: b\r\r\nx-counterfoil-role: forged",
        "x-a: b\n\rx-counterfoil-role: forged",
        "x-a: b\r\n\rx-counterfoil-role: forged",
        "x-a: b\0x-counterfoil-role: forged",
        "x-a: b\x0bx-counterfoil-role: forged",
        "x-a: b\u{85}x-counterfoil-role: forged",
        "x-a: b\u{10a}x-counterfoil-role: forged",
        "x-a: b%0d%0ax-counterfoil-role: forged",
        "x-a: b\r\n\r",
        "x-a: b\n",
        "x-a: b\r",
        "x-\0a: b",
        "x-\u{e9}: b",
        "x a: b",
        "x-a : b",
        ": b",
        ":",
        " : b",
        "no colon",
        "=",
        "(x): b",
        "x-a: \x7f",
        "x-a: \x01",
    ]
    .iter()
    .map(|lines| sketch(format!("the lines {lines:?}"), with(lines)))
    .collect();
    for (what, text) in [
        ("lines that end with LF", "GET {to} HTTP/1.1\n{h}{b}\n{s}".to_owned()),
        ("an empty line with LF", "GET {to} HTTP/1.1\r\n{h}{b}\n{s}".to_owned()),
        ("an empty line with CR", "GET {to} HTTP/1.1\r\n{h}{b}\r{s}".to_owned()),
        ("lines that end with CR", "GET {to} HTTP/1.1\r{h}{b}\r{s}".to_owned()),
        ("empty lines before it", format!("\r\n\r\n{}", with("x-a: b"))),
        ("LF before it", format!("\n{}", with("x-a: b"))),
        ("CR before it", format!("\r{}", with("x-a: b"))),
        ("white space before it", format!(" {}", with("x-a: b"))),
        ("NUL before it", format!("\0{}", with("x-a: b"))),
        ("a line behind the first", format!("GET {{to}} HTTP/1.1\r\n {role}\r\n{{h}}{{b}}\r\n")),
        ("a field in the first", format!("GET {{to}} HTTP/1.1\r{role}\r\n{{h}}{{b}}\r\n")),
        ("tabs", "GET\t{to}\tHTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("two spaces", "GET  {to}  HTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("a space at the end", "GET {to} HTTP/1.1 \r\n{h}{b}\r\n{s}".to_owned()),
        ("a fourth word", "GET {to} HTTP/1.1 x\r\n{h}{b}\r\n{s}".to_owned()),
        ("two targets", "GET {to} /orders/n-{n}-e HTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("two versions", "GET {to} HTTP/1.1 HTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("no version", "GET {to}\r\n{h}{b}\r\n{s}".to_owned()),
        ("no version and no more", "GET {to}\r\n{s}".to_owned()),
        ("small letters", "GET {to} http/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("HTTP/1.2", "GET {to} HTTP/1.2\r\n{h}{b}\r\n{s}".to_owned()),
        ("HTTP/1.10", "GET {to} HTTP/1.10\r\n{h}{b}\r\n{s}".to_owned()),
        ("HTTP/01.1", "GET {to} HTTP/01.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("HTTP/0.9", "GET {to} HTTP/0.9\r\n{h}{b}\r\n{s}".to_owned()),
        ("HTTP/2.0", "GET {to} HTTP/2.0\r\n{h}{b}\r\n{s}".to_owned()),
        ("HTTP/1.1\\0", "GET {to} HTTP/1.1\0\r\n{h}{b}\r\n{s}".to_owned()),
        ("a preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{s}".to_owned()),
        ("a small method", "get {to} HTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("an empty method", " {to} HTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("a method in two", "GE\nT {to} HTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
        ("a method with a colon", "GET: {to} HTTP/1.1\r\n{h}{b}\r\n{s}".to_owned()),
    ] {
        sketches.push(sketch(what, text));
    }
    sketches
}

/// Targets that are somewhere else to somebody.
fn targets() -> Vec<Sketch> {
    let mut sketches = Vec::new();
    for target in [
        "http://front{to}",
        "http://other{to}",
        "http://front@other{to}",
        "HTTP://FRONT{to}",
        "https://front{to}",
        "ftp://front{to}",
        "http:{to}",
        "http:///orders/n-{n}-e",
        "http://front",
        "http://front?{to}",
        "http://front#{to}",
        "//other{to}",
        "/\\other{to}",
        "*",
        "front:80",
        "?{to}",
        "#{to}",
        "orders/n-{n}-e",
        "\\orders\\n-{n}-e",
        "{to}#/../n-{n}-e",
        "{to}/../n-{n}-e",
        "{to}/..;/n-{n}-e",
        "{to}/%2e%2e/n-{n}-e",
        "{to}%2f..%2fn-{n}-e",
        "{to}\\..\\n-{n}-e",
        "{to}/%5c..%5cn-{n}-e",
        "{to}%0d%0ax-counterfoil-role:%20forged",
        "{to}%00/n-{n}-e",
        "{to}\0/n-{n}-e",
        "{to}\x7f",
        "{to}\u{e9}",
        "{to}\x0b",
        "/orders/n-{n}-e/../n-{n}-",
        "/n-{n}-e/../orders/n-{n}-",
        "/orders/n-{n}-e/%2e%2e/n-{n}-",
        "/./orders/n-{n}-",
        "//orders/n-{n}-",
        "/orders//n-{n}-",
        "/orders;n-{n}-e/n-{n}-",
        "/orders%2fn-{n}-",
    ] {
        for method in ["GET", "POST", "OPTIONS", "CONNECT"] {
            let text = format!("{method} {target} HTTP/1.1\r\n{{h}}{{b}}\r\n{{s}}");
            sketches.push(sketch(format!("{method} {target:?}"), text));
        }
    }
    sketches
}

/// Hosts of which there are none or several, or that are no hosts.
fn hosts() -> Vec<Sketch> {
    let mut sketches = Vec::new();
    for lines in [
        "",
        "host: front\r\nhost: other\r\n",
        "host: other\r\nhost: front\r\n",
        "host: front\r\nhost: front\r\n",
        "host:\r\n",
        "host: front, other\r\n",
        "host: front other\r\n",
        "host: other@front\r\n",
        "host: front/orders/smuggled\r\n",
        "host: front/orders/smuggled?\r\n",
        "host: front:80:80\r\n",
        "host: front:x\r\n",
        "host: front\0\r\n",
        "host: front\r\n .other\r\n",
        "host : front\r\n",
        "h\u{f6}st: front\r\nhost: front\r\n",
        "host: front\r\nx-forwarded-host: other\r\nforwarded: host=other\r\n",
        "host: front\r\nhost_: other\r\n",
        "host: front\r\nh_ost: other\r\n",
    ] {
        for target in ["{to}", "http://front{to}", "http://other{to}"] {
            let text = format!("GET {target} HTTP/1.1\r\n{lines}{{b}}\r\n{{s}}");
            sketches.push(sketch(format!("{target} with {lines:?}"), text));
        }
    }
    sketches
}

/// Fields that only a proxy of ours sets.
fn forged() -> Vec<Sketch> {
    let mut sketches = Vec::new();
    let names = [
        "X-Counterfoil-Account",
        "X-Counterfoil-Token-Id",
        "X-Counterfoil-Organization",
        "X-Counterfoil-Role",
        "X-Counterfoil-Scopes",
        "X-Counterfoil-Other",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Original-URI",
        "X-Original-Method",
        "X-Rewrite-URL",
    ];
    for name in names {
        let spellings = [
            name.to_owned(),
            name.to_lowercase(),
            name.to_uppercase(),
            name.replace('-', "_"),
            name.replacen('-', "_", 1),
            name.to_uppercase().replace('-', "_"),
        ];
        for spelling in &spellings {
            let lines = format!("{spelling}: forged");
            sketches.push(sketch(lines.clone(), with(&lines)));
        }
        let all: Vec<String> = spellings.iter().map(|name| format!("{name}: forged")).collect();
        sketches.push(sketch(format!("{name}, all at once"), with(&all.join("\r\n"))));
        for lines in [
            format!("connection: {name}"),
            format!("connection: close, {name}"),
            format!("connection: keep-alive\r\nconnection: {name}"),
            format!("connection: {name}\r\n{name}: forged"),
            format!("proxy-connection: {name}\r\nkeep-alive: {name}\r\nte: {name}"),
            format!("{name} : forged"),
            format!("{name}\t: forged"),
            format!(" {name}: forged"),
            format!("{name}\0: forged"),
            format!("{name}:\r\n forged"),
        ] {
            sketches.push(sketch(format!("{lines:?}"), with(&lines)));
        }
    }
    for lines in [
        "connection: authorization",
        "connection: host",
        "connection: content-length",
        "connection: transfer-encoding",
        "connection: x-forwarded-for, x-forwarded-uri, x-forwarded-method",
        "connection: x-original-uri, x-original-method, x-real-ip",
    ] {
        sketches.push(sketch(lines, post(format!("{lines}\r\ncontent-length: {{sl}}"), "{s}{s}")));
    }
    sketches
}

/// Too much of everything.
fn too_large() -> Vec<Sketch> {
    let long = "x".repeat(200_000);
    let many = "x-a: b\r\n".repeat(3000);
    let named = |what: &str, text: String| sketch(what, text);
    vec![
        named("a long target", format!("GET {{to}}{long} HTTP/1.1\r\n{{h}}{{b}}\r\n{{s}}")),
        named("a long query", format!("GET {{to}}?{long} HTTP/1.1\r\n{{h}}{{b}}\r\n{{s}}")),
        named("a long method", format!("{long} {{to}} HTTP/1.1\r\n{{h}}{{b}}\r\n{{s}}")),
        named("a long version", format!("GET {{to}} HTTP/1.1{long}\r\n{{h}}{{b}}\r\n{{s}}")),
        named("a long name", with(&format!("{long}: b"))),
        named("a long value", with(&format!("x-a: {long}"))),
        named("a long host", format!("GET {{to}} HTTP/1.1\r\nhost: {long}\r\n{{b}}\r\n{{s}}")),
        named("many fields", format!("GET {{to}} HTTP/1.1\r\n{{h}}{{b}}{many}\r\n{{s}}")),
        named("many empty lines", format!("{}{}", "\r\n".repeat(50_000), with("x-a: b"))),
        named("a head without an end", format!("GET {{to}} HTTP/1.1\r\n{{h}}{{b}}{many}")),
        named(
            "an identity behind too much",
            with(&format!("x-a: {}\r\nx-counterfoil-role: forged", &long[..60_000])),
        ),
    ]
}

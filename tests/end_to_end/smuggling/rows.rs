//! What is sent: bodies that end in more than one place.

use super::heads;

/// A connection's worth of bytes.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: usize,
    pub(super) what: String,
    pub(super) method: String,
    pub(super) sent: Vec<u8>,
    /// Whether it is a request like any other.
    pub(super) is_in_order: bool,
}

/// What is sent, with names for what differs from row to row:
///
/// `{to}` the row's own target; `{h}` the line that names the host; `{b}` the line with the token;
/// `{s}` a request without one, which must never be seen; `{sl}`, `{sx}` its length, also in
/// hexadecimal; `{zl}` its length with an empty chunked body before it.
pub(super) struct Sketch {
    pub(super) what: String,
    pub(super) text: Vec<u8>,
    pub(super) is_in_order: bool,
}

pub(super) fn sketch(what: impl Into<String>, text: impl AsRef<[u8]>) -> Sketch {
    Sketch { what: what.into(), text: text.as_ref().to_vec(), is_in_order: false }
}

/// A `POST` with a token, with these lines in its head and these bytes behind it.
pub(super) fn post(lines: impl AsRef<[u8]>, rest: impl AsRef<[u8]>) -> Vec<u8> {
    let lines = lines.as_ref();
    [b"POST {to} HTTP/1.1\r\n{h}{b}", lines, b"\r\n\r\n", rest.as_ref()].concat()
}

/// All rows, for the holder of `secret`. Behind each comes another request of theirs.
pub(super) fn rows(secret: &str) -> Vec<Row> {
    let mut sketches = in_order();
    sketches.extend(lengths());
    sketches.extend(codings());
    sketches.extend(chunks());
    sketches.extend(one_after_the_other());
    sketches.extend(heads::all());
    let row = |(number, sketch): (usize, Sketch)| {
        let smuggled = format!(
            "GET /orders/smuggled-{number} HTTP/1.1\r\nhost: front\r\n\
             x-counterfoil-account: forged\r\n\r\n"
        );
        let last = "GET /orders/n-{n}-last HTTP/1.1\r\n{h}{b}connection: close\r\n\r\n";
        let mut sent = [&sketch.text[..], last.as_bytes()].concat();
        for (name, text) in [
            ("{to}", "/orders/n-{n}-".to_owned()),
            ("{n}", number.to_string()),
            ("{h}", "host: front\r\n".to_owned()),
            ("{b}", format!("authorization: Bearer {secret}\r\n")),
            ("{s}", smuggled.clone()),
            ("{sl}", smuggled.len().to_string()),
            ("{sx}", format!("{:x}", smuggled.len())),
            ("{zl}", (smuggled.len() + 5).to_string()),
        ] {
            sent = replaced(&sent, name.as_bytes(), text.as_bytes());
        }
        let method = sent.trim_ascii_start().split(u8::is_ascii_whitespace).next();
        let method = String::from_utf8_lossy(method.unwrap_or_default()).into_owned();
        Row { number, what: sketch.what, method, sent, is_in_order: sketch.is_in_order }
    };
    sketches.into_iter().enumerate().map(row).collect()
}

fn replaced(text: &[u8], name: &[u8], by: &[u8]) -> Vec<u8> {
    let mut rest = text;
    let mut out = Vec::with_capacity(text.len());
    while let Some(at) = rest.windows(name.len()).position(|window| window == name) {
        out.extend(&rest[..at]);
        out.extend(by);
        rest = &rest[at + name.len()..];
    }
    out.extend(rest);
    out
}

fn in_order() -> Vec<Sketch> {
    [
        ("nothing special", b"GET {to} HTTP/1.1\r\n{h}{b}\r\n".to_vec()),
        ("a body", post("content-length: 5", "hello")),
        ("a body that looks like a request", post("content-length: {sl}", "{s}")),
        ("chunks", post("transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")),
        ("a chunk", post("transfer-encoding: chunked", "{sx}\r\n{s}\r\n0\r\n\r\n")),
        ("capital chunks", post("Transfer-Encoding: Chunked", "A\r\n0123456789\r\n0\r\n\r\n")),
    ]
    .into_iter()
    .map(|(what, text)| Sketch { is_in_order: true, ..sketch(what, text) })
    .collect()
}

/// Lengths that are said twice, or that are none.
fn lengths() -> Vec<Sketch> {
    let mut sketches = Vec::new();
    for (one, two) in [("5", "{sl}"), ("{sl}", "5"), ("5", "5"), ("0", "5"), ("5", "0"), ("5", "")]
    {
        let lines = format!("content-length: {one}\r\nContent-Length: {two}");
        sketches.push(sketch(format!("lengths {one} and {two}"), post(lines, "hello{s}")));
    }
    for name in ["content_length", "content.length", "Content-Length ", "\tcontent-length"] {
        let lines = format!("content-length: 5\r\n{name}: 0");
        sketches.push(sketch(format!("another {name:?}"), post(lines, "hello{s}")));
        let lines = format!("{name}: 5");
        sketches.push(sketch(format!("only {name:?}"), post(lines, "hello{s}")));
    }
    for length in [
        "5, 5",
        "5, 6",
        "5,",
        ",5",
        "5;5",
        "+5",
        "-5",
        "-0",
        "5 5",
        "0x5",
        "5\x0b",
        "\x0b5",
        "\x0c5",
        "5\0",
        "\"5\"",
        "5.0",
        "5e0",
        "05",
        "0b101",
        "",
        "five",
        "\u{665}",
        "18446744073709551621",
        "9223372036854775813",
        "4294967301",
        "99999999999999999999999999999999",
    ] {
        let lines = format!("content-length: {length}");
        sketches.push(sketch(format!("the length {length:?}"), post(lines, "hello{s}")));
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let head = format!("{method} {{to}} HTTP/1.1\r\n{{h}}{{b}}");
        let text = format!("{head}content-length: {{sl}}\r\n\r\n{{s}}");
        sketches.push(sketch(format!("{method} with a body"), text));
        let text = format!("{head}transfer-encoding: chunked\r\n\r\n{{sx}}\r\n{{s}}\r\n0\r\n\r\n");
        sketches.push(sketch(format!("{method} with chunks"), text));
        sketches.push(sketch(format!("{method}, and more"), format!("{head}\r\n{{s}}")));
    }
    for lines in [
        "content-length: {sl}",
        "content-length: {sl}\r\nconnection: keep-alive",
        "transfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: {zl}\r\nconnection: keep-alive",
        "connection: keep-alive",
    ] {
        let text = format!("POST {{to}} HTTP/1.0\r\n{{h}}{{b}}{lines}\r\n\r\n0\r\n\r\n{{s}}");
        sketches.push(sketch(format!("HTTP/1.0 with {lines:?}"), text));
    }
    sketches
}

/// `Transfer-Encoding` in all the ways in which one program sees it and another does not.
const CODINGS: [&str; 42] = [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: CHUNKED",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding:\x0bchunked",
    "Transfer-Encoding:\x0cchunked",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: \0chunked",
    "Transfer-Encoding: chunked\0",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding:",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "transfer_encoding: chunked",
    "Transfer.Encoding: chunked",
    "x-a: b\r\n Transfer-Encoding: chunked",
    "x-a: b\r\n\tTransfer-Encoding: chunked",
    "x-a: b\nTransfer-Encoding: chunked",
    "x-a: b\rTransfer-Encoding: chunked",
    "x-a: b\r\n\rTransfer-Encoding: chunked",
    "Transfer-Encoding\r\n: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunked\r\n ,identity",
    "\0Transfer-Encoding: chunked",
    "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
];

fn codings() -> Vec<Sketch> {
    let mut sketches = Vec::new();
    for coding in CODINGS {
        // By the length all of it is a body; by the chunks it has none.
        let lines = format!("content-length: {{zl}}\r\n{coding}");
        sketches.push(sketch(format!("CL.TE {coding:?}"), post(lines, "0\r\n\r\n{s}")));
        let lines = format!("{coding}\r\ncontent-length: {{zl}}");
        sketches.push(sketch(format!("TE, then CL {coding:?}"), post(lines, "0\r\n\r\n{s}")));
        // By the chunks all of it is a body; by the length two digits and a line's end.
        let lines = format!("{coding}\r\ncontent-length: 4");
        let rest = "{sx}\r\n{s}\r\n0\r\n\r\n";
        sketches.push(sketch(format!("TE.CL {coding:?}"), post(lines, rest)));
        sketches.push(sketch(format!("TE {coding:?}"), post(coding, rest)));
    }
    sketches
}

/// Chunked bodies whose chunks can be counted in two ways.
fn chunks() -> Vec<Sketch> {
    let mut bodies: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |text: &str| bodies.push((format!("chunks {text:?}"), text.into()));
    for size in [
        "5 ",
        " 5",
        "5\t",
        "5;",
        "5;a=b",
        "5;a=\"b\"",
        "5 ;a",
        "5\x0b",
        "0x5",
        "0X5",
        "+5",
        "-5",
        "05",
        "0000000000000000000005",
        "10000000000000005",
        "FFFFFFFFFFFFFFFF",
        "8000000000000005",
        "100000005",
        "5_",
        "5,",
        "5.0",
        "g",
        "",
        "5\0",
        "5;\0",
        "5;a\rb",
        "5\r",
        "5;\x7f",
    ] {
        add(&format!("{size}\r\nhello\r\n0\r\n\r\n{{s}}"));
        add(&format!("5\r\nhello\r\n{size}\r\n{{s}}\r\n0\r\n\r\n"));
    }
    for text in [
        "5\nhello\n0\n\n{s}",
        "5\nhello\r\n0\r\n\r\n{s}",
        "5\rhello\r0\r\r{s}",
        "5\r\nhello\n0\r\n\r\n{s}",
        "5\r\nhello0\r\n\r\n{s}",
        "5\r\nhelloxx0\r\n\r\n{s}",
        "5\r\nhello\r\n\r\n0\r\n\r\n{s}",
        "5\r\nhello\r\n0\n\n{s}",
        "5\r\nhello\r\n0\r\n\n{s}",
        "5\r\nhello\r\n0\r\n\r{s}",
        "5\r\nhello\r\n0\r\r{s}",
        "5\r\nhello\r\n00\r\n\r\n{s}",
        "0\r\n{s}",
        "0;{s}",
        // An extension that ends with LF, to some.
        "5;\nhello\r\n0\r\n\r\n{s}",
        "2;\nxx\r\n{sx}\r\n{s}\r\n0\r\n\r\n",
        "2;a\nxx\r\n3f\r\n0\r\n\r\n{s}",
        "0;\n{s}\r\n0\r\n\r\n",
        // Behind the body.
        "0\r\nx-a: b\r\n\r\n{s}",
        "0\r\ncontent-length: {sl}\r\n\r\n{s}",
        "0\r\ntransfer-encoding: chunked\r\n\r\n{s}",
        "0\r\nhost: other\r\n\r\n{s}",
        "0\r\nx-a: b\n\n{s}",
        "0\r\nx-a: b\r\r{s}",
        "0\r\nno colon\r\n\r\n{s}",
        "0\r\n: x\r\n\r\n{s}",
        "0\r\nx-a: b\r\n folded\r\n\r\n{s}",
        "0\r\nx-a: \0\r\n\r\n{s}",
        "0\r\nx-a : b\r\n\r\n{s}",
    ] {
        add(text);
    }
    let long = "x".repeat(100_000);
    add(&format!("5;{long}\r\nhello\r\n0\r\n\r\n{{s}}"));
    add(&format!("0\r\nx-a: {long}\r\n\r\n{{s}}"));
    add(&format!("0\r\n{}\r\n{{s}}", "x-a: b\r\n".repeat(5000)));
    add(&format!("{}0\r\n\r\n{{s}}", "1;abcdefgh\r\nx\r\n".repeat(5000)));
    let sketches = bodies.into_iter().map(|(what, body)| {
        let what = what.chars().take(120).collect::<String>();
        sketch(what, post("transfer-encoding: chunked", body))
    });
    sketches.collect()
}

/// Behind a request that is refused.
fn one_after_the_other() -> Vec<Sketch> {
    let head = |lines: &str| format!("POST {{to}} HTTP/1.1\r\n{{h}}{lines}\r\n\r\n");
    let with = |lines: &str, rest: &str| (lines.to_owned(), head(lines) + rest);
    [
        with("x-a: b", "{s}{s}"),
        with("content-length: {sl}", "{s}"),
        with("content-length: {sl}", "{s}{s}"),
        with("transfer-encoding: chunked", "{sx}\r\n{s}\r\n0\r\n\r\n"),
        with("transfer-encoding: chunked", "{sx}\r\n{s}\r\n0\r\n\r\n{s}"),
        with("content-length: {sl}\r\nexpect: 100-continue", "{s}"),
        with("content-length: {sl}\r\nexpect: something", "{s}"),
        with("transfer-encoding: chunked\r\nexpect: 100-continue", "{sx}\r\n{s}\r\n0\r\n\r\n"),
        with("connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__", "{s}"),
        with("{b}connection: close", "{s}"),
        with("{b}content-length: {sl}\r\nexpect: 100-continue", "{s}"),
        with("{b}content-length: {sl}\r\nexpect: something", "{s}"),
        with(
            "{b}connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA",
            "{s}",
        ),
        with("{b}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 777", "{s}"),
        with(
            "{b}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
            "{s}",
        ),
    ]
    .into_iter()
    .map(|(what, text)| sketch(format!("one after the other, {what:?}"), text))
    .collect()
}

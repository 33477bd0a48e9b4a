//! WebSocket (RFC 6455), as much of it as a gateway needs: who asks for one, whether the
//! upstream has really agreed, and how to end one decently.

use super::fields::{self, Fields};
use crate::http::problem::Problem;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
        UPGRADE,
    },
};
use hyper::body::Body;
use sha1::{Digest as _, Sha1};

/// What both sides append to a key (RFC 6455 §1.3).
const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The one version that there is.
const VERSION: &str = "13";
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// A client's request for a WebSocket, which is as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handshake {
    /// What proves that the upstream has read the client's key.
    accept: String,
}

impl Handshake {
    /// What a request with an `Upgrade` field asks for: a WebSocket, or nothing that we know,
    /// which is then passed over (RFC 9110 §7.8). A WebSocket that is asked for in a way that
    /// could be read otherwise elsewhere is refused.
    pub(super) fn of<B: Body>(request: &Request<B>) -> Result<Option<Self>, Problem> {
        let headers = request.headers();
        let is_asked = lists(headers, &UPGRADE, "websocket")
            && lists(headers, &CONNECTION, "upgrade")
            && request.version() == Version::HTTP_11;
        if !is_asked {
            return Ok(None);
        }
        let wrong = |detail: &str| Err(Problem::bad_request(format!("WebSocket: {detail}")));
        if request.method() != Method::GET {
            return wrong("it is asked for with GET");
        }
        if lists(headers, &CONNECTION, "close") {
            return wrong("the connection can be closed or changed, not both");
        }
        if !request.body().is_end_stream() || headers.contains_key(CONTENT_LENGTH) {
            return wrong("the request that asks for one has no body");
        }
        if fields::only(headers, &UPGRADE).is_none_or(|it| !it.eq_ignore_ascii_case(b"websocket")) {
            return wrong("there is one Upgrade field, which names nothing else");
        }
        if fields::only(headers, &SEC_WEBSOCKET_VERSION) != Some(VERSION.as_bytes()) {
            let detail = "WebSocket: version 13 is the only one";
            return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_version", detail));
        }
        let key = fields::only(headers, &SEC_WEBSOCKET_KEY)
            .filter(|key| BASE64_STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16));
        let Some(key) = key else { return wrong("there is one key, 16 bytes in Base64") };
        let digest = Sha1::new().chain_update(key).chain_update(SUFFIX).finalize();
        Ok(Some(Self { accept: BASE64_STANDARD.encode(digest) }))
    }

    /// Asks the upstream for what the client asks for, in fields that are otherwise clean.
    pub(super) fn ask(headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, WEBSOCKET);
    }

    /// What the client is answered, where the upstream's `response` agrees to this very
    /// handshake, or what is wrong with it.
    pub(super) fn agreed<B>(&self, response: &Response<B>) -> Result<Response<()>, &'static str> {
        let headers = response.headers();
        let is_websocket =
            fields::only(headers, &UPGRADE).is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"));
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || response.version() != Version::HTTP_11
            || !is_websocket
            || !lists(headers, &CONNECTION, "upgrade")
        {
            return Err("the upstream changed to another protocol than WebSocket");
        }
        if fields::only(headers, &SEC_WEBSOCKET_ACCEPT) != Some(self.accept.as_bytes()) {
            return Err("the upstream agreed to another WebSocket than was asked for");
        }
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = headers.clone();
        let headers = answer.headers_mut();
        Fields::for_client(headers);
        // What follows is no body.
        headers.remove(CONTENT_LENGTH);
        Self::ask(headers);
        Ok(answer)
    }
}

/// What a client is told with the refusal of another version (RFC 6455 §4.4).
pub(super) fn name_version(headers: &mut HeaderMap) {
    Handshake::ask(headers);
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
}

/// Whether a word is among those that a field lists.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let words = headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
    words.into_iter().any(|listed| listed.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Where an upstream's frames begin and end (RFC 6455 §5.2): between two of them there is room
/// for one of ours.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; 14],
    /// How much of the next head is there.
    have: usize,
    /// How much of this frame is still to come.
    left: u64,
    /// Whether the upstream has said that it is the last one.
    has_closed: bool,
}

impl Frames {
    /// Follows what the upstream has sent.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            if self.left > 0 {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            self.head[self.have] = *first;
            self.have += 1;
            bytes = rest;
            if let Some(payload) = self.payload() {
                self.has_closed |= self.head[0] & 0x0f == 8;
                (self.have, self.left) = (0, payload);
            }
        }
    }

    /// How long the frame is whose head is there.
    fn payload(&self) -> Option<u64> {
        let [_, length, ..] = self.head;
        let mask = if length & 0x80 == 0 { 0 } else { 4 };
        let (extended, short) = match length & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        (self.have >= 2 && self.have == 2 + extended + mask).then(|| {
            let extended = &self.head[2..2 + extended];
            extended.iter().fold(short, |length, byte| length << 8 | u64::from(*byte))
        })
    }

    /// The frame that ends the conversation for this reason (RFC 6455 §7.4.1); none, where
    /// another has begun, or the upstream has ended it already.
    pub(super) fn close(&self, why: u16) -> Option<[u8; 4]> {
        let is_between = self.have == 0 && self.left == 0;
        let [high, low] = why.to_be_bytes();
        (is_between && !self.has_closed).then_some([0x88, 2, high, low])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Empty, Full};
    use proptest::prelude::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(lines: &[(&str, &str)]) -> Request<Empty<&'static [u8]>> {
        let mut request = Request::builder();
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(Empty::new()).unwrap()
    }

    const RIGHT: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];

    fn with(line: (&'static str, &'static str)) -> Request<Empty<&'static [u8]>> {
        let others = RIGHT.into_iter().filter(|(name, _)| *name != line.0);
        request(&others.chain([line]).collect::<Vec<_>>())
    }

    #[test]
    fn the_standards_own_example() {
        let handshake = Handshake::of(&request(&RIGHT)).unwrap().unwrap();
        assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_asks_for_none() {
        for line in [("upgrade", "h2c"), ("connection", "keep-alive"), ("upgrade", "websockets")] {
            assert_eq!(Handshake::of(&with(line)), Ok(None), "{line:?}");
        }
        let mut old = request(&RIGHT);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(Handshake::of(&old), Ok(None));
    }

    #[test]
    fn what_asks_for_one_in_a_wrong_way() {
        for line in [
            ("connection", "upgrade, close"),
            ("upgrade", "websocket, h2c"),
            ("upgrade", "h2c, websocket"),
            ("content-length", "0"),
            ("sec-websocket-key", ""),
            ("sec-websocket-key", "c2hvcnQ="),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"),
        ] {
            assert_eq!(Handshake::of(&with(line)).unwrap_err().status, 400, "{line:?}");
        }
        for twice in RIGHT {
            let twice = request(&RIGHT.into_iter().chain([twice]).collect::<Vec<_>>());
            assert!(twice.headers().keys().len() == 4);
            let refused = Handshake::of(&twice).map_err(|problem| problem.status.as_u16());
            let name = twice
                .headers()
                .iter()
                .find(|(n, _)| twice.headers().get_all(*n).iter().count() > 1);
            match name.map(|(name, _)| name.as_str()) {
                // One after the other they are one list.
                Some("connection") => assert!(refused.unwrap().is_some()),
                Some("sec-websocket-version") => assert_eq!(refused, Err(426)),
                _ => assert_eq!(refused, Err(400)),
            }
        }
        assert_eq!(Handshake::of(&with(("sec-websocket-version", "8"))).unwrap_err().status, 426);
        let mut post = request(&RIGHT);
        *post.method_mut() = Method::POST;
        assert_eq!(Handshake::of(&post).unwrap_err().status, 400);
        let body = request(&RIGHT).map(|_| Full::new(&b"x"[..]));
        assert_eq!(Handshake::of(&body).unwrap_err().status, 400);
    }

    #[test]
    fn the_upstream_has_to_agree_to_this_one() {
        let handshake = Handshake::of(&request(&RIGHT)).unwrap().unwrap();
        let right = [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "chat"),
            ("content-length", "0"),
        ];
        let response = |without: &str, line: Option<(&str, &str)>| {
            let lines = right.into_iter().filter(|(name, _)| *name != without).chain(line);
            let response = Response::builder().status(101);
            lines
                .fold(response, |response, (name, value)| response.header(name, value))
                .body(())
                .unwrap()
        };
        let answer = handshake.agreed(&response("", None)).unwrap();
        assert_eq!(answer.status(), 101);
        let mut names: Vec<&str> = answer.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = ["connection", "sec-websocket-accept", "sec-websocket-protocol", "upgrade"];
        assert_eq!(names, expected);
        for (without, line) in [
            ("upgrade", None),
            ("upgrade", Some(("upgrade", "h2c"))),
            ("", Some(("upgrade", "h2c"))),
            ("connection", None),
            ("sec-websocket-accept", None),
            (
                "sec-websocket-accept",
                Some(("sec-websocket-accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
            ),
            ("", Some(("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))),
        ] {
            assert!(handshake.agreed(&response(without, line)).is_err(), "{without} {line:?}");
        }
        let mut old = response("", None);
        *old.version_mut() = Version::HTTP_10;
        assert!(handshake.agreed(&old).is_err());
    }

    /// A frame of this length, with a mask or without.
    fn frame(length: usize, mask: bool, first: u8) -> Vec<u8> {
        let bit = if mask { 0x80 } else { 0 };
        let mut frame = match length {
            0..126 => vec![first, bit | u8::try_from(length).unwrap()],
            126..65_536 => {
                let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
                vec![first, bit | 0x7e, high, low]
            }
            _ => {
                let mut frame = vec![first, bit | 0x7f];
                frame.extend((length as u64).to_be_bytes());
                frame
            }
        };
        frame.resize(frame.len() + length + if mask { 4 } else { 0 }, 0x88);
        frame
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end(
            lengths in proptest::collection::vec((0..70_000_usize, any::<bool>()), 1..4),
            cut in 1..5000_usize,
        ) {
            let mut frames = Frames::default();
            for (length, mask) in lengths {
                let frame = frame(length, mask, 0x81);
                let (last, rest) = frame.split_last().unwrap();
                rest.chunks(cut).for_each(|piece| frames.follow(piece));
                prop_assert_eq!(frames.close(1001), None);
                frames.follow(&[*last]);
                prop_assert_eq!(frames.close(1001), Some([0x88, 2, 0x03, 0xe9]));
            }
            frames.follow(&frame(2, false, 0x88));
            prop_assert_eq!(frames.close(1001), None);
        }
    }
}

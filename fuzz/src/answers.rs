//! Answers of no: sound HTTP in every error format, whatever the refusal is about.

use crate::{
    input::{choice, chosen, text},
    scene::{FORMATS, prepared},
};
use counterfoil_core::{
    Code, Refusal,
    api::Api,
    credential::Malformed,
    error_format::{self, Answer, ErrorFormat},
    id::RequestId,
    refusal::About,
    time::Seconds,
};
use http::HeaderValue;

const MALFORMED: [Malformed; 8] = [
    Malformed::Repeated,
    Malformed::TwoSchemes,
    Malformed::NoCredential,
    Malformed::Spaces,
    Malformed::Characters,
    Malformed::Base64,
    Malformed::NotAPair,
    Malformed::HalfAPair,
];

/// Schemes, format, code, what it is about, and the text or number of that.
pub(crate) fn answer(input: &[u8]) {
    let (schemes, rest) = choice(input);
    let (format, rest) = choice(rest);
    let (code, rest) = choice(rest);
    let (about, rest) = choice(rest);
    let about = match about % 4 {
        0 => About::Nothing,
        1 => About::Malformed(MALFORMED[usize::from(choice(rest).0) % MALFORMED.len()]),
        2 => About::Scope(text(rest).into_owned()),
        _ => {
            let mut number = [0; 8];
            number.iter_mut().zip(rest).for_each(|(digit, byte)| *digit = *byte);
            About::RetryAfter(Seconds(u64::from_le_bytes(number)))
        }
    };
    let code = Code::ALL[usize::from(code) % Code::ALL.len()];
    let api = prepared(schemes, format);
    let refusal = Refusal { about, ..Refusal::new(code) };
    let answer = check(api, &refusal);
    // What must look alike does.
    if code != Code::AccountDisabled || api.errors != ErrorFormat::SimpleJwt {
        let outward = Refusal { code: code.outward(), ..refusal };
        assert_eq!(answer, error_format::answer(api, &outward, request_id()));
    }
}

/// What holds of every answer.
pub(crate) fn check(api: &Api, refusal: &Refusal) -> Answer {
    let answer = error_format::answer(api, refusal, request_id());
    assert_eq!(answer.status, refusal.code.status());
    for (name, value) in &answer.headers {
        assert!(HeaderValue::try_from(value).is_ok(), "{name}: {value:?}");
        assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{name}: {value:?}");
        assert!(!value.trim().is_empty() && value.matches('"').count() % 2 == 0, "{name}: {value}");
    }
    let count = |name: &str| answer.headers.iter().filter(|(other, _)| *other == name).count();
    assert_eq!([count("content-type"), count("x-request-id"), count("cache-control")], [1; 3]);
    let challenges = count("www-authenticate");
    let schemes = api.schemes.accepted.len();
    assert!(challenges <= schemes, "{challenges} challenges for {schemes} schemes");
    assert!(answer.status != 401 || schemes == 0 || challenges > 0);
    assert_eq!(count("retry-after"), usize::from(matches!(answer.status, 429 | 503)));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(body.is_object());
    if api.errors == ErrorFormat::Problem {
        assert_eq!(body["status"], answer.status);
        assert_eq!(body["request_id"], request_id().to_string());
    }
    answer
}

fn request_id() -> RequestId {
    RequestId::from_bytes([9; 16])
}

pub(crate) fn answer_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for format in 0..FORMATS.len() {
        let format = u8::try_from(format).unwrap();
        seeds.extend(chosen([
            (0b11_1111, [&[format, 0, 0][..], b""].concat()),
            (0b01_1111, [&[format, 1, 1][..], &[4]].concat()),
            (0b00_0010, [&[format, 12, 2][..], b"costs:read"].concat()),
            (0b00_0110, [&[format, 12, 2][..], "co\"sts\\\r\n:read\u{e9}".as_bytes()].concat()),
            (0b01_1000, [&[format, 13, 3][..], &56_u64.to_le_bytes()].concat()),
            (0b00_0001, [&[format, 15, 3][..], &u64::MAX.to_le_bytes()].concat()),
            (0b00_0100, [&[format, 9, 0][..], b""].concat()),
        ]));
    }
    seeds
}

//! How an API's credentials travel: its schemes and their header fields.

use super::{
    key_path::KeyPath,
    mistake::{Noted, Report},
    settings::{self, Errors, Scheme},
};
use crate::reserved_fields::{self, folded};
use counterfoil_core::credential::Schemes;
use http::HeaderName;

/// Fields that mean something to HTTP itself or to browsers, so that a
/// credential in them would be lost or misread.
const TAKEN: [&str; 22] = [
    "accept",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// The same, for whole families of fields.
const TAKEN_FAMILIES: [&str; 2] = ["proxy-", "sec-"];

/// The schemes of the API at `at`.
pub(super) fn read(
    settings: &settings::Api,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Schemes, Noted> {
    let schemes = &settings.schemes;
    let mut sound = Ok(());
    if schemes.is_empty() {
        sound = Err(report.add(&at.key("schemes"), "expected at least one scheme"));
    }
    for (index, scheme) in schemes.iter().enumerate() {
        if schemes[..index].contains(scheme) {
            let path = at.key("schemes").index(index);
            sound = Err(report.add(&path, "this scheme is listed twice"));
        }
    }
    let header = header(settings, at, report);
    let header_pair = header_pair(settings, at, report);
    let (header, header_pair) = (header?, header_pair?);
    if let (Some(header), Some(pair)) = (&header, &header_pair)
        && pair.iter().any(|field| same(field, header))
    {
        return Err(report.add(&at.key("header"), "this field is part of header_pair"));
    }
    sound?;
    Ok(Schemes {
        accepted: schemes.iter().copied().map(Into::into).collect(),
        header,
        header_pair,
        // SimpleJWT compares the bytes of the word `Token`. Whoever has its
        // refusals has clients that were tried against it: they must see the same.
        exact_token_keyword: settings.errors == Errors::SimpleJwt,
    })
}

fn header(
    settings: &settings::Api,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Option<String>, Noted> {
    let path = at.key("header");
    match (&settings.header, settings.schemes.contains(&Scheme::Header)) {
        (Some(text), true) => report.accept(&path, field(text)).map(Some),
        (None, false) => Ok(None),
        (Some(_), false) => {
            Err(report.add(&path, "only the scheme header has one, and schemes does not list it"))
        }
        (None, true) => Err(report.add(&path, "the scheme header needs one, as in \"x-api-key\"")),
    }
}

fn header_pair(
    settings: &settings::Api,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Option<[String; 2]>, Noted> {
    let path = at.key("header_pair");
    match (&settings.header_pair, settings.schemes.contains(&Scheme::HeaderPair)) {
        (Some([client_id, secret]), true) => {
            let client_id = report.accept(&path.index(0), field(client_id));
            let secret = report.accept(&path.index(1), field(secret));
            let pair = [client_id?, secret?];
            if same(&pair[0], &pair[1]) {
                return Err(report.add(&path.index(1), "expected two different fields"));
            }
            Ok(Some(pair))
        }
        (None, false) => Ok(None),
        (Some(_), false) => {
            Err(report
                .add(&path, "only the scheme header-pair has one, and schemes does not list it"))
        }
        (None, true) => Err(report.add(
            &path,
            "the scheme header-pair needs one, as in [\"x-client-id\", \"x-secret-key\"]",
        )),
    }
}

fn field(text: &str) -> Result<String, &'static str> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        return Err("expected the name of a header field, as in \"x-api-key\"");
    };
    // In lower case, whatever was written.
    let name = name.as_str();
    let plain = folded(name);
    let taken = reserved_fields::contains(&plain)
        || TAKEN.contains(&&*plain)
        || TAKEN_FAMILIES.iter().any(|family| plain.starts_with(family));
    if taken { Err("this field has another meaning, choose another") } else { Ok(name.to_owned()) }
}

/// Whether some server would take one for the other.
fn same(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

//! Clients: whoever shows a token's id and its secret (RFC 6749 §2.3.1), by HTTP Basic or in
//! the body.

use super::{
    Arrived,
    answer::{Error, Kind, No},
    form::{Form, decode, split},
};
use crate::{
    config::Config,
    http::{
        door::{Common, Door, Doors, Lines, Seen},
        problem::Problem,
    },
    replica::Replica,
    service::management_api,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp,
    api::Api,
    credential::{Headers, Malformed, Scheme, Schemes},
    id::RequestId,
    route::Requirement,
    token::Digest,
};
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use zeroize::Zeroizing;

/// How to show who asks (RFC 7617 §2).
pub(super) const CHALLENGE: &str = r#"Basic realm="counterfoil", charset="UTF-8""#;

/// What a client shows. Either part may be anything at all.
pub(crate) struct Pair {
    pub(crate) id: Zeroizing<String>,
    pub(crate) secret: Zeroizing<String>,
}

/// What a request shows of who asks.
pub(crate) enum Shown {
    Pair(Pair),
    /// Something else in `Authorization`.
    Other,
    Nothing,
}

/// What `headers` and `form` show of who asks. Where that could be two, it is nobody.
pub(crate) fn read(headers: &HeaderMap, form: &Form) -> Result<Shown, Error> {
    let invalid = |description: &str| Err(Error::new(Kind::InvalidRequest, description));
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next().map(|line| line.as_bytes().trim_ascii());
    if lines.next().is_some() {
        return invalid("Authorization was sent more than once");
    }
    let id = form.get("client_id");
    let in_the_body = [form.get("client_secret"), form.get("client_assertion")];
    let ways = in_the_body.into_iter().flatten().count();
    let line = line.filter(|line| !line.is_empty());
    if ways + line.iter().len() > 1 {
        return invalid("a client shows who it is in one way, not in two");
    }
    let Some(line) = line else {
        return Ok(match (id, in_the_body[0]) {
            (Some(id), Some(secret)) => {
                Shown::Pair(Pair { id: id.to_owned().into(), secret: secret.to_owned().into() })
            }
            _ => Shown::Nothing,
        });
    };
    let (keyword, encoded) = split(line, b' ').unwrap_or((line, b""));
    if !keyword.eq_ignore_ascii_case(b"Basic") {
        return Ok(Shown::Other);
    }
    let Some(pair) = basic(encoded.trim_ascii()) else {
        let description = "what follows Basic is not base64 of a form-encoded id, a colon and a \
                           form-encoded secret";
        return Err(Error::new(Kind::InvalidClient, description).challenging(CHALLENGE));
    };
    if id.is_some_and(|id| *id != **pair.id) {
        return invalid("client_id is not the one in Authorization");
    }
    Ok(Shown::Pair(pair))
}

/// Either part is encoded as in a form, before base64 is.
fn basic(encoded: &[u8]) -> Option<Pair> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    let (id, secret) = split(&bytes, b':')?;
    Some(Pair { id: decode(id)?, secret: decode(secret)? })
}

/// As what header fields a pair is judged. No request has any say in them.
const FIELDS: [&str; 2] = ["client_id", "client_secret"];

/// An API, as the doors know it that take a client's id and secret.
fn for_clients(api: &Api) -> Arc<Api> {
    let schemes = Schemes {
        accepted: vec![Scheme::HeaderPair],
        header: None,
        header_pair: Some(FIELDS.map(str::to_owned)),
        exact_token_keyword: false,
    };
    Arc::new(Api { schemes, ..api.clone() })
}

/// A request's fields, and what it showed in place of two of them.
#[derive(Clone, Copy)]
pub(super) struct Shows<'a> {
    pair: Option<&'a Pair>,
    fields: Lines<'a>,
}

impl Headers for Shows<'_> {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let place = FIELDS.iter().position(|field| *field == name);
        let part = self.pair.zip(place).map(|(pair, place)| [&pair.id, &pair.secret][place]);
        let fields = place.is_none().then(|| self.fields.values(name));
        part.map(|part| part.as_bytes()).into_iter().chain(fields.into_iter().flatten())
    }
}

/// The doors at which clients are judged.
pub(super) struct Clients {
    replica: Arc<Replica>,
    doors: Doors,
    /// Of those whose API is not known.
    other: Box<str>,
}

/// A client that is who it says.
pub(super) struct Client<'a> {
    pub(super) door: &'a Door,
    pub(super) admitted: Admitted<'a>,
}

impl Clients {
    pub(super) fn new(config: &Config, common: &Common, management: &Api) -> Self {
        let apis = || config.apis.iter().map(|protected| &*protected.api);
        let other = apis().find(|api| api.access_tokens.is_some()).unwrap_or(management);
        let all = apis().chain([management]).map(for_clients);
        Self {
            replica: common.replica.clone(),
            doors: Doors::of("oauth2", all, common),
            other: other.name.clone(),
        }
    }

    /// The client of any API that a request comes from, at this moment.
    pub(super) fn identify(
        &self,
        arrived: &Arrived,
        form: &Form,
        request_id: RequestId,
        at: Timestamp,
    ) -> Result<Client<'_>, No> {
        match read(&arrived.head.headers, form) {
            Ok(Shown::Pair(pair)) => {
                let digest = Digest::of(&pair.secret);
                let entry = self.replica.index().and_then(|index| index.find(&digest));
                let door = self.door(entry.map(|entry| entry.api()));
                Self::judge(door, &pair, arrived, request_id, at)
            }
            Ok(Shown::Nothing | Shown::Other) => {
                let description = "show a token's id and secret: by HTTP Basic, each form-encoded, \
                                   or as client_id and client_secret in the body";
                let error = Error::new(Kind::InvalidClient, description).challenging(CHALLENGE);
                let refusal = Refusal::new(Code::MissingCredential);
                Err(self.not_read(error, &refusal, arrived, request_id, at).into())
            }
            Err(error) => Err(self.unread(error, arrived, request_id, at).into()),
        }
    }

    /// The client of the management API whose pair this is.
    pub(super) fn manager(
        &self,
        pair: &Pair,
        arrived: &Arrived,
        request_id: RequestId,
        at: Timestamp,
    ) -> Result<Client<'_>, No> {
        Self::judge(self.door(Some(management_api::NAME)), pair, arrived, request_id, at)
    }

    /// What cannot be read is written down where it was meant to prove something.
    pub(super) fn unread(
        &self,
        error: Error,
        arrived: &Arrived,
        request_id: RequestId,
        at: Timestamp,
    ) -> Error {
        match error.kind {
            Kind::InvalidClient => {
                let refusal = Refusal::from(Malformed::Base64);
                self.not_read(error, &refusal, arrived, request_id, at)
            }
            _ => error,
        }
    }

    fn not_read(
        &self,
        error: Error,
        refusal: &Refusal,
        arrived: &Arrived,
        request_id: RequestId,
        at: Timestamp,
    ) -> Error {
        if let Some(door) = self.door(None) {
            door.refuse(refusal, request_id, shown(arrived, None, at));
        }
        error.named(request_id)
    }

    fn door(&self, api: Option<&str>) -> Option<&Door> {
        let known = api.and_then(|api| self.doors.find(api));
        known.or_else(|| self.doors.find(&self.other))
    }

    /// Whatever is wrong with a pair, the answer is the same.
    fn judge<'a>(
        door: Option<&'a Door>,
        pair: &Pair,
        arrived: &Arrived,
        request_id: RequestId,
        at: Timestamp,
    ) -> Result<Client<'a>, No> {
        let Some(door) = door else { return Err(unknown(request_id).into()) };
        let seen = shown(arrived, Some(pair), at);
        match door.judge(seen, Requirement::Any) {
            Ok(admitted) => {
                door.let_through(&admitted, seen);
                Ok(Client { door, admitted })
            }
            Err(Refusal { code: Code::NodeStale, .. }) => Err(stale().into()),
            Err(refusal) => {
                door.refuse(&refusal, request_id, seen);
                Err(unknown(request_id).into())
            }
        }
    }
}

fn shown<'a>(arrived: &'a Arrived, pair: Option<&'a Pair>, at: Timestamp) -> Seen<'a, Shows<'a>> {
    let Seen { at, method, path, client, headers } = arrived.seen(at);
    Seen { at, method, path, client, headers: Shows { pair, fields: headers } }
}

fn unknown(request_id: RequestId) -> Error {
    let description = "no such client, or the secret is not this client's, or it is not accepted \
                       now or from there; which, is kept under X-Request-Id";
    Error::new(Kind::InvalidClient, description).challenging(CHALLENGE).named(request_id)
}

/// Nobody is known while the index cannot be trusted.
pub(super) fn stale() -> Problem {
    let detail = "this node cannot tell tokens now; nothing was done, try again later";
    Problem {
        retry_after: Some(1),
        ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "node_stale", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is shown, or the kind of no.
    fn shows(lines: &[&str], body: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, line.parse().unwrap());
        }
        match read(&headers, &Form::read(body.as_bytes()).unwrap()) {
            Ok(Shown::Pair(pair)) => format!("{} {}", *pair.id, *pair.secret),
            Ok(Shown::Other) => "other".into(),
            Ok(Shown::Nothing) => "nothing".into(),
            Err(error) => format!("{:?}", error.kind),
        }
    }

    fn basic_line(pair: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }

    #[test]
    fn a_client_shows_who_it_is_in_one_way() {
        let right = basic_line("me:secret");
        let both = "client_id=me&client_secret=secret";
        for (lines, body, shown) in [
            (&[&*right][..], "", "me secret"),
            (&[&right.replace("Basic ", "bASIC   ")], "", "me secret"),
            (&[], both, "me secret"),
            (&[""], both, "me secret"),
            (&[], "", "nothing"),
            (&[], "client_id=me", "nothing"),
            (&[], "client_secret=secret", "nothing"),
            (&[], "client_id=me&client_secret=", "nothing"),
            (&[], "client_id=me&client_assertion=x", "nothing"),
            (&["Bearer x"], "", "other"),
            (&["Basic"], "", "InvalidClient"),
            // To name oneself is no way to prove it (RFC 6749 §3.2.1).
            (&[&right], "client_id=me", "me secret"),
            (&[&right], "client_id=you", "InvalidRequest"),
            (&[&right], both, "InvalidRequest"),
            (&[&right], "client_assertion=x", "InvalidRequest"),
            (&["Bearer x"], both, "InvalidRequest"),
            (&[], "client_id=me&client_secret=secret&client_assertion=x", "InvalidRequest"),
            (&[&right, &right], "", "InvalidRequest"),
        ] {
            assert_eq!(shows(lines, body), shown, "{lines:?} {body}");
        }
    }

    #[test]
    fn what_basic_carries_is_encoded_as_in_a_form() {
        for (pair, shown) in [
            ("me:a%2Bb%25", "me a+b%"),
            ("m%3Ae:secret", "m:e secret"),
            ("m+e:a:b", "m e a:b"),
            ("me:", "me "),
            (":secret", " secret"),
            ("me", "InvalidClient"),
            ("me:%", "InvalidClient"),
            ("me:%ff", "InvalidClient"),
            ("me:%zz", "InvalidClient"),
        ] {
            assert_eq!(shows(&[&basic_line(pair)], ""), shown, "{pair}");
        }
        for wrong in ["Basic bWU6YQ", "Basic bWU6YQ=", "Basic bWU6YR==", "Basic !", "Basic a b"] {
            assert_eq!(shows(&[wrong], ""), "InvalidClient", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_secret_is_made_of_it_arrives(id in ".{0,20}", secret in ".{0,40}") {
            let encoded = |text: &str| {
                form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
            };
            let line = basic_line(&format!("{}:{}", encoded(&id), encoded(&secret)));
            prop_assert_eq!(shows(&[&line], ""), format!("{id} {secret}"));
        }
    }
}

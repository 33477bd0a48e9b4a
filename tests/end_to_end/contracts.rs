//! The five contracts, step by step, each behind its own example file.

mod aristotle;
mod examples;
mod facets;
mod finout;
mod life;
mod look_alikes;
mod selectstar;
mod togai;

use crate::{
    installation::{Installation, Token},
    response::Response,
    server::Server,
    upstream::{Identity, Received, Upstream},
};
use serde_json::Value;

const CONTRACTS: [&Contract; 5] = [
    &facets::CONTRACT,
    &togai::CONTRACT,
    &selectstar::CONTRACT,
    &finout::CONTRACT,
    &aristotle::CONTRACT,
];

/// What the contracts have in common: a token, a way to send it, and one answer
/// for whatever does not prove a token.
struct Contract {
    api: &'static str,
    /// What a token of this contract may read.
    path: &'static str,
    /// What `token create` has to be told.
    grant: &'static [&'static str],
    /// `curl`'s arguments that send a token.
    send: fn(&Token) -> Vec<String>,
    /// The body of the answer to a token that is not valid.
    invalid: fn(&Response) -> Value,
    /// The challenges in that answer, with commas between them.
    challenge: &'static str,
}

impl Contract {
    /// A new token of Ada's.
    #[track_caller]
    fn issue(&self, stage: &Stage) -> Token {
        stage.server.issue(self.api, self.grant)
    }

    /// Checks that the token opens the door.
    #[track_caller]
    fn opens(&self, stage: &Stage, token: &Token) -> Received {
        stage.admitted(self.path, (self.send)(token))
    }

    /// Checks that the token is refused as one that does not exist.
    #[track_caller]
    fn is_invalid(&self, stage: &Stage, token: &Token) -> Response {
        let response = stage.refused(self.path, (self.send)(token));
        self.says_invalid(&response);
        response
    }

    #[track_caller]
    fn says_invalid(&self, response: &Response) {
        refuses(response, 401, self.challenge, &(self.invalid)(response));
    }
}

/// The five APIs in front of an upstream that remembers.
struct Stage {
    server: Server,
    upstream: Upstream,
}

impl Stage {
    fn set() -> Self {
        let upstream = Upstream::start();
        let server = Installation::of_examples(&upstream).set_up().start();
        Self { server, upstream }
    }

    /// What reached the upstream of a request that was let through.
    #[track_caller]
    fn admitted(&self, path: &str, arguments: impl IntoIterator<Item = String>) -> Received {
        let response = self.server.curl(path, arguments);
        assert_eq!(response.status, 200, "{response:?}");
        let received = self.upstream.take_one();
        assert!(response.text().is_empty() || response.text().starts_with("upstream says: "));
        for name in ["authorization", "proxy-authorization", "cookie"] {
            assert!(received.values(name).is_empty(), "{received:?}");
        }
        for name in ["x-finout-client-id", "x-finout-secret-key"] {
            assert!(received.values(name).is_empty(), "{received:?}");
        }
        received
    }

    /// The answer to a request that never reached the upstream.
    #[track_caller]
    fn refused(&self, path: &str, arguments: impl IntoIterator<Item = String>) -> Response {
        let response = self.server.curl(path, arguments);
        let received = self.upstream.take();
        assert!(received.is_empty(), "{response:?}\n{received:?}");
        assert_eq!(response.header("cache-control"), "no-store");
        response
    }
}

/// Checks a refusal: its status, its challenges, with commas between them, and its body, as
/// parsed JSON.
#[track_caller]
fn refuses(response: &Response, status: u16, challenge: &str, body: &Value) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.values("www-authenticate").join(", "), challenge, "{response:?}");
    assert_eq!(response.json(), *body);
    assert!(!response.request_id().is_empty());
}

/// The same, for a refusal that no challenge goes with.
#[track_caller]
fn forbids(response: &Response, body: &Value) {
    assert_eq!(response.status, 403, "{response:?}");
    assert!(response.values("www-authenticate").is_empty(), "{response:?}");
    assert_eq!(response.json(), *body);
}

/// The fields that an upstream sees with a token of no role and no scopes.
fn plain_identity(token: &Token) -> Identity {
    Identity {
        token: token.id.clone(),
        account: token.owner.clone(),
        organization: token.organization.clone(),
        ..Identity::default()
    }
}

/// `curl`'s arguments for these header lines.
fn headers(lines: &[&str]) -> Vec<String> {
    lines.iter().flat_map(|line| ["--header".to_owned(), (*line).to_owned()]).collect()
}

/// `curl`'s arguments for one `Authorization` line.
fn authorization(value: &str) -> Vec<String> {
    headers(&[&format!("Authorization: {value}")])
}

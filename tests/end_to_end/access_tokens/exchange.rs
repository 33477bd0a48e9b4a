//! As Togai's document has them: obtained with a secret, sent as a bearer token.

use super::{Stage, access_token, authenticate, claims, parts, published, says};
use crate::{
    installation::{ADA, Installation, Token},
    response::{Response, curl},
    server::Server,
    upstream::Upstream,
};
use serde_json::json;

struct Togai {
    server: Server,
    token: Token,
    _upstream: Upstream,
}

impl Togai {
    fn start() -> Self {
        let upstream = Upstream::start();
        let server = Installation::of_examples(&upstream).set_up().start();
        let token = server.issue("togai", &["--name", "ingest"]);
        Self { server, token, _upstream: upstream }
    }

    fn authenticate(&self, bearer: &str) -> Response {
        authenticate(self.server.main, bearer)
    }

    fn access_token(&self, bearer: &str) -> String {
        access_token(self.server.main, bearer)
    }

    /// What the API answers to a bearer.
    fn status(&self, bearer: &str) -> u16 {
        let line = format!("Authorization: Bearer {bearer}");
        self.server.curl("/togai/events", ["--header", &line]).status
    }
}

#[test]
fn a_secret_is_exchanged_and_an_access_token_for_itself() {
    let it = Togai::start();
    let access_token = it.access_token(&it.token.secret);
    let says = claims(&access_token);
    assert_eq!(says["aud"], json!("togai"));
    assert_eq!(says["client_id"], json!(it.token.id));
    assert_eq!(says["exp"].as_u64().unwrap() - says["iat"].as_u64().unwrap(), 24 * 60 * 60);
    assert_eq!(it.status(&access_token), 200);
    assert_eq!(it.access_token(&access_token), access_token);
    // The gateway exchanges too, at its root and where the API is.
    for path in ["/authenticate", "/togai/authenticate"] {
        let line = format!("Authorization: Bearer {}", it.token.secret);
        let answer = it.server.curl(path, ["--request", "POST", "--header", &line]);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(it.status(answer.json()["token"].as_str().unwrap()), 200, "{path}");
    }
}

#[test]
fn it_ends_with_its_token() {
    let it = Togai::start();
    let access_token = it.access_token(&it.token.secret);
    let token = &it.token.id;
    it.server.cli(["token", "pause", token]).done();
    assert_eq!(it.status(&access_token), 401);
    assert_eq!(it.authenticate(&access_token).status, 401);
    it.server.cli(["token", "resume", token]).done();
    assert_eq!(it.status(&access_token), 200);
    it.server.cli(["token", "rotate", token]).done();
    assert_eq!(it.status(&access_token), 401);
    let soon = it.server.issue("togai", &["--expires-in", "1h"]);
    let says = claims(&it.access_token(&soon.secret));
    assert!(says["exp"].as_u64().unwrap() - says["iat"].as_u64().unwrap() <= 60 * 60);
    let access_token = it.access_token(&soon.secret);
    it.server.cli(["token", "revoke", &soon.id]).done();
    assert_eq!(it.status(&access_token), 401);
}

#[test]
fn whoever_has_none_gets_none() {
    let it = Togai::start();
    let face = |bearer: &str| {
        let answer = it.authenticate(bearer);
        assert_eq!(answer.status, 401, "{bearer}");
        answer.json()["message"].clone()
    };
    let unknown = face("tog_live_0000000000000000000000000000000000000000");
    let access_token = it.access_token(&it.token.secret);
    let (signed, _) = access_token.rsplit_once('.').unwrap();
    for forged in
        [format!("{signed}."), format!("{signed}.AAAA"), "eyJhbGciOiJub25lIn0.e30.".into()]
    {
        assert_eq!(face(&forged), unknown, "{forged}");
        assert_eq!(it.status(&forged), 401, "{forged}");
    }
    // The token of an API without access tokens is good for none.
    let other = it.server.issue("selectstar", &[]);
    assert_eq!(face(&other.secret), unknown);
    // An access token is for one API.
    let line = format!("Authorization: Token {access_token}");
    assert_eq!(it.server.curl("/selectstar/v1/tables/", ["--header", &line]).status, 401);
}

#[test]
fn the_keys_are_published() {
    let it = Togai::start();
    let header = says(parts(&it.access_token(&it.token.secret))[0]);
    let keys = published(it.server.main);
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!(
        (&key["kty"], &key["crv"], &header["typ"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("at+jwt"))
    );
    assert!(key.get("d").is_none());
}

/// What others verify by themselves must not say more than what it was narrowed to.
#[test]
fn a_role_is_claimed_only_with_all_that_it_allows() {
    let stage = Stage::set();
    let token = stage.server.issue("ingest", &["--role", "writer"]);
    let whole = claims(&stage.access_token(&token.secret));
    assert_eq!((&whole["role"], &whole["scope"]), (&json!("writer"), &json!("read write")));
    let asked = |scope: &str| {
        let pair = format!("{}:{}", token.id, token.secret);
        let form = format!("grant_type=client_credentials&scope={scope}");
        let answer = curl(stage.server.main, "/oauth2/token", ["--user", &pair, "--data", &form]);
        claims(answer.json()["access_token"].as_str().unwrap())
    };
    let narrow = asked("read");
    assert_eq!((narrow.get("role"), &narrow["scope"]), (None, &json!("read")));
    assert_eq!(asked("write+read")["role"], "writer");
    // And of what an API without scopes has, nothing is claimed.
    let billing = claims(&stage.access_token(&stage.billing.secret));
    assert!(billing.get("scope").is_none(), "{billing}");
}

/// A secret is shown in one way, whatever else its API takes; and where the mount is not taken
/// off the path, the exchange is below it all the same.
#[test]
fn by_a_bearer_alone_below_every_mount() {
    let upstream = Upstream::start();
    let server = Installation::new(&format!(
        r#"
        [api.kept]
        upstream = "{}"
        mount = {{ path = "/kept", strip = false }}
        schemes = ["bearer", "basic"]
        [api.kept.access_tokens]
        "#,
        upstream.url()
    ));
    let server = server.set_up().start();
    let token = server.issue("kept", &[]);
    let line = format!("Authorization: Bearer {}", token.secret);
    let exchanged = server.curl("/kept/authenticate", ["--request", "POST", "--header", &line]);
    assert_eq!(exchanged.status, 200, "{exchanged:?}");
    assert_eq!(claims(exchanged.json()["token"].as_str().unwrap())["aud"], "kept");
    let pair = format!("{ADA}:{}", token.secret);
    for (address, path) in [(server.gateway, "/kept/authenticate"), (server.main, "/authenticate")]
    {
        let refused = curl(address, path, ["--request", "POST", "--user", &pair]);
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.header("www-authenticate").starts_with("Bearer"), "{refused:?}");
    }
    assert!(upstream.take().is_empty());
    let other = server.curl("/kept/authenticate", ["--header", &line]);
    assert_eq!((other.status, upstream.take().len()), (200, 1), "a GET is the upstream's");
}

//! Envoy checks access tokens by itself, with our keys and the configuration of its page.

use super::{
    Proxy,
    programs::{Program, page, with_ports},
};
use crate::{
    installation::{Installation, Token},
    response::curl,
    server::Server,
    upstream::{Identity, Upstream},
};

const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"
[api.orders.scopes]
read = "Read"
write = "Write"
[api.orders.roles]
viewer = ["read"]
[api.orders.access_tokens]
lifetime = "15m"

[api.billing]
upstream = "http://127.0.0.1:1"
[api.billing.access_tokens]
lifetime = "15m"
"#;

fn access_token(server: &Server, token: &Token) -> String {
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let answer = curl(server.main, "/authenticate", ["--request", "POST", "--header", &bearer]);
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// Both algorithms.
#[test]
fn access_tokens_by_our_keys() {
    for algorithm in ["", "algorithm = \"ES256\"\n"] {
        let upstream = Upstream::start();
        let apis =
            APIS.replace("lifetime = \"15m\"\n", &format!("lifetime = \"15m\"\n{algorithm}"));
        let mut installation = Installation::new(&apis);
        installation.set("COUNTERFOIL_SERVER_PUBLIC_URL", "https://tokens.example.com");
        let server = installation.set_up().start();
        let page = with_ports(&page(Proxy::Envoy, 1), 8080, server.main);
        let envoy = Program::envoy(&with_ports(&page, 9000, upstream.address));

        let token = server.issue("orders", &["--role", "viewer"]);
        let right = access_token(&server, &token);
        let send = |credential: &str, line: &str| {
            let bearer = format!("Authorization: Bearer {credential}");
            curl(envoy.address, "/orders/7", ["--header", &bearer, "--header", line])
        };
        for line in ["X-A: b", "X-Counterfoil-Role: king", "Connection: X-Counterfoil-Role"] {
            let response = send(&right, line);
            assert_eq!(response.status, 200, "{response:?}");
            let received = upstream.take_one();
            let expected = Identity {
                token: token.id.clone(),
                account: token.owner.clone(),
                organization: token.organization.clone(),
                role: "viewer".into(),
                scopes: "read".into(),
            };
            assert_eq!(received.identity(), expected);
            assert!(!received.holds(&right) && !received.holds("king"), "{received:?}");
        }

        // The secret itself, another API's, one that somebody changed, one in the query.
        let billing = access_token(&server, &server.issue("billing", &[]));
        let parts: Vec<&str> = right.split('.').collect();
        let unsigned = format!("{}.{}.", parts[0], parts[1]);
        let none = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
        let other = billing.rsplit('.').next().unwrap();
        let swapped = format!("{}.{}.{other}", parts[0], parts[1]);
        for wrong in [&token.secret, &billing, &unsigned, &none, &swapped] {
            let refused = send(wrong, "X-A: b");
            assert!([401, 403].contains(&refused.status), "{refused:?}");
        }
        let nothing: [&str; 0] = [];
        for path in ["/orders/7", &format!("/orders/7?access_token={right}")] {
            assert_eq!(curl(envoy.address, path, nothing).status, 401);
        }
        assert!(upstream.take().is_empty());

        // As the page says: it does not hear of a revocation.
        server.cli(["token", "revoke", &token.id]).done();
        assert_eq!(send(&right, "X-A: b").status, 200);
        // Nor does it have to ask while it has the keys.
        let _home = server.stop();
        assert_eq!(send(&right, "X-A: b").status, 200);
    }
}

//! Two servers on one database that change the same at the same moment: one order of it holds, at
//! both of them and in the ledger.

use super::{installation, judged};
use crate::{
    installation::Token, postgres::Postgres, response::Response, server::Server, upstream::Upstream,
};
use serde_json::{Value, json};
use std::{collections::HashSet, thread};

const ROUNDS: usize = 8;

/// The same calls at both, at once; what they are answered.
fn at_once(servers: &[Server; 2], calls: &[(&str, &str, Value)]) -> Vec<Response> {
    thread::scope(|scope| {
        let call = |(server, (method, path, body)): (&Server, &(&str, &str, Value))| {
            server.operator().unwrap().call(method, path, &body.to_string()).unwrap()
        };
        let each = servers.iter().flat_map(|server| calls.iter().map(move |it| (server, it)));
        let asking: Vec<_> = each.map(|it| scope.spawn(move || call(it))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    })
}

#[test]
fn of_changes_side_by_side_one_order_holds_everywhere() {
    let (postgres, upstream) = (Postgres::start(), Upstream::start());
    let url = postgres.url();
    drop(installation(&upstream, &url).set_up());
    let servers = [(); 2].map(|()| installation(&upstream, &url).start());
    for round in 0..ROUNDS {
        let token = servers[round % 2].issue("orders", &["--note", "first"]);
        let path = |what: &str| format!("/v1/tokens/{}{what}", token.id);

        // Both notes cannot be the one that was changed last; both changes may be made.
        let notes = ["one", "two"].map(|note| json!({"note": note}));
        let itself = path("");
        let answers = at_once(&servers, &notes.map(|note| ("PATCH", &*itself, note)));
        assert!(answers.iter().all(|it| [200, 409].contains(&it.status)), "{answers:?}");
        let shown: HashSet<String> = servers
            .iter()
            .map(|server| {
                let shown = server.operator().unwrap().call("GET", &itself, "").unwrap().json();
                shown["note"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(shown.len(), 1, "{shown:?}");

        // However often it was rotated, one secret is the present one, at both.
        let answers = at_once(&servers, &[("POST", &path("/rotate"), json!({}))]);
        let secrets: Vec<Token> = answers
            .iter()
            .filter(|it| it.status == 200)
            .map(|it| Token {
                secret: it.json()["secret"].as_str().unwrap().into(),
                ..token.clone()
            })
            .collect();
        assert!(!secrets.is_empty(), "{answers:?}");
        let accepted = |server: &Server| {
            let good = secrets.iter().filter(|it| judged(server, it) == 200);
            good.map(|it| it.secret.clone()).collect::<Vec<_>>()
        };
        let present = accepted(&servers[0]);
        assert_eq!((present.len(), &accepted(&servers[1])), (1, &present));
        assert_eq!(judged(&servers[1], &token), 401);

        // Revoked once, whoever asks how often.
        let answers = at_once(&servers, &[("POST", &path("/revoke"), json!({}))]);
        assert!(answers.iter().all(|it| it.status == 200), "{answers:?}");
        let moments: HashSet<String> =
            answers.iter().map(|it| it.json()["revoked_at"].to_string()).collect();
        assert_eq!(moments.len(), 1, "{moments:?}");
        for server in &servers {
            assert_eq!(judged(server, &Token { secret: present[0].clone(), ..token.clone() }), 401);
        }
        // An address is one account's.
        let bob = json!({"email": format!("bob{round}@example.com")});
        let mut made: Vec<u16> = at_once(&servers, &[("POST", "/v1/accounts", bob)])
            .iter()
            .map(|it| it.status)
            .collect();
        made.sort_unstable();
        assert_eq!(made, [201, 409]);
    }
    let revoked = "SELECT count(*) FROM ledger
         WHERE convert_from(entry, 'UTF8')::json ->> 'kind' = 'token_revoked'";
    assert_eq!(postgres.run("test_0", revoked), ROUNDS.to_string());
    let [first, second] = servers.map(|server| {
        let shown = server.operator().unwrap().call("GET", "/v1/tokens?state=revoked", "").unwrap();
        assert_eq!(shown.status, 200, "{shown:?}");
        server.cli(["ledger", "verify", "--json"]).done().json()
    });
    assert_eq!(first, second);
}

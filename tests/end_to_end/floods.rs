//! Floods of what proves nothing: refused in constant memory, and throttled where that is
//! configured, while whoever has a token goes on.

use crate::{
    caller::Caller,
    installation::{ADA, Installation},
    response::Response,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use serde_json::json;
use std::{fmt::Write as _, thread};

/// How many credentials that prove nothing an address may show in the tests here.
const MOST: usize = 12;

const APIS: &str = r#"
[gateway]
trusted_proxies = ["127.0.0.1"]
[doors]
unproven = "12/31d"
[api.orders]
upstream = "UPSTREAM"
[api.orders.tokens]
prefix = "ord"
"#;

fn server(configuration: &str) -> (Server, Upstream) {
    let upstream = Upstream::start();
    let configuration = configuration.replace("UPSTREAM", &upstream.url());
    (Installation::new(&configuration).set_up().start(), upstream)
}

/// A request of `client`'s to the gateway, with this `Authorization`.
fn ask(server: &Server, client: &str, authorization: &str) -> Response {
    let lines = [format!("X-Forwarded-For: {client}"), format!("Authorization: {authorization}")];
    server.curl("/orders/7", lines.iter().flat_map(|line| ["--header", line]))
}

/// What of `name` has been counted.
fn counted(server: &Server, name: &str) -> u64 {
    let metrics = server.scrape();
    let values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.split(' ').next_back());
    values.map(|value| value.parse::<u64>().unwrap()).sum()
}

#[test]
fn an_address_that_shows_too_much_waits_and_its_tokens_pass() {
    let (server, upstream) = server(APIS);
    let token = server.issue("orders", &[]);
    let revoked = server.issue("orders", &[]);
    server.cli(["token", "revoke", &revoked.id]).done();
    let mistyped = format!("{}x", token.secret);
    let unknown = "ord_".to_owned() + &"0".repeat(39);
    let shown = [
        format!("Bearer {}", revoked.secret),
        format!("Bearer {mistyped}"),
        format!("Bearer {unknown}"),
        "Bearer".to_owned(),
    ];
    let client = "203.0.113.9";
    let mut last = String::new();
    for n in 0..MOST {
        let refused = ask(&server, client, &shown[n % shown.len()]);
        assert_eq!(refused.status, 401, "{n}: {refused:?}");
        last = refused.request_id().to_owned();
    }
    // From now on every one of them is answered alike.
    for shown in &shown {
        let refused = ask(&server, client, shown);
        assert_eq!(refused.status, 429, "{shown}: {refused:?}");
        assert_eq!(refused.json()["code"], "rate_limited");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=31 * 86_400).contains(&wait), "{wait}");
        // Of the last that was written down there is a reason; of these there is none.
        server.cli(["why", &last]).done();
        server.cli(["why", refused.request_id()]).failed(1);
    }
    // At the other doors, too.
    let service = Caller::new(&server, ADA, &["orders:verify"], &[]);
    let question = json!({"api": "orders", "secret": unknown, "client_address": client});
    let verified = service.post("/v1/verify", &question).json();
    assert_eq!(verified["active"], false);
    assert_eq!(verified["refusal"]["status"], 429, "{verified}");
    assert!(upstream.take().is_empty());

    // What proves something passes, and whoever shows nothing is asked for something.
    assert_eq!(ask(&server, client, &format!("Bearer {}", token.secret)).status, 200);
    assert_eq!(ask(&server, client, "Negotiate 7").status, 401);
    // So does everybody elsewhere, as often.
    assert_eq!(ask(&server, "203.0.113.10", &shown[2]).status, 401);
    assert_eq!(counted(&server, "counterfoil_throttled_total"), 5);
    let refused = counted(
        &server,
        "counterfoil_requests_total{door=\"gateway\",api=\"orders\",outcome=\"unknown_token\"",
    );
    // The second and the third of what is shown here, four times each, and once from elsewhere.
    assert_eq!(refused, 9, "the true reasons are counted all the same");

    let log = server.process().log();
    let told = log.lines().filter(|line| line.contains("too many credentials that prove nothing"));
    assert_eq!(told.count(), 1, "{log}");
}

/// Sends so many requests of as many addresses, each with a credential that nobody knows,
/// every other one malformed.
fn flood(server: &Server, begin: u32, count: u32) {
    let each = count / 4;
    thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                let mut wire = Wire::connect(server.gateway).unwrap();
                let begin = begin + part * each;
                for first in (begin..begin + each).step_by(50) {
                    let mut requests = String::new();
                    for n in first..first + 50 {
                        let address = std::net::Ipv4Addr::from(0x0a00_0000 | n);
                        let secret =
                            if n % 2 == 0 { format!("{n:039}") } else { format!("ord_{n:039}") };
                        write!(
                            requests,
                            "GET /orders/{n} HTTP/1.1\r\nhost: gateway\r\nx-forwarded-for: \
                             {address}\r\nauthorization: Bearer {secret}\r\n\r\n"
                        )
                        .unwrap();
                    }
                    wire.send(requests).unwrap();
                    for _ in 0..50 {
                        assert_eq!(wire.read_response().unwrap().status, 401);
                    }
                }
            });
        }
    });
}

#[test]
fn a_flood_takes_no_memory() {
    let configuration = format!("{APIS}\n[log]\nlevel = \"info,counterfoil::http=warn\"\n");
    let (server, upstream) = server(&configuration);
    // Whatever is made once is made: buffers, the ring of refusals, the database's cache.
    flood(&server, 0, 20_000);
    let before = server.memory();
    flood(&server, 100_000, 200_000);
    let after = server.memory();
    assert!(after < before + (8 << 20), "{before} bytes, and then {after}");
    assert!(upstream.take().is_empty());
}

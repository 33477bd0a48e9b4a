//! What happens to a token after it was made, on its pages and at the gateway.

use crate::{
    installation::{ADA, Installation},
    response::Response,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};

const PASSWORD: &str = "correct horse battery staple";
const EVE: &str = "eve@example.com";

/// Ada administers one organization, Eve another.
fn started(upstream: &Upstream) -> Server {
    let api = format!("[api.orders]\nupstream = \"{}\"\n", upstream.url());
    let installation = Installation::new(&api);
    let init = ["init", "--email", ADA, "--organization", "Acme", "--password-file", "-"];
    installation.cli_reading(PASSWORD, init).done();
    installation.cli(["organization", "create", "--name", "Other"]).done();
    let create = ["account", "create", "--email", EVE, "--password-file", "-"];
    let eve = ["--organization", "Other", "--rank", "administrator"];
    installation.cli_reading(PASSWORD, create.into_iter().chain(eve)).done();
    installation.start()
}

/// The cookie of somebody who has signed in.
fn sign_in(server: &Server, email: &str) -> String {
    let email = email.replace('@', "%40");
    let form = format!("email={email}&password={}", PASSWORD.replace(' ', "+"));
    let answer = post(server, "", "/sign-in", &form);
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn written(server: &Server, cookie: &str, origin: &str, path: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\ncookie: {cookie}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        server.main,
        form.len()
    )
}

fn post(server: &Server, cookie: &str, path: &str, form: &str) -> Response {
    let request = written(server, cookie, &format!("http://{}", server.main), path, form);
    Wire::connect(server.main).unwrap().exchange(request).unwrap()
}

fn get(server: &Server, cookie: &str, path: &str) -> Response {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\naccept: text/html\r\ncookie: {cookie}\r\n\r\n",
        server.main
    );
    Wire::connect(server.main).unwrap().exchange(request).unwrap()
}

/// What the gateway says to this secret.
fn status(server: &Server, secret: &str) -> u16 {
    server.curl("/orders/x", ["-H", &format!("Authorization: Bearer {secret}")]).status
}

/// What stands between two texts on a page.
fn between<'a>(page: &'a Response, before: &str, after: &str) -> &'a str {
    let (_, rest) = page.text().split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

#[test]
fn a_token_is_refused_before_anybody_has_read_that_it_is() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let ada = sign_in(&server, ADA);
    let token = server.issue("orders", &[]);
    assert_eq!(status(&server, &token.secret), 200);
    let path = format!("/tokens/{}/revoke", token.id);
    let dialog = get(&server, &ada, &path);
    assert_eq!(dialog.status, 200);
    assert!(dialog.text().contains("127.0.0.1"), "{}", dialog.text());

    let origin = format!("http://{}", server.main);
    let mut wire = Wire::connect(server.main).unwrap();
    wire.send(written(&server, &ada, &origin, &path, "reason=leaked")).unwrap();
    let head = wire.read_head().unwrap();
    assert_eq!(status(&server, &token.secret), 401);
    let receipt = format!("/tokens/{}/receipt", token.id);
    assert!(head.starts_with("HTTP/1.1 303 ") && head.contains(&receipt), "{head}");
    let page = get(&server, &ada, &receipt);
    assert!(page.text().contains("Refused on 1 of 1 in "), "{}", page.text());
    let entry = between(&page, "<dt>Entry</dt><dd class=\"mono\">", "</dd>").to_owned();
    let hash = between(&page, "<dt>Hash</dt><dd><code>", "</code>").to_owned();

    // The receipt is the ledger's: another server shows the same of it.
    let server = server.kill().start();
    let ada = sign_in(&server, ADA);
    let page = get(&server, &ada, &receipt);
    assert!(page.text().contains("Refused on 1 of 1<"), "{}", page.text());
    assert_eq!(between(&page, "<dt>Entry</dt><dd class=\"mono\">", "</dd>"), entry);
    assert_eq!(between(&page, "<dt>Hash</dt><dd><code>", "</code>"), hash);
    assert_eq!(status(&server, &token.secret), 401);
}

#[test]
fn both_secrets_work_until_the_old_one_is_ended() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let ada = sign_in(&server, ADA);
    let token = server.issue("orders", &[]);
    let path = format!("/tokens/{}/rotate", token.id);
    let dialog = get(&server, &ada, &path);
    let replaces = between(&dialog, "name=\"replaces\" value=\"", "\"");
    let form = format!("overlap=1h&replaces={replaces}");
    let shown = post(&server, &ada, &path, &form);
    assert_eq!((shown.status, shown.header("cache-control")), (200, "no-store"));
    let code = between(&shown, "<code id=\"secret\"", "</code>");
    let secret = code.split_once('>').unwrap().1.to_owned();
    assert_eq!((status(&server, &token.secret), status(&server, &secret)), (200, 200));

    // A reload: nothing happens, and nothing is shown.
    let again = post(&server, &ada, &path, &form);
    assert_eq!(again.status, 303);
    let page = get(&server, &ada, again.header("location"));
    assert!(page.text().contains("was shown that once") && !page.text().contains(&secret));
    assert_eq!((status(&server, &token.secret), status(&server, &secret)), (200, 200));

    let old = between(&page, "name=\"old\" value=\"", "\"");
    let ended = post(&server, &ada, &format!("{path}/end"), &format!("old={old}"));
    assert_eq!(ended.status, 303);
    assert_eq!((status(&server, &token.secret), status(&server, &secret)), (401, 200));
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn another_organizations_token_is_none_and_another_sites_form_does_nothing() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let (ada, eve) = (sign_in(&server, ADA), sign_in(&server, EVE));
    let token = server.issue_to(ADA, "orders", &[]);
    let path = |page: &str| format!("/tokens/{}{page}", token.id);
    for page in ["", "/edit", "/rotate", "/revoke", "/receipt"] {
        assert_eq!(get(&server, &eve, &path(page)).status, 404, "{page}");
        // Nobody at all is asked to sign in.
        assert_eq!(get(&server, "", &path(page)).status, 303, "{page}");
    }
    for page in ["/edit", "/rotate", "/rotate/end", "/pause", "/resume", "/revoke"] {
        let form = "name=x&overlap=now&replaces=x&old=x&reason=x";
        assert_eq!(post(&server, &eve, &path(page), form).status, 404, "{page}");
        for origin in ["http://evil.example", "null", &format!("https://{}", server.main)] {
            let request = written(&server, &ada, origin, &path(page), form);
            let answer = Wire::connect(server.main).unwrap().exchange(request).unwrap();
            assert_eq!(answer.status, 403, "{page} from {origin}");
        }
    }
    assert_eq!(status(&server, &token.secret), 200);
}

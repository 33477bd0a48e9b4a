//! Generating tokens: the forms, the one page that shows a secret, and all that comes after
//! it and shows none.

use counterfoil_support::{
    installation::{ADA, Installation},
    response::Response,
    server::Server,
    upstream::Upstream,
    visitor::{Visitor, hidden},
};

const BOB: &str = "bob@example.com";

struct Stage {
    server: Server,
    _upstream: Upstream,
    ada: Visitor,
    bob: Visitor,
}

impl Stage {
    /// The five examples; Ada administers, Bob is a member.
    fn set() -> Self {
        let upstream = Upstream::start();
        let installation = Installation::of_examples(&upstream).set_up();
        installation.give_password(ADA);
        installation.with_person(BOB, &[]);
        let server = installation.start();
        let ada = Visitor::sign_in(server.main, ADA);
        let bob = Visitor::sign_in(server.main, BOB);
        Self { server, _upstream: upstream, ada, bob }
    }

    fn tokens(&self) -> usize {
        self.server_list().as_array().unwrap().len()
    }

    fn server_list(&self) -> serde_json::Value {
        self.server.cli(["token", "list", "--json"]).done().json()["items"].clone()
    }
}

/// The secret on a page; none where there is none.
fn secret(page: &Response) -> Option<String> {
    let text = page.text();
    let at = text.find("<code id=\"secret\"")?;
    let value = text[at..].split_once('>')?.1.split('<').next()?;
    assert!(text.contains("data-secret"));
    Some(value.to_owned())
}

/// Whether a page holds anything that begins like a secret of these APIs and is as long.
fn holds_a_secret(page: &Response) -> bool {
    let words = page.text().split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut words = words.filter(|word| word.len() > 40);
    words.any(|word| word.contains("_live_"))
}

#[track_caller]
fn issue(visitor: &Visitor, api: &str, fields: &[(&str, &str)]) -> (Response, String) {
    let nonce = hidden(&visitor.get(&format!("/tokens/new?api={api}")), "nonce");
    let mut all = vec![("api", api), ("nonce", &*nonce)];
    all.extend(fields);
    let page = visitor.post("/tokens", &all);
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.header("content-type").starts_with("text/html"));
    let secret = secret(&page).unwrap();
    (page, secret)
}

#[test]
fn every_example_issues_a_token_that_works() {
    let stage = Stage::set();
    for (api, fields, send) in [
        ("facets", &[("note", "nightly report")][..], "basic"),
        ("togai", &[("name", "ingest")], "bearer"),
        ("selectstar", &[], "token"),
        ("finout", &[("name", "costs"), ("role", "viewer"), ("expires_in", "30d")], "pair"),
        ("aristotle", &[("name", "harvest"), ("scope", "search:read")], "token"),
    ] {
        let (page, secret) = issue(&stage.ada, api, fields);
        let list = stage.server_list();
        let token = list.as_array().unwrap().iter().find(|token| token["api"] == api).unwrap();
        let id = token["id"].as_str().unwrap();
        assert!(page.text().contains(&format!("data-live=\"/tokens/{id}/live?reveal\"")));
        let arguments = match send {
            "basic" => vec!["--user".into(), format!("{ADA}:{secret}")],
            "bearer" => vec!["--header".into(), format!("Authorization: Bearer {secret}")],
            "token" => vec!["--header".into(), format!("Authorization: Token {secret}")],
            _ => vec![
                "--header".into(),
                format!("x-finout-client-id: {id}"),
                "--header".into(),
                format!("x-finout-secret-key: {secret}"),
            ],
        };
        let path =
            if api == "aristotle" { "/aristotle/api/v4/search/x" } else { &format!("/{api}/x") };
        assert_eq!(stage.server.curl(path, &arguments).status, 200, "{api}");
        // The client ID is shown where a scheme has one, and nowhere else.
        assert_eq!(page.text().contains("id=\"client-id\""), api == "finout", "{api}");
        // The examples have this very token and this API's address in them.
        let address = format!("http://{}/{api}/", stage.server.gateway);
        assert!(page.text().contains(&address), "{api}");
        let unescaped = page.text().matches(&secret).count();
        assert!(unescaped >= 2, "{api}: {unescaped}");
    }
    let list = stage.ada.get("/tokens");
    for name in ["ingest", "costs", "harvest", "nightly report"] {
        assert!(list.text().contains(name), "{name}");
    }
    assert!(!holds_a_secret(&list));
}

#[test]
fn a_secret_is_told_once() {
    let stage = Stage::set();
    let nonce = hidden(&stage.ada.get("/tokens/new?api=togai"), "nonce");
    let fields = [("api", "togai"), ("nonce", &*nonce), ("name", "once")];
    let first = stage.ada.post("/tokens", &fields);
    let told = secret(&first).unwrap();
    assert_eq!(stage.tokens(), 1);
    for _ in 0..2 {
        let again = stage.ada.post("/tokens", &fields);
        assert_eq!((again.status, again.header("cache-control")), (200, "no-store"));
        assert!(again.text().contains("This secret was shown once"), "{again:?}");
        assert!(!again.text().contains(&told) && !holds_a_secret(&again));
        assert_eq!(stage.tokens(), 1);
    }
    // The same form, filled in otherwise, says so, and makes one when it is sent again.
    let other = [("api", "togai"), ("nonce", &*nonce), ("name", "twice")];
    let page = stage.ada.post("/tokens", &other);
    assert_eq!(page.status, 409);
    assert!(page.text().contains("This form has made a token already"));
    assert!(page.text().contains("value=\"twice\""));
    assert!(!holds_a_secret(&page));
    assert_eq!(stage.tokens(), 1);
    let fresh = hidden(&page, "nonce");
    assert_ne!(fresh, nonce);
    let fields = [("api", "togai"), ("nonce", &*fresh), ("name", "twice")];
    assert!(secret(&stage.ada.post("/tokens", &fields)).is_some());
    assert_eq!(stage.tokens(), 2);

    let id = stage.server_list()[0]["id"].as_str().unwrap().to_owned();
    for path in ["/tokens", "/tokens?api=togai", &format!("/tokens/{id}/shown")] {
        let page = stage.ada.get(path);
        assert_eq!((page.status, page.header("cache-control")), (200, "no-store"), "{path}");
        assert!(!page.text().contains(&told) && !holds_a_secret(&page), "{path}");
    }
    // Somebody else learns nothing of it.
    assert_eq!(stage.bob.get(&format!("/tokens/{id}/shown")).status, 404);
    assert_eq!(stage.bob.get("/tokens/nonsense/shown").status, 404);
}

#[test]
fn a_form_is_its_owners_and_of_use_once() {
    let stage = Stage::set();
    let nonce = hidden(&stage.ada.get("/tokens/new?api=togai"), "nonce");
    for nonce in [&*nonce, "", "made-up", &format!("{}0", &nonce[..nonce.len() - 1])] {
        let page =
            stage.bob.post("/tokens", &[("api", "togai"), ("nonce", nonce), ("name", "kept")]);
        assert_eq!(page.status, 422, "{nonce}");
        assert!(page.text().contains("Nothing was made"));
        assert!(page.text().contains("value=\"kept\""));
        assert!(!holds_a_secret(&page));
    }
    assert_eq!(stage.tokens(), 0);
    // It still works for whom it was made.
    let fields = [("api", "togai"), ("nonce", &*nonce), ("name", "ada's")];
    assert!(secret(&stage.ada.post("/tokens", &fields)).is_some());
    // From elsewhere nothing does.
    let nonce = hidden(&stage.ada.get("/tokens/new?api=togai"), "nonce");
    let fields = [("api", "togai"), ("nonce", &*nonce), ("name", "theirs")];
    let page = stage.ada.post_from("https://evil.example", "/tokens", &fields);
    assert_eq!(page.status, 403);
    assert_eq!(stage.tokens(), 1);
}

#[test]
fn what_is_wrong_stands_beside_the_field_and_nothing_typed_is_lost() {
    let stage = Stage::set();
    let long = "x".repeat(101);
    for (api, fields, says, keeps) in [
        (
            "togai",
            &[("name", &*long)][..],
            "Must not be longer than 100 characters.",
            vec![format!("value=\"{long}\"")],
        ),
        (
            "facets",
            &[("note", "<b>\u{202e}")],
            "Must not contain control characters or invisible ones.",
            vec!["&#60;b&#62;".into()],
        ),
        (
            "finout",
            &[("name", "kept"), ("role", "owner"), ("expires_in", "7d")],
            "No role &#34;owner&#34;; the API has",
            vec!["value=\"kept\"".into(), "value=\"7d\" data-until".into()],
        ),
        (
            "finout",
            &[("name", "kept"), ("role", "viewer"), ("expires_in", "400d")],
            "Tokens of this API live 365d at most.",
            vec!["value=\"kept\"".into()],
        ),
        (
            "finout",
            &[("role", "editor"), ("expires_in", "custom"), ("expires_on", "2001-01-01")],
            "Must lie in the future.",
            vec!["value=\"2001-01-01\"".into()],
        ),
        (
            "aristotle",
            &[("name", "kept"), ("expires_in", "never")],
            "Choose at least one",
            vec!["value=\"kept\"".into()],
        ),
        (
            "aristotle",
            &[("scope", "metadata:read"), ("scope", "admin:write")],
            "No scope &#34;admin:write&#34;",
            vec!["value=\"metadata:read\" data-phrase=\"read metadata\" checked".into()],
        ),
    ] {
        let nonce = hidden(&stage.ada.get(&format!("/tokens/new?api={api}")), "nonce");
        let mut all = vec![("api", api), ("nonce", &*nonce)];
        all.extend(fields);
        let page = stage.ada.post("/tokens", &all);
        assert_eq!(page.status, 422, "{api} {fields:?}");
        for text in keeps.iter().map(String::as_str).chain([says, "aria-invalid", &nonce]) {
            let is_choice = text == "aria-invalid"
                && (says.contains("role") || says.contains("scope") || says.starts_with("Choose"));
            assert!(is_choice || page.text().contains(text), "{text:?} is not in {}", page.text());
        }
    }
    assert_eq!(stage.tokens(), 0);
}

#[test]
fn what_only_administrators_issue_is_not_there_for_members() {
    let stage = Stage::set();
    for path in ["/tokens?api=finout", "/tokens/new?api=finout", "/tokens?api=nonsense"] {
        assert_eq!(stage.bob.get(path).status, 404, "{path}");
    }
    let nonce = hidden(&stage.bob.get("/tokens/new?api=togai"), "nonce");
    for api in ["finout", "counterfoil", "", "nonsense"] {
        let fields = [("api", api), ("nonce", &*nonce), ("role", "viewer"), ("name", "x")];
        assert_eq!(stage.bob.post("/tokens", &fields).status, 404, "{api}");
    }
    assert!(!stage.bob.get("/tokens").text().contains("finout"));
    assert!(stage.ada.get("/tokens").text().contains("finout"));
    assert_eq!(stage.tokens(), 0);
}

#[test]
fn lists_are_filtered_searched_sorted_and_paged() {
    let stage = Stage::set();
    for number in 0..30 {
        let name = format!("{}-{number:02}", if number % 2 == 0 { "even" } else { "ODD" });
        stage.server.issue("togai", &["--name", &name]);
    }
    let names = |page: &Response| -> Vec<String> {
        let text = page.text();
        let rows = text.split("<td class=\"lead\"><a href=\"").skip(1);
        rows.map(|row| row.split_once('>').unwrap().1.split('<').next().unwrap().to_owned())
            .collect()
    };
    let first = stage.ada.get("/tokens?api=togai");
    let shown = names(&first);
    assert_eq!((shown.len(), &*shown[0]), (20, "ODD-29"));
    let text = first.text();
    let next = text.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let second = stage.ada.get(&next.replace("&#38;", "&").replace("&amp;", "&"));
    let shown = names(&second);
    assert_eq!((shown.len(), &*shown[0], &*shown[9]), (10, "ODD-09", "even-00"));
    let by_name = names(&stage.ada.get("/tokens?api=togai&sort=name"));
    assert_eq!((&*by_name[0], &*by_name[15]), ("even-00", "ODD-01"));
    let found = names(&stage.ada.get("/tokens?search=odd-0"));
    assert_eq!(found, ["ODD-09", "ODD-07", "ODD-05", "ODD-03", "ODD-01"]);
    assert_eq!(names(&stage.ada.get("/tokens?state=revoked")).len(), 0);
    assert_eq!(names(&stage.ada.get("/tokens?api=facets")).len(), 0);
    assert_eq!(names(&stage.bob.get("/tokens")).len(), 0);
}

/// A page, with all that it asks for.
fn weight(visitor: &Visitor, page: &Response) -> usize {
    let text = page.text();
    let assets = text.match_indices("/assets/").map(|(at, _)| {
        let path = text[at..].split('"').next().unwrap();
        visitor.get(path).body.len()
    });
    page.body.len() + assets.sum::<usize>()
}

#[test]
fn no_page_costs_more_than_sixty_kilobytes() {
    let stage = Stage::set();
    for number in 0..30 {
        let name = format!("a name that says something, {number}");
        stage.server.issue("finout", &["--role", "viewer", "--name", &name, "--note", &name]);
    }
    let most = 60 * 1024;
    let paths =
        ["/tokens", "/tokens?api=finout", "/tokens/new?api=finout", "/tokens/new?api=aristotle"];
    for path in paths {
        let bytes = weight(&stage.ada, &stage.ada.get(path));
        assert!(bytes <= most, "{path}: {bytes}");
    }
    let fields = [("name", "costs"), ("role", "editor"), ("expires_in", "never")];
    let (page, _) = issue(&stage.ada, "finout", &fields);
    let bytes = weight(&stage.ada, &page);
    assert!(bytes <= most, "the reveal: {bytes}, of it the page {}", page.body.len());
}

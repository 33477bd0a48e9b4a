//! What the other tests rely on: that the browser does what it is told, and that whoever
//! checks a page would find something if there were something.

use counterfoil_support::{
    browser::{Browser, Key},
    installation::Installation,
    upstream::{Received, Upstream},
};
use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;

const SOUND: &str = r#"<!doctype html>
<html lang="en">
<head>
  <title>Sound</title>
  <meta name="viewport" content="width=device-width">
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/style.css">
  <script src="/script.js" defer></script>
</head>
<body>
  <main>
    <h1>Sound</h1>
    <p id="told">no script</p>
    <form action="/sent">
      <label for="name">Name</label> <input id="name" name="name">
      <label><input type="checkbox" name="sure" value="yes"> Sure</label>
      <label for="kind">Kind</label>
      <select id="kind" name="kind"><option>one</option><option value="2">two</option></select>
      <button>Send it</button>
    </form>
    <details><summary>More</summary><a href="/hidden">Another page</a></details>
    <a href="/other">Another page</a>
  </main>
</body>
</html>"#;

const STYLE: &str = "
    body { background: #fff; color: #000 }
    a { color: inherit }
    a, input, select, button { display: inline-block; min-height: 24px }
    @media (prefers-color-scheme: dark) { body { background: #000; color: #fff } }
";

const SCRIPT: &str = "
    const is = (query) => matchMedia(query).matches;
    document.querySelector('#told').textContent = [
      is('(prefers-color-scheme: dark)') ? 'dark' : 'light',
      is('(prefers-reduced-motion: reduce)') ? 'still' : 'moving',
      is('(pointer: coarse)') ? 'touched' : 'pointed at',
      `${innerWidth} by ${innerHeight}`,
    ].join(', ');
";

/// Two faults for axe-core, one for the content security policy, and another host.
const FAULTY: &str = r#"<!doctype html>
<html lang="en">
<head><title>Faulty</title></head>
<body>
  <main>
    <h1>Faulty</h1>
    <img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">
    <input>
    <script>document.title = "Broken into";</script>
    <img alt="Of elsewhere" src="http://other.example/picture.png">
  </main>
</body>
</html>"#;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data: other.example";

fn pages() -> Upstream {
    Upstream::answering(|request| match request.target.split('?').next().unwrap() {
        "/style.css" => answer(request, "text/css", STYLE),
        "/script.js" => answer(request, "text/javascript", SCRIPT),
        "/faulty" => answer(request, "text/html", FAULTY),
        _ => answer(request, "text/html", SOUND),
    })
}

fn answer(request: &Received, content_type: &str, text: &str) -> Response<Full<Bytes>> {
    let title = format!("<title>{}", request.target);
    Response::builder()
        .header("content-type", content_type)
        .header("content-security-policy", POLICY)
        .header("set-cookie", "crumb=dry; HttpOnly; SameSite=Lax; Path=/")
        .body(Full::from(text.replace("<title>Sound", &title)))
        .unwrap()
}

#[test]
fn a_sound_page_has_nothing_against_it() {
    let pages = pages();
    let browser = Browser::at(pages.address);
    browser.go("/");
    browser.sees("light, still, pointed at, 1280 by 900");
    let requests = browser.requests();
    let asked: Vec<_> = requests.iter().map(|request| (&*request.url, &*request.kind)).collect();
    let at = |path: &str| format!("{}{path}", browser.origin);
    let expected =
        [(&*at("/"), "Document"), (&at("/style.css"), "Stylesheet"), (&at("/script.js"), "Script")];
    assert_eq!(asked, expected);
    for (request, text) in requests.iter().zip([SOUND, STYLE, SCRIPT]) {
        assert_eq!(request.status, Some(200), "{request:?}");
        let length = u64::try_from(text.len()).unwrap();
        assert!((length..length + 500).contains(&request.bytes), "{request:?}");
    }
    assert_eq!(browser.axe(), [""; 0]);
    assert_eq!(browser.errors(), [""; 0]);
    assert_eq!(browser.requests(), []);
}

#[test]
fn faults_are_found() {
    let pages = pages();
    let browser = Browser::at(pages.address);
    browser.go("/faulty");
    assert_eq!(browser.title(), "Faulty");
    let found = browser.axe();
    for rule in ["image-alt: ", "label: "] {
        assert!(found.iter().any(|fault| fault.starts_with(rule)), "{found:?}");
    }
    let errors = browser.errors().join("\n");
    assert!(errors.contains("Executing inline script violates"), "{errors}");
    let requests = browser.requests();
    let elsewhere = requests.iter().find(|request| request.url.contains("other.example"));
    assert_eq!(elsewhere.map(|request| request.status), Some(None), "{requests:?}");
}

#[test]
fn pages_are_used_as_people_use_them() {
    let pages = pages();
    let browser = Browser::at(pages.address);
    browser.go("/");
    browser.fill("Name", "Ada");
    browser.fill("Name", "Ada's");
    assert_eq!(browser.value("Name"), "Ada's");
    browser.tick("Sure");
    browser.choose("Kind", "two");
    browser.press("Send it");
    browser.arrives("/sent?name=Ada%27s&sure=yes&kind=2");
    browser.follow("Another page");
    browser.arrives("/other");
    browser.back();
    browser.arrives("/sent?name=Ada%27s&sure=yes&kind=2");
    browser.forward();
    browser.arrives("/other");
    pages.take();
    browser.reload();
    assert_eq!(pages.take()[0].values("cookie"), ["crumb=dry"]);
    let cookies = browser.cookies();
    assert_eq!((&cookies[0]["name"], &cookies[0]["httpOnly"]), (&"crumb".into(), &true.into()));
    browser.forget_cookies();
    assert_eq!(browser.cookies().len(), 0);
    assert!(browser.has("//h1") && !browser.has("//h2"));
}

#[test]
fn or_with_the_keyboard_alone() {
    let pages = pages();
    let browser = Browser::at(pages.address);
    browser.go("/");
    browser.key(Key::Tab);
    assert_eq!(browser.focus(), "Name");
    browser.types("Ada");
    browser.key(Key::Tab);
    assert_eq!(browser.focus(), "Sure");
    browser.key(Key::Space);
    browser.key(Key::Tab);
    browser.key(Key::Down);
    browser.key(Key::Tab);
    assert_eq!(browser.focus(), "Send it");
    browser.key(Key::ShiftTab);
    assert_eq!(browser.focus(), "Kind");
    browser.key(Key::Tab);
    browser.key(Key::Enter);
    browser.arrives("/sent?name=Ada&sure=yes&kind=2");
}

#[test]
fn tabs_are_of_one_person() {
    let pages = pages();
    let browser = Browser::at(pages.address).dark();
    browser.go("/one");
    let first = browser.open_tab();
    browser.go("/two");
    browser.sees("dark, still");
    browser.turn_to(&first);
    assert_eq!(browser.path(), "/one");
    let somebody_else = Browser::at(pages.address);
    pages.take();
    somebody_else.go("/three");
    assert_eq!(pages.take()[0].values("cookie"), [""; 0]);
}

#[test]
fn looks_differ() {
    let pages = pages();
    let browser = Browser::at(pages.address).dark().on_a_phone().with_motion();
    browser.go("/");
    browser.sees("dark, moving, touched, 390 by 844");
    assert_eq!(browser.axe(), [""; 0]);
    let picture = browser.picture();
    // Of two pixels to a point (PNG, §11.2.1).
    assert_eq!(&picture[1..4], b"PNG");
    assert_eq!(u32::from_be_bytes(picture[16..20].try_into().unwrap()), 780);

    let browser = Browser::at(pages.address).without_script();
    browser.go("/");
    browser.sees("no script");
    browser.fill("Name", "Ada");
    browser.press("Send it");
    browser.arrives("/sent?name=Ada&kind=one");
    assert!(browser.requests().iter().all(|request| request.kind != "Script"));
}

#[test]
fn the_real_server_is_reached() {
    let server = Installation::without_configuration().start();
    let browser = Browser::at(server.main);
    browser.go("/openapi.json");
    browser.sees("\"openapi\"");
    let requests = browser.requests();
    assert!(
        requests.iter().all(|request| request.url.starts_with(&browser.origin)),
        "{requests:?}"
    );
    assert!(requests.iter().map(|request| request.bytes).sum::<u64>() > 10_000, "{requests:?}");
}

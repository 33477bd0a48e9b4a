//! A real browser: Chromium, driven by chromedriver, with a profile of its own.
//!
//! It speaks of what a person sees: a button by what stands on it, a field by its label.
//! Whatever it looks for, it waits for, within [`PATIENCE`].

mod log;
mod places;

pub use log::Request;

use crate::{
    installation::built,
    process::PATIENCE,
    webdriver::{Driver, Element, Failure},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use places::Place;
use serde_json::{Value, json};
use std::{net::SocketAddr, rc::Rc, time::Instant};
use tempfile::TempDir;

/// How long an element may take to appear. It is WebDriver itself that looks until then.
const APPEARS: u64 = PATIENCE.as_secs() * 1000 / 2;

/// A browser, at one server.
pub struct Browser {
    driver: Driver,
    look: Look,
    /// The server's address, as it stands in front of paths.
    pub origin: String,
    _profile: TempDir,
    // The last, so that it is free when the browser has ended.
    _place: Rc<Place>,
}

/// What it is like, apart from which page it shows. Each tab has to be told.
#[expect(clippy::struct_excessive_bools, reason = "any of them may be had with any other")]
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    is_dark: bool,
    is_phone: bool,
    moves: bool,
    has_no_script: bool,
}

/// A tab, to come back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tab(String);

/// Keys that no text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Down,
    Enter,
    Escape,
    Left,
    Right,
    ShiftTab,
    Space,
    Tab,
    Up,
}

impl Browser {
    /// One that shows nothing yet, in the light, of 1280 by 900, without motion.
    pub fn at(server: SocketAddr) -> Self {
        let place = places::take();
        let profile = tempfile::tempdir().unwrap();
        let driver = Driver::start(&capabilities(&profile), profile.path());
        let origin = format!("http://{server}");
        let look = Look::default();
        let browser = Self { driver, look, origin, _profile: profile, _place: place };
        browser.put_on_look();
        browser
    }

    /// The same, where dark colours are preferred.
    #[must_use]
    pub fn dark(self) -> Self {
        self.looking(|look| look.is_dark = true)
    }

    /// The same on a phone: 390 by 844, and touched.
    #[must_use]
    pub fn on_a_phone(self) -> Self {
        self.looking(|look| look.is_phone = true)
    }

    /// The same, where motion is not reduced.
    #[must_use]
    pub fn with_motion(self) -> Self {
        self.looking(|look| look.moves = true)
    }

    /// The same, where no page runs a script.
    #[must_use]
    pub fn without_script(self) -> Self {
        self.looking(|look| look.has_no_script = true)
    }

    fn looking(mut self, change: impl FnOnce(&mut Look)) -> Self {
        change(&mut self.look);
        self.put_on_look();
        self
    }

    fn put_on_look(&self) {
        let Look { is_dark, is_phone, moves, has_no_script } = self.look;
        let (width, height, scale) = if is_phone { (390, 844, 2) } else { (1280, 900, 1) };
        let either = |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
        let features = json!([
            {"name": "prefers-color-scheme", "value": either(is_dark, "dark", "light")},
            {"name": "prefers-reduced-motion", "value": either(moves, "no-preference", "reduce")},
        ]);
        for (command, parameters) in [
            ("Emulation.setEmulatedMedia", json!({ "features": features })),
            (
                "Emulation.setDeviceMetricsOverride",
                json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone}),
            ),
            ("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_phone })),
            ("Emulation.setScriptExecutionDisabled", json!({ "value": has_no_script })),
            // A tab in the background works like the one in front.
            ("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })),
        ] {
            self.driver.devtools(command, &parameters);
        }
    }

    /// Goes to a path of the server, or to a whole address.
    #[track_caller]
    pub fn go(&self, path: &str) {
        let url = match path {
            path if path.starts_with('/') => format!("{}{path}", self.origin),
            whole => whole.to_owned(),
        };
        done(path, self.driver.post("url", &json!({ "url": url })));
    }

    #[track_caller]
    pub fn back(&self) {
        done("back", self.driver.post("back", &json!({})));
    }

    #[track_caller]
    pub fn forward(&self) {
        done("forward", self.driver.post("forward", &json!({})));
    }

    #[track_caller]
    pub fn reload(&self) {
        done("reload", self.driver.post("refresh", &json!({})));
    }

    /// The whole address that it is at.
    #[track_caller]
    pub fn url(&self) -> String {
        text(&done("url", self.driver.get("url")))
    }

    /// Path and query of where it is.
    #[track_caller]
    pub fn path(&self) -> String {
        let url = self.url();
        url.strip_prefix(&self.origin).unwrap_or(&url).to_owned()
    }

    #[track_caller]
    pub fn title(&self) -> String {
        text(&done("title", self.driver.get("title")))
    }

    /// The page as it is now, in HTML.
    #[track_caller]
    pub fn source(&self) -> String {
        text(&done("source", self.driver.get("source")))
    }

    /// What can be read on the page.
    #[track_caller]
    pub fn text(&self) -> String {
        self.text_of("//body")
    }

    /// What can be read in what an XPath means.
    #[track_caller]
    pub fn text_of(&self, xpath: &str) -> String {
        self.act(xpath, |element| self.driver.get(&format!("element/{}/text", element.0)))
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// An attribute of what an XPath means.
    #[track_caller]
    pub fn attribute(&self, xpath: &str, name: &str) -> Option<String> {
        let command = |element: &Element| format!("element/{}/attribute/{name}", element.0);
        let value = self.act(xpath, |element| self.driver.get(&command(element)));
        value.as_str().map(str::to_owned)
    }

    /// What a field holds.
    #[track_caller]
    pub fn value(&self, label: &str) -> String {
        let command = |element: &Element| format!("element/{}/property/value", element.0);
        text(&self.act(&field(label), |element| self.driver.get(&command(element))))
    }

    /// Waits until the text can be read on the page.
    #[track_caller]
    pub fn sees(&self, text: &str) {
        self.until(text, || self.text().contains(text).then_some(()));
    }

    /// Whether the text can be read on the page, now.
    #[track_caller]
    pub fn shows(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// Waits until it is at this path and query.
    #[track_caller]
    pub fn arrives(&self, path: &str) {
        self.until(path, || (self.path() == path).then_some(()));
    }

    /// Waits until something can be made of the page.
    #[track_caller]
    pub fn until<T>(&self, what: &str, condition: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Asking takes the browser some milliseconds each time, which is pause enough.
            if let Some(made) = condition() {
                return made;
            }
            let shown = || format!("{what}: not at {}, which shows:\n{}", self.url(), self.text());
            assert!(Instant::now() < deadline, "{}", shown());
        }
    }

    /// Presses the button that has this name.
    #[track_caller]
    pub fn press(&self, name: &str) {
        self.click(&button(name));
    }

    /// Follows the link that has this name.
    #[track_caller]
    pub fn follow(&self, name: &str) {
        self.click(&format!("//a[{}]", named(name)));
    }

    /// Ticks a box, chooses a radio button, or takes the tick away.
    #[track_caller]
    pub fn tick(&self, label: &str) {
        self.click(&field(label));
    }

    /// Chooses from a list.
    #[track_caller]
    pub fn choose(&self, label: &str, option: &str) {
        let option = format!("{}//option[normalize-space()={}]", field(label), literal(option));
        self.click(&option);
    }

    /// Has a field hold this, and nothing else.
    #[track_caller]
    pub fn fill(&self, label: &str, text: &str) {
        let field = field(label);
        self.act(&field, |element| {
            self.driver.post(&format!("element/{}/clear", element.0), &json!({}))?;
            self.driver.post(&format!("element/{}/value", element.0), &json!({ "text": text }))
        });
    }

    /// Clicks on what an XPath means, once it can be clicked on.
    #[track_caller]
    pub fn click(&self, xpath: &str) {
        self.act(xpath, |element| {
            self.driver.post(&format!("element/{}/click", element.0), &json!({}))
        });
    }

    /// Whether there is such an element now; nothing is waited for.
    #[track_caller]
    pub fn has(&self, xpath: &str) -> bool {
        self.appears_within(0);
        let found = self.driver.find(xpath);
        self.appears_within(APPEARS);
        match found {
            Err(failure) if failure.is_of_none() => false,
            found => !done(xpath, found).is_empty(),
        }
    }

    #[track_caller]
    fn appears_within(&self, milliseconds: u64) {
        done("timeouts", self.driver.post("timeouts", &json!({ "implicit": milliseconds })));
    }

    /// Presses and releases a key, wherever the focus is.
    #[track_caller]
    pub fn key(&self, key: Key) {
        let mut strokes = Vec::new();
        if key == Key::ShiftTab {
            strokes.push(json!({"type": "keyDown", "value": "\u{e008}"}));
        }
        for kind in ["keyDown", "keyUp"] {
            strokes.push(json!({"type": kind, "value": key.code()}));
        }
        if key == Key::ShiftTab {
            strokes.push(json!({"type": "keyUp", "value": "\u{e008}"}));
        }
        self.strokes(&strokes);
    }

    /// Types text, wherever the focus is.
    #[track_caller]
    pub fn types(&self, text: &str) {
        let strokes = text.chars().flat_map(|character| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": character.to_string()}))
        });
        self.strokes(&strokes.collect::<Vec<_>>());
    }

    #[track_caller]
    fn strokes(&self, strokes: &[Value]) {
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        done("keys", self.driver.post("actions", &json!({"actions": [keyboard]})));
    }

    /// The name of what has the focus, as a screen reader would say it; nothing while one page
    /// makes way for another.
    #[track_caller]
    pub fn focus(&self) -> String {
        let focused = self.driver.focused();
        let label = |at: Element| self.driver.get(&format!("element/{}/computedlabel", at.0));
        match focused.and_then(label) {
            Err(failure) if failure.may_pass() => String::new(),
            outcome => text(&done("focus", outcome)),
        }
    }

    /// Opens another tab and goes on in it; the answer is the one that was left.
    #[track_caller]
    pub fn open_tab(&self) -> Tab {
        let left = self.tab();
        let made = done("tab", self.driver.post("window/new", &json!({"type": "tab"})));
        self.turn_to(&Tab(text(&made["handle"])));
        self.put_on_look();
        left
    }

    /// The tab in front.
    #[track_caller]
    pub fn tab(&self) -> Tab {
        Tab(text(&done("tab", self.driver.get("window"))))
    }

    #[track_caller]
    pub fn turn_to(&self, tab: &Tab) {
        done("tab", self.driver.post("window", &json!({"handle": tab.0})));
    }

    /// All cookies for this page, with their attributes, as WebDriver has them.
    #[track_caller]
    pub fn cookies(&self) -> Vec<Value> {
        done("cookies", self.driver.get("cookie")).as_array().unwrap().clone()
    }

    /// Forgets all cookies for this page.
    #[track_caller]
    pub fn forget_cookies(&self) {
        done("cookies", self.driver.delete("cookie"));
    }

    /// What has been asked of any server since somebody last asked this.
    #[track_caller]
    pub fn requests(&self) -> Vec<Request> {
        log::requests(&self.log("performance"))
    }

    /// What stands in the console as an error: scripts that failed, what the content
    /// security policy forbade, what could not be loaded; since somebody last asked.
    #[track_caller]
    pub fn errors(&self) -> Vec<String> {
        let entries = self.log("browser");
        let errors = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| text(&entry["message"])).collect()
    }

    #[track_caller]
    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = done(kind, self.driver.post("se/log", &json!({ "type": kind })));
        entries.as_array().unwrap().clone()
    }

    /// What a script returns; `arguments` are its arguments.
    #[track_caller]
    pub fn script(&self, script: &str, arguments: &[Value]) -> Value {
        let parameters = json!({"script": script, "args": arguments});
        done(script, self.driver.post("execute/sync", &parameters))
    }

    /// What axe-core has against the page, a line for each element and rule.
    #[track_caller]
    pub fn axe(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(built("tools/node/node_modules/axe-core/axe.min.js"));
        let script = axe.unwrap() + include_str!("browser/axe.js");
        // The driver hands scripts to the browser itself: the page's policy has no say.
        let found =
            done("axe", self.driver.post("execute/sync", &json!({"script": script, "args": []})));
        found.as_array().unwrap().iter().map(text).collect()
    }

    /// What has been copied.
    #[track_caller]
    pub fn clipboard(&self) -> String {
        // What isn't named is refused from then on, a page's own copying among it.
        let names = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        let permissions = json!({"permissions": names, "origin": self.origin});
        self.driver.devtools("Browser.grantPermissions", &permissions);
        text(&self.script("return navigator.clipboard.readText();", &[]))
    }

    /// The whole page, also what is below the window's edge, as a PNG file.
    #[track_caller]
    pub fn picture(&self) -> Vec<u8> {
        let parameters = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.driver.devtools("Page.captureScreenshot", &parameters);
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// The first that can be seen, as in an open menu beside a closed one; else the first.
    fn find(&self, xpath: &str) -> Result<Element, Failure> {
        let found = self.driver.find(xpath)?;
        if let [_] = found[..] {
            return Ok(found[0].clone());
        }
        for element in &found {
            if self.driver.get(&format!("element/{}/displayed", element.0))? == true {
                return Ok(element.clone());
            }
        }
        Ok(found[0].clone())
    }

    /// Finds an element and does something with it; again, where the page changed meanwhile.
    #[track_caller]
    fn act(&self, xpath: &str, action: impl Fn(&Element) -> Result<Value, Failure>) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.find(xpath).and_then(|element| action(&element)) {
                Ok(value) => return value,
                Err(failure) if failure.may_pass() && Instant::now() < deadline => {}
                Err(failure) => panic!("{xpath} at {}: {failure}", self.url()),
            }
        }
    }
}

impl Key {
    /// WebDriver's character for it (W3C WebDriver §17.4.2).
    fn code(self) -> &'static str {
        match self {
            Self::Down => "\u{e015}",
            Self::Enter => "\u{e007}",
            Self::Escape => "\u{e00c}",
            Self::Left => "\u{e012}",
            Self::Right => "\u{e014}",
            Self::ShiftTab | Self::Tab => "\u{e004}",
            Self::Space => " ",
            Self::Up => "\u{e013}",
        }
    }
}

fn capabilities(profile: &TempDir) -> Value {
    let mut arguments = vec![
        "--headless".to_owned(),
        format!("--user-data-dir={}", profile.path().join("profile").display()),
    ];
    let switches = [
        "--disable-background-networking",
        "--disable-component-update",
        // A container's may be too small.
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-quic",
        "--disable-sync",
        "--force-color-profile=srgb",
        "--hide-scrollbars",
        // Whatever a page asks for elsewhere is seen to be asked for, and goes nowhere.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        "--lang=en-US",
        "--no-first-run",
        "--no-proxy-server",
    ];
    arguments.extend(switches.map(str::to_owned));
    if rustix::process::getuid().is_root() {
        // Root has no sandbox to be in.
        arguments.push("--no-sandbox".to_owned());
    }
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": {
            "args": arguments,
            // A page of the browser's own would take its time.
            "prefs": {"session": {"restore_on_startup": 4, "startup_urls": ["about:blank"]}},
        },
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "timeouts": {"implicit": APPEARS, "pageLoad": APPEARS, "script": APPEARS},
        "unhandledPromptBehavior": "ignore",
    })
}

/// A button, by its name.
fn button(name: &str) -> String {
    let name = named(name);
    format!(
        "//*[self::button or self::summary or @role='button' or @role='menuitem' or @role='tab'][{name}] | \
         //input[@type='submit' or @type='button'][{name}]"
    )
}

/// A field, by its label; a list stands within its own, with all there is to choose from.
fn field(label: &str) -> String {
    let label = literal(label);
    let is_field = "(self::input or self::select or self::textarea)";
    format!(
        "//*[{is_field}][@aria-label={label} or @id=//label[normalize-space()={label}]/@for \
         or ancestor::label[normalize-space()={label} or normalize-space(text())={label}]]"
    )
}

/// What has this name.
fn named(name: &str) -> String {
    let name = literal(name);
    format!("normalize-space()={name} or @aria-label={name} or @value={name}")
}

/// Text in XPath, which has two quotes and no way to escape one.
fn literal(text: &str) -> String {
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    assert!(!text.contains('"'), "no XPath has both quotes in one literal: {text}");
    format!("\"{text}\"")
}

#[track_caller]
fn done<T>(what: &str, outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{what}: {failure}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

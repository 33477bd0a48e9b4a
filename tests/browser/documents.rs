//! The five documents, each followed word by word: from the sign-in to a 200 at the
//! protected API, with the token that the dialog showed.

use counterfoil_support::{
    browser::Browser,
    installation::{ADA, Installation},
    response::Response,
    server::Server,
    upstream::Upstream,
    visitor::PASSWORD,
};

/// The five APIs, and Ada before the sign-in.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) browser: Browser,
    _upstream: Upstream,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let upstream = Upstream::start();
        let installation = Installation::of_examples(&upstream).set_up();
        installation.give_password(ADA);
        let server = installation.start();
        let browser = Browser::at(server.main);
        Self { server, browser, _upstream: upstream }
    }

    /// The same, signed in.
    pub(crate) fn signed_in() -> Self {
        let stage = Self::set();
        stage.sign_in();
        stage
    }

    pub(crate) fn sign_in(&self) {
        sign_in(&self.browser, ADA);
    }

    /// Somebody else, signed in with a browser of their own.
    pub(crate) fn another(&self, email: &str) -> Browser {
        let browser = Browser::at(self.server.main);
        sign_in(&browser, email);
        browser
    }

    /// The menu under the profile picture.
    pub(crate) fn click_on_the_profile_picture(&self) {
        self.browser.click("//summary[starts-with(@aria-label, 'Menu of')]");
    }

    /// Follows a link of the page itself: menus may have one that is called the same.
    pub(crate) fn selects(&self, name: &str) {
        self.browser.click(&format!("//main//a[normalize-space()='{name}']"));
    }

    /// What stands in a field of the reveal.
    pub(crate) fn reads(&self, label: &str) -> String {
        reads(&self.browser, label)
    }

    /// What the gateway says to a secret of Togai's.
    pub(crate) fn status(&self, secret: &str) -> u16 {
        let line = format!("Authorization: Bearer {secret}");
        self.server.curl("/togai/events", ["--header", &line]).status
    }

    fn called(&self, path: &str, arguments: &[&str]) -> Response {
        let response = self.server.curl(path, arguments);
        assert_eq!(response.status, 200, "{response:?}");
        response
    }
}

pub(crate) fn sign_in(it: &Browser, email: &str) {
    it.go("/sign-in");
    it.fill("E-mail", email);
    it.fill("Password", PASSWORD);
    it.press("Sign in");
    it.arrives("/tokens");
}

/// What stands in a field that is shown once.
pub(crate) fn reads(it: &Browser, label: &str) -> String {
    it.text_of(&format!("//div[@class='secret'][span[normalize-space()='{label}']]/code"))
}

#[test]
fn facets() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    // "Click on your user profile picture. Click on Generate Token to see a popup window."
    stage.click_on_the_profile_picture();
    it.follow("Generate Token");
    it.arrives("/tokens/new?api=facets");
    // "Add a note detailing the purpose for generating this token."
    it.fill("Note", "Nightly report");
    it.press("Generate");
    // "You will see another popup window with a string of characters."
    let token = stage.reads("Token");
    // "The username is your registered email ID, and the password is the unique token."
    stage.called("/facets/projects", &["--user", &format!("{ADA}:{token}")]);
    it.press("Copy");
    it.follow("Done");
    it.sees("Nightly report");
    assert_eq!(it.errors(), [""; 0]);
}

#[test]
fn togai() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    // "Click Settings. Click API Tokens."
    stage.click_on_the_profile_picture();
    it.follow("Settings");
    stage.selects("API Tokens");
    // "Clicking the big green button Generate New Token in the center."
    stage.selects("Generate New Token");
    it.fill("Name", "Ingest");
    it.press("Generate");
    // "Copy and store your Secret Key."
    let secret = stage.reads("Secret Key");
    // "The Secret key is the Bearer Token used for authenticating your request."
    let line = format!("Authorization: Bearer {secret}");
    stage.called("/togai/events", &["--header", &line]);
    // The page has seen it.
    it.sees("It works: GET /togai/events");
    assert_eq!(it.errors(), [""; 0]);
}

#[test]
fn selectstar() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    // "In your Account Settings page, under Client API Token, click on Manage API Tokens."
    stage.click_on_the_profile_picture();
    it.follow("Account Settings");
    it.click("//section[h2='Client API Token']//a[normalize-space()='Manage API Tokens']");
    // "Then, in the modal, click on the Create button."
    it.press("Create");
    // "Copy the text in the API Token field."
    let token = stage.reads("API Token");
    // "You must use Token and not Bearer." The page says so to whoever forgets it, with the
    // line that is right.
    let bearer = format!("Authorization: Bearer {token}");
    it.until("the right line", || {
        // The page learns of what comes while it listens.
        let refused = stage.server.curl("/selectstar/v1/tables/", ["--header", &bearer]);
        assert_eq!(refused.status, 401);
        it.text_of("//*[@id='corrected']").contains(&format!("Token {token}")).then_some(())
    });
    stage.called("/selectstar/v1/tables/", &["--header", &format!("Authorization: Token {token}")]);
    it.sees("It works: GET /selectstar/v1/tables/");
    // "API tokens have no expiration, but they can be deleted and then recreated manually."
    it.press("Copy");
    it.follow("Done");
    // The page before has a field of that name, too.
    it.until("it can be deleted", || {
        it.has("//dialog//a[starts-with(@aria-label, 'Delete')]").then_some(())
    });
    it.sees("API Token");
    assert_eq!(it.errors(), [""; 0]);
}

#[test]
fn finout() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    // "Select your profile from the user dropdown. Click Admin Portal. Select API Tokens."
    stage.click_on_the_profile_picture();
    it.follow("Admin Portal");
    it.click("//nav[@class='rail']//a[normalize-space()='API Tokens']");
    // "Click Generate Token. The Generate Token window appears."
    stage.selects("Generate Token");
    it.sees("Description");
    // "Enter a Description, choose a Role, choose token expiration, and click Create."
    it.fill("Description", "Cost report");
    it.click("//fieldset[legend='Role']//input[@value='viewer']");
    it.click("//fieldset[legend='token expiration']//input[@value='30d']");
    it.press("Create");
    // "Copy the Client ID and the Secret Key, which won't be accessible later."
    let (id, secret) = (stage.reads("Client ID"), stage.reads("Secret Key"));
    // "Add the Client ID and Secret Key in Headers."
    let id = format!("x-finout-client-id: {id}");
    let secret = format!("x-finout-secret-key: {secret}");
    stage.called("/finout/v1/costs", &["--header", &id, "--header", &secret]);
    for field in ["client-id", "secret"] {
        it.click(&format!("//button[@data-copy='{field}']"));
    }
    // "And then click Done."
    it.follow("Done");
    it.sees("Cost report");
    assert_eq!(it.errors(), [""; 0]);
}

#[test]
fn aristotle() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    // "Select My Profile from the registry header dropdown. Select API Token Management."
    stage.click_on_the_profile_picture();
    it.follow("My Profile");
    stage.selects("API Token Management");
    // "Select Generate New Token."
    stage.selects("Generate New Token");
    // "Adjust the Name and Expiry date fields as desired."
    it.fill("Name", "Harvester");
    it.click("//fieldset[legend='Expiry date']//input[@value='90d']");
    // "Adjust the permissions to read and write as desired."
    it.tick("Create and change metadata");
    it.sees("create and change metadata");
    // "Select Create Token."
    it.press("Create Token");
    // What is generated comes "along with instructions on how to use it".
    let key = stage.reads(concat!("API", " key"));
    it.sees("curl");
    let line = format!("Authorization: Token {key}");
    stage.called("/aristotle/api/v4/metadata/x", &["--header", &line]);
    stage.called("/aristotle/api/v4/metadata/x", &["--header", &line, "--request", "POST"]);
    let denied = ["--header", &line, "--request", "POST"];
    assert_eq!(stage.server.curl("/aristotle/api/v4/search/x", denied).status, 403);
    // "It will not reappear if you go back or close the web page."
    it.press("Copy");
    it.go("/tokens");
    it.sees("Harvester");
    assert!(!it.source().contains(&key));
    it.back();
    it.sees("This secret was shown once");
    assert!(!it.source().contains(&key));
}

//! Who looks at a page.

use super::{Console, Form, Trouble, menu};
use crate::{
    clock,
    http::{api::Peer, client_address},
    loggable::loggable,
    service::{
        Caller,
        sessions::{Client, Here},
    },
};
use axum::extract::FromRequestParts;
use counterfoil_core::{account::Rank, id::OrganizationId};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts};
use std::{convert::Infallible, net::IpAddr, sync::Arc};
use zeroize::Zeroizing;

/// What the cookie is called where it travels in the clear, which is on loopback only.
const COOKIE: &str = "counterfoil_session";
/// What it is called else: browsers take one of this name from this very host alone, and
/// only over TLS.
const HOST_COOKIE: &str = "__Host-counterfoil_session";

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) here: Here,
    /// As operations know them; none without an organization.
    caller: Option<Caller>,
    pub(crate) is_operator: bool,
}

impl Visitor {
    /// As operations know them.
    pub(crate) fn caller(&self) -> Result<&Caller, Trouble> {
        self.caller.as_ref().ok_or(Trouble::Homeless)
    }

    /// The organization that is looked at.
    pub(crate) fn organization(&self) -> Result<OrganizationId, Trouble> {
        self.caller()?;
        self.here.home().map(|home| home.organization).ok_or(Trouble::NotFound)
    }

    /// Passes where a form is of the organization that is looked at. What it is to do would
    /// else be done to another one, because a second tab has changed that since.
    pub(crate) fn still_looks(&self, form: &Form) -> Result<(), Trouble> {
        if form.text("organization").parse() == Ok(self.organization()?) {
            return Ok(());
        }
        Err(Trouble::Conflict(
            "This form is not of the organization that you look at now: you have changed to \
             another one since, perhaps in a second tab. Nothing was changed. Open the page once \
             more."
                .into(),
        ))
    }

    /// Whether they administer the organization that is looked at.
    pub(crate) fn is_administrator(&self) -> bool {
        self.here.home().is_some_and(|home| home.rank == Rank::Administrator)
    }

    /// Passes for administrators; others learn nothing of what is there.
    pub(crate) fn administers(&self) -> Result<&Caller, Trouble> {
        if self.is_administrator() { self.caller() } else { Err(Trouble::NotFound) }
    }
}

impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = Trouble;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Trouble> {
        let sign_in = || Trouble::SignIn { next: way_back(parts) };
        let secret = cookie(&parts.headers, console.is_secure()).ok_or_else(sign_in)?;
        let client = client(parts, console);
        let now = clock::now();
        let here = console.service.session(&secret, &client, now).await?.ok_or_else(sign_in)?;
        if !here.session.is_complete {
            return Err(sign_in());
        }
        let caller = here.caller();
        let is_operator = console.is_operator(&here.account);
        Ok(Self { here, caller, is_operator })
    }
}

/// What is known of the browser.
pub(crate) fn client(parts: &Parts, console: &Console) -> Client {
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Client { address: address(parts, console), user_agent: agent.map(loggable) }
}

/// Where the browser is, where that is known.
pub(crate) struct Address(pub(crate) Option<IpAddr>);

impl FromRequestParts<Arc<Console>> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Infallible> {
        Ok(Self(address(parts, console)))
    }
}

/// Where the browser is.
fn address(parts: &Parts, console: &Console) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>()?.0.ip();
    client_address::forwarded_for(peer, &parts.headers, &console.trusted_proxies)
}

/// Where to go once somebody is signed in: the page that was asked for, if it was only
/// asked for.
fn way_back(parts: &Parts) -> String {
    let is_safe = parts.method.is_safe();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if is_safe { path.to_owned() } else { "/".to_owned() }
}

/// A path to go on to, if it is one of ours: anything else would send people elsewhere.
pub(crate) fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\t', '\r', '\n'])
        && next.parse::<Uri>().is_ok_and(|uri| uri.authority().is_none());
    if is_local { next } else { "/" }
}

/// The session's secret that a browser shows. Of two nobody knows which is meant.
pub(crate) fn cookie(headers: &HeaderMap, is_secure: bool) -> Option<Zeroizing<String>> {
    let name = if is_secure { HOST_COOKIE } else { COOKIE };
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut values = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(Zeroizing::new(value.to_owned())),
        _ => None,
    }
}

/// What has the browser keep a session's secret, until it is closed for good.
pub(crate) fn set_cookie(
    secret: &str,
    seconds: u64,
    is_secure: bool,
) -> Option<(HeaderName, HeaderValue)> {
    let (name, secure) = if is_secure { (HOST_COOKIE, "; Secure") } else { (COOKIE, "") };
    let line =
        format!("{name}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let mut value = HeaderValue::try_from(line).ok()?;
    value.set_sensitive(true);
    Some((header::SET_COOKIE, value))
}

/// What has the browser forget it.
pub(crate) fn forget_cookie(is_secure: bool) -> Option<(HeaderName, HeaderValue)> {
    set_cookie("", 0, is_secure)
}

/// What the frame around every page shows; templates call it `page`.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) css: &'static str,
    pub(crate) js: &'static str,
    pub(crate) icon: &'static str,
    /// The organization that is looked at, and the others that could be.
    pub(crate) organization: String,
    /// Its id, which forms bring back that have no other id in their address.
    pub(crate) organization_id: String,
    pub(crate) organizations: Vec<Choice>,
    pub(crate) name: String,
    pub(crate) email: String,
    /// Instead of a picture.
    pub(crate) initials: String,
    pub(crate) administrator: bool,
    pub(crate) operator: bool,
    /// Whether any API has access tokens.
    pub(crate) access_tokens: bool,
    /// The entries that APIs put right into the dropdown.
    pub(crate) menu: Vec<menu::Entry>,
    /// All entries, wherever they stand.
    pub(crate) entries: menu::Menu,
    /// Which entry this page is.
    pub(crate) here: &'static str,
    pub(crate) notices: Vec<Notice>,
    /// One line about the ledger's head.
    pub(crate) ledger: String,
}

/// An organization to look at.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) is_chosen: bool,
}

/// Something that a page says of what was just done.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// plain, good, warning or danger.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl Frame {
    /// The same, with something to say.
    pub(crate) fn saying(mut self, kind: &'static str, text: impl Into<String>) -> Self {
        self.notices.push(Notice { kind, text: text.into() });
        self
    }
}

impl Console {
    /// The frame around a page that is the entry `here` of the menus.
    pub(crate) fn frame(&self, visitor: &Visitor, here: &'static str) -> Frame {
        let home = visitor.here.home();
        let account = &visitor.here.account;
        let organizations = visitor.here.memberships.iter().map(|membership| Choice {
            id: membership.organization.to_string(),
            name: membership.organization_name.clone(),
            is_chosen: home.is_some_and(|home| home.organization == membership.organization),
        });
        let entries = menu::Menu::of(&self.apis, visitor.is_administrator());
        Frame {
            css: &super::assets::STYLE_PATH,
            js: &super::assets::SCRIPT_PATH,
            icon: &super::assets::ICON_PATH,
            organization: home.map(|home| home.organization_name.clone()).unwrap_or_default(),
            organization_id: home.map(|home| home.organization.to_string()).unwrap_or_default(),
            organizations: organizations.collect(),
            name: account.name.clone(),
            email: account.email.as_ref().map(ToString::to_string).unwrap_or_default(),
            initials: initials(&account.name),
            administrator: visitor.is_administrator(),
            operator: visitor.is_operator,
            access_tokens: self.has_access_tokens(),
            menu: entries.dropdown().cloned().collect(),
            entries,
            here,
            notices: Vec::new(),
            ledger: format!("Ledger entry {}", self.replica.head().number),
        }
    }
}

/// What pages before the sign-in stand in; templates call it `page`, too.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    pub(crate) css: &'static str,
    pub(crate) js: &'static str,
    pub(crate) icon: &'static str,
}

impl Default for Outside {
    fn default() -> Self {
        Self {
            css: &super::assets::STYLE_PATH,
            js: &super::assets::SCRIPT_PATH,
            icon: &super::assets::ICON_PATH,
        }
    }
}

/// The first letters of the first and the last word; of an address, of what is before the
/// `@`.
fn initials(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let firsts: Vec<char> = words.filter_map(|word| word.chars().next()).collect();
    let chosen = match firsts[..] {
        [] => vec!['?'],
        [one] => vec![one],
        [first, .., last] => vec![first, last],
    };
    chosen.into_iter().flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_on_are_ours() {
        for ours in ["/", "/tokens?api=finout", "/tokens/new"] {
            assert_eq!(local(ours), ours);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "evil",
        ] {
            assert_eq!(local(other), "/");
        }
    }

    #[test]
    fn the_cookie() {
        let read = |lines: &[&'static str], is_secure| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            cookie(&headers, is_secure).map(|value| value.to_string())
        };
        assert_eq!(read(&["a=b; counterfoil_session=x; c=d"], false).as_deref(), Some("x"));
        assert_eq!(read(&["__Host-counterfoil_session=x"], true).as_deref(), Some("x"));
        // One that a neighbour may have set does not count.
        assert_eq!(read(&["counterfoil_session=x"], true), None);
        assert_eq!(read(&["counterfoil_session=x; counterfoil_session=y"], false), None);
        assert_eq!(read(&["counterfoil_session=x", "counterfoil_session=x"], false), None);
        assert_eq!(read(&["counterfoil_session="], false), None);
        assert_eq!(read(&[], false), None);
    }

    #[test]
    fn the_cookie_is_for_this_host_and_for_no_script() {
        let (_, value) = set_cookie("x", 60, true).unwrap();
        assert_eq!(
            value.to_str().unwrap(),
            "__Host-counterfoil_session=x; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure"
        );
        let (_, value) = forget_cookie(false).unwrap();
        assert_eq!(
            value.to_str().unwrap(),
            "counterfoil_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }

    #[test]
    fn letters_instead_of_a_picture() {
        for (name, letters) in [
            ("Ada Lovelace", "AL"),
            ("ada@example.com", "A"),
            ("ada.king.lovelace@example.com", "AL"),
            ("ß", "SS"),
            ("", "?"),
        ] {
            assert_eq!(initials(name), letters);
        }
    }
}

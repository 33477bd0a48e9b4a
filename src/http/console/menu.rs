//! Where each API's tokens stand in the menus: where its own documentation says.

use crate::config::ProtectedApi;
use counterfoil_core::api::Issuers;

/// Where a way through the menus may begin. Anything else is an entry of its own, right
/// in the menu under the profile picture.
const PLACES: [(&str, Place); 4] = [
    ("My Profile", Place::Profile),
    ("Account Settings", Place::Account),
    ("Settings", Place::Settings),
    ("Admin Portal", Place::Portal),
];

/// What is always in the menu, and leads to the tokens of all APIs.
const ALL: &str = "API tokens";

/// A page on which entries of APIs stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The menu under the profile picture itself.
    Dropdown,
    Profile,
    Account,
    Settings,
    Portal,
}

/// An API's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// The heading above it, where its way has one.
    pub(crate) section: Option<String>,
    pub(crate) label: String,
    pub(crate) href: String,
    pub(crate) api: String,
}

/// The entries of all APIs that a visitor may issue tokens of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Menu(Vec<Entry>);

impl Menu {
    /// The entries for somebody of this rank.
    pub(crate) fn of(apis: &[ProtectedApi], is_administrator: bool) -> Self {
        let issued = apis.iter().filter(|api| may_issue(api, is_administrator));
        let mut entries: Vec<Entry> = issued.filter_map(entry).collect();
        // Where two are called alike, each says whose it is.
        let alike: Vec<bool> =
            entries.iter().map(|a| entries.iter().filter(|b| a.same_way(b)).count() > 1).collect();
        for (entry, alike) in entries.iter_mut().zip(alike) {
            if alike {
                entry.label = format!("{} ({})", entry.label, entry.api);
            }
        }
        Self(entries)
    }

    /// Those that stand in the menu itself.
    pub(crate) fn dropdown(&self) -> impl Iterator<Item = &Entry> {
        self.on(Place::Dropdown)
    }

    /// Those that stand beside the administrators' pages.
    pub(crate) fn portal(&self) -> impl Iterator<Item = &Entry> {
        self.on(Place::Portal)
    }

    /// Those that stand on a page.
    pub(crate) fn on(&self, place: Place) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.place == place)
    }
}

impl Entry {
    /// What stands above it on a page.
    pub(crate) fn heading(&self) -> &str {
        self.section.as_deref().unwrap_or(&self.api)
    }

    fn same_way(&self, other: &Self) -> bool {
        (self.place, &self.section, &self.label) == (other.place, &other.section, &other.label)
    }
}

/// Whether somebody of this rank may issue tokens of an API.
pub(super) fn may_issue(api: &ProtectedApi, is_administrator: bool) -> bool {
    is_administrator || api.api.issuers == Issuers::Members
}

/// The entry of one API.
pub(super) fn entry(api: &ProtectedApi) -> Option<Entry> {
    let way = &api.words.menu;
    let (first, last) = (way.first()?, way.last()?);
    if way.len() == 1 && *first == ALL {
        return None;
    }
    let place = PLACES.iter().find(|(name, _)| name.eq_ignore_ascii_case(first));
    // A way that is only the name of a page would be an entry that is that page.
    let place = if way.len() > 1 { place.map(|(_, place)| *place) } else { None };
    let inner = if place.is_some() { &way[1..] } else { &way[..] };
    let section =
        if inner.len() > 1 { inner[..inner.len() - 1].join(" › ") } else { String::new() };
    let name = &api.api.name;
    // An entry that is called like the button does what the button does.
    let href = if *last == api.words.generate {
        format!("/tokens/new?api={name}")
    } else if place == Some(Place::Account) {
        // There it is a list over the page.
        format!("/account/tokens?api={name}")
    } else {
        format!("/tokens?api={name}")
    };
    Some(Entry {
        place: place.unwrap_or(Place::Dropdown),
        section: Some(section).filter(|section| !section.is_empty()),
        label: last.clone(),
        href,
        api: name.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Source};

    fn menu(is_administrator: bool) -> Vec<(Place, Option<String>, String, String)> {
        let text = [
            include_str!("../../../examples/facets.toml"),
            include_str!("../../../examples/togai.toml"),
            include_str!("../../../examples/selectstar.toml"),
            include_str!("../../../examples/finout.toml"),
            include_str!("../../../examples/aristotle.toml"),
            "[api.orders]\nupstream = \"http://127.0.0.1:1\"",
        ];
        let source = Source { name: "menu.toml".into(), text: text.join("\n") };
        let config = Config::load(Some(&source), &Environment::default()).unwrap().config;
        let menu = Menu::of(&config.apis, is_administrator);
        menu.0.into_iter().map(|e| (e.place, e.section, e.label, e.href)).collect()
    }

    #[test]
    fn each_where_its_documentation_says() {
        let entry = |place, section: Option<&str>, label: &str, href: &str| {
            (place, section.map(str::to_owned), label.to_owned(), href.to_owned())
        };
        let aristotle =
            entry(Place::Profile, None, "API Token Management", "/tokens?api=aristotle");
        let facets = entry(Place::Dropdown, None, "Generate Token", "/tokens/new?api=facets");
        let finout = entry(Place::Portal, None, "API Tokens", "/tokens?api=finout");
        let selectstar = entry(
            Place::Account,
            Some("Client API Token"),
            "Manage API Tokens",
            "/account/tokens?api=selectstar",
        );
        let togai = entry(Place::Settings, None, "API Tokens", "/tokens?api=togai");
        let members = [&aristotle, &facets, &selectstar, &togai].map(Clone::clone);
        assert_eq!(menu(false), members);
        assert_eq!(menu(true), [aristotle, facets, finout, selectstar, togai]);
    }
}

//! The forms of each example API: what they ask, in which words, and what they refuse.

use super::{
    dialog::{Choice, Dialog, Owners, Scopes},
    draft::{Draft, Errors},
    example,
};
use crate::{
    config::{Ask, Config, Environment, ProtectedApi, Source},
    http::console::Form,
    service::{ServiceError, tokens::Expiry},
    store::StoredAccount,
};
use counterfoil_core::{
    Timestamp, account::AccountKind, id::AccountId, time::Seconds, token::Grant,
};
use http::Request;
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// One with everything that there is to ask.
const EVERYTHING: &str = r#"
[api.everything]
upstream = "http://127.0.0.1:1"
schemes = ["bearer", "header"]
header = "x-key"
[api.everything.tokens]
lifetime = { default = "45d", max = "200d" }
[api.everything.scopes]
read = "Read"
write = "Write"
[api.everything.console]
ask = ["networks", "scopes", "expiry", "owner", "note", "name"]
"#;

fn apis() -> Vec<ProtectedApi> {
    let text = [
        include_str!("../../../../examples/facets.toml"),
        include_str!("../../../../examples/togai.toml"),
        include_str!("../../../../examples/selectstar.toml"),
        include_str!("../../../../examples/finout.toml"),
        include_str!("../../../../examples/aristotle.toml"),
        EVERYTHING,
    ];
    let source = Source { name: "forms.toml".into(), text: text.join("\n") };
    Config::load(Some(&source), &Environment::default()).unwrap().config.apis
}

fn api(name: &str) -> ProtectedApi {
    apis().into_iter().find(|api| *api.api.name == *name).unwrap()
}

fn account(kind: AccountKind, name: &str, email: Option<&str>) -> StoredAccount {
    StoredAccount {
        id: AccountId::new(NOW, [u8::try_from(name.len()).unwrap(); 10]),
        kind,
        email: email.map(|email| email.parse().unwrap()),
        name: name.into(),
        external_id: None,
        has_password: false,
        has_second_factor: false,
        address_proven: true,
        created_at: NOW,
        disabled_at: None,
        revision: 0,
    }
}

fn with_dialog<T>(api: &ProtectedApi, draft: Draft, look: impl FnOnce(Dialog<'_>) -> T) -> T {
    let ada = account(AccountKind::Person, "Ada", Some("ada@example.com"));
    let owners = Owners { oneself: &ada, others: Vec::new() };
    look(Dialog::new(api, draft, Errors::default(), &owners, "nonce".into(), NOW))
}

async fn form(text: &str) -> Form {
    let request = Request::post("/tokens")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(text.to_owned()))
        .unwrap();
    <Form as axum::extract::FromRequest<()>>::from_request(request, &()).await.unwrap()
}

fn chosen(choices: &[Choice]) -> Vec<&str> {
    choices.iter().filter(|c| c.selected).map(|c| &*c.value).collect()
}

#[test]
fn each_asks_what_its_configuration_names_and_no_more() {
    for (name, asks, fixed, can) in [
        ("facets", vec![Ask::Note], vec![("Expires", "Never")], "make every request to facets."),
        ("togai", vec![Ask::Name], vec![("Expires", "Never")], "make every request to togai."),
        ("selectstar", vec![], vec![("Expires", "Never")], "make every request to selectstar."),
        ("finout", vec![Ask::Name, Ask::Role, Ask::Expiry], vec![], ": read costs."),
        (
            "aristotle",
            vec![Ask::Name, Ask::Expiry, Ask::Scopes],
            vec![],
            ": read metadata; search the registry; see the organization and its members.",
        ),
        (
            "everything",
            vec![Ask::Networks, Ask::Scopes, Ask::Expiry, Ask::Note, Ask::Name],
            vec![("Owner", "You (ada@example.com)")],
            ": read.",
        ),
    ] {
        let api = api(name);
        with_dialog(&api, Draft::new(&api), |dialog| {
            assert_eq!(dialog.asks, asks, "{name}");
            let shown: Vec<_> =
                dialog.fixed.iter().map(|fixed| (&*fixed.label, &*fixed.value)).collect();
            assert_eq!(shown, fixed, "{name}");
            assert!(dialog.can.ends_with(can), "{name}: {}", dialog.can);
        });
    }
}

#[test]
fn lifetimes_within_the_limits() {
    let offered = |name: &str| {
        let api = api(name);
        with_dialog(&api, Draft::new(&api), |dialog| {
            let selected = dialog.spans.iter().find(|span| span.selected).map(|s| s.value.clone());
            let values: Vec<String> = dialog.spans.iter().map(|span| span.value.clone()).collect();
            (values.join(" "), selected.unwrap(), dialog.least, dialog.most)
        })
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(
        offered("finout"),
        (
            text("7d 30d 60d 90d 365d custom never"),
            text("90d"),
            text("2027-01-16"),
            text("2028-01-15")
        )
    );
    assert_eq!(
        offered("aristotle"),
        (text("7d 30d 60d 90d 365d custom never"), text("never"), text("2027-01-16"), text(""))
    );
    assert_eq!(
        offered("everything"),
        (
            text("7d 30d 45d 60d 90d 200d custom"),
            text("45d"),
            text("2027-01-16"),
            text("2027-08-03")
        )
    );
    let finout = api("finout");
    with_dialog(&finout, Draft::new(&finout), |dialog| {
        let ninety = &dialog.spans[3];
        assert_eq!(
            (&*ninety.label, &*ninety.when, &*ninety.until),
            ("90 days", "15 April 2027", "2027-04-15")
        );
    });
}

#[test]
fn roles_say_what_they_may_and_permissions_are_a_matrix() {
    let finout = api("finout");
    with_dialog(&finout, Draft::new(&finout), |dialog| {
        let hints: Vec<_> = dialog.roles.iter().map(|r| (&*r.label, &*r.hint)).collect();
        assert_eq!(
            hints,
            [("viewer", "Read costs."), ("editor", "Read costs; change cost centres.")]
        );
        assert_eq!(chosen(&dialog.roles), ["viewer"]);
    });
    let aristotle = api("aristotle");
    with_dialog(&aristotle, Draft::new(&aristotle), |dialog| {
        let Scopes::Matrix { columns, rows } = dialog.scopes else { panic!("a list") };
        assert_eq!(columns, ["Read", "Write"]);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (&*row.resource, row.cells.iter().flatten().filter(|c| c.selected).count()))
            .collect();
        assert_eq!(rows, [("metadata", 1), ("search", 1), ("organization", 1)]);
    });
    let everything = api("everything");
    with_dialog(&everything, Draft::new(&everything), |dialog| {
        let Scopes::List(choices) = dialog.scopes else { panic!("a matrix") };
        assert_eq!(chosen(&choices), ["read"]);
    });
}

#[tokio::test]
async fn what_is_typed_is_what_is_asked_for() {
    let everything = api("everything");
    let sent = "name=ci&note=builds&owner=ops%40example.com&scope=read&scope=write\
                &expires_in=30d&networks=10.0.0.0/8%0D%0A192.0.2.7&role=admin";
    let draft = Draft::typed(&everything, &form(sent).await);
    let wanted = draft.wanted(&everything).unwrap();
    assert_eq!(wanted.name.as_deref(), Some("ci"));
    assert_eq!(wanted.note.as_deref(), Some("builds"));
    assert_eq!(wanted.owner, Some("ops@example.com".parse().unwrap()));
    assert_eq!(wanted.scopes, Some(vec!["read".into(), "write".into()]));
    assert_eq!(wanted.expiry, Expiry::In(Seconds::days(30)));
    assert_eq!(wanted.allowed_networks, ["10.0.0.0/8", "192.0.2.7"]);
    // There is no role to have, and nobody was asked for one.
    assert_eq!(wanted.role, None);

    // What is not asked does not count, whatever is sent.
    let facets = api("facets");
    let draft = Draft::typed(&facets, &form(sent).await);
    assert_eq!(draft, Draft { note: "builds".into(), ..Draft::default() });
    assert_eq!(draft.wanted(&facets).unwrap().expiry, Expiry::Default);
    let selectstar = api("selectstar");
    assert_eq!(Draft::typed(&selectstar, &form(sent).await), Draft::default());

    let date = "name=x&role=editor&expires_in=custom&expires_on=2027-03-31";
    let finout = api("finout");
    let wanted = Draft::typed(&finout, &form(date).await).wanted(&finout).unwrap();
    assert_eq!(wanted.expiry, Expiry::At(Timestamp::from_millis(1_806_451_200_000)));
    assert_eq!(wanted.role.as_deref(), Some("editor"));
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field() {
    let everything = api("everything");
    let draft = Draft::typed(
        &everything,
        &form("expires_in=custom&expires_on=soon&owner=no%20one&name=kept").await,
    );
    let errors = draft.wanted(&everything).unwrap_err();
    assert_eq!(errors.expiry, "Give a date, such as 2031-03-31.");
    assert_eq!(errors.owner, "There is no such account.");
    assert!(!errors.scopes.is_empty());
    assert_eq!((errors.name, errors.whole), (String::new(), String::new()));
    assert_eq!((draft.name, draft.date), ("kept".into(), "soon".into()));
    let finout = api("finout");
    let errors = Draft::typed(&finout, &form("expires_in=x").await).wanted(&finout).unwrap_err();
    assert_eq!((&*errors.role, &*errors.expiry), ("Choose one.", "Choose one of these."));

    let invalid = |field| ServiceError::Invalid { field, message: "must be so".into() };
    let of = |error: &ServiceError, api| Errors::of(error, api);
    for (field, place) in [
        ("name", (|e| e.name) as fn(Errors) -> String),
        ("note", |e| e.note),
        ("scopes", |e| e.scopes),
        ("expires_in", |e| e.expiry),
        ("expires_at", |e| e.expiry),
        ("allowed_networks", |e| e.networks),
        ("owner", |e| e.owner),
        // What is not in the dialog stands above it.
        ("role", |e| e.whole),
        ("metadata", |e| e.whole),
    ] {
        assert_eq!(place(of(&invalid(field), &everything)), "Must be so.", "{field}");
    }
    let gone = ServiceError::Conflict("it is closed".into());
    assert_eq!(of(&gone, &everything), Errors::whole("It is closed."));
}

#[test]
fn examples_for_every_scheme() {
    let credentials = example::Credentials {
        secret: "fct_live_x",
        client_id: "0190",
        email: Some("ada@example.com"),
    };
    let labels = |name: &str| {
        let api = api(name);
        let scopes = api.api.scopes.iter().map(|(scope, _)| scope.clone());
        let grant = Grant::Scopes(scopes.collect());
        let all = example::all(&api, "http://gateway", &grant, &credentials);
        assert!(all.iter().all(|example| example.text.contains("fct_live_x")), "{name}");
        let ids: BTreeSet<String> = all.iter().map(|example| example.id.clone()).collect();
        assert_eq!(ids.len(), all.len(), "{name}");
        all.into_iter().map(|example| example.label).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(labels("togai"), "curl Python JavaScript Environment Exchange");
    for name in ["facets", "selectstar", "finout", "aristotle"] {
        assert_eq!(labels(name), "curl Python JavaScript Environment", "{name}");
    }
    assert_eq!(
        labels("everything"),
        "curl, Bearer Python, Bearer JavaScript, Bearer Environment, Bearer \
         curl, header Python, header JavaScript, header Environment, header"
    );
    // Before there is a token, a word stands where it will be.
    let facets = example::to_come(&api("facets"), "http://gateway", None);
    assert_eq!(facets, "curl 'http://gateway/facets/' --user 'EMAIL:TOKEN'");
}

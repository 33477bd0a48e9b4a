//! Lists of an organization's tokens: against all of them, filtered and sorted by hand.

use super::*;
use crate::{
    store::{TokenAfter, TokenList, TokenOrder},
    usage::{LastUse, TokenUsage},
};
use std::cmp::Reverse;

const ORDERS: [TokenOrder; 4] =
    [TokenOrder::Newest, TokenOrder::Name, TokenOrder::End, TokenOrder::LastUse];
const NOW: i64 = 5_000;
const TOKENS: u16 = 1_200;

fn numbered(n: u16) -> TokenId {
    let mut entropy = [0; 10];
    entropy[..2].copy_from_slice(&n.to_be_bytes());
    TokenId::new(at(i64::from(n)), entropy)
}

/// More than are sorted, so that both ways to a list are tried.
async fn crowded(kind: Kind) -> House {
    let house = House::with_member(kind).await;
    for change in [create_account(2), join(1, 2), create_organization(2), join(2, 1)] {
        house.made(change).await;
    }
    house.made(rename_account(2, None)).await;
    let mut changes = Vec::new();
    for n in 0..TOKENS {
        let id = numbered(n);
        let organization = organization(if n % 50 == 49 { 2 } else { 1 });
        let token = Token {
            id,
            organization,
            owner: account(if n % 50 < 3 { 2 } else { 1 }),
            api: if n % 40 == 0 { "rare" } else { "orders" }.into(),
            name: format!("{} {}", ["ci", "CI", "Deploy"][usize::from(n % 3)], n / 40 % 4),
            grant: if n % 60 == 0 { Grant::Any } else { Grant::Role("viewer".into()) },
            expires_at: (n % 4 > 0).then(|| at(i64::from(n % 700) * 10)),
            last_four: format!("{n:04}").into(),
            digest: Digest::of(&n.to_string()),
            ..token(1, 1, 1)
        };
        changes.push(Change::TokenIssued(Box::new(token)));
        if n % 30 == 7 {
            changes.push(Change::TokenPaused { token: id, organization });
        }
        if n % 13 == 3 {
            let reason = String::new();
            changes.push(Change::TokenRevoked { token: id, organization, reason });
        }
    }
    house.make(&changes).await.unwrap();
    let used = (0..TOKENS).filter(|n| n % 5 > 0).map(|n| {
        let last = LastUse {
            at: at(i64::from(n % 11) * 100),
            door: "gateway".into(),
            address: None,
            user_agent: None,
            route: None,
            secret: None,
        };
        (numbered(n), TokenUsage { last: Some(last), ..TokenUsage::default() })
    });
    house.store.keep_usage(used.collect()).await.unwrap();
    house
}

fn is_wanted(list: &TokenList, row: &StoredToken) -> bool {
    let token = &row.token;
    let begins =
        |text: &str, with: &str| text.to_ascii_lowercase().starts_with(&with.to_ascii_lowercase());
    let owner =
        if token.owner == account(1) { ("a1", "a1@example.com") } else { ("renamed 2", "") };
    let found = |text: &String| {
        begins(&token.name, text)
            || *token.last_four == **text
            || token.id.to_string() == *text
            || begins(owner.0, text)
            || owner.1 == text
    };
    let used = row.last_used.as_ref().map(|last| last.at);
    let unused = |since: Timestamp| {
        token.id < TokenId::new(since, [0; 10]) && used.is_none_or(|at| at < since)
    };
    list.search.as_ref().is_none_or(found)
        && list.api.as_ref().is_none_or(|api| *api == *token.api)
        && list.grants.as_ref().is_none_or(|grants| {
            grants.iter().any(|(api, grant)| *api == *token.api && *grant == token.grant)
        })
        && list.owner.is_none_or(|owner| owner == token.owner)
        && list.state.is_none_or(|(state, now)| row.state_at(now) == state)
        && !(list.never_expires && token.expires_at.is_some())
        && list.expires_before.is_none_or(|end| token.expires_at.is_some_and(|at| at < end))
        && list.unused_since.is_none_or(unused)
}

fn sort(order: TokenOrder, rows: &mut [StoredToken]) {
    let used = |row: &StoredToken| row.last_used.as_ref().map(|last| last.at);
    match order {
        TokenOrder::Newest => rows.sort_by_key(|row| Reverse(row.token.id)),
        TokenOrder::Name => {
            rows.sort_by_key(|row| (row.token.name.to_ascii_lowercase(), row.token.id));
        }
        TokenOrder::End => {
            let end = |row: &StoredToken| row.token.expires_at;
            rows.sort_by_key(|row| (end(row).is_none(), end(row), row.token.id));
        }
        TokenOrder::LastUse => rows.sort_by_key(|row| Reverse((used(row), row.token.id))),
    }
}

async fn whatever_is_asked_for_is_listed_whole_and_in_order(kind: Kind) {
    let house = crowded(kind).await;
    let filter = TokenFilter { organization: Some(organization(1)), ..TokenFilter::default() };
    let page = Page { after: None, limit: 2_000 };
    let all = house.store.tokens(filter, page).await.unwrap();
    assert!(all.len() > 1_100);
    let plain = TokenList::all(organization(1), TokenOrder::Newest, 100);
    let search = |text: &str| TokenList { search: Some(text.into()), ..plain.clone() };
    let state = |state| TokenList { state: Some((state, at(NOW))), ..plain.clone() };
    let mut lists = vec![
        plain.clone(),
        TokenList { api: Some("rare".into()), ..plain.clone() },
        TokenList { api: Some("none".into()), ..plain.clone() },
        TokenList { owner: Some(account(2)), ..plain.clone() },
        TokenList { owner: Some(account(1)), api: Some("orders".into()), ..plain.clone() },
        TokenList { never_expires: true, ..plain.clone() },
        TokenList { expires_before: Some(at(900)), ..plain.clone() },
        TokenList { unused_since: Some(at(600)), ..plain.clone() },
        TokenList { grants: Some(vec![("orders".into(), Grant::Any)]), ..plain.clone() },
        TokenList {
            grants: Some(vec![
                ("rare".into(), Grant::Any),
                ("orders".into(), Grant::Role("viewer".into())),
            ]),
            ..plain.clone()
        },
        TokenList { grants: Some(Vec::new()), ..plain.clone() },
        TokenList { owner: Some(account(1)), never_expires: true, ..search("DEPLOY 1") },
    ];
    for text in ["ci", "Deploy 2", "0400", "a1@example.com", "RENAMED", "a", "%", "", "x'"] {
        lists.push(search(text));
    }
    lists.push(search(&numbered(400).to_string()));
    // Another organization's.
    lists.push(search(&numbered(49).to_string()));
    for one in [TokenState::Active, TokenState::Paused, TokenState::Expired, TokenState::Revoked] {
        lists.push(state(one));
        lists.push(TokenList { search: Some("ci".into()), ..state(one) });
    }
    let mut found = 0;
    for (order, list) in ORDERS.into_iter().flat_map(|order| lists.iter().map(move |l| (order, l)))
    {
        let mut expected: Vec<StoredToken> =
            all.iter().filter(|row| is_wanted(list, row)).cloned().collect();
        sort(order, &mut expected);
        let mut listed = Vec::new();
        let mut after: Option<TokenAfter> = None;
        loop {
            let list = TokenList { order, after, ..list.clone() };
            let page = house.store.list_tokens(list).await.unwrap();
            assert!(page.len() <= 100);
            after = page.last().map(|row| order.after(row));
            listed.extend(page);
            if after.is_none() {
                break;
            }
        }
        let ids = |rows: &[StoredToken]| rows.iter().map(|row| row.token.id).collect::<Vec<_>>();
        assert_eq!(ids(&listed), ids(&expected), "{order:?} {list:?}");
        assert_eq!(listed, expected);
        found += listed.len();
    }
    assert!(found > 20_000, "{found}");
    house.is_sound().await;
}

async fn a_field_of_metadata_is_a_text_or_as_json_writes_it(kind: Kind) {
    let house = House::with_member(kind).await;
    let metadata = serde_json::json!({
        "team": "payments",
        "nul": "x\u{0}\u{1}\\u0000",
        "\u{0}": true,
        "number": 5.0,
        "nothing": null,
        "deep": {"a": [1, null]},
    });
    let with = Token { metadata: Some(metadata), ..token(1, 1, 1) };
    house.made(Change::TokenIssued(Box::new(with))).await;
    house.made(issue(2, 1, 1)).await;
    for (name, value, is_so) in [
        ("team", "payments", true),
        ("team", "\"payments\"", true),
        ("team", "pay", false),
        ("Team", "payments", false),
        ("nul", "x\u{0}\u{1}\\u0000", true),
        ("nul", r#""x\u0000\u0001\\u0000""#, true),
        ("nul", "x\u{1}\u{3}\u{1}\u{2}\\u0000", false),
        ("nul", "x", false),
        ("\u{0}", "true", true),
        ("\u{1}\u{3}", "true", false),
        ("number", "5.0", true),
        ("number", "5", false),
        ("nothing", "null", true),
        ("absent", "null", false),
        ("deep", r#"{"a":[1,null]}"#, true),
    ] {
        let field = Some((name.to_owned(), value.to_owned()));
        let filter = TokenFilter { metadata: field, ..TokenFilter::default() };
        let found = house.store.tokens(filter, first_page()).await.unwrap();
        assert_eq!(found.len(), usize::from(is_so), "{name:?} {value:?}");
    }
}

/// No text that is kept has a NUL, and not every database takes one.
async fn what_nobody_is_called_finds_nobody(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    let text = || Some("\u{0}".to_owned());
    let named = named("o\u{0}");
    assert!(house.store.organizations(named, first_page()).await.unwrap().is_empty());
    for filter in [
        AccountFilter { search: text(), ..AccountFilter::default() },
        AccountFilter { external_id: text(), ..AccountFilter::default() },
    ] {
        assert!(house.store.accounts(filter, first_page()).await.unwrap().is_empty());
    }
    for filter in [
        TokenFilter { api: text(), ..TokenFilter::default() },
        TokenFilter { external_id: text(), ..TokenFilter::default() },
    ] {
        assert!(house.store.tokens(filter, first_page()).await.unwrap().is_empty());
    }
    let list = TokenList::all(organization(1), TokenOrder::Name, 9);
    let list = TokenList { search: text(), after: None, ..list };
    assert!(house.store.list_tokens(list).await.unwrap().is_empty());
}

on_every_store!(
    whatever_is_asked_for_is_listed_whole_and_in_order,
    a_field_of_metadata_is_a_text_or_as_json_writes_it,
    what_nobody_is_called_finds_nobody,
);

//! Changing what is there already.

use super::*;
use serde_json::json;

async fn fields_of_metadata_find_tokens(kind: Kind) {
    let house = House::with_member(kind).await;
    let metadata = [
        json!({"team": "payments", "n": 7, "odd \"key\".": true}),
        json!({"team": "payments", "n": "7", "more": {"team": "search"}}),
        json!({"team": "search", "n": 7.5, "list": ["payments"]}),
    ];
    for (n, metadata) in (1..).zip(metadata) {
        let token = Token { metadata: Some(metadata), ..token(n, 1, 1) };
        house.made(Change::TokenIssued(Box::new(token))).await;
    }
    house.made(Change::TokenIssued(Box::new(Token { metadata: None, ..token(4, 1, 1) }))).await;
    let found = async |name: &str, value: &str| {
        let metadata = Some((name.to_owned(), value.to_owned()));
        let filter = TokenFilter { metadata, ..TokenFilter::default() };
        let found = house.store.tokens(filter, first_page()).await.unwrap();
        found.iter().map(|found| found.token.name.clone()).collect::<Vec<_>>().join(" ")
    };
    for (name, value, names) in [
        ("team", "payments", "t1 t2"),
        ("team", "search", "t3"),
        ("team", "", ""),
        ("n", "7", "t1 t2"),
        ("n", "7.5", "t3"),
        ("odd \"key\".", "true", "t1"),
        ("list", "[\"payments\"]", "t3"),
        ("more.team", "search", ""),
        ("' OR 1=1 --", "x", ""),
    ] {
        assert_eq!(found(name, value).await, names, "{name}:{value}");
    }
}

async fn of_two_changes_decided_on_the_same_row_one_is_made(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    let mut first = change_token(1);
    let Change::TokenChanged { note, grant, .. } = &mut first else { unreachable!() };
    (*note, *grant) = ("narrowed".into(), Grant::Role("viewer".into()));
    house.made(first).await;
    // Whoever had read it before would write back what was taken away.
    house.refused(change_token(1)).await;
    house.refused(rotate(1, 0, None)).await;
    let stored = house.store.token(token_id(1)).await.unwrap().unwrap();
    assert_eq!((&*stored.token.note, stored.revision), ("narrowed", 1));
    for change in [rename_account(1, None), rename_organization(1, None)] {
        house.made(change.clone()).await;
        house.refused(change).await;
    }
    house.is_sound().await;
}

async fn names_of_elsewhere_find_organizations_and_accounts(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(2)).await;
    house.made(rename_account(1, Some("crm-1".into()))).await;
    house.made(rename_organization(1, Some("crm-9".into()))).await;
    house.refused(rename_account(3, None)).await;
    house.refused(rename_organization(3, None)).await;
    let accounts = async |id: &str, organization| {
        let external_id = Some(id.to_owned());
        let filter = AccountFilter { external_id, organization, ..AccountFilter::default() };
        let found = house.store.accounts(filter, first_page()).await.unwrap();
        found.into_iter().map(|found| (found.id, found.name)).collect::<Vec<_>>()
    };
    let found = [(account(1), "renamed 1".to_owned())];
    assert_eq!(accounts("crm-1", None).await, found);
    assert_eq!(accounts("crm-1", Some(organization(1))).await, found);
    assert_eq!(accounts("crm-1", Some(organization(2))).await, []);
    assert_eq!(accounts("crm-9", None).await, []);
    let external_id = Some("crm-9".to_owned());
    let filter = OrganizationFilter { name: None, external_id };
    let organizations = house.store.organizations(filter, first_page()).await.unwrap();
    assert_eq!(organizations.iter().map(|o| o.id).collect::<Vec<_>>(), [organization(1)]);
    let closed = Change::OrganizationClosed { organization: organization(1) };
    house.made(closed).await;
    house.refused(rename_organization(1, None)).await;
    house.is_sound().await;
}

on_every_store!(
    fields_of_metadata_find_tokens,
    of_two_changes_decided_on_the_same_row_one_is_made,
    names_of_elsewhere_find_organizations_and_accounts,
);

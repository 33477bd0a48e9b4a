//! How the database goes about lists, where its statistics are misleading: half of all tokens
//! are one organization's, and none of those is what is asked for.

use super::{
    find_tokens,
    list_tokens::{first_of_each, query, stretches, ways},
    migrate, usage,
};
use crate::store::{Page, TokenAfter, TokenFilter, TokenList, TokenOrder, TokenState, UsageFilter};
use counterfoil_core::{
    Timestamp,
    id::{AccountId, OrganizationId, TokenId},
    token::Grant,
};
use counterfoil_support::postgres as support;
use deadpool_postgres::{Client, Manager, Pool};
use std::time::Duration;
use tokio_postgres::NoTls;

const TOKENS: &str = "
    INSERT INTO token (id, api, organization, owner, name, note, granted, allowed_networks,
        prefix, last_four, digest, created_at, expires_at, paused_at, revoked_at, revoke_reason)
    SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'),
        CASE WHEN here THEN 'orders' ELSE 'others' END,
        decode(lpad(CASE WHEN here THEN '0' ELSE to_hex(1 + n % 99) END, 32, '0'), 'hex'),
        decode(lpad(CASE WHEN here THEN '0' ELSE to_hex(1 + n % 999) END, 32, '0'), 'hex'),
        CASE WHEN here THEN 'ci' ELSE 'deploy' END || n % 5000, '', '\"any\"', '[]', 'x',
        lpad((n % 10000)::text, 4, '0'), sha256(n::text::bytea), 1,
        CASE WHEN here THEN n END, CASE WHEN NOT here THEN 1 END,
        CASE WHEN NOT here AND n % 2 = 0 THEN 1 END, CASE WHEN NOT here THEN 'leaked' ELSE '' END
    FROM (SELECT n, n % 2 = 0 AS here FROM generate_series(1, 60000) AS n) AS numbers;
    INSERT INTO last_use (token, at, door, home, latest)
    SELECT id, 5, 'd', organization, get_byte(id, 15) FROM token WHERE get_byte(id, 14) > 0;
    INSERT INTO usage SELECT id, 0, 'admitted', 1 FROM token;
    ANALYZE";

async fn client(cluster: &support::Postgres) -> Client {
    let mut server = tokio_postgres::Config::new();
    server.host_path(cluster.directory()).port(cluster.port());
    server.user(cluster.user()).dbname(cluster.create_database());
    server.connect_timeout(Duration::from_secs(30));
    let pool = Pool::builder(Manager::new(server, NoTls)).max_size(1).build().unwrap();
    let mut client = pool.get().await.unwrap();
    migrate::migrate(&mut client).await.unwrap();
    client.batch_execute(TOKENS).await.unwrap();
    client
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn lists() -> Vec<TokenList> {
    let id = TokenId::from_bytes([1; 16]);
    let mut lists = Vec::new();
    for (order, after) in [
        (TokenOrder::Newest, TokenAfter::Newest(id)),
        (TokenOrder::Name, TokenAfter::Name("a".into(), id)),
        (TokenOrder::End, TokenAfter::End(Some(now()), id)),
        (TokenOrder::LastUse, TokenAfter::LastUse(Some(now()), id)),
        (TokenOrder::LastUse, TokenAfter::LastUse(None, id)),
    ] {
        let all = TokenList::all(OrganizationId::from_bytes([0; 16]), order, 9);
        lists.push(TokenList { after: Some(after), ..all.clone() });
        lists.push(all);
    }
    lists
}

#[tokio::test]
async fn what_is_walked_has_the_order_and_what_leads_has_an_index() {
    let cluster = support::Postgres::start();
    let client = client(&cluster).await;
    for list in lists() {
        for stretch in stretches(&list) {
            let plan = query(&list, stretch, None, 9).plan(&client).await;
            assert!(
                !plan.contains("Sort") && !plan.contains("Seq Scan on token"),
                "{list:?} {plan}"
            );
        }
    }
    let all = lists().remove(1);
    for list in [
        TokenList { search: Some("a1@example.com".into()), ..all.clone() },
        TokenList { search: Some("deploy".into()), ..all.clone() },
        TokenList { api: Some("others".into()), ..all.clone() },
        TokenList { grants: Some(vec![("others".into(), Grant::Any)]), ..all.clone() },
        TokenList { owner: Some(AccountId::from_bytes([0; 16])), ..all.clone() },
        TokenList { never_expires: true, leaked: true, ..all.clone() },
        TokenList { expires_before: Some(Timestamp::from_millis(1)), ..all.clone() },
        TokenList { state: Some((TokenState::Active, now())), ..all.clone() },
        TokenList { state: Some((TokenState::Paused, now())), ..all.clone() },
        TokenList { state: Some((TokenState::Expired, now())), ..all.clone() },
        TokenList { state: Some((TokenState::Revoked, now())), ..all.clone() },
    ] {
        let plan = first_of_each(ways(&list)).plan(&client).await;
        let by_id = plan.lines().any(|step| step.contains("token_pkey on token"));
        let is_id = list.search.is_some();
        assert!(!plan.contains("Seq Scan on token") && (is_id || !by_id), "{list:?} {plan}");
    }
    for after in [None, Some(TokenId::from_bytes([1; 16]))] {
        let organization = Some(OrganizationId::from_bytes([0; 16]));
        let filter = TokenFilter { organization, ..TokenFilter::default() };
        let plan = find_tokens::tokens(&filter, Page { after, limit: 9 }).plan(&client).await;
        assert!(plan.contains("token_by_organization") && !plan.contains("Sort"), "{plan}");
        let filter = UsageFilter {
            token: None,
            api: None,
            organization,
            owner: None,
            from: Timestamp::from_millis(0),
            to: Timestamp::MAX,
        };
        let after = after.map(|id| (id, now(), String::new()));
        let plan = usage::counts(&filter, Page { after, limit: 9 }).plan(&client).await;
        // One token's counts may be sorted, never all that there are.
        let sorts = plan.contains("->  Sort");
        assert!(plan.contains("token_by_organization") && !sorts, "{plan}");
    }
}

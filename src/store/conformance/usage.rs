//! What tokens did: kept for a while, added to, and no part of the ledger.

use super::{
    House, Kind, account, at, create_account, create_organization, digest, issue, join,
    on_every_store, organization, rotate, token_id,
};
use crate::{
    store::{OriginKind, Page, TokenFilter, UsageFilter, UsageKey},
    usage::{Count, LastUse, ORIGINS, Origin, Outcome, TokenUsage},
};
use counterfoil_core::{Code, Timestamp, token::Digest};
use std::net::IpAddr;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn count(hours: i64, outcome: Outcome, requests: u64) -> Count {
    Count { hour: at(hours * HOUR), outcome, requests }
}

fn origin<T>(days: i64, value: Option<T>, admitted: u64, refused: u64) -> Origin<T> {
    let day = at(days * DAY);
    Origin {
        day,
        value,
        admitted,
        refused,
        first_at: at(days * DAY + 1),
        last_at: at(days * DAY + 2),
    }
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn last(millis: i64) -> LastUse {
    LastUse {
        at: at(millis),
        door: "gateway".into(),
        address: Some(address(1)),
        user_agent: Some("curl/8".into()),
        route: Some("GET /a".into()),
        secret: None,
    }
}

fn used(millis: i64) -> TokenUsage {
    TokenUsage { last: Some(last(millis)), ..TokenUsage::default() }
}

fn everything() -> UsageFilter {
    UsageFilter {
        token: None,
        api: None,
        organization: None,
        owner: None,
        from: at(0),
        to: Timestamp::MAX,
    }
}

impl House {
    async fn keeps(&self, usage: &[(u8, TokenUsage)]) {
        let usage = usage.iter().map(|(n, usage)| (token_id(*n), usage.clone())).collect();
        self.store.keep_usage(usage).await.unwrap();
    }

    /// Token, hour, outcome and count.
    async fn counts(
        &self,
        filter: UsageFilter,
        page: Page<UsageKey>,
    ) -> Vec<(u8, i64, String, u64)> {
        let found = self.store.usage(filter, page).await.unwrap().into_iter();
        let number = |token| (0..=u8::MAX).find(|n| token_id(*n) == token).unwrap();
        found.map(|c| (number(c.token), c.hour.as_millis() / HOUR, c.outcome, c.count)).collect()
    }
}

fn all() -> Page<UsageKey> {
    Page { after: None, limit: 100 }
}

async fn counts_are_added_up_filtered_and_paged(kind: Kind) {
    let house = House::with_member(kind).await;
    for change in [create_organization(2), create_account(2), join(1, 2), join(2, 1)] {
        house.made(change).await;
    }
    for change in [issue(1, 1, 1), issue(2, 1, 2), issue(3, 2, 1)] {
        house.made(change).await;
    }
    let head = house.replica.head();
    let expired = Outcome::Refused(Code::Expired);
    let usage = |counts| TokenUsage { counts, ..TokenUsage::default() };
    house
        .keeps(&[
            (1, usage(vec![count(5, Outcome::Admitted, 2), count(6, expired, 1)])),
            (2, usage(vec![count(5, Outcome::Admitted, 3)])),
            (3, usage(vec![count(7, Outcome::Admitted, 4)])),
            // Nobody's: it is in no list.
            (9, usage(vec![count(5, Outcome::Admitted, 9)])),
        ])
        .await;
    house.keeps(&[(1, usage(vec![count(5, Outcome::Admitted, 40), count(5, expired, 7)]))]).await;

    let (admitted, expired) = ("admitted".to_owned(), "expired".to_owned());
    let rows = [
        (1, 5, admitted.clone(), 42),
        (1, 5, expired.clone(), 7),
        (1, 6, expired.clone(), 1),
        (2, 5, admitted.clone(), 3),
        (3, 7, admitted, 4),
    ];
    assert_eq!(house.counts(everything(), all()).await, rows);
    for (filter, expected) in [
        (UsageFilter { token: Some(token_id(1)), ..everything() }, &rows[..3]),
        (UsageFilter { api: Some("even".into()), ..everything() }, &rows[3..4]),
        (UsageFilter { organization: Some(organization(1)), ..everything() }, &rows[..4]),
        (UsageFilter { owner: Some(account(2)), ..everything() }, &rows[3..4]),
        (
            UsageFilter {
                organization: Some(organization(2)),
                token: Some(token_id(1)),
                ..everything()
            },
            &[],
        ),
        (UsageFilter { from: at(7 * HOUR), ..everything() }, &rows[4..]),
        (UsageFilter { from: at(6 * HOUR), to: at(7 * HOUR), ..everything() }, &rows[2..3]),
    ] {
        assert_eq!(house.counts(filter.clone(), all()).await, expected, "{filter:?}");
    }
    let mut page = Page { after: None, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let found = house.counts(everything(), page.clone()).await;
        let Some((n, hour, outcome, _)) = found.last().cloned() else { break };
        page.after = Some((token_id(n), at(hour * HOUR), outcome));
        seen.extend(found);
    }
    assert_eq!(seen, rows);
    assert_eq!(house.replica.head(), head);
    house.is_sound().await;
}

async fn so_many_origins_of_a_day_are_told_apart(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    let addresses = |addresses| TokenUsage { addresses, ..TokenUsage::default() };
    let most = u8::try_from(ORIGINS).unwrap();
    for n in 0..most + 5 {
        let from = vec![origin(3, Some(address(n)), 1, 0)];
        house.keeps(&[(1, addresses(from))]).await;
    }
    // One that is known is still added to, and another day or token has room.
    let later = Origin { last_at: at(3 * DAY + 9), ..origin(3, Some(address(7)), 0, 2) };
    let from = vec![later, origin(3, None, 1, 0), origin(4, Some(address(200)), 1, 0)];
    house
        .keeps(&[(1, addresses(from)), (2, addresses(vec![origin(3, Some(address(9)), 1, 0)]))])
        .await;
    let agents = vec![origin(3, Some("curl/8".to_owned()), 5, 0)];
    house.keeps(&[(1, TokenUsage { user_agents: agents, ..TokenUsage::default() })]).await;

    let found = house.store.origins(token_id(1), OriginKind::Address, at(0)).await.unwrap();
    assert_eq!(found.len(), usize::from(most) + 2);
    assert_eq!(found[0].value.as_deref(), Some("192.0.2.200"));
    let expected =
        Origin { last_at: at(3 * DAY + 9), ..origin(3, Some("192.0.2.7".to_owned()), 1, 2) };
    assert_eq!(found[1], expected);
    let others = found.iter().find(|origin| origin.value.is_none()).unwrap();
    assert_eq!(*others, origin(3, None, 6, 0));
    let of_late = house.store.origins(token_id(1), OriginKind::Address, at(4 * DAY)).await.unwrap();
    assert_eq!(of_late, found[..1]);
    let found = house.store.origins(token_id(1), OriginKind::UserAgent, at(0)).await.unwrap();
    assert_eq!(found, [origin(3, Some("curl/8".to_owned()), 5, 0)]);
    house.is_sound().await;
}

async fn the_last_use_is_shown_with_its_token(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    house.made(issue(2, 1, 1)).await;
    let shown = async |n| house.store.token(token_id(n)).await.unwrap().unwrap().last_used;
    assert_eq!(shown(1).await, None);
    house.keeps(&[(1, used(500))]).await;
    assert_eq!(shown(1).await, Some(last(500)));
    let bare = LastUse { address: None, user_agent: None, route: None, ..last(600) };
    house.keeps(&[(1, TokenUsage { last: Some(bare.clone()), ..TokenUsage::default() })]).await;
    assert_eq!(shown(1).await, Some(bare.clone()));
    // What comes late changes nothing.
    house.keeps(&[(1, used(599))]).await;
    assert_eq!(shown(1).await, Some(bare.clone()));
    let listed = house.store.tokens(TokenFilter::default(), super::first_page()).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|row| row.last_used).collect();
    assert_eq!(listed, [Some(bare), None]);
    house.is_sound().await;
}

async fn the_two_secrets_of_a_token_are_told_apart(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    let stored = async || house.store.token(token_id(1)).await.unwrap().unwrap();
    let (first, second) = (digest(1, 0), digest(1, 1));
    assert_eq!(stored().await.token.digest, first);
    let with = |millis, digest: Digest| LastUse { secret: Some(digest.mark()), ..last(millis) };
    house.keeps(&[(1, TokenUsage { last: Some(with(500, first)), ..used(0) })]).await;
    let shown = async || {
        let stored = stored().await;
        [stored.last_used, stored.present_last_used, stored.previous_last_used]
            .map(|last| last.map(|last| last.at.as_millis()))
    };
    assert_eq!(shown().await, [Some(500), Some(500), None]);
    house.made(rotate(1, 0, Some(at(9_000)))).await;
    // What was the present one is the one before; nothing is said of the new one.
    assert_eq!(shown().await, [Some(500), None, Some(500)]);
    let both = |present, previous, before| TokenUsage {
        last: Some(with(present, second)),
        previous: Some(Box::new(with(previous, before))),
        ..TokenUsage::default()
    };
    house.keeps(&[(1, both(600, 700, first))]).await;
    assert_eq!(shown().await, [Some(700), Some(600), Some(700)]);
    house.keeps(&[(1, both(650, 640, first))]).await;
    assert_eq!(shown().await, [Some(700), Some(650), Some(700)]);
    let unused = |since| TokenFilter { unused_since: Some(at(since)), ..TokenFilter::default() };
    let found =
        async |since| house.store.tokens(unused(since), super::first_page()).await.unwrap().len();
    assert_eq!((found(700).await, found(701).await), (0, 1));
    // The secret before that is nothing any more.
    house.made(rotate(1, 1, Some(at(9_000)))).await;
    assert_eq!(shown().await, [Some(700), None, Some(650)]);
    // Not even where a use of it was later than the last of the one after it.
    house.keeps(&[(1, TokenUsage { last: Some(with(800, digest(1, 2))), ..used(0) })]).await;
    assert_eq!(shown().await, [Some(800), Some(800), Some(650)]);
    house.is_sound().await;
}

async fn some_routes_are_known(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    for n in 1..=3 {
        house.keeps(&[(1, used(n * HOUR))]).await;
    }
    let found = house.store.origins(token_id(1), OriginKind::Route, at(0)).await.unwrap();
    let [route] = &found[..] else { panic!("{found:?}") };
    assert_eq!(route.value.as_deref(), Some("GET /a"));
    assert_eq!((route.first_at, route.last_at), (at(HOUR), at(3 * HOUR)));
}

async fn tokens_are_found_by_their_last_use_and_their_end(kind: Kind) {
    let house = House::with_member(kind).await;
    // Made at 1 to 6; the even ones expire at 5000.
    for n in 1..=6 {
        house.made(issue(n, 1, 1)).await;
    }
    house.keeps(&[(1, used(100)), (2, used(200)), (5, used(200))]).await;
    let ids = async |filter: TokenFilter, after| -> Vec<u8> {
        let page = Page { after, limit: 3 };
        let found = house.store.tokens(filter, page).await.unwrap();
        found.iter().map(|row| (1..=6).find(|n| row.token.id == token_id(*n)).unwrap()).collect()
    };
    let unused = |since| TokenFilter { unused_since: Some(at(since)), ..TokenFilter::default() };
    assert_eq!(ids(unused(200), None).await, [1, 3, 4]);
    assert_eq!(ids(unused(200), Some(token_id(4))).await, [6]);
    assert_eq!(ids(unused(100), None).await, [3, 4, 6]);
    // Made too late for that.
    assert_eq!(ids(unused(4), None).await, [3]);
    let ending =
        |before| TokenFilter { expires_before: Some(at(before)), ..TokenFilter::default() };
    assert_eq!(ids(ending(5000), None).await, Vec::<u8>::new());
    assert_eq!(ids(ending(5001), None).await, [2, 4, 6]);
    assert_eq!(ids(ending(5001), Some(token_id(2))).await, [4, 6]);
    let both = TokenFilter { organization: Some(organization(1)), ..ending(5001) };
    assert_eq!(ids(TokenFilter { unused_since: Some(at(150)), ..both }, None).await, [4, 6]);
}

async fn what_is_too_old_is_forgotten_bit_by_bit(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    let usage = TokenUsage {
        counts: (0..5).map(|hour| count(hour, Outcome::Admitted, 1)).collect(),
        addresses: (0..5).map(|day| origin(day, Some(address(1)), 1, 0)).collect(),
        user_agents: Vec::new(),
        last: Some(last(3)),
        previous: None,
    };
    house.keeps(&[(1, usage)]).await;
    let left = async || {
        let origins = house.store.origins(token_id(1), OriginKind::Address, at(0)).await.unwrap();
        (house.counts(everything(), all()).await.len(), origins.len())
    };
    assert!(!house.store.forget_usage(at(3), 3).await.unwrap());
    assert_eq!(left().await, (4, 4));
    assert!(house.store.forget_usage(at(3 * HOUR), 1).await.unwrap());
    assert_eq!(left().await, (3, 4));
    assert!(house.store.forget_usage(at(3 * DAY), 2).await.unwrap());
    assert_eq!(left().await, (1, 2));
    assert!(!house.store.forget_usage(at(3 * DAY), 2).await.unwrap());
    assert_eq!(left().await, (0, 2));
    // When a token was last used is asked for however long ago that was.
    let last = house.store.token(token_id(1)).await.unwrap().unwrap().last_used.unwrap();
    let bare = LastUse { address: None, user_agent: None, route: None, ..self::last(3) };
    assert_eq!(last, bare);
    house.is_sound().await;
}

on_every_store!(
    counts_are_added_up_filtered_and_paged,
    so_many_origins_of_a_day_are_told_apart,
    the_last_use_is_shown_with_its_token,
    the_two_secrets_of_a_token_are_told_apart,
    some_routes_are_known,
    tokens_are_found_by_their_last_use_and_their_end,
    what_is_too_old_is_forgotten_bit_by_bit,
);

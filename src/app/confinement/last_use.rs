//! A last use is told at once, and telling it writes nothing.

use super::world::World;
use crate::{
    clock,
    service::Caller,
    store::{Page, TokenFilter},
    usage::{Outcome, Use},
};
use counterfoil_core::{Timestamp, id::TokenId, time::Seconds};

impl World {
    fn uses(&self, token: TokenId, at: Timestamp) {
        let door = "gateway";
        let used = Use {
            at,
            door,
            client: None,
            user_agent: None,
            method: "GET",
            path: "/",
            secret: None,
        };
        self.app.service.usage.record(token, Outcome::Admitted, &used, |text| text.into());
    }

    /// When the list says that a token was last used.
    async fn listed(&self, token: TokenId, filter: TokenFilter) -> Option<Timestamp> {
        let page = Page { after: None, limit: 1000 };
        let found = self.app.service.tokens(&Caller::Operator, filter, page).await.unwrap();
        found.into_iter().find(|stored| stored.token.id == token)?.last_used.map(|last| last.at)
    }
}

#[tokio::test]
async fn it_is_told_where_nothing_can_be_written() {
    let world = World::new().await;
    let service = &world.app.service;
    let token = world.tokens[0];
    let later = clock::now().plus(Seconds::HOUR);
    service.store.close().await;
    world.uses(token, later);
    let flushes = service.usage.flushes();
    let shown = service.token(&Caller::Operator, token).await.unwrap();
    assert_eq!(shown.last_used.unwrap().at, later);
    assert_eq!(world.listed(token, TokenFilter::default()).await, Some(later));
    assert_eq!(service.usage.flushes(), flushes);
    // The one list for which it has to be written.
    let unused_since = Some(clock::now());
    world.listed(token, TokenFilter { unused_since, ..TokenFilter::default() }).await;
    assert_eq!(service.usage.flushes(), flushes + 1);
}

#[tokio::test]
async fn who_used_a_token_lately_is_told_by_value() {
    let world = World::new().await;
    let service = &world.app.service;
    let token = world.tokens[0];
    let now = clock::now().plus(Seconds::HOUR);
    let before = service.recent_use(&Caller::Operator, token, 7).await.unwrap().admitted;
    for days in [0, 1, 1, 20] {
        world.uses(token, now.minus(Seconds::days(days)));
        service.usage.flush().await;
    }
    let used = service.recent_use(&Caller::Operator, token, 7).await.unwrap();
    assert_eq!((used.admitted - before, used.refused), (3, 0));
    // What the world's own use came from is another address, without a user agent either.
    let [here, _] = &used.addresses[..] else { panic!("{:?}", used.addresses) };
    let [agent] = &used.user_agents[..] else { panic!("{:?}", used.user_agents) };
    for (one, admitted) in [(here, 3), (agent, 3 + before)] {
        assert_eq!((&one.value, one.admitted), (&None, admitted));
        assert_eq!((one.first_at, one.last_at), (now.minus(Seconds::DAY), now));
    }
    let [route] = &used.routes[..] else { panic!("{:?}", used.routes) };
    assert_eq!(route.value.as_deref(), Some("GET /"));
    assert_eq!(route.last_at, now);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_while_it_is_written() {
    let world = World::new().await;
    let service = &world.app.service;
    let token = world.tokens[0];
    let begin = clock::now().plus(Seconds::HOUR).as_millis();
    for n in 0..100 {
        let now = Timestamp::from_millis(begin + n);
        world.uses(token, now);
        let (listed, shown, ()) = tokio::join!(
            world.listed(token, TokenFilter::default()),
            service.token(&Caller::Operator, token),
            service.usage.flush(),
        );
        assert_eq!(listed, Some(now));
        assert_eq!(shown.unwrap().last_used.unwrap().at, now);
    }
}

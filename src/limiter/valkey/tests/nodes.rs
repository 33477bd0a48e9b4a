//! Nodes that share a server: together they grant what one would.

use super::*;
use counterfoil_core::limit::NoSuchSlot;
use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn together_they_grant_no_more_than_one_would() {
    let server = Redis::start();
    let (whose, limits) = (token(), Arc::new(in_flight(5)));
    let [held, most] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for _ in 0..NODES {
        let node = Arc::new(Node::of(&server).await);
        node.until_settled().await;
        for _ in 0..8 {
            let (node, limits) = (node.clone(), limits.clone());
            let (held, most) = (held.clone(), most.clone());
            clients.push(tokio::spawn(async move {
                let mut granted = 0;
                for _ in 0..200 {
                    let Ok(taken) = node.take(whose, &limits).await else { continue };
                    most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    held.fetch_sub(1, Ordering::SeqCst);
                    drop(taken);
                    granted += 1;
                }
                assert_eq!(node.shared.decided_alone(), 0);
                granted
            }));
        }
    }
    let mut granted = 0;
    for client in clients {
        granted += client.await.unwrap();
    }
    assert!(granted > 0);
    assert!(most.load(Ordering::SeqCst) <= 5);
    // Each was given back once, and none twice: there are five again.
    let node = Node::of(&server).await;
    let mut all = Vec::new();
    until(async || {
        all.extend(node.take_all(whose, &limits).await);
        all.len() == 5
    })
    .await;
    assert!(node.take(whose, &limits).await.is_err());
}

#[tokio::test]
async fn rates_hold_for_all_of_them() {
    let server = Redis::start();
    let limits = Limits::new(None, vec!["10/1h".parse().unwrap()]).unwrap();
    let whose = token();
    let nodes = [Node::of(&server).await, Node::of(&server).await];
    nodes[0].until_settled().await;
    for number in 0..10_u32 {
        let node = &nodes[number as usize % 2];
        let granted = node.ask(whose, &limits, Holds::Nothing).await.unwrap();
        assert_eq!(granted.standings[0].remaining, 9 - number);
    }
    for node in &nodes {
        let Err(Refused::RateLimited(throttled)) = node.ask(whose, &limits, Holds::Nothing).await
        else {
            panic!("it is refused")
        };
        assert!((3500..=3900).contains(&throttled.retry_after.0), "{throttled:?}");
        assert_eq!(throttled.standings[0].remaining, 0);
    }
}

/// Whoever gives a slot back and asks at once has it again, also a thousand times.
#[tokio::test]
async fn a_slot_that_was_given_back_is_free_for_the_next() {
    let server = Redis::start();
    let node = Node::of(&server).await;
    node.until_settled().await;
    let (whose, limits) = (token(), in_flight(1));
    for _ in 0..1000 {
        drop(node.take(whose, &limits).await.unwrap());
    }
}

/// A client that goes away while its request is decided about leaves nothing behind.
#[tokio::test]
async fn whoever_does_not_wait_for_the_answer_holds_nothing() {
    let server = Redis::start();
    let node = Node::of(&server).await;
    node.until_settled().await;
    let (whose, limits) = (token(), in_flight(1));
    for _ in 0..100 {
        {
            let mut asking = pin!(node.take(whose, &limits));
            // As far as the question, and no further.
            poll_fn(|context| {
                assert!(asking.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        drop(node.take(whose, &limits).await.unwrap());
    }
}

#[tokio::test]
async fn a_slot_by_name_is_known_to_all_nodes() {
    let server = Redis::start();
    let [one, other] = [Node::of(&server).await, Node::of(&server).await];
    one.until_settled().await;
    let (whose, limits) = (token(), in_flight(1));
    let (slot, stranger) = (claim(1, 30), claim(2, 30));
    one.keep(whose, &limits, slot).await.unwrap();
    assert_eq!(other.keep(whose, &limits, stranger).await, Err(Refused::TooManyInFlight));
    for node in [&one, &other] {
        assert_eq!(node.renew(&slot).await, Ok(()));
        let of_stranger = Claim { owner: stranger.owner, ..slot };
        assert_eq!(node.renew(&of_stranger).await, Err(NoSuchSlot.into()));
        assert_eq!(node.give_back(&of_stranger).await, Err(NoSuchSlot.into()));
        assert_eq!(node.renew(&stranger).await, Err(NoSuchSlot.into()), "it was refused");
    }
    assert_eq!(other.give_back(&slot).await, Ok(()));
    for node in [&other, &one] {
        assert_eq!(node.give_back(&slot).await, Err(NoSuchSlot.into()));
        assert_eq!(node.renew(&slot).await, Err(NoSuchSlot.into()));
    }
    other.keep(whose, &limits, stranger).await.unwrap();
    // What nobody renews ends by itself.
    let soon = claim(1, 1);
    assert_eq!(one.give_back(&stranger).await, Ok(()));
    one.keep(whose, &limits, soon).await.unwrap();
    until(async || other.take(whose, &limits).await.is_ok()).await;
    assert_eq!(one.give_back(&soon).await, Err(NoSuchSlot.into()));
}

/// The access list in the documentation is enough, in another database as well.
#[tokio::test]
async fn the_commands_that_it_may_be_allowed() {
    const PAGE: &str = include_str!("../../../../docs/shared-limits.md");
    let server = Redis::start();
    let line = PAGE.lines().find_map(|line| line.strip_prefix("user ")).unwrap();
    let words = ["ACL", "SETUSER"].into_iter().chain(line.split(' '));
    server.says(&words.collect::<Vec<_>>());
    let node = Node::with(&config::Limiter {
        user: Some("counterfoil".into()),
        password: Some(config::Secret::new("PASSWORD".into())),
        prefix: "counterfoil".into(),
        database: 3,
        ..settings(&server)
    })
    .await;
    node.until_settled().await;
    let rates = vec!["9/1h".parse().unwrap()];
    let (whose, limits) = (token(), Limits::new(Some(2), rates).unwrap());
    let (taken, slot) = (node.take(whose, &limits).await.unwrap(), claim(1, 30));
    node.keep(whose, &limits, slot).await.unwrap();
    assert!(node.take(whose, &limits).await.is_err());
    node.renew(&slot).await.unwrap();
    node.give_back(&slot).await.unwrap();
    drop(taken);
    assert_eq!(node.take_all(whose, &limits).await.len(), 2);
    assert_eq!(node.shared.decided_alone(), 0);
    assert_eq!(server.says(&["ACL", "LOG"]), "");
}

/// A node that is killed can give nothing back, so what it held ends.
#[tokio::test]
async fn slots_are_written_to_end() {
    let server = Redis::start();
    let node = Node::of(&server).await;
    node.until_settled().await;
    let (whose, limits) = (token(), in_flight(5));
    let taken = node.take(whose, &limits).await.unwrap();
    let keys = server.says(&["KEYS", "*:slots"]);
    let left: u64 = server.says(&["PTTL", &keys]).parse().unwrap();
    assert!((20_000..=30_000).contains(&left), "{left}");
    drop(taken);
    node.shared.close().await;
    assert_eq!(server.says(&["EXISTS", &keys]), "0");
}

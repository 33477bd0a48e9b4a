//! A server that comes and goes: what nodes grant meanwhile, and that they find back.

use super::*;

/// What each of the nodes grants by itself.
const PART: usize = 2;
const MOST: usize = 6;

async fn nodes(server: &Redis) -> [Node; NODES as usize] {
    let nodes = [Node::of(server).await, Node::of(server).await, Node::of(server).await];
    for node in &nodes {
        node.until_settled().await;
    }
    nodes
}

/// Has a node notice what happened to the server.
async fn until_gone(node: &Node) {
    node.until_up(false).await;
}

#[tokio::test]
async fn without_the_server_each_grants_its_part() {
    let mut server = Redis::start();
    let nodes = nodes(&server).await;
    let (whose, limits) = (token(), in_flight(MOST));
    server.kill();
    for node in &nodes {
        until_gone(node).await;
        let alone = node.shared.decided_alone();
        let held = node.take_all(whose, &limits).await;
        assert_eq!(held.len(), PART);
        assert_eq!(node.shared.decided_alone() - alone, PART as u64 + 1);
        drop(held);
        assert_eq!(node.take_all(whose, &limits).await.len(), PART, "they were given back");
    }
    // Nothing has to be started anew for the limit to be one again.
    server.start_again();
    let mut held = Vec::new();
    for node in &nodes {
        node.until_settled().await;
    }
    for node in &nodes {
        held.extend(node.take_all(whose, &limits).await);
    }
    assert_eq!(held.len(), MOST);
}

/// The server has forgotten everything; what is held is still held.
#[tokio::test]
async fn a_server_that_forgot_is_told() {
    let mut server = Redis::start();
    let nodes = nodes(&server).await;
    let (whose, limits) = (token(), in_flight(MOST));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(nodes[0].take(whose, &limits).await.unwrap());
        held.push(nodes[1].take(whose, &limits).await.unwrap());
    }
    server.kill();
    for node in &nodes {
        until_gone(node).await;
    }
    // They have their part and more, and the third has it alone.
    for node in &nodes[..2] {
        assert!(node.take(whose, &limits).await.is_err());
    }
    let alone = nodes[2].take_all(whose, &limits).await;
    assert_eq!(alone.len(), PART);
    server.start_again();
    for node in &nodes {
        node.until_up(true).await;
        assert!(node.take(whose, &limits).await.is_err(), "all that is held was told");
    }
    for node in &nodes {
        node.until_settled().await;
    }
    drop(alone);
    held.truncate(MOST - 1);
    // One place, wherever.
    let mut taken = None;
    until(async || {
        taken = nodes[2].take(whose, &limits).await.ok();
        taken.is_some()
    })
    .await;
    for node in &nodes {
        assert!(node.take(whose, &limits).await.is_err());
    }
}

/// While a server that has forgotten everything is not known to have heard of all, nobody
/// grants more than its part.
#[tokio::test]
async fn a_server_that_forgot_does_not_decide_alone_at_once() {
    let mut server = Redis::start();
    let nodes = nodes(&server).await;
    let (whose, limits) = (token(), in_flight(MOST));
    server.kill();
    until_gone(&nodes[0]).await;
    server.start_again();
    nodes[0].until_up(true).await;
    let health = &nodes[0].shared.0.health;
    let held = nodes[0].take_all(whose, &limits).await;
    // On a machine that took seconds for this, it would have settled.
    assert!(held.len() == PART || health.is_settled(clock::counting()), "{}", held.len());
}

/// A rate begins anew at a server that forgot, and not at the nodes, which did not.
#[tokio::test]
async fn a_rate_over_a_server_that_forgot() {
    let mut server = Redis::start();
    let nodes = nodes(&server).await;
    let rates = vec![format!("{MOST}/1h").parse().unwrap()];
    let (whose, limits) = (token(), Limits::new(None, rates).unwrap());
    let granted = async |node: &Node, whose| {
        let mut granted = 0;
        while node.ask(whose, &limits, Holds::Slot).await.is_ok() {
            granted += 1;
        }
        granted
    };
    for node in nodes.iter().cycle().take(MOST) {
        node.ask(whose, &limits, Holds::Slot).await.unwrap();
    }
    server.kill();
    for node in &nodes {
        until_gone(node).await;
        assert_eq!(granted(node, whose).await, 0, "each has had its part");
    }
    server.start_again();
    for node in &nodes {
        node.until_settled().await;
    }
    let other = token();
    for node in &nodes {
        assert_eq!(granted(node, whose).await, 0);
        assert_eq!(granted(node, other).await, PART);
    }
    // One that has nothing to remember asks the server alone.
    let new = Node::of(&server).await;
    assert_eq!(granted(&new, token()).await, MOST);
}

#[tokio::test]
async fn memory_that_is_cleared_while_the_server_runs() {
    let server = Redis::start();
    let nodes = nodes(&server).await;
    let (whose, limits) = (token(), in_flight(MOST));
    let held = nodes[0].take_all(whose, &limits).await;
    assert_eq!(held.len(), MOST);
    server.says(&["FLUSHALL"]);
    until(async || !server.says(&["KEYS", "*:slots"]).is_empty()).await;
    for node in &nodes {
        node.until_settled().await;
        assert!(node.take(whose, &limits).await.is_err());
    }
    // Scripts that are forgotten are said again, and nothing is decided alone for that.
    let alone = nodes[0].shared.decided_alone();
    server.says(&["SCRIPT", "FLUSH"]);
    assert!(nodes[0].take(whose, &limits).await.is_err());
    assert!(nodes[0].shared.is_up());
    assert_eq!(nodes[0].shared.decided_alone(), alone);
    drop(held);
    until(async || server.says(&["KEYS", "*:slots"]).is_empty()).await;
}

/// It takes connections and answers nothing, and then all at once.
#[tokio::test]
async fn a_server_that_stands_still() {
    let server = Redis::start();
    let nodes = nodes(&server).await;
    let (whose, limits) = (token(), in_flight(MOST));
    let held = nodes[0].take(whose, &limits).await.unwrap();
    server.pause();
    let alone = nodes[0].take_all(whose, &limits).await;
    assert_eq!(alone.len(), PART - 1, "one was held before");
    assert!(!nodes[0].shared.is_up());
    drop(held);
    drop(alone);
    server.go_on();
    for node in &nodes {
        node.until_settled().await;
    }
    // Whatever it was asked for while it stood still was given back since.
    let mut all = Vec::new();
    until(async || {
        all.extend(nodes[1].take_all(whose, &limits).await);
        all.len() == MOST
    })
    .await;
    assert!(nodes[0].take(whose, &limits).await.is_err());
}

/// Reasons of its own not to count: all of them are noticed, and pass.
#[tokio::test]
async fn a_server_that_takes_nothing() {
    let server = Redis::start();
    let node = Node::of(&server).await;
    node.until_settled().await;
    let (whose, limits) = (token(), in_flight(MOST));
    for (breaks, mends) in [
        (&["CONFIG", "SET", "maxmemory", "1"][..], &["CONFIG", "SET", "maxmemory", "0"][..]),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
        ),
    ] {
        server.says(breaks);
        let held = node.take_all(whose, &limits).await;
        assert_eq!(held.len(), PART, "{breaks:?}");
        assert!(!node.shared.is_up(), "{breaks:?}");
        // It is tried again meanwhile, and does not seem to be back.
        assert_eq!(node.take_all(whose, &limits).await.len(), 0, "{breaks:?}");
        drop(held);
        server.says(mends);
        node.until_settled().await;
        let held = node.take_all(whose, &limits).await;
        assert_eq!(held.len(), MOST, "{breaks:?}");
    }
}

/// A password that is not the right one from some moment on, and one that never was.
#[tokio::test]
async fn a_server_that_does_not_know_us() {
    let server = Redis::start();
    let node = Node::of(&server).await;
    server.says(&["ACL", "SETUSER", "default", "resetpass", ">other"]);
    let quiet = ["-a", "other", "--no-auth-warning"];
    server.says(&[&quiet[..], &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]].concat());
    until_gone(&node).await;
    let (whose, limits) = (token(), in_flight(MOST));
    assert_eq!(node.take_all(whose, &limits).await.len(), PART);
    let password = Some(config::Secret::new("wrong".into()));
    let wrong = Node::with(&config::Limiter { password, ..settings(&server) }).await;
    assert!(!wrong.shared.is_up());
    let password = Some(config::Secret::new("other".into()));
    let right = Node::with(&config::Limiter { password, ..settings(&server) }).await;
    assert!(right.shared.is_up());
}

/// Somebody else has written what one token's counters should be: that token is decided about
/// alone, and all others as ever.
#[tokio::test]
async fn one_key_that_is_not_ours() {
    let server = Redis::start();
    let node = Node::of(&server).await;
    node.until_settled().await;
    let (whose, other, limits) = (token(), token(), in_flight(MOST));
    let name = TokenId::from_bytes(*whose.as_bytes());
    server.says(&["LPUSH", &format!("test:{{{name}}}"), "something"]);
    assert_eq!(node.take_all(whose, &limits).await.len(), PART);
    assert_eq!(node.take_all(other, &limits).await.len(), MOST);
    assert!(node.shared.is_up());
}

#[tokio::test]
async fn slots_by_name_while_the_server_is_gone() {
    let mut server = Redis::start();
    let [one, other, _] = nodes(&server).await;
    let (whose, limits) = (token(), in_flight(MOST));
    let (before, meanwhile) = (claim(1, 60), claim(1, 60));
    one.keep(whose, &limits, before).await.unwrap();
    server.kill();
    for node in [&one, &other] {
        until_gone(node).await;
    }
    one.keep(whose, &limits, meanwhile).await.unwrap();
    for slot in [&before, &meanwhile] {
        assert_eq!(one.renew(slot).await, Ok(()));
        // Whose it is only the server could say.
        assert_eq!(other.renew(slot).await, Err(SlotError::Unreachable));
        assert_eq!(other.give_back(slot).await, Err(SlotError::Unreachable));
    }
    server.start_again();
    for node in [&one, &other] {
        node.until_settled().await;
    }
    for slot in [&before, &meanwhile] {
        assert_eq!(other.renew(slot).await, Ok(()));
    }
    assert_eq!(other.take_all(whose, &limits).await.len(), MOST - 2);
    assert_eq!(other.give_back(&meanwhile).await, Ok(()));
    assert_eq!(one.give_back(&before).await, Ok(()));
}

/// A start without the server is a start all the same.
#[tokio::test]
async fn a_node_that_starts_first() {
    let mut server = Redis::start();
    server.kill();
    let node = Node::of(&server).await;
    assert!(!node.shared.is_up());
    let (whose, limits) = (token(), in_flight(MOST));
    assert_eq!(node.take_all(whose, &limits).await.len(), PART);
    server.start_again();
    node.until_settled().await;
    assert_eq!(node.take_all(whose, &limits).await.len(), MOST);
}

//! What is asked for under a key is made once.

use super::*;

async fn under_one_key_something_is_made_once(kind: Kind) {
    let house = House::with_member(kind).await;
    let once = |key: u8, n| Once { key: digest(key, 0), request: digest(9, 9), token: token_id(n) };
    let make = async |millis, n, once| {
        let changes = vec![(issue(n, 1, 1), [7; 16])];
        let once = Some(once);
        let order = Order {
            at: at(millis),
            actor: Actor::Operator,
            standing: None,
            grounds: Vec::new(),
            changes,
            once,
        };
        house.store.commit(order).await
    };
    make(1000, 1, once(1, 1)).await.unwrap();
    assert_eq!(house.store.once(digest(1, 0)).await.unwrap(), Some(once(1, 1)));
    assert_eq!(house.store.once(digest(2, 0)).await.unwrap(), None);
    let before = house.replica.head();
    assert!(matches!(make(2000, 2, once(1, 2)).await, Err(StoreError::Conflict)));
    assert_eq!(house.store.token(token_id(2)).await.unwrap(), None);
    // A key is not taken by what could not be made.
    assert!(matches!(make(2000, 1, once(2, 1)).await, Err(StoreError::Conflict)));
    assert_eq!(house.store.once(digest(2, 0)).await.unwrap(), None);
    assert_eq!(house.replica.head(), before);
    make(3000, 2, once(2, 2)).await.unwrap();
    assert!(!house.store.forget_once(at(2000), 2).await.unwrap());
    assert_eq!(house.store.once(digest(1, 0)).await.unwrap(), None);
    assert_eq!(house.store.once(digest(2, 0)).await.unwrap(), Some(once(2, 2)));
    for n in 3..=5 {
        make(3000, n, once(n, n)).await.unwrap();
    }
    // Four are left, and go two at a time.
    for more in [true, true, false] {
        assert_eq!(house.store.forget_once(at(4000), 2).await.unwrap(), more);
    }
    for key in 2..=5 {
        assert_eq!(house.store.once(digest(key, 0)).await.unwrap(), None);
    }
    house.is_sound().await;
}

on_every_store!(under_one_key_something_is_made_once,);

//! Grounds: they hold exactly as long as the same credential would be let through again.

use crate::scene::{EXPIRY, NOW, Scene, account, organization};
use counterfoil_core::{
    Code, Grounds, Timestamp,
    account::Rank,
    api::Issuers,
    credential::Scheme,
    ledger::Change,
    time::Seconds,
    token::{Grant, State},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// How a request is admitted.
#[derive(Debug, Clone, Copy)]
enum Way {
    Scheme(Scheme),
    AccessToken,
    /// With the secret before a rotation.
    Previous,
    Password(Issuers),
    Anonymous,
}

const WAYS: [Way; 10] = [
    Way::Scheme(Scheme::Basic),
    Way::Scheme(Scheme::Bearer),
    Way::Scheme(Scheme::Token),
    Way::Scheme(Scheme::Header),
    Way::Scheme(Scheme::HeaderPair),
    Way::AccessToken,
    Way::Previous,
    Way::Password(Issuers::Members),
    Way::Password(Issuers::Administrators),
    Way::Anonymous,
];

/// When the overlap ends that [`Way::Previous`] lives on.
const OVERLAP: Timestamp = Timestamp::from_millis(NOW.as_millis() + 900_000);

fn scene(way: Way) -> Scene {
    match way {
        Way::Scheme(scheme) => Scene::new(scheme),
        Way::AccessToken => {
            let mut scene = Scene::new(Scheme::Bearer);
            scene.present_access_token(1);
            scene
        }
        Way::Previous => {
            let scene = Scene::new(Scheme::Bearer);
            scene.rotate(2, Some(OVERLAP));
            scene
        }
        Way::Password(issuers) => {
            let mut scene = Scene::new(Scheme::Password);
            scene.api.issuers = issuers;
            scene.secret = "correct horse battery staple".into();
            scene.password = Some(account(1));
            let (organization, account) = (organization(1), account(1));
            let rank = Rank::Administrator;
            scene.apply(&Change::MembershipRankChanged { organization, account, rank });
            scene
        }
        Way::Anonymous => {
            let mut scene = Scene::new(Scheme::Bearer);
            (scene.path, scene.secret) = ("/public/7", String::new());
            scene.scheme = Scheme::Header;
            scene
        }
    }
}

/// What happens meanwhile.
#[derive(Debug, Clone, Copy)]
enum Event {
    Pause,
    Resume,
    Revoke,
    /// In how many seconds the secret before ends.
    Rotate(Option<u64>),
    HandOver(u32),
    Disable(u32),
    Enable(u32),
    /// To one of two addresses, or back to the first.
    SetEmail(u32, u8),
    End(u32),
    Join(u32, Rank),
    JoinElsewhere,
    Close,
    /// After how many seconds the token ends.
    Expiry(Option<u64>),
    /// After so many seconds.
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let rank = || select(vec![Rank::Member, Rank::Administrator]);
    let who = || 1..=2_u32;
    prop_oneof![
        3 => Just(Event::Pause),
        3 => Just(Event::Resume),
        1 => Just(Event::Revoke),
        2 => option::of(0..900_u64).prop_map(Event::Rotate),
        2 => who().prop_map(Event::HandOver),
        2 => who().prop_map(Event::Disable),
        2 => who().prop_map(Event::Enable),
        2 => (who(), 0..3_u8).prop_map(|(who, address)| Event::SetEmail(who, address)),
        2 => who().prop_map(Event::End),
        2 => (who(), rank()).prop_map(|(n, rank)| Event::Join(n, rank)),
        1 => Just(Event::JoinElsewhere),
        1 => Just(Event::Close),
        2 => option::of(0..4000_u64).prop_map(Event::Expiry),
        3 => (0..400_u64).prop_map(Event::Wait),
    ]
}

/// Makes it happen, where it can.
fn make(scene: &mut Scene, event: Event, rotated_to: &mut u32) {
    let (token, organization) = (scene.token.id, organization(1));
    let state = scene.index.find_by_id(token).unwrap().state();
    let account = |n| account(n);
    let change = match event {
        Event::Wait(seconds) => {
            scene.now = scene.now.plus(Seconds(seconds));
            return;
        }
        Event::Disable(n) => Change::AccountDisabled { account: account(n) },
        Event::Enable(n) => Change::AccountEnabled { account: account(n) },
        Event::SetEmail(n, address) => {
            let email = match address {
                0 if n == 1 => "ada@example.com".to_owned(),
                _ => format!("{n}-{address}@example.com"),
            };
            Change::EmailSet { account: account(n), email: email.parse().unwrap() }
        }
        Event::End(n) => Change::MembershipEnded { organization, account: account(n) },
        Event::Join(n, rank) => Change::MembershipAdded { organization, account: account(n), rank },
        Event::JoinElsewhere => {
            let organization = crate::scene::organization(2);
            scene.index.load_organization(organization, true);
            Change::MembershipAdded { organization, account: account(1), rank: Rank::Member }
        }
        Event::Close => Change::OrganizationClosed { organization },
        // Nothing changes a token that was revoked.
        _ if state == State::Revoked => return,
        Event::Pause => return scene.pause(),
        Event::Resume => return scene.resume(),
        Event::Revoke => return scene.revoke(),
        Event::Rotate(overlap) => {
            *rotated_to += 1;
            return scene.rotate(*rotated_to, overlap.map(|s| scene.now.plus(Seconds(s))));
        }
        Event::HandOver(n) => Change::TokenHandedOver { token, organization, owner: account(n) },
        Event::Expiry(after) => Change::TokenChanged {
            revision: 0,
            token,
            organization,
            name: String::new(),
            note: String::new(),
            grant: scene.token.grant.clone(),
            expires_at: after.map(|seconds| NOW.plus(Seconds(seconds))),
            allowed_networks: scene.token.allowed_networks.clone(),
            external_id: None,
            metadata: None,
        },
    };
    scene.apply(&change);
}

proptest! {
    #[test]
    fn they_hold_as_long_as_the_credential_would_be_let_through(
        way in select(WAYS.to_vec()),
        events in vec(event(), 1..12),
    ) {
        let mut scene = scene(way);
        let mut rotated_to = if matches!(way, Way::Previous) { 2 } else { 1 };
        let grounds: Grounds = scene.judge().unwrap().grounds();
        prop_assert_eq!(grounds.holds(&scene.index, scene.now), Ok(()));
        for event in events {
            make(&mut scene, event, &mut rotated_to);
            let held = grounds.holds(&scene.index, scene.now);
            let judged = scene.judge().map(|_| ());
            prop_assert_eq!(&held, &judged, "{:?} after {:?}", way, event);
        }
    }
}

#[test]
fn each_way_ends_as_it_should() {
    type End = fn(&mut Scene);
    let ends: [(End, Code, &[Way]); 8] = [
        (|scene| scene.revoke(), Code::Revoked, &WAYS[..7]),
        (|scene| assert!(scene.index.deny(scene.token.id)), Code::Revoked, &WAYS[..7]),
        (|scene| scene.now = EXPIRY, Code::Expired, &WAYS[..7]),
        (|scene| scene.now = NOW.plus(Seconds(600)), Code::Expired, &[Way::AccessToken]),
        (|scene| scene.now = OVERLAP, Code::Expired, &[Way::AccessToken, Way::Previous]),
        (
            |scene| scene.apply(&Change::AccountDisabled { account: account(1) }),
            Code::AccountDisabled,
            &WAYS[..9],
        ),
        (
            |scene| {
                let email = "countess@example.com".parse().unwrap();
                scene.apply(&Change::EmailSet { account: account(1), email });
            },
            Code::OwnerMismatch,
            &[WAYS[0], WAYS[7], WAYS[8]],
        ),
        (
            |scene| scene.apply(&Change::OrganizationClosed { organization: organization(1) }),
            Code::OrganizationClosed,
            &WAYS[..9],
        ),
    ];
    for (end, code, ways) in ends {
        for way in WAYS {
            let mut scene = scene(way);
            let grounds = scene.judge().unwrap().grounds();
            end(&mut scene);
            let held = grounds.holds(&scene.index, scene.now);
            let is_listed = ways.iter().any(|other| format!("{other:?}") == format!("{way:?}"));
            assert_eq!(
                held.map_err(|refusal| refusal.code),
                if is_listed { Err(code) } else { Ok(()) },
                "{way:?}"
            );
        }
    }
}

#[test]
fn what_it_may_be_used_for_was_asked_when_it_came() {
    let scene = scene(Way::Scheme(Scheme::Bearer));
    let grounds = scene.judge().unwrap().grounds();
    scene.apply(&Change::TokenChanged {
        revision: 0,
        token: scene.token.id,
        organization: organization(1),
        name: String::new(),
        note: String::new(),
        grant: Grant::Scopes([].into()),
        expires_at: None,
        allowed_networks: vec!["192.0.2.0/24".parse().unwrap()],
        external_id: None,
        metadata: None,
    });
    assert_eq!(scene.code(), Some(Code::NetworkNotAllowed));
    assert_eq!(grounds.holds(&scene.index, scene.now), Ok(()));
}

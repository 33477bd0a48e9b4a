//! Access tokens: worth what they say, and never more than the token behind them.

use crate::scene::{ACCESS_TOKEN, EXPIRY, NOW, SCHEMES, Scene, account, organization, scope};
use counterfoil_core::{
    Code, Timestamp,
    credential::Scheme,
    ledger::Change,
    scope::Scope,
    time::Seconds,
    token::{Digest, Grant},
};

fn scene() -> Scene {
    let mut scene = Scene::new(Scheme::Bearer);
    scene.present_access_token(1);
    scene
}

#[test]
fn one_that_is_right_is_let_through_as_its_token() {
    let scene = scene();
    let admitted = scene.judge().unwrap();
    let identity = admitted.identity().unwrap();
    assert_eq!(identity.token(), Some(scene.token.id));
    assert_eq!(identity.account(), scene.token.owner);
    assert_eq!(identity.expires_at(), Some(NOW.plus(Seconds(600))));
    assert!(identity.access_token().is_some());
    let scopes: Vec<&str> = identity.scopes(&scene.api).map(Scope::as_str).collect();
    assert_eq!(scopes, ["costs:read"]);
}

type Spoil = fn(&mut Scene);

#[test]
fn it_is_refused_for_its_true_reason() {
    let spoils: [(Code, Spoil); 13] = [
        (Code::UnknownToken, |scene| scene.access_token = None),
        (Code::WrongApi, |scene| said(scene).audience = "other".into()),
        (Code::Expired, |scene| said(scene).expires_at = NOW),
        (Code::Revoked, |scene| said(scene).secret = crate::scene::secret(2).digest().mark()),
        (Code::Revoked, |scene| said(scene).account = account(2)),
        (Code::Revoked, |scene| said(scene).token = crate::scene::token_id(2)),
        (Code::Revoked, |scene| scene.revoke()),
        (Code::Paused, |scene| scene.pause()),
        (Code::Expired, |scene| {
            said(scene).expires_at = Timestamp::MAX;
            scene.now = EXPIRY;
        }),
        (Code::AccountDisabled, |scene| {
            scene.apply(&Change::AccountDisabled { account: account(1) });
        }),
        (Code::OrganizationClosed, |scene| {
            scene.apply(&Change::OrganizationClosed { organization: organization(1) });
        }),
        (Code::NetworkNotAllowed, |scene| scene.client = Some([192, 0, 2, 1].into())),
        (Code::InsufficientScope, |scene| said(scene).scopes = [scope("users:read")].into()),
    ];
    for (n, (code, spoil)) in spoils.into_iter().enumerate() {
        let mut scene = scene();
        spoil(&mut scene);
        assert_eq!(scene.code(), Some(code), "{n}");
    }
}

fn said(scene: &mut Scene) -> &mut counterfoil_core::access_token::AccessToken {
    scene.access_token.as_mut().unwrap()
}

#[test]
fn what_its_token_has_lost_it_has_lost_too() {
    let mut scene = scene();
    said(&mut scene).scopes = [scope("costs:read"), scope("users:read")].into();
    scene.path = "/v1/users/7";
    assert_eq!(scene.code(), Some(Code::InsufficientScope), "never had");
    scene.path = "/v1/costs/7";
    assert_eq!(scene.code(), None);
    let identity_scopes = |scene: &Scene| {
        let admitted = scene.judge().unwrap();
        admitted.identity().unwrap().scopes(&scene.api).count()
    };
    assert_eq!(identity_scopes(&scene), 1);
}

#[test]
fn a_role_is_told_only_with_all_that_it_allows() {
    let mut scene = Scene::new(Scheme::Bearer);
    scene.reissue(|token| token.grant = Grant::Role("editor".into()));
    scene.present_access_token(1);
    let role = |scene: &Scene| {
        let admitted = scene.judge().unwrap();
        admitted.identity().unwrap().role(&scene.api).map(str::to_owned)
    };
    assert_eq!(role(&scene), None);
    said(&mut scene).scopes = [scope("read"), scope("write")].into();
    assert_eq!(role(&scene).as_deref(), Some("editor"));
}

#[test]
fn a_rotation_ends_what_the_old_secret_brought_when_it_ends_the_old_secret() {
    let scene = scene();
    scene.rotate(2, Some(NOW.plus(Seconds(60))));
    assert_eq!(scene.code(), None);
    let admitted = scene.judge().unwrap();
    assert!(admitted.identity().unwrap().is_previous());
    assert_eq!(admitted.identity().unwrap().expires_at(), Some(NOW.plus(Seconds(60))));
    drop(admitted);
    let mut late = scene;
    late.now = NOW.plus(Seconds(60));
    assert_eq!(late.code(), Some(Code::Expired));
    late.rotate(3, None);
    assert_eq!(late.code(), Some(Code::Revoked));
}

#[test]
fn it_travels_as_bearer_where_the_api_has_some() {
    for scheme in SCHEMES {
        let mut scene = Scene::new(scheme);
        scene.present_access_token(1);
        let expected = if scheme == Scheme::Bearer { None } else { Some(Code::UnknownToken) };
        assert_eq!(scene.code(), expected, "{scheme:?}");
    }
    let mut scene = scene();
    scene.api.access_tokens = None;
    assert_eq!(scene.code(), Some(Code::UnknownToken));
    assert_eq!(scene.secret, ACCESS_TOKEN);
}

/// Imported tokens keep their form, whatever that looks like.
#[test]
fn a_token_that_looks_like_one_is_a_token_all_the_same() {
    let mut scene = scene();
    scene.access_token = None;
    assert_eq!(scene.code(), Some(Code::UnknownToken));
    scene.reissue(|token| token.digest = Digest::of(ACCESS_TOKEN));
    let admitted = scene.judge().unwrap();
    assert!(admitted.identity().unwrap().access_token().is_none());
}

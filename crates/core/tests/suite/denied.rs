//! What the operator has a node deny lies beside what follows the ledger.

use crate::scene::{FORMATS, NOW, Scene, token_id};
use counterfoil_core::{Code, credential::Scheme, refusal::About};

#[test]
fn it_is_refused_as_a_revoked_token_is_and_the_log_knows_better() {
    for format in FORMATS {
        let [denied, revoked] = [(); 2].map(|()| Scene::new(Scheme::Bearer));
        denied.index.deny(denied.token.id);
        revoked.revoke();
        assert_eq!(denied.answer(format), revoked.answer(format));
        let [denied, revoked] = [&denied, &revoked].map(|scene| scene.judge().unwrap_err());
        assert_eq!((denied.code, denied.matched), (revoked.code, revoked.matched));
        assert_eq!(revoked.about, About::Nothing);
        assert!(matches!(denied.about, About::Known(_)), "{:?}", denied.about);
    }
}

#[test]
fn it_only_takes_away() {
    let scene = Scene::new(Scheme::Bearer);
    scene.revoke();
    scene.index.deny(scene.token.id);
    assert!(scene.index.lift(scene.token.id));
    assert_eq!(scene.code(), Some(Code::Revoked));
}

#[test]
fn the_ledger_knows_nothing_of_it() {
    let scene = Scene::new(Scheme::Bearer);
    let before = scene.index.contents();
    assert!(scene.index.deny(scene.token.id) && !scene.index.deny(scene.token.id));
    assert_eq!(scene.index.contents(), before);
    // Nor does it have to know the token.
    assert!(scene.index.deny(token_id(2)));
    let mut both = [scene.token.id, token_id(2)];
    both.sort_unstable();
    assert_eq!((scene.index.denied(), scene.index.denied_count()), (both.to_vec(), 2));
}

#[test]
fn it_ends_once_the_token_is_revoked() {
    let scene = Scene::new(Scheme::Bearer);
    let grounds = scene.judge().unwrap().grounds();
    scene.index.deny(scene.token.id);
    scene.pause();
    assert!(scene.index.denies(scene.token.id));
    scene.revoke();
    assert!(!scene.index.denies(scene.token.id) && !scene.index.lift(scene.token.id));
    assert_eq!(scene.index.denied(), []);
    let refusal = scene.judge().unwrap_err();
    assert_eq!((refusal.code, refusal.about), (Code::Revoked, About::Nothing));
    assert_eq!(grounds.holds(&scene.index, NOW).unwrap_err().code, Code::Revoked);
}

//! Keys over time, with files below them.

use super::{
    claims::tests::{access_token, claims},
    *,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use counterfoil_core::time::Seconds;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use std::{os::unix::fs::PermissionsExt as _, path::Path};
use tempfile::TempDir;

pub(super) const POLICY: Policy = Policy {
    rotate_every: Seconds::days(90),
    lead: Seconds::DAY,
    longest_lifetime: Seconds(2 * Seconds::DAY.0),
};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Keys of a first start.
pub(super) fn fresh() -> (TempDir, SigningKeys) {
    let data = tempfile::tempdir().unwrap();
    let keys = load(data.path(), NOW);
    (data, keys)
}

fn load(data: &Path, now: Timestamp) -> SigningKeys {
    SigningKeys::load(KeyFiles::open(data).unwrap(), now, POLICY).unwrap().0
}

fn after(days: u32) -> Timestamp {
    NOW.plus(Seconds::days(days))
}

/// The key that a token names.
fn kid(token: &str) -> String {
    let header = BASE64.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn signs(keys: &SigningKeys, now: Timestamp) -> [String; 2] {
    Algorithm::ALL.map(|algorithm| kid(&keys.sign(algorithm, &access_token(), now).unwrap()))
}

fn published(keys: &SigningKeys) -> Vec<String> {
    let jwks: serde_json::Value = serde_json::from_slice(&keys.jwks()).unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn files(data: &Path) -> usize {
    data.join("keys").read_dir().unwrap().count()
}

fn count(done: &[Done], what: What) -> usize {
    done.iter().filter(|done| done.what == what).count()
}

#[test]
fn a_token_is_signed_opened_and_verified_by_what_is_published() {
    let (_data, keys) = fresh();
    let jwks: serde_json::Value = serde_json::from_slice(&keys.jwks()).unwrap();
    for (at, algorithm) in Algorithm::ALL.into_iter().enumerate() {
        let token = keys.sign(algorithm, &access_token(), NOW).unwrap();
        for _ in 0..2 {
            assert_eq!(*keys.open(&token).unwrap(), access_token());
        }
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let payload = BASE64.decode(signed.split_once('.').unwrap().1).unwrap();
        assert_eq!(payload, serde_json::to_vec(&claims()).unwrap());
        let jwk = &jwks["keys"][at];
        assert_eq!(jwk["kid"], kid(&token));
        let coordinate = |name: &str| BASE64.decode(jwk[name].as_str().unwrap()).unwrap();
        let public = match algorithm {
            Algorithm::EdDsa => UnparsedPublicKey::new(
                &ED25519 as &dyn ring::signature::VerificationAlgorithm,
                coordinate("x"),
            ),
            Algorithm::Es256 => UnparsedPublicKey::new(
                &ECDSA_P256_SHA256_FIXED,
                [vec![4], coordinate("x"), coordinate("y")].concat(),
            ),
        };
        public.verify(signed.as_bytes(), &BASE64.decode(signature).unwrap()).unwrap();
    }
}

#[test]
fn keys_are_made_once_and_survive_a_restart() {
    let (data, keys) = fresh();
    let token = keys.sign(Algorithm::Es256, &access_token(), NOW).unwrap();
    let (first, jwks) = (signs(&keys, NOW), keys.jwks());
    drop(keys);
    let keys = load(data.path(), after(1));
    assert_eq!(files(data.path()), 2);
    assert_eq!(signs(&keys, after(1)), first);
    assert_eq!(keys.jwks(), jwks);
    assert!(keys.open(&token).is_some());
}

#[test]
fn a_key_is_published_then_signs_then_is_retired_then_is_gone() {
    let (data, keys) = fresh();
    let first = signs(&keys, NOW);
    assert_eq!(keys.tick(after(89), POLICY).unwrap(), []);
    let made = keys.tick(after(90), POLICY).unwrap();
    assert_eq!((count(&made, What::Made), made.len()), (2, 2));
    assert_eq!(keys.tick(after(90), POLICY).unwrap(), []);
    assert_eq!(published(&keys).len(), 4);
    let old = keys.sign(Algorithm::EdDsa, &access_token(), after(90)).unwrap();
    assert!(keys.open(&old).is_some());

    // It signs by the time alone, whenever somebody looks at what is due.
    let just_before = Timestamp::from_millis(after(91).as_millis() - 1);
    assert_eq!(signs(&keys, just_before), first);
    let second = signs(&keys, after(91));
    assert!(first.iter().all(|kid| !second.contains(kid)));
    let standings: Vec<Standing> = keys.list(after(91)).iter().map(|key| key.standing).collect();
    let retired = Standing::Retired { until: after(93) };
    assert_eq!(standings, [retired, Standing::Signing, retired, Standing::Signing]);

    assert_eq!(keys.tick(Timestamp::from_millis(after(93).as_millis() - 1), POLICY).unwrap(), []);
    assert!(keys.open(&old).is_some());
    let removed = keys.tick(after(93), POLICY).unwrap();
    assert_eq!((count(&removed, What::Removed), removed.len()), (2, 2));
    assert!(keys.open(&old).is_none(), "it was remembered, and its key is gone");
    assert_eq!((published(&keys).len(), files(data.path())), (2, 2));
    assert_eq!(signs(&load(data.path(), after(93)), after(93)), second);
}

#[test]
fn a_key_that_is_asked_for_waits_its_time_and_is_asked_for_once() {
    let (_data, keys) = fresh();
    let first = signs(&keys, NOW);
    assert_eq!(count(&keys.rotate(after(5)).unwrap(), What::Made), 2);
    assert_eq!(keys.rotate(after(5)).unwrap(), []);
    assert_eq!(signs(&keys, after(5)), first);
    assert!(signs(&keys, after(6)).iter().all(|kid| !first.contains(kid)));
    assert_eq!(count(&keys.rotate(after(6)).unwrap(), What::Made), 2);
    // From then on it is so long again.
    assert_eq!(count(&keys.tick(after(95), POLICY).unwrap(), What::Made), 0);
    assert_eq!(count(&keys.tick(after(96), POLICY).unwrap(), What::Made), 2);
}

#[test]
fn a_key_that_leaked_is_withdrawn_at_once() {
    let (data, keys) = fresh();
    keys.rotate(NOW).unwrap();
    let before = published(&keys);
    let tokens =
        Algorithm::ALL.map(|algorithm| keys.sign(algorithm, &access_token(), NOW).unwrap());
    assert!(tokens.iter().all(|token| keys.open(token).is_some()));
    let then = keys.published.load_full();

    let done = keys.rotate_at_once(NOW).unwrap();
    assert_eq!((count(&done, What::Made), count(&done, What::Removed)), (2, 4));
    assert!(tokens.iter().all(|token| keys.open(token).is_none()));
    let now = published(&keys);
    assert!(now.len() == 2 && now.iter().all(|kid| !before.contains(kid)));
    assert_eq!(Vec::from(signs(&keys, NOW)), now);

    // Who was at it with the keys of then is late, and leaves nothing behind.
    assert!(then.open(&tokens[0]).is_some());
    assert!(keys.open(&tokens[0]).is_none());

    assert_eq!(files(data.path()), 2);
    let again = load(data.path(), NOW);
    assert_eq!(Vec::from(signs(&again, NOW)), now);
    assert!(tokens.iter().all(|token| again.open(token).is_none()));
}

#[test]
fn what_is_remembered_stays_as_long_as_no_key_goes() {
    let (_data, keys) = fresh();
    let token = keys.sign(Algorithm::EdDsa, &access_token(), NOW).unwrap();
    keys.open(&token).unwrap();
    keys.rotate(NOW).unwrap();
    keys.tick(NOW, Policy { lead: Seconds(5), ..POLICY }).unwrap();
    assert_eq!(keys.published.load().remembered(), 1);
    keys.rotate_at_once(NOW).unwrap();
    assert_eq!(keys.published.load().remembered(), 0);
}

#[test]
fn where_nothing_can_be_written_nothing_changes() {
    let (data, keys) = fresh();
    let (first, token) =
        (signs(&keys, NOW), keys.sign(Algorithm::EdDsa, &access_token(), NOW).unwrap());
    // Moved away, which stops root as well.
    let (at, aside) = (data.path().join("keys"), data.path().join("aside"));
    std::fs::rename(&at, &aside).unwrap();
    assert!(keys.tick(after(90), POLICY).is_err());
    assert!(keys.rotate(NOW).is_err());
    assert!(keys.rotate_at_once(NOW).is_err());
    assert!(keys.open(&token).is_some());
    assert_eq!((published(&keys).len(), signs(&keys, after(90))), (2, first));
    std::fs::rename(&aside, &at).unwrap();
    assert_eq!(keys.tick(after(90), POLICY).unwrap().len(), 2);
}

#[test]
fn a_start_that_cannot_write_goes_on_with_the_keys_that_there_are() {
    let (data, keys) = fresh();
    let first = signs(&keys, NOW);
    std::fs::rename(data.path().join("keys"), data.path().join("aside")).unwrap();
    let (keys, done) = keys.begin(after(90), POLICY).unwrap();
    assert_eq!((signs(&keys, after(90)), done), (first, vec![]));
    // Without any there is nothing to go on with.
    let source = Source::Own(KeyFiles::open(data.path()).unwrap());
    let none = SigningKeys::of(source, Published::new(vec![], POLICY, None));
    std::fs::remove_dir(data.path().join("keys")).unwrap();
    assert!(none.begin(NOW, POLICY).is_err());
}

#[test]
fn a_key_that_cannot_be_removed_is_withdrawn_all_the_same_and_named() {
    let (data, keys) = fresh();
    let token = keys.sign(Algorithm::EdDsa, &access_token(), NOW).unwrap();
    let path = data.path().join("keys/EdDSA-1790000000000.pkcs8");
    std::fs::remove_file(&path).unwrap();
    // A directory in its place is something that cannot be removed as a file.
    std::fs::create_dir(&path).unwrap();
    let error = keys.rotate_at_once(NOW).unwrap_err().to_string();
    assert!(error.contains("EdDSA-1790000000000.pkcs8"), "{error}");
    assert!(keys.open(&token).is_none());
    assert_eq!(published(&keys).len(), 2);
    assert_eq!(files(data.path()), 3, "the other one is gone");
}

#[test]
fn a_key_that_was_withdrawn_or_is_over_stays_away_whatever_is_put_back() {
    let (data, keys) = fresh();
    let token = keys.sign(Algorithm::EdDsa, &access_token(), NOW).unwrap();
    let path = |name: &str| data.path().join("keys").join(name);
    let old = ["EdDSA-1790000000000.pkcs8", "ES256-1790000000000.pkcs8"].map(path);
    let copies: [Vec<u8>; 2] = old.each_ref().map(|path| std::fs::read(path).unwrap());
    let put_back = || {
        for (path, copy) in old.iter().zip(&copies) {
            std::fs::write(path, copy).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    };
    keys.rotate_at_once(after(1)).unwrap();
    let second = signs(&keys, after(1));
    drop(keys);
    put_back();
    let keys = load(data.path(), after(1));
    assert_eq!((Vec::from(signs(&keys, after(1))), published(&keys).len()), (second.into(), 2));
    assert!(keys.open(&token).is_none());
    assert!(old.iter().all(|path| !path.exists()));
    let list = data.path().join("withdrawn-keys");
    assert_eq!(list.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // One that has done its work was no less a key that may have leaked.
    drop(keys);
    std::fs::remove_file(list).unwrap();
    put_back();
    drop(load(data.path(), after(9)));
    assert!(old.iter().all(|path| !path.exists()));
    put_back();
    let keys = load(data.path(), after(1));
    assert!(keys.open(&token).is_none());
}

#[test]
fn keys_are_withdrawn_only_where_that_can_be_kept() {
    let (data, keys) = fresh();
    let token = keys.sign(Algorithm::EdDsa, &access_token(), NOW).unwrap();
    let list = data.path().join("withdrawn-keys");
    std::fs::create_dir(&list).unwrap();
    assert!(keys.rotate_at_once(after(1)).is_err());
    assert_eq!((published(&keys).len(), files(data.path())), (2, 2));
    assert!(keys.open(&token).is_some());
    std::fs::remove_dir(&list).unwrap();
    assert_eq!(keys.rotate_at_once(after(1)).unwrap().len(), 4);
}

#[test]
fn a_tick_under_a_clock_that_is_ahead_stops_nothing() {
    let (data, keys) = fresh();
    assert_eq!(count(&keys.tick(after(1_000), POLICY).unwrap(), What::Made), 2);
    drop(keys);
    let keys = load(data.path(), after(1));
    let first = signs(&keys, after(1));
    assert_eq!(count(&keys.rotate(after(1)).unwrap(), What::Made), 2);
    assert_eq!(keys.rotate(after(1)).unwrap(), []);
    let second = signs(&keys, after(2));
    assert!(first.iter().all(|kid| !second.contains(kid)));
    assert_eq!(count(&keys.tick(after(91), POLICY).unwrap(), What::Made), 2);
    let done = keys.rotate_at_once(after(91)).unwrap();
    assert_eq!((count(&done, What::Made), published(&keys).len()), (2, 2));
    assert!(keys.list(after(91)).iter().all(|key| key.made_at < after(92)), "{done:?}");
}

#[test]
fn keys_that_nothing_uses_are_withdrawn_too() {
    let (data, keys) = fresh();
    let token = keys.sign(Algorithm::Es256, &access_token(), NOW).unwrap();
    drop(keys);
    let key_files = KeyFiles::open(data.path()).unwrap();
    let done = SigningKeys::withdraw_unused(&key_files).unwrap();
    assert_eq!((count(&done, What::Removed), done.len(), files(data.path())), (2, 2, 0));
    assert!(load(data.path(), NOW).open(&token).is_none());
}

#[test]
fn a_crash_between_two_steps_is_made_good_at_the_next_start() {
    let (data, keys) = fresh();
    let first = signs(&keys, NOW);
    // Made, and not yet known: it is published at the start, and waits its time.
    KeyFiles::open(data.path()).unwrap().make(Algorithm::EdDsa, after(1)).unwrap();
    drop(keys);
    let keys = load(data.path(), after(1));
    assert_eq!(published(&keys).len(), 3);
    assert_eq!(signs(&keys, after(1)), first);
    // Over, and not yet removed.
    drop(keys);
    let keys = load(data.path(), after(4));
    assert_eq!((published(&keys).len(), files(data.path())), (2, 2));
    // No key at all, as somebody has made it: there are new ones.
    drop(keys);
    std::fs::remove_dir_all(data.path().join("keys")).unwrap();
    let keys = load(data.path(), after(4));
    assert!(signs(&keys, after(4)).iter().all(|kid| !first.contains(kid)));
}

#[test]
fn a_key_that_others_can_read_stops_the_start() {
    let (data, keys) = fresh();
    drop(keys);
    let path = data.path().join("keys/ES256-1790000000000.pkcs8");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let files = KeyFiles::open(data.path()).unwrap();
    assert!(SigningKeys::load(files, NOW, POLICY).is_err());
}

#[test]
fn a_token_that_we_would_not_take_is_not_signed() {
    let (_data, keys) = fresh();
    let long = |length| AccessToken { role: Some("x".repeat(length).into()), ..access_token() };
    let sign = |length| keys.sign(Algorithm::EdDsa, &long(length), NOW);
    assert_eq!(sign(6_000), Err(CannotSign::TooLong));
    let most = (5_000..6_000).rev().find_map(|length| sign(length).ok()).unwrap();
    assert!(keys.open(&most).is_some() && most.len() > 8_185);
}

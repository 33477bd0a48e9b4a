//! A directory of keys, and what a server makes of what happens in it.

use super::{
    super::{
        claims::tests::access_token,
        tests::{NOW, POLICY},
    },
    *,
};
use crate::signing::Standing;
use std::{fs::Permissions, os::unix::fs::symlink};
use tempfile::TempDir;

fn after(days: u32) -> Timestamp {
    NOW.plus(Seconds::days(days))
}

/// A directory with the first keys in it.
fn first() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(make_due(directory.path(), POLICY, false, NOW).unwrap().made.len(), 2);
    directory
}

fn share(directory: &Path, now: Timestamp) -> Result<SigningKeys, KeyFileError> {
    SigningKeys::share(directory, &Algorithm::ALL, POLICY, now)
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The file of a key that was made then.
fn file(directory: &Path, algorithm: Algorithm, made_at: Timestamp) -> PathBuf {
    directory.join(name(algorithm, made_at))
}

fn sign(keys: &SigningKeys, now: Timestamp) -> [String; 2] {
    Algorithm::ALL.map(|algorithm| keys.sign(algorithm, &access_token(), now).unwrap())
}

fn whats(done: &[Done]) -> Vec<What> {
    done.iter().map(|done| done.what).collect()
}

#[test]
fn what_one_node_signs_another_opens() {
    let directory = first();
    let [one, other] = [(); 2].map(|()| share(directory.path(), NOW).unwrap());
    assert_eq!(one.jwks(), other.jwks());
    assert!(sign(&one, NOW).iter().all(|token| other.open(token).is_some()));
}

#[test]
fn keys_are_made_when_they_are_due_or_early() {
    let directory = first();
    let make = |early, now| make_due(directory.path(), POLICY, early, now).unwrap();
    assert!(make(false, after(89)).made.is_empty());
    assert_eq!(make(false, after(90)).made.len(), 2);
    assert!(make(true, after(90)).made.is_empty(), "some wait already");
    let early = make(true, after(91));
    assert_eq!(early.made.len(), 2);
    let next = Standing::Next { signs_at: after(92) };
    assert_eq!(early.keys.iter().filter(|key| key.standing == next).count(), 2);
    assert_eq!(early.over, Vec::<PathBuf>::new());
    // The second sign from day 91 on, and the first ones' work lives for two days from then.
    let over = Algorithm::ALL.map(|algorithm| file(directory.path(), algorithm, NOW));
    let later = make(false, after(93));
    assert_eq!((later.over, later.keys.len()), (over.into(), 4));
    assert_eq!(directory.path().read_dir().unwrap().count(), 6, "nothing is removed");
}

#[test]
fn what_is_new_is_published_and_signs_in_its_time() {
    let directory = first();
    let keys = share(directory.path(), NOW).unwrap();
    let old = sign(&keys, NOW);
    assert_eq!(keys.look_again(POLICY, after(1)), []);
    make_due(directory.path(), POLICY, true, after(1)).unwrap();
    assert_eq!(keys.list(after(1)).len(), 2);
    assert_eq!(whats(&keys.look_again(POLICY, after(1))), [What::Found, What::Found]);
    let header = |token: &String| token.split('.').next().unwrap().to_owned();
    assert_eq!(sign(&keys, after(1)).each_ref().map(header), old.each_ref().map(header));
    let new = sign(&keys, after(2));
    assert!(new.iter().zip(&old).all(|(new, old)| header(new) != header(old)));
    // Over: nobody has to remove the file.
    assert!(keys.open(&old[0]).is_some());
    assert_eq!(whats(&keys.look_again(POLICY, after(4))), [What::Gone, What::Gone]);
    assert!(keys.open(&old[0]).is_none() && keys.open(&new[0]).is_some());
    assert_eq!(directory.path().read_dir().unwrap().count(), 4);
}

#[test]
fn what_is_removed_is_withdrawn_for_good() {
    let directory = first();
    let keys = share(directory.path(), NOW).unwrap();
    let [one, other] = sign(&keys, NOW);
    assert!(keys.open(&one).is_some() && keys.open(&other).is_some());
    let path = file(directory.path(), Algorithm::ALL[0], NOW);
    std::fs::remove_file(path).unwrap();
    // Whatever else is wrong at the same time.
    std::fs::write(directory.path().join("notes"), "").unwrap();
    assert_eq!(whats(&keys.look_again(POLICY, NOW)), [What::Gone]);
    assert_eq!((keys.mistakes(), keys.due(NOW)), (1, 1));
    assert!(keys.open(&one).is_none(), "it was remembered");
    assert!(keys.open(&other).is_some());
    for now in [NOW, after(1)] {
        assert_eq!(keys.look_again(POLICY, now), []);
        assert!(keys.open(&one).is_none());
    }
    // The last one, too: there is nothing then, which is less than one that has leaked.
    std::fs::remove_file(file(directory.path(), Algorithm::ALL[1], NOW)).unwrap();
    keys.look_again(POLICY, NOW);
    assert!(keys.open(&other).is_none());
    assert!(keys.sign(Algorithm::ALL[1], &access_token(), NOW).is_err());
    assert_eq!(&keys.jwks()[..], br#"{"keys":[]}"#);
}

#[test]
fn a_mistake_takes_nothing_away() {
    let directory = first();
    let keys = share(directory.path(), NOW).unwrap();
    let tokens = sign(&keys, NOW);
    let jwks = keys.jwks();
    let path = file(directory.path(), Algorithm::ALL[0], NOW);
    let whole = std::fs::read(&path).unwrap();
    let unharmed = |what: &str| {
        assert_eq!(keys.look_again(POLICY, NOW), [], "{what}");
        assert_eq!((keys.mistakes(), keys.jwks()), (1, jwks.clone()), "{what}");
        assert!(tokens.iter().all(|token| keys.open(token).is_some()), "{what}");
    };
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    unharmed("half of it is there");
    std::fs::write(&path, &whole).unwrap();
    chmod(&path, 0o644);
    unharmed("others can read it");
    std::fs::remove_file(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    unharmed("a link that is about to lead elsewhere");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    unharmed("a directory");
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, &whole).unwrap();
    chmod(&path, 0o600);
    let aside = directory.path().with_extension("aside");
    std::fs::rename(directory.path(), &aside).unwrap();
    unharmed("no directory at all");
    std::fs::rename(&aside, directory.path()).unwrap();
    assert_eq!(keys.look_again(POLICY, NOW), []);
    assert_eq!((keys.mistakes(), keys.jwks()), (0, jwks));
    assert_eq!(keys.published.load().remembered(), 2, "nothing was forgotten");
}

#[test]
fn a_name_with_another_key_is_another_key() {
    let directory = first();
    let keys = share(directory.path(), NOW).unwrap();
    let [token, _] = sign(&keys, NOW);
    std::fs::remove_file(file(directory.path(), Algorithm::ALL[0], NOW)).unwrap();
    make(directory.path(), Algorithm::ALL[0], NOW).unwrap();
    assert_eq!(whats(&keys.look_again(POLICY, NOW)), [What::Found, What::Gone]);
    assert!(keys.open(&token).is_none() && keys.open(&sign(&keys, NOW)[0]).is_some());
}

#[test]
fn files_are_of_root_or_of_this_user() {
    let ours = rustix::process::geteuid().as_raw();
    let is_trusted = |owner| check_owner(Path::new("keys"), owner).is_ok();
    assert!(is_trusted(0) && is_trusted(ours) && !is_trusted(ours + 1));
}

/// As Kubernetes mounts a secret, and renews it.
#[test]
fn links_within_a_mount_are_followed() {
    let made = first();
    let mount = tempfile::tempdir().unwrap();
    chmod(mount.path(), 0o1777);
    let fill = |version: &str| {
        let inner = mount.path().join(version);
        std::fs::create_dir(&inner).unwrap();
        for entry in made.path().read_dir().unwrap() {
            let entry = entry.unwrap();
            let copy = inner.join(entry.file_name());
            std::fs::copy(entry.path(), &copy).unwrap();
            chmod(&copy, 0o440);
            let link = mount.path().join(entry.file_name());
            if !link.is_symlink() {
                symlink(Path::new("..data").join(entry.file_name()), link).unwrap();
            }
        }
        symlink(version, mount.path().join("..new")).unwrap();
        std::fs::rename(mount.path().join("..new"), mount.path().join("..data")).unwrap();
    };
    fill("..1");
    let keys = share(mount.path(), NOW).unwrap();
    make_due(made.path(), POLICY, true, after(1)).unwrap();
    fill("..2");
    assert_eq!(whats(&keys.look_again(POLICY, after(1))), [What::Found, What::Found]);
    std::fs::remove_file(file(mount.path(), Algorithm::ALL[0], NOW)).unwrap();
    assert_eq!(whats(&keys.look_again(POLICY, after(1))), [What::Gone]);
}

#[track_caller]
fn refused(change: impl FnOnce(&Path)) -> String {
    let directory = first();
    change(directory.path());
    share(directory.path(), NOW).unwrap_err().to_string()
}

#[test]
fn a_start_wants_all_of_it_to_be_in_order() {
    let of = |directory: &Path| file(directory, Algorithm::ALL[0], NOW);
    for mode in [0o644, 0o604, 0o620, 0o602, 0o661] {
        let why = refused(|directory| chmod(&of(directory), mode));
        assert!(why.contains("chmod 600, or 640"), "{mode:o}: {why}");
    }
    let why = refused(|directory| chmod(directory, 0o777));
    assert!(why.contains("chmod go-w"), "{why}");
    let why = refused(|directory| std::fs::write(directory.join("notes"), "").unwrap());
    assert!(why.contains("move it away"), "{why}");
    let why = refused(|directory| {
        let whole = std::fs::read(of(directory)).unwrap();
        std::fs::write(of(directory), &whole[1..]).unwrap();
    });
    assert!(why.contains("is no signing key for EdDSA"), "{why}");
    let why = refused(|directory| {
        let other = file(directory, Algorithm::ALL[0], after(1));
        std::fs::copy(of(directory), other).unwrap();
    });
    assert!(why.contains("has the same key as EdDSA-1790000000000.pkcs8"), "{why}");
    let why = refused(|directory| std::fs::remove_file(of(directory)).unwrap());
    assert!(why.contains("`counterfoil keys make /"), "{why}");
    let why = refused(|directory| std::fs::remove_dir_all(directory).unwrap());
    assert!(why.contains("cannot be read"), "{why}");
    // What no API needs keeps no server from starting.
    let directory = first();
    std::fs::remove_file(of(directory.path())).unwrap();
    let keys = SigningKeys::share(directory.path(), &[Algorithm::ALL[1]], POLICY, NOW).unwrap();
    assert_eq!(keys.due(NOW), 1);
}

#[test]
fn a_server_makes_none_and_removes_none() {
    let directory = first();
    let keys = share(directory.path(), NOW).unwrap();
    assert_eq!(keys.tick(after(90), POLICY).unwrap(), []);
    for rotated in [keys.rotate(NOW), keys.rotate_at_once(NOW)] {
        let why = rotated.unwrap_err().to_string();
        assert!(why.contains("`counterfoil keys make`"), "{why}");
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 2);
    keys.look_again(POLICY, after(90));
    assert_eq!(keys.due(after(90)), 2);
}

#[test]
fn keys_of_one_node_can_become_those_of_all() {
    let data = tempfile::tempdir().unwrap();
    let files = super::super::KeyFiles::open(data.path()).unwrap();
    let (own, _) = SigningKeys::load(files, NOW, POLICY).unwrap();
    let shared = share(&data.path().join("keys"), NOW).unwrap();
    assert_eq!(shared.jwks(), own.jwks());
    assert!(own.are_of(None) && !shared.are_of(None));
    assert!(shared.are_of(Some(&data.path().join("keys"))));
}

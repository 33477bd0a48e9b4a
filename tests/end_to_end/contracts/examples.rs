//! The example files themselves.

use crate::installation::{EXAMPLES, Installation, example};

#[test]
fn each_is_sound_on_its_own() {
    let installation = Installation::without_configuration();
    for name in EXAMPLES {
        let file = example(name);
        let checked = installation.cli(["config", "check", file.to_str().unwrap()]).done();
        assert_eq!(checked.err, format!("{}: sound, 1 API\n", file.display()));
    }
}

#[test]
fn each_is_served_on_its_own() {
    for name in EXAMPLES {
        let text = std::fs::read_to_string(example(name)).unwrap();
        let server = Installation::new(&text).set_up().start();
        let nobody: [&str; 0] = [];
        let refused = server.curl(&format!("/{name}/api/v4/metadata/"), nobody);
        assert_eq!(refused.status, 401, "{refused:?}");
    }
}

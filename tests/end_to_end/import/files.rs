//! Files that are not what they should be.

use super::{ADA, Stage, import, ledger, tokens};
use crate::process::run;

const ARGUMENTS: [&str; 6] = ["--api", "orders", "--entropy-bits", "192", "--owner", ADA];

#[test]
fn a_file_that_cannot_be_used_is_wrong_and_says_why() {
    let stage = Stage::set();
    let key = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b";
    for (from, file, error) in [
        ("sha256", "", "standard input is empty"),
        ("sha256", " \n", "standard input is empty"),
        (
            "drf-authtoken",
            &*format!("{key},1,2022-10-21\n"),
            "standard input has no column `key` in its first line; export it with a header, as \
             `\\copy … csv header` does",
        ),
        (
            "sha256",
            "digest;owner\n",
            "standard input has other separators than commas; export it with commas",
        ),
        (
            "sha256",
            "digest,owner,expire_at\n",
            "standard input cannot be used: there is no column `expire_at`; did you mean `expires_at`?",
        ),
        ("sha256", "digest,digest\n", "standard input has the column `digest` twice"),
        ("sha256", "[{]", "standard input is not JSON, at line 1, column 3"),
    ] {
        let said = import(&stage.installation, from, file, &ARGUMENTS).failed(2);
        assert_eq!(said, format!("counterfoil: {error}\n"));
    }
    // Whose the tokens are has to be said somewhere.
    let said = import(&stage.installation, "knox", "digest\n", &["--api", "orders"]).failed(2);
    assert!(
        said.contains("has no column `owner` or `user_id` or `user` that says whose"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let stage = Stage::set();
    let arguments = ["import", "--from", "sha256", "nowhere.csv"];
    let said = stage.installation.cli(arguments.iter().chain(&ARGUMENTS)).failed(2);
    assert!(said.starts_with("counterfoil: nowhere.csv cannot be read: "), "{said}");
}

#[test]
fn bytes_that_are_not_text_are_wrong() {
    let stage = Stage::set();
    for (bytes, error) in [
        (&b"digest,name\nx,M\xfcller\n"[..], "is not UTF-8, at line 2; export it as UTF-8"),
        (b"\xff\xfed\x00i\x00", "is UTF-16; save it as UTF-8"),
    ] {
        let arguments = ["import", "--from", "sha256", "-"];
        let mut command = stage.installation.command(arguments.iter().chain(&ARGUMENTS));
        let said = run(&mut command, bytes).failed(2);
        assert_eq!(said, format!("counterfoil: standard input {error}\n"));
    }
}

#[test]
fn rows_that_cannot_be_used_are_wrong() {
    let stage = Stage::set();
    let before = ledger(&stage.installation);
    let huge = format!("digest,name\n\"{}\n", "x".repeat(100_000));
    for (file, error) in [
        (&*huge, "line 2: row: has 1 fields, and the header has 2"),
        ("digest,name\na,b,c\n", "line 2: row: has 3 fields, and the header has 2"),
        (&huge.replace(",name", "").replace('"', ""), "line 2: row: is longer than 65536 bytes"),
        ("{}\n{", "line 1: digest: expected SHA-256, in 64 hexadecimal digits or in base64"),
        ("[{}, 1]", "item 1: digest: expected SHA-256, in 64 hexadecimal digits or in base64"),
    ] {
        let said = import(&stage.installation, "sha256", file, &ARGUMENTS).failed(2);
        assert_eq!(said.lines().next(), Some(error));
    }
    assert!(tokens(&stage.installation).is_empty());
    assert_eq!(ledger(&stage.installation), before);
}

#[test]
fn a_file_without_rows_is_done_at_once() {
    let stage = Stage::set();
    for file in ["digest\n", "[]"] {
        let done = import(&stage.installation, "sha256", file, &ARGUMENTS).done();
        assert_eq!(done.out, "Imported 0 tokens for orders.\n");
    }
}

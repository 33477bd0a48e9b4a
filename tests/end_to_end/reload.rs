//! A changed configuration is read again on a hang-up; a wrong one changes nothing.

use crate::{installation::Installation, server::Server, upstream::Upstream};
use std::process::Command;

fn hang_up(server: &Server) {
    let id = server.process().id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

#[test]
fn what_is_changed_holds_from_the_next_request_on() {
    let upstream = Upstream::start();
    let api = |name: &str, more: &str| {
        format!("[api.{name}]\nupstream = \"{}\"\n{more}\n", upstream.url())
    };
    let server = Installation::new(&api("one", "")).set_up().start();
    let one = server.issue("one", &[]);
    let bearer = |secret: &str| ["--header".to_owned(), format!("Authorization: Bearer {secret}")];
    assert_eq!(server.curl("/one/x", bearer(&one.secret)).status, 200);
    assert_eq!(server.curl("/two/x", bearer(&one.secret)).status, 404);

    let scopes = "errors = \"message\"\nroutes = [\"POST /** -> write\"]\n[api.one.scopes]\nwrite = \"Write\"";
    std::fs::write(server.configuration(), api("one", scopes) + &api("two", "")).unwrap();
    hang_up(&server);
    server.process().wait_for_message("reloaded");
    let two = server.issue("two", &[]);
    assert_eq!(server.curl("/two/x", bearer(&two.secret)).status, 200);
    // The token is as it was; what it may do is the configuration's to say.
    let refused = server.curl("/one/x", bearer(&one.secret));
    assert_eq!(refused.status, 403);
    assert!(refused.json()["message"].is_string());

    std::fs::write(server.configuration(), "[api.one]\nupstrem = \"x\"").unwrap();
    hang_up(&server);
    let said = server.process().wait_for_message("the configuration stays as it was");
    assert!(said["error"].as_str().unwrap().contains("upstrem"), "{said}");
    assert_eq!(server.curl("/two/x", bearer(&two.secret)).status, 200);
    assert_eq!(server.curl("/one/x", bearer(&one.secret)).status, 403);

    // What a running server cannot change it says.
    std::fs::write(server.configuration(), "log.level = \"debug\"\n".to_owned() + &api("two", ""))
        .unwrap();
    hang_up(&server);
    let said = server.process().wait_for_message("this setting takes effect with a restart only");
    assert_eq!(said["setting"], "log");
    assert_eq!(server.stop().cli(["token", "list", "--quiet"]).done().out.lines().count(), 2);
}

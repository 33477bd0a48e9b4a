//! The configuration file and the variables beside it.

use crate::{
    answers,
    input::{seeds, text},
};
use counterfoil::fuzzing;
use counterfoil_core::{Code, Refusal, api::Api, route::Requirement};

/// The file, then variables, `NAME=value` each, all with a zero byte between them.
pub(crate) fn configuration(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == 0);
    let file = text(parts.next().unwrap_or_default());
    let variables = parts.filter_map(|part| {
        let part = text(part).into_owned();
        let (name, value) = part.split_once('=')?;
        Some((format!("COUNTERFOIL_{name}"), value.to_owned()))
    });
    match fuzzing::configuration(&file, variables) {
        Ok((apis, warnings)) => {
            apis.iter().for_each(check_api);
            assert!(apis.is_sorted_by_key(|api| &api.name));
            assert!(warnings.iter().all(|warning| !warning.is_empty()));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "it is refused, and nothing says why");
            for mistake in mistakes {
                assert!(!mistake.contains(char::is_control), "{mistake:?}");
                let (place, message) = mistake.split_once(": ").unwrap();
                assert!(!message.trim().is_empty(), "{mistake:?}");
                let place = place.strip_prefix("counterfoil.toml:");
                let line = place.and_then(|place| place.split_once(':')).map(|(line, _)| line);
                if let Some(line) = line {
                    let line: usize = line.parse().unwrap();
                    assert!((1..=file.split('\n').count()).contains(&line), "{mistake:?}");
                }
            }
        }
    }
}

fn check_api(api: &Api) {
    assert!(!api.schemes.accepted.is_empty());
    assert!(!["counterfoil", "refusals", ""].contains(&&*api.name));
    for code in Code::ALL {
        answers::check(api, &Refusal::new(code));
    }
    let declared = |text: &str| api.scopes.iter().any(|(scope, _)| scope.as_str() == text);
    assert!(api.roles.iter().all(|role| role.scopes.iter().all(|scope| declared(scope.as_str()))));
    if let Requirement::Scope(_) = api.requirement("GET", "/") {
        assert!(!api.scopes.is_empty(), "a scope is needed that no token could have");
    }
    let lives = &api.tokens;
    assert!(lives.never || lives.default_lifetime.is_some());
    if let (Some(default), Some(max)) = (lives.default_lifetime, lives.max_lifetime) {
        assert!(default <= max);
    }
}

pub(crate) fn configuration_seeds() -> Vec<Vec<u8>> {
    const UPSTREAM: &str = "upstream = \"http://127.0.0.1:9000\"";
    seeds([
        String::new(),
        format!("[api.a]\n{UPSTREAM}\0SERVER_LISTEN=127.0.0.1:0\0API_A_REALM=x\0NONE=1"),
        "[server]\nlisten = \"[::]:8080\"\npublic_url = \"https://a.example\"\n\
         trusted_proxies = [\"10.0.0.0/8\"]\n[log]\nlevel = \"info,hyper=warn\""
            .into(),
        "[forward_auth]\nproxy = \"traefik\"\nstrip_mounts = true\n\
         [database]\nurl = \"sqlite:a.db\"\n[gateway]\nlisten = \"0.0.0.0:1\""
            .into(),
        format!(
            "[api.b]\n{UPSTREAM}\nschemes = [\"header\", \"basic\"]\nheader = \"x-key\"\nrealm = \"b c\""
        ),
        format!(
            "[api.c]\n{UPSTREAM}\nschemes = [\"header-pair\"]\nheader_pair = [\"x-id\", \"x-s\"]\n\
             mount = {{ host = \"c.example\" }}\nerrors = \"simplejwt\""
        ),
        format!(
            "[api.d]\n{UPSTREAM}\nroutes = [\"GET /p/** -> anonymous\", \"* /{{r}}/** -> \
             {{r}}:{{access}}\"]\nscopes = {{ read = \"R\", \"e:write\" = \"W\" }}\n\
             roles = {{ all = [\"read\", \"e:write\"] }}"
        ),
        format!(
            "[api.e]\n{UPSTREAM}\nmount = {{ path = \"/e\", strip = false }}\nissuers = \"members\"\n\
             tokens = {{ prefix = \"e_1\", lifetime = {{ default = \"1d\", max = \"90d\" }} }}"
        ),
        format!(
            "[api.f]\n{UPSTREAM}\n[api.f.console]\nask = [\"name\"]\n[api.f.words]\nmenu = [\"M\"]"
        ),
        format!("api.g.{UPSTREAM}\napi.h = {{ {UPSTREAM}, mount.path = \"/g\" }}"),
    ])
}

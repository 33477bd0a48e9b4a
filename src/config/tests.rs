//! What the configuration makes of good files, of mistakes, and of the environment.

use super::{Ask, Config, Environment, Loaded, LogFormat, Mount, Source, find, find_among};
use counterfoil_core::{route::Requirement, time::Seconds};
use proptest::prelude::*;
use std::path::Path;

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let source = Source { name: "c.toml".into(), text: text.into() };
    let environment = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Config::load(Some(&source), &environment)
        .map_err(|mistakes| mistakes.to_string().lines().map(str::to_owned).collect())
}

fn load(text: &str) -> Result<Loaded, Vec<String>> {
    load_with(text, &[])
}

/// The mistakes in `text`.
fn mistakes(text: &str) -> Vec<String> {
    load(text).map(|loaded| panic!("no mistake: {text}\n{loaded:?}")).unwrap_err()
}

/// An API `a` that is right but for `lines`, which begin at line 3.
fn in_api(lines: &str) -> String {
    format!("[api.a]\nupstream = \"http://127.0.0.1:9000\"\n{lines}\n")
}

#[test]
fn nothing_is_a_configuration() {
    let loaded = Config::load(None, &Environment::default()).unwrap();
    let config = loaded.config;
    assert_eq!(config.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.server.public_url, "http://127.0.0.1:8080");
    assert_eq!(config.gateway.listen, "127.0.0.1:8081".parse().unwrap());
    assert_eq!(config.gateway.public_url, "http://127.0.0.1:8081");
    assert_eq!(config.metrics.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(config.database.file, Path::new("counterfoil.db"));
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Auto, "info"));
    assert_eq!(config.apis, []);
    assert_eq!(load("").unwrap(), Loaded { config, warnings: Vec::new() });
}

#[test]
fn the_shortest_api() {
    let config = load(&in_api("")).unwrap().config;
    let [a] = <[_; 1]>::try_from(config.apis).unwrap();
    assert_eq!(a.mount, Mount::Path { path: "/a".into(), strip: true });
    assert_eq!((a.api.realm.as_str(), a.api.tokens.prefix.as_str()), ("a", "a"));
    assert_eq!(a.api.routes, []);
    assert_eq!(a.api.requirement("GET", "/x"), Requirement::Any);
    assert_eq!(a.console.ask, []);
    assert_eq!(a.words.menu, ["API tokens"]);
}

#[test]
fn what_follows_from_what_is_set() {
    let text = "[api.my-long-api-name-7]\nupstream = \"http://x/base\"\nmount = { host = \"A.Example.com\" }\n\
                [api.my-long-api-name-7.scopes]\nzebra = \"z\"\nread = \"r\"\n\
                [server]\nlisten = \"0.0.0.0:80\"";
    let config = load(text).unwrap().config;
    assert_eq!(config.server.public_url, "http://0.0.0.0");
    let [api] = <[_; 1]>::try_from(config.apis).unwrap();
    assert_eq!(api.mount, Mount::Host("a.example.com".into()));
    assert_eq!(api.upstream.urls, ["http://x/base"]);
    assert_eq!(api.api.tokens.prefix.as_str(), "mylongapiname7");
    // In the order of the file.
    let scopes: Vec<_> =
        api.api.scopes.iter().map(|(scope, words)| (scope.as_str(), &**words)).collect();
    assert_eq!(scopes, [("zebra", "z"), ("read", "r")]);
    assert_eq!(api.console.ask, [Ask::Scopes]);
}

#[test]
fn lifetimes() {
    let days = |days: u64| Some(Seconds(days * 86_400));
    for (written, default, max, never) in [
        ("{}", None, None, true),
        ("{ default = \"90d\" }", days(90), None, true),
        ("{ default = \"90d\", never = false }", days(90), None, false),
        ("{ max = \"365d\" }", days(365), days(365), false),
        ("{ max = \"365d\", never = true }", None, days(365), true),
        ("{ default = \"never\", max = \"365d\", never = true }", None, days(365), true),
        ("{ default = \"365d\", max = \"365d\" }", days(365), days(365), false),
    ] {
        let config = load(&in_api(&format!("tokens.lifetime = {written}"))).unwrap().config;
        let tokens = &config.apis[0].api.tokens;
        assert_eq!(
            (tokens.default_lifetime, tokens.max_lifetime, tokens.never),
            (default, max, never),
            "{written}"
        );
    }
}

#[test]
fn mistakes_of_form() {
    for (text, mistake) in [
        ("[server\n", "c.toml:1:8: unclosed table, expected `]`"),
        ("a = 1\na = 2", "c.toml:2:1: a: duplicate key"),
        ("[servr]", "c.toml:1:2: servr: unknown key; did you mean server?"),
        (
            "listen = \"127.0.0.1:1\"",
            "c.toml:1:1: listen: unknown key; did you mean server.listen?",
        ),
        (
            "[server]\n  \"ä\".listen = 1",
            "c.toml:2:3: server.\"ä\": unknown key; did you mean listen?",
        ),
        ("server = 3", "c.toml:1:10: server: expected a table, found a value of type integer"),
        ("[[api.a]]", "c.toml:1:1: api.a: expected a table, found a value of type array"),
        (
            "[server]\nlisten = 8080",
            "c.toml:2:10: server.listen: expected a text in quotes, found a value of type integer",
        ),
        ("[log]\nlevel = \" \"", "c.toml:2:9: log.level: expected a text that is not empty"),
        (
            "[log]\nlevel = \"a\\u0000\"",
            "c.toml:2:9: log.level: expected a text without control characters",
        ),
        (
            "[log]\nformat = \"jsn\"",
            "c.toml:2:10: log.format: unknown word, expected one of auto, text, json; did you mean json?",
        ),
    ] {
        assert_eq!(mistakes(text), [mistake], "{text}");
    }
}

#[test]
fn a_route_that_the_exchange_hides() {
    let with = |mount: &str, route: &str| {
        format!(
            "[api.a]\nupstream = \"http://127.0.0.1:1\"\n{mount}routes = [\"{route} -> any\"]\n\
             [api.a.access_tokens]\n"
        )
    };
    let kept = "mount = { path = \"/a\", strip = false }\n";
    for (mount, route) in
        [("", "POST /authenticate"), ("", "* /authenticate"), (kept, "POST /a/authenticate")]
    {
        let found = mistakes(&with(mount, route));
        assert!(found[0].contains("api.a.routes[0]: POST /"), "{found:?}");
    }
    for (mount, route) in
        [("", "GET /authenticate"), ("", "POST /**"), (kept, "POST /authenticate")]
    {
        assert!(load(&with(mount, route)).is_ok(), "{route}");
    }
}

#[test]
fn mistakes_of_the_server() {
    let address = "expected an IP address and a port, as in \"127.0.0.1:8080\" or \"[::]:8080\"";
    for (text, mistake) in [
        ("[server]\nlisten = \"localhost:80\"", format!("c.toml:2:10: server.listen: {address}")),
        ("[gateway]\nlisten = \"127.0.0.1\"", format!("c.toml:2:10: gateway.listen: {address}")),
        ("[metrics]\nlisten = \":9090\"", format!("c.toml:2:10: metrics.listen: {address}")),
        (
            "[server]\nlisten = \"127.0.0.1:9090\"",
            "c.toml:2:10: server.listen: the same port as metrics.listen".into(),
        ),
        (
            "gateway.listen = \"[::]:7\"\nserver.listen = \"127.0.0.1:7\"",
            "c.toml:1:18: gateway.listen: the same port as server.listen".into(),
        ),
        (
            "[server]\npublic_url = \"https://example.com/console\"",
            "c.toml:2:14: server.public_url: expected a URL without a path or a query".into(),
        ),
        (
            "[database]\nurl = \"postgres://ada:pw@db:x/counterfoil\"",
            "c.toml:2:7: database.url: expected a URL, as in \
             \"postgres://counterfoil@db.example.com/counterfoil\""
                .into(),
        ),
        (
            "[log]\nlevel = \"inof\"",
            "c.toml:2:9: log.level: unknown level; did you mean info?".into(),
        ),
        (
            "[log]\nlevel = \"a=b=c\"",
            "c.toml:2:9: log.level: expected a level, or levels by module, as in \"info,hyper=warn\"".into(),
        ),
    ] {
        assert_eq!(mistakes(text), [mistake], "{text}");
    }
    for url in [
        "counterfoil.db",
        "mysql:x",
        "sqlite:",
        "sqlite:///tmp/x",
        "sqlite:/tmp/x",
        "sqlite:../x",
        "sqlite::memory:",
        "sqlite:lock",
    ] {
        let found = mistakes(&format!("[database]\nurl = \"{url}\""));
        assert!(
            found[0].contains("database.url: expected sqlite: and the name of a file"),
            "{found:?}"
        );
    }
    load("gateway.listen = \"127.0.0.1:0\"\nserver.listen = \"127.0.0.1:0\"").unwrap();
    for (word, level) in [("Warning", "warn"), ("eror", "error"), ("info,debgu", "debug")] {
        let found = mistakes(&format!("log.level = \"{word}\""));
        assert!(found[0].ends_with(&format!("unknown level; did you mean {level}?")), "{found:?}");
    }
    load("log.level = \"INFO,counterfoil,hyper\"").unwrap();
    load("log.level = \"warn,counterfoil::http=TRACE,hyper=off\"").unwrap();
}

#[test]
fn mistakes_of_names_and_places() {
    for name in ["A", "1a", "a_b", "\"ä\"", "\"\"", "\"a/b\"", &"a".repeat(64)] {
        let found = mistakes(&format!("[api.{name}]"));
        assert!(found[0].starts_with("c.toml:1:6: api."), "{found:?}");
        assert!(found[0].contains("the name of an API is 1 to 63 characters"), "{found:?}");
    }
    for name in ["refusals", "counterfoil"] {
        let found = mistakes(&format!("[api.{name}]\ntokens.prefix = \"x\""));
        assert_eq!(found, [format!("c.toml:1:6: api.{name}: this name is taken, choose another")]);
    }
    assert_eq!(
        mistakes("\n  [api.a]"),
        ["c.toml:2:8: api.a.upstream: this API needs one, as in \"http://127.0.0.1:9000\""]
    );
    for (mount, mistake) in [
        (
            "{ path = \"/a\", host = \"a.b\" }",
            "3:1: api.a.mount: expected a path or a host, not both",
        ),
        (
            "{ host = \"a.b\", strip = false }",
            "3:33: api.a.mount.strip: with a host, there is no path to strip",
        ),
        (
            "{ host = \"a.b:80\" }",
            "3:18: api.a.mount.host: expected a host name without a port, as in \"api.example.com\"",
        ),
        ("{ path = \"a\" }", "3:18: api.a.mount.path: the path does not begin with a slash"),
        (
            "{ path = \"/a/\" }",
            "3:18: api.a.mount.path: expected a path without a slash at the end",
        ),
        ("{ path = \"/a/../b\" }", "3:18: api.a.mount.path: the path has a dot segment"),
        (
            "{ path = \"/%61\" }",
            "3:18: api.a.mount.path: expected a path in its canonical form, /a",
        ),
    ] {
        assert_eq!(mistakes(&in_api(&format!("mount = {mount}"))), [format!("c.toml:{mistake}")]);
    }
    load(&in_api("mount = { path = \"/\", strip = false }")).unwrap();
}

#[test]
fn mistakes_of_credentials_and_refusals() {
    for (lines, mistake) in [
        ("schemes = []", "3:11: api.a.schemes: expected at least one scheme"),
        (
            "schemes = [\"bearer\", \"bearer\"]",
            "3:22: api.a.schemes[1]: this scheme is listed twice",
        ),
        (
            "schemes = [\"baerer\"]",
            "3:12: api.a.schemes[0]: unknown word, expected one of basic, bearer, token, header, \
             header-pair, password; did you mean bearer?",
        ),
        (
            "header = \"x-key\"",
            "3:10: api.a.header: only the scheme header has one, and schemes does not list it",
        ),
        (
            "schemes = [\"header\"]",
            "1:6: api.a.header: the scheme header needs one, as in \"x-api-key\"",
        ),
        (
            "header_pair = [\"x-a\", \"x-b\"]",
            "3:15: api.a.header_pair: only the scheme header-pair has one, and schemes does not list it",
        ),
        (
            "schemes = [\"header-pair\"]",
            "1:6: api.a.header_pair: the scheme header-pair needs one, as in [\"x-client-id\", \
             \"x-secret-key\"]",
        ),
        ("header_pair = [\"x-a\"]", "3:15: api.a.header_pair: expected a list of 2"),
        (
            "schemes = [\"header-pair\"]\nheader_pair = [\"x-a\", \"x_a\"]",
            "4:23: api.a.header_pair[1]: expected two different fields",
        ),
        (
            "schemes = [\"header\", \"header-pair\"]\nheader = \"x-b\"\nheader_pair = [\"x-a\", \"x-b\"]",
            "4:10: api.a.header: this field is part of header_pair",
        ),
        (
            "errors = \"drf\"",
            "3:10: api.a.errors: unknown word, expected one of problem, oauth, simplejwt, drf-token, \
             message; did you mean drf-token?",
        ),
        (
            "issuers = \"admins\"",
            "3:11: api.a.issuers: unknown word, expected one of members, administrators; did you \
             mean administrators?",
        ),
        (
            "realm = 'a\"b'",
            "3:9: api.a.realm: expected printable ASCII without quotes and backslashes",
        ),
    ] {
        assert_eq!(mistakes(&in_api(lines)), [format!("c.toml:{mistake}")], "{lines}");
    }
    for field in ["", "x key", "x:"] {
        let found = mistakes(&in_api(&format!("schemes = [\"header\"]\nheader = \"{field}\"")));
        assert!(found[0].starts_with("c.toml:4:10: api.a.header: expected "), "{found:?}");
    }
    for field in ["authorization", "cookie", "x-forwarded-for", "x_counterfoil_role", "connection"]
    {
        let found = mistakes(&in_api(&format!("schemes = [\"header\"]\nheader = \"{field}\"")));
        assert_eq!(
            found,
            ["c.toml:4:10: api.a.header: this field has another meaning, choose another"]
        );
    }
}

#[test]
fn mistakes_of_tokens() {
    for (lines, mistake) in [
        (
            "prefix = \"A\"",
            "4:10: api.a.tokens.prefix: a prefix is 1 to 15 characters of a-z, 0-9 and _, begins \
             with a letter and does not end with _",
        ),
        (
            "prefix = \"counterfoil\"",
            "4:10: api.a.tokens.prefix: the prefix counterfoil is that of the API counterfoil",
        ),
        (
            "lifetime.default = \"3 weeks\"",
            "4:20: api.a.tokens.lifetime.default: expected a number and a unit, as in \"90d\", \
             \"24h\", \"15m\" or \"30s\"",
        ),
        (
            "lifetime.max = \"0d\"",
            "4:16: api.a.tokens.lifetime.max: expected a span longer than zero",
        ),
        (
            "lifetime = { default = \"2d\", max = \"24h\" }",
            "4:24: api.a.tokens.lifetime.default: 2d is longer than max, 1d",
        ),
        (
            "lifetime = { default = \"never\", max = \"1d\" }",
            "4:24: api.a.tokens.lifetime.default: a token may live for ever only with never = true",
        ),
        (
            "lifetime.never = false",
            "4:18: api.a.tokens.lifetime.never: without never, expected a default or a max",
        ),
    ] {
        let text = in_api(&format!("[api.a.tokens]\n{lines}"));
        assert_eq!(mistakes(&text), [format!("c.toml:{mistake}")], "{lines}");
    }
}

#[test]
fn mistakes_of_access() {
    for (lines, mistake) in [
        (
            "scopes.Read = \"r\"",
            "3:8: api.a.scopes.Read: a scope is an action or resource:action, each of a-z, 0-9, _, \
             - and ., 100 characters at most",
        ),
        ("scopes.any = \"r\"", "3:8: api.a.scopes.any: in routes this word has another meaning"),
        (
            "roles.R = []",
            "3:7: api.a.roles.R: the name of a role is made of a-z, 0-9, _, - and ., 100 characters \
             at most",
        ),
        (
            "scopes.\"a:read\" = \"r\"\nroles.r = [\"a:read\", \"a:raed\"]",
            "4:22: api.a.roles.r[1]: this scope is not declared; did you mean a:read?",
        ),
        (
            "scopes.read = \"r\"\nroles.r = [\"read\", \"read\"]",
            "4:20: api.a.roles.r[1]: this scope is listed twice",
        ),
        (
            "routes = [\"GET /a\"]",
            "3:11: api.a.routes[0]: expected \"METHOD /path -> requirement\", as in \"GET /public/** \
             -> anonymous\"",
        ),
        (
            "routes = [\"GET /a -> read\"]",
            "3:11: api.a.routes[0]: this route needs a scope, and the API declares none",
        ),
        (
            "scopes.\"a:read\" = \"r\"\nroutes = [\"* /x -> a:write\"]",
            "4:11: api.a.routes[0]: no declared scope covers a:write; did you mean a:read?",
        ),
        (
            "routes = [\n  \"* /** -> any\",\n  \"GET /a -> anonymous\",\n]",
            "5:3: api.a.routes[1]: no request gets here: \"* /** -> any\" comes first",
        ),
        (
            "routes = [\"GET /a -> any\", \"HEAD /a -> anonymous\"]",
            "3:28: api.a.routes[1]: no request gets here: \"GET /a -> any\" comes first",
        ),
    ] {
        assert_eq!(mistakes(&in_api(lines)), [format!("c.toml:{mistake}")], "{lines}");
    }
    load(&in_api("scopes.read = \"r\"\nroutes = [\"* /x -> a:read\", \"POST /x -> {access}\"]"))
        .map(|_| panic!("the second route is unreachable"))
        .unwrap_err();
    load(&in_api("scopes.read = \"r\"\nroutes = [\"GET /** -> a:read\", \"* /** -> any\"]"))
        .unwrap();
}

#[test]
fn mistakes_of_the_console() {
    for (lines, mistake) in [
        (
            "console.ask = [\"nmae\"]",
            "3:16: api.a.console.ask[0]: unknown word, expected one of name, note, owner, role, \
             scopes, expiry, networks; did you mean name?",
        ),
        ("console.ask = [\"name\", \"name\"]", "3:24: api.a.console.ask[1]: this is asked twice"),
        ("console.ask = [\"role\"]", "3:16: api.a.console.ask[0]: this API has no roles"),
        ("console.ask = [\"scopes\"]", "3:16: api.a.console.ask[0]: this API has no scopes"),
        (
            "console.ask = [\"name\"]\nscopes.read = \"r\"",
            "3:15: api.a.console.ask: an API with scopes has to ask for role or scopes",
        ),
        (
            "console.ask = [\"role\", \"scopes\"]\nscopes.read = \"r\"\nroles.r = [\"read\"]",
            "3:24: api.a.console.ask[1]: a token has a role or scopes",
        ),
        ("words.menu = []", "3:14: api.a.words.menu: expected at least one entry"),
        ("words.submit = \"\"", "3:16: api.a.words.submit: expected a text that is not empty"),
        ("words.sumbit = \"Go\"", "3:7: api.a.words.sumbit: unknown key; did you mean submit?"),
    ] {
        assert_eq!(mistakes(&in_api(lines)), [format!("c.toml:{mistake}")], "{lines}");
    }
}

#[test]
fn no_two_apis_share_a_prefix_or_a_mount() {
    let two = |first: &str, second: &str| {
        mistakes(&format!(
            "[api.b]\nupstream = \"http://x\"\n{first}\n[api.a]\nupstream = \"http://x\"\n{second}"
        ))
    };
    // The later one is the mistake, whatever the names.
    assert_eq!(
        two("tokens.prefix = \"x\"", "tokens.prefix = \"x\""),
        ["c.toml:6:17: api.a.tokens.prefix: the prefix x is that of the API b"]
    );
    assert_eq!(
        two("", "tokens.prefix = \"b\""),
        ["c.toml:6:17: api.a.tokens.prefix: the prefix b is that of the API b"]
    );
    assert_eq!(
        two("tokens.prefix = \"a\"", ""),
        ["c.toml:4:6: api.a.tokens.prefix: the prefix a is that of the API b"]
    );
    assert_eq!(
        two("", "mount.path = \"/b\""),
        ["c.toml:6:14: api.a.mount.path: the API b is mounted there"]
    );
    assert_eq!(
        two("mount.host = \"x.example\"", "mount.host = \"X.Example\""),
        ["c.toml:6:14: api.a.mount.host: the API b is mounted there"]
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let shape = "[server]\nlisten = 1\nlisen = 2\n[api.a]\nin_fligt = 5\nerrors = \"no\"\n";
    let lines: Vec<_> = mistakes(shape).iter().map(|m| m[..10].to_owned()).collect();
    assert_eq!(lines, ["c.toml:2:1", "c.toml:3:1", "c.toml:5:1", "c.toml:6:1"]);

    let meaning = "[server]\nlisten = \"x\"\n[api.a]\nrealm = \"ä\"\ntokens.prefix = \"A\"\n\
                   routes = [\"x\", \"GET / -> read\"]\n[api.B]";
    let paths: Vec<_> = mistakes(meaning)
        .iter()
        .map(|mistake| mistake.split(": ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "server.listen",
            "api.a.upstream",
            "api.a.realm",
            "api.a.tokens.prefix",
            "api.a.routes[0]",
            "api.a.routes[1]",
            "api.B"
        ]
    );
}

#[test]
fn variables_win_over_the_file() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n[api.my-api]\n";
    let loaded = load_with(
        text,
        &[
            ("COUNTERFOIL_SERVER_LISTEN", "127.0.0.1:2"),
            ("COUNTERFOIL_LOG_FORMAT", "json"),
            ("COUNTERFOIL_API_MY_API_UPSTREAM", "http://upstream"),
            ("COUNTERFOIL_API_MY_API_MOUNT_STRIP", "false"),
            ("COUNTERFOIL_API_MY_API_TOKENS_LIFETIME_MAX", "7d"),
            ("COUNTERFOIL_API_MY_API_WORDS_DONE", "OK"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.warnings, [""; 0]);
    let config = loaded.config;
    assert_eq!(config.server.listen, "127.0.0.1:2".parse().unwrap());
    assert_eq!(config.log.format, LogFormat::Json);
    let api = &config.apis[0];
    assert_eq!(api.upstream.urls, ["http://upstream"]);
    assert_eq!(api.mount, Mount::Path { path: "/my-api".into(), strip: false });
    assert_eq!(api.api.tokens.max_lifetime, Some(Seconds(7 * 86_400)));
    assert_eq!(api.words.done, "OK");

    let environment = [("COUNTERFOIL_GATEWAY_LISTEN".to_owned(), "[::1]:3".to_owned())];
    let config = Config::load(None, &environment.into_iter().collect()).unwrap().config;
    assert_eq!(config.gateway.listen, "[::1]:3".parse().unwrap());
}

#[test]
fn mistakes_of_variables_name_the_variable() {
    for (variable, value, mistake) in [
        (
            "COUNTERFOIL_LOG_FORMAT",
            "jsn",
            "log.format: unknown word, expected one of auto, text, json; did you mean json?",
        ),
        (
            "COUNTERFOIL_API_A_MOUNT_STRIP",
            "yes",
            "api.a.mount.strip: expected true or false, found a value of type string",
        ),
        (
            "COUNTERFOIL_API_A_REALM",
            "\u{fffd}",
            "api.a.realm: expected a text without control characters",
        ),
        ("COUNTERFOIL_API_A_REALM", "", "api.a.realm: expected a text that is not empty"),
        (
            "COUNTERFOIL_API_A_MOUNT_PATH",
            "a",
            "api.a.mount.path: the path does not begin with a slash",
        ),
        (
            "COUNTERFOIL_SERVER_LISTEN",
            "127.0.0.1:9090",
            "server.listen: the same port as metrics.listen",
        ),
        (
            "COUNTERFOIL_API_A_TOKENS_PREFIX",
            "counterfoil",
            "api.a.tokens.prefix: the prefix counterfoil is that of the API counterfoil",
        ),
    ] {
        let found = load_with(&in_api(""), &[(variable, value)]).unwrap_err();
        assert_eq!(found, [format!("{variable}: {mistake}")]);
    }
    // Where the file has no table to put it into, that is the mistake.
    let found = load_with("log = 3", &[("COUNTERFOIL_LOG_LEVEL", "info")]).unwrap_err();
    assert_eq!(found, ["c.toml:1:7: log: expected a table, found a value of type integer"]);
}

#[test]
fn variables_that_set_nothing_are_warnings() {
    let unknown = [
        ("COUNTERFOIL_SERVR_LISTEN", "x"),
        ("COUNTERFOIL_API_B_UPSTREAM", "x"),
        ("COUNTERFOIL_CONFIG", "c.toml"),
        ("COUNTERFOIL_UPDATE_DOCS", "1"),
    ];
    assert_eq!(
        load_with(&in_api(""), &unknown).unwrap().warnings,
        [
            "the environment variable COUNTERFOIL_API_B_UPSTREAM sets nothing; did you mean \
             COUNTERFOIL_API_A_UPSTREAM?",
            "the environment variable COUNTERFOIL_SERVR_LISTEN sets nothing; did you mean \
             COUNTERFOIL_SERVER_LISTEN?",
        ]
    );
}

#[test]
fn the_first_file_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (absent, one, two, binary) = (path("absent"), path("one"), path("two"), path("binary"));
    std::fs::write(&one, "one").unwrap();
    std::fs::write(&two, "two").unwrap();
    std::fs::write(&binary, b"a\xff").unwrap();

    let text = |found: Option<Source>| found.map(|source| source.text);
    let among = |places: &[&Path]| find_among(None, places.iter().copied()).map(text);
    assert_eq!(among(&[&absent, &two, &one]).unwrap().as_deref(), Some("two"));
    assert_eq!(among(&[&absent]).unwrap(), None);
    assert!(
        among(&[&binary, &one]).unwrap_err().to_string().ends_with("is not UTF-8, from byte 1 on")
    );
    // A directory is there, and no configuration.
    assert!(among(&[directory.path(), &one]).is_err());

    let source = find(Some(&one)).unwrap().unwrap();
    assert_eq!((source.name.as_str(), source.text.as_str()), (one.to_str().unwrap(), "one"));
    assert!(find(Some(&absent)).unwrap_err().to_string().contains("absent"));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        let _ = load(&text);
    }

    #[test]
    fn nothing_like_a_configuration_panics(
        text in "(\\[{0,2}(api|server|a|\"b\")(\\.[a-z\"]{0,3}){0,2}\\]{0,2}\n|[a-z.\"]{1,9} ?= ?[\\[{\"'0-9a-z,=}\\]#é]{0,9}\n){0,6}",
    ) {
        let _ = load(&text);
    }

    #[test]
    fn no_damage_to_an_example_panics(
        which in 0..super::examples::ALL.len(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, ".{0,4}"), 1..6),
    ) {
        let mut text: Vec<char> = super::examples::ALL[which].1.chars().collect();
        for (at, length, instead) in cuts {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, instead.chars());
        }
        let _ = load(&text.into_iter().collect::<String>());
    }

    #[test]
    fn no_value_of_a_setting_panics(
        key in prop::sample::select(&[
            "api.a.upstream", "api.a.realm", "api.a.header", "api.a.mount.path", "api.a.mount.host",
            "api.a.tokens.prefix", "api.a.tokens.lifetime.max", "api.a.words.name", "server.listen",
            "server.public_url", "gateway.public_url", "database.url", "log.level",
        ][..]),
        value in "(https?://|sqlite:|/)?[ -~é\u{0}]{0,20}",
    ) {
        let variable = format!("COUNTERFOIL_{}", key.replace('.', "_").to_uppercase());
        let _ = load_with(&in_api("schemes = [\"header\"]"), &[(&variable, &value)]);
    }

    #[test]
    fn no_route_scope_or_role_panics(scope in ".{0,12}", role in ".{0,12}", route in ".{0,20}") {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let (scope, role, route) = (quoted(&scope), quoted(&role), quoted(&route));
        let _ = load(&in_api(&format!(
            "routes = [{route}]\n[api.a.scopes]\n{scope} = \"x\"\n[api.a.roles]\n{role} = [{scope}]"
        )));
    }
}

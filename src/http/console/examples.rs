//! Examples with one's own token and the API's address, and the refusals of an API as it
//! words them. Nothing here is kept.

use crate::config::{EXCHANGE, Mount, ProtectedApi};
use counterfoil_core::{
    Code, Refusal, Timestamp,
    api::Api,
    credential::{Malformed, Scheme},
    error_format,
    id::RequestId,
    refusal::About,
    route::Requirement,
    time::Seconds,
    token::Grant,
};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// What stands where a secret would.
pub(crate) const PLACEHOLDER: &str = "TOKEN";

/// What an example is made for.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// The whole of where to go, as [`url`] has it.
    pub(crate) url: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) client_id: &'a str,
    /// The owner's, where they have one.
    pub(crate) email: Option<&'a str>,
}

/// An example in one language.
pub(crate) struct Example {
    /// Among those of one scheme.
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    /// It holds the secret.
    pub(crate) text: Zeroizing<String>,
}

/// A way to send a credential, in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) line: String,
    pub(crate) words: &'static str,
}

/// What some refusals look like from outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Those that look like this.
    pub(crate) codes: Vec<Code>,
    /// When they come, a sentence each.
    pub(crate) when: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// Where clients reach an API through the gateway, which they reach at `public_url`; no
/// slash at the end.
pub(crate) fn address(public_url: &str, mount: &Mount) -> String {
    match mount {
        Mount::Path { path, .. } => format!("{public_url}{}", path.trim_end_matches('/')),
        Mount::Host(host) => {
            let (scheme, authority) = public_url.split_once("://").unwrap_or(("http", public_url));
            // An IPv6 address has colons of its own, in brackets.
            match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
                Some((_, port)) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            }
        }
    }
}

/// Where tokens of an API are exchanged for access tokens.
pub(crate) fn exchange_url(public_url: &str, protected: &ProtectedApi) -> String {
    format!("{}{EXCHANGE}", address(public_url, &protected.mount))
}

/// The address of something that a token with this grant may get, where there is such a thing.
pub(crate) fn url(public_url: &str, protected: &ProtectedApi, grant: &Grant) -> String {
    let ProtectedApi { api, mount, .. } = protected;
    // Routes are those of the API; what is not stripped is a part of them.
    let mount_path = match mount {
        Mount::Path { path, strip: false } => path.trim_end_matches('/'),
        _ => "",
    };
    let path = first_path(api, mount_path, grant);
    let path = path.strip_prefix(mount_path).unwrap_or(&path);
    let address = address(public_url, mount);
    if path.starts_with('/') { format!("{address}{path}") } else { format!("{address}/{path}") }
}

/// The first path that can be gone to with GET and a token, and under `mount`.
fn first_path(api: &Api, mount: &str, grant: &Grant) -> String {
    let may_get = |path: &String| match api.requirement("GET", path) {
        Requirement::Anonymous => false,
        Requirement::Any => true,
        Requirement::Scope(need) => api.scopes_of(grant).any(|scope| scope.covers(need)),
    };
    let root = format!("{mount}/");
    let paths = api.routes.iter().flat_map(|route| {
        let mut words = route.as_str().split_ascii_whitespace();
        let (method, pattern) = (words.next(), words.next().unwrap_or_default());
        let fits = matches!(method, Some("*" | "GET")) && pattern.starts_with(&root);
        if fits { paths(api, pattern) } else { Vec::new() }
    });
    paths.chain([root.clone()]).find(may_get).unwrap_or(root)
}

/// Paths that a pattern matches: what it leaves open is a resource of the API's, or 1.
fn paths(api: &Api, pattern: &str) -> Vec<String> {
    let resources = api.scopes.iter().filter_map(|(scope, _)| scope.as_need().resource);
    resources
        .chain(["1"])
        .map(|open| {
            let filled = pattern.split('/').map(|segment| match segment {
                "**" => "",
                "*" => open,
                name if name.starts_with('{') => open,
                text => text,
            });
            filled.collect::<Vec<_>>().join("/")
        })
        .collect()
}

/// Complete examples for one scheme; none where it cannot be used with what is given.
pub(crate) fn examples(api: &Api, scheme: Scheme, given: &Given<'_>) -> Vec<Example> {
    let Some(sent) = Sent::of(api, scheme, given) else { return Vec::new() };
    let example = |id, label, text: Zeroizing<String>| Example { id, label, text };
    vec![
        example("curl", "curl", curl(&sent, given.url)),
        example("python", "Python", python(&sent, given.url)),
        example("javascript", "JavaScript", javascript(&sent, given.url)),
        example("environment", "Environment", environment(api, scheme, given)),
    ]
}

/// A command that exchanges a secret for an access token.
pub(crate) fn exchange(url: &str, secret: &str) -> Zeroizing<String> {
    let mut text = fresh();
    let header = Zeroizing::new(format!("Authorization: Bearer {secret}"));
    add(&mut text, &["curl --request POST ", &shell(url), " \\\n  --header ", &shell(&header)]);
    text
}

/// One line that works, once `TOKEN` in it is the secret: for whoever sent it wrongly.
pub(crate) fn line(api: &Api, given: &Given<'_>) -> Option<String> {
    let given = Given { secret: PLACEHOLDER, ..*given };
    let mut sent = api.schemes.accepted.iter().filter_map(|scheme| Sent::of(api, *scheme, &given));
    sent.next().map(|sent| curl(&sent, given.url).replace(" \\\n ", ""))
}

/// What is sent, whatever the language.
enum Sent {
    /// User name, colon and password.
    Pair(Zeroizing<String>),
    Fields(Vec<(String, Zeroizing<String>)>),
}

impl Sent {
    fn of(api: &Api, scheme: Scheme, given: &Given<'_>) -> Option<Self> {
        let secret = given.secret;
        let field = |name: &str, value: String| (name.to_owned(), Zeroizing::new(value));
        let authorization = |word| field("Authorization", format!("{word} {secret}"));
        Some(match scheme {
            Scheme::Basic => Self::Pair(Zeroizing::new(format!("{}:{secret}", given.email?))),
            // It is no token that travels like this.
            Scheme::Password => return None,
            Scheme::Bearer => Self::Fields(vec![authorization("Bearer")]),
            Scheme::Token => Self::Fields(vec![authorization("Token")]),
            Scheme::Header => {
                let name = api.schemes.header.as_deref()?;
                Self::Fields(vec![field(name, secret.to_owned())])
            }
            Scheme::HeaderPair => {
                let [id, name] = api.schemes.header_pair.as_ref()?;
                let id = field(id, given.client_id.to_owned());
                Self::Fields(vec![id, field(name, secret.to_owned())])
            }
        })
    }
}

fn curl(sent: &Sent, url: &str) -> Zeroizing<String> {
    let mut text = fresh();
    *text += "curl ";
    *text += &shell(url);
    let mut option = |name, value: &str| {
        *text += " \\\n  ";
        *text += name;
        *text += " ";
        *text += &shell(value);
    };
    match sent {
        Sent::Pair(pair) => option("--user", pair),
        Sent::Fields(fields) => {
            for (name, value) in fields {
                let line = Zeroizing::new(format!("{name}: {}", **value));
                option("--header", &line);
            }
        }
    }
    text
}

fn python(sent: &Sent, url: &str) -> Zeroizing<String> {
    let mut text = fresh();
    if matches!(sent, Sent::Pair(_)) {
        *text += "import base64\n";
    }
    *text += "import urllib.request\n\n";
    add(&mut text, &["request = urllib.request.Request(", &quoted(url), ")\n"]);
    match sent {
        Sent::Pair(pair) => {
            let pair = quoted(pair);
            add(&mut text, &["credentials = base64.b64encode(", &pair, ".encode()).decode()\n"]);
            *text += "request.add_header(\"Authorization\", \"Basic \" + credentials)\n";
        }
        Sent::Fields(fields) => {
            for (name, value) in fields {
                add(
                    &mut text,
                    &["request.add_header(", &quoted(name), ", ", &quoted(value), ")\n"],
                );
            }
        }
    }
    *text += "with urllib.request.urlopen(request) as response:\n";
    *text += "    print(response.status, response.read().decode())\n";
    text
}

fn javascript(sent: &Sent, url: &str) -> Zeroizing<String> {
    let mut text = fresh();
    match sent {
        Sent::Pair(pair) => {
            // `btoa` takes bytes only.
            *text += "const bytes = new TextEncoder().encode(";
            *text += &quoted(pair);
            *text += ");\nconst credentials = btoa(String.fromCharCode(...bytes));\n";
        }
        Sent::Fields(_) => {}
    }
    add(&mut text, &["const response = await fetch(", &quoted(url), ", {\n  headers: {\n"]);
    match sent {
        Sent::Pair(_) => *text += "    \"Authorization\": `Basic ${credentials}`,\n",
        Sent::Fields(fields) => {
            for (name, value) in fields {
                add(&mut text, &["    ", &quoted(name), ": ", &quoted(value), ",\n"]);
            }
        }
    }
    *text += "  },\n});\nconsole.log(response.status, await response.text());\n";
    text
}

fn environment(api: &Api, scheme: Scheme, given: &Given<'_>) -> Zeroizing<String> {
    let name = api.name.to_uppercase().replace('-', "_");
    let mut text = fresh();
    let mut set = |what, value| add(&mut text, &[&name, "_", what, "=", &shell(value), "\n"]);
    set("URL", given.url);
    match (scheme, given.email) {
        (Scheme::Basic, Some(email)) => set("EMAIL", email),
        (Scheme::HeaderPair, _) => set("CLIENT_ID", given.client_id),
        _ => {}
    }
    set("TOKEN", given.secret);
    text
}

fn add(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
}

/// Room for a text that need not grow, and leave a secret behind where it was.
fn fresh() -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(4096))
}

/// One word of a POSIX shell, whatever is in it.
fn shell(text: &str) -> Zeroizing<String> {
    let mut word = Zeroizing::new(String::with_capacity(6 * text.len() + 2));
    word.push('\'');
    for (n, part) in text.split('\'').enumerate() {
        if n > 0 {
            *word += "'\\''";
        }
        *word += part;
    }
    word.push('\'');
    word
}

/// A literal of Python and of JavaScript: of JSON's escapes, which are both's, those that
/// there are here.
fn quoted(text: &str) -> Zeroizing<String> {
    let mut literal = Zeroizing::new(String::with_capacity(6 * text.len() + 2));
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            // Line separators end a line of JavaScript as it used to be.
            _ if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a text does not fail.
                let _ = write!(*literal, "\\u{:04x}", u32::from(c));
            }
            _ => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// The ways in which a token of this API may travel.
pub(crate) fn ways(api: &Api) -> Vec<Way> {
    let schemes = &api.schemes;
    let way = |name, line: String, words| Way { name, line, words };
    let of = |scheme: &Scheme| match scheme {
        Scheme::Basic => way(
            "HTTP Basic",
            "Authorization: Basic base64(EMAIL:TOKEN)".into(),
            "The user name is the owner's e-mail address, the password is the token.",
        ),
        Scheme::Password => way(
            "HTTP Basic with a password",
            "Authorization: Basic base64(EMAIL:PASSWORD)".into(),
            "Not recommended: it is slow, and a program that has it can do what you can. The user \
             name is your e-mail address, the password the one that you sign in with.",
        ),
        Scheme::Bearer => way(
            "Bearer",
            "Authorization: Bearer TOKEN".into(),
            "The word is Bearer, in capital or small letters.",
        ),
        Scheme::Token => way(
            "Token",
            "Authorization: Token TOKEN".into(),
            if schemes.exact_token_keyword {
                "The word is Token, with a capital T and the rest small."
            } else {
                "The word is Token, in capital or small letters."
            },
        ),
        Scheme::Header => way(
            "A header of its own",
            format!("{}: TOKEN", schemes.header.as_deref().unwrap_or_default()),
            "The token stands in it alone.",
        ),
        Scheme::HeaderPair => {
            let [id, secret] = schemes
                .header_pair
                .as_ref()
                .map_or(["", ""], |pair| [pair[0].as_str(), pair[1].as_str()]);
            way(
                "Client ID and secret",
                format!("{id}: CLIENT_ID\n{secret}: TOKEN"),
                "Both have to be there, and to belong together.",
            )
        }
    };
    schemes.accepted.iter().map(of).collect()
}

/// Every refusal of this API as a client sees it, once for all that look alike.
pub(crate) fn refusals(api: &Api) -> Vec<Shown> {
    let request_id = RequestId::new(Timestamp::from_millis(0), [0; 10]);
    let mut all: Vec<Shown> = Vec::new();
    for code in Code::ALL {
        let about = match code {
            Code::MalformedCredential => About::Malformed(Malformed::Spaces),
            Code::InsufficientScope => match api.scopes.first() {
                Some((scope, _)) => About::Scope(scope.to_string()),
                // Whatever is asked of an API without scopes, this is no answer to it.
                None => continue,
            },
            Code::RateLimited if !has_rates(api) => continue,
            Code::TooManyInFlight if api.limits.in_flight().is_none() => continue,
            Code::RateLimited | Code::NodeStale => About::RetryAfter(Seconds(1)),
            _ => About::Nothing,
        };
        let refusal = Refusal { about, ..Refusal::new(code) };
        let answer = error_format::answer(api, &refusal, request_id);
        let (status, headers, body) = (answer.status, answer.headers, answer.body);
        let same =
            |one: &&mut Shown| one.status == status && one.headers == headers && one.body == body;
        if let Some(shown) = all.iter_mut().find(same) {
            shown.codes.push(code);
            shown.when += " ";
            shown.when += when(code);
        } else {
            let when = when(code).to_owned();
            all.push(Shown { codes: vec![code], when, status, headers, body });
        }
    }
    all
}

/// Whether anybody may have asked too often: with a token, or with wrong passwords.
fn has_rates(api: &Api) -> bool {
    !api.limits.rates().is_empty() || api.schemes.accepted.contains(&Scheme::Password)
}

/// When a refusal comes.
fn when(code: Code) -> &'static str {
    match code {
        Code::MissingCredential => "Nothing was sent that this API takes for a credential.",
        Code::MalformedCredential => "What was sent cannot be read, or could mean two things.",
        Code::UnknownToken => "There is no such token.",
        Code::WrongApi => "The token is for another API.",
        Code::OwnerMismatch => "The e-mail address is not the token owner's.",
        Code::ClientMismatch => "The client ID is not the token's.",
        Code::WrongPassword => "E-mail address and password do not belong together.",
        Code::SecondFactor => "The account has a second factor, and cannot be used like this.",
        Code::SeveralOrganizations => "The account belongs to more than one organization.",
        Code::NotAnIssuer => "Only administrators may use this API with their password.",
        Code::Expired => "The token has expired.",
        Code::Revoked => "The token was revoked.",
        Code::Paused => "The token is paused.",
        Code::AccountDisabled => "Its owner's account is disabled, or has left the organization.",
        Code::OrganizationClosed => "The organization is closed.",
        Code::NetworkNotAllowed => "The token may not be used from there.",
        Code::InsufficientScope => "The token may not do this.",
        Code::RateLimited => "There were too many requests with this token.",
        Code::TooManyInFlight => "Too many requests with this token are under way.",
        Code::NodeStale => "Tokens cannot be checked for the moment.",
    }
}

#[cfg(test)]
mod tests;

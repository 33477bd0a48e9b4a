//! Every setting, once: its name, its type, its default, and the text that documents it.
//!
//! The doc comments are the reference (`docs/configuration.md`), the fields the
//! keys of the file and the names of the variables. What Rust has no words for
//! stands in three extensions of the derived schema: `x-key` is what the
//! reference calls a key of the operator's choice, `x-default` a default that
//! is not one value, and `x-inline` marks a table that is written in one line.

mod cors;
mod database;
mod doors;
mod forwarded;
mod limiter;
mod one_or_more;
mod signing;
mod tls;
mod upstream;

pub(crate) use self::forwarded::ForwardedBy;
pub(super) use self::{
    cors::Cors,
    database::Database,
    doors::Doors,
    limiter::Limiter,
    one_or_more::OneOrMore,
    signing::Signing,
    tls::Tls,
    upstream::{Health, Timeouts, UpstreamTls},
};

use counterfoil_core::{access_token, api, credential, error_format};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// The listener of the console, the management API and OAuth.
    pub(super) server: Server,
    /// The listener of the reverse proxy in front of the APIs.
    pub(super) gateway: Gateway,
    /// The listener on which other people's proxies ask about each request. Private:
    /// whoever reaches it can try credentials as if from anywhere.
    pub(super) forward_auth: ForwardAuth,
    /// The listener of `/metrics`.
    pub(super) metrics: Metrics,
    /// What holds wherever requests are checked.
    pub(super) doors: Doors,
    /// Where accounts, tokens and the ledger are kept.
    pub(super) database: Database,
    /// Where several nodes count together what counts against limits. Absent, each counts by
    /// itself.
    pub(super) limiter: Limiter,
    /// What is written to standard error.
    pub(super) log: Log,
    /// The console: its pages for people.
    pub(super) console: Console,
    /// How mail is sent: links that reset a password, invitations, and word of what was
    /// changed on an account. Without it, links are handed over by hand.
    pub(super) mail: Mail,
    /// How access tokens are signed.
    pub(super) signing: Signing,
    /// One protected API; as many of these tables as there are APIs. The name is
    /// 1 to 63 characters of a-z, 0-9 and -, and begins with a letter. `refusals`
    /// and `counterfoil` are taken.
    #[schemars(extend("x-key" = "NAME"))]
    pub(super) api: BTreeMap<String, Api>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    /// Address and port to listen on; port 0 lets the system choose one.
    pub(super) listen: String,
    /// The URL under which browsers reach this server: http or https, no path.
    #[schemars(extend("x-default" = "`http://` or `https://`, and `server.listen`"))]
    pub(super) public_url: Option<String>,
    /// Networks of the proxies in front, whose word is taken for where a request
    /// comes from (`X-Forwarded-For`). Of anybody else it is not.
    pub(super) trusted_proxies: Vec<String>,
    /// With this table the listener speaks TLS, and nothing else.
    pub(super) tls: Option<Tls>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Gateway {
    /// Address and port to listen on.
    pub(super) listen: String,
    /// The URL under which clients reach the gateway, as the console's examples have it, and
    /// whose scheme upstreams are told: http or https, no path.
    #[schemars(extend("x-default" = "`http://` or `https://`, and `gateway.listen`"))]
    pub(super) public_url: Option<String>,
    /// Networks of the proxies in front, whose word is taken for where a request
    /// comes from (`forwarded` says in which fields). Of anybody else it is not.
    pub(super) trusted_proxies: Vec<String>,
    /// Where those proxies write it. What the other kind of field says counts for nothing.
    pub(super) forwarded: ForwardedBy,
    /// With this table the listener speaks TLS, and nothing else.
    pub(super) tls: Option<Tls>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ForwardAuth {
    /// Address and port to listen on.
    pub(super) listen: String,
    /// The kind of proxy that asks. It decides which fields say what the request was;
    /// fields of another kind count for nothing.
    pub(super) proxy: ProxyKind,
    /// Networks of the proxies that may ask; whoever is elsewhere gets 403.
    pub(super) trusted_proxies: Vec<String>,
    /// Whether the paths that the proxy says are under the APIs' mounts. The mount is
    /// then taken off before routes are matched, and a path outside it is refused;
    /// else a path is taken as it is.
    pub(super) strip_mounts: bool,
    /// With this table the listener speaks TLS, and nothing else.
    pub(super) tls: Option<Tls>,
}

/// A kind of proxy, by where it says what the original request was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProxyKind {
    /// `X-Original-Method`, `X-Original-URI`, `X-Real-IP`; passes on 401 and 403 only.
    #[default]
    Nginx,
    /// `X-Forwarded-Method`, `X-Forwarded-Uri`, `X-Forwarded-For`.
    Traefik,
    /// `X-Forwarded-Method`, `X-Forwarded-Uri`, `X-Forwarded-For`.
    Caddy,
    /// The request's own method and path, `X-Forwarded-For`.
    Envoy,
    /// `X-Original-Method`, `X-Original-URI`, `X-Real-IP`.
    Haproxy,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    /// Address and port to listen on. Whoever reaches it may read the metrics:
    /// keep it on the loopback interface or in a private network.
    pub(super) listen: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    /// The form of a line.
    pub(super) format: LogFormat,
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or
    /// levels by module, as in `info,counterfoil=debug`.
    pub(super) level: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Console {
    /// Who may read "How to authenticate", which tells of every API here.
    pub(super) docs: Readers,
    /// E-mail addresses of the accounts that may open the operator's page, to read it. An
    /// account that somebody made by accepting an invitation may only once its password was
    /// set by a mailed link, or by `counterfoil account set-password`, or its address by
    /// `counterfoil account set-email`.
    pub(super) operators: Vec<String>,
    /// How long a session lasts without a request: a number and `s`, `m`, `h` or `d`.
    pub(super) session: String,
    /// How long a session lasts at most.
    pub(super) session_max: String,
}

/// Who may read a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Readers {
    /// Whoever has signed in.
    #[default]
    Members,
    /// Everybody.
    Public,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mail {
    /// The server that takes mail: `smtp://host:port` (587 without a port), or
    /// `smtps://host:port` (465) where TLS comes first.
    #[schemars(extend("x-default" = "none: no mail is sent"))]
    pub(super) smtp: Option<String>,
    /// How the connection to an `smtp://` server is protected.
    pub(super) tls: MailTls,
    /// The file with the certificates, in PEM, that the server's is checked against.
    #[schemars(extend("x-default" = "the system's certificates"))]
    pub(super) ca_file: Option<String>,
    /// The name to sign in to the server with.
    #[schemars(extend("x-default" = "none: without signing in"))]
    pub(super) user: Option<String>,
    /// The password that belongs to it.
    #[schemars(extend("x-default" = "**required** with `user`, here or in a file"))]
    pub(super) password: Option<Secret>,
    /// The file that holds the password instead, in one line.
    #[schemars(extend("x-default" = "none"))]
    pub(super) password_file: Option<String>,
    /// Whom mail comes from, as in `"Counterfoil <tokens@example.com>"`.
    #[schemars(extend("x-default" = "**required** with `smtp`"))]
    pub(super) from: Option<String>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MailTls {
    /// `starttls`; on the loopback interface `none`.
    #[default]
    Auto,
    /// By TLS, before anything else is said; a server that offers none gets no mail.
    Starttls,
    /// Not at all. Whoever is in between reads the links, so no `user` can sign in over it
    /// but on the loopback interface.
    None,
}

/// A text that is not to be seen.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Secret(#[schemars(with = "String")] Zeroizing<String>);

impl Secret {
    /// Keeps `text`.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for whoever it is meant for.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    /// What is written of the settings is their defaults, and a secret has none.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Api {
    /// Where requests go that may pass: an http or https URL, with a base path if need be; or
    /// a list of several, with one base path. Of several that work, each request goes to one
    /// that has few under way.
    #[schemars(extend("x-default" = "**required**"))]
    pub(super) upstream: OneOrMore,
    /// Where the gateway offers the API.
    pub(super) mount: Mount,
    /// How a credential may travel, in the order in which a refusal names the ways.
    pub(super) schemes: Vec<Scheme>,
    /// The header field of the scheme `header`, as in `"x-api-key"`; for that scheme only.
    #[schemars(extend("x-default" = "**required** with `header`"))]
    pub(super) header: Option<String>,
    /// The header fields of the scheme `header-pair`: client ID, then secret; for
    /// that scheme only.
    #[schemars(extend("x-default" = "**required** with `header-pair`"))]
    pub(super) header_pair: Option<[String; 2]>,
    /// The form of a refusal.
    pub(super) errors: Errors,
    /// The realm in the challenges of a refusal: printable ASCII without `"` and `\`.
    #[schemars(extend("x-default" = "the API's name"))]
    pub(super) realm: Option<String>,
    /// Who may issue tokens.
    pub(super) issuers: Issuers,
    /// How many requests each token may have in flight at once; one more is refused with 429.
    /// Counted at the gateway, and by whoever takes slots with `POST /v1/verify`.
    #[schemars(extend("x-default" = "none: no limit"))]
    pub(super) in_flight: Option<u64>,
    /// How many requests each token may make in any span of a length, as in `"1000/60s"`; one
    /// more is refused with 429. Several, each of another span, hold together:
    /// `["1000/60s", "10000/24h"]`. Up to four; a span is a number and `s`, `m`, `h` or `d`,
    /// 31 days at most.
    #[schemars(extend("x-default" = "none: no limit"))]
    pub(super) rate: OneOrMore,
    /// Which requests need what, as `"METHOD /path -> requirement"`; the first line
    /// that matches decides. The method is `*` or a name (`GET` covers `HEAD`). In
    /// the path, `*` and `{name}` are one segment and a final `**` the rest. The
    /// requirement is `anonymous`, `any` (any live token) or a scope, in which
    /// `{name}` is that segment and `{access}` is `read` for GET, HEAD and OPTIONS,
    /// else `write`. Whatever no line matches needs the scope `{access}` where the
    /// API declares scopes, else any token.
    pub(super) routes: Vec<String>,
    /// What the tokens look like and how long they live.
    pub(super) tokens: Tokens,
    /// The scopes, each with the words that say what it allows: an action such as
    /// `read`, or a resource and an action such as `"costs:read"`. A token with a
    /// bare `read` may do whatever any `…:read` allows. The order of the file is kept.
    #[schemars(extend("x-key" = "SCOPE"))]
    pub(super) scopes: BTreeMap<String, String>,
    /// Named lists of scopes, of which a token may have one instead of scopes of
    /// its own. Tokens follow when a role changes.
    #[schemars(extend("x-key" = "ROLE"))]
    pub(super) roles: BTreeMap<String, Vec<String>>,
    /// Short-lived tokens, signed, which are obtained with a token and never outlive it. With
    /// this table, even an empty one, there are some; they travel as `bearer`.
    pub(super) access_tokens: Option<AccessTokens>,
    /// How an https upstream's certificate is checked. That it is checked is not up for
    /// configuration.
    pub(super) upstream_tls: Option<UpstreamTls>,
    /// How long each step of a request may take, each known to within four seconds: what
    /// takes longer is given up.
    pub(super) timeouts: Timeouts,
    /// How the upstreams are asked whether they are well. Without this table they are asked
    /// only whether they take connections, and only once one was refused.
    pub(super) health: Option<Health>,
    /// Which web pages may call the API from a browser, at the gateway (CORS). Without this
    /// table the gateway leaves that to the upstream.
    pub(super) cors: Option<Cors>,
    /// How the console issues tokens.
    pub(super) console: Dialog,
    /// What the console calls things when they are this API's.
    pub(super) words: Words,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-inline" = true))]
pub(super) struct Mount {
    /// The path under which the API is offered, whatever the host.
    #[schemars(extend("x-default" = "`/` and the API's name"))]
    pub(super) path: Option<String>,
    /// Whether that path is taken off before the request is matched and forwarded.
    #[schemars(extend("x-default" = "`true`"))]
    pub(super) strip: Option<bool>,
    /// A host name of the API's own, instead of a path.
    #[schemars(extend("x-default" = "none"))]
    pub(super) host: Option<String>,
}

/// How a credential travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scheme {
    /// `Authorization: Basic`, the owner's e-mail address and the token.
    Basic,
    /// `Authorization: Bearer` and the token.
    Bearer,
    /// `Authorization: Token` and the token.
    Token,
    /// The token in a header field of its own.
    Header,
    /// Client ID and secret in two header fields.
    HeaderPair,
    /// `Authorization: Basic`, e-mail address and password of an account. Not recommended:
    /// each request costs a slow hash and waits for its turn, and a program that has it can do
    /// whatever its owner can.
    Password,
}

impl From<Scheme> for credential::Scheme {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Basic => Self::Basic,
            Scheme::Bearer => Self::Bearer,
            Scheme::Token => Self::Token,
            Scheme::Header => Self::Header,
            Scheme::HeaderPair => Self::HeaderPair,
            Scheme::Password => Self::Password,
        }
    }
}

/// The form of a refusal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Errors {
    /// Problem details (RFC 9457).
    #[default]
    Problem,
    /// OAuth's bearer errors (RFC 6750).
    #[serde(rename = "oauth")]
    OAuth,
    /// As Django REST framework answers with SimpleJWT.
    #[serde(rename = "simplejwt")]
    SimpleJwt,
    /// As Django REST framework's own token authentication answers.
    DrfToken,
    /// `{"message": "…"}`.
    Message,
}

impl From<Errors> for error_format::ErrorFormat {
    fn from(errors: Errors) -> Self {
        match errors {
            Errors::Problem => Self::Problem,
            Errors::OAuth => Self::OAuth,
            Errors::SimpleJwt => Self::SimpleJwt,
            Errors::DrfToken => Self::DrfToken,
            Errors::Message => Self::Message,
        }
    }
}

/// Who may issue tokens.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Issuers {
    /// Every member of an organization.
    #[default]
    Members,
    /// Only its administrators.
    Administrators,
}

impl From<Issuers> for api::Issuers {
    fn from(issuers: Issuers) -> Self {
        match issuers {
            Issuers::Members => Self::Members,
            Issuers::Administrators => Self::Administrators,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tokens {
    /// What every token begins with, so that people and secret scanners recognise
    /// it: 1 to 15 characters of a-z, 0-9 and _, a letter first, no _ last, no two
    /// APIs the same.
    #[schemars(extend("x-default" = "from the API's name"))]
    pub(super) prefix: Option<String>,
    /// How long tokens live. A span is a number and `s`, `m`, `h` or `d`, as in `"90d"`.
    pub(super) lifetime: Lifetime,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-inline" = true))]
pub(super) struct Lifetime {
    /// The span when nobody says otherwise (a number and `s`, `m`, `h` or `d`, as
    /// in `"90d"`), or `"never"`: such a token does not expire.
    #[schemars(extend("x-default" = "`\"never\"` if allowed, else `max`"))]
    pub(super) default: Option<String>,
    /// The longest span that anybody may ask for.
    #[schemars(extend("x-default" = "none"))]
    pub(super) max: Option<String>,
    /// Whether anybody may ask for a token that never expires.
    #[schemars(extend("x-default" = "`true` unless there is a `max`"))]
    pub(super) never: Option<bool>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccessTokens {
    /// How long one lives, as in `"24h"`, where its token lives as long; `"7d"` at most.
    #[schemars(extend("x-default" = "`\"1h\"`"))]
    pub(super) lifetime: Option<String>,
    /// How they are signed.
    pub(super) algorithm: Algorithm,
}

/// How access tokens are signed.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub(super) enum Algorithm {
    /// Ed25519.
    #[default]
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA with P-256 and SHA-256, for clients that do not know the other.
    #[serde(rename = "ES256")]
    Es256,
}

impl From<Algorithm> for access_token::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::EdDsa,
            Algorithm::Es256 => Self::Es256,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dialog {
    /// What the dialog asks for. With `[]` there is no dialog: one click, and the
    /// token is there, named after the date. An API with scopes has to ask for
    /// `role` or `scopes`.
    #[schemars(extend("x-default" = "`[\"role\"]` with roles, else `[\"scopes\"]` with scopes, else `[]`"))]
    pub(super) ask: Option<Vec<Ask>>,
}

/// What the dialog that issues a token may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// A name to know the token by.
    Name,
    /// A note on its purpose.
    Note,
    /// Whose it is: one's own or a service account's.
    Owner,
    /// One of the API's roles.
    Role,
    /// Its scopes, one by one.
    Scopes,
    /// When it expires.
    Expiry,
    /// The networks from which it may be used.
    Networks,
}

/// What the console calls things when they are an API's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Words {
    /// The way to the API's tokens through the console's menus, from the profile picture on.
    pub(crate) menu: Vec<String>,
    /// The button that begins a new token.
    pub(crate) generate: String,
    /// The heading of the dialog.
    pub(crate) title: String,
    /// The field for the name.
    pub(crate) name: String,
    /// The field for the note.
    pub(crate) note: String,
    /// The field for the owner.
    pub(crate) owner: String,
    /// The field for the role.
    pub(crate) role: String,
    /// The field for the scopes.
    pub(crate) scopes: String,
    /// The field for the expiry.
    pub(crate) expiry: String,
    /// The field for the allowed networks.
    pub(crate) networks: String,
    /// The button that issues the token.
    pub(crate) submit: String,
    /// The client ID, where a scheme has one.
    pub(crate) client_id: String,
    /// The secret that is shown once.
    pub(crate) secret: String,
    /// The button that revokes a token.
    pub(crate) revoke: String,
    /// The button that leaves the secret behind.
    pub(crate) done: String,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            public_url: None,
            trusted_proxies: Vec::new(),
            tls: None,
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8081".into(),
            public_url: None,
            trusted_proxies: Vec::new(),
            tls: None,
            forwarded: ForwardedBy::default(),
        }
    }
}

impl Default for ForwardAuth {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8082".into(),
            proxy: ProxyKind::default(),
            trusted_proxies: vec!["127.0.0.1/32".into()],
            strip_mounts: false,
            tls: None,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".into() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".into() }
    }
}

impl Default for Console {
    fn default() -> Self {
        Self {
            docs: Readers::default(),
            operators: Vec::new(),
            session: "12h".into(),
            session_max: "30d".into(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            upstream: OneOrMore::default(),
            mount: Mount::default(),
            schemes: vec![Scheme::Bearer],
            header: None,
            header_pair: None,
            errors: Errors::default(),
            realm: None,
            issuers: Issuers::default(),
            in_flight: None,
            rate: OneOrMore::default(),
            routes: Vec::new(),
            tokens: Tokens::default(),
            scopes: BTreeMap::new(),
            roles: BTreeMap::new(),
            access_tokens: None,
            upstream_tls: None,
            timeouts: Timeouts::default(),
            health: None,
            cors: None,
            console: Dialog::default(),
            words: Words::default(),
        }
    }
}

impl Default for Words {
    fn default() -> Self {
        Self {
            menu: vec!["API tokens".into()],
            generate: "Generate token".into(),
            title: "New API token".into(),
            name: "Name".into(),
            note: "Note".into(),
            owner: "Owner".into(),
            role: "Role".into(),
            scopes: "Permissions".into(),
            expiry: "Expires".into(),
            networks: "Allowed networks".into(),
            submit: "Create".into(),
            client_id: "Client ID".into(),
            secret: "Token".into(),
            revoke: "Revoke".into(),
            done: "Done".into(),
        }
    }
}

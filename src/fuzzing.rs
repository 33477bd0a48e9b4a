//! What fuzzing and benchmarks reach of the server; no other program is built with it.
//!
//! Each function hands on to what the server itself calls, and says what came of
//! it in types that are everybody's. All are `#[inline]`, so that what is generic
//! below them is compiled, and optimised, where it is called.

pub use crate::signing::AccessTokens;

use crate::{
    config::{Config, Environment, ProxyKind, Source},
    http::{
        api::{
            Moment,
            accounts::{self, PasswordBody},
            audit::AuditQuery,
            import::{ImportLine, RowLine},
            ledger::ExportQuery,
            organizations::{self, EndQuery, MembershipQuery, SetBody},
            tokens::{self, IssueBody, RevokeBody, RevokeQuery, RotateBody},
            usage::{OriginQuery, UsageQuery},
        },
        client_address,
        extract::{read_json, read_query},
        forward_auth::{ForwardAuth, Original},
        gateway::{self, fields::Fields},
        leaks::ReportBody,
        oauth::{Form, Shown, read_client},
        problem::Problem,
        verify::{self, Asked, Batch},
    },
    loggable, reserved_fields,
    service::{Caller, accounts::AccountName, tokens::changed},
};
use counterfoil_core::{
    Timestamp,
    api::Api,
    credential::{self, Malformed, Scheme},
    id::RequestId,
    network::Network,
    scope::Scope,
    token::Token,
};
use http::{HeaderMap, Request, Uri};
use serde::{Deserialize, de::DeserializeOwned};
use std::net::IpAddr;

/// A problem as it would be answered.
#[derive(Debug)]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// What it says to people.
    pub detail: String,
    /// The field that it names.
    pub field: Option<String>,
    /// The whole body.
    pub body: String,
}

impl From<Problem> for Said {
    fn from(problem: Problem) -> Self {
        let body = problem.to_json(RequestId::from_bytes([7; 16]));
        Self { status: problem.status.as_u16(), detail: problem.detail, field: problem.field, body }
    }
}

/// How many bodies [`body`] knows.
pub const BODIES: u8 = 16;

/// Reads the body of one of the management API's calls.
#[inline]
pub fn body(which: u8, bytes: &[u8]) -> Result<(), Said> {
    match which % BODIES {
        0 => json::<IssueBody>(bytes),
        1 => json::<tokens::ChangeBody>(bytes),
        2 => json::<RotateBody>(bytes),
        3 => json::<RevokeBody>(bytes),
        4 => json::<accounts::InitialiseBody>(bytes),
        5 => json::<accounts::CreateBody>(bytes),
        6 => json::<accounts::ChangeBody>(bytes),
        7 => json::<PasswordBody>(bytes),
        8 => json::<organizations::CreateBody>(bytes),
        9 => json::<organizations::ChangeBody>(bytes),
        10 => json::<SetBody>(bytes),
        11 => json::<Asked<'_>>(bytes),
        12 => json::<Batch<'_>>(bytes),
        13 => json::<ReportBody>(bytes),
        14 => json::<ImportLine>(bytes),
        _ => json::<RowLine>(bytes),
    }
}

#[inline]
fn json<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<(), Said> {
    read_json::<T>(bytes).map(drop).map_err(Said::from)
}

/// How many query strings [`query`] knows.
pub const QUERIES: u8 = 10;

/// Reads the query string of one of the management API's calls.
#[inline]
pub fn query(which: u8, uri: &Uri) -> Result<(), Said> {
    match which % QUERIES {
        0 => parameters::<tokens::ListQuery>(uri),
        1 => parameters::<accounts::ListQuery>(uri),
        2 => parameters::<organizations::ListQuery>(uri),
        3 => parameters::<MembershipQuery>(uri),
        4 => parameters::<EndQuery>(uri),
        5 => parameters::<AuditQuery>(uri),
        6 => parameters::<UsageQuery>(uri),
        7 => parameters::<OriginQuery>(uri),
        8 => parameters::<ExportQuery>(uri),
        _ => parameters::<RevokeQuery>(uri),
    }
}

#[inline]
fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<(), Said> {
    read_query::<T>(uri).map(drop).map_err(Said::from)
}

/// `token` after the change that a body asks the operator's management API for;
/// none where it asks for a state.
#[inline]
pub fn change(
    api: &Api,
    token: Token,
    now: Timestamp,
    bytes: &[u8],
) -> Result<Option<Token>, Said> {
    let body = read_json(bytes)?;
    match tokens::read_changes(body)? {
        (Some(_), _) => Ok(None),
        (None, changes) => changed(&Caller::Operator, api, token, &changes, now)
            .map(Some)
            .map_err(|error| Problem::from(error).into()),
    }
}

/// A question to verify, read.
#[derive(Debug)]
pub struct Read {
    /// How many header lines there are; one where there is a secret alone.
    pub lines: usize,
    /// The credential that they present: its scheme and its secret.
    pub found: Result<Option<(Scheme, String)>, Malformed>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// What is asked for besides the route's scope.
    pub scope: Option<Scope>,
    /// The path.
    pub path: Option<String>,
    /// The method.
    pub method: String,
}

/// Reads a question about `api`.
#[inline]
pub fn question(api: &Api, bytes: &[u8]) -> Result<Read, Said> {
    let asked: Asked<'_> = read_json(bytes)?;
    let verify::Read { shown, client, scope, path, method, .. } = asked.read(api)?;
    let mut line = Vec::new();
    let lines = shown.lines(&mut line);
    let found = credential::read(&api.schemes, &lines);
    let found = found.map(|found| found.map(|c| (c.scheme(), c.secret().to_owned())));
    let (path, method) = (path.map(Into::into), method.to_owned());
    Ok(Read { lines: lines.count(), found, client, scope, path, method })
}

/// The id and the secret that a request to OAuth's endpoints shows; none where it shows
/// neither, or is read in another way. What is wrong with it, in words, where that is said.
#[inline]
pub fn client(headers: &HeaderMap, body: &[u8]) -> Result<Option<(String, String)>, String> {
    let form = Form::read(body).map_err(str::to_owned)?;
    match read_client(headers, &form) {
        Ok(Shown::Pair(pair)) => Ok(Some((pair.id.to_string(), pair.secret.to_string()))),
        Ok(Shown::Other | Shown::Nothing) => Ok(None),
        Err(error) => Err(error.description()),
    }
}

/// `text` as it would be logged.
#[inline]
pub fn loggable(text: &str) -> String {
    loggable::loggable(text)
}

/// One address as proxies write it.
#[inline]
pub fn address(text: &str) -> Option<IpAddr> {
    client_address::address(text)
}

/// The client as `X-Forwarded-For` tells it.
#[inline]
pub fn forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    client_address::forwarded_for(peer, headers, trusted)
}

/// The kinds of proxy that [`original`] knows, by their names in the configuration.
pub const PROXIES: [&str; 5] = ["nginx", "traefik", "caddy", "envoy", "haproxy"];

/// Method, target and client of the request that a proxy of the `kind`-th of
/// [`PROXIES`] asks about.
#[inline]
pub fn original(
    kind: usize,
    trusted: &[Network],
    peer: IpAddr,
    request: &Request<()>,
    below: &str,
) -> Result<(String, String, Option<IpAddr>), Said> {
    let kind = match kind % PROXIES.len() {
        0 => ProxyKind::Nginx,
        1 => ProxyKind::Traefik,
        2 => ProxyKind::Caddy,
        3 => ProxyKind::Envoy,
        _ => ProxyKind::Haproxy,
    };
    let Original { method, target, client } =
        ForwardAuth::original(kind, trusted, peer, request, below)?;
    Ok((method.into(), target.into(), client))
}

/// The host that a request at the gateway is for.
#[inline]
pub fn host(request: &Request<()>) -> Result<Option<String>, Said> {
    Ok(gateway::host_of(request)?.map(str::to_owned))
}

/// Whether the gateway understands the transfer coding.
#[inline]
pub fn is_only_chunked(headers: &HeaderMap) -> bool {
    gateway::is_only_chunked(headers)
}

/// Removes what a client may not tell an upstream.
#[inline]
pub fn clean_for_upstream(headers: &mut HeaderMap) {
    Fields::new(&[]).remove_unwanted(headers);
}

/// Removes what an upstream may not tell a client.
#[inline]
pub fn clean_for_client(headers: &mut HeaderMap) {
    Fields::for_client(headers);
}

/// Whether some server could take a field of this name for one that is not a client's to send.
#[inline]
pub fn is_reserved(name: &str) -> bool {
    reserved_fields::contains(&reserved_fields::folded(name))
}

/// An account as a path or a body names it, printed again.
#[inline]
pub fn account_name(text: &str) -> Option<String> {
    text.parse::<AccountName>().ok().map(|name| name.to_string())
}

/// Where the next part of a list of memberships begins, printed again.
#[inline]
pub fn cursor(text: &str) -> Option<String> {
    let (organization, account) = organizations::read_cursor(text).ok()?;
    Some(format!("{organization}.{account}"))
}

/// A moment in JSON, and how it is printed again.
#[inline]
pub fn moment(json: &[u8]) -> Option<(Timestamp, String)> {
    let moment: Moment = serde_json::from_slice(json).ok()?;
    Some((moment.0, serde_json::to_string(&moment).ok()?))
}

/// The APIs that a configuration describes and the hints about it, or its
/// mistakes, one a line. The variables come with their whole names.
#[inline]
pub fn configuration(
    text: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(Vec<Api>, Vec<String>), Vec<String>> {
    let source = Source { name: "counterfoil.toml".into(), text: text.into() };
    let environment: Environment = variables.into_iter().collect();
    match Config::load(Some(&source), &environment) {
        Ok(loaded) => {
            let apis = loaded.config.apis.into_iter().map(|protected| (*protected.api).clone());
            Ok((apis.collect(), loaded.warnings))
        }
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

//! What the requests of an API need: its scopes, roles and routes.

use super::{
    key_path::KeyPath,
    mistake::{Report, nearest},
};
use counterfoil_core::{api::Role, route::Route, scope::Scope};
use std::collections::BTreeMap;

/// Words that are requirements of routes, so that a scope of that name could not be required.
const REQUIREMENTS: [&str; 2] = ["anonymous", "any"];

/// The scopes with their words, in the order of the file.
pub(super) fn scopes(
    settings: &BTreeMap<String, String>,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Vec<(Scope, String)> {
    let mut scopes = Vec::new();
    for name in report.document.keys_in_order(at, settings.keys()) {
        let path = at.key(name);
        match name.parse::<Scope>() {
            Err(error) => {
                report.add_key(&path, error, None);
            }
            Ok(_) if REQUIREMENTS.contains(&name.as_str()) => {
                report.add_key(&path, "in routes this word has another meaning", None);
            }
            Ok(scope) => scopes.push((scope, settings[name].clone())),
        }
    }
    scopes
}

/// The roles, in the order of the file.
pub(super) fn roles(
    settings: &BTreeMap<String, Vec<String>>,
    declared: &[(Scope, String)],
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Vec<Role> {
    let mut roles = Vec::new();
    for name in report.document.keys_in_order(at, settings.keys()) {
        let path = at.key(name);
        // The name goes to the upstream in a header field.
        if name.contains(':') || name.parse::<Scope>().is_err() {
            report.add_key(
                &path,
                "the name of a role is made of a-z, 0-9, _, - and ., 100 characters at most",
                None,
            );
        }
        let listed = &settings[name];
        let mut scopes = Vec::new();
        for (index, text) in listed.iter().enumerate() {
            let path = path.index(index);
            match declared.iter().find(|(scope, _)| scope.as_str() == text) {
                None => {
                    let nearest = nearest(text, names(declared));
                    report.add_near(&path, "this scope is not declared", nearest);
                }
                Some(_) if listed[..index].contains(text) => {
                    report.add(&path, "this scope is listed twice");
                }
                Some((scope, _)) => scopes.push(scope.clone()),
            }
        }
        roles.push(Role { name: name.as_str().into(), scopes: scopes.into() });
    }
    roles
}

/// The routes, the one that matches everything last.
pub(super) fn routes(
    settings: &[String],
    declared: &[(Scope, String)],
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for (index, text) in settings.iter().enumerate() {
        let path = at.index(index);
        let Ok(route) = report.accept(&path, text.parse::<Route>()) else { continue };
        let (request, requirement) = halves(&route);
        if let Some(before) = routes.iter().find(|before| covers(halves(before).0, request)) {
            let message = format!("no request gets here: {:?} comes first", before.as_str());
            report.add(&path, message);
        } else if route.needs_scope() && declared.is_empty() {
            report.add(&path, "this route needs a scope, and the API declares none");
        } else if !requirement.contains('{')
            && let Ok(needed) = requirement.parse::<Scope>()
            && route.needs_scope()
            && !declared.iter().any(|(scope, _)| scope.covers(needed.as_need()))
        {
            report.add_near(
                &path,
                format_args!("no declared scope covers {needed}"),
                nearest(needed.as_str(), names(declared)),
            );
        }
        routes.push(route);
    }
    routes
}

fn names(declared: &[(Scope, String)]) -> impl Iterator<Item = &str> {
    declared.iter().map(|(scope, _)| scope.as_str())
}

/// Method and path, and what they need.
fn halves(route: &Route) -> ([&str; 2], &str) {
    let (request, requirement) = route.as_str().split_once("->").unwrap_or_default();
    let mut words = request.split_ascii_whitespace();
    let mut word = || words.next().unwrap_or_default();
    ([word(), word()], requirement.trim())
}

/// Whether a route for `[method, path]` plainly leaves nothing for one that follows.
fn covers([method, path]: [&str; 2], following: [&str; 2]) -> bool {
    let method_too =
        method == "*" || method == following[0] || [method, following[0]] == ["GET", "HEAD"];
    method_too && (path == "/**" || path == following[1])
}

//! Routes: which requests of an API need what.

use crate::{
    path::decoded,
    scope::{Need, Scope},
};
use serde::{Deserialize, Serialize};

/// One line of an API's `routes`: a method, a path pattern and what a request that matches needs.
///
/// `GET /public/** -> anonymous`, `* /v1/{resource}/** -> {resource}:{access}`.
/// In a pattern `*` and `{name}` are one segment, `**` at the end is the rest,
/// which may be nothing. `GET` stands for HEAD too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Route {
    text: String,
    method: Option<String>,
    segments: Vec<Segment>,
    open_ended: bool,
    requirement: Template,
}

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement<'a> {
    /// No credential; but a wrong one is refused all the same.
    Anonymous,
    /// Any live token of the API.
    Any,
    /// A token that holds this scope.
    Scope(Need<'a>),
}

/// Why a text is not a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARoute {
    /// The three parts are not there.
    #[error("expected \"METHOD /path -> requirement\", as in \"GET /public/** -> anonymous\"")]
    Form,
    /// The method is neither `*` nor a name in capitals.
    #[error("the method is * or a name in capitals, as in GET")]
    Method,
    /// The pattern is not one.
    #[error("a path begins with / and has segments that are text, *, {{name}} or, at the end, **")]
    Path,
    /// The requirement is not one.
    #[error(
        "a requirement is anonymous, any, or a scope whose parts are words, {{access}} or a {{name}} of the path"
    )]
    Requirement,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Text(String),
    One,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Template {
    Anonymous,
    Any,
    Scope { resource: Option<Part>, action: Part },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Word(String),
    /// The path's segment at this place.
    Segment(usize),
    /// `read` or `write`, by the method.
    Access,
}

impl Route {
    /// The route as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether requests on this route need a scope.
    pub fn needs_scope(&self) -> bool {
        matches!(self.requirement, Template::Scope { .. })
    }

    /// What a request needs, if it is this route's. `path` is canonical.
    pub fn requirement<'a>(&'a self, method: &str, path: &'a str) -> Option<Requirement<'a>> {
        if !self.is_for_method(method) || !self.is_for_path(path) {
            return None;
        }
        Some(match &self.requirement {
            Template::Anonymous => Requirement::Anonymous,
            Template::Any => Requirement::Any,
            Template::Scope { resource, action } => {
                let part = |part: &'a Part| match part {
                    Part::Word(word) => word.as_str(),
                    Part::Segment(at) => segments(path).nth(*at).unwrap_or_default(),
                    Part::Access => access(method),
                };
                Requirement::Scope(Need {
                    resource: resource.as_ref().map(part),
                    action: part(action),
                })
            }
        })
    }

    fn is_for_method(&self, method: &str) -> bool {
        match self.method.as_deref() {
            None => true,
            Some("GET") => method == "GET" || method == "HEAD",
            Some(name) => name == method,
        }
    }

    fn is_for_path(&self, path: &str) -> bool {
        let mut rest = segments(path);
        for expected in &self.segments {
            match (expected, rest.next()) {
                (Segment::One, Some(segment)) if !segment.is_empty() => {}
                (Segment::Text(text), Some(segment)) if reads_as(text, segment) => {}
                _ => return false,
            }
        }
        self.open_ended || rest.next().is_none()
    }
}

impl std::str::FromStr for Route {
    type Err = NotARoute;

    fn from_str(text: &str) -> Result<Self, NotARoute> {
        let (request, requirement) = text.split_once("->").ok_or(NotARoute::Form)?;
        let mut words = request.split_ascii_whitespace();
        let (Some(method), Some(path), None) = (words.next(), words.next(), words.next()) else {
            return Err(NotARoute::Form);
        };
        let method = match method {
            "*" => None,
            name if name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => {
                Some(name.to_owned())
            }
            _ => return Err(NotARoute::Method),
        };
        let (segments, names, open_ended) = read_pattern(path)?;
        let requirement = read_requirement(requirement.trim(), &names)?;
        Ok(Self { text: text.to_owned(), method, segments, open_ended, requirement })
    }
}

impl TryFrom<String> for Route {
    type Error = NotARoute;

    fn try_from(text: String) -> Result<Self, NotARoute> {
        text.parse()
    }
}

impl From<Route> for String {
    fn from(route: Route) -> String {
        route.text
    }
}

/// `read` for methods that are safe (RFC 9110 §9.2.1) and common, else `write`.
pub fn access(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" | "OPTIONS" => "read",
        _ => "write",
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Whether two segments are the same text once decoded. `%c3` and `%C3` are one
/// byte, and an upstream that decodes before it routes takes `%3A` for a colon:
/// compared as written, either would lead around the route that names the segment.
fn reads_as(text: &str, segment: &str) -> bool {
    decoded(text).eq(decoded(segment))
}

type Pattern<'a> = (Vec<Segment>, Vec<(&'a str, usize)>, bool);

fn read_pattern(path: &str) -> Result<Pattern<'_>, NotARoute> {
    if !path.starts_with('/') {
        return Err(NotARoute::Path);
    }
    let mut pattern = Vec::new();
    let mut names = Vec::new();
    let mut open_ended = false;
    let mut rest = segments(path).peekable();
    while let Some(segment) = rest.next() {
        // No canonical path has an empty segment but at its end.
        if open_ended || (segment.is_empty() && rest.peek().is_some()) {
            return Err(NotARoute::Path);
        }
        if segment == "**" {
            open_ended = true;
        } else if segment == "*" {
            pattern.push(Segment::One);
        } else if let Some(name) = name_of(segment) {
            if names.iter().any(|(other, _)| *other == name) || name == "access" {
                return Err(NotARoute::Path);
            }
            names.push((name, pattern.len()));
            pattern.push(Segment::One);
        } else if segment.contains(['*', '{', '}'])
            || crate::path::canonical(&format!("/{segment}")).is_err()
        {
            return Err(NotARoute::Path);
        } else {
            pattern.push(Segment::Text(segment.to_owned()));
        }
    }
    Ok((pattern, names, open_ended))
}

fn read_requirement(text: &str, names: &[(&str, usize)]) -> Result<Template, NotARoute> {
    let part = |text: &str| match name_of(text) {
        Some("access") => Ok(Part::Access),
        Some(name) => names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, at)| Part::Segment(*at))
            .ok_or(NotARoute::Requirement),
        None if !text.contains(':') && text.parse::<Scope>().is_ok() => {
            Ok(Part::Word(text.to_owned()))
        }
        None => Err(NotARoute::Requirement),
    };
    Ok(match text {
        "anonymous" => Template::Anonymous,
        "any" => Template::Any,
        _ => match text.split_once(':') {
            Some((resource, action)) => {
                Template::Scope { resource: Some(part(resource)?), action: part(action)? }
            }
            None => Template::Scope { resource: None, action: part(text)? },
        },
    })
}

fn name_of(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needs(route: &str, method: &str, path: &str) -> Option<String> {
        let route: Route = route.parse().unwrap();
        route.requirement(method, path).map(|requirement| match requirement {
            Requirement::Anonymous => "anonymous".into(),
            Requirement::Any => "any".into(),
            Requirement::Scope(need) => need.to_string(),
        })
    }

    #[test]
    fn what_matches_and_what_it_needs() {
        for (route, method, path, needed) in [
            ("GET /public/** -> anonymous", "GET", "/public/a/b", Some("anonymous")),
            ("GET /public/** -> anonymous", "HEAD", "/public/", Some("anonymous")),
            ("GET /public/** -> anonymous", "GET", "/public", Some("anonymous")),
            ("GET /public/** -> anonymous", "POST", "/public/a", None),
            ("GET /public/** -> anonymous", "get", "/public/a", None),
            ("GET /public/** -> anonymous", "GET", "/publicity", None),
            (
                "* /v1/{resource}/** -> {resource}:{access}",
                "GET",
                "/v1/costs/7",
                Some("costs:read"),
            ),
            (
                "* /v1/{resource}/** -> {resource}:{access}",
                "DELETE",
                "/v1/costs",
                Some("costs:write"),
            ),
            (
                "* /v1/{resource}/** -> {resource}:{access}",
                "MADE-UP",
                "/v1/costs",
                Some("costs:write"),
            ),
            ("* /v1/{resource}/** -> {resource}:{access}", "GET", "/v1/", None),
            ("* /v1/*/x -> any", "GET", "/v1/costs/x", Some("any")),
            ("* /v1/*/x -> any", "GET", "/v1/costs/x/", None),
            ("POST /v1/items -> items:write", "POST", "/v1/items", Some("items:write")),
            ("* / -> any", "GET", "/", Some("any")),
            ("* /** -> {access}", "OPTIONS", "/", Some("read")),
        ] {
            assert_eq!(needs(route, method, path).as_deref(), needed, "{route}: {method} {path}");
        }
    }

    #[test]
    fn no_spelling_leads_around_a_route() {
        for (pattern, spellings) in [
            ("/admin", &["/admin", "/%61dmin", "/%61%64%6D%69%6e"][..]),
            ("/%61dmin", &["/admin", "/%61dmin"]),
            ("/users:reset", &["/users:reset", "/users%3Areset", "/users%3areset"]),
            ("/geh%C3%A4lter", &["/geh%C3%A4lter", "/geh%c3%a4lter", "/g%65h%c3%A4lter"]),
            ("/a%20b", &["/a%20b"]),
            ("/a+b", &["/a+b", "/a%2Bb"]),
        ] {
            for spelling in spellings {
                let path = crate::path::canonical(spelling).unwrap();
                let route = format!("* {pattern}/** -> admin:write");
                for path in [path.to_string(), format!("{path}/x")] {
                    assert!(needs(&route, "GET", &path).is_some(), "{pattern} and {path}");
                }
            }
        }
        // Two encodings deep is another name.
        assert_eq!(needs("* /admin -> any", "GET", "/%2561dmin"), None);
    }

    #[test]
    fn what_the_path_gives_to_a_need_is_never_a_scope_of_another_shape() {
        let route = "* /v1/{resource}/** -> {resource}:{access}";
        for (path, needed) in [
            ("/v1/costs:read/x", "costs:read:read"),
            ("/v1/costs%3Aread/x", "costs%3Aread:read"),
            ("/v1/Costs/x", "Costs:read"),
        ] {
            assert_eq!(needs(route, "GET", path).as_deref(), Some(needed));
            assert!(needed.parse::<Scope>().is_err(), "no token can hold {needed}");
        }
        // A bare need from the path is not met by a scope that has its text.
        let bare: Route = "* /{action} -> {action}".parse().unwrap();
        let Some(Requirement::Scope(need)) = bare.requirement("GET", "/costs:read") else {
            panic!("a scope is needed")
        };
        assert!(!"costs:read".parse::<Scope>().unwrap().covers(need));
    }

    #[test]
    fn mistakes() {
        for (text, why) in [
            ("", NotARoute::Form),
            ("GET /a", NotARoute::Form),
            ("GET /a b -> any", NotARoute::Form),
            ("get /a -> any", NotARoute::Method),
            ("GET a -> any", NotARoute::Path),
            ("GET /**/a -> any", NotARoute::Path),
            ("GET /a* -> any", NotARoute::Path),
            ("GET /{a}/{a} -> any", NotARoute::Path),
            ("GET /../a -> any", NotARoute::Path),
            ("GET //a -> any", NotARoute::Path),
            ("GET /a//b -> any", NotARoute::Path),
            ("GET /a//** -> any", NotARoute::Path),
            ("GET /a%2Fb -> any", NotARoute::Path),
            ("GET /{access} -> any", NotARoute::Path),
            ("GET /a -> ", NotARoute::Requirement),
            ("GET /a -> {b}:read", NotARoute::Requirement),
            ("GET /a -> A", NotARoute::Requirement),
            ("GET /a -> a:b:c", NotARoute::Requirement),
        ] {
            assert_eq!(text.parse::<Route>(), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".*", method in ".*", path in ".*") {
            if let Ok(route) = text.parse::<Route>() {
                route.requirement(&method, &path);
            }
        }

        #[test]
        fn near_misses_do_not_panic(text in "[GET*]{1,3} /[a{}*/]{0,9} -> [a-z{}:]{0,9}", path in "/[a/]{0,9}") {
            if let Ok(route) = text.parse::<Route>() {
                route.requirement("GET", &path);
            }
        }
    }
}

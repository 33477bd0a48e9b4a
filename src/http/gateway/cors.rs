//! Web pages of other origins (CORS): who may call an API from a browser, where the
//! configuration says so. Else that is between the page and the upstream.

use crate::{
    config::{Cors as Policy, Origins},
    http::problem::Problem,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// What an upstream may have to say of it.
const THEIRS: [HeaderName; 7] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

const NULL: &str = "null";

/// Which pages may call an API, as it is written into responses.
pub(super) struct Cors {
    origins: Origins,
    credentials: bool,
    methods: HeaderValue,
    headers: HeaderValue,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// What a response has to say to the page that asked.
pub(super) struct Word<'a> {
    cors: &'a Cors,
    /// What is allowed; nothing to a page that may not call the API, or where none asked.
    origin: Option<HeaderValue>,
}

impl Cors {
    pub(super) fn new(policy: &Policy) -> anyhow::Result<Self> {
        let names = |names: &[HeaderName]| {
            HeaderValue::try_from(
                names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", "),
            )
        };
        let methods: Vec<&str> = policy.methods.iter().map(Method::as_str).collect();
        Ok(Self {
            origins: policy.origins.clone(),
            credentials: policy.credentials,
            methods: HeaderValue::try_from(methods.join(", "))?,
            headers: names(&policy.headers)?,
            expose: if policy.expose.is_empty() { None } else { Some(names(&policy.expose)?) },
            max_age: HeaderValue::from(policy.max_age.0),
        })
    }

    /// Whether a browser asks what a page may do, before it lets it (Fetch §3.3.5).
    pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
        let headers = request.headers();
        request.method() == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// What the response to a request with these fields has to say.
    pub(super) fn word(&self, headers: &HeaderMap) -> Word<'_> {
        let mut asked = headers.get_all(ORIGIN).iter();
        let origin = match (asked.next(), asked.next()) {
            (Some(origin), None) => self.allowed(origin),
            _ => None,
        };
        Word { cors: self, origin }
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            // Whatever has no origin of its own says this: a sandboxed page, a file.
            Origins::Any => (origin != NULL).then(|| HeaderValue::from_static("*")),
            Origins::Listed(origins) => {
                origins.iter().any(|listed| origin == listed.as_str()).then(|| origin.clone())
            }
        }
    }
}

impl Word<'_> {
    /// Says it in a response, whoever wrote that: in place of what the upstream may have said.
    pub(super) fn say(self, headers: &mut HeaderMap) {
        for name in THEIRS {
            headers.remove(name);
        }
        // What a cache keeps for one page is not for another.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.cors.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if let Some(names) = &self.cors.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
        }
    }

    /// Says it in the answer to a preflight, or that no page from there may.
    pub(super) fn preflight(self, headers: &mut HeaderMap) -> Result<(), Problem> {
        let (cors, is_allowed) = (self.cors, self.origin.is_some());
        self.say(headers);
        if !is_allowed {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "pages of this origin may not call this API",
            ));
        }
        // That belongs to what a page reads, not to what it may send.
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, cors.methods.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, cors.max_age.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::time::Seconds;

    fn cors(origins: Origins) -> Cors {
        Cors::new(&Policy {
            origins,
            methods: vec![Method::GET, Method::POST],
            headers: vec![http::header::AUTHORIZATION],
            expose: vec![HeaderName::from_static("x-request-id")],
            credentials: true,
            max_age: Seconds(600),
        })
        .unwrap()
    }

    fn said(cors: &Cors, origins: &[&'static str]) -> Option<String> {
        let mut asked = HeaderMap::new();
        for origin in origins {
            asked.append(ORIGIN, HeaderValue::from_static(origin));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("theirs"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("theirs"));
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        cors.word(&asked).say(&mut headers);
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), ["Accept", "Origin"]);
        let origin = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), origin.is_some());
        origin.map(|origin| origin.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_what_is_listed_is_allowed() {
        let listed = cors(Origins::Listed(vec!["https://a.example".into()]));
        let ours = Some("https://a.example".to_owned());
        assert_eq!(said(&listed, &["https://a.example"]), ours);
        for origins in [
            &["https://A.example"][..],
            &["http://a.example"],
            &["https://a.example:443"],
            &["https://a.example."],
            &["https://a.example.evil.test"],
            &["https://evil.test/https://a.example"],
            &["https://a.example, https://evil.test"],
            &["https://a.example", "https://evil.test"],
            &["null"],
            &[""],
            &[],
        ] {
            assert_eq!(said(&listed, origins), None, "{origins:?}");
        }
        let null = cors(Origins::Listed(vec!["null".into()]));
        assert_eq!(said(&null, &["null"]).as_deref(), Some("null"));
    }

    #[test]
    fn anybody_is_everybody_but_nobody() {
        let any = cors(Origins::Any);
        assert_eq!(said(&any, &["https://a.example"]).as_deref(), Some("*"));
        assert_eq!(said(&any, &["null"]), None);
    }
}

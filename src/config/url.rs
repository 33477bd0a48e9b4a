//! URLs and hosts, each in the one form that the configuration allows for it.

use counterfoil_core::path::canonical;
use http::Uri;
use std::net::{IpAddr, Ipv6Addr};

/// `http[s]://host[:port][/base]`: where requests are forwarded to.
pub(super) fn upstream(text: &str) -> Result<Uri, &'static str> {
    const FORM: &str = "expected an http or https URL, as in \"http://127.0.0.1:9000\"";
    let uri = read(text).ok_or(FORM)?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(FORM),
    }
    check_authority(&uri)?;
    if uri.query().is_some() {
        return Err("an upstream has no query");
    }
    match path(uri.path()) {
        Ok(()) => Ok(uri),
        Err(_) => Err("expected a base path without dot segments, encoded characters that need \
                       no encoding, or a slash at the end"),
    }
}

/// `http[s]://host[:port]`, as browsers write an origin (RFC 6454 §6.2): in lower
/// case, without the scheme's own port.
pub(super) fn public(text: &str) -> Result<String, &'static str> {
    const FORM: &str = "expected an http or https URL, as in \"https://tokens.example.com\"";
    let uri = read(text).ok_or(FORM)?;
    let (scheme, usual) = match uri.scheme_str() {
        Some("http") => ("http", 80),
        Some("https") => ("https", 443),
        _ => return Err(FORM),
    };
    check_authority(&uri)?;
    if uri.path() != "/" || uri.query().is_some() {
        return Err("expected a URL without a path or a query");
    }
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    Ok(match uri.port_u16() {
        Some(port) if port != usual => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

/// Where a web page comes from, as its browser writes it: `scheme://host[:port]` or `null`.
/// They are compared to the byte, so the form has to be right.
pub(super) fn origin(text: &str) -> Result<String, &'static str> {
    const FORM: &str = "expected an origin, as in \"https://app.example.com\"";
    if text == "null" {
        return Ok(text.to_owned());
    }
    if text == "*" {
        return Err("\"*\" stands alone, or not at all");
    }
    if matches!(text.split_once("://"), Some(("http" | "https", _))) {
        return match public(text) {
            Ok(origin) if origin == text => Ok(origin),
            _ => Err("expected an origin as browsers write it: in lower case, without the \
                      scheme's own port, a path or a slash at the end"),
        };
    }
    // Of applications with pages of their own, as in capacitor://localhost.
    let is_word = |word: &str, more: &[u8]| {
        let is_in = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b);
        !word.is_empty() && word.bytes().all(is_in)
    };
    match text.split_once("://") {
        Some((scheme, host)) if is_word(scheme, b"+-.") && is_word(host, b"-.:") => {
            Ok(text.to_owned())
        }
        _ => Err(FORM),
    }
}

/// `smtp[s]://host[:port]`: whether TLS comes first, the host without brackets, the port.
pub(super) fn smtp(text: &str) -> Result<(bool, String, u16), &'static str> {
    const FORM: &str = "expected an smtp or smtps URL, as in \"smtp://mail.example.com:587\"";
    let uri = read(text).ok_or(FORM)?;
    let (first, usual) = match uri.scheme_str() {
        Some("smtp") => (false, 587),
        Some("smtps") => (true, 465),
        _ => return Err(FORM),
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("the name and the password to sign in with are user and password");
    }
    check_authority(&uri)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err("expected a URL without a path or a query");
    }
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((first, host, uri.port_u16().unwrap_or(usual)))
}

/// A host name or address without a port, in lower case.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    if is_host(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("expected a host name without a port, as in \"api.example.com\"")
    }
}

/// An absolute path that has one reading, and no slash at the end but that of `/`.
pub(super) fn path(text: &str) -> Result<(), String> {
    if text.len() > 1 && text.ends_with('/') {
        return Err("expected a path without a slash at the end".into());
    }
    match canonical(text) {
        Ok(read) if read == text => Ok(()),
        Ok(read) => Err(format!("expected a path in its canonical form, {read}")),
        Err(error) => Err(error.to_string()),
    }
}

fn read(text: &str) -> Option<Uri> {
    // `Uri` drops a fragment without a word.
    if text.contains('#') { None } else { text.parse().ok() }
}

fn check_authority(uri: &Uri) -> Result<(), &'static str> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("a URL here has no user name or password");
    }
    let host = uri.host().unwrap_or_default();
    // `Uri` reads a port that is empty or too large as none.
    let has_port = authority.len() > host.len();
    if !is_host(host) || has_port != uri.port_u16().is_some() {
        return Err("expected a host and, behind a colon, a port");
    }
    Ok(())
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            // The underscore is for the service names of container networks.
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
        || (text.len() <= 253
            && text.split('.').all(is_label)
            && text.bytes().any(|b| b.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn upstreams() {
        for (text, host, path) in [
            ("http://127.0.0.1:9000", "127.0.0.1", "/"),
            ("http://[::1]:9000/", "[::1]", "/"),
            ("http://my_service/base/v1", "my_service", "/base/v1"),
            ("https://example.com", "example.com", "/"),
        ] {
            let uri = upstream(text).unwrap();
            assert_eq!((uri.host(), uri.path()), (Some(host), path), "{text}");
        }
        for (text, why) in [
            ("", "expected an http or https URL"),
            ("127.0.0.1:9000", "expected an http or https URL"),
            ("/base", "expected an http or https URL"),
            ("ftp://example.com", "expected an http or https URL"),
            ("http://example.com/#a", "expected an http or https URL"),
            ("http://", "expected an http or https URL"),
            ("http://ada:pw@example.com", "no user name"),
            ("http://example.com?a=b", "no query"),
            ("http://example.com:", "expected a host"),
            ("http://example.com:99999", "expected a host"),
            ("http://exa!mple.com", "expected a host"),
            ("http://1.2.3", "expected a host"),
            ("http://example.com/a/", "expected a base path"),
            ("http://example.com/a/../b", "expected a base path"),
            ("http://example.com/%61", "expected a base path"),
        ] {
            assert!(upstream(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn public_urls() {
        for (text, read) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("HTTPS://Tokens.Example.com:443/", "https://tokens.example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(public(text).as_deref(), Ok(read), "{text}");
        }
        for wrong in [
            "tokens.example.com",
            "ws://example.com",
            "https://example.com/console",
            "https://example.com/?a",
            "https://a@example.com",
            "https://example.com#top",
        ] {
            assert!(public(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mail_servers() {
        for (text, first, host, port) in [
            ("smtp://Mail.example.com", false, "mail.example.com", 587),
            ("smtps://mail.example.com/", true, "mail.example.com", 465),
            ("smtp://127.0.0.1:25", false, "127.0.0.1", 25),
            ("smtps://[::1]:2465", true, "::1", 2465),
        ] {
            assert_eq!(smtp(text), Ok((first, host.to_owned(), port)), "{text}");
        }
        for (text, why) in [
            ("mail.example.com:25", "expected an smtp or smtps URL"),
            ("http://mail.example.com", "expected an smtp or smtps URL"),
            ("smtp://ada:pw@mail.example.com", "are user and password"),
            ("smtp://mail.example.com:", "expected a host"),
            ("smtp://mail.example.com/x", "without a path"),
            ("smtp://mail.example.com?tls=none", "without a path or a query"),
        ] {
            assert!(smtp(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(host("API.example.com").as_deref(), Ok("api.example.com"));
        assert_eq!(host("10.0.0.1").as_deref(), Ok("10.0.0.1"));
        for wrong in ["", "a:80", "a/b", "a..b", ".a", "-a", "a b", "ä", "10.0.0"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "((http|smtp)s?://)?.{0,40}") {
            let _ = (upstream(&text), public(&text), smtp(&text), host(&text), path(&text));
        }
    }
}

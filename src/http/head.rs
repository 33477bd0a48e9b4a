//! How large a request's head may be: what is larger is refused, and says where.

use super::{loggable::loggable, problem::Problem};
use http::{HeaderMap, HeaderName, Request, StatusCode};

/// How large it may be, in bytes.
const LARGEST: usize = 64 * 1024;

/// How much of it is read to tell what is wrong; behind that the answer is a status alone.
pub(crate) const READ: usize = 2 * LARGEST;

/// How many fields it may have. Of HTTP/1.1 the HTTP library sees to that.
const LINES: usize = 100;

const TOO_LARGE: &str = "head_too_large";

/// What a field takes beside its name and its value.
const AROUND: usize = ": \r\n".len();

/// Passes where the head is not too large. How it arrived makes no difference.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if headers.len() > LINES {
        let detail = format!("the request's head has more than {LINES} fields");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LARGE, detail));
    }
    if target + fields.sum::<usize>() <= LARGEST {
        return Ok(());
    }
    let mut names: Vec<(usize, &HeaderName)> =
        headers.keys().map(|name| (size(headers, name), name)).collect();
    names.sort_by_key(|(size, _)| *size);
    let place = match names.last() {
        Some((size, name)) if *size >= target => loggable(name.as_str()),
        _ => "the target".to_owned(),
    };
    let detail = format!("{place}: the request's head is larger than {LARGEST} bytes");
    Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LARGE, detail).about(place))
}

/// How much all fields of this name take.
fn size(headers: &HeaderMap, name: &HeaderName) -> usize {
    headers.get_all(name).iter().map(|value| name.as_str().len() + value.len() + AROUND).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, fields: &[(&str, usize)]) -> Request<()> {
        let mut request = Request::builder().uri(target);
        for (name, length) in fields {
            request = request.header(*name, "x".repeat(*length));
        }
        request.body(()).unwrap()
    }

    #[test]
    fn to_the_byte() {
        // One for the path, five for what the field takes beside its value.
        let most = LARGEST - 1 - 5;
        assert_eq!(check(&request("/", &[("a", most)])), Ok(()));
        assert!(check(&request("/", &[("a", most + 1)])).is_err());
        assert!(check(&request("/?", &[("a", most)])).is_err());
        assert!(check(&request("/", &[("a", most - 5), ("b", 1)])).is_err());
    }

    #[test]
    fn as_many_fields_as_http_1_1_takes() {
        let names: Vec<String> = (0..=LINES).map(|n| format!("x-{n}")).collect();
        let fields: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        assert_eq!(check(&request("/", &fields[..LINES])), Ok(()));
        let problem = check(&request("/", &fields)).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.code), (431, "head_too_large"));
        assert_eq!(problem.detail, "the request's head has more than 100 fields");
    }

    #[test]
    fn what_is_too_large_is_named() {
        let half = LARGEST / 2;
        for (target, fields, field) in [
            ("/", &[("x-large", LARGEST), ("x-small", 7)][..], "x-large"),
            ("/", &[("x-many", half), ("x-one", half + 7), ("x-many", half)], "x-many"),
            (&*format!("/{}", "x".repeat(half + 100)), &[("x-one", half)], "the target"),
        ] {
            let problem = check(&request(target, fields)).unwrap_err();
            assert_eq!(problem.status, 431);
            assert_eq!(problem.field.as_deref(), Some(field));
            let detail = format!("{field}: the request's head is larger than 65536 bytes");
            assert_eq!(problem.detail, detail);
        }
    }
}

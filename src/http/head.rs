//! How large a request's head may be: what is larger is refused, and says where.

use super::{loggable::loggable, problem::Problem};
use http::{HeaderMap, HeaderName, Request, StatusCode};

/// How large it may be, in bytes.
const LARGEST: usize = 64 * 1024;

/// How much of it is read to tell what is wrong; behind that the answer is a status alone.
pub(crate) const READ: usize = 2 * LARGEST;

/// What a field takes beside its name and its value.
const AROUND: usize = ": \r\n".len();

/// Passes where the head is not too large. How it arrived makes no difference.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
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
    let code = "head_too_large";
    Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, code, detail).about(place))
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

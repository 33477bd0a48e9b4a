//! Whether a response says where it ends, once and to everybody who reads it.
//!
//! What HTTP itself cannot resolve, hyper refuses. This is stricter: what two readers may
//! read in two ways is passed on to none of them (RFC 9112 §6.3).

use http::{HeaderMap, Response, StatusCode, header};

/// What a response says of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It can carry another.
    Again,
    /// It had better not.
    Once,
}

/// Passes where there is one reading.
pub(super) fn check<B>(response: &mut Response<B>) -> Result<Fit, &'static str> {
    let headers = response.headers();
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if is_coded {
        if !is_only_chunked(headers) {
            return Err("the upstream used a transfer coding that is not understood");
        }
        if length.is_some() {
            return Err("the upstream's response has a length and a transfer coding");
        }
    }
    if lengths.next().is_some() {
        return Err("the upstream's response has more than one length");
    }
    let is_number =
        |text: &[u8]| (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    if length.is_some_and(|length| !is_number(length.as_bytes())) {
        return Err("the upstream's response has a length that is not a number");
    }
    // There is no body, whatever it says (RFC 9110 §15.3.5); one may come all the same.
    if response.status() == StatusCode::NO_CONTENT && (is_coded || length.is_some()) {
        let is_empty = length.is_some_and(|length| length == "0");
        response.headers_mut().remove(header::CONTENT_LENGTH);
        return Ok(if is_empty { Fit::Again } else { Fit::Once });
    }
    Ok(Fit::Again)
}

/// Any other coding would be lost on the way, for it ends here (RFC 9112 §6.1).
pub(crate) fn is_only_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(status: u16, fields: &[(&str, &str)]) -> Result<Fit, &'static str> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        check(&mut response.body(()).unwrap())
    }

    #[test]
    fn one_reading_or_none() {
        const LENGTH: &str = "content-length";
        const CODING: &str = "transfer-encoding";
        for fields in [
            &[][..],
            &[(LENGTH, "0")],
            &[(LENGTH, "9223372036854775807")],
            &[(CODING, "chunked")],
            &[(CODING, " Chunked ")],
        ] {
            assert_eq!(checked(200, fields), Ok(Fit::Again), "{fields:?}");
        }
        for fields in [
            &[(LENGTH, "5"), (LENGTH, "5")][..],
            &[(LENGTH, "5, 5")],
            &[(LENGTH, "+5")],
            &[(LENGTH, "-5")],
            &[(LENGTH, "0x5")],
            &[(LENGTH, "")],
            &[(LENGTH, "99999999999999999999")],
            &[(LENGTH, "5"), (CODING, "chunked")],
            &[(CODING, "chunked"), (CODING, "chunked")],
            &[(CODING, "chunked, chunked")],
            &[(CODING, "gzip, chunked")],
            &[(CODING, "identity")],
            &[(CODING, "")],
        ] {
            for status in [200, 204, 304] {
                assert!(checked(status, fields).is_err(), "{status}: {fields:?}");
            }
        }
    }

    #[test]
    fn nothing_has_no_length() {
        for (field, fit) in [
            (("content-length", "0"), Fit::Again),
            (("content-length", "5"), Fit::Once),
            (("transfer-encoding", "chunked"), Fit::Once),
            (("x-other", "1"), Fit::Again),
        ] {
            assert_eq!(checked(204, &[field]), Ok(fit), "{field:?}");
        }
        let mut response = Response::builder().status(204).header("content-length", "5");
        let mut response = std::mem::take(&mut response).body(()).unwrap();
        check(&mut response).unwrap();
        assert!(response.headers().is_empty());
    }
}

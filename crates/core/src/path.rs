//! The one form of a request's path, so that what is checked is what is forwarded.

use std::borrow::Cow;

/// Why a path is refused: two programs could read it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It has a segment `.` or `..`.
    #[error("the path has a dot segment")]
    DotSegment,
    /// It has two slashes in a row.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// It has a character that some programs treat as a separator, or that has no place in a path.
    #[error("the path has a character that is not allowed there")]
    Character,
    /// It has a percent sign that is not followed by two hexadecimal digits, or
    /// that encodes a slash, a backslash, a dot or a control character.
    #[error("the path has a percent-encoding that is not allowed there")]
    Encoding,
}

/// `raw` with encoded unreserved characters read as themselves (RFC 3986
/// §6.2.2.2), or why no single reading exists.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, Ambiguous> {
    let bytes = raw.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(Ambiguous::NotAbsolute);
    }
    let mut decoded: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let value = hex_pair(bytes.get(at + 1..at + 3)).ok_or(Ambiguous::Encoding)?;
                match value {
                    b'/' | b'\\' | b'.' | 0..=0x1f | 0x7f => return Err(Ambiguous::Encoding),
                    _ if is_overlong(value, bytes.get(at + 3..at + 6)) => {
                        return Err(Ambiguous::Encoding);
                    }
                    b'-' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                        decoded.get_or_insert_with(|| bytes[..at].to_vec()).push(value);
                    }
                    _ => {
                        if let Some(decoded) = &mut decoded {
                            decoded.extend_from_slice(&bytes[at..at + 3]);
                        }
                    }
                }
                at += 3;
                continue;
            }
            b'\\' | b';' | b'?' | b'#' | 0..=b' ' | 0x7f.. => return Err(Ambiguous::Character),
            b'/' => {
                let segment = bytes[at + 1..].split(|b| *b == b'/').next().unwrap_or_default();
                match segment {
                    b"." | b".." => return Err(Ambiguous::DotSegment),
                    b"" if at + 1 < bytes.len() => return Err(Ambiguous::EmptySegment),
                    _ => {}
                }
            }
            _ => {}
        }
        if let Some(decoded) = &mut decoded {
            decoded.push(byte);
        }
        at += 1;
    }
    match decoded {
        None => Ok(Cow::Borrowed(raw)),
        Some(decoded) => {
            String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Ambiguous::Character)
        }
    }
}

/// The bytes that `text` stands for. What is not a percent-encoding stands for itself.
pub(crate) fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        let encoded = if byte == b'%' { hex_pair(after.get(..2)) } else { None };
        rest = if encoded.is_some() { &after[2..] } else { after };
        Some(encoded.unwrap_or(byte))
    })
}

/// Whether a byte and the encoding behind it begin a character in more bytes than
/// it needs (RFC 3629 §3). Lax readers once took such for `/` and `.`.
fn is_overlong(first: u8, next: Option<&[u8]>) -> bool {
    let second = match next {
        Some([b'%', pair @ ..]) => hex_pair(Some(pair)),
        _ => None,
    };
    match (first, second) {
        (0xc0 | 0xc1, _) => true,
        (0xe0, Some(second)) => (0x80..0xa0).contains(&second),
        (0xf0, Some(second)) => (0x80..0x90).contains(&second),
        _ => false,
    }
}

fn hex_pair(pair: Option<&[u8]>) -> Option<u8> {
    let [high, low] = pair? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_reading() {
        for (raw, read) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/%73ecret", "/secret"),
            ("/%7Euser/%41", "/~user/A"),
            ("/a%20b/%C3%A4", "/a%20b/%C3%A4"),
            ("/%e0%a4%84/%f0%9f%98%80/%e0", "/%e0%a4%84/%f0%9f%98%80/%e0"),
            ("/%61%20%62", "/a%20b"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a:b@c,d=e+f!$&'()*", "/a:b@c,d=e+f!$&'()*"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(read), "{raw}");
        }
    }

    #[test]
    fn no_single_reading() {
        for (raw, why) in [
            ("", Ambiguous::NotAbsolute),
            ("*", Ambiguous::NotAbsolute),
            ("a/b", Ambiguous::NotAbsolute),
            ("/public/../secret", Ambiguous::DotSegment),
            ("/public/..", Ambiguous::DotSegment),
            ("/./secret", Ambiguous::DotSegment),
            ("//secret", Ambiguous::EmptySegment),
            ("/a//", Ambiguous::EmptySegment),
            ("/a\\b", Ambiguous::Character),
            ("/a;b", Ambiguous::Character),
            ("/a b", Ambiguous::Character),
            ("/ä", Ambiguous::Character),
            ("/%2e%2e/secret", Ambiguous::Encoding),
            ("/%2E", Ambiguous::Encoding),
            ("/a%2fb", Ambiguous::Encoding),
            ("/a%5Cb", Ambiguous::Encoding),
            ("/a%00", Ambiguous::Encoding),
            ("/a%0d%0a", Ambiguous::Encoding),
            ("/a%", Ambiguous::Encoding),
            ("/a%4", Ambiguous::Encoding),
            ("/a%zz", Ambiguous::Encoding),
            ("/a%c0%ae", Ambiguous::Encoding),
            ("/a%e0%80%af..", Ambiguous::Encoding),
            ("/a%F0%80%80%AF", Ambiguous::Encoding),
        ] {
            assert_eq!(canonical(raw), Err(why), "{raw}");
        }
    }

    #[test]
    fn what_an_encoding_stands_for() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("a:b", b"a:b"),
            ("a%3Ab", b"a:b"),
            ("%c3%A4", b"\xc3\xa4"),
            // Once, not twice.
            ("%2541", b"%41"),
            ("%", b"%"),
            ("%4", b"%4"),
            ("%zz%41", b"%zzA"),
        ] {
            assert_eq!(decoded(text).collect::<Vec<_>>(), bytes, "{text}");
        }
    }

    #[test]
    fn no_character_of_a_scope_hides_behind_an_encoding() {
        for byte in b"abcdefghijklmnopqrstuvwxyz0123456789_-." {
            for raw in [format!("/%{byte:02x}"), format!("/%{byte:02X}")] {
                match canonical(&raw) {
                    Ok(read) => assert_eq!(read, format!("/{}", char::from(*byte))),
                    Err(why) => assert_eq!((why, *byte), (Ambiguous::Encoding, b'.')),
                }
            }
        }
    }

    #[test]
    fn a_long_path_is_read_in_one_pass() {
        // Any step that looked at the whole path again would make these last for hours.
        let length = 1 << 20;
        for piece in ["/a", "/%61", "/a%20%41", "/a/b/%7E"] {
            assert!(canonical(&piece.repeat(length / piece.len())).is_ok(), "{piece}");
        }
        assert!(canonical(&format!("/{}", "a".repeat(length))).is_ok());
        let mut wrong = "/a".repeat(length);
        wrong.push_str("/..");
        assert_eq!(canonical(&wrong), Err(Ambiguous::DotSegment));
    }

    proptest! {
        #[test]
        fn reading_again_changes_nothing(raw in "/[ -~]{0,40}") {
            if let Ok(read) = canonical(&raw) {
                prop_assert_eq!(canonical(&read), Ok(Cow::Borrowed(&*read)));
            }
        }

        #[test]
        fn reading_keeps_the_meaning(raw in "/([a-z.:@~!-]|%[0-9a-fA-F]{2}|/){0,20}") {
            if let Ok(read) = canonical(&raw) {
                prop_assert!(decoded(&read).eq(decoded(&raw)));
                prop_assert!(!read.contains("//") && !read.contains("/../") && !read.ends_with("/.."));
                prop_assert!(!read.contains("/./") && !read.ends_with("/."));
            }
        }

        #[test]
        fn no_input_panics(raw in ".*") {
            let _ = canonical(&raw);
        }
    }
}

//! What a stranger sent, made fit for a log: short, and without what could be a secret.

/// How many characters of a text are worth logging.
const LONGEST: usize = 200;
/// A run of so many letters, digits and underscores may be a token, or one that was
/// imported: 22 letters and digits are the least. Ids have hyphens.
const SECRET: usize = 20;

/// `text`, cut, and with every run that could be a token left out.
pub(crate) fn loggable(text: &str) -> String {
    let mut shown = String::new();
    write(&mut shown, text);
    shown
}

/// Writes the same behind what `shown` has already.
pub(crate) fn write(shown: &mut String, text: &str) {
    let end = shown.len() + LONGEST;
    let mut rest = text;
    while !rest.is_empty() && shown.len() < end {
        let run = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if run >= SECRET {
            shown.push('…');
        } else {
            shown.push_str(&rest[..run]);
        }
        rest = &rest[run..];
        if let Some(other) = rest.chars().next() {
            shown.push(if other.is_control() { '�' } else { other });
            rest = &rest[other.len_utf8()..];
        }
    }
    if !rest.is_empty() {
        shown.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_left_out_and_the_rest_is_cut() {
        for (text, shown) in [
            ("/v1/tables/", "/v1/tables/"),
            ("/x/acme_live_0123456789012345678901234567890123456789/y", "/x/…/y"),
            (
                "/v1/tokens/01a203e8-d04e-79b3-b41d-c21d56186f20",
                "/v1/tokens/01a203e8-d04e-79b3-b41d-c21d56186f20",
            ),
            ("/x/0123456789abcdefghij/y", "/x/…/y"),
            ("/x/0123456789abcdefghi/y", "/x/0123456789abcdefghi/y"),
            ("a\nb\u{1b}[0m", "a�b�[0m"),
            ("", ""),
        ] {
            assert_eq!(loggable(text), shown);
        }
        assert!(loggable(&"/ab".repeat(1000)).chars().count() <= LONGEST + SECRET);
    }

    proptest! {
        #[test]
        fn nothing_long_gets_through(text in ".{0,400}") {
            let shown = loggable(&text);
            prop_assert!(shown.len() < 3 * LONGEST);
            let runs = shown.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            prop_assert!(runs.into_iter().all(|run| run.len() < SECRET));
        }
    }
}

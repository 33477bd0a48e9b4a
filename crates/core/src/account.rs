//! Organizations, the accounts in them, and what joins the two.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An e-mail address as an account is known by it: ASCII letters in lower case.
///
/// Only the shape is checked; whether mail arrives is for mail to tell.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend(
    "format" = "email",
    "maxLength" = 254,
    "examples" = ["ada@example.com"],
))]
pub struct Email(Box<str>);

/// Why a text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an e-mail address: something@domain, without white space or a colon, 254 bytes at most"
)]
pub struct NotAnEmail;

impl Email {
    /// The folded address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this address, ASCII case aside.
    pub fn is(&self, presented: &str) -> bool {
        self.0.eq_ignore_ascii_case(presented)
    }
}

impl std::str::FromStr for Email {
    type Err = NotAnEmail;

    /// A colon is refused because HTTP Basic could not carry it (RFC 7617 §2), what separates
    /// addresses from each other because mail might go to another one, and what cannot be
    /// seen because people compare what they see.
    fn from_str(text: &str) -> Result<Self, NotAnEmail> {
        let sound = text.len() <= 254
            && text.rsplit_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            })
            && !text.ends_with('.')
            && !text.contains(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c))
            && !text.contains([':', '<', '>', '(', ')', '[', ']', ',', ';', '"', '\\']);
        if sound { Ok(Self(text.to_ascii_lowercase().into())) } else { Err(NotAnEmail) }
    }
}

impl TryFrom<String> for Email {
    type Error = NotAnEmail;

    fn try_from(text: String) -> Result<Self, NotAnEmail> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0.into()
    }
}

impl std::fmt::Display for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character shows nothing but changes how what is around it reads.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Who stands behind an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// A person, who may belong to several organizations.
    Person,
    /// A program, which belongs to exactly one.
    Service,
}

/// What a membership lets an account do in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// Acts on memberships, tokens and service accounts.
    Administrator,
    /// Acts on tokens of their own.
    Member,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        let email: Email = "Ada@Example.COM".parse().unwrap();
        assert_eq!(email.as_str(), "ada@example.com");
        assert!(email.is("ADA@example.com"));
        assert!(!email.is("ada@example.org"));
        // Only ASCII folds: other alphabets' case rules depend on the language.
        assert!(!"ÄDA@example.com".parse::<Email>().unwrap().is("äda@example.com"));
        for wrong in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "a:b@example.com",
            "a@b\n",
            "ada\u{200b}@example.com",
            "ada@example.com.",
            "x<ada@example.com>",
            "\"ada\"@example.com",
            "ada,bob@example.com",
        ] {
            assert_eq!(wrong.parse::<Email>(), Err(NotAnEmail), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,300}") {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert!(email.is(&text));
            }
        }

        #[test]
        fn print_and_read(text in "[^\\s\\pC:@<>()\\[\\],;\"\\\\]{1,20}@[^\\s\\pC:@<>()\\[\\],;\"\\\\.]{1,20}") {
            let email: Email = text.parse().unwrap();
            prop_assert_eq!(email.to_string().parse(), Ok(email));
        }
    }
}

//! What is written to people, in plain text.

use counterfoil_core::{account::Email, time::Seconds};
use std::fmt;

/// How much of a name is told, in characters.
const LONGEST: usize = 100;

/// A letter to one person.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Whom it is for.
    pub(crate) to: Email,
    /// What the log calls it.
    pub(super) kind: &'static str,
    /// Its subject, in one line.
    pub(super) subject: String,
    /// Its text.
    pub(super) text: String,
}

impl fmt::Debug for Letter {
    /// Without the text, which may hold a link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The link by which somebody sets a new password, and how long it works.
pub(crate) fn password_reset(to: &Email, link: &str, works_for: Seconds) -> Letter {
    let text = format!(
        "Somebody, probably you, has asked for a new password for the account\n\
         {to}. To choose one, open this link:\n\n{link}\n\n\
         It works once, within {}. If it was not you, do nothing: the password\n\
         stays as it is.\n",
        in_words(works_for)
    );
    letter("password_reset", to, "Choose a new password".into(), text)
}

/// The link by which somebody joins an organization, who asks them to, and how long it works.
pub(crate) fn invitation(
    to: &Email,
    by: &str,
    organization: &str,
    link: &str,
    works_for: Seconds,
) -> Letter {
    let (by, organization) = (in_one_line(by), in_one_line(organization));
    let text = format!(
        "\"{by}\" invites you to the organization \"{organization}\".\n\
         To join, open this link:\n\n{link}\n\n\
         It works once, within {}. If you do not know what this is about, do\n\
         nothing.\n",
        in_words(works_for)
    );
    letter("invitation", to, format!("Invitation to \"{organization}\""), text)
}

/// That the password is another one now.
pub(crate) fn password_changed(to: &Email) -> Letter {
    let text = format!(
        "The password of the account {to} was changed, and its other\n\
         sessions have ended.\n\n{UNEXPECTED}"
    );
    letter("password_changed", to, "Your password was changed".into(), text)
}

/// That signing in wants a code now.
pub(crate) fn second_factor_set(to: &Email) -> Letter {
    let text = format!(
        "Signing in to the account {to} now takes a code of a second\n\
         factor, beside the password.\n\n{UNEXPECTED}"
    );
    letter("second_factor_set", to, "A second factor was set".into(), text)
}

/// That signing in wants no code any more.
pub(crate) fn second_factor_removed(to: &Email) -> Letter {
    let text = format!(
        "Signing in to the account {to} takes the password alone now:\n\
         its second factor was removed.\n\n{UNEXPECTED}"
    );
    letter("second_factor_removed", to, "Your second factor was removed".into(), text)
}

/// That an account is not at this address any more. At which it is now is not told: somebody else
/// may read what comes here.
pub(crate) fn address_changed(to: &Email) -> Letter {
    let text = format!(
        "The account {to} has another e-mail address now. With this one\n\
         nobody signs in any more, and no token works beside it.\n\n\
         If you did not ask for this, tell whoever runs this service.\n"
    );
    letter("address_changed", to, "Your e-mail address was changed".into(), text)
}

const UNEXPECTED: &str =
    "If it was not you, reset the password at once and tell an administrator.\n";

fn letter(kind: &'static str, to: &Email, subject: String, text: String) -> Letter {
    Letter { to: to.clone(), kind, subject, text }
}

/// A name that somebody chose, so that it can neither begin a line nor pass for a text of
/// ours, nor be a link.
fn in_one_line(name: &str) -> String {
    let shown: String = name
        .chars()
        .map(|c| match c {
            '"' => '\'',
            // Programs that show mail make links of these.
            '/' | '@' => ' ',
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
            c => c,
        })
        .take(LONGEST)
        .collect();
    let shown = shown.replace("www.", "www ");
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn in_words(span: Seconds) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    let whole = |(unit, _): &(u64, &str)| span.0 > 0 && span.0.is_multiple_of(*unit);
    let (unit, word) = units.into_iter().find(whole).unwrap_or((1, "second"));
    let count = span.0 / unit;
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_words() {
        for (span, words) in
            [(3600, "1 hour"), (7 * 86_400, "7 days"), (90, "90 seconds"), (1800, "30 minutes")]
        {
            assert_eq!(in_words(Seconds(span)), words);
        }
    }

    #[test]
    fn names_are_names() {
        for (name, shown) in [
            ("Zoë 日本", "Zoë 日本"),
            ("a\r\nb\u{85}c", "a b c"),
            ("https://evil.example/x", "https: evil.example x"),
            ("\" invites you\" \"", "' invites you' '"),
        ] {
            assert_eq!(in_one_line(name), shown);
        }
        assert_eq!(in_one_line(&"x".repeat(1000)).len(), LONGEST);
    }

    #[test]
    fn the_link_is_in_the_text_and_nowhere_else() {
        let to = "ada@example.com".parse().unwrap();
        let link = "https://tokens.example.com/invitation/abc";
        for letter in [
            password_reset(&to, link, Seconds::HOUR),
            invitation(&to, "Ada", "Acme", link, Seconds::days(7)),
        ] {
            assert!(letter.text.lines().any(|line| line == link));
            assert!(!letter.subject.contains("abc") && !format!("{letter:?}").contains("abc"));
        }
    }
}

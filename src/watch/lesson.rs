//! What was wrong with a request, in words for whoever sent it, and the line that is right.

use super::{
    Watched,
    find::{Found, Place, Wrapping},
};
use crate::loggable::loggable;
use counterfoil_core::{
    Code, Refusal,
    api::Api,
    credential::{Malformed, Scheme, Schemes},
    refusal::About,
};
use std::net::IpAddr;

/// What was wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lesson {
    pub(crate) mistake: Mistake,
    /// What was sent: what is wrong with it, in a sentence.
    pub(crate) sent: String,
    /// What would be right, in a sentence.
    pub(crate) wants: String,
    /// A line that works, with `TOKEN` where the secret stands, where sending it in another
    /// way is what helps.
    pub(crate) line: Option<String>,
}

/// What was wrong with a request that carried the right secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Another word stands before it than the API takes.
    OtherWord(String),
    /// The word is right but for its case, which matters to this API.
    OtherCase(String),
    /// No word stands before it.
    NoWord,
    /// It is the user name of `Basic`.
    AsUserName,
    /// It stands behind `Basic` alone, without what belongs before it.
    NoEmail,
    /// It stands behind `Basic` as it is.
    NotEncoded,
    /// The e-mail address is not the owner's.
    OtherEmail,
    /// It is in a field that this API does not read.
    OtherField(String),
    /// It is in its field, but behind a word.
    WordInField(String),
    /// Something stands around it.
    Wrapped(Wrapping),
    /// The other field of the pair is missing.
    HalfAPair(String),
    /// It is in the field of the client ID.
    Swapped,
    /// The client ID is not the token's.
    OtherClientId,
    /// There is more than one credential.
    Several,
    /// It was sent to this API, and is for another.
    OtherApi(Box<str>),
    /// The token lacks the scope that the route needs.
    Scope(String),
    /// The token may not be used from there.
    Network(Option<IpAddr>),
    /// The token has come to its end, or has been brought to it.
    Ended(Code),
    /// Whatever else there is.
    Other(Code),
}

impl Lesson {
    /// What whoever waits for `watched` can learn from `refusal`, at a door of `api`.
    pub(super) fn of(
        watched: &Watched,
        api: &Api,
        refusal: &Refusal,
        found: &Found,
        client: Option<IpAddr>,
    ) -> Self {
        let mistake = mistake(watched, api, refusal, found, client);
        let wants = match &mistake {
            Mistake::OtherApi(_) => format!(
                "The token is for the API {}. Send it to the address of that API.",
                watched.api.name
            ),
            Mistake::Scope(_) => {
                "Change what the token may do, or issue one that may do this.".to_owned()
            }
            Mistake::Network(_) => {
                "Send the request from a network that the token allows, or change its networks."
                    .to_owned()
            }
            Mistake::Ended(Code::Paused) => "Resume the token; then it works again.".to_owned(),
            Mistake::Ended(Code::AccountDisabled | Code::OrganizationClosed) => {
                "An administrator can say why.".to_owned()
            }
            Mistake::Ended(_) => "Issue another one.".to_owned(),
            Mistake::Other(_) => "Try again soon.".to_owned(),
            Mistake::OtherClientId => {
                format!("The client ID of this token is {}.", watched.token)
            }
            _ => format!("This API wants {}.", ways(&watched.api.schemes)),
        };
        let no_line =
            matches!(mistake, Mistake::Scope(_) | Mistake::Network(_) | Mistake::Ended(_))
                || matches!(mistake, Mistake::Other(_));
        let line = (!no_line).then(|| watched.line.clone());
        Self { sent: mistake.to_string(), mistake, wants, line }
    }
}

fn mistake(
    watched: &Watched,
    api: &Api,
    refusal: &Refusal,
    found: &Found,
    client: Option<IpAddr>,
) -> Mistake {
    let schemes = &watched.api.schemes;
    if api.name != watched.api.name {
        return Mistake::OtherApi(api.name.clone());
    }
    // Then the door read it as it was meant, and says itself what else there is.
    if refusal.matched.is_some_and(|(token, _)| token == watched.token) {
        return match (refusal.code, &refusal.about) {
            (Code::OwnerMismatch, _) => Mistake::OtherEmail,
            (Code::ClientMismatch, _) => Mistake::OtherClientId,
            (Code::NetworkNotAllowed, _) => Mistake::Network(client),
            // It may carry a piece of the path.
            (Code::InsufficientScope, About::Scope(scope)) => Mistake::Scope(loggable(scope)),
            (
                code @ (Code::Expired
                | Code::Revoked
                | Code::Paused
                | Code::AccountDisabled
                | Code::OrganizationClosed),
                _,
            ) => Mistake::Ended(code),
            (code, _) => Mistake::Other(code),
        };
    }
    if matches!(refusal.about, About::Malformed(Malformed::Repeated | Malformed::TwoSchemes)) {
        return Mistake::Several;
    }
    let accepts = |scheme| schemes.accepted.contains(&scheme);
    let misplaced = match &found.place {
        Place::Word(word) if accepts(Scheme::Token) && word.eq_ignore_ascii_case("token") => {
            (word != "Token").then(|| Mistake::OtherCase(word.clone()))
        }
        Place::Word(word) if accepts(Scheme::Bearer) && word.eq_ignore_ascii_case("bearer") => None,
        Place::Word(word) => Some(Mistake::OtherWord(word.clone())),
        Place::NoWord => Some(Mistake::NoWord),
        _ if !accepts(Scheme::Basic) && found.place.is_basic() => {
            Some(Mistake::OtherWord("Basic".to_owned()))
        }
        Place::Password => None,
        Place::UserName => Some(Mistake::AsUserName),
        Place::Encoded => Some(Mistake::NoEmail),
        Place::NotEncoded => Some(Mistake::NotEncoded),
        Place::Field { name, word } => in_field(schemes, refusal, name, word.as_deref()),
    };
    match (misplaced, found.wrapping) {
        (Some(misplaced), _) => misplaced,
        (None, Some(wrapping)) => Mistake::Wrapped(wrapping),
        (None, None) => Mistake::Other(refusal.code),
    }
}

fn in_field(
    schemes: &Schemes,
    refusal: &Refusal,
    name: &str,
    word: Option<&str>,
) -> Option<Mistake> {
    let accepts = |scheme| schemes.accepted.contains(&scheme);
    let pair = schemes.header_pair.as_ref().filter(|_| accepts(Scheme::HeaderPair));
    if let Some([id, secret]) = pair {
        if name == id {
            return Some(Mistake::Swapped);
        }
        if name == secret && refusal.about == About::Malformed(Malformed::HalfAPair) {
            return Some(Mistake::HalfAPair(id.clone()));
        }
    }
    let is_header = accepts(Scheme::Header) && schemes.header.as_deref() == Some(name);
    if !is_header && pair.is_none_or(|[_, secret]| secret != name) {
        return Some(Mistake::OtherField(name.to_owned()));
    }
    word.map(|word| Mistake::WordInField(word.to_owned()))
}

impl Place {
    fn is_basic(&self) -> bool {
        matches!(self, Self::Password | Self::UserName | Self::Encoded | Self::NotEncoded)
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherWord(word) => write!(f, "You sent the word {word} before the token."),
            Self::OtherCase(word) => {
                write!(f, "You sent {word}; capital and small letters matter to this API.")
            }
            Self::NoWord => f.write_str("You sent the token with no word before it."),
            Self::AsUserName => {
                f.write_str("You sent the token as the user name; it is the password.")
            }
            Self::NoEmail => {
                f.write_str("You sent the token alone, without an e-mail address and a colon.")
            }
            Self::NotEncoded => f.write_str("What you sent behind Basic is not base64."),
            Self::OtherEmail => {
                f.write_str("The e-mail address that you sent is not the token owner's.")
            }
            Self::OtherField(name) => write!(f, "You sent the token in the header {name}."),
            Self::WordInField(word) => {
                write!(f, "You sent the word {word} before the token; in this header it is alone.")
            }
            Self::Wrapped(wrapping) => write!(f, "You sent the token with {wrapping}."),
            Self::HalfAPair(missing) => write!(f, "You did not send the header {missing}."),
            Self::Swapped => f.write_str(
                "You sent the token in the header of the client ID; the two are swapped.",
            ),
            Self::OtherClientId => f.write_str("The client ID that you sent is not this token's."),
            Self::Several => f.write_str("You sent more than one credential in one request."),
            Self::OtherApi(name) => write!(f, "You sent the token to the API {name}."),
            Self::Scope(scope) => write!(
                f,
                "The token is right, but it does not have the scope {scope}, which this request \
                 needs."
            ),
            Self::Network(Some(client)) => {
                write!(f, "The token is right, but it may not be used from {client}.")
            }
            Self::Network(None) => f.write_str(
                "The token is right, but where the request came from is not known, and it is for \
                 some networks only.",
            ),
            Self::Ended(code) => f.write_str(match code {
                Code::Paused => "The token is paused.",
                Code::Revoked => "The token has been revoked.",
                Code::AccountDisabled => {
                    "The account of the token's owner is disabled, or has left the organization."
                }
                Code::OrganizationClosed => "The organization is closed.",
                _ => "The token has expired.",
            }),
            Self::Other(code) => write!(f, "The request was refused: {code}."),
        }
    }
}

impl std::fmt::Display for Wrapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Quotes => "quotes around it",
            Self::Brackets => "brackets around it",
            Self::Spaces => "spaces around it",
            Self::Newline => "a line break behind it",
            Self::Named => "a name and = before it",
        })
    }
}

/// How a credential may travel, for people.
fn ways(schemes: &Schemes) -> String {
    let ways: Vec<String> = schemes
        .accepted
        .iter()
        .map(|scheme| match scheme {
            Scheme::Basic => "HTTP Basic with the owner's e-mail address as the user name and the \
                              token as the password"
                .to_owned(),
            Scheme::Password => "HTTP Basic with your e-mail address and password".to_owned(),
            Scheme::Bearer => "Authorization: Bearer TOKEN".to_owned(),
            Scheme::Token => "Authorization: Token TOKEN".to_owned(),
            Scheme::Header => {
                format!("{}: TOKEN", schemes.header.as_deref().unwrap_or_default())
            }
            Scheme::HeaderPair => match &schemes.header_pair {
                Some([id, secret]) => format!("{id}: CLIENT_ID and {secret}: TOKEN"),
                None => String::new(),
            },
        })
        .collect();
    ways.join(", or ")
}

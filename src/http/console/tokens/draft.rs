//! What somebody wants of a new token: what stands in the dialog at first, what was typed
//! into it, and what is wrong with that.

use super::facts::sentence;
use crate::{
    config::{Ask, ProtectedApi},
    http::console::Form,
    service::{
        ServiceError,
        accounts::AccountName,
        tokens::{Expiry, NewToken},
    },
};
use counterfoil_core::{Timestamp, time::Seconds};

/// The value of the choice that is a date.
pub(super) const CUSTOM: &str = "custom";
/// The value of the choice that is none.
pub(super) const NEVER: &str = "never";
/// The action that is chosen for whoever chooses nothing.
const HARMLESS: &str = "read";

/// The dialog's fields. What an API does not ask stays empty, whatever is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) note: String,
    pub(super) owner: String,
    pub(super) role: String,
    pub(super) scopes: Vec<String>,
    /// A span, [`CUSTOM`] or [`NEVER`].
    pub(super) expiry: String,
    /// The date, for [`CUSTOM`].
    pub(super) date: String,
    pub(super) networks: String,
}

/// What is wrong, beside each field; and what is wrong with none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Errors {
    pub(super) name: String,
    pub(super) note: String,
    pub(super) owner: String,
    pub(super) role: String,
    pub(super) scopes: String,
    pub(super) expiry: String,
    pub(super) networks: String,
    pub(super) whole: String,
}

impl Draft {
    /// What stands there at first: the least that is of use.
    pub(super) fn new(api: &ProtectedApi) -> Self {
        let asks = |ask| api.console.ask.contains(&ask);
        let mut draft = Self::default();
        if asks(Ask::Role) {
            let least = api.api.roles.iter().min_by_key(|role| role.scopes.len());
            draft.role = least.map(|role| role.name.to_string()).unwrap_or_default();
        }
        if asks(Ask::Scopes) {
            let scopes = api.api.scopes.iter().map(|(scope, _)| scope);
            let harmless = scopes.filter(|scope| scope.as_need().action == HARMLESS);
            draft.scopes = harmless.map(ToString::to_string).collect();
        }
        if asks(Ask::Expiry) {
            let lifetime = api.api.tokens.default_lifetime;
            draft.expiry = lifetime.map_or(NEVER.into(), |lifetime| lifetime.to_string());
        }
        draft
    }

    /// What was typed.
    pub(super) fn typed(api: &ProtectedApi, form: &Form) -> Self {
        let mut draft = Self::default();
        for ask in &api.console.ask {
            match ask {
                Ask::Name => draft.name = form.text("name").into(),
                Ask::Note => draft.note = form.text("note").into(),
                Ask::Owner => draft.owner = form.text("owner").into(),
                // Where there is one, nobody chooses.
                Ask::Role => match &api.api.roles[..] {
                    [only] => draft.role = only.name.to_string(),
                    _ => draft.role = form.text("role").into(),
                },
                Ask::Scopes => draft.scopes = form.all("scope").map(str::to_owned).collect(),
                Ask::Expiry => {
                    draft.expiry = form.text("expires_in").into();
                    draft.date = form.text("expires_on").into();
                }
                Ask::Networks => draft.networks = form.text("networks").into(),
            }
        }
        draft
    }

    /// What the operation is asked for.
    pub(super) fn wanted(&self, api: &ProtectedApi) -> Result<NewToken, Box<Errors>> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let mut errors = Errors::default();
        let expiry = self.expiry().unwrap_or_else(|error| {
            errors.expiry = error;
            Expiry::Default
        });
        let owner = given(&self.owner).and_then(|owner| {
            let read = owner.parse::<AccountName>();
            read.map_err(|_| errors.owner = "There is no such account.".into()).ok()
        });
        if api.console.ask.contains(&Ask::Role) && self.role.is_empty() {
            errors.role = "Choose one.".into();
        }
        if api.console.ask.contains(&Ask::Scopes) && self.scopes.is_empty() {
            errors.scopes = "Choose at least one: a token without any could do nothing.".into();
        }
        if errors != Errors::default() {
            return Err(Box::new(errors));
        }
        Ok(NewToken {
            api: api.api.name.to_string(),
            organization: None,
            name: given(&self.name),
            note: given(&self.note),
            owner,
            role: given(&self.role),
            scopes: Some(self.scopes.clone()).filter(|scopes| !scopes.is_empty()),
            expiry,
            allowed_networks: networks(&self.networks),
            external_id: None,
            metadata: None,
        })
    }

    fn expiry(&self) -> Result<Expiry, String> {
        match &*self.expiry {
            "" => Ok(Expiry::Default),
            NEVER => Ok(Expiry::Never),
            CUSTOM => day(&self.date)
                .map(Expiry::At)
                .ok_or_else(|| "Give a date, such as 2031-03-31.".into()),
            span => {
                span.parse::<Seconds>().map(Expiry::In).map_err(|_| "Choose one of these.".into())
            }
        }
    }
}

impl Errors {
    /// Where an operation's no stands in the dialog of this API; elsewhere, where it is not
    /// about anything in it.
    pub(super) fn of(error: &ServiceError, api: &ProtectedApi) -> Self {
        let (field, message) = match error {
            ServiceError::Invalid { field, message } => (*field, message.clone()),
            ServiceError::NotFound(_) => ("owner", "there is no such account".into()),
            other => ("", other.to_string()),
        };
        let mut errors = Self::default();
        let place = match field {
            "name" => Some((Ask::Name, &mut errors.name)),
            "note" => Some((Ask::Note, &mut errors.note)),
            "owner" => Some((Ask::Owner, &mut errors.owner)),
            "role" => Some((Ask::Role, &mut errors.role)),
            "scopes" => Some((Ask::Scopes, &mut errors.scopes)),
            "expires_in" | "expires_at" => Some((Ask::Expiry, &mut errors.expiry)),
            "allowed_networks" => Some((Ask::Networks, &mut errors.networks)),
            _ => None,
        };
        match place {
            Some((ask, place)) if api.console.ask.contains(&ask) => *place = sentence(&message),
            _ => errors.whole = sentence(&message),
        }
        errors
    }

    /// Something that is wrong with the form as a whole.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { whole: message.into(), ..Self::default() }
    }
}

/// The beginning of a day, UTC.
fn day(text: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let instant = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_millis(instant.as_millisecond()))
}

/// One a line, or with commas between.
fn networks(text: &str) -> Vec<String> {
    let words = text.split([',', ';', '\n', '\r', ' ', '\t']);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_networks() {
        assert_eq!(day("2027-01-15"), Some(Timestamp::from_millis(1_799_971_200_000)));
        for wrong in ["", "15.1.2027", "2027-13-01", "2027-02-30", "tomorrow", "-9999-01-01x"] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
        assert_eq!(networks(" 10.0.0.0/8,192.0.2.7\r\n::1 "), ["10.0.0.0/8", "192.0.2.7", "::1"]);
    }
}

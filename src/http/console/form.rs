//! What a form sends (`application/x-www-form-urlencoded`), taken apart once.

use super::Trouble;
use crate::{http::extract, service::passwords::SHORTEST};
use axum::extract::{FromRequest, Request};
use counterfoil_core::token::Digest;
use http::header;
use zeroize::Zeroizing;

/// How large a form may be, in bytes.
const MOST: usize = 64 * 1024;

/// The fields of a form, in their order. They may hold a password: they are wiped when
/// dropped.
#[derive(Default)]
pub(crate) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    fn read(bytes: &[u8]) -> Self {
        let fields = form_urlencoded::parse(bytes);
        Self(fields.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect())
    }

    /// The first value of a field, without the space around it; empty where there is none.
    pub(crate) fn text<'f>(&'f self, name: &str) -> &'f str {
        self.all(name).next().unwrap_or_default().trim()
    }

    /// The same, where it says something.
    pub(crate) fn given<'f>(&'f self, name: &str) -> Option<&'f str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// What tells a form that was filled in otherwise.
    pub(crate) fn digest(&self) -> Digest {
        let mut text = Zeroizing::new(String::new());
        for part in self.0.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]) {
            // With its length, so that no part runs into the next.
            text.push_str(&part.len().to_string());
            text.push(' ');
            text.push_str(part);
        }
        Digest::of(&text)
    }

    /// A password: space around it is part of it.
    pub(crate) fn password(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.all(name).next().unwrap_or_default().to_owned())
    }

    /// All values of a field.
    pub(crate) fn all<'f, 'n>(
        &'f self,
        name: &'n str,
    ) -> impl Iterator<Item = &'f str> + use<'f, 'n> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// What stands beside a field for a new password.
pub(crate) fn password_hint() -> String {
    format!("{SHORTEST} characters or more. A sentence is easier to remember than a puzzle.")
}

/// What is wrong with a field, as a sentence beside it.
pub(crate) fn sentence(message: &str) -> String {
    format!("It {message}.")
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Trouble;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Trouble> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Trouble::Wrong("this page takes what its own form sends".into()));
        }
        Ok(Self::read(&extract::collect(request.into_body(), MOST).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let form = Form::read(b"name=+a%20b+&scope=x&scope=y%3Az&password=+p+&empty=");
        assert_eq!(form.text("name"), "a b");
        assert_eq!(form.given("empty"), None);
        assert_eq!(form.given("absent"), None);
        assert_eq!(form.all("scope").collect::<Vec<_>>(), ["x", "y:z"]);
        assert_eq!(form.password("password").as_str(), " p ");
        let digests =
            [&b"a=bc"[..], b"ab=c", b"a=b&c=", b"a=bc&a=bc"].map(|f| Form::read(f).digest());
        assert_eq!(digests.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        assert_eq!(Form::read(b"%ff=%zz").text("absent"), "");
    }
}

//! Turning the second factor on and off, and its recovery codes.

use super::{
    super::{Again, Console, Frame, Page, Trouble, Visitor, to},
    Account, AccountPage, Sent, WRONG_CODE, WRONG_PASSWORD, Wrong, wrong,
};
use crate::{
    http::qr::{self, Picture},
    service::second_factor::{RecoveryCode, TotpSecret},
};
use askama::Template;
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/account/second-factor", get(begin).post(confirm))
        .route("/account/second-factor/codes", get(ask_for_code).post(renew))
        .route("/account/second-factor/remove", get(ask_for_both).post(remove))
}

/// The key, as a picture and in text.
#[derive(Template)]
#[template(path = "pages/second_factor_new.html")]
struct KeyPage {
    page: Frame,
    account: Account,
    key: Zeroizing<String>,
    /// The same, as the form brings it back: it is kept nowhere before it counts.
    sent: Zeroizing<String>,
    qr: Option<Picture>,
    password_error: &'static str,
    error: &'static str,
}

impl KeyPage {
    async fn of(
        console: &Console,
        visitor: &Visitor,
        secret: &TotpSecret,
    ) -> Result<Self, Trouble> {
        let AccountPage { page, account } = AccountPage::of(console, visitor).await?;
        let (sent, qr) = (secret.base32(), qr::picture(&secret.uri(&account.email)));
        let key = in_groups(&sent);
        Ok(Self { page, account, key, sent, qr, password_error: "", error: "" })
    }
}

/// As one types it: four letters at a time.
fn in_groups(text: &str) -> Zeroizing<String> {
    let mut groups = Zeroizing::new(String::with_capacity(text.len() * 5 / 4));
    for (at, letter) in text.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            groups.push(' ');
        }
        groups.push(letter);
    }
    groups
}

/// Recovery codes, shown once.
#[derive(Template)]
#[template(path = "pages/recovery_codes.html")]
struct CodesPage {
    page: Frame,
    account: Account,
    codes: Vec<Zeroizing<String>>,
}

impl CodesPage {
    async fn of(
        console: &Console,
        visitor: &Visitor,
        codes: &[RecoveryCode],
    ) -> Result<Self, Trouble> {
        let AccountPage { page, account } = AccountPage::of(console, visitor).await?;
        Ok(Self { page, account, codes: codes.iter().map(RecoveryCode::shown).collect() })
    }
}

/// What has to be shown before something is done.
#[derive(Template)]
#[template(path = "pages/second_factor_prove.html")]
struct ProvePage {
    page: Frame,
    account: Account,
    /// Whether the factor is to go; else there are to be new recovery codes.
    removes: bool,
    password_error: &'static str,
    code_error: &'static str,
}

impl ProvePage {
    async fn of(console: &Console, visitor: &Visitor, removes: bool) -> Result<Self, Trouble> {
        let AccountPage { page, account } = AccountPage::of(console, visitor).await?;
        if account.factor.is_none() {
            return Err(Trouble::Conflict("There is no second factor.".into()));
        }
        Ok(Self { page, account, removes, password_error: "", code_error: "" })
    }

    fn wrong(mut self, wrong: &Wrong) -> Self {
        match wrong {
            Wrong::Password => self.password_error = WRONG_PASSWORD,
            Wrong::Code | Wrong::Field(_) => self.code_error = WRONG_CODE,
        }
        self
    }
}

async fn begin(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<KeyPage>, Trouble> {
    let secret = console.service.new_second_factor(&visitor.here).await?;
    KeyPage::of(&console, &visitor, &secret).await.map(Page)
}

async fn confirm(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Trouble> {
    let Sent { mut visitor, form, client, .. } = Sent::read(&console, request).await?;
    let (service, here) = (console.service.clone(), visitor.here.clone());
    let (password, code) = (form.password("current"), Zeroizing::new(form.text("code").to_owned()));
    let no_key = || Trouble::Wrong("The form has lost its key. Open it once more.".into());
    let secret = TotpSecret::read(form.text("key")).ok_or_else(no_key)?;
    let shown = secret.clone();
    let confirmed = console
        .wholly(async move {
            service.confirm_second_factor(&here, &secret, password, &code, &client).await
        })
        .await?;
    match confirmed.map_err(wrong) {
        Ok((codes, begun)) => {
            if let Some(begun) = &begun {
                visitor.here.session = begun.session.clone();
            }
            let page = Page(CodesPage::of(&console, &visitor, &codes).await?).into_response();
            Ok(match begun {
                Some(begun) => console.with_session(&begun, page),
                None => page,
            })
        }
        Err(error) => {
            let error = error?;
            let mut page = KeyPage::of(&console, &visitor, &shown).await?;
            match error {
                Wrong::Password => page.password_error = WRONG_PASSWORD,
                Wrong::Code | Wrong::Field(_) => page.error = WRONG_CODE,
            }
            Ok(Again(page).into_response())
        }
    }
}

async fn ask_for_code(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<ProvePage>, Trouble> {
    ProvePage::of(&console, &visitor, false).await.map(Page)
}

async fn renew(State(console): State<Arc<Console>>, request: Request) -> Result<Response, Trouble> {
    let Sent { visitor, form, .. } = Sent::read(&console, request).await?;
    let (service, here) = (console.service.clone(), visitor.here.clone());
    let code = Zeroizing::new(form.text("code").to_owned());
    let renewed =
        console.wholly(async move { service.renew_recovery_codes(&here, &code).await }).await?;
    match renewed.map_err(wrong) {
        Ok(codes) => Ok(Page(CodesPage::of(&console, &visitor, &codes).await?).into_response()),
        Err(error) => {
            let page = ProvePage::of(&console, &visitor, false).await;
            Ok(Again(page?.wrong(&error?)).into_response())
        }
    }
}

async fn ask_for_both(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<ProvePage>, Trouble> {
    ProvePage::of(&console, &visitor, true).await.map(Page)
}

async fn remove(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Trouble> {
    let Sent { visitor, form, client, .. } = Sent::read(&console, request).await?;
    let (service, here) = (console.service.clone(), visitor.here.clone());
    let code = Zeroizing::new(form.text("code").to_owned());
    let password = form.password("current");
    let removed = console
        .wholly(async move { service.remove_own_factor(&here, password, &code, &client).await })
        .await?;
    match removed.map_err(wrong) {
        Ok(()) => Ok(to("/account?done=factor-removed")),
        Err(error) => {
            let error = error?;
            let page = ProvePage::of(&console, &visitor, true).await?;
            Ok(Again(page.wrong(&error)).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_typed_in_groups() {
        assert_eq!(&*in_groups("ABCDEFGHI"), "ABCD EFGH I");
        assert_eq!(&*in_groups(""), "");
    }
}

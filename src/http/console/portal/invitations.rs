//! Inviting somebody, and joining by an invitation's link.

use super::{
    Again, Choice, Console, Form, Frame, Page, Trouble, Visitor, about_form,
    members::{List, Wanted, rank_value, ranks, read_rank},
    to,
};
use crate::{
    clock,
    http::console::{
        Outside,
        form::password_hint,
        visitor,
        when::{When, when},
    },
    mail::letters,
    service::{
        ServiceError,
        invitations::{LIFETIME, Opened},
        links::Unsent,
    },
};
use askama::Template;
use axum::{
    Router,
    extract::{FromRequest as _, FromRequestParts as _, Path, Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::account::Email;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/portal/invitations/new", get(ask).post(invite))
        .route("/invitations/{code}", get(open).post(join))
}

#[derive(Template)]
#[template(path = "pages/invitation_new.html")]
struct InvitePage {
    page: Frame,
    list: List,
    email: String,
    error: String,
    ranks: Vec<Choice>,
    made: Option<Made>,
}

/// What is shown once.
struct Made {
    email: String,
    link: String,
    expires: When,
    /// What became of it by mail, in a sentence; empty where there is none.
    mail: &'static str,
}

async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<InvitePage>, Trouble> {
    Ok(Page(console.invite_page(&visitor, "", "member", String::new(), None).await?))
}

async fn invite(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    visitor.still_looks(&form)?;
    let (typed, rank) = (form.text("email"), form.text("rank"));
    let again = async |error: String| {
        let page = console.invite_page(&visitor, typed, rank, error, None).await?;
        Ok(Again(page).into_response())
    };
    let Ok(email) = typed.parse::<Email>() else {
        return again("That is no e-mail address; one looks like ada@example.com.".into()).await;
    };
    let Some(granted) = read_rank(rank) else {
        return again("Choose a rank.".into()).await;
    };
    let invited = match console.service.invite(caller, None, email.clone(), granted).await {
        Ok(invited) => invited,
        Err(error) => return again(about_form(error)?).await,
    };
    let link = format!("{}/invitations/{}", console.public_url, &*invited.secret);
    let mail = console.mail_invitation(&visitor, &email, &link)?;
    let expires = when(invited.invitation.expires_at, clock::now());
    let made = Made { email: email.to_string(), link, expires, mail };
    Ok(Page(console.invite_page(&visitor, "", "member", String::new(), Some(made)).await?)
        .into_response())
}

impl Console {
    /// Has a link mailed, where there is mail and there was not too much of it.
    fn mail_invitation(
        &self,
        visitor: &Visitor,
        email: &Email,
        link: &str,
    ) -> Result<&'static str, Trouble> {
        let service = &self.service;
        if !service.post.is_configured() {
            return Ok("");
        }
        let organization = visitor.organization()?;
        Ok(match service.requests.for_invitation(organization, email, clock::steady()) {
            Ok(()) => {
                let home = visitor.here.home().map(|home| &*home.organization_name);
                let (by, home) = (&visitor.here.account.name, home.unwrap_or_default());
                let letter = letters::invitation(email, by, home, link, LIFETIME);
                service.send_later(Some(letter));
                "It is also on its way by mail."
            }
            Err(Unsent::Address) => {
                "No mail was sent: the address was sent several invitations just now. Hand the \
                 link over."
            }
            Err(Unsent::Organization) => {
                "No mail was sent: your organization has had many invitations mailed just now. \
                 Hand the link over."
            }
        })
    }

    async fn invite_page(
        &self,
        visitor: &Visitor,
        email: &str,
        rank: &str,
        error: String,
        made: Option<Made>,
    ) -> Result<InvitePage, Trouble> {
        let caller = visitor.administers()?;
        Ok(InvitePage {
            page: self.frame(visitor, "members"),
            list: self.members(visitor, caller, &Wanted::default()).await?,
            email: email.to_owned(),
            error,
            ranks: ranks(rank),
            made,
        })
    }
}

#[derive(Template)]
#[template(path = "pages/accept_invitation.html")]
struct AcceptPage {
    page: Outside,
    organization: String,
    by: String,
    email: String,
    rank: &'static str,
    expires: When,
    who: Who,
    /// Where to sign in, and to come back from.
    sign_in: String,
    typed_name: String,
    name_error: String,
    password_hint: String,
    password_error: String,
}

/// Whoever has opened the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The person it is for, signed in.
    Meant,
    /// Somebody else.
    Another,
    /// Nobody yet; there is an account of that address.
    Known,
    /// Nobody yet, and there is no such account.
    New,
}

/// Which page the link leads to. Asking changes nothing.
async fn open(
    State(console): State<Arc<Console>>,
    Path(code): Path<String>,
    request: Request,
) -> Result<Page<AcceptPage>, Trouble> {
    let (mut parts, _) = request.into_parts();
    let visitor = Visitor::from_request_parts(&mut parts, &console).await.ok();
    let opened = opened(&console, &code).await?;
    Ok(Page(AcceptPage::new(&opened, &code, visitor.as_ref())))
}

async fn join(
    State(console): State<Arc<Console>>,
    Path(code): Path<String>,
    request: Request,
) -> Result<Response, Trouble> {
    let (mut parts, body) = request.into_parts();
    let visitor = Visitor::from_request_parts(&mut parts, &console).await.ok();
    let client = visitor::client(&parts, &console);
    let before = visitor::cookie(&parts.headers, console.is_secure());
    let form = Form::from_request(Request::from_parts(parts, body), &()).await?;
    let opened = opened(&console, &code).await?;
    let mut page = AcceptPage::new(&opened, &code, visitor.as_ref());
    let service = &console.service;
    if let (Who::Meant, Some(visitor)) = (page.who, &visitor) {
        service.accept_invitation(&visitor.here, &code).await?;
        return Ok(to("/tokens?done=joined"));
    }
    if page.who != Who::New {
        // There is a person for it, who has to be here.
        return Ok(Again(page).into_response());
    }
    form.text("name").clone_into(&mut page.typed_name);
    match service
        .join_as_a_new_person(&code, form.text("name"), form.password("password"), &client)
        .await
    {
        Ok(begun) => {
            if let Some(before) = before {
                service.sign_out(&before).await?;
            }
            Ok(console.with_session(&begun, to("/tokens?done=joined")))
        }
        Err(ServiceError::Invalid { field: "name", message }) => {
            page.name_error = super::sentence(&message);
            Ok(Again(page).into_response())
        }
        Err(ServiceError::Invalid { message, .. }) => {
            page.password_error = super::sentence(&message);
            Ok(Again(page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// The invitation of a link; whoever has one that is over learns why there is nothing.
async fn opened(console: &Console, code: &str) -> Result<Opened, Trouble> {
    console.service.open_invitation(code).await.map_err(|error| match error {
        ServiceError::NotFound(why) => Trouble::Gone(super::sentence(&why)),
        other => other.into(),
    })
}

impl AcceptPage {
    fn is_meant(&self) -> bool {
        self.who == Who::Meant
    }

    fn is_another(&self) -> bool {
        self.who == Who::Another
    }

    fn is_known(&self) -> bool {
        self.who == Who::Known
    }

    fn new(opened: &Opened, code: &str, visitor: Option<&Visitor>) -> Self {
        let invitation = &opened.invitation;
        let who = match visitor {
            Some(visitor) if visitor.here.account.email == invitation.email => Who::Meant,
            Some(_) => Who::Another,
            None if opened.is_known => Who::Known,
            None => Who::New,
        };
        Self {
            page: Outside::default(),
            organization: opened.organization.clone(),
            by: opened.by.clone().unwrap_or_else(|| "The operator".into()),
            email: invitation.email.as_ref().map(ToString::to_string).unwrap_or_default(),
            rank: rank_value(invitation.rank),
            expires: when(invitation.expires_at, clock::now()),
            who,
            sign_in: super::address("/sign-in", &[("next", &format!("/invitations/{code}"))]),
            typed_name: String::new(),
            password_hint: password_hint(),
            name_error: String::new(),
            password_error: String::new(),
        }
    }
}

//! What changes about a token while somebody looks at its page.

use super::{
    super::{Console, Trouble, Visitor, live::Events, tokens::facts, when::when},
    Id,
    view::Used,
};
use crate::{
    clock,
    service::sessions::Here,
    store::{StoredToken, TokenState},
    usage::LastUse,
    watch::{Event, Watch, Watched},
};
use axum::{extract::State, response::Response};
use counterfoil_core::{
    Timestamp,
    id::{SessionId, TokenId},
};
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

/// How often a page is told what is new.
const EVERY: Duration = Duration::from_secs(2);
/// When whoever found no place may come again, in seconds.
const LATER: u64 = 30;

/// A part of the page: its name, its state, and what stands in its fields.
type Part = (&'static str, &'static str, Vec<(&'static str, String)>);

/// Events for one page of one token, as long as whoever looks is signed in and sees it.
pub(super) async fn events(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    let stored = console.service.token(visitor.caller()?, id).await?;
    let later = |why: String| Trouble::Later { seconds: LATER, why };
    let session = visitor.here.session.id;
    let place = console.events.place(session).map_err(|full| later(full.to_string()))?;
    let watch = match console.known_api(&stored.token.api) {
        Some(api) => {
            let watched = Watched {
                digest: stored.token.digest,
                token: id,
                account: visitor.here.account.id,
                line: console.command(&api.name),
                api,
            };
            Some(console.service.watches.begin(watched).map_err(|full| later(full.to_string()))?)
        }
        None => None,
    };
    Ok(place.respond(move |events| async move {
        let following =
            Following { console, session, id, told: Vec::new(), lit: Timestamp::from_millis(0) };
        following.follow(&events, watch).await;
    }))
}

struct Following {
    console: Arc<Console>,
    session: SessionId,
    id: TokenId,
    /// What the page shows.
    told: Vec<Part>,
    /// Of when the light's word is.
    lit: Timestamp,
}

impl Following {
    async fn follow(mut self, events: &Events, mut watch: Option<Watch>) {
        // What tokens do is counted without a word to anybody, so that whoever verifies waits
        // for nobody; and a page costs no more however much goes on.
        let mut looks = tokio::time::interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let came = async {
                match &mut watch {
                    Some(watch) => watch.next().await,
                    None => std::future::pending().await,
                }
            };
            let goes_on = tokio::select! {
                event = came => if let Some(event) = event {
                    self.lit = clock::now();
                    self.tell(events, light(event)).await
                } else {
                    // Nothing more will come of it.
                    watch = None;
                    Some(())
                },
                _ = looks.tick() => self.tell_all(events).await,
            };
            if goes_on.is_none() {
                return;
            }
        }
    }

    /// Tells how the token is now; nothing when there is no more to tell.
    async fn tell_all(&mut self, events: &Events) -> Option<()> {
        let Some(stored) = self.look().await else {
            // The page asks for itself again, and is told why.
            let _ = events.end().await;
            return None;
        };
        let now = clock::now();
        let mut parts = parts(&stored, now);
        // What the light has said since is newer.
        if let Some(last) = stored.present_last_used.as_ref().filter(|last| last.at > self.lit) {
            parts.push(good(last.route.as_deref()));
            self.lit = last.at;
        }
        for part in parts {
            self.tell(events, part).await?;
        }
        if matches!(stored.state_at(now), TokenState::Revoked | TokenState::Expired) {
            let _ = events.end().await;
            return None;
        }
        Some(())
    }

    /// The token, if the session goes on and still sees it.
    async fn look(&self) -> Option<StoredToken> {
        let service = &self.console.service;
        let here = service.still_here(self.session, clock::now()).await.ok()??;
        let caller = Here::caller(&here)?;
        service.token(&caller, self.id).await.ok()
    }

    /// Tells of a part that is not as it was told.
    async fn tell(&mut self, events: &Events, part: Part) -> Option<()> {
        if self.told.contains(&part) {
            return Some(());
        }
        let (name, state, fields) = &part;
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
        events.part(name, state, &fields).await.ok()?;
        self.told.retain(|(told, ..)| told != name);
        self.told.push(part);
        Some(())
    }
}

/// What can be seen of a token from outside.
fn parts(stored: &StoredToken, now: Timestamp) -> Vec<Part> {
    let facts::State { kind, word } = facts::state(stored, now);
    let mut parts: Vec<Part> = vec![("state", kind, vec![("word", word.into())])];
    if let Some(last) = &stored.last_used {
        let Used { at, how } = Used::from((last, now));
        parts.push(("use", "", vec![("at", at.iso), ("how", how)]));
    }
    let half = |name, last: &Option<LastUse>| -> Option<Part> {
        let at = when(last.as_ref()?.at, now).iso;
        Some((name, "", vec![("at", at)]))
    };
    if stored.previous.is_some() {
        parts.extend(half("old", &stored.previous_last_used));
    }
    parts.extend(half("new", &stored.present_last_used));
    parts
}

/// What the light says of a request that was let through.
fn good(route: Option<&str>) -> Part {
    let text = match route {
        Some(route) => format!("It works: {route}."),
        None => "It works.".to_owned(),
    };
    ("light", "good", vec![("text", text), ("line", String::new())])
}

/// What the light says of a request.
fn light(event: Event) -> Part {
    match event {
        Event::Admitted(request) => good(Some(&format!("{} {}", request.method, request.path))),
        Event::Refused { lesson, .. } => {
            let text = format!("{} {}", lesson.sent, lesson.wants);
            let line = lesson.line.unwrap_or_default();
            ("light", "wrong", vec![("text", text), ("line", line)])
        }
    }
}

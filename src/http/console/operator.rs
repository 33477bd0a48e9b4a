//! The operator's page: how this installation is, kept up to date while it is looked at.

mod nodes;

use super::{
    Console, Frame, Page, Trouble, Visitor,
    live::Events,
    page::to,
    when::{When, when},
};
use crate::{
    clock,
    service::{
        Caller,
        inspections::Inspected,
        management_api,
        nodes::{LeaseView, Overview},
        sessions::Here,
    },
    signing::Standing,
    telemetry::Counted,
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use counterfoil_core::{Code, id::SessionId};
use nodes::{Length, NodeRow};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;

/// How often the page is told what is new.
const EVERY: Duration = Duration::from_secs(2);
/// When whoever found no place may come again, in seconds.
const LATER: u64 = 30;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/operator", get(show))
        .route("/operator/live", get(events))
        .route("/operator/verify", post(inspect))
}

#[derive(Template)]
#[template(path = "pages/operator.html")]
struct OperatorPage {
    page: Frame,
    lead: String,
    figures: Vec<Figure>,
    nodes: Vec<NodeRow>,
    /// Where there are leases.
    length: Option<Length>,
    /// Whether the database has answered just now.
    answers: bool,
    /// Whether APIs of other nodes are not this one's.
    differ: bool,
    apis: Vec<ApiRow>,
    refusals: Vec<RefusalRow>,
    keys: Vec<KeyRow>,
    head: u64,
    hash: String,
    inspection: Told,
}

struct Figure {
    /// Unique on the page.
    part: &'static str,
    label: &'static str,
    value: String,
    words: String,
}

struct ApiRow {
    name: String,
    admitted: u64,
    anonymous: u64,
    refused: u64,
}

struct RefusalRow {
    code: &'static str,
    status: u16,
    times: u64,
}

/// A key that signs access tokens.
struct KeyRow {
    kid: Box<str>,
    algorithm: &'static str,
    state: &'static str,
    word: &'static str,
    since: When,
    until: When,
}

/// An inspection of the ledger in words, and how good that is.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    state: &'static str,
    words: String,
    findings: Vec<String>,
}

/// How it is at a moment.
struct Moment {
    at: Instant,
    /// By API.
    counted: Vec<(String, Counted)>,
    /// How long one look into it took.
    database: Option<Duration>,
    /// None where it does not answer, and nothing was seen before.
    nodes: Option<Overview>,
}

impl Visitor {
    /// The operator's rights, for who has them in the console; whoever has not learns nothing.
    fn operates(&self) -> Result<Caller, Trouble> {
        if self.is_operator { Ok(Caller::Operator) } else { Err(Trouble::NotFound) }
    }
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<OperatorPage>, Trouble> {
    let caller = visitor.operates()?;
    let moment = console.moment().await;
    let now = clock::now();
    let keys = console.service.signing_keys(&caller)?.into_iter().map(|key| {
        let (state, word) = match key.standing {
            Standing::Next { .. } => ("next", "Next"),
            Standing::Signing => ("live", "Signing"),
            Standing::Retired { .. } => ("expired", "Retired"),
        };
        KeyRow {
            kid: key.kid,
            algorithm: key.algorithm.name(),
            state,
            word,
            since: when(key.made_at, now),
            until: when(key.until, now),
        }
    });
    let refused = |code: Code| moment.counted.iter().map(|(_, c)| c.refused[code as usize]).sum();
    let refusals = Code::ALL.map(|code| RefusalRow {
        code: code.as_str(),
        status: code.status(),
        times: refused(code),
    });
    let apis = moment.counted.iter().map(|(name, counted)| ApiRow {
        name: name.clone(),
        admitted: counted.admitted,
        anonymous: counted.anonymous,
        refused: counted.refused.iter().sum(),
    });
    let head = console.replica.head();
    let overview = moment.nodes.as_ref();
    let nodes = console.node_rows(overview);
    Ok(Page(OperatorPage {
        page: console.frame(&visitor, "operator"),
        lead: nodes::lead(overview),
        differ: nodes.iter().any(|node| node.differs),
        nodes,
        length: moment.lease().map(Length::of),
        answers: moment.database.is_some(),
        figures: console.figures(&moment, None),
        apis: apis.collect(),
        refusals: refusals.into_iter().filter(|row| row.times > 0).collect(),
        keys: keys.collect(),
        head: head.number,
        hash: head.hash.to_string(),
        inspection: console.inspection(),
    }))
}

async fn inspect(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Response, Trouble> {
    console.service.begin_inspection(&visitor.operates()?)?;
    Ok(to("/operator#ledger"))
}

/// Events for one page, as long as whoever looks is signed in.
async fn events(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Response, Trouble> {
    visitor.operates()?;
    let session = visitor.here.session.id;
    let later = |why: String| Trouble::Later { seconds: LATER, why };
    let place = console.events.place(session).map_err(|full| later(full.to_string()))?;
    Ok(place.respond(move |events| async move {
        // There is nothing to do for one that nobody reads any more.
        let _ = console.tell_operator(&events, session).await;
    }))
}

impl Console {
    async fn tell_operator(&self, events: &Events, session: SessionId) -> Option<()> {
        let mut before = self.moment().await;
        let shown: BTreeSet<String> =
            self.node_rows(before.nodes.as_ref()).into_iter().map(|row| row.part).collect();
        // A rate is what came from one look to the next.
        let mut looks = tokio::time::interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first comes at once, and `before` is that one.
        looks.tick().await;
        loop {
            looks.tick().await;
            if !self.still_operates(session).await {
                return events.end().await.ok();
            }
            let moment = self.moment().await;
            for figure in self.figures(&moment, Some(&before)) {
                events.part(figure.part, "", &[("value", &figure.value)]).await.ok()?;
            }
            for (n, (_, counted)) in moment.counted.iter().enumerate() {
                let refused: u64 = counted.refused.iter().sum();
                let fields = [
                    ("admitted", counted.admitted.to_string()),
                    ("anonymous", counted.anonymous.to_string()),
                    ("refused", refused.to_string()),
                ];
                let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
                events.part(&format!("api-{n}"), "", &fields).await.ok()?;
            }
            self.tell_nodes(events, &shown, moment.nodes.as_ref()).await.ok()?;
            let told = self.inspection();
            events.part("inspection", told.state, &[("words", &told.words)]).await.ok()?;
            before = moment;
        }
    }

    /// Whether the session goes on, and is still an operator's.
    async fn still_operates(&self, session: SessionId) -> bool {
        let here = self.service.still_here(session, clock::now()).await.ok().flatten();
        here.is_some_and(|here: Here| self.is_operator(&here.account))
    }

    async fn moment(&self) -> Moment {
        let begun = clock::steady();
        let nodes = self.service.nodes(&Caller::Operator).await.ok();
        let answers =
            nodes.as_ref().is_some_and(|nodes| nodes.lease.is_none_or(|lease| lease.answers));
        let took = begun.elapsed();
        let own = [management_api::NAME];
        let names = self.apis.iter().map(|protected| &*protected.api.name).chain(own);
        let counted = names.map(|name| (name.to_owned(), self.metrics.counted(name)));
        let database = answers.then_some(took);
        Moment { at: begun, counted: counted.collect(), database, nodes }
    }

    fn figures(&self, moment: &Moment, before: Option<&Moment>) -> Vec<Figure> {
        let rate = match before {
            Some(before) => {
                let span = moment.at.duration_since(before.at).as_secs_f64();
                let came = moment.requests().saturating_sub(before.requests());
                per_second(came, span)
            }
            None => "–".to_owned(),
        };
        let within = |percent| match self.metrics.latency.within(percent) {
            Some(took) => in_units(took),
            None => "–".to_owned(),
        };
        let figure = |part, label, value: String, words: &str| Figure {
            part,
            label,
            value,
            words: words.to_owned(),
        };
        let database = moment.database.map_or_else(|| "no answer".to_owned(), in_units);
        let tokens = self.replica.tokens().to_string();
        let head = moment.nodes.as_ref().map_or(self.replica.head().number, |nodes| nodes.head);
        let mut figures = vec![
            figure("rate", "Requests a second", rate, "while this page is open"),
            figure(
                "half",
                "Half are judged within",
                within(50),
                "since the start; one in 61 timed",
            ),
            figure("most", "99 of 100 within", within(99), "to the next power of two"),
            figure("database", "Database", database, "for one look"),
            figure("head", "Ledger", head.to_string(), "entries"),
            figure("tokens", "Tokens in memory", tokens, "ended ones too"),
        ];
        if let Some(lease) = moment.lease() {
            let left = self.replica.lease_left().unwrap_or_default();
            let most = lease.lengths.lease().trusted().as_secs_f64();
            let words = format!("of {most:.0} s, without the database");
            figures.push(figure("lease", "Verifies for", nodes::seconds(left), &words));
            let took = lease.round_trip.map_or_else(|| "–".to_owned(), in_units);
            figures.push(figure("renewal", "Renewal of the lease", took, "the last one"));
        }
        figures
    }

    fn inspection(&self) -> Told {
        Told::of(&self.service.inspections.last())
    }
}

impl Moment {
    fn lease(&self) -> Option<&LeaseView> {
        self.nodes.as_ref()?.lease.as_ref()
    }

    fn requests(&self) -> u64 {
        let of = |counted: &Counted| {
            counted.admitted + counted.anonymous + counted.refused.iter().sum::<u64>()
        };
        self.counted.iter().map(|(_, counted)| of(counted)).sum()
    }
}

impl Told {
    fn of(inspected: &Inspected) -> Self {
        let (state, words, findings) = match inspected {
            Inspected::NotYet => ("waiting", "Not verified since the start.".to_owned(), vec![]),
            Inspected::UnderWay { of: 0, .. } => ("waiting", "It begins.".to_owned(), vec![]),
            Inspected::UnderWay { checked, of } => {
                ("waiting", format!("{checked} of {of} entries are checked."), vec![])
            }
            Inspected::Done { at, inspection } => {
                let number = inspection.head.number;
                let ago = when(*at, clock::now()).words;
                let findings = inspection.findings.clone();
                if findings.is_empty() {
                    let words = format!(
                        "{number} entries, unbroken, and the database is what they say ({ago})."
                    );
                    ("good", words, findings)
                } else {
                    let words = format!(
                        "The ledger and the database do not agree ({ago}); everything up to \
                         entry {number} is sound."
                    );
                    ("wrong", words, findings)
                }
            }
            Inspected::BrokenOff { at, why } => {
                let ago = when(*at, clock::now()).words;
                ("wrong", format!("It broke off ({ago}): {why}."), vec![])
            }
        };
        Self { state, words, findings }
    }
}

/// So many in so many seconds.
#[expect(clippy::cast_precision_loss, reason = "it is rounded to be read")]
fn per_second(came: u64, seconds: f64) -> String {
    let rate = if seconds > 0.0 { came as f64 / seconds } else { 0.0 };
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// A span in the unit that suits it.
fn in_units(span: Duration) -> String {
    let micros = span.as_secs_f64() * 1e6;
    match micros {
        ..1.0 => format!("{:.0} ns", micros * 1000.0),
        ..1000.0 => format!("{micros:.1} µs"),
        _ => format!("{:.1} ms", micros / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Inspection;
    use counterfoil_core::ledger::Head;

    #[test]
    fn spans_and_rates_are_read_at_a_glance() {
        assert_eq!(in_units(Duration::from_nanos(512)), "512 ns");
        assert_eq!(in_units(Duration::from_nanos(2048)), "2.0 µs");
        assert_eq!(in_units(Duration::from_micros(1500)), "1.5 ms");
        assert_eq!(per_second(3, 2.0), "1.5");
        assert_eq!(per_second(30_000, 2.0), "15000");
        assert_eq!(per_second(3, 0.0), "0.0");
    }

    #[test]
    fn what_an_inspection_found_is_said_plainly() {
        let done = |findings: &[&str]| {
            let findings = findings.iter().map(|text| (*text).to_owned()).collect();
            let inspection = Inspection { head: Head::EMPTY, findings };
            Told::of(&Inspected::Done { at: clock::now(), inspection })
        };
        assert_eq!(done(&[]).state, "good");
        let wrong = done(&["entry 3 is not what the chain says"]);
        assert_eq!((wrong.state, wrong.findings.len()), ("wrong", 1));
        assert!(wrong.words.contains("do not agree"));
        assert_eq!(
            Told::of(&Inspected::UnderWay { checked: 3, of: 9 }).words,
            "3 of 9 entries are checked."
        );
    }
}

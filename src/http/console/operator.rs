//! The operator's page: how this installation is.

use super::{Console, Frame, Page, Trouble, Visitor};
use crate::clock;
use askama::Template;
use axum::{Router, extract::State, routing::get};
use counterfoil_core::id::OrganizationId;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/operator", get(show))
}

#[derive(Template)]
#[template(path = "pages/operator.html")]
struct OperatorPage {
    page: Frame,
    figures: Vec<Figure>,
    /// Whether tokens can be verified now.
    is_trusted: bool,
    version: &'static str,
    head: u64,
    hash: String,
}

struct Figure {
    label: &'static str,
    value: String,
    words: &'static str,
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Page<OperatorPage>, Trouble> {
    // Whoever is none learns nothing of it.
    if !visitor.is_operator {
        return Err(Trouble::NotFound);
    }
    let head = console.replica.head();
    let begun = clock::steady();
    // One that is not there is looked for like any other.
    let nobodys = OrganizationId::from_bytes([0; 16]);
    let answers = console.service.store.organization(nobodys).await.is_ok();
    let took = begun.elapsed();
    let database = if answers {
        format!("{:.1} ms", took.as_secs_f64() * 1000.0)
    } else {
        "no answer".to_owned()
    };
    let figures = vec![
        Figure {
            label: "Tokens in memory",
            value: console.replica.tokens().to_string(),
            words: "ended ones too",
        },
        Figure { label: "Database", value: database, words: "for one look" },
        Figure {
            label: "APIs",
            value: console.apis.len().to_string(),
            words: "in the configuration",
        },
    ];
    Ok(Page(OperatorPage {
        page: console.frame(&visitor, "operator"),
        figures,
        is_trusted: console.replica.index().is_some(),
        version: env!("CARGO_PKG_VERSION"),
        head: head.number,
        hash: head.hash.to_string(),
    }))
}

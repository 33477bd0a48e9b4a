//! `/v1/tokens/import`, the operator's.

use super::{
    Asking, Moment,
    lines::{self, Lines, Steps},
    tokens::Span,
};
use crate::{
    http::{
        calls::{self, Calls, Operation, Takes},
        extract,
        problem::Problem,
    },
    loggable::loggable,
    service::{
        Caller, Service, ServiceError,
        import::{Import, Imported, Row, RowState},
    },
};
use axum::{
    body::Body,
    extract::{FromRequest, Request, State},
};
use counterfoil_core::{id::OrganizationId, ledger::ImportSource, token::Digest};
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many rows one import may have: they are one transaction.
pub(crate) const ROWS: usize = 200_000;
/// How large one line may be, in bytes.
pub(crate) const LINE: usize = 64 * 1024;
/// How large all of it may be, in bytes.
pub(crate) const SIZE: usize = 128 * 1024 * 1024;

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new().on(
        calls::post("/v1/tokens/import", "import_tokens")
            .does("Take over tokens that were issued elsewhere, by their digests")
            .about(
                "The body has lines of JSON, up to 200,000 of 64 KiB at most and 128 MiB in all. \
                 The first says what holds for all: `api`, `from` (`sha256`, `drf-authtoken`, \
                 `knox` or `better-auth`), `entropy_bits`, and `organization`, `owner`, `role` or \
                 `scopes`, `expires_in`, `dry_run`. Each of the others is a token: `digest` \
                 (SHA-256 of all of it, in hexadecimal digits), and `line`, `state`, `owner`, \
                 `organization`, `name`, `note`, `role` or `scopes`, `created_at`, `expires_at`, \
                 `allowed_networks`, `external_id`, `metadata`, `prefix`, `last_four`. \
                 All become tokens but those that are skipped, or none does. \
                 Answers with lines of JSON: `{\"checked\", \"of\"}` and `{\"written\", \"of\"}` \
                 while it works, then `{\"api\", \"dry_run\", \"rows\", \"imported\", \
                 \"skipped\", \"wrong\", \"mistakes\"}`, or `{\"error\"}`.",
            )
            .for_the_operator()
            .fails(&[StatusCode::NOT_FOUND]),
        import,
    )
}

/// A body of lines of JSON, which is read as it comes.
struct Rows(Body);

impl<S: Send + Sync> FromRequest<S> for Rows {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(request.into_body()))
    }
}

impl Takes for Rows {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_body(lines::MEDIA_TYPE, &json!({"type": "string"}));
    }
}

/// The first line: what holds for all rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportLine {
    api: String,
    from: ImportSource,
    entropy_bits: u16,
    organization: Option<OrganizationId>,
    owner: Option<String>,
    role: Option<String>,
    scopes: Option<Vec<String>>,
    expires_in: Option<Span>,
    #[serde(default)]
    dry_run: bool,
}

/// Each line after it: one token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowLine {
    /// That of the body, when absent.
    line: Option<u32>,
    digest: Digest,
    #[serde(default)]
    state: StateName,
    owner: Option<String>,
    organization: Option<String>,
    name: Option<String>,
    note: Option<String>,
    role: Option<String>,
    scopes: Option<Vec<String>>,
    created_at: Option<Moment>,
    expires_at: Option<Moment>,
    #[serde(default)]
    allowed_networks: Vec<String>,
    external_id: Option<String>,
    metadata: Option<Value>,
    prefix: Option<String>,
    last_four: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateName {
    #[default]
    Active,
    Paused,
    Revoked,
}

impl RowLine {
    fn row(self, line: u32) -> Row {
        Row {
            line: self.line.unwrap_or(line),
            digest: self.digest,
            state: match self.state {
                StateName::Active => RowState::Active,
                StateName::Paused => RowState::Paused,
                StateName::Revoked => RowState::Revoked,
            },
            owner: self.owner,
            organization: self.organization,
            name: self.name,
            note: self.note,
            role: self.role,
            scopes: self.scopes,
            created_at: self.created_at.map(|moment| moment.0),
            expires_at: self.expires_at.map(|moment| moment.0),
            allowed_networks: self.allowed_networks,
            external_id: self.external_id,
            metadata: self.metadata,
            prefix: self.prefix,
            last_four: self.last_four,
        }
    }
}

/// Lines of JSON: `{"checked", "of"}` and `{"written", "of"}` while it works, then
/// the outcome.
async fn import(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Rows(body): Rows,
) -> Result<Lines, Problem> {
    caller.is_operator()?;
    let mut reader = Reader::new(body);
    let Some((_, first)) = reader.line::<ImportLine>().await? else {
        return Err(Problem::bad_request(
            "line 1: expected an object that says what holds for all rows: api, from, entropy_bits",
        ));
    };
    let import = Import {
        api: first.api,
        from: first.from,
        entropy_bits: first.entropy_bits,
        organization: first.organization,
        owner: first.owner,
        role: first.role,
        scopes: first.scopes,
        expires_in: first.expires_in.map(|span| span.0),
        dry_run: first.dry_run,
    };
    service.check_import(&caller, &import)?;
    let mut rows = Vec::new();
    while let Some((line, row)) = reader.line::<RowLine>().await? {
        if rows.len() == ROWS {
            return Err(too_large(format!("more than {ROWS} rows; import them in parts")));
        }
        rows.push(row.row(line));
    }
    Ok(Lines::of_work(|steps| {
        let under_way = service.under_way.clone();
        // A stop waits for it, and not for whoever reads how far it is.
        let done = under_way.spawn(work(service, caller, import, rows, steps));
        async {
            let broken = "the import broke off; look what there is before you try again";
            done.await.unwrap_or_else(|_| json!({"error": broken}))
        }
    }))
}

/// Imports to the end, whether or not somebody listens.
async fn work(
    service: Arc<Service>,
    caller: Caller,
    import: Import,
    rows: Vec<Row>,
    steps: Steps,
) -> Value {
    let step = |what: &'static str| {
        let steps = steps.clone();
        Box::new(move |done: u64, of: u64| {
            // Who passes it on stays until the work is done.
            let _ = steps.send(json!({ what: done, "of": of }));
        })
    };
    let (checking, writing) = (step("checked"), step("written"));
    drop(steps);
    let count = rows.len();
    let outcome = service.import_tokens(&caller, &import, rows, checking, writing).await;
    match &outcome {
        Ok(done) => {
            let Imported { rows, tokens, wrong, .. } = done;
            let dry_run = import.dry_run;
            tracing::info!(rows, tokens, skipped = done.skipped(), wrong, dry_run, "imported");
        }
        Err(error) => {
            let error = loggable(&error.to_string());
            tracing::error!(rows = count, error, "an import failed");
        }
    }
    view(&import, outcome)
}

fn view(import: &Import, outcome: Result<Imported, ServiceError>) -> Value {
    let imported = match outcome {
        Ok(imported) => imported,
        Err(error) => return json!({"error": error.to_string()}),
    };
    let skipped = imported.skipped.iter().map(|(skip, rows)| {
        let mut told = json!({
            "reason": skip.code(),
            "message": skip.message(),
            "count": rows.count,
            "lines": rows.lines,
        });
        if !rows.tokens.is_empty() {
            told["tokens"] = json!(rows.tokens);
        }
        told
    });
    let mistakes = imported.mistakes.iter().map(
        |mistake| json!({"line": mistake.line, "field": mistake.field, "message": mistake.message}),
    );
    json!({
        "api": import.api,
        "dry_run": import.dry_run,
        "rows": imported.rows,
        "imported": imported.tokens,
        "skipped": skipped.collect::<Vec<_>>(),
        "wrong": imported.wrong,
        "mistakes": mistakes.collect::<Vec<_>>(),
    })
}

fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Takes a body apart as it comes, so that not all of it is in memory twice.
struct Reader {
    body: Body,
    /// What has come and has not been read, from `at` on.
    held: Vec<u8>,
    at: usize,
    line: u32,
    size: usize,
    ended: bool,
}

impl Reader {
    fn new(body: Body) -> Self {
        Self { body, held: Vec::new(), at: 0, line: 0, size: 0, ended: false }
    }

    /// The next line that is not empty, and its number; none at the end.
    async fn line<T: DeserializeOwned>(&mut self) -> Result<Option<(u32, T)>, Problem> {
        loop {
            let Some(text) = self.text().await? else { return Ok(None) };
            let text = &self.held[text];
            if text.trim_ascii().is_empty() {
                continue;
            }
            let line = self.line;
            let value = extract::read_json(text).map_err(|problem| Problem {
                detail: format!("line {line}: {}", problem.detail),
                ..problem
            })?;
            return Ok(Some((line, value)));
        }
    }

    /// Where the next line is held.
    async fn text(&mut self) -> Result<Option<std::ops::Range<usize>>, Problem> {
        let mut searched = self.at;
        loop {
            let end = self.held[searched..].iter().position(|byte| *byte == b'\n');
            let (end, next) = match end {
                Some(end) => (searched + end, searched + end + 1),
                None => (self.held.len(), self.held.len()),
            };
            if end - self.at > LINE {
                let line = self.line + 1;
                return Err(too_large(format!("line {line} is longer than {LINE} bytes")));
            }
            let unfinished = end - self.at;
            if end != next || !self.fill().await? {
                let text = self.at..end;
                if next == end && text.is_empty() {
                    return Ok(None);
                }
                self.at = next;
                self.line += 1;
                return Ok(Some(text));
            }
            searched = unfinished;
        }
    }

    /// Takes in more, whereupon what is held begins at 0; false at the end.
    async fn fill(&mut self) -> Result<bool, Problem> {
        let broken = |_| Problem::bad_request("the body did not arrive whole");
        while !self.ended {
            let Some(frame) = self.body.frame().await.transpose().map_err(broken)? else {
                self.ended = true;
                break;
            };
            let Ok(data) = frame.into_data() else { continue };
            self.size += data.len();
            if self.size > SIZE {
                return Err(too_large(format!("the body is larger than {SIZE} bytes")));
            }
            self.held.drain(..self.at);
            self.at = 0;
            self.held.extend_from_slice(&data);
            return Ok(true);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::channel::Channel;
    use std::convert::Infallible;

    /// Sends `text` in pieces of `size` bytes and reads it.
    async fn read(text: &str, size: usize) -> Result<Vec<(u32, Value)>, Problem> {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        let pieces: Vec<Bytes> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        tokio::spawn(async move {
            for piece in pieces {
                if sender.send_data(piece).await.is_err() {
                    break;
                }
            }
        });
        let mut reader = Reader::new(Body::new(body));
        let mut found = Vec::new();
        while let Some(line) = reader.line().await? {
            found.push(line);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn lines_are_found_however_they_arrive() {
        let text = "{\"a\": 1}\n\n  \r\n{\"b\": \"ä\"}\r\n{\"c\": 3}";
        for size in 1..=text.len() {
            let found = read(text, size).await.unwrap();
            let expected = [(1, json!({"a": 1})), (4, json!({"b": "ä"})), (5, json!({"c": 3}))];
            assert_eq!(found, expected, "{size}");
        }
        assert_eq!(read("", 1).await.unwrap(), []);
        assert_eq!(read("\n\n", 1).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_with_its_line() {
        let problem = read("{}\n{\"digest\": hunter2}\n", 3).await.unwrap_err();
        assert!(problem.detail.starts_with("line 2: the body is not JSON"), "{problem:?}");
        assert!(!problem.detail.contains("hunter"), "{problem:?}");
        let long = format!("{{}}\n{}", "x".repeat(LINE + 1));
        for size in [7, 1000, long.len()] {
            let problem = read(&long, size).await.unwrap_err();
            assert_eq!(problem.detail, format!("line 2 is longer than {LINE} bytes"));
        }
    }
}

//! The servers that the doors are measured beside.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use counterfoil_bench::made::Mint;
use counterfoil_core::token::Digest;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    convert::Infallible,
    fs,
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
};
use tokio::net::TcpListener;

/// Answers every request with nothing.
pub(crate) fn empty(port: u16) -> Result<()> {
    serve(port, |_| async { Response::new(Full::default()) })
}

/// The same, having verified a signature of as many bytes as an access token has.
pub(crate) fn signature(port: u16) -> Result<()> {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).ok().context("a key")?;
    let signed = [b'x'; 500];
    let signature = Arc::new(key.sign(&signed));
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref().to_vec());
    serve(port, move |_| {
        let verified = public.verify(black_box(&signed), black_box((*signature).as_ref()));
        let status = verified.map_or(StatusCode::UNAUTHORIZED, |()| StatusCode::OK);
        async move {
            let mut response = Response::new(Full::default());
            *response.status_mut() = status;
            response
        }
    })
}

/// Reads what `POST /v1/verify` and its batch read, and writes as many bytes as they write.
pub(crate) fn json(port: u16, answer: &Path, tokens: u64) -> Result<()> {
    let text = fs::read(answer).with_context(|| answer.display().to_string())?;
    let mover = Arc::new(Mover {
        answer: serde_json::from_slice(&text).context("the answer to imitate")?,
        known: known(tokens)?,
    });
    serve(port, move |request| {
        let mover = mover.clone();
        async move { mover.answer(request).await }
    })
}

struct Mover {
    answer: Answer,
    known: HashMap<[u8; 32], u64, BuildHasherDefault<FirstEight>>,
}

/// As `POST /v1/verify` reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    api: &'a str,
    #[serde(borrow)]
    headers: Fields<'a>,
    method: Option<&'a str>,
    path: Option<&'a str>,
    client_address: Option<&'a str>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    authorization: &'a str,
}

#[derive(Deserialize)]
struct Questions<'a> {
    #[serde(borrow)]
    items: Vec<Question<'a>>,
}

/// As `POST /v1/verify` writes it.
#[derive(Serialize, Deserialize)]
struct Answer {
    active: bool,
    token: String,
    account: String,
    organization: String,
    role: Option<String>,
    scopes: Vec<String>,
    expires_at: Option<String>,
}

#[derive(Serialize)]
struct Answers<'a> {
    items: Vec<&'a Answer>,
}

impl Mover {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let batch = request.uri().path().ends_with("/batch");
        let moved = match request.into_body().collect().await {
            Ok(body) => self.moved(batch, &body.to_bytes()),
            Err(error) => Err(error.into()),
        };
        match moved {
            Ok(body) => {
                let mut response = Response::new(Full::new(Bytes::from(body)));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(error) => {
                let mut response = Response::new(Full::new(Bytes::from(error.to_string())));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        }
    }

    fn moved(&self, batch: bool, body: &[u8]) -> Result<Vec<u8>> {
        if !batch {
            let question: Question = serde_json::from_slice(body)?;
            black_box((question.api, question.method, question.path));
            black_box((question.client_address, question.headers.authorization));
            return Ok(serde_json::to_vec(&self.answer)?);
        }
        let questions: Questions = serde_json::from_slice(body)?;
        let find = |question: &Question| {
            let secret = question.headers.authorization.strip_prefix("Bearer ");
            let digest = Digest::of(secret.context("no bearer")?);
            self.known.get(digest.as_bytes()).map(|_| &self.answer).context("unknown")
        };
        let items = questions.items.iter().map(find).collect::<Result<_>>()?;
        Ok(serde_json::to_vec(&Answers { items })?)
    }
}

fn known(tokens: u64) -> Result<HashMap<[u8; 32], u64, BuildHasherDefault<FirstEight>>> {
    let mint = Mint::new()?;
    Ok((0..tokens).map(|number| (*mint.secret(number).digest().as_bytes(), number)).collect())
}

/// Serves on one thread, as every server under test has one processor.
fn serve<A>(
    port: u16,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
) -> Result<()>
where
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new());
            tokio::spawn(async move {
                // A client that goes away ends its own connection only.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

/// Digests are random already: their first bytes are their hash.
#[derive(Default)]
struct FirstEight(u64);

impl Hasher for FirstEight {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

//! An upstream that remembers what reached it.

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::{self, IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, runtime::Runtime};

/// Where nobody listens: no program that wants to be found takes this port.
pub const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// The fields by which an upstream learns who calls.
const IDENTITY: [&str; 5] = [
    "x-counterfoil-account",
    "x-counterfoil-organization",
    "x-counterfoil-role",
    "x-counterfoil-scopes",
    "x-counterfoil-token-id",
];

/// A request that reached the upstream.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    /// Path and query, as they stood in the request line.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Whom the upstream was told that a request came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    pub token: String,
    pub account: String,
    pub organization: String,
    pub role: String,
    pub scopes: String,
}

impl Received {
    /// Every value of a header, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Who calls. All fields have to be there once, and no other that could pass for one.
    #[track_caller]
    pub fn identity(&self) -> Identity {
        let reads_as = |name: &str| name.replace('_', "-").to_ascii_lowercase();
        let mut names: Vec<String> = self
            .headers
            .iter()
            .map(|(name, _)| name.as_str().to_owned())
            .filter(|name| reads_as(name).starts_with("x-counterfoil"))
            .collect();
        names.sort_unstable();
        assert_eq!(names, IDENTITY, "{self:?}");
        let [account, organization, role, scopes, token] =
            IDENTITY.map(|name| self.values(name)[0].to_owned());
        Identity { token, account, organization, role, scopes }
    }

    /// Whether `text` occurs anywhere in it.
    pub fn holds(&self, text: &str) -> bool {
        let is_in = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        is_in(self.target.as_bytes())
            || self.headers.values().any(|value| is_in(value.as_bytes()))
            || is_in(&self.body)
    }
}

type Answer = dyn Fn(&Received) -> Response<Full<Bytes>> + Send + Sync;

/// An upstream on a port of its own, until the test lets go of it.
pub struct Upstream {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    _runtime: Runtime,
}

impl Upstream {
    /// One that answers everything with `upstream says: METHOD TARGET`.
    pub fn start() -> Self {
        Self::answering(says)
    }

    /// One that answers as `answer` has it.
    pub fn answering(
        answer: impl Fn(&Received) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::answering_on(net::TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    /// One like the first, that listens here.
    pub fn on(listener: net::TcpListener) -> Self {
        Self::answering_on(listener, says)
    }

    fn answering_on(
        listener: net::TcpListener,
        answer: impl Fn(&Received) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = runtime.block_on(async { TcpListener::from_std(listener) }).unwrap();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        runtime.spawn(serve(listener, received.clone(), Arc::new(answer)));
        Self { address, received, _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has reached it since somebody last asked.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    /// The one request that has reached it since somebody last asked.
    #[track_caller]
    pub fn take_one(&self) -> Received {
        let mut received = self.take();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }
}

fn says(received: &Received) -> Response<Full<Bytes>> {
    let text = format!("upstream says: {} {}", received.method, received.target);
    Response::new(Full::from(text))
}

async fn serve(listener: TcpListener, received: Arc<Mutex<Vec<Received>>>, answer: Arc<Answer>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (received, answer) = (received.clone(), answer.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (received, answer) = (received.clone(), answer.clone());
            async move {
                let request = read(request).await;
                let response = answer(&request);
                received.lock().unwrap().push(request);
                Ok::<_, Infallible>(response)
            }
        });
        // A client that goes away in the middle is none of the upstream's business.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn read(request: Request<Incoming>) -> Received {
    let (head, body) = request.into_parts();
    Received {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
    }
}

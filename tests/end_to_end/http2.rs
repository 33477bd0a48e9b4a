//! HTTP/2: what it is to an upstream that speaks HTTP/1.1, and what it may not be.

mod floods;
mod frames;
mod requests;
mod smuggling;

use crate::{installation::Installation, server::Server};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
};

/// A gateway with an API that is open to everybody, under `/open` and under a host.
fn serve(upstream: SocketAddr) -> Server {
    let api = |name: &str, more: &str| {
        format!(
            "[api.{name}]\nupstream = \"http://{upstream}\"\nroutes = [\"* /** -> anonymous\"]\n{more}\n"
        )
    };
    let hosted = api("hosted", "mount = { host = \"api.example.com\" }");
    Installation::new(&(api("open", "") + &hosted)).start()
}

/// A client that keeps one connection, and knows beforehand what is spoken.
struct Client {
    runtime: Runtime,
    requests: SendRequest<Full<Bytes>>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let requests = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (requests, connection) =
                handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            requests
        });
        Self { runtime, requests }
    }

    /// The answer to a request that need not be in order.
    fn send(&self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Bytes>> {
        let mut requests = self.requests.clone();
        self.runtime.block_on(async move {
            let (head, body) = requests.send_request(request).await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        })
    }
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::builder().uri(uri).body(Full::default()).unwrap()
}

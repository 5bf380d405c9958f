//! A connection that is kept: one request after the other, each answer read whole.

use std::net::SocketAddr;
use std::pin::Pin;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) struct Client {
    sender: SendRequest<Body>,
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
}

pub(crate) struct Answer {
    status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("the issuer listens");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection");
        Self {
            sender,
            connection: Box::pin(connection),
        }
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut request = Request::post(path)
            .header("host", "issuer.test")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_string())).expect("sound");
        let sender = &mut self.sender;
        let exchange = async {
            sender.ready().await.expect("kept alive");
            let response = sender.send_request(request).await.expect("an answer");
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(Body::new(body), usize::MAX).await;
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.expect("whole").to_vec(),
            }
        };
        tokio::select! {
            answer = exchange => answer,
            ended = &mut self.connection => panic!("the issuer closed the connection: {ended:?}"),
        }
    }
}

impl Answer {
    /// The body of an answer that must have `status`: a failed request is no fast one.
    pub(crate) fn expect(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

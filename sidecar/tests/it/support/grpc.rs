//! A gRPC client that knows Protocol Buffers as bytes: it writes and reads fields by their
//! numbers, so that a wrong number in the sidecar is not wrong here too.

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// One field of a message: its number and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Number(u32, u64),
    Bytes(u32, Vec<u8>),
}

/// The bytes of a message.
pub(crate) fn message(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        match field {
            Field::Number(number, value) => {
                varint(&mut bytes, u64::from(number << 3));
                varint(&mut bytes, *value);
            }
            Field::Bytes(number, value) => {
                varint(&mut bytes, u64::from(number << 3 | 2));
                varint(&mut bytes, value.len() as u64);
                bytes.extend_from_slice(value);
            }
        }
    }
    bytes
}

/// The fields of a message, in their order.
pub(crate) fn fields(mut bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = read_varint(&mut bytes);
        let number = u32::try_from(key >> 3).expect("a field number");
        fields.push(match key & 7 {
            0 => Field::Number(number, read_varint(&mut bytes)),
            2 => {
                let length = usize::try_from(read_varint(&mut bytes)).expect("a length");
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(number, value.to_vec())
            }
            other => panic!("no field here has the wire type {other}"),
        });
    }
    fields
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let (byte, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// One answer: its head, its one message if there is one, and the status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http_status: u16,
    pub(crate) status: Option<String>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The message of a call that went well.
    #[track_caller]
    pub(crate) fn message(&self) -> &[u8] {
        assert_eq!((self.http_status, self.status.as_deref()), (200, Some("0")));
        let (prefix, message) = self.body.split_at(5);
        assert_eq!(prefix[0], 0, "it is not compressed");
        let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes"));
        assert_eq!(length as usize, message.len());
        message
    }
}

/// Calls on a connection each, as Envoy names itself.
pub(crate) struct GrpcClient {
    pub(crate) port: u16,
}

impl GrpcClient {
    /// Calls `path` with one message.
    pub(crate) fn call(&self, path: &str, message: &[u8]) -> Answer {
        let length = u32::try_from(message.len()).expect("a small message");
        let frame = [&[0], length.to_be_bytes().as_slice(), message].concat();
        self.send(path, "application/grpc", frame)
    }

    /// Sends `body` as it is.
    pub(crate) fn send(&self, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        let request = Request::post(format!("http://queue_sidecar{path}"))
            .version(Version::HTTP_2)
            .header("content-type", content_type)
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await;
            let io = TokioIo::new(stream.expect("the sidecar accepts"));
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .expect("it speaks HTTP/2");
            let call = async {
                let response = sender.send_request(request).await.expect("it answers");
                let http_status = response.status().as_u16();
                let in_head = status(response.headers());
                let body = response.into_body().collect().await.expect("a body");
                let in_trailers = body.trailers().and_then(status);
                Answer {
                    http_status,
                    status: in_head.or(in_trailers),
                    body: body.to_bytes(),
                }
            };
            tokio::select! {
                answer = call => answer,
                ended = connection => panic!("it hung up: {ended:?}"),
            }
        })
    }
}

fn status(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?;
    Some(status.to_str().expect("a number").to_owned())
}

//! Frame: one unary call's body → its message, and back.

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full};
use prost::Message;

use crate::problem::{EdgeCode, Problem};
use crate::routes::body::collect;

/// The one message of a call.
///
/// # Errors
/// `request_unsupported_media_type` where it is no gRPC in Protocol Buffers; `request_too_large`;
/// `request_malformed` where it is not exactly one message, uncompressed, of this type.
pub(super) async fn receive<M: Message + Default>(head: &Parts, body: Body) -> Result<M, Problem> {
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return Err(EdgeCode::RequestUnsupportedMediaType.into());
    };
    if only != GRPC && only != "application/grpc+proto" {
        return Err(EdgeCode::RequestUnsupportedMediaType.into());
    }
    let body = collect(body, MAX_MESSAGE).await?;
    message(&body).ok_or_else(|| EdgeCode::RequestMalformed.into())
}

fn message<M: Message + Default>(body: &Bytes) -> Option<M> {
    let [0, length @ ..] = *body.first_chunk::<PREFIX>()? else {
        return None;
    };
    let message = body.slice(PREFIX..);
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if message.len() != length {
        return None;
    }
    M::decode(message).ok()
}

/// The answer of a call that went well.
pub(super) fn reply(message: &impl Message) -> Response<Body> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("an answer is far below 4 GiB"));
    message
        .encode(&mut frame)
        .expect("the buffer grows as it must");
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

/// The answer of a call that has none: a status alone.
pub(super) fn fail(status: Status, message: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(STATUS, HeaderValue::from(status as u16));
    headers.insert(MESSAGE, HeaderValue::from_static(message));
    response
}

/// The statuses we answer with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Status {
    Ok = 0,
    InvalidArgument = 3,
    NotFound = 5,
    PermissionDenied = 7,
    Unavailable = 14,
    Unauthenticated = 16,
}

const GRPC: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Bytes. Envoy bounds the head of a request to 60 KiB; more is room for a body, which we do not
/// need and which Envoy sends only where it is told to.
const MAX_MESSAGE: usize = 1024 * 1024;

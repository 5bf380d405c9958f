//! `grpc.health.v1.Health/Check`: whether a token could be judged now.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use axum::extract::State;
use http::{Request, Response};

use super::frame::{self, Status};
use super::is_call;
use super::messages::{Health, HealthRequest, HealthResponse};
use crate::problem::EdgeCode;
use crate::shared::Shared;

pub(crate) async fn health(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    if !is_call(&head) {
        return shared.refuse(EdgeCode::RouteNotFound);
    }
    let asked = shared.in_time(frame::receive::<HealthRequest>(&head, body));
    match asked.await {
        Some(Ok(asked)) if SERVICES.contains(&asked.service.as_str()) => {
            let is_serving = shared.is_ready() && !shared.is_draining.load(Relaxed);
            let status = match is_serving {
                true => Health::Serving,
                false => Health::NotServing,
            };
            frame::reply(&HealthResponse {
                status: status.into(),
            })
        }
        Some(Ok(_)) => frame::fail(Status::NotFound, "there is no such service"),
        Some(Err(_)) => frame::fail(Status::InvalidArgument, "expected one HealthCheckRequest"),
        None => frame::fail(Status::Unavailable, "the request did not arrive in time"),
    }
}

/// The process, and what it serves.
const SERVICES: [&str; 2] = ["", "envoy.service.auth.v3.Authorization"];

//! `POST /v1/validate/batch`: many tokens and what is asked of each → a session or a problem for
//! each, in their order.
//!
//! A batch takes one place among the requests in flight, as it judges one token at a time and is
//! never on two threads: it costs others no more at any moment than a single request does, and
//! after each token it lets them go first.
//!
//! **Invariant:** a token that has to wait for keys holds up no other of its batch.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::extract::State;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response};
use queue_verifier::Session;
use serde::Serialize;

use super::body::Taken;
use super::{JSON, ok, without_query};
use crate::bearer;
use crate::problem::{EdgeCode, Problem};
use crate::shared::Shared;
use crate::wire::BatchRequest;

type Verdict = Result<Session, Problem>;

pub(crate) async fn batch(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let mut verdicts = None;
    match shared.in_time(judge(&shared, request, &mut verdicts)).await {
        Some(Err(problem)) => return shared.refuse(problem),
        Some(Ok(())) => {}
        None if verdicts.is_none() => return shared.refuse(EdgeCode::RequestTimeout),
        None => {}
    }
    // Out of time, each token that was judged keeps its verdict.
    let verdicts = verdicts.unwrap_or_default().into_iter();
    let results = verdicts
        .map(|verdict| Entry::new(&shared, verdict))
        .collect();
    match serde_json::to_vec(&Answer { results }) {
        Ok(body) => ok(JSON, body),
        Err(_) => shared.refuse(EdgeCode::Internal),
    }
}

async fn judge(
    shared: &Shared,
    request: Request<Body>,
    verdicts: &mut Option<Vec<Option<Verdict>>>,
) -> Result<(), Problem> {
    let _place = shared.admit()?;
    let (head, body) = request.into_parts();
    without_query(&head)?;
    if bearer::authorization(&head.headers)?.is_some() {
        let problem = Problem::from(EdgeCode::BearerMalformed);
        return Err(problem.because("expected the tokens in the body alone"));
    }
    let body = Taken::BATCH.read(&head, body).await?;
    let asked = BatchRequest::parse(&body)?;
    let verdicts = verdicts.insert(Vec::new());
    verdicts.resize_with(asked.tokens.len(), || None);
    judge_all(shared, &asked, verdicts).await;
    Ok(())
}

async fn judge_all(shared: &Shared, asked: &BatchRequest<'_>, verdicts: &mut [Option<Verdict>]) {
    let mut waiting = FuturesUnordered::new();
    for (at, token) in asked.tokens.iter().enumerate() {
        let mut judged = Box::pin(shared.judge(token.as_bytes(), &asked.require));
        let first = poll_fn(|context| Poll::Ready(judged.as_mut().poll(context))).await;
        match first {
            Poll::Ready(verdict) => verdicts[at] = Some(verdict),
            Poll::Pending => waiting.push(async move { (at, judged.await) }),
        }
        tokio::task::yield_now().await;
    }
    while let Some((at, verdict)) = waiting.next().await {
        verdicts[at] = Some(verdict);
    }
}

#[derive(Serialize)]
struct Answer {
    results: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Entry {
    Session(Session),
    Problem(Problem),
}

impl Entry {
    fn new(shared: &Shared, verdict: Option<Verdict>) -> Self {
        match verdict {
            Some(Ok(session)) => Self::Session(session),
            Some(Err(problem)) => Self::Problem(problem),
            None => {
                shared.count_refusal(EdgeCode::DeadlineExceeded);
                Self::Problem(EdgeCode::DeadlineExceeded.into())
            }
        }
    }
}

//! Requests that change something: their body, their idempotency key, and the reply they may have
//! been given before.

use crate::auth::Caller;
use crate::body;
use crate::idempotency;
use crate::problem::Problem;
use crate::reply;
use crate::state::AppState;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use std::time::Duration;
use tollgate_engine::request::IdempotencyKey;
use tollgate_engine::{Answer, EngineError};

/// A request that changes something, read whole.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) body: Bytes,
    pub(crate) key: Option<IdempotencyKey>,
}

impl Submission {
    /// Reads a request whose body is required.
    pub(crate) fn read(
        state: &AppState,
        request: Request,
    ) -> impl Future<Output = Result<Self, Problem>> + Send + use<> {
        let (parts, incoming) = request.into_parts();
        let time_max = state.body_timeout();
        async move {
            body::require_json(&parts.headers)?;
            Self::collect(time_max, &parts, incoming).await
        }
    }

    /// Reads a request that may come without a body.
    pub(crate) async fn read_optional(state: &AppState, request: Request) -> Result<Self, Problem> {
        let (parts, incoming) = request.into_parts();
        let submission = Self::collect(state.body_timeout(), &parts, incoming).await?;
        if !submission.body.is_empty() {
            body::require_json(&parts.headers)?;
        }
        Ok(submission)
    }

    async fn collect(
        time_max: Duration,
        parts: &http::request::Parts,
        incoming: axum::body::Body,
    ) -> Result<Self, Problem> {
        crate::query::Params::parse(parts.uri.query(), &[])?;
        let body = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, time_max).await?;
        let key = idempotency::of(&parts.headers, &parts.method, parts.uri.path(), &body)?;
        Ok(Self { body, key })
    }

    /// The body's shape; the default if there is no body, or `null`.
    pub(crate) fn parse_optional<'a, T>(&'a self) -> Result<T, Problem>
    where
        T: Deserialize<'a> + Default,
    {
        if self.body.is_empty() {
            return Ok(T::default());
        }
        Ok(body::parse::<Option<T>>(&self.body)?.unwrap_or_default())
    }
}

/// Answers with what the engine said. A refusal gives way to the reply that was given before under
/// the same key: what was right once (a card before it expired) is not asked again.
pub(crate) async fn answer(
    state: &AppState,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
    said: Result<Answer, EngineError>,
) -> Result<Response, Problem> {
    settled(state, caller, key, said).await.map(reply::answered)
}

/// The same before it is a reply.
pub(crate) async fn settled(
    state: &AppState,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
    said: Result<Answer, EngineError>,
) -> Result<Answer, Problem> {
    match said {
        Ok(answer) => Ok(answer),
        // What was done under the key, if anything, is exactly what these tell.
        Err(
            error @ (EngineError::KeyMismatch
            | EngineError::KeyInFlight
            | EngineError::Overloaded
            | EngineError::Store(_)),
        ) => Err(error.into()),
        Err(error) => Box::pin(given_before(state, caller, key, error.into())).await,
    }
}

/// The reply that was given before, in the place of a refusal; the refusal if there is none.
pub(crate) async fn given_before(
    state: &AppState,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
    problem: Problem,
) -> Result<Answer, Problem> {
    let Some(key) = key else {
        return Err(problem);
    };
    match state.engine().replay(caller.id(), key).await? {
        Some(reply) => Ok(Answer::again(reply)),
        None => Err(problem),
    }
}

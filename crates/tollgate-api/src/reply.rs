//! Replies: JSON bytes with the right headers.

use crate::codes;
use crate::idempotency::REPLAYED_HEADER;
use crate::json;
use crate::problem::{self, Problem};
use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::time::Duration;
use tollgate_engine::Answer;
use tollgate_store::commit::StoredReply;

/// Most replies are no longer.
const BODY_BYTES_USUAL: usize = 1_024;

/// Most replies have no more headers.
const HEADERS_USUAL: usize = 16;

/// How long a reply's processor was waited for; what is left of the request's time is the gateway's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited(pub(crate) Duration);

/// JSON bytes of a reply.
///
/// # Errors
/// `internal_error` if the value cannot be serialised, which no view of this crate is.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let bytes = json::to_vec(value, BODY_BYTES_USUAL).map_err(|error| {
        tracing::error!(%error, "a reply cannot be serialised");
        Problem::new(&codes::INTERNAL)
    })?;
    Ok(bytes_of(status, "application/json", bytes))
}

/// The reply the engine gives, now or again.
pub(crate) fn answered(answer: Answer) -> Response {
    let mut response = stored(answer.reply, answer.replayed);
    if let Some(waited) = answer.waited {
        response.extensions_mut().insert(Waited(waited));
    }
    response
}

/// A remembered reply, to the byte.
pub(crate) fn stored(reply: StoredReply, replayed: bool) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let refused = status.is_client_error() || status.is_server_error();
    let media = if refused { problem::MEDIA_TYPE } else { "application/json" };
    let mut response = bytes_of(status, media, reply.body);
    if replayed {
        let name = HeaderName::from_static(REPLAYED_HEADER);
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    response
}

/// Bytes of a media type.
pub(crate) fn bytes_of(status: StatusCode, media: &'static str, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    // With those that every reply gets on its way out.
    response.headers_mut().reserve(HEADERS_USUAL);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

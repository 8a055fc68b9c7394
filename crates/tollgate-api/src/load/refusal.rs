//! What a refused request is answered: bytes that are there already, around its id.

use super::Class;
use crate::card_port;
use crate::codes;
use crate::finish::REQUEST_ID_HEADER;
use crate::problem::{MEDIA_TYPE, Problem};
use crate::request_id::RequestId;
use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Request, StatusCode};

/// Stands where the request's id goes.
const PLACE: &str = "@";

/// The bytes before and behind a request's id.
#[derive(Debug)]
pub(super) struct Refusal {
    before: Vec<u8>,
    behind: Vec<u8>,
}

impl Default for Refusal {
    fn default() -> Self {
        let detail = "the server refuses what it could not do in time";
        let body = Problem::new(&codes::OVERLOADED).because(detail).to_json(Some(PLACE));
        let place = body.iter().rposition(|byte| *byte == b'@').unwrap_or(body.len());
        let (before, behind) = body.split_at(place);
        Self { before: before.to_vec(), behind: behind.get(1..).unwrap_or_default().to_vec() }
    }
}

impl Refusal {
    /// The reply to a refused request.
    pub(super) fn of<B>(&self, request: &Request<B>, class: Class) -> Response {
        let id = RequestId::of(request.headers());
        let mut body = Vec::with_capacity(self.before.len() + id.as_str().len() + self.behind.len());
        body.extend_from_slice(&self.before);
        body.extend_from_slice(id.as_str().as_bytes());
        body.extend_from_slice(&self.behind);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(RETRY_AFTER, HeaderValue::from_static(class.retry_after_s()));
        headers.insert(REQUEST_ID_HEADER, id.to_header());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if request.uri().path() == card_port::PATH {
            // A page of another origin must be able to see that it may try again.
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        response
    }
}

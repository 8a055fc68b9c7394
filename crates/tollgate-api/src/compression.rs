//! Compression of replies, for callers that ask for it.
//!
//! A caller that says nothing of encodings, as most programs do, meets no compressor: of its long replies it is said that
//! others may get them in another form, and that is all.

use crate::codes;
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, VARY};
use http::{HeaderMap, HeaderValue};
use std::future::ready;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Replies of at least this many bytes are compressed.
const COMPRESS_BYTES_MIN: u64 = 1_024;

/// A stream of events would wait in the compressor.
fn is_wanted() -> impl Predicate {
    SizeAbove::new(COMPRESS_BYTES_MIN).and(NotForContentType::SSE)
}

/// What a caller said of encodings.
pub(crate) struct Accepted(Option<Box<Request>>);

impl Accepted {
    /// Of a request's headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(ACCEPT_ENCODING).iter().peekable();
        if values.peek().is_none() {
            return Self(None);
        }
        let mut request = Request::new(Body::empty());
        for value in values {
            request.headers_mut().append(ACCEPT_ENCODING, value.clone());
        }
        Self(Some(Box::new(request)))
    }

    /// A reply as this caller gets it.
    pub(crate) async fn apply(self, response: Response) -> Response {
        match self.0 {
            None => varied(response),
            Some(request) => Box::pin(compressed(*request, response)).await,
        }
    }
}

/// Says of a reply that others may get it compressed.
fn varied(mut response: Response) -> Response {
    let may_differ = !response.headers().contains_key(CONTENT_ENCODING)
        && !response.headers().contains_key(CONTENT_RANGE)
        && is_wanted().should_compress(&response);
    let headers = response.headers_mut();
    let is_said = |value: &HeaderValue| {
        let name = ACCEPT_ENCODING.as_str().as_bytes();
        value.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name))
    };
    if may_differ && !headers.get_all(VARY).iter().any(is_said) {
        headers.append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    }
    response
}

/// The compressor decides for callers that say what they take.
async fn compressed(request: Request, response: Response) -> Response {
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_wanted());
    let mut response = Some(response);
    let service = layer.layer(service_fn(move |_: Request| ready(response.take().ok_or(()))));
    match service.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        // It is asked once.
        Err(()) => Problem::new(&codes::INTERNAL).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;
    use http_body_util::BodyExt;

    fn long(headers: &[(http::HeaderName, &'static str)], bytes: usize) -> Response {
        let mut response = Response::new(Body::from("x".repeat(bytes)));
        for (name, value) in headers {
            response.headers_mut().append(name, HeaderValue::from_static(value));
        }
        response
    }

    /// Headers and body of a reply to a caller that says this, or nothing.
    async fn told(accepted: Option<&'static str>, response: Response) -> (u16, HeaderMap, usize) {
        let mut headers = HeaderMap::new();
        if let Some(accepted) = accepted {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        }
        let response = Accepted::of(&headers).apply(response).await;
        let (parts, body) = response.into_parts();
        (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().len())
    }

    #[tokio::test]
    async fn who_says_nothing_gets_what_the_compressor_would_give() {
        let shapes: [&[(http::HeaderName, &'static str)]; 6] = [
            &[(CONTENT_TYPE, "application/json")],
            &[(CONTENT_TYPE, "text/event-stream")],
            &[(CONTENT_ENCODING, "gzip")],
            &[(CONTENT_RANGE, "bytes 0-1/2")],
            &[(VARY, "origin, Accept-Encoding")],
            &[(VARY, "origin")],
        ];
        for shape in shapes {
            for bytes in [0, 1_023, 1_024, 5_000] {
                let (silent, identity) =
                    (told(None, long(shape, bytes)).await, told(Some("identity"), long(shape, bytes)).await);
                assert_eq!(silent, identity, "{shape:?} {bytes}");
            }
        }
    }

    #[tokio::test]
    async fn who_asks_gets_it_compressed() {
        let (_, headers, bytes) = told(Some("gzip"), long(&[], 5_000)).await;
        assert_eq!(
            (headers[CONTENT_ENCODING].as_bytes(), headers[VARY].as_bytes()),
            (&b"gzip"[..], &b"accept-encoding"[..])
        );
        assert!(bytes < 500, "{bytes}");
        let (status, headers, bytes) = told(Some("gzip"), long(&[], 100)).await;
        assert_eq!((status, headers.len(), bytes), (200, 0, 100));
        assert_eq!(told(Some("identity;q=0"), long(&[], 100)).await.0, 406);
    }
}

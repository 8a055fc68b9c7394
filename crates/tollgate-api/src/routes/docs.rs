//! `GET /docs`: the reference for people, made from the OpenAPI document.

use crate::docs_page;
use crate::reply;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, StatusCode};
use std::sync::LazyLock;

/// The page as sent; it does not change while the program runs.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| docs_page::render(&crate::openapi::document()).into());

/// The page brings its style along and needs nothing else: no script, no picture, no frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Reference for people
#[utoipa::path(
    get,
    path = "/docs",
    tag = "Operation",
    operation_id = "docs",
    responses((status = 200, body = String, content_type = "text/html", description = "A page without outside assets."))
)]
pub(crate) async fn docs() -> Response {
    let mut response = reply::bytes_of(StatusCode::OK, "text/html; charset=utf-8", PAGE.clone());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

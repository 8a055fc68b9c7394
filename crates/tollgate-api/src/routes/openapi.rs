//! `GET /openapi.json`: the description of this API, made from its code.

use crate::reply;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use std::sync::LazyLock;

/// The document as sent; it does not change while the program runs.
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&crate::openapi::document()).unwrap_or_default().into());

/// OpenAPI document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Operation",
    operation_id = "openapi",
    responses((status = 200, body = Object, content_type = "application/json", description = "OpenAPI 3.1."))
)]
pub(crate) async fn openapi() -> Response {
    reply::bytes_of(StatusCode::OK, "application/json", DOCUMENT.clone())
}

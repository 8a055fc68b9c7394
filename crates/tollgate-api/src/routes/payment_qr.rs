//! `GET /api/v1/payments/{id}/qr.svg` and `.png`: the code that a customer scans to pay.

use super::path::InPath;
use crate::auth::Caller;
use crate::codes;
use crate::problem::{PictureProblems, Problem};
use crate::qr_image::QrImage;
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::id::PaymentId;
use tollgate_core::outcome::NextAction;
use tollgate_core::payment::Payment;

/// A payment's QR code as SVG
///
/// Only a payment whose customer has to open or scan a UPI link has one; any other is answered with 409.
#[utoipa::path(
    get,
    path = "/api/v1/payments/{id}/qr.svg",
    tag = "Payments",
    operation_id = "get_payment_qr_svg",
    params(("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment.")),
    responses((status = 200, body = String, content_type = "image/svg+xml", description = "The picture."), PictureProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_payment_qr_svg(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (image, title) = read(&state, &caller, id, query.as_deref()).await?;
    Ok(reply::bytes_of(StatusCode::OK, "image/svg+xml", image.svg(&title)))
}

/// A payment's QR code as PNG
///
/// Only a payment whose customer has to open or scan a UPI link has one; any other is answered with 409.
#[utoipa::path(
    get,
    path = "/api/v1/payments/{id}/qr.png",
    tag = "Payments",
    operation_id = "get_payment_qr_png",
    params(("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment.")),
    responses((status = 200, body = Vec<u8>, content_type = "image/png", description = "The picture."), PictureProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_payment_qr_png(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (image, _) = read(&state, &caller, id, query.as_deref()).await?;
    let png = image.png().ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    Ok(reply::bytes_of(StatusCode::OK, "image/png", png))
}

async fn read(
    state: &AppState,
    caller: &Caller,
    id: PaymentId,
    query: Option<&str>,
) -> Result<(QrImage, String), Problem> {
    Params::parse(query, &[])?;
    let payment = state.engine().store().payment_view(caller.id(), id).await?;
    let payment = payment.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    image_of(&payment).ok_or_else(|| Problem::new(&codes::NO_QR_CODE))
}

/// The code of the link that a payment's customer has to open or scan, and its title.
pub(crate) fn image_of(payment: &Payment) -> Option<(QrImage, String)> {
    match payment.next_action.as_ref()? {
        NextAction::UpiIntent { uri } | NextAction::UpiQr { uri } => {
            Some((QrImage::of(uri)?, format!("UPI QR code to pay {}", payment.terms.amount)))
        }
        _ => None,
    }
}

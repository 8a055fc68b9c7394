//! `POST /api/v1/qr_codes`: a merchant's UPI code, to print or to show. Nothing is stored.

use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::methods::QrCodeBody;
use crate::problem::{AskProblems, Problem};
use crate::qr_image::QrImage;
use crate::query::Params;
use crate::reply;
use crate::schemas::methods::QrCodeSchema;
use crate::state::AppState;
use crate::validate;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// A merchant's UPI code in both of its forms.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QrCode)]
pub(crate) struct QrCodeView {
    /// Always `qr_code`.
    #[schema(value_type = String, example = "qr_code")]
    object: &'static str,
    /// `dynamic` if it has an amount, else `static`: then the customer types the amount.
    #[schema(value_type = String, example = "dynamic")]
    kind: &'static str,
    /// The UPI link, which any UPI app opens or scans.
    link: PictureView,
    /// The EMV payload (BharatQR), which UPI apps and card networks' apps scan.
    emv: PictureView,
}

/// A text and the code that holds it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QrPicture)]
pub(crate) struct PictureView {
    /// What the code holds.
    #[schema(example = "upi://pay?pa=shop@okbank&pn=Corner%20Shop&am=125.50&cu=INR")]
    payload: String,
    /// An SVG picture.
    svg: String,
    /// A PNG picture, in base64.
    #[schema(format = Byte)]
    png_base64: String,
}

/// Make a QR code
///
/// A code that pays straight to a UPI address of yours: static to print, or dynamic with an amount. Such payments go past
/// this gateway; to be told of a payment, begin one with `payment_method: qr` and show its code.
#[utoipa::path(
    post,
    path = "/api/v1/qr_codes",
    tag = "Methods",
    operation_id = "make_qr_code",
    request_body = QrCodeSchema,
    responses((status = 200, body = QrCodeView, description = "The code."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn make_qr_code(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let code = validate::methods::qr_code(body::parse::<QrCodeBody<'_>>(&bytes)?, &caller.merchant)?;
    let title = format!("UPI QR code of {}", code.name);
    let view = QrCodeView {
        object: "qr_code",
        kind: if code.is_dynamic { "dynamic" } else { "static" },
        link: picture(code.link, &title)?,
        emv: picture(code.emv, &title)?,
    };
    reply::json(StatusCode::OK, &view)
}

fn picture(payload: String, title: &str) -> Result<PictureView, Problem> {
    let drawn = QrImage::of(&payload).and_then(|image| Some((image.svg(title), image.png()?)));
    let (svg, png) = drawn.ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    Ok(PictureView { payload, svg, png_base64: STANDARD.encode(png) })
}

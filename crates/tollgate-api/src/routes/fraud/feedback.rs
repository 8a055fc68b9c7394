//! `GET /api/v1/fraud/feedback`: labelled payments, as the model's training reads them.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::server::Activity;
use crate::state::AppState;
use crate::views::risk::label_text;
use crate::views::text::Shown;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;
use std::io;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::payment::Payment;
use tollgate_core::risk::FEATURE_COUNT;
use tollgate_store::query::RiskList;
use utoipa::ToSchema;

/// Payments read at once.
const PAGE: usize = 500;

/// Most payments of one file.
const LINES_MAX: usize = 100_000;

/// One line: a labelled payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FraudFeedback)]
pub(crate) struct FeedbackView<'a> {
    /// Which.
    #[schema(value_type = String, pattern = "^pay_[0-9A-Za-z]{22}$")]
    payment_id: Shown<PaymentId>,
    /// What was known of it when it was scored, one byte a feature.
    #[schema(value_type = Vec<u8>)]
    features: &'a [u8],
    /// `fraud` or `genuine`.
    #[schema(value_type = String, example = "fraud")]
    label: &'static str,
    /// The score it had.
    #[schema(value_type = f64, example = 0.1234)]
    score: f64,
    /// The model that gave it.
    #[schema(value_type = String)]
    model: &'a str,
}

/// Export labelled payments
///
/// One JSON object a line, newest payment first, at most 100,000: the file that `tollgate fraud train --feedback` reads.
/// Payments that were not scored are left out.
#[utoipa::path(
    get,
    path = "/api/v1/fraud/feedback",
    tag = "Fraud",
    operation_id = "fraud_feedback",
    responses(
        (status = 200, body = FeedbackView, content_type = "application/x-ndjson", description = "Labelled payments."),
        QueryProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn feedback(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    Params::parse(request.uri().query(), &[])?;
    let held = request.extensions().get::<Activity>().map(Activity::hold);
    // A first page that cannot be read is a refusal; later ones break the reply off.
    let first = page(&state, caller.id(), None).await?;
    let (sender, channel) = Channel::<Bytes, io::Error>::new(2);
    // Fused: whoever compresses it asks once more after its end, and a channel must not be asked then.
    tokio::spawn(async move {
        send(&state, caller.id(), first, sender).await;
        drop(held);
    });
    Ok(reply::bytes_of(StatusCode::OK, "application/x-ndjson", Body::new(channel.fuse())))
}

async fn page(
    state: &AppState,
    merchant_id: MerchantId,
    before: Option<PaymentId>,
) -> Result<Vec<Payment>, Problem> {
    let store = state.engine().store();
    Ok(store.risk_payments(merchant_id, RiskList::Labelled, before, PAGE).await?)
}

async fn send(
    state: &AppState,
    merchant_id: MerchantId,
    mut payments: Vec<Payment>,
    mut sender: Sender<Bytes, io::Error>,
) {
    let mut sent = 0;
    while let Some(last) = payments.last().map(|payment| payment.id) {
        let text: String = payments.iter().filter_map(line).collect();
        sent += payments.len();
        if sender.send_data(Bytes::from(text)).await.is_err() || sent >= LINES_MAX {
            return;
        }
        payments = match page(state, merchant_id, Some(last)).await {
            Ok(next) => next,
            Err(_) => {
                sender.abort(io::Error::other("the store failed"));
                return;
            }
        };
    }
}

fn line(payment: &Payment) -> Option<String> {
    let assessment = &payment.terms.risk.as_ref()?.assessment;
    let features = assessment.features.as_slice();
    if features.len() != FEATURE_COUNT {
        return None;
    }
    let view = FeedbackView {
        payment_id: Shown(payment.id),
        features,
        label: label_text(payment.labelled_fraud?),
        score: f64::from(assessment.score.ten_thousandths()) / 10_000.0,
        model: &assessment.model,
    };
    let mut line = serde_json::to_string(&view).ok()?;
    line.push('\n');
    Some(line)
}

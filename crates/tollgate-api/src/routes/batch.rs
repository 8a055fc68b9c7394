//! `POST /api/v1/payments/batch`: takes many payments with one request.
//!
//! Each payment is read, checked, taken and answered as if it had come alone: what is wrong with one spoils no
//! other. What would make the whole unsafe to repeat (a payment without an idempotency key, two with the same)
//! is refused before anything begins.

mod keys;
mod places;

pub(crate) use places::Places;

use super::create;
use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::idempotency;
use crate::input::{BatchBody, PaymentBody};
use crate::load::Class;
use crate::problem::{CreateProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::schemas::batch::NewBatchSchema;
use crate::state::AppState;
use crate::views::batch::BatchView;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use keys::Item;
use places::Place;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_engine::Answer;

/// Most payments of one batch.
pub(crate) const ITEMS_MAX: usize = 1_000;

/// Most bytes of a batch's body.
pub(crate) const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How long a batch may go on beginning payments: callers and proxies do not wait for ever.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(120);

/// What can be chosen about batches.
#[derive(Debug, Clone, Copy)]
pub struct BatchOptions {
    /// Payments of one batch that are under way at once.
    pub items_at_once: usize,
    /// Batches under way at once in the whole server. One account has half of them at most.
    pub batches_max: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { items_at_once: 16, batches_max: 8 }
    }
}

/// Take up to 1,000 payments
///
/// Each payment is taken as by `POST /api/v1/payments` and has a result of its own, in the order sent; one that is refused
/// spoils no other. Every payment needs an idempotency key: its own `idempotency_key`, or the request's `Idempotency-Key`
/// and its place in the list. Repeat the whole batch after a lost connection: what was done is answered again, and not done
/// twice. If the caller goes away, payments under way are ended and the others not begun.
#[utoipa::path(
    post,
    path = "/api/v1/payments/batch",
    tag = "Payments",
    operation_id = "create_payment_batch",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        nullable = false,
        description = "The key of all payments that have none of their own; each has its place added to it.")),
    request_body = NewBatchSchema,
    responses(
        (status = 200, body = BatchView, description = "Every payment's result. Read each `status`."),
        CreateProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn create_batch(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    body::require_json(&parts.headers)?;
    Params::parse(parts.uri.query(), &[])?;
    let header = idempotency::of(&parts.headers, &parts.method, parts.uri.path(), &[])?;
    // Before the body is read: it is what takes the memory.
    let place = state.batches().begin(caller.id())?;
    let body = body::read(&parts.headers, incoming, BATCH_BYTES_MAX, state.body_timeout()).await?;
    let sheet = Arc::new(Sheet { body, _place: place });
    let read: BatchBody<'_> = body::parse_outside(&sheet.body)?;
    let raw = read.payments.ok_or_else(|| Problem::field("/payments", "is required"))?;
    if raw.is_empty() || raw.len() > ITEMS_MAX {
        return Err(Problem::field("/payments", "must have 1 to 1000 payments"));
    }
    let items = keys::items(&sheet.body, &raw, header.as_ref().map(|key| key.key.as_str()))?;
    let done = run(&state, &caller, &sheet, items).await;
    reply::json(StatusCode::OK, &BatchView::new(&done))
}

/// A batch's body, wiped when the last payment is through: it may hold cards. With it goes the batch's place.
struct Sheet {
    body: Bytes,
    _place: Place,
}

impl Drop for Sheet {
    fn drop(&mut self) {
        body::wipe(std::mem::take(&mut self.body));
    }
}

/// What became of one payment of a batch.
pub(crate) type Done = Result<Answer, Problem>;

/// Payments under way. When nobody waits for them any more, they end all the same.
#[derive(Default)]
struct UnderWay(JoinSet<(usize, Done)>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

/// Takes the payments, a few at a time, and tells what became of each.
async fn run(state: &AppState, caller: &Caller, sheet: &Arc<Sheet>, items: Vec<Item>) -> Vec<Done> {
    // What a task that broke down leaves.
    let mut done: Vec<Done> = items.iter().map(|_| Err(Problem::new(&codes::INTERNAL))).collect();
    let at_once = state.batch_options().items_at_once.max(1);
    let until = Instant::now() + BEGIN_TIME_MAX;
    let mut under_way = UnderWay::default();
    let mut settle = |ended: Result<(usize, Done), tokio::task::JoinError>| match ended {
        Ok((index, became)) => {
            if let Some(slot) = done.get_mut(index) {
                *slot = became;
            }
        }
        Err(error) => tracing::error!(%error, "a payment of a batch broke down"),
    };
    for (index, item) in items.into_iter().enumerate() {
        // With too much to do, one after another: single payments come first.
        while under_way.0.len() >= if state.load().is_full(Class::Bulk) { 1 } else { at_once }
            && let Some(ended) = under_way.0.join_next().await
        {
            settle(ended);
        }
        if Instant::now() >= until || state.lifecycle().is_stopping() {
            settle(Ok((index, Err(not_begun()))));
            continue;
        }
        let (state, caller, sheet) = (state.clone(), caller.clone(), Arc::clone(sheet));
        under_way.0.spawn(async move {
            let _under_way = state.load().join(Class::Bulk);
            let became = take(&state, &caller, &sheet.body, item).await;
            let pointer = format!("/payments/{index}");
            (index, became.map_err(|problem| problem.within(&pointer)))
        });
    }
    while let Some(ended) = under_way.0.join_next().await {
        settle(ended);
    }
    done
}

fn not_begun() -> Problem {
    Problem::new(&codes::OVERLOADED)
        .because("this payment was not begun; repeat the batch with the same keys")
}

/// Takes one payment.
async fn take(state: &AppState, caller: &Caller, body: &[u8], item: Item) -> Done {
    let checked = parse(body.get(item.place).unwrap_or_default())
        .and_then(|asked| create::checked(state, caller, asked));
    let asked = match checked {
        Ok(checked) => create::presented(state, caller, checked, None).await,
        Err(problem) => Err(problem),
    };
    create::take(state, caller, asked, Some(item.key)).await
}

/// Reads one payment as it was written. Its key was read before.
fn parse(text: &[u8]) -> Result<PaymentBody<'_>, Problem> {
    if text.len() > body::BODY_BYTES_MAX {
        let detail = format!("one payment may have at most {} bytes", body::BODY_BYTES_MAX);
        return Err(Problem::new(&codes::PAYLOAD_TOO_LARGE).because(detail));
    }
    let mut body: PaymentBody<'_> = body::parse(text)?;
    body.idempotency_key = None;
    Ok(body)
}

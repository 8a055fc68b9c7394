//! `GET /api/v1/payments/{id}`: one payment, with what belongs to it.

use super::path::InPath;
use crate::auth::Caller;
use crate::codes;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use crate::views::payment::{Expanded, PaymentView};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::payment::Payment;
use tollgate_store::Store;
use tollgate_store::error::StoreError;
use utoipa::ToSchema;

/// How often a payment that changes while it is read is read again.
const READ_AGAIN_MAX: usize = 4;

/// What can be shown with a payment.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum Expand {
    /// The calls to processors.
    Attempts,
    /// The refunds.
    Refunds,
    /// What was booked.
    LedgerEntries,
    /// The history.
    Events,
}

/// Read a payment
///
/// `expand` adds what belongs to it, as a list with commas: `?expand=attempts,refunds,ledger_entries,events`.
#[utoipa::path(
    get,
    path = "/api/v1/payments/{id}",
    tag = "Payments",
    operation_id = "get_payment",
    params(
        ("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment's id."),
        ("expand" = Option<Vec<Expand>>, Query, style = Form, explode = false, nullable = false,
            description = "What to show with it.")
    ),
    responses((status = 200, body = PaymentView, description = "The payment as it stands."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_payment(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["expand"])?;
    let wanted = Wanted::read(params.text("expand").unwrap_or_default())?;
    let store = state.engine().store();
    // What is expanded is read anew, and the payment with it: both are to fit.
    let payment = if wanted == Wanted::default() {
        store.payment_view(caller.id(), id).await?
    } else {
        store.payment(caller.id(), id).await?
    };
    let payment = payment.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let (payment, expanded) = fitting(state.engine().store().as_ref(), payment, wanted).await?;
    reply::json(StatusCode::OK, &PaymentView::expanded(&payment, &expanded))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wanted {
    attempts: bool,
    refunds: bool,
    ledger_entries: bool,
    events: bool,
}

impl Wanted {
    fn read(list: &str) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        for name in list.split(',').filter(|name| !name.is_empty()) {
            match name {
                "attempts" => wanted.attempts = true,
                "refunds" => wanted.refunds = true,
                "ledger_entries" => wanted.ledger_entries = true,
                "events" => wanted.events = true,
                _ => {
                    return Err(Problem::parameter(
                        "expand",
                        "may list attempts, refunds, ledger_entries and events",
                    ));
                }
            }
        }
        Ok(wanted)
    }
}

/// A payment with everything there is of it, as JSON.
pub(crate) async fn whole(store: &dyn Store, payment: Payment) -> Result<String, StoreError> {
    let wanted = Wanted { attempts: true, refunds: true, ledger_entries: true, events: true };
    let (payment, expanded) = fitting(store, payment, wanted).await?;
    serde_json::to_string(&PaymentView::expanded(&payment, &expanded))
        .map_err(|_| StoreError::Corrupt("payment"))
}

/// A payment with what was asked for, as both stood at one moment.
async fn fitting(
    store: &dyn Store,
    payment: Payment,
    wanted: Wanted,
) -> Result<(Payment, Expanded), StoreError> {
    if wanted == Wanted::default() {
        return Ok((payment, Expanded::default()));
    }
    let reads = StoreReads { store, merchant_id: payment.merchant_id, id: payment.id, wanted };
    at_one_moment(payment, &reads).await
}

/// How a payment and what belongs to it are read.
trait Reads {
    type Expanded;

    /// What belongs to the payment.
    fn expand(&self, payment: &Payment) -> impl Future<Output = Result<Self::Expanded, StoreError>> + Send;

    /// The payment, once more.
    fn again(&self) -> impl Future<Output = Result<Option<Payment>, StoreError>> + Send;
}

struct StoreReads<'a> {
    store: &'a dyn Store,
    merchant_id: MerchantId,
    id: PaymentId,
    wanted: Wanted,
}

impl Reads for StoreReads<'_> {
    type Expanded = Expanded;

    async fn expand(&self, payment: &Payment) -> Result<Expanded, StoreError> {
        expand(self.store, payment, self.wanted).await
    }

    async fn again(&self) -> Result<Option<Payment>, StoreError> {
        self.store.payment(self.merchant_id, self.id).await
    }
}

/// Reads what belongs to a payment between two reads of it that agree: each is a read of its own, and a change that comes
/// between them (a refund that fails, say) would be shown by the one and not by the other. Every change of what belongs to a
/// payment raises its version; an erasure, which only masks, does not.
async fn at_one_moment<R: Reads>(
    mut payment: Payment,
    reads: &R,
) -> Result<(Payment, R::Expanded), StoreError> {
    for _ in 0..READ_AGAIN_MAX {
        let expanded = reads.expand(&payment).await?;
        match reads.again().await? {
            Some(now) if now.version != payment.version => payment = now,
            _ => return Ok((payment, expanded)),
        }
    }
    // It changes faster than it can be read: the newest of each.
    let expanded = reads.expand(&payment).await?;
    Ok((payment, expanded))
}

async fn expand(store: &dyn Store, payment: &Payment, wanted: Wanted) -> Result<Expanded, StoreError> {
    let (merchant_id, id) = (payment.merchant_id, payment.id);
    let mut expanded = Expanded::default();
    if wanted.attempts {
        // A payment has a bounded number of attempts and refunds, so these loops are bounded.
        let mut attempts = Vec::with_capacity(payment.attempts.len());
        for attempt in &payment.attempts {
            attempts.extend(store.attempt(*attempt).await?);
        }
        expanded.attempts = Some(attempts);
    }
    if wanted.refunds {
        let mut refunds = Vec::with_capacity(payment.refunds.len());
        for refund in &payment.refunds {
            refunds.extend(store.refund(merchant_id, *refund).await?);
        }
        expanded.refunds = Some(refunds);
    }
    if wanted.ledger_entries {
        expanded.postings = Some(store.postings(merchant_id, id).await?);
    }
    if wanted.events {
        expanded.events = Some(store.history(merchant_id, id).await?);
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::payment::tests;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use tollgate_core::method::CaptureMode;

    #[test]
    fn expand_is_a_list_with_commas() {
        let wanted = Wanted::read("refunds,events").unwrap();
        assert!(wanted.refunds && wanted.events && !wanted.attempts && !wanted.ledger_entries);
        assert!(Wanted::read("").is_ok());
        assert_eq!(Wanted::read("refunds,card").unwrap_err().field_name(), Some("expand"));
    }

    /// A payment whose version is `versions[n]` when it is read for the n-th time. What belongs to it is read at the version
    /// that stands then.
    struct Changing<'a> {
        versions: &'a [u32],
        reads: AtomicUsize,
    }

    impl Changing<'_> {
        fn at(&self, read: usize) -> Payment {
            let mut payment = tests::payment(CaptureMode::Automatic);
            payment.version = self.versions[read.min(self.versions.len() - 1)];
            payment
        }
    }

    impl Reads for Changing<'_> {
        type Expanded = u32;

        async fn expand(&self, _payment: &Payment) -> Result<u32, StoreError> {
            Ok(self.at(self.reads.load(Relaxed) + 1).version)
        }

        async fn again(&self) -> Result<Option<Payment>, StoreError> {
            let read = self.reads.fetch_add(1, Relaxed) + 1;
            Ok(Some(self.at(read)))
        }
    }

    /// Which versions are shown together, and how often the payment was read again.
    async fn shown(versions: &[u32]) -> (u32, u32, usize) {
        let reads = Changing { versions, reads: AtomicUsize::new(0) };
        let (payment, expanded) = at_one_moment(reads.at(0), &reads).await.unwrap();
        (payment.version, expanded, reads.reads.load(Relaxed))
    }

    #[tokio::test]
    async fn what_is_shown_together_stood_at_one_moment() {
        assert_eq!(shown(&[1]).await, (1, 1, 1));
        // A refund that failed between two reads is not shown beside the payment from before.
        assert_eq!(shown(&[1, 2]).await, (2, 2, 2));
        assert_eq!(shown(&[1, 2, 3]).await, (3, 3, 3));
        // And one that never stops changing is shown all the same.
        let (_, _, reads) = shown(&(0..20).collect::<Vec<_>>()).await;
        assert_eq!(reads, READ_AGAIN_MAX);
    }
}

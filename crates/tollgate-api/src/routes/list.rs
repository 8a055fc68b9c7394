//! `GET /api/v1/payments`: pages of payments, by offset or by cursor.

use crate::auth::Caller;
use crate::codes;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::{CurrencySchema, MethodSchema, StatusSchema};
use crate::state::AppState;
use crate::validate;
use crate::views::payment::PaymentView;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::base62;
use tollgate_core::currency::Currency;
use tollgate_core::id::PaymentId;
use tollgate_core::method::MethodKind;
use tollgate_core::money::Money;
use tollgate_core::transition::PaymentStatus;
use tollgate_store::query::{LIMIT_MAX, OFFSET_MAX, PaymentFilter};
use utoipa::ToSchema;

/// Payments of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 20;

/// What a cursor begins with. Its rest is the last payment shown; callers must not rely on that.
const CURSOR_PREFIX: &str = "cur_";

const KNOWN: [&str; 14] = [
    "merchant_id",
    "user_id",
    "status",
    "payment_method",
    "processor",
    "currency",
    "created_from",
    "created_to",
    "amount_min",
    "amount_max",
    "limit",
    "offset",
    "cursor",
    "method",
];

/// A page of payments.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentList)]
pub(crate) struct PaymentListView<'a> {
    /// The payments, newest first. May be fewer than `limit` though there are more, when very many were looked through.
    data: Vec<PaymentView<'a>>,
    /// Whether there are more.
    has_more: bool,
    /// What to send as `cursor` for the next page.
    next_cursor: Option<String>,
}

/// List payments
///
/// Newest first. Conditions are joined by *and*. Go on with `next_cursor`, which stays right while payments are added, or
/// with `offset`.
#[utoipa::path(
    get,
    path = "/api/v1/payments",
    tag = "Payments",
    operation_id = "list_payments",
    params(
        ("merchant_id" = Option<String>, Query, pattern = "^mer_[0-9A-Za-z]{22}$", nullable = false,
            description = "Your account's id; any other is answered with 404."),
        ("user_id" = Option<String>, Query, min_length = 1, max_length = 128, nullable = false,
            pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", description = "Your id of your customer."),
        ("status" = Option<StatusSchema>, Query, nullable = false, description = "The status."),
        ("method" = Option<MethodSchema>, Query, nullable = false, description = "The method."),
        ("payment_method" = Option<MethodSchema>, Query, nullable = false, description = "Another spelling of `method`."),
        ("processor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{2,32}$", nullable = false,
            description = "The processor of the latest charge."),
        ("currency" = Option<CurrencySchema>, Query, nullable = false,
            description = "The currency; required with an amount."),
        ("created_from" = Option<String>, Query, format = DateTime, nullable = false, description = "Made at or after."),
        ("created_to" = Option<String>, Query, format = DateTime, nullable = false, description = "Made before."),
        ("amount_min" = Option<String>, Query, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?$", nullable = false,
            description = "At least this much, in decimal major units of `currency`."),
        ("amount_max" = Option<String>, Query, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?$", nullable = false,
            description = "At most this much."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false,
            description = "Payments wanted, 20 if not given."),
        ("offset" = Option<u32>, Query, minimum = 0, maximum = 100000, nullable = false,
            description = "Payments to skip. Deeper pages are reached by cursor."),
        ("cursor" = Option<String>, Query, pattern = "^cur_[0-9A-Za-z]{22}$", nullable = false,
            description = "`next_cursor` of the page before.")
    ),
    responses((status = 200, body = PaymentListView, description = "A page of payments."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_payments(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &KNOWN)?;
    let own = params.text("merchant_id").is_none_or(|id| id.parse() == Ok(caller.id()));
    if !own {
        return Err(Problem::new(&codes::NOT_FOUND).at("merchant_id"));
    }
    let currency = params.currency()?;
    let filter = filter(&params, currency)?;
    let page = state.engine().store().payments(caller.id(), filter).await?;
    let view = PaymentListView {
        data: page.payments.iter().map(PaymentView::new).collect(),
        has_more: page.next.is_some(),
        next_cursor: page.next.map(cursor_text),
    };
    reply::json(StatusCode::OK, &view)
}

fn filter(params: &Params<'_>, currency: Option<Currency>) -> Result<PaymentFilter, Problem> {
    let offset = params.count("offset", 0..=OFFSET_MAX)?.unwrap_or(0);
    let name = "must be 2 to 32 letters, digits, _ or -";
    let user = "must be 1 to 128 characters without control characters";
    let text = |text: &str| text.to_owned();
    let method = |name| params.read(name, "is not a known method", MethodKind::from_name);
    Ok(PaymentFilter {
        user_id: params.read("user_id", user, |id| validate::is_user_id(id).then(|| text(id)))?,
        status: params.read("status", "is not a known status", PaymentStatus::from_name)?,
        method: method("method")?.or(method("payment_method")?),
        processor: params.read("processor", name, |name| validate::is_word(name).then(|| text(name)))?,
        currency,
        created_from_ms: params.moment("created_from")?,
        created_to_ms: params.moment("created_to")?,
        amount_minor_min: amount(params, "amount_min", currency)?,
        amount_minor_max: amount(params, "amount_max", currency)?,
        before: params.read("cursor", "is not a cursor of this list", cursor_id)?,
        offset,
        limit: params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT),
    })
}

fn amount(
    params: &Params<'_>,
    name: &'static str,
    currency: Option<Currency>,
) -> Result<Option<i64>, Problem> {
    let Some(text) = params.text(name) else {
        return Ok(None);
    };
    let currency = currency.ok_or_else(|| Problem::parameter("currency", "is required with an amount"))?;
    if text.bytes().all(|byte| matches!(byte, b'0' | b'.')) && text.starts_with('0') {
        // As a bound nothing at all is a fair amount.
        return Ok(Some(0));
    }
    match Money::parse_major(text, currency) {
        Ok(money) => Ok(Some(money.minor)),
        Err(error) => Err(Problem::parameter(name, error.to_string())),
    }
}

fn cursor_text(id: PaymentId) -> String {
    let mut text = CURSOR_PREFIX.to_owned();
    base62::encode_into(id.as_u128(), &mut text);
    text
}

pub(crate) fn cursor_id(text: &str) -> Option<PaymentId> {
    text.strip_prefix(CURSOR_PREFIX).and_then(base62::decode).map(PaymentId::from_u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<PaymentFilter, Problem> {
        let params = Params::parse(Some(query), &KNOWN)?;
        filter(&params, params.currency()?)
    }

    #[test]
    fn cursors_round_trip() {
        let id = PaymentId::from_u128(u128::MAX / 7);
        assert_eq!(cursor_id(&cursor_text(id)), Some(id));
        for wrong in ["", "cur_", "pay_0NbrhPvkMxYDJYWqCuIRUT", "cur_0NbrhPvkMxYDJYWqCuIRU!"] {
            assert_eq!(cursor_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn conditions_reach_the_store() {
        let filter = read(
            "user_id=u1&status=completed&method=upi&processor=payu&created_from=1970-01-01T00:00:01Z\
             &amount_min=0.50&amount_max=10&currency=INR&limit=1000",
        )
        .unwrap();
        assert_eq!(filter.user_id.as_deref(), Some("u1"));
        assert_eq!((filter.status, filter.method), (Some(PaymentStatus::Completed), Some(MethodKind::Upi)));
        assert_eq!((filter.amount_minor_min, filter.amount_minor_max), (Some(50), Some(1_000)));
        assert_eq!((filter.created_from_ms, filter.created_to_ms), (Some(1_000), None));
        assert_eq!((filter.limit, filter.offset), (1_000, 0));
        assert_eq!(read("").unwrap().limit, LIMIT_DEFAULT);
        assert_eq!(read("amount_min=0&currency=JPY").unwrap().amount_minor_min, Some(0));
    }

    #[test]
    fn wrong_conditions_are_named() {
        for (query, field) in [
            ("limit=1001", "limit"),
            ("offset=100001", "offset"),
            ("status=done", "status"),
            ("method=cheque", "method"),
            ("user_id=", "user_id"),
            ("user_id=a%00b", "user_id"),
            ("created_to=yesterday", "created_to"),
            ("amount_min=1", "currency"),
            ("amount_max=0.001&currency=INR", "amount_max"),
            ("cursor=abc", "cursor"),
        ] {
            assert_eq!(read(query).unwrap_err().field_name(), Some(field), "{query}");
        }
    }
}

//! Refusals as the caller sees them: `application/problem+json` (RFC 9457) with a stable code.
//!
//! A handler returns a [`Problem`]; the outermost layer writes its body, because only that layer
//! knows the request's id. What a problem says is chosen here and in [`crate::codes`]: never the
//! text of an inner error, and never a value the caller sent.

use crate::codes::{self, Code};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tollgate_core::command::Refusal;
use tollgate_core::money::AmountError;
use tollgate_core::partner::NotAdmitted;
use tollgate_engine::EngineError;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Response as ResponseDoc, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// The media type of every refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A request that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: &'static Code,
    detail: Option<Cow<'static, str>>,
    field: Option<Cow<'static, str>>,
    retry_after_s: Option<u32>,
}

/// A problem as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Where this code is explained.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "/docs#error-amount_not_positive")]
    kind: Cow<'a, str>,
    /// A short sentence, the same for every problem of this code.
    #[schema(value_type = String)]
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong with this very request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    detail: Option<&'a str>,
    /// The stable code to program against.
    #[schema(value_type = String, example = "amount_not_positive")]
    code: &'a str,
    /// JSON pointer of the field, or name of the parameter or header, that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "/amount")]
    field: Option<&'a str>,
    /// The id to quote to support, also in `X-Request-Id`. Absent in a reply that is replayed, and in a batch's results.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    request_id: Option<&'a str>,
}

impl Problem {
    /// A problem of a code.
    #[must_use]
    pub const fn new(code: &'static Code) -> Self {
        Self { code, detail: None, field: None, retry_after_s: None }
    }

    /// A field of the body that is not valid.
    #[must_use]
    pub fn field(pointer: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(&codes::INVALID_FIELD).at(pointer).because(detail)
    }

    /// A query parameter that is not valid.
    #[must_use]
    pub fn parameter(name: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(&codes::INVALID_PARAMETER).at(name).because(detail)
    }

    /// Says what is wrong with this very request.
    #[must_use]
    pub fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says where: a JSON pointer, a parameter's or a header's name.
    #[must_use]
    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub const fn retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The problem of one thing in a list, seen from the whole body: what it says of a field is said of the
    /// field below `pointer`.
    #[must_use]
    pub fn within(mut self, pointer: &str) -> Self {
        let is_of_the_body = self.code == &codes::INVALID_FIELD;
        self.field = match self.field.as_deref() {
            Some("Idempotency-Key") => Some(Cow::Owned(format!("{pointer}/idempotency_key"))),
            Some(field) if field.starts_with('/') => Some(Cow::Owned(format!("{pointer}{field}"))),
            None if is_of_the_body => Some(Cow::Owned(pointer.to_owned())),
            _ => self.field,
        };
        self
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> &'static Code {
        self.code
    }

    /// The field it names.
    #[must_use]
    pub fn field_name(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The body, with the id of the request it answers.
    #[must_use]
    pub fn to_json(&self, request_id: Option<&str>) -> Vec<u8> {
        let body = ProblemBody {
            kind: Cow::Owned(format!("/docs#error-{}", self.code.name)),
            title: self.code.title,
            status: self.code.status,
            detail: self.detail.as_deref(),
            code: self.code.name,
            field: self.field.as_deref(),
            request_id,
        };
        // Text and numbers into memory: this cannot fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() =
            StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == &codes::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The outermost layer takes it out again and writes the body.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<AmountError> for Problem {
    fn from(error: AmountError) -> Self {
        let code = match error {
            AmountError::NotANumber => &codes::AMOUNT_INVALID,
            AmountError::NotPositive => &codes::AMOUNT_NOT_POSITIVE,
            AmountError::TooManyDigits => &codes::AMOUNT_TOO_MANY_DIGITS,
            AmountError::TooLarge => &codes::AMOUNT_TOO_LARGE,
        };
        Self::new(code).at("/amount")
    }
}

impl Problem {
    /// A payment that the partner's state, permissions or limits do not let in.
    fn not_admitted(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Suspended => Self::new(&codes::MERCHANT_SUSPENDED),
            NotAdmitted::LiveClosed => Self::new(&codes::LIVE_CLOSED),
            NotAdmitted::Method => Self::new(&codes::METHOD_NOT_OPEN).at("/payment_method"),
            NotAdmitted::Currency => Self::new(&codes::CURRENCY_NOT_OPEN).at("/currency"),
            NotAdmitted::Country => Self::new(&codes::CARD_COUNTRY_NOT_OPEN).at("/payment_method"),
            NotAdmitted::AboveTransactionLimit => Self::new(&codes::ABOVE_TRANSACTION_LIMIT).at("/amount"),
            NotAdmitted::AboveDayLimit => Self::new(&codes::ABOVE_DAY_LIMIT).at("/amount"),
            NotAdmitted::AboveMonthLimit => Self::new(&codes::ABOVE_MONTH_LIMIT).at("/amount"),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        let problem = match refusal {
            Refusal::NotFound => return Self::new(&codes::NOT_FOUND),
            // Two random ids met; the next try draws others.
            Refusal::IdTaken => return Self::new(&codes::OVERLOADED).retry_after_s(1),
            Refusal::CheckoutOver => Self::new(&codes::CONFLICT),
            Refusal::NotCapturable(_) => Self::new(&codes::PAYMENT_NOT_CAPTURABLE),
            Refusal::NotCancellable(_) => Self::new(&codes::PAYMENT_NOT_CANCELLABLE),
            Refusal::NotRefundable(_) => Self::new(&codes::PAYMENT_NOT_REFUNDABLE),
            Refusal::OperationInProgress => Self::new(&codes::OPERATION_IN_PROGRESS).retry_after_s(1),
            Refusal::AmountNotPositive => Self::new(&codes::AMOUNT_NOT_POSITIVE).at("/amount"),
            Refusal::AboveCapturable { .. } => Self::new(&codes::AMOUNT_ABOVE_CAPTURABLE).at("/amount"),
            Refusal::AboveRefundable { .. } => Self::new(&codes::AMOUNT_ABOVE_REFUNDABLE).at("/amount"),
            Refusal::InsufficientBalance => Self::new(&codes::INSUFFICIENT_BALANCE),
            Refusal::TooManyOperations => Self::new(&codes::TOO_MANY_OPERATIONS),
            Refusal::NoMandate => Self::new(&codes::NO_MANDATE),
            Refusal::NotInReview => Self::new(&codes::NOT_IN_REVIEW),
            Refusal::NotAdmitted(why) => Self::not_admitted(why),
        };
        problem.because(text)
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::Amount(error) => error.into(),
            EngineError::NoProcessor => Self::new(&codes::NO_PROCESSOR),
            EngineError::DetailsRequired => Self::new(&codes::DETAILS_REQUIRED).at("/payment_method"),
            EngineError::CollectDiscontinued => {
                Self::new(&codes::UPI_COLLECT_DISCONTINUED).at("/payment_method/upi/flow")
            }
            EngineError::MandateUnusable(why) => {
                Self::new(&codes::MANDATE_UNUSABLE).at("/payment_method/upi/mandate").because(why)
            }
            EngineError::ProcessorRefused(words) => Self::new(&codes::PROCESSOR_REFUSED).because(words),
            EngineError::ProcessorUnavailable => Self::new(&codes::PROCESSOR_UNAVAILABLE).retry_after_s(5),
            EngineError::MerchantSuspended => Self::new(&codes::MERCHANT_SUSPENDED),
            EngineError::Conflict(conflict) => Self::new(&codes::CONFLICT).because(conflict.to_string()),
            EngineError::Unsupported { processor, what } => {
                Self::new(&codes::NOT_SUPPORTED).because(format!("{processor} does not support {what}"))
            }
            EngineError::KeyMismatch => Self::new(&codes::IDEMPOTENCY_KEY_REUSED).at("Idempotency-Key"),
            EngineError::KeyInFlight => {
                Self::new(&codes::IDEMPOTENCY_KEY_IN_USE).at("Idempotency-Key").retry_after_s(1)
            }
            EngineError::ConfirmationUsed => Self::new(&codes::CONFIRMATION_USED).at("/confirmation"),
            EngineError::ConfirmationRequired => Self::new(&codes::CONFIRMATION_REQUIRED)
                .at("/confirmation")
                .because("the fraud check wants this customer to confirm it with a passkey"),
            EngineError::PolicyUnreadable => Self::new(&codes::INTERNAL),
            EngineError::UnknownProcessor => Self::new(&codes::NOT_FOUND),
            EngineError::AccountUnavailable => Self::new(&codes::VAULT_UNAVAILABLE).retry_after_s(1),
            EngineError::TooManyEnds => Self::new(&codes::CONFLICT)
                .because("there were as many accounts at this processor as there may be"),
            EngineError::AnotherAccount(credential) => {
                Self::new(&codes::ANOTHER_ACCOUNT).at(format!("/credentials/{credential}"))
            }
            EngineError::AccountUnclear(credential) => Self::new(&codes::ACCOUNT_UNCLEAR)
                .at("/same_account")
                .because(format!("is required, because {credential} does not tell")),
            EngineError::SameAccount => Self::new(&codes::CONFLICT)
                .at("/same_account")
                .because("the credentials are of the account that is there"),
            EngineError::NoVaultKey => Self::new(&codes::NO_VAULT_KEY),
            EngineError::Credentials(error) => Self::field("/credentials", error.to_string()),
            EngineError::WebhookSignature => Self::new(&codes::WEBHOOK_SIGNATURE_INVALID),
            EngineError::WebhookMalformed => Self::new(&codes::WEBHOOK_MALFORMED),
            EngineError::ProcessorsClosed { retry_after_ms } => Self::new(&codes::PROCESSORS_CLOSED)
                .retry_after_s(u32::try_from(retry_after_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1)),
            EngineError::TooManyUnderWay => Self::new(&codes::TOO_MANY_UNDER_WAY).retry_after_s(1),
            EngineError::Overloaded => Self::new(&codes::OVERLOADED).retry_after_s(1),
            EngineError::Store(error) => error.into(),
        }
    }
}

impl From<tollgate_store::error::StoreError> for Problem {
    fn from(error: tollgate_store::error::StoreError) -> Self {
        // The text may name files; it is for the operator, not for the caller.
        tracing::error!(%error, "the store failed a request");
        Self::new(&codes::STORE_UNAVAILABLE).retry_after_s(1)
    }
}

/// Documents problem replies of the given statuses.
fn documented(statuses: &[u16]) -> BTreeMap<String, RefOr<ResponseDoc>> {
    let reply = |status: u16| {
        let names: Vec<String> = codes::ALL
            .iter()
            .filter(|code| code.status == status)
            .map(|code| format!("`{}`", code.name))
            .collect();
        let content =
            ContentBuilder::new().schema(Some(utoipa::openapi::Ref::from_schema_name("Problem"))).build();
        let mut response = ResponseBuilder::new()
            .description(format!("Refused. Codes: {}.", names.join(", ")))
            .content(MEDIA_TYPE, content);
        if matches!(status, 429 | 503) {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
            let header = HeaderBuilder::new()
                .schema(Some(seconds))
                .description(Some("After how many seconds to repeat the request."));
            response = response.header("Retry-After", header.build());
        }
        response.build()
    };
    statuses.iter().map(|status| (status.to_string(), RefOr::T(reply(*status)))).collect()
}

macro_rules! documented_problems {
    ($($(#[$doc:meta])* $name:ident [$($status:literal),+];)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<ResponseDoc>> {
                documented(&[$($status),+])
            }
        }
    )+};
}

documented_problems! {
    /// Of reading one thing with parameters, or a list.
    QueryProblems [401, 403, 404, 422, 429, 500, 503];
    /// Of a payment's picture.
    PictureProblems [401, 403, 404, 409, 422, 429, 500, 503];
    /// Of a question asked in a body.
    AskProblems [400, 401, 403, 408, 413, 415, 422, 429, 500, 503];
    /// Of a webhook endpoint, and what is done with it.
    EndpointProblems [400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503];
    /// Of beginning a payment.
    CreateProblems [400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503];
    /// Of looking after partners.
    PlatformProblems [400, 401, 403, 404, 408, 409, 413, 415, 422, 500, 503];
    /// Of changing a payment.
    ChangeProblems [400, 401, 402, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503];
    /// Of beginning a refund.
    RefundProblems [400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503];
    /// Of every call that has a version.
    VersionProblems [400, 410];
    /// Of a processor's webhook.
    WebhookProblems [400, 401, 404, 408, 413, 429, 500, 503];
    /// Of changing something that is no payment.
    AlterProblems [400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_shape_of_rfc_9457() {
        let problem = Problem::field("/amount", "must be text or a number");
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json(Some("r1"))).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "/docs#error-invalid_field",
                "title": "A field of the body is not valid",
                "status": 422,
                "detail": "must be text or a number",
                "code": "invalid_field",
                "field": "/amount",
                "request_id": "r1",
            })
        );
    }

    #[test]
    fn a_problem_in_a_list_names_the_place_in_the_whole_body() {
        let field = |problem: Problem| problem.within("/payments/17").field_name().map(str::to_owned);
        let named = |text: &str| Some(text.to_owned());
        assert_eq!(field(Problem::field("/card/number", "x")), named("/payments/17/card/number"));
        assert_eq!(field(Problem::new(&codes::INVALID_FIELD)), named("/payments/17"));
        assert_eq!(field(EngineError::KeyMismatch.into()), named("/payments/17/idempotency_key"));
        assert_eq!(field(Problem::new(&codes::OVERLOADED)), None);
    }

    #[test]
    fn headers_that_belong_to_a_status() {
        let refused = Problem::new(&codes::UNAUTHORIZED).into_response();
        assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer");
        let busy: Problem = EngineError::KeyInFlight.into();
        let busy = busy.into_response();
        assert_eq!((busy.status().as_u16(), &busy.headers()[RETRY_AFTER]), (409, &HeaderValue::from(1)));
    }

    #[test]
    fn a_store_s_words_are_not_passed_on() {
        let problem: Problem =
            tollgate_store::error::StoreError::Unavailable("/var/secret/path".to_owned()).into();
        let text = String::from_utf8(problem.to_json(None)).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }
}

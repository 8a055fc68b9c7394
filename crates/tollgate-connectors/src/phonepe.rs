//! PhonePe, in both generations of its API; the account's `version` chooses.
//!
//! Nothing is charged without the customer's doing, save debits on a mandate: the answer to a charge is
//! always a page, a link, or "approve in your app". Enquiries and webhooks tell the rest.
//!
//! | operation | v2 | v1 |
//! |---|---|---|
//! | UPI, net banking | `POST /payments/v2/pay` | `POST /pg/v1/pay` |
//! | card, wallet | `POST /checkout/v2/pay`, PhonePe's own page | `POST /pg/v1/pay` with `PAY_PAGE` |
//! | UPI with a mandate | `POST /subscriptions/v2/setup` | – |
//! | debit on a mandate | `POST /subscriptions/v2/notify` with `autoDebit` | – |
//! | refund | `POST /payments/v2/refund`, `GET …/refund/{reference}/status` | `POST /pg/v1/refund`, `GET /pg/v1/status/…` |
//! | enquire charge | `GET /payments/v2/order/{reference}/status`, then `/checkout/v2/…`, `/subscriptions/v2/…` | `GET /pg/v1/status/{merchant}/{reference}` |
//! | enquire refund | `GET /payments/v2/refund/{reference}/status` | `GET /pg/v1/status/{merchant}/{reference}` |
//! | end a mandate | `POST /subscriptions/v2/{reference}/cancel` | – |
//!
//! Our reference is `merchantOrderId`, `merchantRefundId` and `merchantSubscriptionId` (at most 63
//! characters); in v1 `merchantTransactionId` of payments and refunds alike (fewer than 35).
//!
//! **Cards** are entered on PhonePe's page. Its direct card call takes numbers encrypted with a key of
//! the merchant's; how the ciphertext is written is not documented, so no card number is sent at all.
//!
//! Sources: developer.phonepe.com (Standard Checkout, Custom Checkout, AutoPay, v1 reference) and
//! PhonePe's SDKs `pg-sdk-node` and `phonepe-pg-sdk-python`.

mod account;
mod codes;
mod order;
mod request;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use account::{PhonePeAccount, PhonePeV1Account, PhonePeV2Account};

use crate::capability::{CardAuthentication, MethodRule};
use crate::webhook::{WebhookError, WebhookMessage, WebhookRequest};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Capabilities, Connector, Login, Operation, Progress, Step};
use std::fmt;
use tollgate_core::currency::Currency;
use tollgate_core::directory::BANKS;
use tollgate_core::method::MethodFamily;
use tollgate_core::routing::region::Region;
use v1::V1;
use v2::V2;

const NAME: &str = "phonepe";

/// The smallest order (Create Payment, `amount`).
const AMOUNT_MINOR_MIN: i64 = 100;
/// One UPI payment is at most ₹1,00,000 (NPCI, person to merchant); so is one debit on a mandate, and
/// what a wallet may hold (RBI, prepaid payment instruments).
const UPI_MINOR_MAX: i64 = 10_000_000;

fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

/// List price: 1.95 % (PhonePe's Standard Plan; prices by method are not published). Net banking is
/// offered with all banks of the directory: PhonePe names them by the same codes (Supported NetBanking).
fn capabilities(mandates: bool) -> Capabilities {
    let rule = |family| {
        MethodRule::new(family, &[Currency::INR]).within(AMOUNT_MINOR_MIN, UPI_MINOR_MAX).fee(195, 0)
    };
    let mut methods = vec![
        rule(MethodFamily::Card).within(AMOUNT_MINOR_MIN, i64::MAX),
        rule(MethodFamily::UpiIntent),
        rule(MethodFamily::UpiQr),
        rule(MethodFamily::UpiCollect),
        rule(MethodFamily::Wallet).of([NAME]),
        rule(MethodFamily::NetBanking)
            .within(AMOUNT_MINOR_MIN, i64::MAX)
            .of(BANKS.iter().map(|bank| bank.code)),
    ];
    if mandates {
        methods.push(rule(MethodFamily::UpiAutopay));
    }
    Capabilities {
        methods,
        countries: vec!["IN".to_owned()],
        data_regions: vec![Region::india()],
        partial_refund: true,
        upi_mandates: mandates,
        card_authentication: CardAuthentication::Indian,
        ..Capabilities::default()
    }
}

/// The connector of one PhonePe account.
pub struct PhonePe {
    generation: Generation,
    base_url: String,
    capabilities: Capabilities,
}

enum Generation {
    V2(V2),
    V1(V1),
}

impl fmt::Debug for PhonePe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhonePe").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl PhonePe {
    /// A connector for the account.
    #[must_use]
    pub fn new(account: PhonePeAccount) -> Self {
        match account {
            PhonePeAccount::V2(account) => Self {
                base_url: account.base_url.clone(),
                generation: Generation::V2(V2::new(account)),
                capabilities: capabilities(true),
            },
            PhonePeAccount::V1(account) => Self {
                base_url: account.base_url.clone(),
                generation: Generation::V1(V1::new(account)),
                capabilities: capabilities(false),
            },
        }
    }
}

impl Connector for PhonePe {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        match &self.generation {
            Generation::V2(v2) => v2.start(operation),
            Generation::V1(v1) => v1.start(operation),
        }
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        match &self.generation {
            Generation::V2(v2) => v2.read(operation, step, response),
            Generation::V1(v1) => v1.read(operation, step, response),
        }
    }

    // Browsers come back with nothing that is signed; the trait's own `callback` asks.

    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        match &self.generation {
            Generation::V2(v2) => v2.webhook(request),
            Generation::V1(v1) => v1.webhook(request),
        }
    }

    fn login(&self) -> Option<HttpRequest> {
        match &self.generation {
            Generation::V2(v2) => Some(v2.login()),
            Generation::V1(_) => None,
        }
    }

    fn read_login(&self, response: &HttpResponse<'_>) -> Option<Login> {
        match &self.generation {
            Generation::V2(_) => V2::read_login(response),
            Generation::V1(_) => None,
        }
    }
}

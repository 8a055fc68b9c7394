//! Paytm (payment gateway, India).
//!
//! | operation | exchanges |
//! |---|---|
//! | charge | `POST /theia/api/v1/initiateTransaction`, `POST /theia/api/v1/processTransaction` |
//! | charge with the Paytm wallet | `POST /theia/api/v1/initiateTransaction`, then the browser posts to `/theia/api/v1/showPaymentPage` |
//! | refund | `POST /v3/order/status` unless the transaction is known, `POST /refund/apply` |
//! | enquire charge | `POST /v3/order/status` |
//! | enquire refund | `POST /v2/refund/status` |
//!
//! Our reference is `orderId` of a charge and `refId` of a refund. Initiating an order moves no money:
//! it gives a `txnToken`, good for fifteen minutes, without which nothing is charged.
//!
//! Every payment waits for its customer: UPI in the app, cards and net banking on the bank's page, the
//! wallet on Paytm's page. Requests that are signed carry `head.signature` over the very text of `body`,
//! and so do replies; callbacks and payment webhooks are forms with `CHECKSUMHASH` over their values.
//!
//! Left out because it is not documented well enough to be safe: pre-authorization with capture and
//! release, instalments (plans are numbered per merchant), Paytm Postpaid, UPI AutoPay.
//!
//! Sources: paytmpayments.com/docs (Initiate Transaction API, Process Transaction API, Show Payment
//! Page, Custom Checkout: UPI and Cards, Transaction Status API v3, Refund API, Refund Status API,
//! Payment Status, Accept Refund and Success Refund webhooks, Checksum); the published SDKs
//! `paytmchecksum` (PyPI 1.7.0, npm 1.5.1) and `paytm-pg` (PyPI 1.1.2).

mod checksum;
mod codes;
mod notice;
mod refund;
mod reply;
mod request;

#[cfg(test)]
mod tests;

use crate::capability::{CardAuthentication, MethodRule};
use crate::webhook::{Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Capabilities, Connector, Operation, Progress, Step};
pub use checksum::{MerchantKey, MerchantKeyLength};
use serde::Deserialize;
use std::fmt;
use tollgate_core::currency::Currency;
use tollgate_core::method::{Instrument, MethodFamily};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::routing::region::Region;
use zeroize::Zeroizing;

const NAME: &str = "paytm";

/// A Paytm account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaytmAccount {
    /// Merchant id (MID).
    pub mid: String,
    /// Merchant key, 16 characters: signs requests, replies, callbacks and webhooks.
    pub merchant_key: MerchantKey,
    /// Website name as the dashboard shows it; default `DEFAULT` (staging: `WEBSTAGING`).
    #[serde(default = "default_website")]
    pub website: String,
    /// Where the API is; default `https://secure.paytmpayments.com` (staging:
    /// `https://securestage.paytmpayments.com`; older merchants: `https://securegw.paytm.in`).
    #[serde(default = "default_base_url")]
    pub base_url: String,
}

fn default_website() -> String {
    "DEFAULT".to_owned()
}

fn default_base_url() -> String {
    "https://secure.paytmpayments.com".to_owned()
}

/// List price: 1.99 % on cards, net banking and the wallet, nothing on UPI (business.paytm.com,
/// payment gateway pricing). One UPI payment is at most ₹1,00,000 (NPCI, person to merchant).
fn capabilities() -> Capabilities {
    let rule = |family| MethodRule::new(family, &[Currency::INR]).within(100, i64::MAX);
    let upi = |family| rule(family).within(100, 10_000_000);
    Capabilities {
        methods: vec![
            rule(MethodFamily::Card).fee(199, 0),
            upi(MethodFamily::UpiIntent),
            upi(MethodFamily::UpiQr),
            upi(MethodFamily::UpiCollect),
            rule(MethodFamily::Wallet).of([request::WALLET]).fee(199, 0),
            rule(MethodFamily::NetBanking).of(request::BANKS.iter().map(|(ours, _)| *ours)).fee(199, 0),
        ],
        countries: vec!["IN".to_owned()],
        data_regions: vec![Region::india()],
        partial_refund: true,
        card_authentication: CardAuthentication::Indian,
        ..Capabilities::default()
    }
}

/// The connector of one Paytm account.
pub struct Paytm {
    mid: String,
    key: MerchantKey,
    website: String,
    base_url: String,
    capabilities: Capabilities,
}

impl fmt::Debug for Paytm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paytm").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Paytm {
    /// A connector for the account.
    #[must_use]
    pub fn new(account: PaytmAccount) -> Self {
        Self {
            mid: account.mid,
            key: account.merchant_key,
            website: account.website,
            base_url: account.base_url.trim_end_matches('/').to_owned(),
            capabilities: capabilities(),
        }
    }

    fn post(&self, path: &str, body: Zeroizing<Vec<u8>>, step: Step, moves_money: bool) -> Call {
        Call::new(HttpRequest::post_json(format!("{}{path}", self.base_url), body), moves_money, step)
    }

    /// A page or API of the checkout that names merchant and order in its query.
    fn checkout_path(&self, verb: &str, reference: &str) -> String {
        let (mid, order_id) = (crate::form::escaped(&self.mid), crate::form::escaped(reference));
        format!("/theia/api/v1/{verb}?mid={mid}&orderId={order_id}")
    }

    fn status(&self, reference: &str) -> Call {
        self.post("/v3/order/status", request::status(self, reference), Step::default(), false)
    }

    fn apply_refund(&self, charge_reference: &str, txn_id: &str, reference: &str, amount: Money) -> Call {
        let body = request::refund(self, charge_reference, txn_id, reference, amount);
        self.post("/refund/apply", body, Step { index: 1, carry: None }, true)
    }

    fn read_charge(&self, charge: &crate::Charge<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        if step.index > 0 {
            return Progress::Done(reply::read_processed(self, charge, response));
        }
        let token = match reply::read_initiated(self, response) {
            Ok(token) => token,
            Err(outcome) => return Progress::Done(outcome),
        };
        if let Instrument::Wallet { .. } = charge.instrument {
            return Progress::Done(self.payment_page(charge.reference, token));
        }
        let Ok(body) = request::process(self, charge, &token) else {
            return Progress::Done(crate::answer::not_taken(
                tollgate_core::failure::FailureCode::ProcessorRejected,
                "the method cannot be expressed",
            ));
        };
        let path = self.checkout_path("processTransaction", charge.reference);
        Progress::Next(Box::new(self.post(&path, body, Step { index: 1, carry: Some(token) }, true)))
    }

    /// Paytm's own page, where the customer logs in to the wallet.
    fn payment_page(&self, reference: &str, token: String) -> Outcome {
        let url = format!("{}{}", self.base_url, self.checkout_path("showPaymentPage", reference));
        let field = |name: &str, value: String| (name.to_owned(), value);
        let fields = vec![
            field("mid", self.mid.clone()),
            field("orderId", reference.to_owned()),
            field("txnToken", token),
        ];
        Outcome::ActionRequired { processor_payment_id: None, action: NextAction::Form { url, fields } }
    }
}

impl Connector for Paytm {
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
        match operation {
            Operation::Charge(charge) => {
                let body = request::initiate(self, charge)?;
                let path = self.checkout_path("initiateTransaction", charge.reference);
                Ok(self.post(&path, body, Step::default(), false))
            }
            Operation::Refund { charge, reference, amount } => {
                request::check(*amount)?;
                Ok(match charge.processor_payment_id.filter(|id| is_txn_id(id)) {
                    Some(txn_id) => self.apply_refund(charge.reference, txn_id, reference, *amount),
                    None => self.status(charge.reference),
                })
            }
            Operation::EnquireCharge { charge } => Ok(self.status(charge.reference)),
            Operation::EnquireRefund { charge, reference, .. } => {
                let body = request::refund_status(self, charge.reference, reference);
                Ok(self.post("/v2/refund/status", body, Step::default(), false))
            }
            Operation::Capture { .. } | Operation::Void { .. } => {
                Err(request::unsupported("capture and release: every payment is taken at once"))
            }
            Operation::RevokeMandate { .. } => Err(request::unsupported("UPI AutoPay mandates")),
        }
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        match operation {
            Operation::Charge(charge) => self.read_charge(charge, step, response),
            Operation::EnquireCharge { charge } => Progress::Done(reply::read_status(self, charge, response)),
            Operation::Refund { charge, reference, amount } if step.index == 0 => {
                match refund::transaction_of(self, charge, response) {
                    Ok(txn_id) => Progress::Next(Box::new(self.apply_refund(
                        charge.reference,
                        &txn_id,
                        reference,
                        *amount,
                    ))),
                    Err(outcome) => Progress::Done(outcome),
                }
            }
            Operation::Refund { charge, reference, .. } => {
                Progress::Done(refund::read_applied(self, charge, reference, response))
            }
            Operation::EnquireRefund { charge, reference, .. } => {
                Progress::Done(refund::read_status(self, charge, reference, response))
            }
            Operation::Capture { .. } | Operation::Void { .. } | Operation::RevokeMandate { .. } => {
                Progress::Done(crate::answer::unreadable())
            }
        }
    }

    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        notice::webhook(self, request.body)
    }

    fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        notice::callback(self, request)
    }
}

/// Paytm's transaction and refund ids: digits today, letters too in older accounts.
fn is_txn_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Rupees as paise.
fn amount_minor(text: &str) -> Option<i64> {
    Money::parse_major(text, Currency::INR).ok().map(|money| money.minor)
}

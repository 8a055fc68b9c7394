//! PayU (India).
//!
//! | operation | exchanges |
//! |---|---|
//! | charge | `POST /_payment`, server to server (`txn_s2s_flow=4`) |
//! | capture | `verify_payment`, `capture_transaction`, `check_action_status` |
//! | void | `verify_payment`, `cancel_refund_transaction`, `check_action_status` |
//! | refund | `verify_payment`, `cancel_refund_transaction`, `getAllRefundsFromTxnIds` |
//! | enquire charge | `verify_payment` |
//! | enquire refund | `getAllRefundsFromTxnIds` |
//! | debit a mandate | `verify_payment` of its set-up, `si_transaction` |
//! | end a mandate | `verify_payment` of its set-up, `upi_mandate_revoke` |
//!
//! All commands go to `POST {info}/merchant/postservice.php?form=2`. Our reference is `txnid` (at most
//! 25 characters) of a charge and the token `var2` (at most 23 characters) of a capture, void or
//! refund, and every enquiry works by `txnid` alone.
//!
//! PayU's own payment id (`mihpayid`) is *not* covered by the hash of its replies and webhooks, so it
//! is never taken from an earlier message: captures, voids and refunds ask for it by `txnid` first.
//! For the same reason the capture mode travels in `udf1`, which the hash does cover.
//!
//! Sources: docs.payu.in (Collect Payment API server-to-server, Generate Hash, Verify Payment API,
//! Refund Transaction API, Get All Refunds from Transaction ID, Check Action Status, Capture a
//! Pre-Authorized Payment, Payment State Explanations, Error Codes, Webhooks).

mod codes;
mod commands;
mod mandate;
mod providers;
mod reply;
mod request;

#[cfg(test)]
mod tests;

use crate::answer::{is_success, throttled, unknown, unreadable};
use crate::capability::{CardAuthentication, MethodRule};
use crate::digest::sha512_of_joined;
use crate::webhook::{
    Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest, WebhookSubject,
};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Capabilities, Charge, ChargeHandle, Connector, Operation, Progress, Step};
use serde::Deserialize;
use std::fmt;
use tollgate_core::card::Secret;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{CaptureMode, Instrument, MethodFamily};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::routing::region::Region;
use zeroize::Zeroizing;

const NAME: &str = "payu";

/// A PayU account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayUAccount {
    /// Merchant key.
    pub key: String,
    /// Salt: signs requests and replies.
    pub salt: Secret,
    /// Where payments go; default `https://secure.payu.in` (test: `https://test.payu.in`).
    #[serde(default = "default_payment_url")]
    pub payment_url: String,
    /// Where commands go; default `https://info.payu.in` (test: `https://test.payu.in`).
    #[serde(default = "default_info_url")]
    pub info_url: String,
    /// Where the browser goes when the caller named no return address, since PayU insists on one;
    /// default `https://tollgate.invalid/return`.
    #[serde(default = "default_return_url")]
    pub default_return_url: String,
    /// Sent when the customer's e-mail is not known; default `customer@tollgate.invalid`.
    #[serde(default = "default_email")]
    pub default_email: String,
    /// Sent when the customer's phone number is not known; default `9999999999`.
    #[serde(default = "default_phone")]
    pub default_phone: String,
    /// Sent when the customer's name is not known; default `Customer`.
    #[serde(default = "default_name")]
    pub default_name: String,
    /// The merchant's token requestor id (TRID) at the card networks, which comes with every network
    /// token. Without one network tokens are not taken.
    #[serde(default)]
    pub token_requestor_id: Option<String>,
    /// Whether the account's instalment plans are arranged so that the merchant bears the interest
    /// (offers in PayU's dashboard). Default `false`: no-cost instalments are not sent then, because the
    /// customer would be charged the interest.
    #[serde(default)]
    pub no_cost_emi: bool,
}

fn default_payment_url() -> String {
    "https://secure.payu.in".to_owned()
}

fn default_info_url() -> String {
    "https://info.payu.in".to_owned()
}

fn default_return_url() -> String {
    "https://tollgate.invalid/return".to_owned()
}

fn default_email() -> String {
    "customer@tollgate.invalid".to_owned()
}

fn default_phone() -> String {
    "9999999999".to_owned()
}

fn default_name() -> String {
    "Customer".to_owned()
}

/// List price: 2 % on every domestic method (payu.in/pricing). One UPI payment is at most ₹1,00,000
/// (NPCI, person to merchant).
fn capabilities(network_tokens: bool) -> Capabilities {
    let rule = |family| MethodRule::new(family, &[Currency::INR]).within(100, i64::MAX).fee(200, 0);
    Capabilities {
        methods: vec![
            rule(MethodFamily::Card).manual(),
            rule(MethodFamily::UpiIntent).within(100, 10_000_000),
            rule(MethodFamily::UpiQr).within(100, 10_000_000),
            rule(MethodFamily::UpiCollect).within(100, 10_000_000),
            // A debit without the customer's PIN is at most ₹15,000, ₹1,00,000 for some businesses.
            rule(MethodFamily::UpiAutopay).within(100, 10_000_000),
            rule(MethodFamily::Wallet).of(providers::ours(providers::WALLETS)),
            rule(MethodFamily::NetBanking).of(providers::ours(providers::BANKS)),
            rule(MethodFamily::Bnpl).of(providers::ours(providers::LENDERS)),
            rule(MethodFamily::Emi).within(EMI_MINOR_MIN, i64::MAX).of(providers::emi_banks()),
        ],
        countries: vec!["IN".to_owned()],
        data_regions: vec![Region::india()],
        partial_refund: true,
        network_tokens,
        upi_mandates: true,
        card_authentication: CardAuthentication::Indian,
        ..Capabilities::default()
    }
}

/// ₹3,000: what banks ask of an instalment order at least, some less.
const EMI_MINOR_MIN: i64 = 300_000;

/// The connector of one PayU account.
pub struct PayU {
    key: String,
    salt: Secret,
    payment_url: String,
    command_url: String,
    default_return_url: String,
    default_email: String,
    default_phone: String,
    default_name: String,
    token_requestor_id: Option<String>,
    no_cost_emi: bool,
    capabilities: Capabilities,
}

impl fmt::Debug for PayU {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayU").field("payment_url", &self.payment_url).finish_non_exhaustive()
    }
}

/// A command of PayU's general API.
#[derive(Debug, Clone, Copy)]
enum Command {
    Verify,
    Capture,
    CancelOrRefund,
    ActionStatus,
    AllRefunds,
    Debit,
    RevokeMandate,
}

impl Command {
    const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify_payment",
            Self::Capture => "capture_transaction",
            Self::CancelOrRefund => "cancel_refund_transaction",
            Self::ActionStatus => "check_action_status",
            Self::AllRefunds => "getAllRefundsFromTxnIds",
            Self::Debit => "si_transaction",
            Self::RevokeMandate => "upi_mandate_revoke",
        }
    }

    const fn moves_money(self) -> bool {
        // Losing the answer to a revocation leaves it open whether the mandate has ended.
        matches!(self, Self::Capture | Self::CancelOrRefund | Self::Debit | Self::RevokeMandate)
    }
}

impl PayU {
    /// A connector for the account.
    #[must_use]
    pub fn new(account: PayUAccount) -> Self {
        let payment_base = account.payment_url.trim_end_matches('/');
        let info_base = account.info_url.trim_end_matches('/');
        Self {
            payment_url: format!("{payment_base}/_payment"),
            command_url: format!("{info_base}/merchant/postservice.php?form=2"),
            key: account.key,
            salt: account.salt,
            default_return_url: account.default_return_url,
            default_email: account.default_email,
            default_phone: account.default_phone,
            default_name: account.default_name,
            capabilities: capabilities(account.token_requestor_id.is_some()),
            token_requestor_id: account.token_requestor_id,
            no_cost_emi: account.no_cost_emi,
        }
    }

    fn post(&self, url: &str, body: Zeroizing<Vec<u8>>, step: Step, moves_money: bool) -> Call {
        Call::new(HttpRequest::post_form(url, body), moves_money, step)
    }

    fn command(&self, command: Command, vars: &[&str], step: Step) -> Call {
        let mut form = crate::form::Form::new();
        let var1 = vars.first().copied().unwrap_or("");
        let hash = sha512_of_joined(&[&self.key, command.name(), var1, self.salt.expose()]);
        form.field("key", &self.key).field("command", command.name());
        for (name, value) in ["var1", "var2", "var3"].into_iter().zip(vars) {
            form.field(name, value);
        }
        form.field("hash", request::ascii(&hash));
        self.post(&self.command_url, form.into_body(), step, command.moves_money())
    }

    /// A debit on a mandate begins with the payment that set it up.
    fn start_debit(&self, charge: &Charge<'_>) -> Result<Call, BuildError> {
        let unsupported = |what| BuildError::Unsupported { processor: NAME.into(), what };
        let Instrument::UpiAutopay { setup_reference, .. } = charge.instrument else {
            return Err(unsupported("a debit without a mandate"));
        };
        if charge.amount.currency != Currency::INR || charge.capture != CaptureMode::Automatic {
            return Err(unsupported("debits other than at once and in INR"));
        }
        request::check_txnid(charge.reference)?;
        Ok(self.command(Command::Verify, &[setup_reference], Step::default()))
    }

    fn verify(&self, charge: &ChargeHandle<'_>) -> Call {
        self.command(Command::Verify, &[charge.reference], Step::default())
    }

    fn refunds_of(&self, charge: &ChargeHandle<'_>, index: u8) -> Call {
        self.command(Command::AllRefunds, &[charge.reference], Step { index, carry: None })
    }

    /// The exchange that acts on a payment whose id and state `verify_payment` has just told.
    fn act(&self, command: Command, payment_id: &str, reference: &str, amount: Money) -> Progress {
        let amount = amount.to_major_text();
        let step = Step { index: 1, carry: Some(payment_id.to_owned()) };
        Progress::Next(Box::new(self.command(command, &[payment_id, reference, &amount], step)))
    }

    fn read_capture_or_void(
        &self,
        wanted: &commands::Action<'_>,
        charge: &ChargeHandle<'_>,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let carry = step.carry.as_deref().unwrap_or("");
        match step.index {
            0 => match commands::before_action(response, charge) {
                Ok(Outcome::Authorized { processor_payment_id, .. }) => {
                    let command = match wanted.kind {
                        commands::ActionKind::Capture => Command::Capture,
                        commands::ActionKind::Cancel => Command::CancelOrRefund,
                    };
                    self.act(command, &processor_payment_id, wanted.reference, wanted.amount)
                }
                Ok(state) => Progress::Done(commands::not_authorized(wanted.kind, &state)),
                Err(outcome) => Progress::Done(outcome),
            },
            1 => match commands::read_accepted(response) {
                // Accepted means queued. Whether it is done already tells the action's status.
                commands::Accepted::Queued => {
                    let step = Step { index: 2, carry: Some(carry.to_owned()) };
                    let mut call = self.command(Command::ActionStatus, &[carry, "payuid"], step);
                    call.moves_money = true;
                    Progress::Next(Box::new(call))
                }
                commands::Accepted::Refused(outcome) => Progress::Done(outcome),
            },
            _ => Progress::Done(commands::read_action_status(response, carry, wanted)),
        }
    }

    fn read_refund(
        &self,
        charge: &ChargeHandle<'_>,
        reference: &str,
        amount: Money,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        match step.index {
            0 => match commands::before_action(response, charge) {
                Ok(Outcome::Captured { processor_payment_id, .. }) => {
                    self.act(Command::CancelOrRefund, &processor_payment_id, reference, amount)
                }
                // On an authorized payment the same command would cancel it.
                Ok(_) => Progress::Done(Outcome::NotTaken(Failure::new(
                    FailureCode::ProcessorRejected,
                    "the processor does not know this payment as captured",
                ))),
                Err(outcome) => Progress::Done(outcome),
            },
            1 => match commands::read_accepted(response) {
                commands::Accepted::Queued => {
                    let mut call = self.refunds_of(charge, 2);
                    call.moves_money = true;
                    Progress::Next(Box::new(call))
                }
                commands::Accepted::Refused(outcome) => Progress::Done(outcome),
            },
            _ => Progress::Done(match commands::read_refunds(response, reference) {
                // The refund was accepted a moment ago: not listed yet is not an answer.
                Outcome::NotFound | Outcome::Unknown(_) => Outcome::Pending { processor_payment_id: None },
                outcome => outcome,
            }),
        }
    }
}

impl Connector for PayU {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn base_url(&self) -> &str {
        &self.payment_url
    }

    fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        match operation {
            Operation::Charge(charge) if matches!(charge.instrument, Instrument::UpiAutopay { .. }) => {
                self.start_debit(charge)
            }
            Operation::Charge(charge) => {
                let body = request::payment(self, charge)?;
                Ok(self.post(&self.payment_url, body, Step::default(), true))
            }
            Operation::EnquireRefund { charge, .. } => Ok(self.refunds_of(charge, 0)),
            Operation::Capture { charge, reference, .. }
            | Operation::Void { charge, reference }
            | Operation::Refund { charge, reference, .. } => {
                request::check_token(reference)?;
                Ok(self.verify(charge))
            }
            Operation::EnquireCharge { charge } => Ok(self.verify(charge)),
            Operation::RevokeMandate { setup } => Ok(self.verify(setup)),
        }
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        match operation {
            Operation::Charge(charge) => match charge.instrument {
                Instrument::UpiAutopay { setup_reference, .. } => {
                    self.read_debit(charge, setup_reference, step, response)
                }
                _ => Progress::Done(reply::read_payment(self, charge, response)),
            },
            Operation::EnquireCharge { charge } => Progress::Done(commands::read_verified(response, charge)),
            Operation::EnquireRefund { reference, .. } => {
                Progress::Done(commands::read_refunds(response, reference))
            }
            Operation::RevokeMandate { setup } => self.read_revocation(setup, step, response),
            Operation::Capture { charge, reference, amount } => {
                let kind = commands::ActionKind::Capture;
                let wanted = commands::Action { kind, reference, amount: *amount };
                self.read_capture_or_void(&wanted, charge, step, response)
            }
            Operation::Void { charge, reference } => {
                let kind = commands::ActionKind::Cancel;
                let wanted = commands::Action { kind, reference, amount: charge.amount };
                self.read_capture_or_void(&wanted, charge, step, response)
            }
            Operation::Refund { charge, reference, amount } => {
                self.read_refund(charge, reference, *amount, step, response)
            }
        }
    }

    /// PayU signs no header: the hash is a field of the form. Its refund notices carry no hash at
    /// all and are refused, so refunds are settled by enquiry.
    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        let fields = crate::form::Fields::parse(request.body).ok_or(WebhookError::Signature)?;
        let transaction = reply::Transaction::of_form(&fields).ok_or(WebhookError::Signature)?;
        if !transaction.is_signed_by(self) {
            return Err(WebhookError::Signature);
        }
        let outcome = codes::settled(transaction.outcome());
        if transaction.reference().is_empty() {
            return Err(WebhookError::Malformed);
        }
        let reference = transaction.reference().to_owned();
        Ok(WebhookMessage {
            dedupe_key: crate::digest::sha256_text(request.body),
            subject: Some(WebhookSubject { reference, outcome }),
        })
    }

    /// The browser posts the whole transaction with its hash to `surl` or `furl`.
    ///
    /// The hash covers status, amount and our reference, so a success is proved. Of a failure it leaves
    /// out how the payment failed, which decides whether the bank may still take the money; the browser
    /// belongs to the customer, so the processor is asked.
    fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        if request.body.is_empty() {
            return Ok(Callback::Ask);
        }
        let fields = crate::form::Fields::parse(request.body).ok_or(WebhookError::Signature)?;
        let transaction = reply::Transaction::of_form(&fields).ok_or(WebhookError::Signature)?;
        if !transaction.is_signed_by(self) || transaction.reference() != request.reference {
            return Err(WebhookError::Signature);
        }
        Ok(match transaction.outcome() {
            outcome @ (Outcome::Authorized { .. } | Outcome::Captured { .. } | Outcome::Pending { .. }) => {
                Callback::Says(outcome)
            }
            _ => Callback::Ask,
        })
    }
}

/// PayU's payment ids are numbers; they go into commands, so nothing else may be in them.
fn is_payment_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// PayU's amount text as paise.
fn amount_minor(text: &str) -> Option<i64> {
    Money::parse_major(text, Currency::INR).ok().map(|money| money.minor)
}

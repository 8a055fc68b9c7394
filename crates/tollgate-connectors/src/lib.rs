//! Processor connectors: pure mappings between Tollgate's operations and each processor's wire
//! format. A connector builds requests and reads responses; it never does I/O, keeps no state and
//! knows no clock.
//!
//! One file a processor. To add one, implement [`Connector`] and name it in [`registry`].

mod digest;
mod form;
mod json;
pub mod payu;
pub mod razorpay;
pub mod registry;
pub mod webhook;
pub mod wire;

use tollgate_core::currency::Currency;
use tollgate_core::method::{CaptureMode, Instrument, MethodFamily, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use webhook::{WebhookError, WebhookMessage, WebhookRequest};
use wire::{HttpRequest, HttpResponse};

/// What the customer's side of a charge looks like. Empty fields are left out or, where the
/// processor insists on them, filled from the account's configured defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct Customer<'a> {
    /// The merchant's id of its customer.
    pub id: Option<&'a str>,
    /// Full name.
    pub name: Option<&'a str>,
    /// E-mail address.
    pub email: Option<&'a str>,
    /// Phone number with country code.
    pub phone: Option<&'a str>,
    /// The customer's IP address.
    pub ip: Option<&'a str>,
    /// The customer's browser.
    pub user_agent: Option<&'a str>,
}

/// A charge to be made.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// Our reference, durable before the call: 22 alphanumeric characters.
    pub reference: &'a str,
    /// What to charge.
    pub amount: Money,
    /// Take the money now or reserve it.
    pub capture: CaptureMode,
    /// The kind of method.
    pub method: MethodKind,
    /// The instrument, with the clear card where there is one.
    pub instrument: Instrument<'a>,
    /// Who pays.
    pub customer: Customer<'a>,
    /// What for.
    pub description: Option<&'a str>,
    /// Where the customer's browser goes afterwards.
    pub return_url: Option<&'a str>,
    /// What the customer's statement should say.
    pub statement_descriptor: Option<&'a str>,
}

/// An earlier charge, as later operations name it.
#[derive(Debug, Clone, Copy)]
pub struct ChargeHandle<'a> {
    /// Our reference of the charge.
    pub reference: &'a str,
    /// The processor's id, if it ever told us.
    pub processor_payment_id: Option<&'a str>,
    /// The charge's full amount.
    pub amount: Money,
}

/// What is asked of a processor.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// Authorize, or authorize and capture.
    Charge(Charge<'a>),
    /// Take (part of) an authorized charge.
    Capture {
        /// The authorized charge.
        charge: ChargeHandle<'a>,
        /// Our reference of this capture.
        reference: &'a str,
        /// What to take.
        amount: Money,
    },
    /// Release an authorized charge.
    Void {
        /// The authorized charge.
        charge: ChargeHandle<'a>,
        /// Our reference of this void.
        reference: &'a str,
    },
    /// Return (part of) a captured charge.
    Refund {
        /// The captured charge.
        charge: ChargeHandle<'a>,
        /// Our reference of this refund.
        reference: &'a str,
        /// What to return.
        amount: Money,
    },
    /// Ask what became of a charge; also settles captures and voids.
    EnquireCharge {
        /// The charge; found by our reference alone.
        charge: ChargeHandle<'a>,
    },
    /// Ask what became of a refund.
    EnquireRefund {
        /// The refunded charge.
        charge: ChargeHandle<'a>,
        /// Our reference of the refund.
        reference: &'a str,
        /// What was to be returned.
        amount: Money,
    },
}

/// One HTTP exchange of an operation.
#[derive(Debug)]
pub struct Call {
    /// What to send.
    pub request: HttpRequest,
    /// Whether this exchange can move or reserve money, or follows one that may have. When it
    /// cannot, its loss proves that the charge, capture, void or refund it belongs to was not
    /// carried out. The loss of an *enquiry* proves nothing about what it asked for.
    pub moves_money: bool,
    /// The connector's place in a flow of several exchanges; handed back with the response.
    pub step: Step,
}

/// The connector's place in a flow of several exchanges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// 0 for the first exchange.
    pub index: u8,
    /// What an earlier exchange told, e.g. the processor's order id.
    pub carry: Option<String>,
}

/// What a response leads to.
#[derive(Debug)]
pub enum Progress {
    /// The operation needs another exchange.
    Next(Box<Call>),
    /// The operation is answered.
    Done(Outcome),
}

/// A request could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The processor cannot do it; the capability tables should have said so.
    #[error("{processor} does not support {what}")]
    Unsupported {
        /// Processor's name.
        processor: &'static str,
        /// What was asked.
        what: &'static str,
    },
    /// The processor needs its own payment id, which it never told us.
    #[error("{processor} needs its own payment id for this")]
    PaymentIdMissing {
        /// Processor's name.
        processor: &'static str,
    },
}

/// How a fee is computed: `percent_bps` hundredths of a percent plus `fixed_minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeSchedule {
    /// The methods it is for.
    pub method: MethodFamily,
    /// Hundredths of a percent of the amount.
    pub percent_bps: u32,
    /// Minor units on top.
    pub fixed_minor: i64,
}

/// What a processor can take.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// Methods.
    pub methods: &'static [MethodFamily],
    /// Currencies per method; a method that is not listed takes [`Capabilities::currencies`].
    pub currencies: &'static [Currency],
    /// Methods that are restricted to one currency (e.g. UPI to INR).
    pub single_currency: &'static [(MethodFamily, Currency)],
    /// Authorize now, capture later.
    pub manual_capture: &'static [MethodFamily],
    /// Capture less than was authorized.
    pub partial_capture: bool,
    /// Refund less than was captured.
    pub partial_refund: bool,
    /// The smallest amount of one charge, in minor units.
    pub amount_minor_min: i64,
    /// Public list prices.
    pub fees: &'static [FeeSchedule],
}

impl Capabilities {
    /// Whether a charge of this kind can be taken.
    #[must_use]
    pub fn takes(&self, method: MethodKind, amount: Money, capture: CaptureMode) -> bool {
        let family = method.family();
        let only = self.single_currency.iter().find(|(method, _)| *method == family);
        self.methods.contains(&family)
            && self.currencies.contains(&amount.currency)
            && only.is_none_or(|(_, currency)| *currency == amount.currency)
            && (capture == CaptureMode::Automatic || self.manual_capture.contains(&family))
            && amount.minor >= self.amount_minor_min
    }
}

/// A processor's wire format.
pub trait Connector: Send + Sync + std::fmt::Debug {
    /// The processor's name in configuration, routes and the API.
    fn name(&self) -> &'static str;

    /// What it can take.
    fn capabilities(&self) -> &'static Capabilities;

    /// The first exchange of an operation.
    ///
    /// # Errors
    /// [`BuildError`] when the operation cannot be expressed; nothing has been sent then.
    fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError>;

    /// Reads the response of the exchange at `step`.
    ///
    /// Must be total: any bytes give an answer, and bytes that are not provably a success or a
    /// refusal give [`Outcome::Unknown`].
    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress;

    /// Verifies and reads a webhook.
    ///
    /// # Errors
    /// [`WebhookError`] when the signature does not hold or the body is not understood.
    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError>;
}

//! Processor connectors: pure mappings between Tollgate's operations and each processor's wire
//! format. A connector builds requests and reads responses; it never does I/O, keeps no state and
//! knows no clock.
//!
//! One folder a processor. To add one, implement [`Connector`] and name it in [`registry`]:
//! `docs/adding-a-processor.md` leads through it.

mod aes_cbc;
mod answer;
pub mod capability;
pub mod ccavenue;
pub mod credentials;
pub mod custom;
mod digest;
mod form;
mod json;
pub mod paytm;
pub mod payu;
pub mod phonepe;
pub mod razorpay;
pub mod registry;
pub mod stripe;
pub mod webhook;
pub mod wire;

pub use capability::Capabilities;
use std::borrow::Cow;
use tollgate_core::mandate::MandateTerms;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use webhook::{Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest};
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
    /// Where the processor sends the customer's browser afterwards: our own page, which hears what the
    /// processor says ([`Connector::callback`]) and sends the browser on to the merchant.
    pub return_url: Option<&'a str>,
    /// Where the processor sends its webhooks, for processors that are told so with each charge.
    pub webhook_url: Option<&'a str>,
    /// The UPI AutoPay mandate to set up with this charge.
    pub mandate: Option<&'a MandateTerms>,
    /// What the customer's statement should say.
    pub statement_descriptor: Option<&'a str>,
    /// Whether the card's holder must prove to be it (3-D Secure with a challenge), where the processor
    /// can be asked for that: the fraud check wants it.
    pub challenge: bool,
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
    /// End the UPI AutoPay mandate that a charge set up. Answered with [`Outcome::Voided`].
    RevokeMandate {
        /// The charge that set it up.
        setup: ChargeHandle<'a>,
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
    /// Whether the request needs the `authorization` header of a [`Login`]; whoever sends it adds it.
    pub needs_login: bool,
}

impl Call {
    /// An exchange that needs no login.
    #[must_use]
    pub const fn new(request: HttpRequest, moves_money: bool, step: Step) -> Self {
        Self { request, moves_money, step, needs_login: false }
    }

    /// The same exchange, to be sent with the login's `authorization` header.
    #[must_use]
    pub fn with_login(self) -> Self {
        Self { needs_login: true, ..self }
    }
}

/// What a processor's login gave: good for many calls, until its time is over.
#[derive(Clone)]
pub struct Login {
    /// The whole value of the `authorization` header.
    pub authorization: tollgate_core::card::Secret,
    /// How long it is good for, in milliseconds from its receipt.
    pub lives_ms: u64,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("lives_ms", &self.lives_ms).finish_non_exhaustive()
    }
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
        processor: Cow<'static, str>,
        /// What was asked.
        what: &'static str,
    },
    /// The processor needs its own payment id, which it never told us.
    #[error("{processor} needs its own payment id for this")]
    PaymentIdMissing {
        /// Processor's name.
        processor: Cow<'static, str>,
    },
}

/// A processor's wire format.
pub trait Connector: Send + Sync + std::fmt::Debug {
    /// The kind of processor, as `type` in its configuration.
    fn kind(&self) -> &'static str;

    /// What it can take.
    fn capabilities(&self) -> &Capabilities;

    /// Where its API is: what a reachability probe connects to.
    fn base_url(&self) -> &str;

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

    /// Verifies and reads what the customer's browser brings back from the processor's page.
    ///
    /// The browser belongs to the customer: only what the processor has signed proves anything.
    ///
    /// # Errors
    /// [`WebhookError::Signature`] when a signature does not hold.
    fn callback(&self, _request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        Ok(Callback::Ask)
    }

    /// The request that logs in, for processors whose calls need it ([`Call::needs_login`]).
    fn login(&self) -> Option<HttpRequest> {
        None
    }

    /// Reads the answer to [`Connector::login`]; none if it gave no login.
    fn read_login(&self, _response: &HttpResponse<'_>) -> Option<Login> {
        None
    }
}

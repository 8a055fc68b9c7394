//! Hosted checkout: sessions are opened, read and paid here.
//!
//! A session never has two payments that may take money. Its payments are found by an index that the
//! store writes with each of them; the next one is begun under the idempotency key `cs_…:{n}`, where `n`
//! is the number of payments that ended without money. Two tabs that begin at the same moment use the
//! same key, so one of them begins and the other is refused or given the first one's reply.

use crate::error::EngineError;
use crate::flow::{Answer, Engine};
use crate::ids;
use crate::request::{IdempotencyKey, NewCustomer, NewInstrument, NewPayment};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tollgate_core::checkout::{
    self, CheckoutCustomer, CheckoutSecret, CheckoutSession, CheckoutState, CheckoutStatus, CheckoutToken,
};
use tollgate_core::id::CheckoutId;
use tollgate_core::mandate::MandateTerms;
use tollgate_core::merchant::Merchant;
use tollgate_core::method::{CaptureMode, MethodFamily, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::payment::Payment;
use tollgate_store::commit::{Render, Upkeep};

/// A session to be opened.
#[derive(Debug, Clone)]
pub struct NewCheckout {
    /// What is to be paid.
    pub amount: Money,
    /// The methods offered; empty: all that the merchant's processors take.
    pub methods: Vec<MethodFamily>,
    /// Who pays.
    pub customer: CheckoutCustomer,
    /// What for.
    pub description: Option<String>,
    /// What the customer's statement should say.
    pub statement_descriptor: Option<String>,
    /// Where the customer goes after paying.
    pub return_url: Option<String>,
    /// Where the customer goes without paying.
    pub cancel_url: Option<String>,
    /// The merchant's own data.
    pub metadata: Vec<(String, String)>,
    /// The UPI AutoPay mandate to set up with the payment.
    pub mandate: Option<MandateTerms>,
    /// How long it is open, in milliseconds.
    pub open_ms: u64,
}

/// A session with what has become of it.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The session.
    pub session: CheckoutSession,
    /// Whose it is.
    pub merchant: Merchant,
    /// Its payments, oldest first.
    pub payments: Vec<Payment>,
    /// Where it stands.
    pub state: CheckoutState,
}

/// How a customer chose to pay in a session.
#[derive(Debug, Clone)]
pub struct CheckoutChoice {
    /// The method.
    pub method: MethodKind,
    /// The instrument.
    pub instrument: NewInstrument,
    /// The customer's browser.
    pub user_agent: Option<String>,
    /// The customer's IP address, where the gateway can tell it.
    pub ip: Option<String>,
    /// SHA-256 of what was chosen: a repeat of it gets the first one's payment.
    pub fingerprint: [u8; 32],
}

impl Checkout {
    /// The payment that decides the session, or the last that was tried.
    #[must_use]
    pub fn payment(&self) -> Option<&Payment> {
        let id = self.state.payment_id?;
        self.payments.iter().find(|payment| payment.id == id)
    }
}

impl Engine {
    /// Opens a session.
    ///
    /// # Errors
    /// [`EngineError::MerchantSuspended`], [`EngineError::NoProcessor`] when nobody takes the amount by
    /// any of the methods, or a store's fault.
    pub async fn open_checkout(
        &self,
        merchant: &Merchant,
        new: NewCheckout,
    ) -> Result<CheckoutSession, EngineError> {
        if !merchant.active {
            return Err(EngineError::MerchantSuspended);
        }
        let (parts, now_ms) = ids::fresh(&self.clock, merchant.id.bucket());
        let session = CheckoutSession {
            id: CheckoutId::from_parts(parts),
            merchant_id: merchant.id,
            secret: CheckoutSecret::new(rand::random()),
            amount: new.amount,
            methods: new.methods,
            customer: new.customer,
            description: new.description,
            statement_descriptor: new.statement_descriptor,
            return_url: new.return_url,
            cancel_url: new.cancel_url,
            metadata: new.metadata,
            mandate: new.mandate,
            created_at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(new.open_ms.min(checkout::OPEN_MS_MAX)),
        };
        if self.checkout_offers(merchant, &session).is_empty() {
            return Err(EngineError::NoProcessor);
        }
        self.store.upkeep(Upkeep::PutCheckout(Box::new(session.clone()))).await?;
        Ok(session)
    }

    /// What a customer can pay a session with.
    #[must_use]
    pub fn checkout_offers(
        &self,
        merchant: &Merchant,
        session: &CheckoutSession,
    ) -> Vec<crate::offers::Offer> {
        let mut offers = self.ways_to_pay(merchant, session.amount, session.mandate.is_some());
        offers.retain(|offer| session.methods.is_empty() || session.methods.contains(&offer.family));
        offers
    }

    /// A session by its id, with what has become of it.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, EngineError> {
        let Some(session) = self.store.checkout(id).await? else {
            return Ok(None);
        };
        let Some(merchant) = self.store.merchant(session.merchant_id).await? else {
            return Ok(None);
        };
        let payments = self.store.checkout_payments(session.merchant_id, id).await?;
        let state = checkout::state(&session, &payments, self.now_ms());
        Ok(Some(Checkout { session, merchant, payments, state }))
    }

    /// A session by its name in addresses; none if its secret is wrong.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn checkout_at(&self, token: CheckoutToken) -> Result<Option<Checkout>, EngineError> {
        let found = self.checkout(token.id).await?;
        Ok(found.filter(|found| {
            let right = found.session.secret.to_bytes().ct_eq(&token.secret.to_bytes());
            bool::from(right)
        }))
    }

    /// Begins the payment of a session that is open.
    ///
    /// # Errors
    /// [`EngineError::KeyMismatch`] when another payment of it is under way; nothing was charged then.
    pub async fn pay_checkout(
        self: &Arc<Self>,
        open: &Checkout,
        choice: CheckoutChoice,
        render: Render,
    ) -> Result<Answer, EngineError> {
        let session = &open.session;
        if open.state.status != CheckoutStatus::Open {
            return Err(EngineError::KeyMismatch);
        }
        let key = IdempotencyKey {
            key: format!("{}:{}", session.id, open.state.ended),
            fingerprint: choice.fingerprint,
        };
        let customer = &session.customer;
        let new = Box::new(NewPayment {
            amount: session.amount,
            capture: CaptureMode::Automatic,
            method: choice.method,
            instrument: Some(choice.instrument),
            customer: NewCustomer {
                user_id: customer.user_id.clone(),
                name: customer.name.clone(),
                email: customer.email.clone(),
                phone: customer.phone.clone(),
                ip: choice.ip,
                device_id: None,
                user_agent: choice.user_agent,
            },
            description: session.description.clone(),
            statement_descriptor: session.statement_descriptor.clone(),
            return_url: session.return_url.clone(),
            metadata: session.metadata.clone(),
            processor: None,
            mandate: session.mandate,
            checkout: Some(session.id),
            confirmation: None,
            time_max: None,
        });
        self.create_payment(&open.merchant, new, Some(key), render).await
    }
}

//! Charges that need a clear card, sent from where the cards are.
//!
//! With the vault in this process the engine takes the card and sends the charge itself. With the vault as
//! a process of its own, the engine hands the whole order to it: that process withdraws the card, builds
//! and sends the processor's request, and tells the outcome. No clear card comes here then.

use crate::accounts::{OpenAccounts, not_opened};
use crate::clock::Clock;
use crate::exchange::{Http, Performed};
use crate::opened::SWEEP;
use crate::processors::Processors;
use crate::send::{ChargeView, no_card};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::event::PaymentTerms;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::outcome::Outcome;
use tollgate_vault::{CardToken, CardVault, Fingerprint, ProofToken, Purpose};

/// The longest any order may take, in milliseconds.
const TIME_MS_MAX: u64 = 600_000;

/// A card as the engine holds it: by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardInHand {
    /// Where the vault has it.
    pub token: CardToken,
    /// Its security code or cryptogram, where that was given apart from it.
    pub proof: Option<ProofToken>,
    /// The same for the same number.
    pub fingerprint: Fingerprint,
}

/// A charge for another process to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CardOrder {
    /// Through which account.
    pub processor: ProcessorName,
    /// Whose card and payment it is.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// Our reference, durable already.
    pub reference: String,
    /// What the payment is.
    pub terms: Arc<PaymentTerms>,
    /// The card.
    pub card: CardInHand,
    /// The customer's IP address.
    pub ip: Option<String>,
    /// The customer's browser.
    pub user_agent: Option<String>,
    /// The merchant's own credentials at the processor, sealed; none: the configured account's.
    pub account: Option<Vec<u8>>,
    /// How long it may take, in milliseconds.
    pub time_ms: u64,
}

/// Sends charges that need a clear card. An order may arrive and its answer be lost: then the outcome is
/// [`Outcome::Unknown`], and nobody sends it again.
#[async_trait]
pub trait CardDesk: Send + Sync + Debug {
    /// Sends one.
    async fn charge(&self, order: CardOrder) -> Performed;
}

/// The desk itself: a vault and the processors' accounts, in one process.
#[derive(Debug)]
pub struct Desk {
    vault: Arc<dyn CardVault>,
    processors: Processors,
    http: Http,
    clock: Clock,
    public_url: String,
    /// Merchants' own accounts.
    own: OpenAccounts,
}

impl Desk {
    /// Puts a desk together. `public_url` is the gateway's.
    #[must_use]
    pub fn new(
        vault: Arc<dyn CardVault>,
        processors: Processors,
        clock: Clock,
        connect_timeout: Duration,
        public_url: &str,
    ) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let http = Http::new(connect_timeout);
        Self { vault, processors, http, clock, public_url, own: OpenAccounts::default() }
    }

    /// Wipes own credentials whose time is over, for as long as it is polled.
    pub async fn run_wipes(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.own.sweep(self.clock.now_ms());
        }
    }
}

#[async_trait]
impl CardDesk for Desk {
    async fn charge(&self, order: CardOrder) -> Performed {
        let until = Instant::now() + Duration::from_millis(order.time_ms.min(TIME_MS_MAX));
        let Some(processor) = self.processors.get(order.processor.as_str()) else {
            let why = "the vault's process does not know the processor";
            return Performed::unsent(Outcome::NotTaken(Failure::new(FailureCode::NoProcessor, why)));
        };
        let opened;
        let processor = match &order.account {
            None => processor,
            Some(sealed) => {
                let sealed = (order.merchant_id, sealed.as_slice());
                match self.own.get(self.vault.as_ref(), processor, sealed, &self.clock).await {
                    Ok(own) => {
                        opened = own;
                        &*opened
                    }
                    Err(_) => return Performed::unsent(not_opened()),
                }
            }
        };
        let CardInHand { token, proof, .. } = order.card;
        let purpose = Purpose::Charge(order.payment_id);
        let taken = self.vault.withdraw(order.merchant_id, token, proof, purpose, self.clock.now_ms()).await;
        let card = match taken {
            Ok(card) => card,
            Err(error) => return Performed::unsent(no_card(error)),
        };
        let view = ChargeView {
            reference: &order.reference,
            terms: &order.terms,
            public_url: &self.public_url,
            card: Some(&card),
            ip: order.ip.as_deref(),
            user_agent: order.user_agent.as_deref(),
            setup: None,
        };
        view.send(&self.http, processor, Some(until)).await
    }
}

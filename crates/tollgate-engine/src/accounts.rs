//! Merchants' own accounts at processors: which account a payment goes through, and the credentials in clear for as long
//! as they are used.
//!
//! A payment goes through its merchant's own account if that was in force when it began, which is written in it, and then so does
//! everything that follows from it. Credentials that cannot be opened stop what needs them: the gateway's own are never taken instead.
//!
//! Credentials in clear are in this process's memory alone, inside connectors that wipe them when they are dropped. They
//! are few in number and open for a bounded time; then the vault is asked again ([`crate::opened`]).

pub mod manage;
mod open;

use crate::error::EngineError;
use crate::flow::Engine;
use crate::opened::SWEEP;
use crate::processors::Processor;
pub(crate) use open::OpenAccounts;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
pub use tollgate_connectors::credentials::Credentials;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::MerchantId;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::processor_account::{ProcessorAccount, SealedCredentials};

/// Most merchants whose accounts are kept ready; beyond that they are read anew.
const KEPT_MAX: usize = 10_000;

/// How long accounts are used before they are read again: another gateway on the same store may have changed them.
const FRESH_MS: u64 = 30_000;

/// All of one merchant's.
pub(crate) type OwnAccounts = Arc<[Arc<ProcessorAccount>]>;

/// The own accounts that are kept ready.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    ready: Mutex<Ready>,
    opened: OpenAccounts,
}

#[derive(Debug, Default)]
struct Ready {
    merchants: HashMap<MerchantId, (OwnAccounts, u64)>,
    /// Counts changes: what was read from the store before a change is not kept after it.
    changes: u64,
}

/// The account that something goes through.
pub(crate) enum Through<'a> {
    /// The gateway's.
    Gateways(&'a Processor),
    /// The merchant's own.
    Own(Arc<Processor>),
}

impl Deref for Through<'_> {
    type Target = Processor;

    fn deref(&self) -> &Processor {
        match self {
            Self::Gateways(processor) => processor,
            Self::Own(processor) => processor,
        }
    }
}

/// The outcome of something whose credentials cannot be opened: nothing was sent.
pub(crate) fn not_opened() -> Outcome {
    let why = "the account's own credentials cannot be opened";
    Outcome::NotTaken(Failure::new(FailureCode::VaultUnavailable, why))
}

impl Engine {
    /// The account that a payment goes through at a processor.
    ///
    /// # Errors
    /// [`EngineError::AccountUnavailable`]; a store's fault.
    pub(crate) async fn through<'a>(
        &self,
        processor: &'a Processor,
        payment: &Payment,
    ) -> Result<Through<'a>, EngineError> {
        match self.own_account(payment, &processor.name).await? {
            None => Ok(Through::Gateways(processor)),
            Some((own, generation)) => {
                let credentials = own.of_generation(generation).ok_or(EngineError::AccountUnavailable)?;
                // Boxed: room for it would be kept for every payment.
                Ok(Through::Own(Box::pin(self.opened(&own, processor, credentials)).await?))
            }
        }
    }

    /// The own account that a payment goes through at a processor, with its generation; none: the gateway's.
    pub(crate) async fn own_account(
        &self,
        payment: &Payment,
        processor: &ProcessorName,
    ) -> Result<Option<(Arc<ProcessorAccount>, u32)>, EngineError> {
        let Some(generation) = payment.own_account_at(processor) else {
            return Ok(None);
        };
        let find = |all: OwnAccounts| {
            let own = all.iter().find(|own| own.processor == *processor && own.generation >= generation);
            own.map(Arc::clone)
        };
        let mut own = find(self.own_accounts(payment.merchant_id).await?);
        if own.is_none() {
            // Another gateway has set it since this one looked.
            self.accounts.forget(payment.merchant_id);
            own = find(self.own_accounts(payment.merchant_id).await?);
        }
        // The gateway's account is never taken instead.
        Ok(Some((own.ok_or(EngineError::AccountUnavailable)?, generation)))
    }

    /// The own accounts that a payment begins with.
    pub(crate) async fn accounts_in_force(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<(ProcessorName, u32)>, EngineError> {
        let all = self.own_accounts(merchant_id).await?;
        let in_force = all.iter().filter(|own| own.is_in_force());
        Ok(in_force.map(|own| (own.processor.clone(), own.generation)).collect())
    }

    /// The connectors whose word counts as this account's at present, the newest credentials first, each with the generation of
    /// charges that it counts for: those of one generation, or of all. Old ones that cannot be opened are left out.
    ///
    /// # Errors
    /// [`EngineError::AccountUnavailable`]: the newest cannot be opened, or there was no such generation.
    pub(crate) async fn proving(
        &self,
        own: &ProcessorAccount,
        processor: &Processor,
        generation: Option<u32>,
    ) -> Result<Vec<(u32, Arc<Processor>)>, EngineError> {
        let proving = own.proving(self.now_ms());
        let mut wanted = proving.filter(|(of, _)| generation.is_none_or(|generation| generation == *of));
        let (of, newest) = wanted.next().ok_or(EngineError::AccountUnavailable)?;
        let mut all = vec![(of, self.opened(own, processor, newest).await?)];
        for (of, credentials) in wanted {
            all.extend(self.opened(own, processor, credentials).await.ok().map(|opened| (of, opened)));
        }
        Ok(all)
    }

    async fn opened(
        &self,
        own: &ProcessorAccount,
        processor: &Processor,
        credentials: &SealedCredentials,
    ) -> Result<Arc<Processor>, EngineError> {
        let sealed = (own.merchant_id, credentials.sealed.as_slice());
        let opened = self.accounts.opened.get(self.vault.as_ref(), processor, sealed, &self.clock);
        opened.await.map_err(|_| EngineError::AccountUnavailable)
    }

    /// Wipes credentials whose time is over, for as long as the engine runs.
    pub(crate) async fn run_wipes(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.accounts.opened.sweep(self.now_ms());
        }
    }

    /// All own accounts of a merchant.
    pub(crate) async fn own_accounts(&self, merchant_id: MerchantId) -> Result<OwnAccounts, EngineError> {
        let now_ms = self.now_ms();
        let changes = {
            let ready = self.accounts.ready.lock();
            match ready.merchants.get(&merchant_id) {
                Some((all, read_ms)) if now_ms.saturating_sub(*read_ms) < FRESH_MS => {
                    return Ok(Arc::clone(all));
                }
                _ => ready.changes,
            }
        };
        // No view: it decides through which account money goes.
        let rows = self.store.processor_accounts(merchant_id).await?;
        let all: OwnAccounts = rows.into_iter().map(Arc::new).collect();
        let mut ready = self.accounts.ready.lock();
        if ready.changes == changes {
            if ready.merchants.len() >= KEPT_MAX && !ready.merchants.contains_key(&merchant_id) {
                let any = ready.merchants.keys().next().copied();
                any.and_then(|any| ready.merchants.remove(&any));
            }
            ready.merchants.insert(merchant_id, (Arc::clone(&all), now_ms));
        }
        Ok(all)
    }
}

impl Accounts {
    /// Forgets a merchant's: they were changed.
    fn forget(&self, merchant_id: MerchantId) {
        self.forget_some(Some(merchant_id));
    }

    /// Forgets a merchant's, or all: somebody else has changed them.
    pub(crate) fn forget_some(&self, merchant_id: Option<MerchantId>) {
        let mut ready = self.ready.lock();
        ready.changes = ready.changes.wrapping_add(1);
        match merchant_id {
            Some(id) => {
                ready.merchants.remove(&id);
            }
            None => ready.merchants.clear(),
        }
    }
}

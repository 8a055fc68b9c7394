//! Merchants' own accounts at processors: which account a payment goes through, and the credentials in clear for as long
//! as they are used.
//!
//! A payment goes through its merchant's own account if that was in force when it began, which is written in it, and then so does
//! everything that follows from it. Credentials that cannot be opened stop what needs them: the gateway's own are never taken instead.
//!
//! Credentials in clear are in this process's memory alone, inside connectors that wipe them when they are dropped; the
//! number of merchants that are kept ready is bounded.

pub mod manage;

use crate::error::EngineError;
use crate::flow::Engine;
use crate::processors::Processor;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::OnceCell;
pub use tollgate_connectors::credentials::Credentials;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::MerchantId;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::processor_account::{ProcessorAccount, SealedCredentials};
use tollgate_vault::{CardVault, VaultError};

/// Most merchants kept ready; beyond that all are read anew.
const KEPT_MAX: usize = 10_000;

/// How long accounts are used before they are read again: another gateway on the same store may have changed them.
const FRESH_MS: u64 = 30_000;

/// A processor with credentials, opened when it is needed.
type Opened = Arc<OnceCell<Arc<Processor>>>;

/// One own account, with its connectors as they are needed.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) row: ProcessorAccount,
    /// By when the credentials were set, and their fingerprint.
    opened: Mutex<HashMap<(u64, [u8; 4]), Opened>>,
}

impl Own {
    fn new(row: ProcessorAccount) -> Self {
        Self { row, opened: Mutex::default() }
    }

    fn cell(&self, credentials: &SealedCredentials) -> Opened {
        Arc::clone(self.opened.lock().entry((credentials.set_at_ms, credentials.fingerprint)).or_default())
    }
}

/// All of one merchant's.
pub(crate) type OwnAccounts = Arc<[Arc<Own>]>;

/// The own accounts that are kept ready.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<Ready>);

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

/// A processor as it is spoken to with a merchant's own credentials.
pub(crate) async fn open(
    vault: &dyn CardVault,
    processor: &Processor,
    (merchant_id, sealed): (MerchantId, &[u8]),
    now_ms: u64,
) -> Result<Arc<Processor>, VaultError> {
    let name = ProcessorAccount::seal_name(&processor.name);
    let plain = vault.open(merchant_id, &name, sealed, now_ms).await?;
    let credentials: Credentials = serde_json::from_slice(&plain).map_err(|_| VaultError::Unreadable)?;
    let template = processor.template.as_ref().ok_or(VaultError::Unreadable)?;
    // They were tried when they were set; the configuration may have changed since.
    let connector = template.connector(&credentials).map_err(|error| {
        tracing::error!(merchant = %merchant_id, processor = %processor.name, %error, "own credentials do not fit");
        VaultError::Unreadable
    })?;
    Ok(Arc::new(processor.of_merchant(merchant_id, connector)))
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
                let credentials = own.row.of_generation(generation).ok_or(EngineError::AccountUnavailable)?;
                Ok(Through::Own(self.opened(&own, processor, credentials).await?))
            }
        }
    }

    /// The own account that a payment goes through at a processor, with its generation; none: the gateway's.
    pub(crate) async fn own_account(
        &self,
        payment: &Payment,
        processor: &ProcessorName,
    ) -> Result<Option<(Arc<Own>, u32)>, EngineError> {
        let Some(generation) = payment.own_account_at(processor) else {
            return Ok(None);
        };
        let all = self.own_accounts(payment.merchant_id).await?;
        let own = all.iter().find(|own| own.row.processor == *processor);
        // The gateway's account is never taken instead.
        let own = own.ok_or(EngineError::AccountUnavailable)?;
        Ok(Some((Arc::clone(own), generation)))
    }

    /// The own accounts that a payment begins with.
    pub(crate) async fn accounts_in_force(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<(ProcessorName, u32)>, EngineError> {
        let all = self.own_accounts(merchant_id).await?;
        let in_force = all.iter().filter(|own| own.row.is_in_force());
        Ok(in_force.map(|own| (own.row.processor.clone(), own.row.generation)).collect())
    }

    /// The connectors whose word counts as this account's at present, the newest credentials first. Old ones that cannot be opened
    /// are left out.
    pub(crate) async fn proving(
        &self,
        own: &Own,
        processor: &Processor,
    ) -> Result<Vec<Arc<Processor>>, EngineError> {
        let mut all = vec![self.opened(own, processor, &own.row.current).await?];
        for credentials in own.row.proving(self.now_ms()).skip(1) {
            all.extend(self.opened(own, processor, credentials).await.ok());
        }
        Ok(all)
    }

    async fn opened(
        &self,
        own: &Own,
        processor: &Processor,
        credentials: &SealedCredentials,
    ) -> Result<Arc<Processor>, EngineError> {
        let cell = own.cell(credentials);
        let sealed = (own.row.merchant_id, credentials.sealed.as_slice());
        let opened = cell.get_or_try_init(|| open(self.vault.as_ref(), processor, sealed, self.now_ms()));
        let opened = opened.await.map_err(|error| {
            let merchant = own.row.merchant_id;
            tracing::error!(%merchant, processor = %processor.name, %error, "own credentials cannot be opened");
            EngineError::AccountUnavailable
        })?;
        Ok(Arc::clone(opened))
    }

    /// All own accounts of a merchant.
    pub(crate) async fn own_accounts(&self, merchant_id: MerchantId) -> Result<OwnAccounts, EngineError> {
        let now_ms = self.now_ms();
        let (changes, before) = {
            let ready = self.accounts.0.lock();
            match ready.merchants.get(&merchant_id) {
                Some((all, read_ms)) if now_ms.saturating_sub(*read_ms) < FRESH_MS => {
                    return Ok(Arc::clone(all));
                }
                old => (ready.changes, old.map(|(all, _)| Arc::clone(all))),
            }
        };
        let rows = self.store.processor_accounts(merchant_id).await?;
        // What has not changed is not opened again.
        let known =
            |row: &ProcessorAccount| before.as_ref()?.iter().find(|own| own.row == *row).map(Arc::clone);
        let all: OwnAccounts =
            rows.into_iter().map(|row| known(&row).unwrap_or_else(|| Arc::new(Own::new(row)))).collect();
        let mut ready = self.accounts.0.lock();
        if ready.changes == changes {
            if ready.merchants.len() >= KEPT_MAX && !ready.merchants.contains_key(&merchant_id) {
                // Whoever has none goes first: those are a read away, the others an opening of the vault's.
                ready.merchants.retain(|_, (all, _)| !all.is_empty());
                if ready.merchants.len() >= KEPT_MAX {
                    let any = ready.merchants.keys().next().copied();
                    any.and_then(|any| ready.merchants.remove(&any));
                }
            }
            ready.merchants.insert(merchant_id, (Arc::clone(&all), now_ms));
        }
        Ok(all)
    }
}

impl Accounts {
    /// Forgets a merchant's: they were changed.
    fn forget(&self, merchant_id: MerchantId) {
        let mut ready = self.0.lock();
        ready.changes = ready.changes.wrapping_add(1);
        ready.merchants.remove(&merchant_id);
    }
}

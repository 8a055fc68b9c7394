//! Setting, replacing and ending a merchant's own account at a processor.

use crate::error::EngineError;
use crate::flow::Engine;
use crate::processors::Processor;
use std::collections::BTreeMap;
use tollgate_connectors::credentials::{self, Credentials};
use tollgate_core::audit::By;
use tollgate_core::id::MerchantId;
use tollgate_core::processor_account::{ProcessorAccount, SealedCredentials};
use tollgate_store::commit::Admin;
use tollgate_vault::VaultError;
use zeroize::Zeroizing;

impl From<VaultError> for EngineError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoKey => Self::NoVaultKey,
            _ => Self::AccountUnavailable,
        }
    }
}

impl Engine {
    /// The names of the credentials that a processor's own accounts have.
    ///
    /// # Errors
    /// [`EngineError::UnknownProcessor`].
    pub fn credential_names(
        &self,
        merchant_id: MerchantId,
        processor: &str,
    ) -> Result<Vec<String>, EngineError> {
        let template = self.open_to(merchant_id, processor)?.template.as_ref();
        let names = template.map(|template| template.names().map(str::to_owned).collect());
        names.ok_or(EngineError::UnknownProcessor)
    }

    /// A merchant's own accounts.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn processor_accounts(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<ProcessorAccount>, EngineError> {
        Ok(self.store.processor_accounts(merchant_id).await?)
    }

    /// Sets a merchant's own credentials at a processor, or replaces those of the same account: those before prove webhooks
    /// for `overlap_ms` more. Where the last account was ended, these are another one's. Payments that begin later go through it.
    ///
    /// # Errors
    /// [`EngineError::UnknownProcessor`], [`EngineError::Credentials`], [`EngineError::NoVaultKey`],
    /// [`EngineError::AccountUnavailable`], a conflict or a store's fault; nothing was changed then.
    pub async fn put_processor_account(
        &self,
        merchant_id: MerchantId,
        processor: &str,
        (given, overlap_ms): (&Credentials, u64),
        by: By,
    ) -> Result<ProcessorAccount, EngineError> {
        let processor = self.open_to(merchant_id, processor)?;
        let template = processor.template.as_ref().ok_or(EngineError::UnknownProcessor)?;
        template.connector(given)?;
        let current = SealedCredentials {
            sealed: self.sealed(merchant_id, processor, given).await?,
            shown: credentials::masked(given),
            fingerprint: credentials::fingerprint(given),
            set_at_ms: by.at_ms,
        };
        let before = self.stored(merchant_id, processor).await?;
        let account = match before {
            None => ProcessorAccount::new(merchant_id, processor.name.clone(), current, by.at_ms),
            Some(before) => before.replaced(current, overlap_ms).ok_or(EngineError::TooManyEnds)?,
        };
        self.write(&account, by).await?;
        Ok(account)
    }

    /// Ends a merchant's own account at a processor: payments that begin from now on go through the gateway's. What went
    /// through it goes on with its credentials.
    ///
    /// # Errors
    /// [`EngineError::UnknownProcessor`]: there is none; a conflict or a store's fault.
    pub async fn end_processor_account(
        &self,
        merchant_id: MerchantId,
        processor: &str,
        by: By,
    ) -> Result<ProcessorAccount, EngineError> {
        let processor = self.open_to(merchant_id, processor)?;
        let account = self.stored(merchant_id, processor).await?;
        let account = account.filter(|account| account.is_in_force());
        let account = account.ok_or(EngineError::UnknownProcessor)?;
        let account = account.ended(by.at_ms);
        self.write(&account, by).await?;
        Ok(account)
    }

    /// A processor that a merchant may have an own account at.
    fn open_to(&self, merchant_id: MerchantId, processor: &str) -> Result<&Processor, EngineError> {
        let found = self.processors.get(processor).filter(|processor| processor.serves(merchant_id));
        found.ok_or(EngineError::UnknownProcessor)
    }

    async fn stored(
        &self,
        merchant_id: MerchantId,
        processor: &Processor,
    ) -> Result<Option<ProcessorAccount>, EngineError> {
        let all = self.store.processor_accounts(merchant_id).await?;
        Ok(all.into_iter().find(|account| account.processor == processor.name))
    }

    async fn write(&self, account: &ProcessorAccount, by: By) -> Result<(), EngineError> {
        let change = Admin::PutProcessorAccount(Box::new(account.clone()));
        let written = self.store.administer(change, by).await;
        self.accounts.forget(account.merchant_id);
        Ok(written?)
    }

    async fn sealed(
        &self,
        merchant_id: MerchantId,
        processor: &Processor,
        given: &Credentials,
    ) -> Result<Vec<u8>, EngineError> {
        let texts: BTreeMap<&str, &str> =
            given.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
        // Room enough from the start: a vector that grows leaves copies behind.
        let room = texts.iter().map(|(name, text)| 2 * (name.len() + text.len()) + 8).sum::<usize>() + 8;
        let mut plain = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *plain, &texts).map_err(|_| EngineError::AccountUnavailable)?;
        let name = ProcessorAccount::seal_name(&processor.name);
        Ok(self.vault.seal(merchant_id, &name, &plain, self.now_ms()).await?)
    }
}

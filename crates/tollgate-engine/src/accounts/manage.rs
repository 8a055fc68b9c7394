//! Setting, replacing and ending a merchant's own account at a processor: by the API, and at the command line.

use super::open::unsealed;
use crate::error::EngineError;
use crate::flow::Engine;
use crate::processors::{Processor, Processors};
use std::collections::BTreeMap;
use tollgate_connectors::credentials::{self, Credentials, Sameness};
use tollgate_core::audit::By;
use tollgate_core::id::MerchantId;
use tollgate_core::processor_account::{ProcessorAccount, SealedCredentials};
use tollgate_store::Store;
use tollgate_store::commit::Admin;
use tollgate_vault::{CardVault, VaultError};
use zeroize::Zeroizing;

/// What is wished for an own account.
#[derive(Debug, Clone, Copy)]
pub struct AccountWish<'a> {
    /// Its credentials.
    pub credentials: &'a Credentials,
    /// For how long those before prove webhooks, in milliseconds.
    pub overlap_ms: u64,
    /// Whether they are of the account that is there, as far as the caller says.
    pub same_account: Option<bool>,
}

/// Where own accounts are written down.
#[derive(Debug, Clone, Copy)]
pub struct AccountBook<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The processors there are.
    pub processors: &'a Processors,
}

impl From<VaultError> for EngineError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoKey => Self::NoVaultKey,
            _ => Self::AccountUnavailable,
        }
    }
}

impl AccountBook<'_> {
    /// Sets a merchant's own credentials at a processor, or renews those of the account that is there: those before prove
    /// webhooks for a while. Credentials of another account follow it, if the caller says so or it was ended; those that are told to
    /// be of an account that was ended take it up again. Payments that begin later go through it.
    ///
    /// # Errors
    /// [`EngineError::UnknownProcessor`], [`EngineError::Credentials`], [`EngineError::NoVaultKey`],
    /// [`EngineError::AnotherAccount`], [`EngineError::AccountUnclear`], [`EngineError::SameAccount`],
    /// [`EngineError::AccountUnavailable`], a conflict or a store's fault; nothing was changed then.
    pub async fn put(
        &self,
        vault: &dyn CardVault,
        merchant_id: MerchantId,
        processor: &str,
        wish: AccountWish<'_>,
        by: By,
    ) -> Result<ProcessorAccount, EngineError> {
        let processor = self.open_to(merchant_id, processor)?;
        let template = processor.template.as_ref().ok_or(EngineError::UnknownProcessor)?;
        let given = wish.credentials;
        template.connector(given)?;
        let before = self.stored(merchant_id, processor).await?;
        let is_renewed = match &before {
            None => false,
            Some(account) => {
                let sealed = (merchant_id, account.current.sealed.as_slice());
                let present = unsealed(vault, processor, sealed, by.at_ms).await;
                let told = present.map(|present| template.sameness(&present, given));
                match told {
                    Err(VaultError::Unreadable)
                        if !account.is_in_force() && wish.same_account != Some(true) =>
                    {
                        false
                    }
                    told => is_renewed((wish.same_account, account.is_in_force()), told?)?,
                }
            }
        };
        let current = SealedCredentials {
            sealed: sealed(vault, (merchant_id, processor), given, by.at_ms).await?,
            shown: credentials::masked(given),
            fingerprint: credentials::fingerprint(given),
            set_at_ms: by.at_ms,
        };
        let account = match before {
            None => ProcessorAccount::new(merchant_id, processor.name.clone(), current, by.at_ms),
            Some(before) if is_renewed => before.renewed(current, wish.overlap_ms),
            Some(before) => before.followed(current).ok_or(EngineError::TooManyEnds)?,
        };
        self.write(&account, by).await?;
        Ok(account)
    }

    /// Ends a merchant's own account at a processor: payments that begin from now on go through the gateway's. What went
    /// through it goes on with its credentials.
    ///
    /// # Errors
    /// [`EngineError::UnknownProcessor`]: there is none; a conflict or a store's fault.
    pub async fn end(
        &self,
        merchant_id: MerchantId,
        processor: &str,
        by: By,
    ) -> Result<ProcessorAccount, EngineError> {
        let processor = self.open_to(merchant_id, processor)?;
        let account = self.stored(merchant_id, processor).await?;
        let account = account.filter(ProcessorAccount::is_in_force);
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
        Ok(self.store.administer(change, by).await?)
    }
}

async fn sealed(
    vault: &dyn CardVault,
    (merchant_id, processor): (MerchantId, &Processor),
    given: &Credentials,
    now_ms: u64,
) -> Result<Vec<u8>, EngineError> {
    let texts: BTreeMap<&str, &str> =
        given.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
    // Room enough from the start: a vector that grows leaves copies behind.
    let room = texts.iter().map(|(name, text)| 2 * (name.len() + text.len()) + 8).sum::<usize>() + 8;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *plain, &texts).map_err(|_| EngineError::AccountUnavailable)?;
    let name = ProcessorAccount::seal_name(&processor.name);
    Ok(vault.seal(merchant_id, &name, &plain, now_ms).await?)
}

impl Engine {
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

    /// Sets a merchant's own credentials at a processor: see [`AccountBook::put`].
    ///
    /// # Errors
    /// Those of [`AccountBook::put`].
    pub async fn put_processor_account(
        &self,
        merchant_id: MerchantId,
        processor: &str,
        wish: AccountWish<'_>,
        by: By,
    ) -> Result<ProcessorAccount, EngineError> {
        let put = self.account_book().put(self.vault.as_ref(), merchant_id, processor, wish, by).await;
        self.accounts.forget(merchant_id);
        put
    }

    /// Ends a merchant's own account at a processor: see [`AccountBook::end`].
    ///
    /// # Errors
    /// Those of [`AccountBook::end`].
    pub async fn end_processor_account(
        &self,
        merchant_id: MerchantId,
        processor: &str,
        by: By,
    ) -> Result<ProcessorAccount, EngineError> {
        let ended = self.account_book().end(merchant_id, processor, by).await;
        self.accounts.forget(merchant_id);
        ended
    }

    fn account_book(&self) -> AccountBook<'_> {
        AccountBook { store: self.store.as_ref(), processors: &self.processors }
    }
}

/// Whether credentials renew those of the account that is there, or begin another one. Nothing is guessed: charges would be
/// asked about at a wrong account. What was ended is taken up again if it is told to be the same, since its charges
/// have to be asked about with the keys that come after; otherwise it is followed, unless the caller says that it is the same.
fn is_renewed((said, is_in_force): (Option<bool>, bool), told: Sameness) -> Result<bool, EngineError> {
    match (said, told) {
        (Some(true), Sameness::Same | Sameness::Unclear(_)) | (None, Sameness::Same) => Ok(true),
        (Some(false), Sameness::Differs(_) | Sameness::Unclear(_)) => Ok(false),
        (None, Sameness::Differs(_) | Sameness::Unclear(_)) if !is_in_force => Ok(false),
        (Some(false), Sameness::Same) => Err(EngineError::SameAccount),
        (Some(true) | None, Sameness::Differs(credential)) => Err(EngineError::AnotherAccount(credential)),
        (None, Sameness::Unclear(credential)) => Err(EngineError::AccountUnclear(credential)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_account_is_taken_up_again_by_its_own_credentials() {
        let differs = || Sameness::Differs("key".to_owned());
        let unclear = || Sameness::Unclear("key_id".to_owned());
        for (said, is_in_force, told, renews) in [
            (None, false, Sameness::Same, Some(true)),
            (None, false, differs(), Some(false)),
            (None, false, unclear(), Some(false)),
            (Some(true), false, unclear(), Some(true)),
            (Some(true), false, differs(), None),
            (Some(false), false, Sameness::Same, None),
            (Some(false), false, differs(), Some(false)),
            (None, true, Sameness::Same, Some(true)),
            (None, true, unclear(), None),
            (None, true, differs(), None),
        ] {
            let what = format!("{said:?} {is_in_force} {told:?}");
            assert_eq!(is_renewed((said, is_in_force), told).ok(), renews, "{what}");
        }
    }
}

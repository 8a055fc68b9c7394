//! Own accounts with their credentials opened: by the gateway for what it sends, by the vault's process for charges with
//! a card.

use super::Credentials;
use crate::clock::Clock;
use crate::opened::Opened;
use crate::processors::Processor;
use std::sync::Arc;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::MerchantId;
use tollgate_core::processor_account::ProcessorAccount;
use tollgate_vault::{CardVault, VaultError};

/// Most that are kept ready at once.
const OPEN_MAX: usize = 10_000;

/// Whose, where, and what was sealed.
type Key = (MerchantId, ProcessorName, Vec<u8>);

/// The own accounts that are open, each for a bounded time ([`crate::opened`]).
#[derive(Debug)]
pub(crate) struct OpenAccounts(Opened<Key, Arc<Processor>>);

impl Default for OpenAccounts {
    fn default() -> Self {
        Self(Opened::new(OPEN_MAX))
    }
}

impl OpenAccounts {
    /// A processor as it is spoken to with a merchant's own credentials.
    ///
    /// # Errors
    /// The vault's; [`VaultError::Unreadable`] if they do not fit the configuration.
    pub(crate) async fn get(
        &self,
        vault: &dyn CardVault,
        processor: &Processor,
        (merchant_id, sealed): (MerchantId, &[u8]),
        clock: &Clock,
    ) -> Result<Arc<Processor>, VaultError> {
        let key = (merchant_id, processor.name.clone(), sealed.to_vec());
        self.0.get(key, clock, open(vault, processor, (merchant_id, sealed), clock.now_ms())).await
    }

    /// Wipes what is over.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.0.sweep(now_ms);
    }
}

/// A merchant's own credentials at a processor, in clear.
pub(super) async fn unsealed(
    vault: &dyn CardVault,
    processor: &Processor,
    (merchant_id, sealed): (MerchantId, &[u8]),
    now_ms: u64,
) -> Result<Credentials, VaultError> {
    let name = ProcessorAccount::seal_name(&processor.name);
    let plain = vault.open(merchant_id, &name, sealed, now_ms).await?;
    serde_json::from_slice(&plain).map_err(|_| VaultError::Unreadable)
}

async fn open(
    vault: &dyn CardVault,
    processor: &Processor,
    (merchant_id, sealed): (MerchantId, &[u8]),
    now_ms: u64,
) -> Result<Arc<Processor>, VaultError> {
    let opened = unsealed(vault, processor, (merchant_id, sealed), now_ms).await;
    let credentials = opened.inspect_err(|error| {
        tracing::error!(merchant = %merchant_id, processor = %processor.name, %error, "own credentials cannot be opened");
    })?;
    let template = processor.template.as_ref().ok_or(VaultError::Unreadable)?;
    // They were tried when they were set; the configuration may have changed since.
    let connector = template.connector(&credentials).map_err(|error| {
        tracing::error!(merchant = %merchant_id, processor = %processor.name, %error, "own credentials do not fit");
        VaultError::Unreadable
    })?;
    Ok(Arc::new(processor.of_merchant(merchant_id, connector)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::LoginCache;
    use crate::opened::{GRACE_MS, LIFETIME_MS};
    use crate::processors::RoutingTraits;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;
    use tollgate_connectors::credentials::Template;
    use tollgate_core::card::Secret;
    use tollgate_vault::master::MasterSource;
    use tollgate_vault::{LocalVault, MemoryVault, VaultOptions};

    const MERCHANT: MerchantId = MerchantId::from_u128(17);

    /// A processor that merchants may have accounts at.
    fn payu() -> Processor {
        let account = [("type".to_owned(), "payu".into())];
        let template = Template::of(account.into_iter().collect());
        let credentials: Credentials =
            [("key", "OWN"), ("salt", "s")].map(|(name, text)| (name.to_owned(), Secret::new(text))).into();
        Processor {
            name: ProcessorName::new("payu"),
            connector: template.connector(&credentials).unwrap(),
            timeout: Duration::from_secs(1),
            probe_address: String::new(),
            merchants: vec![],
            login: LoginCache::default(),
            traits: RoutingTraits::default(),
            template: Some(template),
            own: None,
        }
    }

    fn vault(folder: &std::path::Path) -> Arc<LocalVault> {
        let file = folder.join("master.key");
        std::fs::write(&file, "5b".repeat(32)).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let source: MasterSource = format!("file:{}", file.display()).parse().unwrap();
        LocalVault::open(VaultOptions::new(folder.join("vault"), source.open().unwrap())).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_shredding_ends_the_use_of_what_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(folder.path());
        let processor = payu();
        let clock_ms = Arc::new(AtomicU64::new(1_790_000_000_000));
        let clock = Clock::Manual(Arc::clone(&clock_ms));
        let plain = br#"{"key":"OWN","salt":"s"}"#;
        let name = ProcessorAccount::seal_name(&processor.name);
        let sealed = vault.seal(MERCHANT, &name, plain, clock.now_ms()).await.unwrap();
        let other = vault.seal(MerchantId::from_u128(18), &name, plain, clock.now_ms()).await.unwrap();
        let open = OpenAccounts::default();
        let get =
            async |sealed: &[u8]| open.get(vault.as_ref(), &processor, (MERCHANT, sealed), &clock).await;
        let own = get(&sealed).await.unwrap();
        assert_eq!(own.own, Some(MERCHANT));
        assert_eq!(get(&other).await.err(), Some(VaultError::Unreadable), "another merchant's");
        let weak = Arc::downgrade(&own);
        drop(own);
        vault.shred(MERCHANT, clock.now_ms()).await.unwrap();
        clock_ms.fetch_add(LIFETIME_MS - 1, Ordering::SeqCst);
        assert!(get(&sealed).await.is_ok());
        clock_ms.fetch_add(1, Ordering::SeqCst);
        assert_eq!(get(&sealed).await.err(), Some(VaultError::Shredded));
        assert!(weak.upgrade().is_none(), "the connector, and with it what it had in clear, is gone");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_vault_that_has_lost_its_keys_ends_it_too() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(folder.path());
        let processor = payu();
        let clock_ms = Arc::new(AtomicU64::new(1_790_000_000_000));
        let clock = Clock::Manual(Arc::clone(&clock_ms));
        let name = ProcessorAccount::seal_name(&processor.name);
        let plain = br#"{"key":"OWN","salt":"s"}"#;
        let sealed = vault.seal(MERCHANT, &name, plain, clock.now_ms()).await.unwrap();
        let open = OpenAccounts::default();
        assert!(open.get(vault.as_ref(), &processor, (MERCHANT, &sealed), &clock).await.is_ok());
        let lost = MemoryVault::new(1, GRACE_MS);
        clock_ms.fetch_add(LIFETIME_MS, Ordering::SeqCst);
        let said = open.get(&lost, &processor, (MERCHANT, &sealed), &clock).await;
        assert_eq!(said.err(), Some(VaultError::NoKey));
    }
}

//! Endpoints' signing secrets: sealed by the vault in the store, in clear here for as long as messages are signed with
//! them.
//!
//! Where the vault has no master key there is nothing to seal with: then they are stored as they are.

use super::Webhooks;
use crate::error::EngineError;
use crate::opened::Opened;
use tollgate_core::id::{MerchantId, WebhookEndpointId};
use tollgate_core::webhook::WebhookEndpoint;
use tollgate_core::webhook::signing::{KeptSecret, SigningSecret};
use tollgate_vault::VaultError;

/// Most secrets kept ready at once.
const OPEN_MAX: usize = 20_000;

/// Secrets that are open, each for a bounded time ([`crate::opened`]), by whose they are and what was sealed.
#[derive(Debug)]
pub(super) struct Secrets(Opened<(WebhookEndpointId, Vec<u8>), SigningSecret>);

impl Default for Secrets {
    fn default() -> Self {
        Self(Opened::new(OPEN_MAX))
    }
}

impl Secrets {
    /// Wipes what is over.
    pub(super) fn sweep(&self, now_ms: u64) {
        self.0.sweep(now_ms);
    }
}

/// What an endpoint's secrets are bound to beside its merchant.
fn seal_name(id: WebhookEndpointId) -> String {
    format!("webhook:{id}")
}

impl Webhooks {
    /// A new secret, and as it is stored.
    pub(super) async fn fresh_secret(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
    ) -> Result<(SigningSecret, KeptSecret), EngineError> {
        let secret = SigningSecret::from_bytes(rand::random());
        let vault = self.engine.vault();
        match vault.seal(merchant_id, &seal_name(id), secret.expose(), self.now_ms()).await {
            Ok(sealed) => Ok((secret, KeptSecret::Sealed(sealed))),
            Err(VaultError::NoKey) => Ok((secret.clone(), KeptSecret::Clear(secret))),
            Err(error) => Err(error.into()),
        }
    }

    /// The secrets of an endpoint that are good at some time, the newest first.
    pub(super) async fn live_secrets(
        &self,
        endpoint: &WebhookEndpoint,
        at_ms: u64,
    ) -> Result<Vec<SigningSecret>, EngineError> {
        let mut live = Vec::with_capacity(2);
        for kept in endpoint.secrets.live(at_ms) {
            live.push(match kept {
                KeptSecret::Clear(secret) => secret.clone(),
                KeptSecret::Sealed(sealed) => {
                    let key = (endpoint.id, sealed.clone());
                    let clock = self.engine.clock();
                    self.secrets.0.get(key, clock, self.open_secret(endpoint, sealed)).await?
                }
            });
        }
        Ok(live)
    }

    async fn open_secret(
        &self,
        endpoint: &WebhookEndpoint,
        sealed: &[u8],
    ) -> Result<SigningSecret, VaultError> {
        let vault = self.engine.vault();
        let name = seal_name(endpoint.id);
        let plain = vault.open(endpoint.merchant_id, &name, sealed, self.now_ms()).await?;
        let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| VaultError::Unreadable)?;
        Ok(SigningSecret::from_bytes(bytes))
    }
}

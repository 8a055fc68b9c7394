//! Endpoints' signing secrets: sealed by the vault in the store, in clear here for as long as messages are signed with
//! them.
//!
//! Where the vault has no master key there is nothing to seal with: then they are stored as they are.

use super::Webhooks;
use crate::error::EngineError;
use parking_lot::Mutex;
use std::collections::HashMap;
use tollgate_core::id::{MerchantId, WebhookEndpointId};
use tollgate_core::webhook::WebhookEndpoint;
use tollgate_core::webhook::signing::{KeptSecret, SigningSecret};
use tollgate_vault::VaultError;

/// Most secrets kept ready; beyond that all are opened anew.
const KEPT_MAX: usize = 20_000;

/// Secrets that were opened, by what was sealed.
#[derive(Debug, Default)]
pub(super) struct Secrets(Mutex<HashMap<Vec<u8>, SigningSecret>>);

impl Secrets {
    fn ready(&self, sealed: &[u8]) -> Option<SigningSecret> {
        self.0.lock().get(sealed).cloned()
    }

    fn keep(&self, sealed: &[u8], secret: &SigningSecret) {
        let mut ready = self.0.lock();
        if ready.len() >= KEPT_MAX && !ready.contains_key(sealed) {
            ready.clear();
        }
        ready.insert(sealed.to_vec(), secret.clone());
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
            Ok(sealed) => {
                self.secrets.keep(&sealed, &secret);
                Ok((secret, KeptSecret::Sealed(sealed)))
            }
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
                KeptSecret::Sealed(sealed) => match self.secrets.ready(sealed) {
                    Some(secret) => secret,
                    None => self.open_secret(endpoint, sealed).await?,
                },
            });
        }
        Ok(live)
    }

    async fn open_secret(
        &self,
        endpoint: &WebhookEndpoint,
        sealed: &[u8],
    ) -> Result<SigningSecret, EngineError> {
        let vault = self.engine.vault();
        let name = seal_name(endpoint.id);
        let plain = vault.open(endpoint.merchant_id, &name, sealed, self.now_ms()).await?;
        let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| EngineError::AccountUnavailable)?;
        let secret = SigningSecret::from_bytes(bytes);
        self.secrets.keep(sealed, &secret);
        Ok(secret)
    }
}

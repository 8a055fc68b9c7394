//! What the vault's refusals are to callers.

use crate::codes;
use crate::problem::Problem;
use tollgate_vault::VaultError;

/// The problem that a refusal of the vault is.
pub(crate) fn refusal(error: VaultError) -> Problem {
    match error {
        VaultError::Full => Problem::new(&codes::OVERLOADED).retry_after_s(1),
        VaultError::Unavailable => Problem::new(&codes::VAULT_UNAVAILABLE).retry_after_s(1),
        VaultError::Apart => Problem::new(&codes::CARD_NOT_ACCEPTED_HERE),
        VaultError::NotFound => Problem::new(&codes::CARD_TOKEN_UNKNOWN),
        VaultError::Shredded => Problem::new(&codes::CARDS_DESTROYED),
        VaultError::Unreadable => Problem::new(&codes::CARD_UNREADABLE),
    }
}

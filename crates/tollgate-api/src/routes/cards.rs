//! What several routes do with cards: put them into the vault, look tokens up, say what the vault refused.

use crate::codes;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::method::CardGiven;
use tollgate_core::id::MerchantId;
use tollgate_core::method::{CardSummary, InstrumentSummary};
use tollgate_engine::desk::CardInHand;
use tollgate_engine::request::NewInstrument;
use tollgate_vault::{CardToken, Proof, VaultError};

/// The problem that a refusal of the vault is.
pub(crate) fn refusal(error: VaultError) -> Problem {
    match error {
        VaultError::Full => Problem::new(&codes::OVERLOADED).retry_after_s(1),
        VaultError::Unavailable | VaultError::NoKey => {
            Problem::new(&codes::VAULT_UNAVAILABLE).retry_after_s(1)
        }
        VaultError::Apart => Problem::new(&codes::CARD_NOT_ACCEPTED_HERE),
        VaultError::NotFound => Problem::new(&codes::CARD_TOKEN_UNKNOWN),
        VaultError::Shredded => Problem::new(&codes::CARDS_DESTROYED),
        VaultError::Unreadable => Problem::new(&codes::CARD_UNREADABLE),
    }
}

/// A card that a payment can be made with.
pub(crate) struct Presented {
    /// Where the vault has it.
    pub(crate) card: CardInHand,
    /// Its masked form.
    pub(crate) summary: CardSummary,
    /// Whether it came with this very request: nobody else can name it.
    pub(crate) is_ours: bool,
}

impl Presented {
    /// Puts it into an instrument.
    pub(crate) fn fill(&self, instrument: &mut NewInstrument) {
        instrument.card = Some(self.card);
        match &mut instrument.summary {
            InstrumentSummary::Card(card) | InstrumentSummary::Emi { card, .. } => {
                card.clone_from(&self.summary);
            }
            InstrumentSummary::Upi { .. }
            | InstrumentSummary::Wallet { .. }
            | InstrumentSummary::NetBanking { .. }
            | InstrumentSummary::UpiAutopay { .. }
            | InstrumentSummary::Bnpl { .. } => {}
        }
    }

    /// Wipes what a refused request brought; a token that the caller has stays good for another try.
    pub(crate) async fn forget(&self, state: &AppState, merchant_id: MerchantId) {
        let vault = state.engine().vault();
        if self.is_ours {
            vault.release(merchant_id, self.card.token, self.card.proof).await;
        }
    }
}

/// Puts a clear card into the vault, or looks a token up.
pub(crate) async fn present(
    state: &AppState,
    merchant_id: MerchantId,
    given: CardGiven,
) -> Result<Presented, Problem> {
    let vault = state.engine().vault();
    let now_ms = state.engine().now_ms();
    match given {
        CardGiven::Clear(card) => {
            let held = vault.hold(merchant_id, *card, now_ms).await.map_err(refusal)?;
            let card = CardInHand { token: held.token, proof: None, fingerprint: held.fingerprint };
            Ok(Presented { card, summary: held.summary, is_ours: true })
        }
        // Boxed: room for it would be kept for every clear card.
        CardGiven::Token(token, proof) => Box::pin(with_token(state, merchant_id, token, proof)).await,
    }
}

async fn with_token(
    state: &AppState,
    merchant_id: MerchantId,
    token: CardToken,
    proof: Proof,
) -> Result<Presented, Problem> {
    let vault = state.engine().vault();
    let now_ms = state.engine().now_ms();
    let found = vault.describe(merchant_id, token, now_ms).await;
    let found = found.map_err(|error| refusal(error).at("/payment_method/card/token"))?;
    if found.stored && found.summary.network_token && proof.network_token.is_none() {
        let pointer = "/payment_method/card/network_token";
        return Err(Problem::field(pointer, "is required: a network token needs a new cryptogram each time"));
    }
    let proof = if proof.is_empty() {
        None
    } else {
        Some(vault.hold_proof(merchant_id, proof, now_ms).await.map_err(refusal)?)
    };
    let card = CardInHand { token, proof, fingerprint: found.fingerprint };
    Ok(Presented { card, summary: found.summary, is_ours: false })
}

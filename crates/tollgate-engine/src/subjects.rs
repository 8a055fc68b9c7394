//! Forgetting a person, and gathering what is known of one. Used by the API and the command line alike.
//!
//! Everything here may be repeated: what was cut off goes on, and what is done stays done.

use std::collections::HashMap;
use tollgate_core::audit::By;
use tollgate_core::erasure::{Subject, why_busy};
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::payment::Payment;
use tollgate_store::Store;
use tollgate_store::commit::{Admin, CommitError, Conflict, ErasePayments, Told};
use tollgate_store::error::StoreError;
use tollgate_store::query::{LIMIT_MAX, PaymentFilter};
use tollgate_vault::{CardToken, CardVault, VaultError};

/// Most payments of a person that are masked in one go; the caller goes on with the rest.
pub const PAYMENTS_MAX: usize = 10_000;

/// Most payments of a merchant that are looked at in one go, where no index finds the person's.
pub const LOOKED_AT_MAX: usize = 100_000;

/// Payments that are masked in one commit.
const AT_ONCE: usize = 32;

/// Why a person was not forgotten, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// A payment's data is needed still.
    #[error("payment {payment_id} cannot be masked: {why}")]
    Busy {
        /// Which.
        payment_id: PaymentId,
        /// Why.
        why: &'static str,
    },
    /// The vault did not delete a card.
    #[error("a saved card cannot be deleted: {0}")]
    Vault(#[from] VaultError),
    /// The store did not take it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of what was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Payments, newest first.
    pub payments: Vec<Payment>,
    /// Where to go on; none: that was all.
    pub next: Option<PaymentId>,
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Payments masked.
    pub payments: usize,
    /// Saved cards deleted.
    pub saved_cards: usize,
    /// Passkeys removed.
    pub passkeys: usize,
    /// Checkout sessions masked.
    pub checkouts: usize,
    /// Remembered replies forgotten.
    pub replies: usize,
    /// Where to go on; none: that was all.
    pub next: Option<PaymentId>,
}

/// A person's payments before one, at most `limit`.
///
/// # Errors
/// A store's fault.
pub async fn payments_of(
    store: &dyn Store,
    merchant_id: MerchantId,
    subject: &Subject,
    (before, limit): (Option<PaymentId>, usize),
) -> Result<Found, StoreError> {
    // An index finds a customer's payments; by anything else they have to be looked for.
    let user_id = if subject.is_user_alone() { subject.user_id.clone() } else { None };
    let mut filter = PaymentFilter { user_id, before, limit: LIMIT_MAX, ..PaymentFilter::default() };
    let (mut found, mut looked_at) = (Found::default(), 0);
    loop {
        let page = store.payments(merchant_id, filter.clone()).await?;
        looked_at += page.payments.len();
        for payment in page.payments {
            if !subject.is_of(&payment.terms) {
                continue;
            }
            if found.payments.len() >= limit {
                found.next = found.payments.last().map(|last| last.id);
                return Ok(found);
            }
            found.payments.push(payment);
        }
        filter.before = page.next;
        if page.next.is_none() {
            return Ok(found);
        }
        if looked_at >= LOOKED_AT_MAX {
            found.next = page.next;
            return Ok(found);
        }
    }
}

/// Forgets a person, from a payment on: masks payments and sessions, deletes saved cards, removes passkeys. Nothing is done
/// if one of the payments found is not at rest.
///
/// # Errors
/// [`SubjectError`]; what was done before it stays done.
pub async fn forget(
    (store, vault): (&dyn Store, &dyn CardVault),
    merchant_id: MerchantId,
    (subject, before): (&Subject, Option<PaymentId>),
    by: By,
) -> Result<Forgotten, SubjectError> {
    let found = payments_of(store, merchant_id, subject, (before, PAYMENTS_MAX)).await?;
    for payment in &found.payments {
        if let Some(why) = why_busy(payment, by.at_ms) {
            return Err(SubjectError::Busy { payment_id: payment.id, why });
        }
    }
    let mut done = Forgotten { next: found.next, ..Forgotten::default() };
    if let Some(user_id) = &subject.user_id {
        (done.saved_cards, done.passkeys) =
            forget_customer((store, vault), merchant_id, user_id, &by).await?;
    }
    let sessions = store.checkouts_of(merchant_id, subject.clone()).await?;
    let mut checkouts: Vec<_> = sessions.iter().map(|session| session.id).collect();
    checkouts.extend(found.payments.iter().filter_map(|payment| payment.terms.checkout));
    checkouts.sort_unstable();
    checkouts.dedup();
    (done.payments, done.checkouts) = (found.payments.len(), checkouts.len());
    let payments: Vec<PaymentId> = found.payments.iter().map(|payment| payment.id).collect();
    let mut replies: HashMap<PaymentId, Vec<[u8; 32]>> = HashMap::new();
    // Nobody's payments have no replies: looking for them reads all that there are.
    let remembered = match payments.as_slice() {
        [] => Vec::new(),
        _ => store.remembered_replies(payments.clone()).await?,
    };
    for (payment_id, key) in remembered {
        done.replies += 1;
        replies.entry(payment_id).or_default().push(key);
    }
    for part in payments.chunks(AT_ONCE) {
        let wish = ErasePayments {
            merchant_id,
            subject: subject.clone(),
            payments: part.to_vec(),
            checkouts: Vec::new(),
            replies: part.iter().filter_map(|id| replies.remove(id)).flatten().collect(),
        };
        let masked = store.administer(Admin::ErasePayments(Box::new(wish)), by.clone()).await;
        masked.map_err(|error| match (error, part.first()) {
            (CommitError::Conflict(Conflict::Stale), Some(first)) => {
                SubjectError::Busy { payment_id: *first, why: "it, or one next to it, changed just now" }
            }
            (error, _) => error.into(),
        })?;
    }
    // After their payments: until then those have the session's texts, too.
    for part in checkouts.chunks(AT_ONCE) {
        let wish = ErasePayments {
            merchant_id,
            subject: subject.clone(),
            payments: Vec::new(),
            checkouts: part.to_vec(),
            replies: Vec::new(),
        };
        store.administer(Admin::ErasePayments(Box::new(wish)), by.clone()).await?;
    }
    tell(store, "data_subject.erased", (merchant_id, subject), done.payments, by).await?;
    Ok(done)
}

/// Deletes a customer's saved cards and removes its passkeys; tells how many of each.
async fn forget_customer(
    (store, vault): (&dyn Store, &dyn CardVault),
    merchant_id: MerchantId,
    user_id: &str,
    by: &By,
) -> Result<(usize, usize), SubjectError> {
    let cards = store.saved_cards(merchant_id, user_id).await?;
    for card in &cards {
        // The number first: if the second step fails, doing it again ends it.
        match vault.delete(merchant_id, CardToken::from_bytes(card.token), by.at_ms).await {
            Ok(()) | Err(VaultError::NotFound | VaultError::Shredded) => {}
            Err(error) => return Err(error.into()),
        }
        store.administer(Admin::RemoveSavedCard { merchant_id, token: card.token }, by.clone()).await?;
    }
    let passkeys = store.passkeys(merchant_id, user_id).await?;
    let count = passkeys.len();
    for passkey in passkeys {
        store.administer(Admin::RemovePasskey(Box::new(passkey)), by.clone()).await?;
    }
    Ok((cards.len(), count))
}

/// Puts into the audit log that a person's data was erased or handed out.
///
/// # Errors
/// The store did not take it.
pub async fn tell(
    store: &dyn Store,
    action: &'static str,
    (merchant_id, subject): (MerchantId, &Subject),
    payments: usize,
    by: By,
) -> Result<(), CommitError> {
    let told = Told {
        action,
        kind: "data_subject",
        id: subject.digest(),
        merchant_id: Some(merchant_id),
        said: serde_json::json!({"payments": payments}),
    };
    store.administer(Admin::Told(Box::new(told)), by).await
}

//! Forgetting a person, and gathering what is known of one. Used by the API and the command line alike; [`job`] does it in the
//! background.
//!
//! Everything here may be repeated: what was cut off goes on, and what is done stays done.

mod customers;
pub mod job;

use customers::customers_of;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use tollgate_core::audit::By;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::erasure::{Subject, why_busy};
use tollgate_core::id::{CheckoutId, MerchantId, PaymentId};
use tollgate_core::payment::Payment;
use tollgate_store::Store;
use tollgate_store::commit::{Admin, CommitError, Conflict, ErasePayments, Told};
use tollgate_store::error::StoreError;
use tollgate_store::query::{LIMIT_MAX, PaymentFilter, ReplyFilter};
use tollgate_vault::{CardToken, CardVault, VaultError};

/// Most payments of a person that are masked in one go; the caller goes on with the rest.
pub const PAYMENTS_MAX: usize = 10_000;

/// Most payments of a merchant that are looked at in one go, where no index finds the person's.
pub const LOOKED_AT_MAX: usize = 100_000;

/// Payments that are masked in one commit.
const AT_ONCE: usize = 32;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

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
    /// The vault did not delete a card, or does not open what it has sealed.
    #[error("the vault cannot be used: {0}")]
    Vault(#[from] VaultError),
    /// The store did not take it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a page begins: a person's payments come first, the newest in front, then their checkout sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// With the payments older than this one.
    Payments(PaymentId),
    /// With the sessions older than this one.
    Checkouts(CheckoutId),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payments(id) => id.fmt(f),
            Self::Checkouts(id) => id.fmt(f),
        }
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a payment's id nor a checkout session's")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let payments = text.parse().map(Self::Payments);
        payments.or_else(|_| text.parse().map(Self::Checkouts)).map_err(|_| InvalidCursor)
    }
}

/// A page of what was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Payments, newest first.
    pub payments: Vec<Payment>,
    /// Checkout sessions, newest first.
    pub sessions: Vec<CheckoutSession>,
    /// Where to go on; none: that was all.
    pub next: Option<Cursor>,
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
    /// Customers that were found and whose saved cards and passkeys stay, since they may be another person's.
    pub customers_left: usize,
    /// Checkout sessions masked.
    pub checkouts: usize,
    /// Remembered replies forgotten.
    pub replies: usize,
    /// Where to go on; none: that was all.
    pub next: Option<Cursor>,
}

/// What is to be masked next. Naming the same again is no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    payments: Vec<PaymentId>,
    /// The days on which idempotency keys of these payments can have been claimed, from 1970-01-01.
    days: RangeInclusive<u64>,
    /// Checkout sessions of these payments.
    theirs: Vec<CheckoutId>,
    /// Checkout sessions of the person.
    sessions: Vec<CheckoutId>,
    next: Option<Cursor>,
}

/// A page of a person's payments and checkout sessions, at most so many of each.
///
/// # Errors
/// A store's fault.
pub async fn find(
    store: &dyn Store,
    merchant_id: MerchantId,
    subject: &Subject,
    (before, payments_max, sessions_max): (Option<Cursor>, usize, usize),
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let sessions_before = match before {
        Some(Cursor::Checkouts(before)) => Some(before),
        Some(Cursor::Payments(before)) => {
            found = payments_of(store, merchant_id, subject, (Some(before), payments_max)).await?;
            None
        }
        None => {
            found = payments_of(store, merchant_id, subject, (None, payments_max)).await?;
            None
        }
    };
    if found.next.is_none() {
        let page = store.checkouts_of(merchant_id, subject.clone(), sessions_before, sessions_max).await?;
        found.sessions = page.sessions;
        found.next = page.next.map(Cursor::Checkouts);
    }
    Ok(found)
}

/// A person's payments before one, at most `limit`.
async fn payments_of(
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
                found.next = found.payments.last().map(|last| Cursor::Payments(last.id));
                return Ok(found);
            }
            found.payments.push(payment);
        }
        filter.before = page.next;
        if page.next.is_none() {
            return Ok(found);
        }
        if looked_at >= LOOKED_AT_MAX {
            found.next = page.next.map(Cursor::Payments);
            return Ok(found);
        }
    }
}

/// Forgets a person, from a place on: masks payments and sessions, ends sessions that are open, deletes saved cards, removes
/// passkeys. Nothing is done if one of the payments found is not at rest.
///
/// # Errors
/// [`SubjectError`]; what was done before it stays done.
pub async fn forget(
    (store, vault): (&dyn Store, &dyn CardVault),
    merchant_id: MerchantId,
    (subject, before): (&Subject, Option<Cursor>),
    by: By,
) -> Result<Forgotten, SubjectError> {
    let wanted = (before, PAYMENTS_MAX, LIMIT_MAX);
    let plan = plan(store, merchant_id, (subject, wanted), by.at_ms).await?;
    let mut done = Forgotten {
        payments: plan.payments.len(),
        checkouts: plan.checkouts(),
        next: plan.next,
        ..Forgotten::default()
    };
    // Before anything is masked: then nothing tells any more whose they are.
    let customers = customers_of(store, merchant_id, (subject, before)).await?;
    done.customers_left = customers.left;
    if let Some(user_id) = &customers.theirs {
        (done.saved_cards, done.passkeys) =
            forget_customer((store, vault), merchant_id, user_id, &by).await?;
    }
    let masked = carry_out(store, merchant_id, subject, &plan, &by).await?;
    if let Some(payment_id) = masked.begun {
        return Err(SubjectError::Busy { payment_id, why: "it was begun just now" });
    }
    done.replies = masked.replies;
    tell(store, "data_subject.erased", (merchant_id, subject), done.payments, by).await?;
    Ok(done)
}

impl Plan {
    /// How many checkout sessions there are in it.
    fn checkouts(&self) -> usize {
        self.theirs.len() + self.sessions.len()
    }

    /// The days on which replies may have been remembered by now. Requests that change nothing are claimed, too, whenever they
    /// come: after what was last changed, and after the plan was made, which is long ago where a job had to wait.
    fn days_until(&self, now_ms: u64) -> RangeInclusive<u64> {
        *self.days.start()..=(now_ms / DAY_MS).saturating_add(1).max(*self.days.end())
    }
}

/// What of a person is to be masked next.
async fn plan(
    store: &dyn Store,
    merchant_id: MerchantId,
    (subject, wanted): (&Subject, (Option<Cursor>, usize, usize)),
    now_ms: u64,
) -> Result<Plan, SubjectError> {
    let found = find(store, merchant_id, subject, wanted).await?;
    let today = now_ms / DAY_MS;
    let mut first = today;
    for payment in &found.payments {
        if let Some(why) = why_busy(payment, now_ms) {
            return Err(SubjectError::Busy { payment_id: payment.id, why });
        }
        first = first.min(payment.created_at_ms / DAY_MS);
    }
    let sessions: Vec<CheckoutId> = found.sessions.iter().map(|session| session.id).collect();
    let mut theirs: Vec<_> = found.payments.iter().filter_map(|payment| payment.terms.checkout).collect();
    theirs.sort_unstable();
    theirs.dedup();
    theirs.retain(|id| !sessions.contains(id));
    Ok(Plan {
        payments: found.payments.iter().map(|payment| payment.id).collect(),
        // A clock may have been set back by less than a day.
        days: first.saturating_sub(1)..=today.saturating_add(1),
        theirs,
        sessions,
        next: found.next,
    })
}

/// What came of a plan.
struct Masked {
    /// How many replies were forgotten.
    replies: usize,
    /// A payment of the person that was begun in one of their sessions meanwhile.
    begun: Option<PaymentId>,
}

/// Masks what was planned.
async fn carry_out(
    store: &dyn Store,
    merchant_id: MerchantId,
    subject: &Subject,
    plan: &Plan,
    by: &By,
) -> Result<Masked, SubjectError> {
    let mut replies = replies_of(store, merchant_id, plan, by.at_ms).await?;
    let count: usize = replies.values().map(Vec::len).sum();
    let wish = |payments: &[PaymentId], checkouts: &[CheckoutId], replies| {
        Admin::ErasePayments(Box::new(ErasePayments {
            merchant_id,
            subject: subject.clone(),
            payments: payments.to_vec(),
            checkouts: checkouts.to_vec(),
            replies,
        }))
    };
    for part in plan.payments.chunks(AT_ONCE) {
        let theirs = part.iter().filter_map(|id| replies.remove(id)).flatten().collect();
        let masked = store.administer(wish(part, &[], theirs), by.clone()).await;
        masked.map_err(|error| match (error, part.first()) {
            (CommitError::Conflict(Conflict::Stale), Some(first)) => {
                SubjectError::Busy { payment_id: *first, why: "it, or one next to it, changed just now" }
            }
            (error, _) => error.into(),
        })?;
    }
    // After their payments: until then those have the session's texts, too.
    for part in plan.theirs.chunks(AT_ONCE).chain(plan.sessions.chunks(AT_ONCE)) {
        store.administer(wish(&[], part, Vec::new()), by.clone()).await?;
    }
    // From here on nothing is begun in these sessions; what was begun before the commit that ended them is there to be seen.
    for id in &plan.sessions {
        let payments = store.checkout_payments(merchant_id, *id).await?;
        if let Some(payment) = payments.iter().find(|payment| subject.is_of(&payment.terms)) {
            return Ok(Masked { replies: count, begun: Some(payment.id) });
        }
    }
    Ok(Masked { replies: count, begun: None })
}

/// The replies that are remembered of planned payments.
async fn replies_of(
    store: &dyn Store,
    merchant_id: MerchantId,
    plan: &Plan,
    now_ms: u64,
) -> Result<HashMap<PaymentId, Vec<[u8; 32]>>, StoreError> {
    let mut replies: HashMap<PaymentId, Vec<[u8; 32]>> = HashMap::new();
    // Nobody's payments have no replies.
    if plan.payments.is_empty() {
        return Ok(replies);
    }
    let (payments, days) = (plan.payments.clone(), plan.days_until(now_ms));
    let mut filter = ReplyFilter { payments, days, after: None };
    loop {
        let page = store.remembered_replies(merchant_id, filter.clone()).await?;
        for (payment_id, key) in page.replies {
            replies.entry(payment_id).or_default().push(key);
        }
        filter.after = page.next;
        if filter.after.is_none() {
            return Ok(replies);
        }
    }
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
        id: subject.name(store.log_key(merchant_id), merchant_id),
        merchant_id: Some(merchant_id),
        said: serde_json::json!({"payments": payments}),
    };
    store.administer(Admin::Told(Box::new(told)), by).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_looked_for_up_to_the_day_they_are_forgotten_on() {
        let plan = Plan { payments: vec![], days: 99..=101, theirs: vec![], sessions: vec![], next: None };
        assert_eq!(plan.days_until(100 * DAY_MS), 99..=101);
        assert_eq!(plan.days_until(150 * DAY_MS + 1), 99..=151, "a job that had to wait");
        assert_eq!(plan.days_until(98 * DAY_MS), 99..=101, "a clock that was put back");
    }

    #[test]
    fn cursors_are_ids() {
        for cursor in
            [Cursor::Payments(PaymentId::from_u128(7)), Cursor::Checkouts(CheckoutId::from_u128(u128::MAX))]
        {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "pay_", "job_0000000000000000000000"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}

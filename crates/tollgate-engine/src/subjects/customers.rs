//! Whose saved cards and passkeys go with a person.
//!
//! They belong to a merchant's customer. Where the person is named by the merchant's own id of its customer, that is who it is.
//! Otherwise the customer has to be found among what is masked, and nobody else's cards may go: one address may be
//! used by several customers, one customer may pay for many people, and a device says nothing of who holds it.

use super::{Cursor, find};
use std::collections::BTreeSet;
use tollgate_core::erasure::Subject;
use tollgate_core::id::MerchantId;
use tollgate_store::Store;
use tollgate_store::error::StoreError;
use tollgate_store::query::LIMIT_MAX;

/// Most pages that are looked at; beyond them nobody is sure.
const PAGES_MAX: usize = 50;

/// Most customers that are told apart.
const CUSTOMERS_MAX: usize = 1_000;

/// The customers that a person was found as.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Customers {
    /// Whose saved cards and passkeys are the person's.
    pub(super) theirs: Option<String>,
    /// How many others were found, whose saved cards and passkeys stay.
    pub(super) left: usize,
}

/// Whose saved cards and passkeys are a person's: the customer named, or else the only one that was found by e-mail address,
/// phone number or UPI address, if nothing of that customer has another such address or number. To be asked before
/// anything is masked. A caller who goes on from a place has had its answer.
///
/// # Errors
/// A store's fault.
pub(super) async fn customers_of(
    store: &dyn Store,
    merchant_id: MerchantId,
    (subject, before): (&Subject, Option<Cursor>),
) -> Result<Customers, StoreError> {
    if let Some(user_id) = &subject.user_id {
        return Ok(Customers { theirs: Some(user_id.clone()), left: 0 });
    }
    if before.is_some() {
        return Ok(Customers::default());
    }
    let address = Subject { device_id: None, ..subject.clone() };
    let (mut by_address, mut all, mut is_whole) = (BTreeSet::new(), BTreeSet::new(), false);
    let mut note = |user_id: Option<String>, is_by_address: bool| {
        if let Some(user_id) = user_id.filter(|_| all.len() < CUSTOMERS_MAX) {
            if is_by_address {
                by_address.insert(user_id.clone());
            }
            all.insert(user_id);
        }
    };
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let page = find(store, merchant_id, subject, (from, LIMIT_MAX, LIMIT_MAX)).await?;
        for payment in page.payments {
            note(payment.terms.user_id.clone(), address.is_of(&payment.terms));
        }
        for session in page.sessions {
            let is_by_address = address.is_of_customer(&session.customer);
            note(session.customer.user_id, is_by_address);
        }
        from = page.next;
        if from.is_none() {
            is_whole = true;
            break;
        }
    }
    // What was not looked at may be anybody's.
    is_whole &= all.len() < CUSTOMERS_MAX;
    let found = all.len();
    let mut by_address = by_address.into_iter();
    let theirs = match (by_address.next(), by_address.next()) {
        (Some(only), None) if is_whole => {
            is_always(store, merchant_id, (&only, &address)).await?.then_some(only)
        }
        _ => None,
    };
    let left = found.saturating_sub(usize::from(theirs.is_some())).max(usize::from(!is_whole));
    Ok(Customers { theirs, left })
}

/// Whether nothing of a customer has another address than these.
async fn is_always(
    store: &dyn Store,
    merchant_id: MerchantId,
    (user_id, address): (&str, &Subject),
) -> Result<bool, StoreError> {
    let customer = Subject { user_id: Some(user_id.to_owned()), ..Subject::default() };
    let mut before = None;
    for _ in 0..PAGES_MAX {
        let page = find(store, merchant_id, &customer, (before, LIMIT_MAX, LIMIT_MAX)).await?;
        let (mut payments, mut sessions) = (page.payments.iter(), page.sessions.iter());
        if payments.any(|payment| address.is_another_than(&payment.terms))
            || sessions.any(|session| address.is_another_customer_than(&session.customer))
        {
            return Ok(false);
        }
        before = page.next;
        if before.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

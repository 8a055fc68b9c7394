//! Storage keys: fixed-width, big-endian, so that byte order is the order rows are read in.

use crate::query::{PolicyKind, RiskList};
use std::ops::Range;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::currency::Currency;
use tollgate_core::id::{CheckoutId, DeliveryId, JobId, MerchantId, PasskeyId, PaymentId, WebhookEndpointId};
use tollgate_core::job::{JobKind, Lane};
use tollgate_core::ledger::Account;
use tollgate_core::method::MethodKind;
use tollgate_core::totals::TotalsKey;

/// Merchant and a 16-byte id.
pub(crate) fn owned(merchant_id: MerchantId, id: [u8; 16]) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&merchant_id.to_bytes());
    key[16..].copy_from_slice(&id);
    key
}

/// Merchant, payment and a version.
pub(crate) fn versioned(merchant_id: MerchantId, payment_id: PaymentId, version: u32) -> [u8; 36] {
    let mut key = [0; 36];
    key[..32].copy_from_slice(&owned(merchant_id, payment_id.to_bytes()));
    key[32..].copy_from_slice(&version.to_be_bytes());
    key
}

/// Merchant and the sequence number of an event or an audit record.
pub(crate) fn merchant_event(merchant_id: MerchantId, sequence: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&merchant_id.to_bytes());
    key[16..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// Merchant, digest of the user's id, and payment.
pub(crate) fn user_payment(merchant_id: MerchantId, user: [u8; 16], payment_id: PaymentId) -> [u8; 48] {
    let mut key = [0; 48];
    key[..32].copy_from_slice(&owned(merchant_id, user));
    key[32..].copy_from_slice(&payment_id.to_bytes());
    key
}

/// Checkout session and payment.
pub(crate) fn checkout_payment(id: CheckoutId, payment_id: PaymentId) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&id.to_bytes());
    key[16..].copy_from_slice(&payment_id.to_bytes());
    key
}

/// Merchant, digest of the user's id, and passkey.
pub(crate) fn passkey(merchant_id: MerchantId, user: [u8; 16], id: PasskeyId) -> [u8; 48] {
    let mut key = [0; 48];
    key[..32].copy_from_slice(&owned(merchant_id, user));
    key[32..].copy_from_slice(&id.to_bytes());
    key
}

/// Merchant, digest of the user's id, and a card's token.
pub(crate) fn user_card(merchant_id: MerchantId, user: [u8; 16], token: [u8; 16]) -> [u8; 48] {
    let mut key = [0; 48];
    key[..32].copy_from_slice(&owned(merchant_id, user));
    key[32..].copy_from_slice(&token);
    key
}

/// Merchant, fraud list and payment.
pub(crate) fn risk_list(merchant_id: MerchantId, list: RiskList, payment_id: [u8; 16]) -> [u8; 33] {
    let mut key = [0; 33];
    key[..16].copy_from_slice(&merchant_id.to_bytes());
    key[16] = match list {
        RiskList::Review => 1,
        RiskList::Alerts => 2,
        RiskList::Labelled => 3,
        RiskList::Decided => 4,
    };
    key[17..].copy_from_slice(&payment_id);
    key
}

/// Merchant and what a policy is of.
pub(crate) fn policy(merchant_id: MerchantId, kind: PolicyKind) -> [u8; 17] {
    let mut key = [0; 17];
    key[..16].copy_from_slice(&merchant_id.to_bytes());
    key[16] = match kind {
        PolicyKind::Fraud => 1,
        PolicyKind::Routing => 2,
        PolicyKind::Limits => 3,
        PolicyKind::ApiVersion => 4,
    };
    key
}

/// A day and a merchant.
pub(crate) fn calls(day: u32, merchant_id: MerchantId) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&day.to_be_bytes());
    key[4..].copy_from_slice(&merchant_id.to_bytes());
    key
}

/// Merchant and processor.
pub(super) fn processor_account(merchant_id: MerchantId, processor: &ProcessorName) -> Vec<u8> {
    [merchant_id.to_bytes().as_slice(), processor.as_str().as_bytes()].concat()
}

/// A time and a payment.
pub(crate) fn deadline(at_ms: u64, payment_id: PaymentId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&at_ms.to_be_bytes());
    key[8..].copy_from_slice(&payment_id.to_bytes());
    key
}

/// Merchant, currency and account.
pub(crate) fn balance(merchant_id: MerchantId, currency: Currency, account: &Account) -> Vec<u8> {
    let mut key = Vec::with_capacity(40);
    key.extend(merchant_id.to_bytes());
    key.extend(currency.bytes());
    let (tag, name) = match account {
        Account::ProcessorReceivable(processor) => (0_u8, processor.as_str()),
        Account::MerchantPayable => (1, ""),
        Account::FeeRevenue => (2, ""),
        Account::RefundsPayable => (3, ""),
        Account::CustomerClearing => (4, ""),
        Account::EmiSubvention => (5, ""),
    };
    key.push(tag);
    key.extend(name.as_bytes());
    key
}

/// Merchant, hour, currency and method.
pub(crate) fn totals(merchant_id: MerchantId, key: &TotalsKey) -> [u8; 24] {
    let mut out = [0; 24];
    out[..16].copy_from_slice(&merchant_id.to_bytes());
    out[16..20].copy_from_slice(&key.hour.to_be_bytes());
    out[20..23].copy_from_slice(&key.currency.bytes());
    out[23] = MethodKind::ALL
        .iter()
        .position(|method| *method == key.method)
        .map_or(u8::MAX, |place| u8::try_from(place).unwrap_or(u8::MAX));
    out
}

/// Totals of days stand behind all hours there will ever be.
const DAYS: u32 = 1 << 31;

/// Where the totals of a merchant's hours stand.
pub(crate) fn totals_hours(merchant_id: MerchantId, from_hour: u32, to_hour: u32) -> Range<Vec<u8>> {
    let bound = |hour: u32| [merchant_id.to_bytes().as_slice(), &hour.min(DAYS).to_be_bytes()].concat();
    bound(from_hour)..bound(to_hour)
}

/// Where the totals of a merchant's days stand that begin within these hours.
pub(crate) fn totals_days(merchant_id: MerchantId, from_hour: u32, to_hour: u32) -> Range<Vec<u8>> {
    let bound = |hour: u32| [merchant_id.to_bytes().as_slice(), &(hour | DAYS).to_be_bytes()].concat();
    bound(from_hour)..bound(to_hour)
}

/// The key of an hour's day.
pub(crate) const fn day(key: TotalsKey) -> TotalsKey {
    TotalsKey { hour: day_begin(key.hour) | DAYS, currency: key.currency, method: key.method }
}

/// The hour in which an hour's day begins.
pub(crate) const fn day_begin(hour: u32) -> u32 {
    hour - hour % 24
}

/// The key of an hour, or of the hour in which a day begins.
pub(crate) const fn begin(key: TotalsKey) -> TotalsKey {
    TotalsKey { hour: key.hour & !DAYS, currency: key.currency, method: key.method }
}

/// The hours that a row of totals counts, by how its key begins.
pub(crate) const fn span(place: u32) -> Range<u32> {
    let begin = place & !DAYS;
    begin..begin.saturating_add(if place < DAYS { 1 } else { 24 })
}

/// Up to where a merchant's days are added up: behind all days.
pub(crate) fn totals_mark(merchant_id: MerchantId) -> [u8; 24] {
    let mut key = [u8::MAX; 24];
    key[..16].copy_from_slice(&merchant_id.to_bytes());
    key
}

/// The key of totals, of what follows the merchant in it.
pub(crate) fn totals_row(merchant_id: MerchantId, rest: [u8; 8]) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&merchant_id.to_bytes());
    key[16..].copy_from_slice(&rest);
    key
}

/// Reads a totals key back.
pub(crate) fn read_totals(key: &[u8]) -> Option<TotalsKey> {
    let hour = u32::from_be_bytes(key.get(16..20)?.try_into().ok()?);
    let currency = std::str::from_utf8(key.get(20..23)?).ok()?.parse().ok()?;
    let method = *MethodKind::ALL.get(usize::from(*key.get(23)?))?;
    Some(TotalsKey { hour, currency, method })
}

/// A job's kind and lane, when the queue looks at it next, and the job.
pub(crate) fn due(kind: JobKind, lane: Lane, at_ms: u64, id: [u8; 16]) -> [u8; 41] {
    let mut key = [0; 41];
    key[0] = match kind {
        JobKind::WebhookDelivery => 1,
        JobKind::WebhookReplay => 2,
        JobKind::SubjectErasure => 3,
    };
    key[1..17].copy_from_slice(&lane);
    key[17..25].copy_from_slice(&at_ms.to_be_bytes());
    key[25..].copy_from_slice(&id);
    key
}

/// A lane, a row of it, a place there, and the job.
pub(crate) fn turn(lane: Lane, row: [u8; 16], order: u64, id: JobId) -> [u8; 56] {
    let mut key = [0; 56];
    key[..16].copy_from_slice(&lane);
    key[16..32].copy_from_slice(&row);
    key[32..40].copy_from_slice(&order.to_be_bytes());
    key[40..].copy_from_slice(&id.to_bytes());
    key
}

/// All places of a row, the very last left out.
pub(crate) fn turns(lane: Lane, row: [u8; 16]) -> ([u8; 56], [u8; 56]) {
    (turn(lane, row, 0, JobId::from_u128(0)), turn(lane, row, u64::MAX, JobId::from_u128(u128::MAX)))
}

/// When a job ended, and the job.
pub(crate) fn ended(at_ms: u64, id: JobId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&at_ms.to_be_bytes());
    key[8..].copy_from_slice(&id.to_bytes());
    key
}

/// Merchant, endpoint and delivery.
pub(crate) fn endpoint_delivery(
    merchant_id: MerchantId,
    endpoint: WebhookEndpointId,
    id: DeliveryId,
) -> [u8; 48] {
    let mut key = [0; 48];
    key[..32].copy_from_slice(&owned(merchant_id, endpoint.to_bytes()));
    key[32..].copy_from_slice(&id.to_bytes());
    key
}

/// 16 bytes at a place of a key, as an id's bytes.
pub(crate) fn bytes16(key: &[u8], from: usize) -> Option<[u8; 16]> {
    key.get(from..from.checked_add(16)?)?.try_into().ok()
}

/// 8 bytes at a place of a key, as a number.
pub(crate) fn number(key: &[u8], from: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(from..from.checked_add(8)?)?.try_into().ok()?))
}

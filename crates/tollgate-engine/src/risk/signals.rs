//! A payment as the scoring sees it, made of what its record holds: the same for a new payment and for
//! one that was stored long ago.

use tollgate_core::event::PaymentTerms;
use tollgate_core::id::MerchantId;
use tollgate_core::method::InstrumentSummary;
use tollgate_core::risk::{CardSignals, Country, Screening, Signals};

/// The signals of a payment. The browser is known while the payment is being made only.
pub(super) fn of<'a>(
    (merchant_id, merchant_country): (MerchantId, Option<Country>),
    terms: &'a PaymentTerms,
    screening: &'a Screening,
    user_agent: Option<&'a str>,
    now_ms: u64,
) -> Signals<'a> {
    let country = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    let card =
        terms.instrument.card().zip(screening.card_fingerprint).map(|(card, fingerprint)| CardSignals {
            brand: card.brand,
            bin: &card.bin,
            fingerprint,
            country: country(&screening.card_country),
        });
    Signals {
        merchant_country,
        card,
        vpa: match &terms.instrument {
            InstrumentSummary::Upi { vpa, .. } => vpa.as_deref(),
            _ => None,
        },
        customer: terms.user_id.as_deref(),
        email: terms.customer_email.as_deref(),
        phone: terms.customer_phone.as_deref(),
        device: screening.device_id.as_deref(),
        ip: screening.ip.as_deref().and_then(|ip| ip.parse().ok()),
        ip_country: country(&screening.ip_country),
        user_agent,
        ..Signals::bare(now_ms, merchant_id.as_u128(), terms.amount, terms.method)
    }
}

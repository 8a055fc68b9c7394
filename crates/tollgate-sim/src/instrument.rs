//! Test instruments: what a customer pays with decides what happens.
//!
//! | behaviour | card (public test numbers) | VPA, wallet, bank or e-mail before the `@` |
//! |---|---|---|
//! | success | any other | `success` and any other |
//! | refused | 4000000000000002 | `declined` |
//! | not enough money | 4000000000009995 | `insufficient` |
//! | expired | 4000000000000069 | `expired` |
//! | lost or blocked | 4000000000009987 | `blocked` |
//! | risk | 4100000000000019 | `risk` |
//! | left by the customer | – | `cancelled` |
//! | failed, bank's answer lost | 4000000000000119 | `doubtful` |
//! | customer must act | 4000000000003220 | `pending` |
//! | customer acts and refuses | 4000008400001629 | `pending-rejected` |
//! | no answer, not taken | 4000000000002685 | `timeout-before` |
//! | no answer, taken | 4000000000000259 | `timeout-after` |
//! | connection closed, not taken | 4000000000005423 | `drop-before` |
//! | connection closed, taken | 4000000000001976 | `drop-after` |
//! | `429` | 4000000000006975 | `ratelimited` |
//! | `500`, not taken | 4000000000000341 | `error500` |
//! | `500`, taken | 4000000000000036 | `error500-after` |
//! | `503`, not taken | 4000000000000101 | `error503` |
//! | wrong signature, taken | 4000000000000028 | `wrong-signature` |
//! | `200` with nonsense, taken | 4000000000000010 | `garbage` |
//! | `200` with another's success, not taken | – | `lying` |
//!
//! Names are compared without case, `-`, `_` and `.`.
//!
//! Wallets, net banking and pay later go through a page of the processor's. The e-mail `frictionless`
//! before the `@` stands for a linked wallet or bank: no page, and success at once.

use crate::fault::Fault;

/// Why a simulated bank refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Declined,
    Insufficient,
    Expired,
    Blocked,
    Risk,
    Cancelled,
    Doubtful,
}

impl Failure {
    const ALL: [Self; 7] = [
        Self::Declined,
        Self::Insufficient,
        Self::Expired,
        Self::Blocked,
        Self::Risk,
        Self::Cancelled,
        Self::Doubtful,
    ];

    /// The number the books keep.
    pub(crate) fn index(self) -> u8 {
        let place = Self::ALL.iter().position(|known| *known == self).unwrap_or(0);
        u8::try_from(place).unwrap_or(0)
    }

    pub(crate) fn from_index(index: u8) -> Self {
        Self::ALL.get(usize::from(index)).copied().unwrap_or(Self::Declined)
    }
}

/// What an instrument makes happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Success,
    Fail(Failure),
    /// The customer must act; `approve` is what the customer does when nobody decides otherwise.
    Pending {
        approve: bool,
    },
    Fault(Fault),
}

use Behaviour::{Fail, Pending};

const CARDS: &[(&str, Behaviour)] = &[
    ("4000000000000002", Fail(Failure::Declined)),
    ("4000000000009995", Fail(Failure::Insufficient)),
    ("4000000000000069", Fail(Failure::Expired)),
    ("4000000000009987", Fail(Failure::Blocked)),
    ("4100000000000019", Fail(Failure::Risk)),
    ("4000000000000119", Fail(Failure::Doubtful)),
    ("4000000000003220", Pending { approve: true }),
    ("4000008400001629", Pending { approve: false }),
    ("4000000000002685", Behaviour::Fault(Fault::TimeoutBefore)),
    ("4000000000000259", Behaviour::Fault(Fault::TimeoutAfter)),
    ("4000000000005423", Behaviour::Fault(Fault::DropBefore)),
    ("4000000000001976", Behaviour::Fault(Fault::DropAfter)),
    ("4000000000006975", Behaviour::Fault(Fault::RateLimited)),
    ("4000000000000341", Behaviour::Fault(Fault::Error500)),
    ("4000000000000036", Behaviour::Fault(Fault::Error500After)),
    ("4000000000000101", Behaviour::Fault(Fault::Unavailable503)),
    ("4000000000000028", Behaviour::Fault(Fault::WrongSignature)),
    ("4000000000000010", Behaviour::Fault(Fault::Garbage)),
];

const NAMES: &[(&str, Behaviour)] = &[
    ("declined", Fail(Failure::Declined)),
    ("insufficient", Fail(Failure::Insufficient)),
    ("expired", Fail(Failure::Expired)),
    ("blocked", Fail(Failure::Blocked)),
    ("risk", Fail(Failure::Risk)),
    ("cancelled", Fail(Failure::Cancelled)),
    ("doubtful", Fail(Failure::Doubtful)),
    ("pending", Pending { approve: true }),
    ("pendingrejected", Pending { approve: false }),
    ("timeoutbefore", Behaviour::Fault(Fault::TimeoutBefore)),
    ("timeoutafter", Behaviour::Fault(Fault::TimeoutAfter)),
    ("dropbefore", Behaviour::Fault(Fault::DropBefore)),
    ("dropafter", Behaviour::Fault(Fault::DropAfter)),
    ("ratelimited", Behaviour::Fault(Fault::RateLimited)),
    ("error500", Behaviour::Fault(Fault::Error500)),
    ("error500after", Behaviour::Fault(Fault::Error500After)),
    ("error503", Behaviour::Fault(Fault::Unavailable503)),
    ("wrongsignature", Behaviour::Fault(Fault::WrongSignature)),
    ("garbage", Behaviour::Fault(Fault::Garbage)),
    ("lying", Behaviour::Fault(Fault::Lying)),
];

/// What a card number makes happen.
pub(crate) fn of_card(number: &str) -> Behaviour {
    let found = CARDS.iter().find(|(known, _)| *known == number);
    found.map_or(Behaviour::Success, |(_, behaviour)| *behaviour)
}

/// What a VPA, wallet, bank or e-mail makes happen: by the part before the `@`.
pub(crate) fn of_name(name: &str) -> Behaviour {
    let local = name.split('@').next().unwrap_or("");
    // Only a short name can be one of ours; the hot path sees others.
    if local.len() > 24 {
        return Behaviour::Success;
    }
    let plain = || {
        local.bytes().filter(|byte| !matches!(byte, b'-' | b'_' | b'.')).map(|byte| byte.to_ascii_lowercase())
    };
    let found = NAMES.iter().find(|(known, _)| plain().eq(known.bytes()));
    found.map_or(Behaviour::Success, |(_, behaviour)| *behaviour)
}

/// Whether the customer has a linked wallet or bank, which needs no page.
pub(crate) fn is_frictionless(email: &str) -> bool {
    email.split('@').next().is_some_and(|local| local.eq_ignore_ascii_case("frictionless"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_cards_are_possible_card_numbers() {
        for (number, _) in CARDS {
            assert!(tollgate_core::card::CardNumber::parse(number).is_ok(), "{number}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(of_name("timeout-after@upi"), Behaviour::Fault(Fault::TimeoutAfter));
        assert_eq!(of_name("TIMEOUTAFTER"), Behaviour::Fault(Fault::TimeoutAfter));
        assert_eq!(of_name("asha@okbank"), Behaviour::Success);
        assert_eq!(of_name("frictionless@example.com"), Behaviour::Success);
        assert!(is_frictionless("Frictionless@example.com") && !is_frictionless("asha@example.com"));
        for (index, failure) in (0_u8..).zip(Failure::ALL) {
            assert_eq!((failure.index(), Failure::from_index(index)), (index, failure));
        }
    }
}

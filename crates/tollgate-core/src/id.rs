//! Ids: typed, prefixed, time-ordered, and carrying the bucket of their merchant.
//!
//! An id is 128 bits laid out as a UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, the version, 12
//! bits of sub-millisecond time, the variant, then 10 bits of *bucket* and 52 random bits. The
//! bucket is the merchant's virtual shard, so one look at an id tells where its rows live.
//! As text an id is its prefix and 22 base-62 characters: `pay_0NbrhPvkMxYDJYWqCuIRUT`.

use crate::base62;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Number of virtual buckets merchants are spread over.
pub const BUCKET_COUNT: u16 = 1024;

/// The raw material of one id.
#[derive(Debug, Clone, Copy)]
pub struct IdParts {
    /// Milliseconds since the Unix epoch (48 bits are kept).
    pub unix_ms: u64,
    /// Order within the millisecond (12 bits are kept).
    pub sub_ms: u16,
    /// The merchant's bucket, below [`BUCKET_COUNT`].
    pub bucket: u16,
    /// Random bits (52 are kept).
    pub random: u64,
}

impl IdParts {
    fn pack(self) -> u128 {
        let time = u128::from(self.unix_ms & 0xFFFF_FFFF_FFFF) << 80;
        let sub = u128::from(self.sub_ms & 0x0FFF) << 64;
        let bucket = u128::from(self.bucket % BUCKET_COUNT) << 52;
        let random = u128::from(self.random & 0x000F_FFFF_FFFF_FFFF);
        time | (0x7 << 76) | sub | (0b10 << 62) | bucket | random
    }
}

/// The text is no id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct InvalidId;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(u128);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Builds an id from its parts.
            #[must_use]
            pub fn from_parts(parts: IdParts) -> Self {
                Self(parts.pack())
            }

            /// The id as its 128 bits.
            #[must_use]
            pub const fn as_u128(self) -> u128 {
                self.0
            }

            /// The id from its 128 bits, as read back from storage.
            #[must_use]
            pub const fn from_u128(value: u128) -> Self {
                Self(value)
            }

            /// Big-endian bytes: storage keys in time order.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The id from its big-endian bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            /// The bucket of the merchant this id belongs to.
            #[must_use]
            pub fn bucket(self) -> u16 {
                u16::try_from((self.0 >> 52) & 0x3FF).unwrap_or(0)
            }

            /// When the id was made, in milliseconds since the Unix epoch.
            #[must_use]
            pub fn unix_ms(self) -> u64 {
                u64::try_from(self.0 >> 80).unwrap_or(0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = base62::digits(self.0);
                f.write_str($prefix)?;
                f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .and_then(base62::decode)
                    .map(Self)
                    .ok_or(InvalidId)
            }
        }
    };
}

id_type!(
    /// A merchant: a partner's sandbox or live side.
    MerchantId, "mer_"
);
id_type!(
    /// A partner.
    PartnerId, "par_"
);
id_type!(
    /// A payment.
    PaymentId, "pay_"
);
id_type!(
    /// A refund.
    RefundId, "ref_"
);
id_type!(
    /// One call to a processor that may move money. Its text without the prefix is the reference
    /// the processor is given.
    AttemptId, "att_"
);
id_type!(
    /// An entry of the event log.
    EventId, "evt_"
);
id_type!(
    /// The public half of an API key.
    ApiKeyId, "key_"
);

id_type!(
    /// A hosted checkout session.
    CheckoutId, "cs_"
);
id_type!(
    /// A customer's passkey.
    PasskeyId, "psk_"
);
id_type!(
    /// A job of the durable queue.
    JobId, "job_"
);
id_type!(
    /// Where a merchant wants its events sent.
    WebhookEndpointId, "whe_"
);
id_type!(
    /// One event on its way to one endpoint.
    DeliveryId, "whd_"
);

impl DeliveryId {
    /// The delivery of an event to an endpoint: always the same, so that an event is on its way once and a
    /// replay carries the first delivery's id. It sorts by the event's time.
    #[must_use]
    pub const fn of(event: EventId, endpoint: WebhookEndpointId) -> Self {
        Self(event.as_u128() ^ (endpoint.as_u128() & 0x000F_FFFF_FFFF_FFFF))
    }

    /// What the receiver knows it by: the `webhook-id` header.
    #[must_use]
    pub fn message_id(self) -> String {
        let mut text = String::from("msg_");
        base62::encode_into(self.0, &mut text);
        text
    }
}

impl AttemptId {
    /// The reference given to the processor: 22 alphanumeric characters, chosen by us and durable
    /// before the call, by which enquiry, refund and webhook find the attempt again.
    #[must_use]
    pub fn reference(self) -> String {
        let mut text = String::with_capacity(base62::LENGTH);
        base62::encode_into(self.0, &mut text);
        text
    }

    /// The attempt a processor's message speaks of.
    #[must_use]
    pub fn from_reference(text: &str) -> Option<Self> {
        base62::decode(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_come_back(unix_ms in 0_u64..1 << 48, sub_ms: u16, bucket in 0..BUCKET_COUNT, random: u64) {
            let id = PaymentId::from_parts(IdParts { unix_ms, sub_ms, bucket, random });
            prop_assert_eq!(id.unix_ms(), unix_ms);
            prop_assert_eq!(id.bucket(), bucket);
            prop_assert_eq!(id.to_string().parse::<PaymentId>(), Ok(id));
            prop_assert_eq!(PaymentId::from_bytes(id.to_bytes()), id);
            let version = (id.as_u128() >> 76) & 0xF;
            let variant = (id.as_u128() >> 62) & 0b11;
            prop_assert_eq!((version, variant), (7, 0b10));
        }
    }

    #[test]
    fn later_sorts_later() {
        let at = |unix_ms, sub_ms| {
            PaymentId::from_parts(IdParts { unix_ms, sub_ms, bucket: 3, random: 9 }).to_string()
        };
        assert!(at(1, 0) < at(1, 1));
        assert!(at(1, 9) < at(2, 0));
    }

    #[test]
    fn prefix_is_part_of_the_type() {
        let id = PaymentId::from_u128(7);
        assert_eq!(id.to_string().parse::<RefundId>(), Err(InvalidId));
        assert_eq!("pay_".parse::<PaymentId>(), Err(InvalidId));
    }

    #[test]
    fn deliveries_of_one_event_differ_and_are_the_same_every_time() {
        let parts = |random| IdParts { unix_ms: 77, sub_ms: 5, bucket: 9, random };
        let (event, other) = (EventId::from_parts(parts(1)), EventId::from_parts(parts(2)));
        let (a, b) = (
            WebhookEndpointId::from_parts(parts(3)),
            WebhookEndpointId::from_parts(parts(0x000F_FFFF_0000_0000)),
        );
        let id = DeliveryId::of(event, a);
        assert_eq!(id, DeliveryId::of(event, a));
        assert_ne!(id, DeliveryId::of(event, b));
        assert_ne!(id, DeliveryId::of(other, a));
        assert_eq!((id.unix_ms(), id.bucket()), (77, 9));
        assert!(id.message_id().starts_with("msg_") && id.message_id().len() == 26);
    }

    #[test]
    fn reference_round_trips() {
        let id = AttemptId::from_u128(u128::MAX - 5);
        assert_eq!(AttemptId::from_reference(&id.reference()), Some(id));
        assert_eq!(id.reference().len(), 22);
    }
}

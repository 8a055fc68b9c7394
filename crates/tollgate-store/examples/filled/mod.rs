//! What `postgres_fill` fills a database with, so that `postgres_queries` knows what to ask for: merchants by their rank,
//! their customers, processors and currencies, and the time that the payments are spread over.

use tollgate_core::id::{IdParts, MerchantId};

/// Merchants. The first has the most payments (Zipf: the n-th has 1/n as many).
pub(crate) const MERCHANTS: usize = 1_000;

/// The processors there are; a merchant uses three of them that follow each other.
pub(crate) const PROCESSORS: [&str; 6] = ["razorpay", "payu", "cashfree", "stripe", "paytm", "adyen"];

/// Twelve months.
const SPAN_MS: u64 = 365 * 86_400_000;

/// The database that is filled.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Payments in all.
    pub(crate) payments: u64,
    /// Their times.
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    /// Where each merchant's share of a million millionths ends.
    ends: Vec<f64>,
}

impl World {
    pub(crate) fn new(payments: u64, now_ms: u64) -> Self {
        let mut sum = 0.0;
        let mut ends: Vec<f64> = (1_u32..)
            .take(MERCHANTS)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        for end in &mut ends {
            *end /= sum;
        }
        Self { payments, from_ms: now_ms - SPAN_MS, to_ms: now_ms, ends }
    }

    /// The merchant that a number from 0 to 1 falls to.
    pub(crate) fn rank_at(&self, at: f64) -> usize {
        self.ends.partition_point(|end| *end < at).min(MERCHANTS - 1)
    }

    /// How many payments a merchant has, about.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn payments_of(&self, rank: usize) -> u64 {
        let before = rank.checked_sub(1).map_or(0.0, |before| self.ends[before]);
        ((self.ends[rank] - before) * self.payments as f64) as u64
    }

    /// How many customers a merchant has; each comes again 25 times, some far more often.
    pub(crate) fn customers_of(&self, rank: usize) -> u64 {
        (self.payments_of(rank) / 25).max(20)
    }
}

pub(crate) fn merchant(rank: usize) -> MerchantId {
    let number = u64::try_from(rank).unwrap_or(0);
    let bucket = u16::try_from(rank * 37 % 1_024).unwrap_or(0);
    MerchantId::from_parts(IdParts { unix_ms: 1_700_000_000_000, sub_ms: 0, bucket, random: number })
}

pub(crate) fn customer(number: u64) -> String {
    format!("customer-{number:08}")
}

/// The processor that a merchant sends most to (0), some to (1) or little to (2).
pub(crate) fn processor(rank: usize, place: usize) -> &'static str {
    PROCESSORS[(rank + place) % PROCESSORS.len()]
}

/// Whether a merchant sells in a second currency as well.
pub(crate) const fn sells_abroad(rank: usize) -> bool {
    rank.is_multiple_of(5)
}

/// Random numbers that are the same in every run (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// From 0 up to 1.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A customer: the first ones come most often.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn customer_of(&mut self, customers: u64) -> u64 {
        let part = self.part();
        ((part * part) * customers as f64) as u64
    }
}

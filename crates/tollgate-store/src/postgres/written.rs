//! Up to where the primary's log must have been replayed to show what this run has written.

use crate::error::StoreError;
use crate::postgres::link::Link;
use std::sync::atomic::{AtomicU64, Ordering};
use tollgate_core::id::MerchantId;

/// Buckets of merchants: ten bits of an id.
const BUCKETS: usize = 1 << 10;

/// A place in the primary's log (PostgreSQL: "log sequence number").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Lsn(pub(super) u64);

impl Lsn {
    /// Reads `16/B374D848`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
        Some(Self(number(high)? << 32 | number(low)?))
    }
}

/// What this run has written, by the bucket of the merchant it was for.
pub(super) struct Written {
    buckets: Vec<AtomicU64>,
    /// Administrative changes, of whomever.
    administration: AtomicU64,
}

impl Default for Written {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, administration: AtomicU64::new(0) }
    }
}

impl Written {
    /// A batch of payments of these buckets is durable up to here.
    pub(super) fn note(&self, buckets: impl Iterator<Item = u16>, lsn: Lsn) {
        for bucket in buckets {
            if let Some(slot) = self.buckets.get(usize::from(bucket)) {
                slot.fetch_max(lsn.0, Ordering::AcqRel);
            }
        }
    }

    /// An administrative change is durable up to here.
    pub(super) fn note_administration(&self, lsn: Lsn) {
        self.administration.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// What must have been replayed to show a merchant's changes; none: those of the administration alone.
    pub(super) fn of(&self, merchant_id: Option<MerchantId>) -> Lsn {
        let read = |slot: &AtomicU64| slot.load(Ordering::Acquire);
        let own = merchant_id.and_then(|id| self.buckets.get(usize::from(id.bucket()))).map_or(0, read);
        Lsn(own.max(read(&self.administration)))
    }
}

/// Commits, and tells up to where the log goes then.
pub(super) async fn commit(link: &Link) -> Result<Option<Lsn>, StoreError> {
    // One message, one round trip. The second statement comes after the commit is on disk.
    let told = link.run_for("COMMIT; SELECT pg_current_wal_lsn()").await?;
    Ok(told.as_deref().and_then(Lsn::read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_postgresql_writes_them() {
        assert_eq!(Lsn::read("16/B374D848"), Some(Lsn(0x16_B374_D848)));
        assert_eq!(Lsn::read("0/0"), Some(Lsn(0)));
        for wrong in ["", "/", "1", "1/2/3", "1/G", "100000000/0"] {
            assert_eq!(Lsn::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_merchant_waits_for_its_own_bucket_and_for_the_administration() {
        let written = Written::default();
        let (one, other) = (MerchantId::from_u128(0), MerchantId::from_u128(u128::MAX));
        assert_ne!(one.bucket(), other.bucket());
        written.note([one.bucket()].into_iter(), Lsn(7));
        written.note([one.bucket()].into_iter(), Lsn(5));
        assert_eq!((written.of(Some(one)), written.of(Some(other))), (Lsn(7), Lsn(0)));
        written.note_administration(Lsn(6));
        assert_eq!(
            (written.of(Some(one)), written.of(Some(other)), written.of(None)),
            (Lsn(7), Lsn(6), Lsn(6))
        );
    }
}

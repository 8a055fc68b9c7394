//! The gate of a shard: for which buckets it takes writes.
//!
//! A batch reads it after it has its locks. Whoever closes a bucket holds the same locks while doing so. So no batch
//! can write to a bucket after it was closed, whatever its instance believes about where the bucket is.

use crate::error::StoreError;
use crate::postgres::link::{Link, Query, column};
use tollgate_core::id::{BUCKET_COUNT, MerchantId};

/// Bytes of the gate: a bit a bucket.
pub(super) const GATE_BYTES: usize = 128;
const _: () = assert!(GATE_BYTES * 8 == BUCKET_COUNT as usize);

/// For which buckets a database takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// It is no shard: for all.
    All,
    /// For those whose bit is set.
    Some([u8; GATE_BYTES]),
}

impl Gate {
    /// As it stands.
    pub(super) async fn read(link: &Link) -> Result<Self, StoreError> {
        let found = link.query_opt(Query::Fixed("SELECT open FROM shard WHERE id = 1"), &[]).await?;
        let Some(row) = found else {
            return Ok(Self::All);
        };
        let open: &[u8] = column(&row, 0, "shard")?;
        Ok(Self::Some(open.try_into().map_err(|_| StoreError::Corrupt("shard"))?))
    }

    /// Whether a bucket's rows may be written.
    pub(super) fn is_open(&self, bucket: u16) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => {
                let byte = bits.get(usize::from(bucket / 8)).copied().unwrap_or(0);
                byte >> (bucket % 8) & 1 == 1
            }
        }
    }

    /// Whether a merchant's rows may be written.
    pub(super) fn is_here(&self, merchant_id: MerchantId) -> bool {
        self.is_open(merchant_id.bucket())
    }

    /// The bits of some buckets.
    pub(super) fn of(buckets: impl Iterator<Item = u16>) -> [u8; GATE_BYTES] {
        let mut bits = [0; GATE_BYTES];
        for bucket in buckets {
            if let Some(byte) = bits.get_mut(usize::from(bucket / 8)) {
                *byte |= 1 << (bucket % 8);
            }
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_a_bucket() {
        let gate = Gate::Some(Gate::of([0, 9, 1_023].into_iter()));
        let open: Vec<u16> = (0..BUCKET_COUNT).filter(|bucket| gate.is_open(*bucket)).collect();
        assert_eq!(open, [0, 9, 1_023]);
        assert!(Gate::All.is_open(5));
    }
}

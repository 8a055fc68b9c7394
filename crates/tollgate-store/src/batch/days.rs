//! Totals of whole days: added up from the hours some days later, and changed by every commit from then on. Who asks for a
//! year reads days instead of hours.
//!
//! Up to where a merchant's days are added up is a row of its own, the mark. It is moved under the lock that commits of the
//! merchant take, so each commit either comes before, and is added up, or sees the mark, and changes the day as well.

use crate::batch::codec::{decode, encode};
use crate::batch::txn::Txn;
use crate::batch::{Base, Table, keys};
use crate::error::StoreError;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tollgate_core::id::MerchantId;
use tollgate_core::totals::{Totals, TotalsKey};

/// Most hours' rows that are added up at once; the rest is for the next time.
const ROWS_MAX: usize = 100_000;

/// The mark that a row tells.
pub(crate) fn read_mark(row: &[u8]) -> Result<u32, StoreError> {
    let bytes = row.try_into().map_err(|_| StoreError::Corrupt("totals of days"))?;
    Ok(u32::from_be_bytes(bytes))
}

impl<B: Base> Txn<'_, B> {
    /// Up to before which hour a merchant's days are added up.
    pub(super) fn days_upto(&self, merchant_id: MerchantId) -> Result<u32, StoreError> {
        if !B::KEEPS_DAYS {
            return Ok(0);
        }
        let row = self.base.get(Table::Totals, &keys::totals_mark(merchant_id))?;
        row.map_or(Ok(0), |row| read_mark(row.as_ref()))
    }

    /// Adds up the days that end by an hour and are not added up yet.
    pub(super) fn add_up_days(&mut self, merchant_id: MerchantId, upto_hour: u32) -> Result<(), StoreError> {
        // A program that knows nothing of the mark would change hours without their days.
        if !B::KEEPS_DAYS || !self.base.all_keep_days()? {
            return Ok(());
        }
        let (from, upto) = (self.days_upto(merchant_id)?, keys::day_begin(upto_hour));
        if from >= upto {
            return Ok(());
        }
        let mut days: BTreeMap<TotalsKey, Totals> = BTreeMap::new();
        let (mut seen, mut reached, mut current) = (0_usize, upto, None);
        let hours = keys::totals_hours(merchant_id, from, upto);
        self.base.scan(Table::Totals, &hours.start, &hours.end, |key, row| {
            let key = keys::read_totals(key).ok_or(StoreError::Corrupt("totals key"))?;
            let day = keys::day_begin(key.hour);
            if seen >= ROWS_MAX && current != Some(day) {
                reached = day;
                return Ok(ControlFlow::Break(()));
            }
            (seen, current) = (seen + 1, Some(day));
            days.entry(keys::day(key)).or_default().add(&decode(row, "totals")?);
            Ok(ControlFlow::Continue(()))
        })?;
        for (key, totals) in &days {
            let row = encode(totals)?;
            self.base.put(&mut self.rows, Table::Totals, &keys::totals(merchant_id, key), &row);
        }
        let mark = reached.to_be_bytes();
        self.base.put(&mut self.rows, Table::Totals, &keys::totals_mark(merchant_id), &mark);
        Ok(())
    }
}

//! The log of outcomes: adding to it, removing from it, reading it.

use crate::batch::codec::decode;
use crate::error::StoreError;
use crate::outcomes::OutcomeRecord;
use crate::postgres::link::{Id, Link, Query, big, column, natural};
use tokio_postgres::Row;
use tollgate_core::webhook::outcome::WebhookOutcome;

/// Outcomes to add, counted from 1 within the batch; and what makes room for them.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) merchant_id: Vec<Id>,
    place: Vec<i64>,
    at_ms: Vec<i64>,
    record: Vec<Vec<u8>>,
    /// Those before this time go, at most so many.
    outlived: Option<(i64, i64)>,
}

impl Outcomes {
    pub(super) fn add(&mut self, place: u64, outcome: &WebhookOutcome, row: &[u8]) {
        self.merchant_id.push(Id(outcome.merchant_id.to_bytes()));
        self.place.push(big(place));
        self.at_ms.push(big(outcome.at_ms));
        self.record.push(row.to_vec());
    }

    pub(super) fn forget(&mut self, before_ms: u64, most: usize) {
        self.outlived = Some((big(before_ms), i64::try_from(most).unwrap_or(i64::MAX)));
    }

    /// Removes what has outlived its time.
    pub(super) async fn make_room(&self, link: &Link) -> Result<(), StoreError> {
        if let Some((before_ms, most)) = &self.outlived {
            let query = Query::Fixed(include_str!("sql/outcomes_forget.sql"));
            link.execute(query, &[before_ms, most]).await?;
        }
        Ok(())
    }

    /// Adds them, behind the log's end. Until the transaction ends nobody else can.
    pub(super) async fn write(&self, link: &Link) -> Result<(), StoreError> {
        if self.record.is_empty() {
            return Ok(());
        }
        let count = i64::try_from(self.record.len()).unwrap_or(i64::MAX);
        let query = Query::Fixed(include_str!("sql/outcomes_add.sql"));
        let added =
            link.execute(query, &[&self.merchant_id, &self.place, &self.at_ms, &self.record, &count]).await?;
        if big(added) == count { Ok(()) } else { Err(StoreError::Corrupt("the outcomes' head")) }
    }
}

/// An outcome as it is read.
pub(super) fn read(row: &Row) -> Result<OutcomeRecord, StoreError> {
    let what = "outcome of a delivery";
    let sequence = natural(column(row, 0, what)?);
    Ok(OutcomeRecord { sequence, outcome: decode(column(row, 1, what)?, what)? })
}

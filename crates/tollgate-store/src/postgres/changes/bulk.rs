//! Filling a database with payments that were decided elsewhere, by `COPY`, for measurements on many.
//!
//! The rows are those that a batch writes, column by column. Nothing is booked and nobody is told: what hangs on a
//! payment (attempts, events, postings) is not written. Only in builds with the feature `bulk`.

use super::Payments;
use crate::batch::codec::encode;
use crate::batch::keys;
use crate::error::StoreError;
use crate::postgres::PostgresOptions;
use crate::postgres::base::split;
use crate::postgres::link::{Id, Link};
use std::pin::pin;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use tollgate_core::id::MerchantId;
use tollgate_core::payment::Payment;
use tollgate_core::totals::{Totals, TotalsKey};

/// A connection that fills tables.
pub struct Filler(Link);

impl std::fmt::Debug for Filler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filler").finish_non_exhaustive()
    }
}

impl Filler {
    /// Connects to a database whose schema is up to date.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        options.patient_link().await.map(Self)
    }

    /// Runs statements.
    ///
    /// # Errors
    /// They fail.
    pub async fn run(&self, text: &str) -> Result<(), StoreError> {
        self.0.run(text).await
    }

    /// Writes payments; none of them may be there.
    ///
    /// # Errors
    /// They cannot be written; then none is.
    pub async fn payments(&self, payments: &[Payment]) -> Result<u64, StoreError> {
        let mut columns = Payments::default();
        for payment in payments {
            columns.add(payment, &encode(payment)?);
        }
        columns.copy(&self.0).await
    }

    /// Writes totals; none of them may be there.
    ///
    /// # Errors
    /// They cannot be written; then none is.
    pub async fn totals(
        &self,
        rows: impl Iterator<Item = (MerchantId, TotalsKey, Totals)>,
    ) -> Result<u64, StoreError> {
        let into = "COPY totals (merchant_id, key, record) FROM STDIN (FORMAT binary)";
        let sink = self.0.client().copy_in(into).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::UUID, Type::BYTEA, Type::BYTEA]));
        for (merchant_id, key, totals) in rows {
            let (key, record) = (keys::totals(merchant_id, &key), encode(&totals)?);
            let (merchant, rest) = split(&key)?;
            writer.as_mut().write(&[&merchant, &rest, &record]).await?;
        }
        Ok(writer.finish().await?)
    }
}

impl Payments {
    async fn copy(&self, link: &Link) -> Result<u64, StoreError> {
        let into = "COPY payments (merchant_id, id, version, status, processor, method, customer, checkout_id, currency,
                                   amount_minor, created_at_ms, deadline_ms, record) FROM STDIN (FORMAT binary)";
        let types = [
            Type::UUID,
            Type::UUID,
            Type::INT4,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::BYTEA,
            Type::UUID,
            Type::TEXT,
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::BYTEA,
        ];
        let sink = link.client().copy_in(into).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for place in 0..self.id.len() {
            let merchant: &Id = &self.merchant_id[place];
            writer
                .as_mut()
                .write(&[
                    merchant,
                    &self.id[place],
                    &self.version[place],
                    &self.status[place],
                    &self.processor[place],
                    &self.method[place],
                    &self.customer[place],
                    &self.checkout_id[place],
                    &self.currency[place],
                    &self.amount_minor[place],
                    &self.created_at_ms[place],
                    &self.deadline_ms[place],
                    &self.record[place],
                ])
                .await?;
        }
        Ok(writer.finish().await?)
    }
}

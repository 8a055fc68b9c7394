//! The books as an auditor reads them.

use super::{Books, Entry, SHARDS, journal, number_of};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// One reference in a processor's books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookEntry {
    /// Processor's name, e.g. `razorpay`.
    pub processor: String,
    /// The reference the processor was given: Tollgate's attempt.
    pub reference: String,
    /// The processor's id of the payment.
    pub processor_payment_id: String,
    /// What was asked for, in minor units.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Where it stands.
    pub status: BookStatus,
    /// What was taken, summed over every capture, in minor units. Above `amount_minor` would be a
    /// double charge.
    pub captured_minor: i64,
    /// What was given back by refunds that are done, in minor units.
    pub refunded_minor: i64,
    /// The refunds.
    pub refunds: Vec<BookRefund>,
}

/// Where a reference stands in a processor's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookStatus {
    /// Registered; no payment was asked for.
    Created,
    /// Waiting for the customer.
    Pending,
    /// Reserved.
    Authorized,
    /// Taken.
    Captured,
    /// Refused.
    Failed,
    /// Reserved and released again.
    Voided,
}

/// A refund in a processor's books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookRefund {
    /// The reference the processor was given.
    pub reference: String,
    /// The processor's id of the refund.
    pub processor_refund_id: String,
    /// Minor units.
    pub amount_minor: i64,
    /// `processed`, `pending` or `failed`.
    pub status: String,
}

/// Sums over a processor's books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookTotals {
    /// References.
    pub entries: u64,
    /// References that were captured.
    pub captured_entries: u64,
    /// Sum of what was captured, over all currencies, in minor units.
    pub captured_minor: i64,
    /// Sum of what was given back, over all currencies, in minor units.
    pub refunded_minor: i64,
}

#[derive(Serialize, Deserialize)]
struct TotalsLine {
    totals: BookTotals,
}

/// The books could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The folder or a journal could not be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// What could not be accessed.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A journal or a listing has a line that cannot be understood.
    #[error("{path}, line {line}: not a line of a simulator's books")]
    Malformed {
        /// Where.
        path: String,
        /// Line, from 1.
        line: usize,
    },
}

impl Books {
    /// Appends the lines of up to `limit` entries of one shard, from `from`, to `out`; the next
    /// place to go on at, until every shard was read.
    pub(crate) fn list_into(
        &self,
        from: (usize, usize),
        limit: usize,
        totals: &mut BookTotals,
        out: &mut Vec<u8>,
    ) -> Option<(usize, usize)> {
        let (shard_index, start) = from;
        let entries: Vec<(u64, Entry)> = {
            let shard = self.shards.get(shard_index)?.lock();
            let kept = shard.entries.iter().enumerate().skip(start).take(limit);
            kept.map(|(slot, kept)| {
                (number_of(shard_index, u32::try_from(slot).unwrap_or(u32::MAX)), kept.view())
            })
            .collect()
        };
        for (number, entry) in &entries {
            let line = self.book_entry(*number, entry);
            totals.entries += 1;
            totals.captured_entries += u64::from(line.status == BookStatus::Captured);
            totals.captured_minor = totals.captured_minor.saturating_add(line.captured_minor);
            totals.refunded_minor = totals.refunded_minor.saturating_add(line.refunded_minor);
            write_line(&line, out);
        }
        if entries.len() == limit {
            return Some((shard_index, start + limit));
        }
        if shard_index + 1 < SHARDS {
            return Some((shard_index + 1, 0));
        }
        write_line(&TotalsLine { totals: *totals }, out);
        None
    }

    fn book_entry(&self, number: u64, entry: &Entry) -> BookEntry {
        BookEntry {
            processor: self.ids.processor.to_owned(),
            reference: entry.reference.to_string(),
            processor_payment_id: (self.ids.payment)(number),
            amount_minor: entry.amount_minor,
            currency: entry.currency().to_owned(),
            status: entry.status.book(),
            captured_minor: entry.captured_minor,
            refunded_minor: entry.refunded_minor(),
            refunds: entry
                .refunds
                .iter()
                .map(|refund| BookRefund {
                    reference: refund.reference().to_owned(),
                    processor_refund_id: (self.ids.refund)(refund.action),
                    amount_minor: refund.amount_minor,
                    status: refund.state.name().to_owned(),
                })
                .collect(),
        }
    }
}

fn write_line(line: &impl Serialize, out: &mut Vec<u8>) {
    // Writing plain structs to memory cannot fail.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}

/// Reads the journals of a books folder; the simulators may be running or not.
///
/// # Errors
/// [`BooksError`] when the folder cannot be read or holds a journal that is not one.
pub fn read_dir(path: &Path) -> Result<Vec<BookEntry>, BooksError> {
    let mut found = Vec::new();
    for ids in crate::accounts::Simulator::standard().iter().map(crate::accounts::Simulator::ids) {
        let books = Books::open(ids, None)?;
        journal::replay(path, ids.processor, |line| books.replay(line))?;
        for (shard_index, shard) in books.shards.iter().enumerate() {
            for (slot, kept) in shard.lock().entries.iter().enumerate() {
                let number = number_of(shard_index, u32::try_from(slot).unwrap_or(u32::MAX));
                found.push(books.book_entry(number, &kept.view()));
            }
        }
    }
    Ok(found)
}

/// Reads the body of `GET /sim/books`: one entry a line, then the totals.
///
/// # Errors
/// [`BooksError::Malformed`] when a line is not an entry or the totals are missing, so that a
/// listing that was cut off is not taken for a whole one.
pub fn parse_ndjson(text: &str) -> Result<(Vec<BookEntry>, BookTotals), BooksError> {
    let malformed = |line| BooksError::Malformed { path: "/sim/books".to_owned(), line };
    let mut entries = Vec::new();
    let mut totals = None;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("{\"totals\"") {
            let last: TotalsLine = serde_json::from_str(line).map_err(|_| malformed(index + 1))?;
            totals = Some(last.totals);
        } else {
            entries.push(serde_json::from_str(line).map_err(|_| malformed(index + 1))?);
        }
    }
    let totals = totals.ok_or_else(|| malformed(entries.len() + 1))?;
    Ok((entries, totals))
}

//! Everything that is kept of a partner, as JSON lines: the partner, its merchants, their payments with
//! attempts, refunds, ledger entries and events, and their records of the audit log.

use crate::routes::payment::whole;
use serde_json::{Value, json};
use std::io::{self, Write};
use tollgate_core::merchant::Merchant;
use tollgate_core::partner::Partner;
use tollgate_store::Store;
use tollgate_store::error::StoreError;
use tollgate_store::query::{LIMIT_MAX, PaymentFilter};

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output cannot be written.
    #[error("the export cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Writes everything of a partner; gives the number of lines.
///
/// # Errors
/// [`ExportError`].
pub async fn export(
    store: &dyn Store,
    partner: &Partner,
    out: &mut (dyn Write + Send),
) -> Result<u64, ExportError> {
    let mut lines = 1;
    line(out, "partner", &partner.as_json().to_string())?;
    for (_, merchant_id) in partner.merchants() {
        if let Some(merchant) = store.merchant(merchant_id).await? {
            lines += 1;
            line(out, "merchant", &merchant_json(&merchant).to_string())?;
        }
        let mut filter = PaymentFilter { limit: LIMIT_MAX, ..PaymentFilter::default() };
        loop {
            let page = store.payments(merchant_id, filter.clone()).await?;
            for payment in page.payments {
                lines += 1;
                line(out, "payment", &whole(store, payment).await?)?;
            }
            if page.next.is_none() {
                break;
            }
            filter.before = page.next;
        }
        let mut before = None;
        loop {
            let records = store.merchant_audit(merchant_id, before, LIMIT_MAX).await?;
            for record in &records {
                lines += 1;
                line(out, "audit", &record.as_json().to_string())?;
            }
            match records.last() {
                Some(last) => before = Some(last.sequence),
                None => break,
            }
        }
    }
    out.flush()?;
    Ok(lines)
}

fn line(out: &mut (dyn Write + Send), kind: &str, data: &str) -> io::Result<()> {
    writeln!(out, "{{\"type\":\"{kind}\",\"data\":{data}}}")
}

fn merchant_json(merchant: &Merchant) -> Value {
    json!({
        "id": merchant.id.to_string(),
        "name": merchant.name,
        "mode": merchant.mode,
        "active": merchant.active,
        "created_at_ms": merchant.created_at_ms,
    })
}

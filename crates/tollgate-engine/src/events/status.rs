//! How the logs stand, asked of the store: what `tollgate events status` prints; and giving the bus up.

use super::Line;
use crate::error::EngineError;
use std::collections::VecDeque;
use tollgate_core::audit::By;
use tollgate_core::id::MerchantId;
use tollgate_core::notice::{Notice, NoticeKind};
use tollgate_store::Store;
use tollgate_store::commit::Told;
use tollgate_store::jobs::{LogHold, LogPlace, LogReader, Work, Worked};
use tollgate_store::query::LIMIT_MAX;

/// One log.
#[derive(Debug, Clone)]
pub struct LineStatus {
    /// Which.
    pub line: Line,
    /// The last number that was published; none: it was never told, or was given up.
    pub read: Option<u64>,
    /// The last of the log.
    pub end: u64,
    /// When the first event happened that is not published, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Who has it, or last had.
    pub hold: Option<LogHold>,
}

/// How all logs stand.
///
/// # Errors
/// A store's fault.
pub async fn status(store: &dyn Store) -> Result<Vec<LineStatus>, EngineError> {
    let mut found = Vec::new();
    for line in Line::all(store) {
        let LogPlace { read, end, hold } = store.log_place_of(line.of, line.reader()).await?;
        let since_ms = match (read, line.reader()) {
            (None, _) => None,
            (Some(after), LogReader::Outcomes) => {
                store.outcomes_of(line.of, after, 1).await?.first().map(|record| record.outcome.at_ms)
            }
            (Some(after), _) => store.outbox_of(line.of, after, 1).await?.first().map(|record| record.at_ms),
        };
        found.push(LineStatus { line, read, end, since_ms, hold });
    }
    Ok(found)
}

/// A message that was put aside.
#[derive(Debug, Clone)]
pub struct PutAside {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Its topic.
    pub topic: String,
    /// Its id.
    pub message_id: String,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What was said.
    pub because: String,
}

/// The latest messages that were put aside, oldest first, as far as notices are kept.
///
/// # Errors
/// A store's fault.
pub async fn put_aside(store: &dyn Store, count_max: usize) -> Result<Vec<PutAside>, EngineError> {
    let (mut found, mut after) = (VecDeque::new(), None);
    loop {
        let page = store.notices(after, LIMIT_MAX).await?;
        let is_last = page.len() < LIMIT_MAX;
        after = page.last().map(|notice| notice.id).or(after);
        for Notice { at_ms, kind, .. } in page {
            if let NoticeKind::EventRefused { topic, message_id, merchant_id, because } = kind {
                found.push_back(PutAside { at_ms, topic, message_id, merchant_id, because });
                if found.len() > count_max {
                    found.pop_front();
                }
            }
        }
        if is_last {
            return Ok(found.into());
        }
    }
}

/// Gives the bus up: nothing is kept for it any more, and should there be one again it begins anew. The first log that an
/// instance still has ends it; what was given up before stays so.
///
/// # Errors
/// A store's fault.
pub async fn give_up(store: &dyn Store, by: &By) -> Result<Result<usize, LogHold>, EngineError> {
    let mut count = 0;
    for line in Line::all(store) {
        let LogPlace { read, hold, .. } = store.log_place_of(line.of, line.reader()).await?;
        if read.is_none() && hold.is_none() {
            continue;
        }
        let told = Told {
            action: "events.given_up",
            kind: "event_log",
            id: line.name(),
            merchant_id: None,
            said: serde_json::json!({ "read": read }),
        };
        let give_up = Some(line.reader());
        let told = vec![(told, by.clone())];
        let work = Work { now_ms: by.at_ms, log_of: line.of, give_up, told, ..Work::default() };
        if store.work(work).await? == Worked::Stale {
            let hold = store.log_place_of(line.of, line.reader()).await?.hold;
            let gone = LogHold { owner: 0, name: "another instance".to_owned(), until_ms: by.at_ms };
            return Ok(Err(hold.unwrap_or(gone)));
        }
        count += 1;
    }
    Ok(Ok(count))
}

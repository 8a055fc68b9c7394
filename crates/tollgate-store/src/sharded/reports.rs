//! Reports over several shards: each adds up its own merchants, and the parts are added up here.

use crate::Store;
use crate::error::StoreError;
use crate::report::{Report, ReportWish};
use crate::sharded::ShardedStore;
use std::collections::BTreeMap;
use tollgate_core::id::MerchantId;

impl ShardedStore {
    /// A shard that does not answer, or whose sums are still to be made, is named; the rest is given.
    pub(super) async fn report_of_all(&self, wish: ReportWish) -> Result<Report, StoreError> {
        wish.is_kept()?;
        let (map, within) = (self.map(), self.shared.answer);
        let mut whose: BTreeMap<u16, Vec<MerchantId>> = BTreeMap::new();
        for merchant_id in &wish.merchants {
            whose.entry(map.of(*merchant_id)).or_default().push(*merchant_id);
        }
        let asked = whose.into_iter().map(|(number, merchants)| {
            let wish = ReportWish { merchants, ..wish.clone() };
            async move {
                let answer = async { self.shard(number)?.report(wish).await };
                let answer = tokio::time::timeout(within, answer).await;
                (
                    number,
                    answer.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned()))),
                )
            }
        });
        let mut whole: Option<Report> = None;
        let mut missing = Vec::new();
        for (number, answer) in futures_util::future::join_all(asked.collect::<Vec<_>>()).await {
            match answer {
                Ok(part) if part.as_of_ms.is_none() => missing.push(number),
                Ok(part) => match &mut whole {
                    None => whole = Some(part),
                    Some(whole) => whole.join(part),
                },
                Err(error) => {
                    tracing::warn!(shard = number, %error, what = "report", "a shard's part is missing");
                    metrics::counter!("tollgate_shard_missing_total", "shard" => number.to_string())
                        .increment(1);
                    missing.push(number);
                }
            }
        }
        let nothing_asked = wish.merchants.is_empty().then_some(wish.now_ms);
        let whole = whole.unwrap_or(Report { as_of_ms: nothing_asked, ..Report::default() });
        Ok(Report { missing, ..whole })
    }
}

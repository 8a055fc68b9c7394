//! Answers that are put together of several shards'. Each shard has its time; one that does not answer is named, and
//! the others' part is given.

use crate::error::StoreError;
use crate::postgres::PostgresStore;
use crate::sharded::ShardedStore;
use std::future::Future;
use std::sync::Arc;

/// What the shards said.
pub(super) struct Gathered<T> {
    /// Each answer with its shard.
    pub(super) parts: Vec<(u16, T)>,
    /// The shards that did not answer.
    pub(super) missing: Vec<u16>,
}

impl<T> Gathered<T> {
    /// What there is of the answers: for work that goes on with the next look. Nothing at all is an error.
    pub(super) fn partial(self, what: &'static str) -> Result<Vec<(u16, T)>, StoreError> {
        for shard in &self.missing {
            tracing::warn!(shard, what, "a shard does not answer: its part is missing");
            metrics::counter!("tollgate_shard_missing_total", "shard" => shard.to_string()).increment(1);
        }
        match self.missing.first() {
            Some(number) if self.parts.is_empty() => {
                Err(StoreError::Unavailable(format!("shard {number} does not answer, nor does any other")))
            }
            _ => Ok(self.parts),
        }
    }
}

impl ShardedStore {
    /// Asks all shards at once.
    pub(super) async fn gather<T, F>(&self, ask: impl Fn(Arc<PostgresStore>) -> F + Sync) -> Gathered<T>
    where
        T: Send,
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let within = self.shared.answer;
        let asked = (0..self.map().shards()).map(|number| {
            let asked = self.shard(number).map(&ask);
            async move {
                let answer = async move { asked?.await };
                (number, tokio::time::timeout(within, answer).await)
            }
        });
        let mut gathered = Gathered { parts: Vec::new(), missing: Vec::new() };
        for (number, answer) in futures_util::future::join_all(asked.collect::<Vec<_>>()).await {
            match answer {
                Ok(Ok(part)) => gathered.parts.push((number, part)),
                Ok(Err(error)) => {
                    tracing::debug!(shard = number, %error, "a shard's part is missing");
                    gathered.missing.push(number);
                }
                Err(_) => gathered.missing.push(number),
            }
        }
        gathered
    }

    /// The first shard's answer that is one: for what is not where its id says.
    pub(super) async fn find<T, F>(
        &self,
        ask: impl Fn(Arc<PostgresStore>) -> F + Sync,
    ) -> Result<Option<T>, StoreError>
    where
        T: Send,
        F: Future<Output = Result<Option<T>, StoreError>> + Send,
    {
        let gathered = self.gather(ask).await;
        let missing = gathered.missing.first().copied();
        let found = gathered.parts.into_iter().find_map(|(_, part)| part);
        match (found, missing) {
            (Some(found), _) => Ok(Some(found)),
            (None, None) => Ok(None),
            // It may be there.
            (None, Some(number)) => Err(StoreError::Unavailable(format!("shard {number} does not answer"))),
        }
    }
}

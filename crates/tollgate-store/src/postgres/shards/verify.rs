//! Comparing both ends of a move: every row of every table, and the books.

use crate::batch::codec::decode;
use crate::error::StoreError;
use crate::postgres::link::{Id, Link, Param, Query, column};
use crate::postgres::shards::copying::Changed;
use crate::postgres::shards::ends::Ends;
use crate::postgres::shards::tables::{MOVED, Moved, merchants, small};
use std::collections::{BTreeMap, BTreeSet};
use tollgate_core::ledger::{Account, Balance};

/// What was compared.
pub(super) struct Compared {
    /// How many rows.
    pub(super) rows: i64,
    /// Whose.
    pub(super) merchants: BTreeSet<Id>,
    /// What had changed since it was copied, and is to be compared later.
    pub(super) changed: BTreeSet<Changed>,
}

/// How many rows, and two sums of the halves of their digests: no row's order matters.
type Digest = (i64, String, String);

/// The digest of rows `t` that a statement's end chooses.
fn digest_query(columns: &str, rest: &str) -> String {
    format!(
        "SELECT count(*),
                coalesce(sum(('x' || substr(digest, 1, 16))::bit(64)::bigint), 0)::text,
                coalesce(sum(('x' || substr(digest, 17, 16))::bit(64)::bigint), 0)::text
         FROM (SELECT md5(ROW({columns})::text) AS digest {rest}) AS digests"
    )
}

async fn digest(link: &Link, text: String, params: &[Param<'_>]) -> Result<Digest, StoreError> {
    let row = link.query_opt(Query::Text(text), params).await?.ok_or(StoreError::Corrupt("digest"))?;
    Ok((column(&row, 0, "digest")?, column(&row, 1, "digest")?, column(&row, 2, "digest")?))
}

/// What does not agree.
fn differs(table: &Moved, source: &Digest, target: &Digest) -> StoreError {
    tracing::error!(table = table.name, source = source.0, target = target.0, "a copy differs");
    StoreError::Differs("the copy of a bucket")
}

impl Ends {
    /// Compares all rows that have not changed since they were copied, while others write.
    pub(super) async fn compare_all(&self) -> Result<Compared, StoreError> {
        let (source, target) = (&self.source, &self.target);
        source.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        let query = Query::Fixed("SELECT DISTINCT table_name, key FROM bucket_changes WHERE bucket = $1");
        let found = source.query(query, &[&small(self.bucket)]).await?;
        let read = |row: &tokio_postgres::Row| Ok((column(row, 0, "change")?, column(row, 1, "change")?));
        let changed: BTreeSet<Changed> = found.iter().map(read).collect::<Result<_, StoreError>>()?;
        let mut all = merchants(source, self.bucket).await?;
        all.extend(merchants(target, self.bucket).await?);
        let ids: Vec<Id> = all.iter().copied().collect();
        let mut rows = 0;
        for table in MOVED {
            let keys: Vec<&str> =
                changed.iter().filter(|(name, _)| name == table.name).map(|(_, key)| key.as_str()).collect();
            let columns = table.columns(source, target).await?.compared();
            let rest = format!(
                "FROM {} AS t WHERE t.merchant_id = ANY ($1::uuid[])
                 AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS k (key) WHERE k.key = {})",
                table.name,
                table.key_text()
            );
            let text = digest_query(&columns, &rest);
            let params: [Param<'_>; 2] = [&ids, &keys];
            let (here, there) =
                tokio::try_join!(digest(source, text.clone(), &params), digest(target, text, &params))?;
            if here != there {
                return Err(differs(table, &here, &there));
            }
            rows += here.0;
        }
        source.run("COMMIT").await?;
        Ok(Compared { rows, merchants: all, changed })
    }

    /// Compares some rows.
    pub(super) async fn compare(&self, changed: &BTreeSet<Changed>) -> Result<(), StoreError> {
        for table in MOVED {
            let keys: Vec<&str> =
                changed.iter().filter(|(name, _)| name == table.name).map(|(_, key)| key.as_str()).collect();
            if keys.is_empty() {
                continue;
            }
            let columns = table.columns(&self.source, &self.target).await?.compared();
            let rest =
                format!("FROM unnest($1::text[]) AS k (key) JOIN {} AS t ON {}", table.name, table.join());
            let text = digest_query(&columns, &rest);
            let params: [Param<'_>; 1] = [&keys];
            let (here, there) = tokio::try_join!(
                digest(&self.source, text.clone(), &params),
                digest(&self.target, text, &params)
            )?;
            if here != there {
                return Err(differs(table, &here, &there));
            }
        }
        Ok(())
    }

    /// Compares the books: the sums of both sides of all accounts, by currency.
    pub(super) async fn compare_books(&self, of: &BTreeSet<Id>) -> Result<(), StoreError> {
        let (here, there) = tokio::try_join!(books(&self.source, of), books(&self.target, of))?;
        if here != there {
            return Err(StoreError::Differs("the sum of the books"));
        }
        if here.values().any(|(debits, credits)| debits != credits) {
            return Err(StoreError::Corrupt("books that do not balance"));
        }
        Ok(())
    }
}

/// Debits and credits of merchants' accounts, by currency.
async fn books(link: &Link, of: &BTreeSet<Id>) -> Result<BTreeMap<Vec<u8>, (i128, i128)>, StoreError> {
    let ids: Vec<Id> = of.iter().copied().collect();
    let query = Query::Fixed("SELECT key, record FROM balances WHERE merchant_id = ANY ($1::uuid[])");
    let mut sums: BTreeMap<Vec<u8>, (i128, i128)> = BTreeMap::new();
    for row in &link.query(query, &[&ids]).await? {
        let key: &[u8] = column(row, 0, "balance")?;
        let (_, balance): (Account, Balance) = decode(column(row, 1, "balance")?, "balance")?;
        // A key begins with the currency.
        let currency = key.get(..3).ok_or(StoreError::Corrupt("balance key"))?;
        let sum = sums.entry(currency.to_vec()).or_default();
        sum.0 += balance.debits_minor;
        sum.1 += balance.credits_minor;
    }
    Ok(sums)
}

//! The tables with merchants' rows that are on the merchant's shard: what is copied when a bucket is moved.

use crate::error::StoreError;
use crate::postgres::link::{Id, Link, Query, column};
use std::collections::BTreeSet;

/// How a part of a key is written as text, and read back.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Uuid,
    Number,
    Bytes,
    Text,
}

/// A table whose primary key begins with the merchant.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) name: &'static str,
    /// What follows the merchant in its key.
    key: &'static [(&'static str, Kind)],
}

const KEY: &[(&str, Kind)] = &[("key", Kind::Bytes)];
const WINDOW: &[(&str, Kind)] = &[("digest", Kind::Bytes), ("day", Kind::Number)];
const VERSIONED: &[(&str, Kind)] = &[("payment_id", Kind::Uuid), ("version", Kind::Number)];
const ID: &[(&str, Kind)] = &[("id", Kind::Uuid)];

/// All of them. What is booked comes before what lists it.
pub(super) const MOVED: &[Moved] = &[
    Moved { name: "payments", key: ID },
    Moved { name: "attempts", key: ID },
    Moved { name: "refunds", key: KEY },
    Moved { name: "ledger_postings", key: VERSIONED },
    Moved { name: "events", key: VERSIONED },
    Moved { name: "balances", key: KEY },
    Moved { name: "totals", key: KEY },
    Moved {
        name: "volumes",
        key: &[("currency", Kind::Text), ("from_hour", Kind::Number), ("to_hour", Kind::Number)],
    },
    Moved { name: "idempotency", key: WINDOW },
    Moved { name: "messages", key: WINDOW },
    Moved { name: "risk_lists", key: KEY },
    Moved { name: "passkeys", key: KEY },
    Moved { name: "saved_cards", key: KEY },
    Moved { name: "user_cards", key: KEY },
    Moved { name: "checkouts", key: KEY },
    Moved { name: "webhook_endpoints", key: KEY },
    Moved { name: "deliveries", key: KEY },
    Moved { name: "endpoint_deliveries", key: KEY },
    Moved { name: "dead_deliveries", key: KEY },
    Moved { name: "delivery_times", key: KEY },
    Moved { name: "webhook_outcomes", key: &[("made", Kind::Number)] },
    Moved { name: "jobs", key: KEY },
    Moved { name: "job_due", key: KEY },
    Moved { name: "job_turns", key: KEY },
    Moved { name: "job_leases", key: KEY },
    Moved { name: "job_ended", key: KEY },
];

/// Tables with a merchant that belong to the whole installation: they are in the directory.
#[cfg(test)]
pub(super) const OF_INSTALLATION: &[&str] =
    &["merchants", "merchant_partners", "processor_accounts", "policies", "audit"];

/// The column that says whether a row of a log is in this shard's: it is each shard's own.
const OWN: &str = "in_log";

impl Moved {
    /// The table of a name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        MOVED.iter().find(|table| table.name == name)
    }

    /// A row's key as one text; the row is `t`. No part of a key has a bar in it.
    pub(super) fn key_text(&self) -> String {
        let part = |(name, kind): &(&str, Kind)| match kind {
            Kind::Bytes => format!("encode(t.{name}, 'hex')"),
            Kind::Uuid | Kind::Number | Kind::Text => format!("t.{name}"),
        };
        let parts: Vec<String> = self.key.iter().map(part).collect();
        format!("concat_ws('|', t.merchant_id, {})", parts.join(", "))
    }

    /// Joins rows `t` by their keys as text, `k.key`.
    pub(super) fn join(&self) -> String {
        let mut text = "t.merchant_id = split_part(k.key, '|', 1)::uuid".to_owned();
        for (place, (name, kind)) in self.key.iter().enumerate() {
            let part = format!("split_part(k.key, '|', {})", place + 2);
            text += &match kind {
                Kind::Uuid => format!(" AND t.{name} = {part}::uuid"),
                Kind::Number => format!(" AND t.{name} = {part}::bigint"),
                Kind::Bytes => format!(" AND t.{name} = decode({part}, 'hex')"),
                Kind::Text => format!(" AND t.{name} = {part}"),
            };
        }
        text
    }

    /// The key's columns, the merchant first.
    pub(super) fn key_columns(&self) -> String {
        let names: Vec<&str> =
            std::iter::once("merchant_id").chain(self.key.iter().map(|(name, _)| *name)).collect();
        names.join(", ")
    }

    /// Its columns; both ends must have the same.
    pub(super) async fn columns(&self, source: &Link, target: &Link) -> Result<Columns, StoreError> {
        let of = async |link: &Link| {
            let query = Query::Fixed(
                "SELECT attname::text FROM pg_attribute
                 WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname",
            );
            let rows = link.query(query, &[&self.name]).await?;
            rows.iter().map(|row| column::<String>(row, 0, "column")).collect::<Result<Vec<_>, _>>()
        };
        let (names, there) = tokio::try_join!(of(source), of(target))?;
        if names != there {
            let text = format!("the table {} has other columns on the other shard; migrate both", self.name);
            return Err(StoreError::Unavailable(text));
        }
        Ok(Columns(names))
    }
}

/// Columns of a table.
pub(super) struct Columns(Vec<String>);

impl Columns {
    /// As they are written.
    pub(super) fn written(&self) -> String {
        self.0.join(", ")
    }

    /// As they are read to be copied: what came is not in the log of where it comes to.
    pub(super) fn read(&self) -> String {
        let read = |name: &String| if name == OWN { "false".to_owned() } else { format!("t.{name}") };
        self.0.iter().map(read).collect::<Vec<_>>().join(", ")
    }

    /// As they are compared.
    pub(super) fn compared(&self) -> String {
        let names = self.0.iter().filter(|name| *name != OWN);
        names.map(|name| format!("t.{name}")).collect::<Vec<_>>().join(", ")
    }
}

/// The merchants of a bucket that have rows in a database.
pub(super) async fn merchants(link: &Link, bucket: u16) -> Result<BTreeSet<Id>, StoreError> {
    let mut found = BTreeSet::new();
    for table in MOVED {
        // From one merchant to the next, by the primary key.
        let text = "
            WITH RECURSIVE ids AS (
                (SELECT merchant_id FROM {table} ORDER BY merchant_id LIMIT 1)
                UNION ALL
                SELECT (SELECT merchant_id FROM {table} WHERE merchant_id > ids.merchant_id
                        ORDER BY merchant_id LIMIT 1)
                FROM ids WHERE merchant_id IS NOT NULL
            )
            SELECT merchant_id FROM ids WHERE merchant_id IS NOT NULL AND tollgate_bucket(merchant_id) = $1";
        let rows = link.query(Query::Of(text, table.name), &[&small(bucket)]).await?;
        for row in &rows {
            found.insert(column::<Id>(row, 0, "merchant")?);
        }
    }
    Ok(found)
}

/// A bucket or a shard as PostgreSQL's `smallint`.
pub(super) fn small(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// A bucket or a shard back.
pub(super) fn number(small: i16) -> Result<u16, StoreError> {
    u16::try_from(small).map_err(|_| StoreError::Corrupt("shard map"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::PostgresOptions;

    #[tokio::test]
    #[ignore = "needs a PostgreSQL: scripts/postgres"]
    async fn every_table_with_a_merchant_is_moved_or_the_installations() {
        let options = PostgresOptions::new(std::env::var("TOLLGATE_TEST_POSTGRES").unwrap(), 1);
        let link = options.patient_link().await.unwrap();
        let name = format!("moved_{}", std::process::id());
        link.run(&format!("CREATE SCHEMA {name}")).await.unwrap();
        link.run(&format!("SET search_path = {name}")).await.unwrap();
        crate::postgres::schema::migrate(&link).await.unwrap();
        let rows = link
            .query(
                Query::Fixed(
                    "SELECT c.relname::text, pg_get_indexdef(i.indexrelid)
                     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                     JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
                     WHERE a.attname = 'merchant_id' AND NOT c.relispartition
                       AND c.relnamespace = current_schema()::regnamespace",
                ),
                &[],
            )
            .await
            .unwrap();
        let mut found = BTreeSet::new();
        for row in &rows {
            let (table, key): (String, String) = (column(row, 0, "").unwrap(), column(row, 1, "").unwrap());
            if let Some(moved) = Moved::named(&table) {
                assert!(key.ends_with(&format!("({})", moved.key_columns())), "{key}");
            } else {
                assert!(
                    OF_INSTALLATION.contains(&table.as_str()),
                    "{table} is neither moved nor the installation's"
                );
            }
            found.insert(table);
        }
        assert_eq!(found.len(), MOVED.len() + OF_INSTALLATION.len());
        link.run(&format!("DROP SCHEMA {name} CASCADE")).await.unwrap();
    }
}

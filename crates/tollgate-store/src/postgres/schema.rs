//! The schema's versions: files applied in their order, once, by whoever comes first.
//!
//! A new version first only adds, so that programs that know the one before go on beside it (expand); what they
//! used is taken away by a later one (contract). Each migration names the oldest schema a program may know to go
//! on: a program that knows less refuses to start.

use crate::error::StoreError;
use crate::postgres::link::{Link, Query, column};
use crate::postgres::shards;

/// Held while migrations are applied: two who start at once do not both apply them.
const LOCK: i64 = 0x746f_6c6c_6761_7465;

/// One step.
struct Migration {
    version: i32,
    /// Programs that know this version still work.
    oldest_program: i32,
    name: &'static str,
    sql: &'static str,
}

/// The steps there are, in order.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        oldest_program: 1,
        name: "schema",
        sql: include_str!("../../migrations/0001_schema.sql"),
    },
    Migration {
        version: 2,
        oldest_program: 2,
        name: "people",
        sql: include_str!("../../migrations/0002_people.sql"),
    },
    Migration {
        version: 3,
        oldest_program: 3,
        name: "shards",
        sql: include_str!("../../migrations/0003_shards.sql"),
    },
    Migration {
        version: 4,
        oldest_program: 3,
        name: "outcomes",
        sql: include_str!("../../migrations/0004_outcomes.sql"),
    },
    Migration {
        version: 5,
        oldest_program: 5,
        name: "reports",
        sql: include_str!("../../migrations/0005_reports.sql"),
    },
    Migration {
        version: 6,
        oldest_program: 5,
        name: "sums of reports",
        sql: include_str!("../../migrations/0006_sums_of_reports.sql"),
    },
];

/// What a program of this version knows.
pub(crate) const VERSION: i32 = 6;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS tollgate_schema (
        version        integer PRIMARY KEY,
        oldest_program integer NOT NULL,
        name           text NOT NULL,
        applied_at     timestamptz NOT NULL DEFAULT now()
    )";

/// Brings the schema up to date. Gives how many steps were made.
pub(super) async fn migrate(link: &Link) -> Result<usize, StoreError> {
    // For as long as the session lasts, or until it is given back: a step may need more than one transaction.
    link.query(Query::Fixed("SELECT pg_advisory_lock($1)"), &[&LOCK]).await?;
    let applied = apply(link).await;
    link.query(Query::Fixed("SELECT pg_advisory_unlock($1)"), &[&LOCK]).await?;
    applied
}

async fn apply(link: &Link) -> Result<usize, StoreError> {
    link.run(TABLE).await?;
    let found = found(link).await?;
    refuse_newer(found)?;
    let mut count = 0;
    for step in MIGRATIONS.iter().filter(|step| step.version > found.version) {
        let Migration { version, oldest_program, name, sql } = step;
        let note = format!("INSERT INTO tollgate_schema VALUES ({version}, {oldest_program}, '{name}')");
        // One message is one transaction: the step and its note, or neither.
        if let Err(error) = link.run(&format!("BEGIN;\n{sql};\n{note};\nCOMMIT")).await {
            link.run("ROLLBACK").await?;
            return Err(error);
        }
        tracing::info!(version, name, "store schema brought up to date");
        count += 1;
    }
    // What is no table and was made when shards were set up: by this program or by one before it.
    shards::renew(link).await?;
    Ok(count)
}

/// Refuses a schema that this program cannot work with.
pub(super) async fn check(link: &Link) -> Result<(), StoreError> {
    let known = link.query_opt(Query::Fixed("SELECT to_regclass('tollgate_schema')::text"), &[]).await?;
    let name = known.map(|row| column::<Option<String>>(&row, 0, "schema version")).transpose()?.flatten();
    let found = if name.is_some() { found(link).await? } else { Found::default() };
    refuse_newer(found)?;
    if found.version < VERSION {
        let number = |version: i32| u32::try_from(version).unwrap_or(0);
        return Err(StoreError::NotMigrated { found: number(found.version), known: number(VERSION) });
    }
    Ok(())
}

#[derive(Default, Clone, Copy)]
struct Found {
    version: i32,
    oldest_program: i32,
}

async fn found(link: &Link) -> Result<Found, StoreError> {
    let query = Query::Fixed(
        "SELECT coalesce(max(version), 0), coalesce(max(oldest_program), 0) FROM tollgate_schema",
    );
    let row = link.query_opt(query, &[]).await?.ok_or(StoreError::Corrupt("schema version"))?;
    Ok(Found {
        version: column(&row, 0, "schema version")?,
        oldest_program: column(&row, 1, "schema version")?,
    })
}

/// A newer schema is refused, unless its migrations say that this program may go on beside it.
fn refuse_newer(found: Found) -> Result<(), StoreError> {
    if found.oldest_program > VERSION {
        let number = |version: i32| u32::try_from(version).unwrap_or(0);
        return Err(StoreError::Newer { found: number(found.version), known: number(VERSION) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_in_order_and_the_last_is_known() {
        let versions: Vec<i32> = MIGRATIONS.iter().map(|step| step.version).collect();
        assert!(versions.is_sorted_by(|a, b| a < b));
        assert_eq!(versions.last(), Some(&VERSION));
        assert!(MIGRATIONS.iter().all(|step| step.oldest_program <= step.version));
    }

    #[test]
    fn only_what_breaks_this_program_is_refused() {
        let at = |version, oldest_program| refuse_newer(Found { version, oldest_program });
        assert!(at(VERSION + 1, VERSION).is_ok());
        assert!(matches!(at(VERSION + 1, VERSION + 1), Err(StoreError::Newer { .. })));
    }
}

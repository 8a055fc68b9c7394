//! The schema's version, and the steps from each version to the next.

use crate::error::StoreError;
use crate::lsm::{Database, Keyspace, KeyspaceOptions};

/// The version this program writes.
pub(super) const VERSION: u32 = 10;

/// Where the version stands.
pub(super) const KEY: &[u8] = b"schema_version";

/// One step: brings a store from the version before it to its own.
pub(super) struct Migration {
    /// The version the store has afterwards.
    pub(super) to: u32,
    /// What it does. Must be safe to repeat: it may be cut off before the version is written.
    pub(super) run: fn(&Database) -> Result<(), StoreError>,
}

/// The steps there are, in order.
pub(super) const MIGRATIONS: &[Migration] =
    &[Migration { to: 1, run: |_| Ok(()) }, Migration { to: 10, run: refuse_used }];

/// Schemas 1 to 9 were written by unreleased programs only, whose rows are not read any more.
fn refuse_used(database: &Database) -> Result<(), StoreError> {
    let merchants = database.keyspace("merchants", KeyspaceOptions::default())?;
    if merchants.is_empty()? { Ok(()) } else { Err(StoreError::Unreadable) }
}

/// Brings a store up to date, or refuses one that is newer than the program.
pub(super) fn migrate(
    database: &Database,
    meta: &Keyspace,
    migrations: &[Migration],
    known: u32,
) -> Result<(), StoreError> {
    let mut found = match meta.get(KEY)? {
        None => 0,
        Some(bytes) => {
            let bytes: [u8; 4] =
                bytes.as_ref().try_into().map_err(|_| StoreError::Corrupt("schema version"))?;
            u32::from_be_bytes(bytes)
        }
    };
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for migration in migrations {
        if migration.to <= found {
            continue;
        }
        (migration.run)(database)?;
        found = migration.to;
        meta.insert(KEY, found.to_be_bytes())?;
        tracing::info!(version = found, "store schema brought up to date");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsm::Options;

    fn open(folder: &std::path::Path) -> (Database, Keyspace) {
        let database = Database::open(folder, Options::default()).unwrap();
        let meta = database.keyspace("meta", KeyspaceOptions::default()).unwrap();
        (database, meta)
    }

    fn version(meta: &Keyspace) -> u32 {
        u32::from_be_bytes(meta.get(KEY).unwrap().unwrap().as_ref().try_into().unwrap())
    }

    #[test]
    fn steps_run_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (database, meta) = open(folder.path());
        migrate(&database, &meta, MIGRATIONS, VERSION).unwrap();
        assert_eq!(version(&meta), VERSION);
        meta.insert(KEY, 1_u32.to_be_bytes()).unwrap();

        let steps = [
            Migration { to: 1, run: |_| Err(StoreError::Corrupt("ran again")) },
            Migration {
                to: 2,
                run: |database| {
                    let keyspace = database.keyspace("new", KeyspaceOptions::default())?;
                    Ok(keyspace.insert("row", "two")?)
                },
            },
            Migration {
                to: 3,
                run: |database| {
                    let keyspace = database.keyspace("new", KeyspaceOptions::default())?;
                    assert_eq!(keyspace.get("row")?.unwrap().as_ref(), b"two");
                    Ok(keyspace.insert("row", "three")?)
                },
            },
        ];
        migrate(&database, &meta, &steps, 3).unwrap();
        assert_eq!(version(&meta), 3);
        migrate(&database, &meta, &steps, 3).unwrap();
    }

    #[test]
    fn a_failed_step_leaves_the_version_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (database, meta) = open(folder.path());
        let steps = [
            Migration { to: 1, run: |_| Ok(()) },
            Migration { to: 2, run: |_| Err(StoreError::Corrupt("row")) },
        ];
        assert!(migrate(&database, &meta, &steps, 2).is_err());
        assert_eq!(version(&meta), 1);
    }

    #[test]
    fn a_used_store_of_schema_1_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (database, meta) = open(folder.path());
        meta.insert(KEY, 1_u32.to_be_bytes()).unwrap();
        let merchants = database.keyspace("merchants", KeyspaceOptions::default()).unwrap();
        merchants.insert("id", "row").unwrap();
        let refusal = migrate(&database, &meta, MIGRATIONS, VERSION).unwrap_err();
        assert!(refusal.to_string().contains("start with an empty folder"));
        assert_eq!(version(&meta), 1);
    }

    #[test]
    fn newer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (database, meta) = open(folder.path());
        meta.insert(KEY, 11_u32.to_be_bytes()).unwrap();
        let refusal = migrate(&database, &meta, MIGRATIONS, VERSION).unwrap_err();
        assert!(refusal.to_string().contains("newer Tollgate (schema 11, this program knows 10)"));
    }
}

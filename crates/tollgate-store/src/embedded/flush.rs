//! Writes out what is in memory when the store is closed, so that the next start has no journal to read.

use fjall::{AbstractTree, Database, Keyspace};
use std::time::{Duration, Instant};

/// With less in memory the journal is read back in no time.
const WORTH_IT: u64 = 4 << 20;

/// How long closing takes at most: what is left by then is in the journal.
const PATIENCE: Duration = Duration::from_secs(10);

const LOOK: Duration = Duration::from_millis(5);

/// Flushes all memtables, if there is much in them.
pub(super) fn flush(database: &Database) {
    let names = database.list_keyspace_names();
    let open = |name: &str| database.keyspace(name, Default::default).ok();
    let keyspaces: Vec<Keyspace> = names.iter().filter_map(|name| open(name)).collect();
    let held: u64 = keyspaces.iter().map(|keyspace| keyspace.tree.active_memtable().size()).sum();
    if held < WORTH_IT {
        return;
    }
    for keyspace in &keyspaces {
        if let Err(error) = keyspace.rotate_memtable() {
            tracing::warn!(%error, "a table was not written out; the next start reads the journal");
            return;
        }
    }
    let begun = Instant::now();
    let waits = |keyspace: &Keyspace| keyspace.tree.sealed_memtable_count() > 0;
    while keyspaces.iter().any(waits) && begun.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::KeyspaceCreateOptions;

    #[test]
    fn much_is_written_out_and_little_is_left_to_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::builder(folder.path()).open().unwrap();
        let open = |name| database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
        let (large, small) = (open("large"), open("small"));
        small.insert("key", "row").unwrap();
        flush(&database);
        assert!(!small.tree.active_memtable().is_empty());
        for number in 0..5_u8 {
            large.insert([number], vec![number; 1 << 20]).unwrap();
        }
        flush(&database);
        for keyspace in [&large, &small] {
            assert!(keyspace.tree.active_memtable().is_empty());
            assert_eq!(keyspace.tree.sealed_memtable_count(), 0);
            assert_eq!(keyspace.tree.table_count(), 1);
        }
        drop((large, small, database));
        let database = Database::builder(folder.path()).open().unwrap();
        let open = |name| database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
        assert!(open("large").tree.active_memtable().is_empty(), "the start read nothing back");
        assert_eq!(open("small").get("key").unwrap().unwrap().as_ref(), b"row");
    }
}

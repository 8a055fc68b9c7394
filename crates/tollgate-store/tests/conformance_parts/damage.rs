//! Stores that somebody else has open, that are too new, or that were tampered with.

use super::support::{embedded, is_postgres};
use super::{NOW_MS, completed, merchant};
use std::path::Path;
use tollgate_core::event::EventRecord;
use tollgate_store::audit::audit;
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_store::error::StoreError;
use tollgate_store::lsm::{Database, KeyspaceOptions, Options};

#[tokio::test]
async fn a_second_opener_and_a_newer_store_are_refused() {
    if is_postgres() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(folder.path(), 1);
    let refusal = EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 2)).unwrap_err();
    assert!(matches!(&refusal, StoreError::Locked(_)), "{refusal}");
    assert!(refusal.to_string().contains("in use by another process"));
    drop(store);
    {
        let database = Database::open(folder.path(), Options::default()).unwrap();
        let meta = database.keyspace("meta", KeyspaceOptions::default()).unwrap();
        meta.insert("schema_version", 99_u32.to_be_bytes()).unwrap();
    }
    let refusal = EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 3)).unwrap_err();
    assert!(matches!(refusal, StoreError::Newer { found: 99, known: 10 }), "{refusal}");
}

#[tokio::test]
async fn the_audit_sees_damage() {
    if is_postgres() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(folder.path(), 1);
    let mer = merchant(store.as_ref()).await;
    completed(store.as_ref(), mer, NOW_MS, 10_000, "u").await;
    completed(store.as_ref(), mer, NOW_MS, 20_000, "u").await;
    drop(store);
    for keyspace in ["posting", "balances", "totals", "events", "payments", "attempts"] {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        {
            let database = Database::open(copy.path(), Options::default()).unwrap();
            let name = if keyspace == "posting" { "events" } else { keyspace };
            let rows = database.keyspace(name, KeyspaceOptions::default()).unwrap();
            let (key, row) = rows.last_key_value().unwrap().into_inner().unwrap();
            if keyspace == "posting" {
                // It stands behind its event.
                let (_, posting) = postcard::take_from_bytes::<EventRecord>(&row[1..]).unwrap();
                assert!(!posting.is_empty());
                rows.insert(key, &row[..row.len() - posting.len()]).unwrap();
            } else {
                rows.remove(key).unwrap();
            }
        }
        let damaged = embedded(copy.path(), 2);
        let report = audit(damaged.as_ref(), &mut |_, _| {}).await;
        assert!(report.is_err() || report.unwrap().problem_count > 0, "{keyspace} was lost unseen");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

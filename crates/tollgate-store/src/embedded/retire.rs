//! Keeps what the engine has done with until somebody has time to free it.
//!
//! The engine drops a flushed memtable, and unlinks merged tables, when it drops the last version of a tree that has them: with the tree's
//! lock in its hand, for which the writer waits at every row. Freeing a memtable of some ten thousand rows takes tens of milliseconds. So
//! each memtable and each version is held here too from its beginning, and the last to let go of it is this thread, which holds no lock.

use crate::embedded::background::give_way;
use crate::embedded::tables::Tables;
use fjall::AbstractTree;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the trees are looked at: memtables and versions that live for less are freed by the engine.
const LOOK: Duration = Duration::from_millis(100);

/// How long a version is kept after the next one came: the engine forgets its own with the next memtable that is full, of whatever tree.
const VERSION_KEPT: Duration = Duration::from_secs(5);

/// The most versions that are kept.
const VERSIONS_MAX: usize = 256;

/// The thread; dropping it ends it.
pub(super) struct Retirement {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Retirement {
    pub(super) fn begin(tables: Arc<Tables>) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name("store-retire".to_owned()).spawn(move || {
            give_way();
            run(&tables, &stopped);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Retirement {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(tables: &Tables, stopped: &Receiver<()>) {
    let mut memtables = Vec::new();
    let mut versions: Vec<(Instant, _)> = Vec::new();
    let mut newest = HashMap::<String, _>::new();
    while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let busy = tables.busy();
        newest.retain(|name, _| busy.iter().any(|keyspace| **keyspace.name() == **name));
        for keyspace in busy {
            let memtable = keyspace.tree.active_memtable();
            if !memtables.iter().any(|held| Arc::ptr_eq(held, &memtable)) {
                memtables.push(memtable);
            }
            let version = keyspace.tree.current_version();
            let id = version.id();
            // The one before is kept from now on: the engine lets go of it later than it puts the next one in force.
            if let Some(before) = newest.insert(keyspace.name().to_string(), version)
                && before.id() != id
            {
                versions.push((Instant::now(), before));
            }
        }
        memtables.retain(|memtable| Arc::strong_count(memtable) > 1);
        let spare = versions.len().saturating_sub(VERSIONS_MAX);
        versions.drain(..spare);
        versions.retain(|(since, _)| since.elapsed() < VERSION_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{EmbeddedOptions, EmbeddedStore};

    #[test]
    fn a_memtable_is_held_until_the_engine_has_done_with_it_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 1)).unwrap();
        let events = store.tables.events.clone();
        events.insert(1_u64.to_be_bytes(), "row").unwrap();
        let memtable = Arc::downgrade(&events.tree.active_memtable());
        let patience = Instant::now() + Duration::from_secs(30);
        // Its owners: the tree, the retirement, and who asks here.
        while memtable.upgrade().is_some_and(|memtable| Arc::strong_count(&memtable) < 3) {
            assert!(Instant::now() < patience, "nobody holds it but the engine");
            std::thread::sleep(Duration::from_millis(5));
        }
        events.rotate_memtable_and_wait().unwrap();
        // The engine forgets its last version with the next memtable that is full.
        for number in 2_u64.. {
            if memtable.upgrade().is_none() {
                break;
            }
            assert!(Instant::now() < patience, "it is still held");
            events.insert(number.to_be_bytes(), "row").unwrap();
            events.rotate_memtable_and_wait().unwrap();
        }
        assert_eq!(events.get(1_u64.to_be_bytes()).unwrap().unwrap().as_ref(), b"row");
    }
}

//! What the engine's threads do: write out full tables, merge tables, make the journal's next segment, and free what is done with.

use crate::lsm::error::LsmError;
use crate::lsm::inner::Inner;
use crate::lsm::keyspace::{Full, Space};
use crate::lsm::pace::{Kept, Pace, Pacer};
use lsm_tree::AbstractTree;
use lsm_tree::config::TreeType;
use lsm_tree::merge::Merger;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Threads. All but one may merge; one is always free to write out what is full.
const THREADS: usize = 3;

/// How often a thread looks whether something can be freed.
const TIDY: Duration = Duration::from_millis(200);

/// How long a writer waits before it looks again whether there is room.
const PROGRESS: Duration = Duration::from_millis(10);

/// Levels of a tree.
const LEVELS: usize = 7;

/// Something that is held until nobody else has it.
trait Held: Send {}

impl<T: Send> Held for T {}

/// What a tree has done with. The tree drops it with its lock in its hand, and freeing a table of some ten thousand rows, or unlinking a merged one,
/// takes tens of milliseconds: so it is held here too, and freed by a thread that holds nothing.
struct Done {
    space: Arc<Space>,
    /// The tree lets go of it once nobody looks at a moment before this.
    until: u64,
    held: Box<dyn Held>,
}

#[derive(Default)]
struct State {
    /// Keyspaces, once for each full table.
    flushes: VecDeque<Arc<Space>>,
    merges: VecDeque<Arc<Space>>,
    merging: usize,
    maintain: bool,
    buried: Vec<Arc<Space>>,
    done: Vec<Done>,
    stop: bool,
}

/// What there is to do.
#[derive(Default)]
pub(super) struct Work {
    state: Mutex<State>,
    there: Condvar,
    progress: Condvar,
    flushed: AtomicBool,
    pace: Arc<Pace>,
}

enum Task {
    Flush(Arc<Space>),
    Merge(Arc<Space>),
    Maintain,
    Tidy,
    Stop,
}

impl Work {
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Has the full tables of a keyspace written out.
    pub(super) fn flush(&self, space: Arc<Space>) {
        let mut state = self.state.lock();
        state.flushes.push_back(space);
        self.tell_pace(&state);
        drop(state);
        self.there.notify_one();
    }

    pub(super) fn merge(&self, space: &Arc<Space>) {
        let mut state = self.state.lock();
        if !state.merges.iter().any(|waits| Arc::ptr_eq(waits, space)) {
            state.merges.push_back(Arc::clone(space));
            self.tell_pace(&state);
        }
        drop(state);
        self.there.notify_one();
    }

    /// Has the journal's files seen to.
    pub(super) fn maintain(&self) {
        self.state.lock().maintain = true;
        self.there.notify_one();
    }

    pub(super) fn bury(&self, space: Arc<Space>) {
        self.state.lock().buried.push(space);
        self.there.notify_one();
    }

    /// Whether a table has been written out since this was asked last.
    pub(super) fn take_flushed(&self) -> bool {
        self.flushed.load(Ordering::Relaxed) && self.flushed.swap(false, Ordering::AcqRel)
    }

    /// Waits a moment for something to be written out or merged; false: nothing more will be.
    pub(super) fn wait_for_progress(&self) -> bool {
        let mut state = self.state.lock();
        if !state.stop {
            self.progress.wait_for(&mut state, PROGRESS);
        }
        !state.stop
    }

    fn tell_pace(&self, state: &State) {
        let waiting = state.flushes.len().saturating_add(state.merges.len());
        self.pace.set_waiting(if state.stop { usize::MAX } else { waiting });
    }

    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        self.tell_pace(&state);
        drop(state);
        self.there.notify_all();
        self.progress.notify_all();
    }

    fn next(&self) -> Task {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return Task::Stop;
            }
            if let Some(space) = state.flushes.pop_front() {
                self.tell_pace(&state);
                return Task::Flush(space);
            }
            if std::mem::take(&mut state.maintain) {
                return Task::Maintain;
            }
            if state.merging.saturating_add(1) < THREADS
                && let Some(space) = state.merges.pop_front()
            {
                state.merging = state.merging.saturating_add(1);
                self.tell_pace(&state);
                return Task::Merge(space);
            }
            if self.there.wait_for(&mut state, TIDY).timed_out() {
                return Task::Tidy;
            }
        }
    }
}

/// The engine's threads; dropping it ends them.
pub(super) struct Threads {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(inner: &Arc<Inner>) -> std::io::Result<Self> {
        let mut started = Self { inner: Arc::clone(inner), threads: Vec::with_capacity(THREADS) };
        for number in 1..=THREADS {
            let inner = Arc::clone(inner);
            let name = format!("lsm-{number}");
            started.threads.push(std::thread::Builder::new().name(name).spawn(move || run(&inner))?);
        }
        Ok(started)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.inner.work.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Held by each thread of the engine: one that panics leaves work undone, for which writers would wait for ever.
pub(super) struct Fallen<'a>(pub(super) &'a Inner);

impl Drop for Fallen<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a thread of the engine panicked; nothing more is written until the next start");
            self.0.failed.store(true, Ordering::Release);
            self.0.work.progress.notify_all();
        }
    }
}

fn run(inner: &Inner) {
    let _fallen = Fallen(inner);
    loop {
        let done = match inner.work.next() {
            Task::Stop => return,
            Task::Tidy => {
                inner.catch_up();
                tidy(inner);
                Ok(())
            }
            Task::Maintain => {
                maintain(inner);
                Ok(())
            }
            Task::Flush(space) => {
                let done = flush(inner, &space);
                tidy(inner);
                inner.work.progress.notify_all();
                done
            }
            Task::Merge(space) => {
                let done = merge(inner, &space);
                tidy(inner);
                inner.work.state.lock().merging -= 1;
                inner.work.progress.notify_all();
                inner.work.there.notify_one();
                done
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "a table could not be written; nothing more is written until the next start");
            inner.failed.store(true, Ordering::Release);
        }
    }
}

/// A segment that cannot be made ahead is made when it is needed: only then is there somebody to tell.
fn maintain(inner: &Inner) {
    if let Err(error) = inner.pool.maintain() {
        tracing::warn!(%error, "the journal's next file could not be made ahead");
    }
}

/// Writes out all full tables of a keyspace as one.
fn flush(inner: &Inner, space: &Arc<Space>) -> Result<(), LsmError> {
    // One at a time: newer tables go on top of older ones.
    let lock = space.tree.get_flush_lock();
    let full: Vec<Full> = space.full.lock().drain(..).collect();
    if full.is_empty() {
        return Ok(());
    }
    if !space.is_deleted() {
        let before = space.tree.current_version();
        let ids: Vec<_> = full.iter().map(|full| full.memtable.id()).collect();
        let rows = Merger::new(full.iter().map(|full| full.memtable.iter().map(Ok)).collect());
        let oldest = inner.moments.oldest();
        let pacer = Pacer::new(Arc::clone(&inner.shared.pace), &space.folder);
        // None: there were no rows in them.
        if let Some((tables, apart)) = space.tree.flush_to_tables(Kept::of(rows, oldest, pacer))? {
            space.tree.register_tables(&tables, apart.as_deref(), None, &ids, oldest)?;
        }
        let memtables: Vec<_> = full.iter().map(|full| Arc::clone(&full.memtable)).collect();
        inner.retire(space, (before, memtables));
    }
    drop(lock);
    for full in full {
        full.flushed.store(true, Ordering::Release);
    }
    inner.work.flushed.store(true, Ordering::Release);
    inner.work.merge(space);
    Ok(())
}

/// Merges once, and asks to be called again if that changed anything.
fn merge(inner: &Inner, space: &Arc<Space>) -> Result<(), LsmError> {
    if space.is_deleted() {
        return Ok(());
    }
    let tree = &space.tree;
    let shape = || {
        let levels: [usize; LEVELS] =
            std::array::from_fn(|level| tree.level_table_count(level).unwrap_or_default());
        (levels, tree.disk_space())
    };
    let before = tree.current_version();
    let shape_before = shape();
    tree.compact(space.strategy(), inner.moments.oldest())?;
    if shape() != shape_before {
        inner.retire(space, before);
        inner.work.merge(space);
    }
    Ok(())
}

/// Merges all tables of a keyspace into one row of them, so that what was overwritten or removed is in none.
pub(super) fn merge_all(inner: &Inner, space: &Arc<Space>) -> Result<(), LsmError> {
    let before = space.tree.current_version();
    let table_bytes = space.options.lock().table_bytes;
    space.tree.major_compact(table_bytes, inner.moments.oldest())?;
    if space.tree.tree_type() == TreeType::Blob {
        // The first merge has found what nobody needs of the rows that are kept apart; this one writes their files anew.
        space.tree.major_compact(table_bytes, inner.moments.oldest())?;
    }
    inner.retire(space, before);
    Ok(())
}

impl Inner {
    /// Where nothing is written, nothing moves on, and what is done with would be held for ever: trees take numbers for their versions, too.
    fn catch_up(&self) {
        let waits = !self.work.state.lock().done.is_empty();
        if waits && let Some(_writer) = self.writer.try_lock() {
            // No batch is under way: what has a number is in place.
            let _ = self.shared.seqno.next();
            self.moments.publish(self.shared.seqno.next());
        }
    }

    fn retire(&self, space: &Arc<Space>, held: impl Send + 'static) {
        let done = Done { space: Arc::clone(space), until: self.shared.seqno.get(), held: Box::new(held) };
        self.work.state.lock().done.push(done);
    }
}

/// Frees what nobody looks at any more. What cannot be removed now is by the next start.
fn tidy(inner: &Inner) {
    let oldest = inner.moments.oldest();
    let (done, buried) = {
        let mut state = inner.work.state.lock();
        let done: Vec<Done> = state.done.extract_if(.., |done| done.until < oldest).collect();
        let buried: Vec<_> = state.buried.extract_if(.., |space| Arc::strong_count(space) == 1).collect();
        (done, buried)
    };
    for Done { space, held, .. } in done {
        if let Err(error) = space.tree.get_version_history_lock().maintenance(&space.folder, oldest) {
            tracing::warn!(%error, keyspace = space.name, "an old list of tables could not be removed");
        }
        drop(held);
    }
    for space in buried {
        let folder = space.folder.clone();
        drop(space);
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            tracing::warn!(%error, folder = %folder.display(), "a keyspace that was deleted could not be removed");
        }
    }
}

//! The threads that serve connections: each has an event loop of its own.
//!
//! A connection stays with one loop, and what its requests wait for, the store's answer or a processor's, wakes that loop alone.
//! In one runtime of several threads each piece of news wakes a second thread too, to look whether there is something to take over,
//! and on a server with little to do that is two of five changes of context (`docs/performance.md`).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle, Runtime};

/// Event loops to give work to. Cheap to clone; all clones are one. The default has none of its own: the caller's runtime does the work.
#[derive(Debug, Clone, Default)]
pub struct Loops(Arc<[Loop]>);

#[derive(Debug)]
struct Loop {
    handle: Handle,
    /// How many connections it has.
    connections: AtomicUsize,
}

/// The threads of [`Loops`]. When this is dropped they stop, with whatever they were at.
#[derive(Debug)]
pub struct LoopThreads {
    loops: Loops,
    runtimes: Vec<Runtime>,
}

impl LoopThreads {
    /// So many event loops, a thread each.
    ///
    /// # Errors
    /// The system gives no more threads or handles.
    pub fn start(count: usize) -> io::Result<Self> {
        // One worker of the multi-thread runtime, not the current-thread one: it is woken by a system call only if it sleeps.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("connections").enable_all();
        // Those that were started end in their own way if a later one fails.
        let mut started = Self { loops: Loops::default(), runtimes: Vec::with_capacity(count) };
        for _ in 0..count {
            started.runtimes.push(builder.build()?);
        }
        let one =
            |runtime: &Runtime| Loop { handle: runtime.handle().clone(), connections: AtomicUsize::new(0) };
        started.loops = Loops(started.runtimes.iter().map(one).collect());
        Ok(started)
    }

    /// Where to give them work.
    #[must_use]
    pub fn loops(&self) -> Loops {
        self.loops.clone()
    }
}

impl Drop for LoopThreads {
    fn drop(&mut self) {
        for runtime in self.runtimes.drain(..) {
            // Does not wait: this may be dropped by a task, which must not.
            runtime.shutdown_background();
        }
    }
}

impl Loops {
    /// A place for a connection, with the loop that has the fewest.
    pub(crate) fn place(&self) -> Place {
        let count =
            |at: usize| self.0.get(at).map_or(usize::MAX, |one| one.connections.load(Ordering::Relaxed));
        let at = (0..self.0.len()).min_by_key(|at| count(*at)).unwrap_or(0);
        if let Some(one) = self.0.get(at) {
            one.connections.fetch_add(1, Ordering::Relaxed);
        }
        Place { loops: self.clone(), at }
    }

    /// Every loop's runtime; the caller's where there are none.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        if self.0.is_empty() {
            return vec![Handle::current()];
        }
        self.0.iter().map(|one| one.handle.clone()).collect()
    }
}

/// A connection's place with a loop; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place {
    loops: Loops,
    at: usize,
}

impl Place {
    /// Has the loop serve the connection. The place is free again when that ends.
    pub(crate) fn serve(self, connection: Pin<Box<impl Future<Output = ()> + Send + 'static>>) {
        let handle = self.loops.0.get(self.at).map(|one| one.handle.clone());
        let work = async move {
            let _place = self;
            connection.await;
        };
        match handle {
            Some(handle) => drop(handle.spawn(work)),
            None => drop(tokio::spawn(work)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(one) = self.loops.0.get(self.at) {
            one.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Spreads the streams of HTTP/2 connections over all loops: a proxy in front may come with one connection for everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread {
    loops: Loops,
    next: Arc<AtomicUsize>,
}

impl Spread {
    pub(crate) fn over(loops: Loops) -> Self {
        Self { loops, next: Arc::default() }
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> hyper::rt::Executor<F> for Spread {
    fn execute(&self, work: F) {
        let loops = &self.loops.0;
        let at = self.next.fetch_add(1, Ordering::Relaxed) % loops.len().max(1);
        match loops.get(at) {
            Some(one) => drop(one.handle.spawn(work)),
            None => drop(tokio::spawn(work)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Executor;
    use tokio::runtime::Id;
    use tokio::sync::{mpsc, oneshot};

    /// A connection that tells which runtime it is in and stays until it is let go.
    async fn connect(loops: &Loops) -> (Id, oneshot::Sender<()>) {
        let (tell, told) = oneshot::channel();
        let (go, gone) = oneshot::channel();
        loops.place().serve(Box::pin(async {
            let _ = tell.send(Handle::current().id());
            let _ = gone.await;
        }));
        (told.await.unwrap(), go)
    }

    async fn stream(spread: &Spread) -> Id {
        let (tell, mut told) = mpsc::channel(1);
        spread.execute(async move { tell.send(Handle::current().id()).await });
        told.recv().await.unwrap()
    }

    #[tokio::test]
    async fn connections_go_where_the_fewest_are() {
        let threads = LoopThreads::start(3).unwrap();
        let loops = threads.loops();
        let mut open = Vec::new();
        for _ in 0..9 {
            open.push(connect(&loops).await);
        }
        let count = |open: &[(Id, oneshot::Sender<()>)], at| open.iter().filter(|(id, _)| *id == at).count();
        for (at, _) in &open {
            assert_eq!(count(&open, *at), 3);
            assert_ne!(*at, Handle::current().id());
        }
        // What leaves one loop is made up for by what comes next.
        let left = open[0].0;
        open.retain(|(at, _)| *at != left);
        while loops.0.iter().map(|one| one.connections.load(Ordering::Relaxed)).sum::<usize>() > open.len() {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            let new = connect(&loops).await;
            assert_eq!(new.0, left);
            open.push(new);
        }
    }

    #[tokio::test]
    async fn without_loops_the_callers_runtime_serves() {
        let loops = Loops::default();
        assert_eq!(connect(&loops).await.0, Handle::current().id());
        assert_eq!(stream(&Spread::over(loops.clone())).await, Handle::current().id());
        assert_eq!(loops.handles().len(), 1);
    }

    #[tokio::test]
    async fn streams_are_spread_over_all() {
        let threads = LoopThreads::start(2).unwrap();
        let spread = Spread::over(threads.loops());
        let seen =
            [stream(&spread).await, stream(&spread).await, stream(&spread).await, stream(&spread).await];
        assert_eq!(seen[..2], seen[2..]);
        assert_ne!(seen[0], seen[1]);
    }

    #[tokio::test]
    async fn a_connection_that_panics_leaves_its_place() {
        let threads = LoopThreads::start(1).unwrap();
        let loops = threads.loops();
        loops.place().serve(Box::pin(async { assert!(std::hint::black_box(false), "on purpose") }));
        while loops.0[0].connections.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn threads_may_be_dropped_by_a_task_and_end_what_they_were_at() {
        let threads = LoopThreads::start(1).unwrap();
        let (_, mut go) = connect(&threads.loops()).await;
        drop(threads);
        go.closed().await;
    }
}

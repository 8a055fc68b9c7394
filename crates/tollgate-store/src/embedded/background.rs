//! Threads that give way: the engine's own, and the one that frees what it has done with.
//!
//! They need some 6 % of the time, but they take it at once, in bursts of a tenth of a second for which payments would queue. At a lower
//! priority they spread it over the time that nobody wants. Whoever holds them up too long is held up by the engine in turn: it lets no
//! more than four full memtables of a kind gather.

/// A tenth of the time that a thread of ordinary priority gets.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Runs something on a thread that gives way, and so do the threads that it starts.
pub(super) fn giving_way<T: Send>(what: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("store-open".to_owned()).spawn_scoped(scope, || {
            give_way();
            what()
        })?;
        thread.join().map_err(|_| std::io::Error::other("the engine panicked"))
    })
}

/// Lets the calling thread give way to others. Elsewhere than on Linux a priority is the whole process's, which is not meant.
pub(super) fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the priority of a background thread was left as it is");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_there_gives_way_and_the_caller_does_not() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let started = giving_way(|| std::thread::spawn(nice).join().unwrap()).unwrap();
        assert!(started >= NICE, "{started}");
        assert_eq!(nice(), before);
    }
}

//! Runs the simulators: one listener each, plain HTTP/1.1 with keep-alive.

use crate::accounts::Simulator;
use crate::books::BooksError;
use crate::desk::Desk;
use crate::fault::{FaultProfile, ProfileError};
use crate::handle::Handle;
use crate::http::{HangUp, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tollgate_core::outlive::Outliving;

/// Most connections one simulator holds.
const CONNECTIONS_MAX: usize = 20_000;
/// How long requests under way may take to end when the simulators stop.
const DRAIN: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct SimOptions {
    /// The simulators wanted.
    pub simulators: Vec<Simulator>,
    /// Where the first one listens; the others take the ports behind it. Port 0 takes free ones.
    pub listen: Option<SocketAddr>,
    /// Folder of the journals; without one the books end with the process.
    pub books_dir: Option<PathBuf>,
    /// Where webhooks go: `{webhook_target}/api/v1/webhooks/{processor}`. Without one none are sent.
    pub webhook_target: Option<String>,
    /// Latency and faults at the start; `PUT /sim/faults` changes them.
    pub faults: FaultProfile,
    /// Seed of the faults.
    pub seed: u64,
}

/// The simulators could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The books could not be opened.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The faults are out of bounds.
    #[error(transparent)]
    Faults(#[from] ProfileError),
    /// An address could not be listened on.
    #[error("{processor}: cannot listen on {address}: {source}")]
    Listen {
        /// Which simulator.
        processor: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// The running simulators. Dropping it does not stop them; ending the `shutdown` future does.
#[derive(Debug)]
pub struct Running {
    places: Vec<(Simulator, SocketAddr)>,
    handles: Vec<Handle>,
    tasks: JoinSet<()>,
}

impl Running {
    /// The simulators' names and where they listen.
    pub fn places(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.places.iter().map(|(simulator, address)| (simulator.name(), *address))
    }

    /// The gateway's accounts at the simulators, as its configuration file names them.
    #[must_use]
    pub fn accounts(&self) -> String {
        self.places.iter().map(|(simulator, address)| simulator.account(*address)).collect()
    }

    /// The simulators' names, each with what sets its faults.
    pub fn handles(&self) -> impl Iterator<Item = (&'static str, Handle)> {
        self.places
            .iter()
            .zip(&self.handles)
            .map(|((simulator, _), handle)| (simulator.name(), handle.clone()))
    }

    /// Waits until the simulators have stopped.
    pub async fn wait(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Lets the simulators run without anybody waiting for them.
    pub fn detach(mut self) {
        self.tasks.detach_all();
    }
}

/// Lets callers in to one simulator.
pub(crate) struct Doorman<'t> {
    listener: TcpListener,
    handle: Handle,
    stopped: watch::Receiver<bool>,
    tasks: &'t mut JoinSet<()>,
}

impl Doorman<'_> {
    pub(crate) fn admit<P: Processor>(self, processor: P) {
        self.tasks.spawn(accept(self.listener, self.handle, Arc::new(processor), self.stopped));
    }
}

/// A processor's own part of a simulator.
pub(crate) trait Processor: Send + Sync + Sized + 'static {
    /// Called once, before the first request.
    fn started(self: &Arc<Self>);

    /// Answers a request to the processor itself.
    fn handle(
        self: Arc<Self>,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<Response, HangUp>> + Send;
}

/// Starts the simulators. They stop when `shutdown` ends.
///
/// # Errors
/// [`SimError`] when the books cannot be opened, the faults are out of bounds, or an address cannot
/// be listened on. Nothing is left running then.
pub async fn serve(
    options: SimOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, SimError> {
    options.faults.check()?;
    let (stop, stopped) = watch::channel(false);
    let mut running = Running { places: Vec::new(), handles: Vec::new(), tasks: JoinSet::new() };
    let mut next = options.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    for simulator in options.simulators {
        let (listener, address) = listen(simulator.name(), next).await?;
        if next.port() != 0 {
            next.set_port(next.port().saturating_add(1));
        }
        let (dir, target) = (options.books_dir.as_deref(), options.webhook_target.as_deref());
        let base_url = format!("http://{address}");
        let faults = options.faults.clone();
        let desk = Desk::open(simulator.ids(), dir, base_url, target, faults, options.seed)?;
        let handle = desk.handle().clone();
        running.handles.push(handle.clone());
        let doorman = Doorman { listener, handle, stopped: stopped.clone(), tasks: &mut running.tasks };
        simulator.open(doorman, desk);
        running.places.push((simulator, address));
    }
    running.tasks.spawn(async move {
        shutdown.await;
        let _ = stop.send(true);
    });
    Ok(running)
}

async fn listen(processor: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let failed = |source| SimError::Listen { processor, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// How long the operating system may take to give a port back.
const REBIND_PAUSE: Duration = Duration::from_millis(5);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

async fn accept<P: Processor>(
    mut listener: TcpListener,
    handle: Handle,
    processor: Arc<P>,
    mut stopped: watch::Receiver<bool>,
) {
    processor.started();
    let mut refusing = handle.refusing();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    let (stopped, refusing) = (stopped.clone(), refusing.clone());
                    connections.spawn(converse(stream, Arc::clone(&processor), stopped, refusing));
                }
                Ok(_) => {}
                // Out of file descriptors, most likely: some will be free in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            Ok(()) = refusing.changed() => {
                let refused = refuse(listener, &mut refusing);
                listener = tokio::select! {
                    Some(again) = refused => again,
                    _ = stopped.changed() => break,
                    else => break,
                };
            }
            _ = stopped.changed() => {
                drop(listener);
                break;
            }
        }
    }
    let _ = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

/// Closes a listener until the time is over, then listens at the same address again. Meanwhile the port is
/// held without listening: connections are refused, and nobody else can take it. None if the address cannot
/// be had again.
async fn refuse(
    listener: TcpListener,
    refusing: &mut watch::Receiver<Option<Instant>>,
) -> Option<TcpListener> {
    let address = listener.local_addr().ok()?;
    drop(listener);
    let socket = loop {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.ok()?;
        socket.set_reuseaddr(true).ok()?;
        match socket.bind(address) {
            Ok(()) => break socket,
            Err(_) => tokio::time::sleep(REBIND_PAUSE).await,
        }
    };
    loop {
        let until = *refusing.borrow_and_update();
        match until.filter(|until| *until > Instant::now()) {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => return socket.listen(BACKLOG).ok(),
        }
    }
}

/// Goes on with what nobody waits for any more. Where the runtime is gone, so is the program.
fn carry_on<F: Future<Output: Send> + Send + 'static>(work: Pin<Box<F>>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

async fn converse<P: Processor>(
    stream: TcpStream,
    processor: Arc<P>,
    mut stopped: watch::Receiver<bool>,
    mut refusing: watch::Receiver<Option<Instant>>,
) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let processor = Arc::clone(&processor);
        // As at a real processor, a caller who hangs up does not stop what was begun.
        async move { Outliving::new(processor.handle(request), carry_on).await.unwrap_or(Err(HangUp)) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        // No time limit on idle connections: the callers' pools decide how long they live, and a
        // connection closed here while a request is on its way would be a fault nobody asked for.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A connection ends in an error when it is closed on purpose.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
        _ = refusing.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(DRAIN, connection).await;
}

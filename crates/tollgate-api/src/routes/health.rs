//! `/health`, `/health/detailed` and `/ready`: is it alive, what does it depend on, may traffic come.

use crate::load::LoadView;
use crate::problem::Problem;
use crate::reply;
use crate::schemas::routing::{BreakerSchema, FamilySchema};
use crate::state::AppState;
use crate::views::text::Shown;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tollgate_core::attempt::ProcessorName;
use tollgate_engine::events::{LineState, RelayReport};
use tollgate_store::connections::PoolReport;
use utoipa::ToSchema;

/// How long a probe of the processors is shown again: anybody may ask, and each probe is a
/// connection to somebody else's machine.
const PROBE_AGE_MAX: Duration = Duration::from_secs(2);

/// The longest a health question may take.
const PROBE_TIME_MAX: Duration = Duration::from_secs(5);

/// The last look at the dependencies. Whoever asks while somebody looks waits for that look.
#[derive(Debug, Default)]
pub(crate) struct ProbeCache(Mutex<Option<(Instant, Vec<Dependency>)>>);

/// It is alive.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthView {
    /// Always `ok`.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// The program's version.
    #[schema(value_type = String)]
    version: &'static str,
}

/// What it depends on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DetailedHealth)]
pub(crate) struct DetailedView {
    /// `ok`, or `degraded` when a dependency fails.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// `starting`, `ready` or `stopping`.
    #[schema(value_type = String, example = "ready")]
    lifecycle: &'static str,
    /// The program's version.
    #[schema(value_type = String)]
    version: &'static str,
    /// Each dependency.
    dependencies: Vec<Dependency>,
    /// How much is under way, and how much may be; absent where nothing is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<LoadView>,
    /// The store's pools of connections; absent where it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pools: Vec<PoolView>,
    /// The event bus; absent where there is none. It does not change the status: payments do not wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    events: Option<EventsView>,
    /// The circuit breakers that are not closed.
    breakers: Vec<BreakerView>,
}

/// How the event bus is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventBus)]
pub(crate) struct EventsView {
    /// `ok`, `starting`, `failing` when this gateway cannot publish what it should, or `standby` when others do all of it.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// What bus: `kafka` or `rabbitmq`.
    #[schema(value_type = String, example = "kafka")]
    bus: &'static str,
    /// Whether the last that was heard of the broker was good.
    connected: bool,
    /// Messages published since the start.
    published: u64,
    /// The logs.
    logs: Vec<EventLogView>,
}

/// One of the logs that the event bus is told of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventLog)]
pub(crate) struct EventLogView {
    /// Its name.
    #[schema(example = "events-0")]
    log: String,
    /// `starting`, `relaying` (by this gateway), `standby` (by another) or `waiting` (it is tried again).
    #[schema(value_type = String, example = "relaying")]
    state: &'static str,
    /// The last sequence number that was published.
    published: u64,
    /// Events that wait.
    lag: u64,
    /// How long ago the first of them happened, in milliseconds.
    lag_ms: u64,
    /// Messages that the broker refused for good since the start; `tollgate events replay` publishes them again.
    refused: u64,
}

impl EventsView {
    fn new(report: RelayReport) -> Self {
        let is_in = |state| report.lines.iter().any(|(_, line)| line.state == state);
        let status = if is_in(LineState::Waiting) {
            "failing"
        } else if is_in(LineState::Starting) {
            "starting"
        } else if is_in(LineState::Standby) && !is_in(LineState::Relaying) {
            "standby"
        } else {
            "ok"
        };
        let logs = report.lines.into_iter().map(|(line, found)| EventLogView {
            log: line.name(),
            state: found.state.as_str(),
            published: found.read,
            lag: found.lag_events(),
            lag_ms: found.lag_ms,
            refused: found.refused,
        });
        Self {
            status,
            bus: report.bus.kind,
            connected: report.bus.is_connected,
            published: report.bus.published,
            logs: logs.collect(),
        }
    }
}

/// A pool of connections to a database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pool)]
pub(crate) struct PoolView {
    /// `primary`, or `replica-1` and so on.
    #[schema(example = "primary")]
    name: String,
    /// Connections there are.
    connections: u32,
    /// Of these, unused.
    idle: u32,
    /// Who waits for one now.
    waiting: u32,
    /// How often one had to be waited for since the start.
    waits: u64,
    /// How long was waited altogether, in milliseconds.
    waited_ms: u64,
    /// How often that took too long.
    timeouts: u64,
    /// Connections made since the start.
    connects: u64,
    /// Whether reads go to this replica; absent for the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<bool>,
    /// How far this replica is behind, in milliseconds; absent for the primary, and where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<u64>,
}

impl From<PoolReport> for PoolView {
    fn from(pool: PoolReport) -> Self {
        let PoolReport { name, statistics, replica } = pool;
        Self {
            name,
            connections: statistics.connections,
            idle: statistics.idle,
            waiting: statistics.waiting,
            waits: statistics.waited,
            waited_ms: statistics.waited_ms,
            timeouts: statistics.timed_out,
            connects: statistics.made,
            serving: replica.map(|replica| replica.is_serving),
            lag_ms: replica.and_then(|replica| replica.lag_ms),
        }
    }
}

/// One dependency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Dependency {
    /// Its name: `store`, or `processor:` and the processor's name.
    name: String,
    /// `ok` or `failing`.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// How long it took to answer, in milliseconds.
    response_ms: f64,
    /// What is wrong.
    error: Option<String>,
}

/// A circuit breaker that is not closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Breaker)]
pub(crate) struct BreakerView {
    /// The processor it watches.
    #[schema(value_type = String, example = "razorpay")]
    processor: Shown<ProcessorName>,
    /// The method.
    #[schema(value_type = FamilySchema)]
    method: &'static str,
    /// Where it stands.
    #[schema(value_type = BreakerSchema)]
    state: &'static str,
}

/// Whether traffic may come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Readiness)]
pub(crate) struct ReadyView {
    /// `starting`, `ready`, `stopping` or `store_failing`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
}

/// Liveness
///
/// Answers as long as the process runs; asks nothing else.
#[utoipa::path(
    get,
    path = "/health",
    tag = "Operation",
    operation_id = "health",
    responses((status = 200, body = HealthView, description = "The process runs."))
)]
pub(crate) async fn health() -> Result<Response, Problem> {
    reply::json(StatusCode::OK, &HealthView { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Dependencies
///
/// Asks the store and reaches out to each processor. A result may be up to two seconds old.
#[utoipa::path(
    get,
    path = "/health/detailed",
    tag = "Operation",
    operation_id = "health_detailed",
    responses(
        (status = 200, body = DetailedView, description = "Every dependency answers."),
        (status = 503, body = DetailedView, description = "A dependency fails.")
    )
)]
pub(crate) async fn health_detailed(State(state): State<AppState>) -> Result<Response, Problem> {
    let dependencies = look(&state).await;
    let fine = dependencies.iter().all(|dependency| dependency.error.is_none());
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let breakers = state.engine().breakers_not_closed().into_iter();
    let breakers = breakers.map(|(processor, method, state)| BreakerView {
        processor: Shown(processor),
        method: method.as_str(),
        state: state.as_str(),
    });
    let view = DetailedView {
        status: if fine { "ok" } else { "degraded" },
        lifecycle: state.lifecycle().name(),
        version: env!("CARGO_PKG_VERSION"),
        dependencies,
        load: state.load().view(),
        pools: state.engine().store().connections().into_iter().map(PoolView::from).collect(),
        events: state.events().map(|relay| EventsView::new(relay.report())),
        breakers: breakers.collect(),
    };
    reply::json(status, &view)
}

/// Readiness
///
/// For load balancers: 503 while starting, while stopping, and while the store fails.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "Operation",
    operation_id = "ready",
    responses(
        (status = 200, body = ReadyView, description = "Traffic may come."),
        (status = 503, body = ReadyView, description = "No traffic, please.")
    )
)]
pub(crate) async fn ready(State(state): State<AppState>) -> Result<Response, Problem> {
    if !state.lifecycle().is_ready() {
        let view = ReadyView { status: state.lifecycle().name() };
        return reply::json(StatusCode::SERVICE_UNAVAILABLE, &view);
    }
    let store = store_health(&state).await;
    if store.error.is_some() {
        return reply::json(StatusCode::SERVICE_UNAVAILABLE, &ReadyView { status: "store_failing" });
    }
    reply::json(StatusCode::OK, &ReadyView { status: "ready" })
}

async fn look(state: &AppState) -> Vec<Dependency> {
    let mut last = state.probes().0.lock().await;
    if let Some((at, seen)) = last.as_ref()
        && at.elapsed() < PROBE_AGE_MAX
    {
        return seen.clone();
    }
    let mut seen = vec![store_health(state).await];
    match tokio::time::timeout(PROBE_TIME_MAX, state.engine().probe_processors()).await {
        Ok(processors) => seen.extend(processors.into_iter().map(|processor| {
            let error = processor.error.filter(|_| !processor.reachable);
            let error = error.or((!processor.reachable).then(|| "cannot be reached".to_owned()));
            let name = format!("processor:{}", processor.name);
            dependency(name, (processor.response_ms * 1_000.0).round() / 1_000.0, error)
        })),
        Err(_) => seen.push(dependency(
            "processors".to_owned(),
            milliseconds(PROBE_TIME_MAX),
            Some("no answer in time".to_owned()),
        )),
    }
    *last = Some((Instant::now(), seen.clone()));
    seen
}

async fn store_health(state: &AppState) -> Dependency {
    let began = Instant::now();
    let error = match tokio::time::timeout(PROBE_TIME_MAX, state.engine().store().health()).await {
        Ok(Ok(health)) if health.queue_length < health.queue_length_max => None,
        Ok(Ok(_)) => Some("the queue of commits is full".to_owned()),
        Ok(Err(error)) => {
            // Its text may name files.
            tracing::warn!(%error, "the store is not healthy");
            Some("cannot be used".to_owned())
        }
        Err(_) => Some("no answer in time".to_owned()),
    };
    dependency("store".to_owned(), milliseconds(began.elapsed()), error)
}

fn dependency(name: String, response_ms: f64, error: Option<String>) -> Dependency {
    let status = if error.is_none() { "ok" } else { "failing" };
    Dependency { name, status, response_ms, error }
}

/// Milliseconds with three digits.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

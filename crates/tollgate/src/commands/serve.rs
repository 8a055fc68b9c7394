//! `tollgate serve`: the gateway.

use crate::Failure;
use crate::config::Config;
use crate::store::{Keeper, Purpose, REDIS_PATIENCE, open_store, with_caches};
use crate::{logging, vault};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tollgate_api::{ApiOptions, AppState, BatchOptions, Lifecycle, LoopThreads, ServerOptions};
use tollgate_core::id::MerchantId;
use tollgate_engine::clock::Clock;
use tollgate_engine::events::{Relay, status};
use tollgate_engine::routing::BreakerShare;
use tollgate_engine::webhooks::{WebhookOptions, Webhooks};
use tollgate_engine::{Engine, EngineOptions};
use tollgate_store::Store;

/// How long the stop waits for what is on its way to the bus.
const RELAY_PATIENCE: Duration = Duration::from_secs(5);

/// Runs it until it is told to stop.
pub(crate) async fn run(config: Config) -> Result<ExitCode, Failure> {
    logging::start(&config.log)?;
    // A wrong account stops the start before anything is opened.
    config.processors()?;
    let stop = stop_signal();
    let store = open_store(&config, Purpose::Serve).await?;
    if store.merchants().await?.is_empty() {
        let when = if config.store.is_postgres() { "" } else { " while the server is stopped" };
        tracing::warn!("the store has no partner yet; `tollgate partner add` makes one{when}");
    }
    let keeper = Keeper::start(&config, &store).await?;
    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|error| format!("{} cannot be listened on: {error}", config.server.listen))?;
    let served = serve(&config, store, listener, stop, None).await;
    keeper.stop().await;
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Serves on a listener until `stop` is done, then finishes what is under way. `demo` is the account of
/// the demo shop, where there is one.
pub(crate) async fn serve(
    config: &Config,
    store: Arc<dyn Store>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
    demo: Option<MerchantId>,
) -> Result<(), Failure> {
    let redis = config.redis.shared()?;
    let breakers = redis.clone().map(BreakerShare::new);
    let store = with_caches(config, store, redis.clone());
    let processors = config.processors()?;
    let fraud = config.fraud.options()?;
    if processors.iter().next().is_none() {
        tracing::warn!("no processor is configured: every payment will be refused");
    }
    // Before the engine: counters made without a recorder go nowhere.
    let metrics = tollgate_api::telemetry::install()?;
    let tls = config.tls()?;
    let public_url = match config.server.public_url.as_str() {
        "" => format!("{}://{}", if tls.is_some() { "https" } else { "http" }, listener.local_addr()?),
        url => url.to_owned(),
    };
    let passkeys = config.passkeys(&public_url)?;
    let tokens = config.tokens(&public_url)?;
    let vault = vault::open(config)?;
    let engine = Engine::new(EngineOptions {
        store,
        vault: vault.vault,
        desk: vault.desk,
        processors,
        public_url,
        clock: Clock::System,
        connect_timeout: Duration::from_millis(config.engine.connect_timeout_ms),
        flows_max: config.engine.flows_max,
        routing: config.routing_options(),
        enquiry: config.enquiry_options(),
        fraud,
    });
    match engine.warm_up_fraud().await {
        Ok(counted) => tracing::debug!(counted, "payments of the last hour are counted again"),
        Err(error) => tracing::warn!(%error, "the fraud check begins without the last hour's payments"),
    }
    engine.start();
    if let (Some(redis), Some(breakers)) = (&redis, breakers) {
        tokio::spawn(breakers.run(Arc::clone(&engine)));
        redis.start();
        // Whoever begins with empty caches asks the database for everything at once.
        redis.ready(REDIS_PATIENCE).await;
    }
    let warmed = Arc::clone(engine.store());
    tokio::spawn(async move {
        match warmed.warm_up().await {
            Ok(warmed) => tracing::debug!(warmed, "settings of accounts are at hand"),
            Err(error) => tracing::warn!(%error, "settings could not be read ahead"),
        }
    });
    let options = WebhookOptions { outcomes: config.events.tells_outcomes(), ..config.webhooks.options() };
    let webhooks = Webhooks::new(Arc::clone(&engine), options, tollgate_api::webhook_payloads());
    if config.webhooks.enabled {
        webhooks.start();
    }
    let relay = relay(config, &engine).await?;
    let lifecycle = Lifecycle::default();
    let load = config.overload.load(&engine);
    let threads = LoopThreads::start(config.server.threads())?;
    load.start(&threads.loops());
    let api = ApiOptions {
        body_timeout_ms: config.server.body_timeout_ms,
        demo,
        passkeys: Some(passkeys),
        card_session_secret: vault.session_secret,
        card_url: vault.card_url,
        client_address: config.server.client_address.into(),
        batches: BatchOptions {
            items_at_once: config.server.batch_items_at_once,
            batches_max: config.server.batches_max,
        },
        load: load.clone(),
        tokens: Some(tokens),
        lockout: config.auth.lockout,
        rate_limits: config.rate_limits.options(),
        redis,
        webhooks: Some(Arc::clone(&webhooks)),
        events: relay.clone(),
    };
    let state = AppState::new(Arc::clone(&engine), lifecycle.clone(), metrics, api);
    state.start();
    let options = ServerOptions {
        connections_max: config.server.connections_max,
        head_timeout: Duration::from_millis(config.server.header_timeout_ms),
        idle_timeout: Duration::from_millis(config.server.idle_timeout_ms),
        shutdown_timeout: Duration::from_millis(config.server.shutdown_ms),
        lifecycle: lifecycle.clone(),
        loops: threads.loops(),
        load,
        security_headers: config.security_headers(tls.is_some()),
        tls,
        ..ServerOptions::default()
    };
    lifecycle.set_ready();
    tollgate_api::serve(listener, tollgate_api::app(state.clone()), stop, options).await?;
    // A caller that hung up leaves its payment under way: it is finished all the same.
    let patience = Duration::from_millis(config.server.shutdown_ms);
    let finished = async {
        while engine.flows_under_way() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(patience, finished).await.is_err() {
        let left = engine.flows_under_way();
        tracing::warn!(left, "stopped with payments under way; the next start settles them by enquiry");
    }
    webhooks.stop().await;
    if let Some(relay) = relay {
        relay.stop(RELAY_PATIENCE).await;
    }
    state.finish().await;
    drop(threads);
    tracing::info!("stopped");
    Ok(())
}

/// Begins to tell the bus, where there is one. A broker that is away stops no start: events wait for it in the log.
async fn relay(config: &Config, engine: &Arc<Engine>) -> Result<Option<Arc<Relay>>, Failure> {
    let Some(bus) = config.events.connect().await? else {
        match status(engine.store().as_ref()).await {
            Ok(lines) if lines.iter().any(|line| line.read.is_some()) => {
                tracing::warn!(
                    "events are kept for a bus that is not configured here; `tollgate events give-up` ends that"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "it could not be asked whether events are kept for a bus"),
        }
        return Ok(None);
    };
    let relay = Relay::new(Arc::clone(engine), bus, config.events.options(), tollgate_api::event_bodies());
    relay.start();
    Ok(Some(relay))
}

/// Done when the process is asked to stop (Ctrl-C or SIGTERM).
///
/// Listens from the call on, not from the first poll: a signal that comes right after the start
/// would otherwise end the process at once.
pub(crate) fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    let interrupt = signal(SignalKind::interrupt());
    let terminate = signal(SignalKind::terminate());
    async move {
        tokio::select! {
            () = received(interrupt) => {}
            () = received(terminate) => {}
        }
    }
}

/// Done when the signal has come; never, if it cannot be listened to.
async fn received(listening: std::io::Result<Signal>) {
    match listening {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "a stop signal cannot be listened to");
            std::future::pending().await
        }
    }
}

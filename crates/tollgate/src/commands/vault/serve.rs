//! `tollgate vault serve`: the vault as a process of its own. It takes cards from browsers at one port, and
//! orders from gateways at another; processors are called from here when a charge needs a clear card.

use crate::Failure;
use crate::commands::serve::stop_signal;
use crate::config::Config;
use crate::logging;
use crate::vault::{DeskPerformer, keep_rotating, listen, open_local};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tollgate_api::ServerOptions;
use tollgate_api::card_port::{self, CardPort};
use tollgate_engine::clock::Clock;
use tollgate_engine::desk::Desk;
use tollgate_vault::CardVault;
use tollgate_vault::remote::VaultServer;

/// Runs it until it is told to stop.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    logging::start(&config.log)?;
    let settings = &config.vault;
    if settings.listen.is_empty() || settings.session_secret.expose().is_empty() {
        return Err("the vault's process needs vault.listen and vault.session_secret".into());
    }
    let processors = config.processors()?;
    if processors.iter().next().is_none() {
        tracing::warn!("no processor is configured: no card can be charged from here");
    }
    if config.server.public_url.is_empty() {
        return Err("the vault's process needs server.public_url: processors send customers there".into());
    }
    let vault = open_local(settings)?;
    keep_rotating(Arc::clone(&vault), settings)?;
    let shared: Arc<dyn CardVault> = Arc::clone(&vault) as Arc<dyn CardVault>;
    let connect_timeout = Duration::from_millis(config.engine.connect_timeout_ms);
    let desk =
        Desk::new(Arc::clone(&shared), processors, Clock::System, connect_timeout, &config.server.public_url);
    let desk = Arc::new(desk);
    let wiping = Arc::clone(&desk);
    tokio::spawn(async move { wiping.run_wipes().await });
    let gateways = listen(settings).await?;
    let cards = TcpListener::bind(settings.card_listen)
        .await
        .map_err(|error| format!("{} cannot be listened on: {error}", settings.card_listen))?;
    let body_timeout = Duration::from_millis(config.server.body_timeout_ms);
    let secret = settings.session_secret.clone();
    let port = CardPort::new(Arc::clone(&shared), secret, Clock::System, body_timeout);
    println!("The vault takes cards at http://{}{}", cards.local_addr()?, card_port::PATH);

    let (ended, mut end) = tokio::sync::watch::channel(());
    let server = VaultServer::new(shared, Arc::new(DeskPerformer(desk)), Default::default());
    let mut server_end = end.clone();
    let orders = tokio::spawn(async move {
        server
            .serve(gateways, async move {
                let _ = server_end.changed().await;
            })
            .await
    });
    let options = ServerOptions {
        connections_max: config.server.connections_max,
        head_timeout: Duration::from_millis(config.server.header_timeout_ms),
        idle_timeout: Duration::from_millis(config.server.idle_timeout_ms),
        shutdown_timeout: Duration::from_millis(config.server.shutdown_ms),
        security_headers: config.security_headers(false),
        ..ServerOptions::default()
    };
    let cards = tokio::spawn(tollgate_api::serve(
        cards,
        card_port::app(Arc::new(port)),
        async move {
            let _ = end.changed().await;
        },
        options,
    ));
    stop_signal().await;
    let _ = ended.send(());
    cards.await??;
    orders.await?;
    tracing::info!("stopped");
    Ok(())
}

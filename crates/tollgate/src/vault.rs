//! The gateway's vault, as configured: in memory, in this process, or a process of its own.

use crate::Failure;
use crate::config::{Config, VaultSettings};
use async_trait::async_trait;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tollgate_core::card::Secret;
use tollgate_core::failure::{Failure as ChargeFailure, FailureCode};
use tollgate_core::outcome::Outcome;
use tollgate_engine::desk::{CardDesk, CardOrder, Desk};
use tollgate_engine::exchange::Performed;
use tollgate_vault::master::{MasterKey, MasterSource};
use tollgate_vault::remote::{
    Listener, PerformError, Performer, RemoteOptions, RemoteVault, Target, TlsIdentity,
};
use tollgate_vault::{CardVault, LocalVault, MemoryVault, VaultOptions};

/// How often cards whose time is over are wiped.
const SWEEP: Duration = Duration::from_secs(30);

/// What the gateway's engine and API need of the vault.
pub(crate) struct Vault {
    pub(crate) vault: Arc<dyn CardVault>,
    pub(crate) desk: Option<Arc<dyn CardDesk>>,
    pub(crate) session_secret: Secret,
    pub(crate) card_url: Option<String>,
}

/// A place to listen at or to connect to.
enum Place<'a> {
    Unix(&'a str),
    Tls(&'a str),
}

fn place(text: &str) -> Result<Place<'_>, Failure> {
    match text.split_once(':') {
        Some(("unix", path)) if !path.is_empty() => Ok(Place::Unix(path)),
        Some(("tls", address)) if address.contains(':') => Ok(Place::Tls(address)),
        _ => Err(format!("{text} must be unix:PATH or tls:HOST:PORT").into()),
    }
}

/// Opens the vault that the gateway is to use.
pub(crate) fn open(config: &Config) -> Result<Vault, Failure> {
    let settings = &config.vault;
    let random = || Secret::new(format!("{:032x}", rand::random::<u128>()));
    if !settings.remote.is_empty() {
        if settings.session_secret.expose().is_empty() || settings.card_url.is_empty() {
            return Err("vault.remote needs vault.session_secret and vault.card_url".into());
        }
        let target = match place(&settings.remote)? {
            Place::Unix(path) => Target::Unix(path.into()),
            Place::Tls(address) => Target::tls(address, &settings.tls_name, &identity(settings))?,
        };
        // A charge has several exchanges: the vault's own limits end them first.
        let perform_timeout_ms = config.engine.processor_timeout_ms.saturating_mul(6).saturating_add(10_000);
        let options = RemoteOptions { perform_timeout_ms, ..RemoteOptions::default() };
        let remote = Arc::new(RemoteVault::new(target, options));
        return Ok(Vault {
            vault: Arc::clone(&remote) as Arc<dyn CardVault>,
            desk: Some(Arc::new(RemoteDesk(remote))),
            session_secret: settings.session_secret.clone(),
            card_url: Some(settings.card_url.trim_end_matches('/').to_owned()),
        });
    }
    let vault: Arc<dyn CardVault> = if settings.master_key.is_empty() {
        Arc::new(MemoryVault::new(settings.held_max, settings.hold_s.saturating_mul(1_000)))
    } else {
        let local = open_local(settings)?;
        keep_rotating(Arc::clone(&local), settings)?;
        local
    };
    let given = &settings.session_secret;
    let session_secret = if given.expose().is_empty() { random() } else { given.clone() };
    Ok(Vault { vault, desk: None, session_secret, card_url: None })
}

/// Opens the vault that secrets are sealed by, and nothing else: for a command that ends soon.
pub(crate) fn open_sealing(config: &Config) -> Result<Arc<dyn CardVault>, Failure> {
    match (config.vault.remote.is_empty(), config.vault.master_key.is_empty()) {
        (false, _) => Ok(open(config)?.vault),
        (true, false) => Ok(open_local(&config.vault)?),
        (true, true) => Err("credentials need a vault with a master key: [vault] master_key".into()),
    }
}

/// Opens the stored vault in this process.
pub(crate) fn open_local(settings: &VaultSettings) -> Result<Arc<LocalVault>, Failure> {
    let sources: Vec<MasterSource> =
        settings.master_key.sources().map(str::parse).collect::<Result<_, _>>()?;
    let masters: Vec<Arc<dyn MasterKey>> =
        sources.iter().map(MasterSource::open).collect::<Result<_, _>>()?;
    let first = masters.first().ok_or("vault.master_key must be configured")?;
    let mut options = VaultOptions::new(&settings.folder, Arc::clone(first));
    options.masters = masters;
    options.held_max = settings.held_max;
    options.hold_ms = settings.hold_s.saturating_mul(1_000);
    Ok(LocalVault::open(options)?)
}

/// Rotates while serving: to the first of several master keys, and to new data keys at SIGUSR2.
pub(crate) fn keep_rotating(vault: Arc<LocalVault>, settings: &VaultSettings) -> Result<(), Failure> {
    let sources: Vec<MasterSource> =
        settings.master_key.sources().map(str::parse).collect::<Result<_, _>>()?;
    let mut signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined2())?;
    let wanted = if sources.len() > 1 { sources.into_iter().next() } else { None };
    tokio::spawn(async move {
        if let Some(source) = wanted {
            let vault = Arc::clone(&vault);
            let done = tokio::task::spawn_blocking(move || -> Result<(), Failure> {
                let master = source.open()?;
                let status = vault.status()?;
                if status.master == master.id() && status.master_next.is_none() {
                    return Ok(());
                }
                let progress = vault.rotate_master(master, now_ms(), &mut |_| ControlFlow::Continue(()))?;
                tracing::info!(?progress, "the vault is under the new master key; the old one may go");
                Ok(())
            });
            told("master key", done.await);
        }
        // One that was cut off goes on at once; the others wait to be asked for.
        let mut asked = vault.status().is_ok_and(|status| status.rotating_data);
        loop {
            if !std::mem::take(&mut asked) {
                tokio::select! {
                    signal = signals.recv() => if signal.is_none() { break },
                    () = tokio::time::sleep(SWEEP) => {
                        vault.sweep(now_ms());
                        continue;
                    }
                }
            }
            let vault = Arc::clone(&vault);
            let done = tokio::task::spawn_blocking(move || -> Result<(), Failure> {
                let progress = vault.rotate_data(now_ms(), &mut |_| ControlFlow::Continue(()))?;
                tracing::info!(?progress, "the vault has new data keys; the old ones are destroyed");
                Ok(())
            });
            told("data keys", done.await);
        }
    });
    Ok(())
}

fn told(what: &str, done: Result<Result<(), Failure>, tokio::task::JoinError>) {
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(what, %error, "the rotation did not end; it goes on with the next"),
        Err(error) => tracing::error!(what, %error, "the rotation broke off"),
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn identity(settings: &VaultSettings) -> TlsIdentity {
    TlsIdentity {
        certificate: settings.tls_certificate.clone(),
        key: settings.tls_key.clone(),
        authority: settings.tls_authority.clone(),
    }
}

/// Where the vault's process waits for gateways.
pub(crate) async fn listen(settings: &VaultSettings) -> Result<Listener, Failure> {
    match place(&settings.listen)? {
        Place::Unix(path) => {
            Listener::unix(path).map_err(|error| format!("{path} cannot be listened on: {error}").into())
        }
        Place::Tls(address) => {
            let address: SocketAddr =
                address.parse().map_err(|_| format!("vault.listen: {address} is no address and port"))?;
            Ok(Listener::tls(address, &identity(settings)).await?)
        }
    }
}

/// The vault's process as the gateway's engine sees it.
#[derive(Debug)]
struct RemoteDesk(Arc<RemoteVault>);

#[async_trait]
impl CardDesk for RemoteDesk {
    async fn charge(&self, order: CardOrder) -> Performed {
        let not_taken = |why: &str| unavailable(why);
        let unknown = |why: &str| {
            let failure = ChargeFailure::new(FailureCode::OutcomeUnknown, why);
            Performed::unsent(Outcome::Unknown(failure))
        };
        let Ok(payload) = postcard::to_stdvec(&order) else {
            return not_taken("the order cannot be written");
        };
        match self.0.perform(&payload).await {
            Ok(answer) => {
                postcard::from_bytes(&answer).unwrap_or_else(|_| unknown("the vault's answer cannot be read"))
            }
            Err(PerformError::NotSent) => not_taken("the card vault cannot be reached"),
            Err(PerformError::Doubtful) => unknown("the card vault's answer was lost"),
        }
    }
}

/// The desk as the vault's server sees it.
#[derive(Debug)]
pub(crate) struct DeskPerformer(pub(crate) Arc<Desk>);

#[async_trait]
impl Performer for DeskPerformer {
    async fn perform(&self, payload: &[u8]) -> Vec<u8> {
        let performed = match postcard::from_bytes::<CardOrder>(payload) {
            Ok(order) => self.0.charge(order).await,
            Err(_) => unavailable("the vault is of another version than the gateway"),
        };
        // Outcomes are plain data: they always encode. What does not decode counts as unknown.
        postcard::to_stdvec(&performed).unwrap_or_default()
    }
}

/// Nothing was sent, because of the vault.
fn unavailable(why: &str) -> Performed {
    Performed::unsent(Outcome::NotTaken(ChargeFailure::new(FailureCode::VaultUnavailable, why)))
}

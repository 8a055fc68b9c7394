//! What a server on PostgreSQL does for the database beside serving: partitions are made ahead, what reports read is
//! refreshed, and the end of the audit log is noted outside of it.

use crate::config::Config;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tollgate_core::totals::hour_of;
use tollgate_engine::clock::Clock;
use tollgate_store::Store;
use tollgate_store::anchor::Anchors;
use tollgate_store::commit::{CommitError, Upkeep};
use tollgate_store::postgres::{PartitionWish, PostgresOptions, partitions_unless_busy, refresh_reports};

/// How often partitions are looked after.
const PARTITIONS_EVERY: Duration = Duration::from_secs(3_600);

/// How soon it is tried again when that failed.
const PARTITIONS_AGAIN: Duration = Duration::from_secs(60);

/// How often it is looked whether what reports read is too old, at most and at least.
const REPORTS_LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How often it is looked whether a day has ended.
const DAYS_LOOK: Duration = Duration::from_secs(600);

/// Hours that a day rests before it is added up: most of what is still to come of its payments has come then.
const DAYS_REST_HOURS: u32 = 72;

/// How often the end of the audit log is looked at.
const ANCHORS_EVERY: Duration = Duration::from_secs(5);

/// A store, and where the end of its audit log is noted.
type Noted = (Arc<dyn Store>, Arc<Mutex<Anchors>>);

/// What is done beside serving.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    tasks: Vec<JoinHandle<()>>,
    anchors: Option<Noted>,
}

impl Keeper {
    /// Starts what the configured store needs. The embedded store does all of it by itself.
    pub(crate) async fn start(config: &Config, store: &Arc<dyn Store>) -> Result<Self, crate::Failure> {
        if !config.store.is_postgres() {
            return Ok(Self::default());
        }
        let mut keeper = Self::default();
        for options in config.store.databases(config.policy())? {
            let age = Duration::from_secs(config.store.reports_refresh_s);
            if !age.is_zero() {
                keeper.tasks.push(tokio::spawn(keep_reports(options.clone(), age)));
            }
            keeper.tasks.push(tokio::spawn(keep_partitions(options, config.store.partitions_ahead)));
        }
        keeper.tasks.push(tokio::spawn(keep_days(Arc::clone(store))));
        if let Some(anchor) = config.audit.anchor() {
            let anchors = Arc::new(Mutex::new(Anchors::new(anchor, store.audit_head().await?)));
            keeper.tasks.push(tokio::spawn(keep_anchors(Arc::clone(store), Arc::clone(&anchors))));
            keeper.anchors = Some((Arc::clone(store), anchors));
        }
        Ok(keeper)
    }

    /// Ends it. Where the audit log ends is noted once more.
    pub(crate) async fn stop(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        let Some((store, anchors)) = self.anchors else {
            return;
        };
        match store.audit_head().await {
            Ok(head) => anchors.lock().note(head, true),
            Err(error) => tracing::warn!(%error, "the end of the audit log could not be read"),
        }
    }
}

/// Whoever comes first does it; the others find nothing to do.
async fn keep_partitions(options: PostgresOptions, months_ahead: u32) {
    loop {
        let wish = PartitionWish { now_ms: Clock::System.now_ms(), months_ahead, keep_ms: None };
        let pause = match partitions_unless_busy(&options, &wish).await {
            Ok(None) => PARTITIONS_EVERY,
            Ok(Some(report)) => {
                if !report.made.is_empty() || !report.dropped.is_empty() {
                    tracing::info!(made = report.made.len(), dropped = report.dropped.len(), "partitions");
                }
                PARTITIONS_EVERY
            }
            Err(error) => {
                // Nothing is refused because of it: rows go to the tables' default partitions.
                tracing::warn!(%error, "partitions could not be made ahead");
                PARTITIONS_AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// All servers look; one of them does it.
async fn keep_reports(options: PostgresOptions, age: Duration) {
    let pause = (age / 4).clamp(REPORTS_LOOK.0, REPORTS_LOOK.1);
    loop {
        let pause = match refresh_reports(&options, age).await {
            Ok(false) => pause,
            Ok(true) => {
                tracing::debug!("what reports read was made anew");
                pause
            }
            Err(error) => {
                // Reports stay as they are, and say how old they are.
                tracing::warn!(%error, "what reports read could not be made anew");
                REPORTS_LOOK.1
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Totals are added up by days once a day. Each server sees to it; what one has done the others find done.
async fn keep_days(store: Arc<dyn Store>) {
    let mut done = None;
    loop {
        let hour = hour_of(Clock::System.now_ms());
        if done != Some(hour / 24) {
            match add_up_days(store.as_ref(), hour.saturating_sub(DAYS_REST_HOURS)).await {
                Ok(()) => done = Some(hour / 24),
                // Nothing is wrong because of it: hours are read instead.
                Err(error) => tracing::warn!(%error, "totals could not be added up by days"),
            }
        }
        tokio::time::sleep(DAYS_LOOK).await;
    }
}

async fn add_up_days(store: &dyn Store, upto_hour: u32) -> Result<(), CommitError> {
    for merchant in store.merchants().await? {
        store.upkeep(Upkeep::AddUpDays { merchant_id: merchant.id, upto_hour }).await?;
    }
    Ok(())
}

async fn keep_anchors(store: Arc<dyn Store>, anchors: Arc<Mutex<Anchors>>) {
    loop {
        tokio::time::sleep(ANCHORS_EVERY).await;
        match store.audit_head().await {
            Ok(head) => anchors.lock().note(head, false),
            Err(error) => tracing::warn!(%error, "the end of the audit log could not be read"),
        }
    }
}

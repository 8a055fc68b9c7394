//! Several databases as one installation: which bucket of merchants is on which, adding one, and moving a bucket.
//!
//! What a bucket's rows are is in `tables`, where they are in `directory`, how they are taken elsewhere in `moving`,
//! `copying` and `verify`, and what goes between directory and shards without a caller in `spread`.

mod copying;
mod directory;
mod logs;
mod moving;
mod spread;
mod tables;
mod verify;

pub use directory::{Move, ShardMap, Stage};
pub use moving::{MoveOptions, MoveReport, Watch};

use crate::error::StoreError;
use crate::postgres::gate::Gate;
use crate::postgres::link::{Id, Link, Query, column};
use crate::postgres::{PostgresOptions, schema};
use directory::Directory;
use std::ops::ControlFlow;
use std::time::Duration;
use tables::{MOVED, small};
use tokio::sync::{Mutex, MutexGuard};
use tollgate_core::audit::key::LogKey;
use tollgate_core::id::BUCKET_COUNT;

/// How long an errand's statement may take.
const ERRAND_MS: u64 = 10_000;

/// How often the lock of those who change the map is tried, ten times a second.
const LOCK_TRIES: u32 = 30;

/// Most shards.
pub const SHARDS_MAX: u16 = BUCKET_COUNT;

/// How the shards are.
#[derive(Debug, Clone)]
pub struct ShardsStatus {
    /// Which bucket is where.
    pub map: ShardMap,
    /// Each configured shard, in their order.
    pub shards: Vec<ShardStatus>,
    /// The move under way.
    pub present_move: Option<Move>,
}

/// How a shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStatus {
    /// Which.
    pub number: u16,
    /// Buckets that the map gives it.
    pub buckets: u16,
    /// Why it does not answer, or what is wrong with it; none: it is well.
    pub fault: Option<String>,
}

fn refusal(text: impl Into<String>) -> StoreError {
    StoreError::Unavailable(text.into())
}

fn first(shards: &[PostgresOptions]) -> Result<&PostgresOptions, StoreError> {
    shards.first().ok_or_else(|| refusal("no shard is configured"))
}

fn counted(shards: &[PostgresOptions]) -> Result<u16, StoreError> {
    let count = u16::try_from(shards.len()).ok().filter(|count| *count <= SHARDS_MAX);
    count.ok_or_else(|| refusal(format!("there can be {SHARDS_MAX} shards at most")))
}

/// The directory's connection, with the lock of those who change the map.
async fn locked(shards: &[PostgresOptions]) -> Result<Link, StoreError> {
    let link = first(shards)?.patient_link().await?;
    schema::check(&link).await?;
    // An instance that opens a bucket has it for a moment, and so has one who has just died.
    for _ in 0..LOCK_TRIES {
        if Directory(&link).lock().await? {
            return Ok(link);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(refusal("somebody else is changing the shards; there is one at a time"))
}

/// Makes one installation of migrated databases; the first is the directory as well. If that holds payments already,
/// all buckets are its own, and the others get theirs by moves; else buckets are dealt out.
///
/// # Errors
/// They are set up already, one is not migrated, or one other than the first is not empty.
pub async fn init(shards: &[PostgresOptions]) -> Result<ShardMap, StoreError> {
    let count = counted(shards)?;
    let link = locked(shards).await?;
    if Directory(&link).map().await?.is_some() {
        return Err(refusal("the shards are set up already; add more with `shards add`"));
    }
    let row = link.query_opt(Query::Fixed("SELECT gen_random_uuid()"), &[]).await?;
    let installation: Id = column(&row.ok_or(StoreError::Corrupt("installation"))?, 0, "installation")?;
    let key = key_of(&link).await?;
    let keeps_all = !has_none(&link, &[]).await?;
    let owner = |bucket: u16| if keeps_all { 0 } else { bucket % count };
    let owners: Vec<u16> = (0..BUCKET_COUNT).map(owner).collect();
    let open = |shard: u16| Gate::of((0..BUCKET_COUNT).filter(|bucket| owner(*bucket) == shard));
    for (number, options) in (1..count).zip(shards.iter().skip(1)) {
        join(options, number, (installation, &key), open(number)).await?;
    }
    become_shard(&link, 0, installation, open(0)).await?;
    // From here on they are one installation.
    Directory(&link).found(installation, count, &owners).await?;
    Directory(&link).known_map().await
}

/// Takes the configured shards that are new into the installation, without buckets. Gives how many there are.
///
/// # Errors
/// They are not set up, or a new one is not migrated or not empty.
pub async fn add(shards: &[PostgresOptions]) -> Result<u16, StoreError> {
    let count = counted(shards)?;
    let link = locked(shards).await?;
    let map = Directory(&link).known_map().await?;
    let installation = Directory(&link).installation().await?.ok_or(StoreError::Corrupt("installation"))?;
    let key = key_of(&link).await?;
    if count < map.shards() {
        return Err(refusal(format!("{} shards are there, {count} are configured", map.shards())));
    }
    for (number, options) in (0..count).zip(shards).skip(usize::from(map.shards())) {
        join(options, number, (installation, &key), Gate::of(std::iter::empty())).await?;
    }
    Directory(&link).count_shards(count).await?;
    Ok(count)
}

/// A database becomes a shard.
async fn join(
    options: &PostgresOptions,
    number: u16,
    (installation, key): (Id, &[u8]),
    open: [u8; crate::postgres::gate::GATE_BYTES],
) -> Result<(), StoreError> {
    let link = options.patient_link().await?;
    schema::check(&link).await?;
    let rest = ["merchants", "partners", "api_keys"];
    if Directory(&link).map().await?.is_some() || !has_none(&link, &rest).await? {
        return Err(refusal(format!("the database of shard {number} is not empty")));
    }
    // People have one name in the audit log, wherever their merchant's rows are.
    link.execute(Query::Fixed("UPDATE log_head SET log_key = $1 WHERE id = 1"), &[&key]).await?;
    become_shard(&link, number, installation, open).await
}

async fn become_shard(
    link: &Link,
    number: u16,
    installation: Id,
    open: [u8; crate::postgres::gate::GATE_BYTES],
) -> Result<(), StoreError> {
    let query = Query::Fixed(
        "INSERT INTO shard (id, number, installation, epoch, open) VALUES (1, $1, $2, 1, $3)
         ON CONFLICT (id) DO UPDATE
         SET number = $1, installation = $2, epoch = shard.epoch + 1, open = $3, partners_upto = 0",
    );
    link.execute(query, &[&small(number), &installation, &open.as_slice()]).await?;
    Ok(())
}

/// Which shard of which installation a database is.
async fn shard_of(link: &Link) -> Result<Option<(u16, Id)>, StoreError> {
    let query = Query::Fixed("SELECT number, installation FROM shard WHERE id = 1");
    let row = link.query_opt(query, &[]).await?;
    row.map(|row| Ok((tables::number(column(&row, 0, "shard")?)?, column(&row, 1, "shard")?))).transpose()
}

/// The secret under which the audit log names people.
async fn key_of(link: &Link) -> Result<Vec<u8>, StoreError> {
    let row = link.query_opt(Query::Fixed("SELECT log_key FROM log_head WHERE id = 1"), &[]).await?;
    let row = row.ok_or(StoreError::Corrupt("secret of the audit log"))?;
    Ok(column::<&[u8]>(&row, 0, "secret of the audit log")?.to_vec())
}

/// Whether there are no rows of merchants, nor in some other tables.
async fn has_none(link: &Link, rest: &[&'static str]) -> Result<bool, StoreError> {
    for name in MOVED.iter().map(|table| table.name).chain(rest.iter().copied()) {
        let row = link.query_opt(Query::Of("SELECT EXISTS (SELECT FROM {table})", name), &[]).await?;
        if row.map_or(Ok(false), |row| column(&row, 0, "table"))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How the shards are.
///
/// # Errors
/// The directory does not answer, or is none. What is wrong with another shard is told.
pub async fn status(shards: &[PostgresOptions]) -> Result<ShardsStatus, StoreError> {
    let link = errand_link(first(shards)?).await?;
    schema::check(&link).await?;
    let directory = Directory(&link);
    let map = directory.known_map().await?;
    let mut found = Vec::with_capacity(shards.len());
    let configured = counted(shards)?;
    for number in 0..configured.max(map.shards()) {
        let fault = match shards.get(usize::from(number)) {
            Some(options) => {
                look(options, &directory, number, &map).await.err().map(|error| error.to_string())
            }
            None => Some("it is not configured".to_owned()),
        };
        let buckets = u16::try_from(map.buckets(number).count()).unwrap_or(u16::MAX);
        found.push(ShardStatus { number, buckets, fault });
    }
    Ok(ShardsStatus { map, shards: found, present_move: directory.present_move().await? })
}

/// Whether a shard is what it should be.
async fn look(
    options: &PostgresOptions,
    directory: &Directory<'_>,
    number: u16,
    map: &ShardMap,
) -> Result<(), StoreError> {
    let link = errand_link(options).await?;
    schema::check(&link).await?;
    check_place(&link, directory, number).await?;
    let gate = Gate::read(&link).await?;
    let moving = directory.present_move().await?.map(|step| step.bucket);
    for bucket in (0..BUCKET_COUNT).filter(|bucket| Some(*bucket) != moving) {
        if gate.is_open(bucket) != (map.of_bucket(bucket) == number) {
            return Err(refusal(format!(
                "bucket {bucket} is open where the map does not have it, or closed"
            )));
        }
    }
    Ok(())
}

/// Refuses a database that is only a part of an installation.
pub(super) async fn check_alone(link: &Link) -> Result<(), StoreError> {
    let shards = Directory(link).map().await?.map_or(1, |map| map.shards());
    match shard_of(link).await? {
        Some((number, _)) if number > 0 || shards > 1 => Err(refusal(format!(
            "the database is shard {number} of several; configure all of them, in their order"
        ))),
        _ => Ok(()),
    }
}

/// Whether a database is the shard it is configured as.
async fn check_place(link: &Link, directory: &Directory<'_>, number: u16) -> Result<(), StoreError> {
    let installation = directory.installation().await?;
    match shard_of(link).await? {
        Some((found, of)) if found == number && Some(of) == installation => Ok(()),
        Some((found, of)) if Some(of) == installation => {
            Err(refusal(format!("the database of shard {number} is shard {found}")))
        }
        _ => Err(refusal(format!("the database of shard {number} is no shard of this installation"))),
    }
}

/// Moves a bucket, or goes on with its move. `watch` is told each stage.
///
/// # Errors
/// Another move is under way, a live instance does not know the target, or a shard does not answer. The move can be
/// gone on with; until it is switched the bucket stays where it was.
pub async fn move_bucket(
    shards: &[PostgresOptions],
    bucket: u16,
    to: u16,
    options: MoveOptions,
    watch: Watch<'_>,
) -> Result<MoveReport, StoreError> {
    let link = locked(shards).await?;
    let directory = Directory(&link);
    let map = directory.known_map().await?;
    if bucket >= BUCKET_COUNT {
        return Err(refusal(format!("buckets are counted from 0 to {}", BUCKET_COUNT - 1)));
    }
    let step = match directory.present_move().await? {
        Some(step) if step.bucket == bucket && step.target == to => step,
        Some(step) => {
            let text =
                format!("bucket {} is on its way to shard {}; end that first", step.bucket, step.target);
            return Err(refusal(text));
        }
        None => {
            if to >= map.shards() || usize::from(to) >= shards.len() {
                return Err(refusal(format!("there is no shard {to}")));
            }
            if map.of_bucket(bucket) == to {
                return Err(refusal(format!("bucket {bucket} is on shard {to}")));
            }
            if directory.run_without(to).await? {
                return Err(refusal(format!(
                    "an instance at work does not know shard {to}; restart it first"
                )));
            }
            let step = Move {
                bucket,
                source: map.of_bucket(bucket),
                target: to,
                stage: Stage::Preparing,
                copied: vec![],
            };
            directory.begin_move(&step).await?;
            step
        }
    };
    let mover = moving::Mover { shards, options, watch, directory: &link, step };
    mover.run().await
}

/// Gives up the move under way, if it is not switched: the bucket stays where it was.
///
/// # Errors
/// There is none, it is switched, or a shard does not answer.
pub async fn abort_move(shards: &[PostgresOptions]) -> Result<(), StoreError> {
    let link = locked(shards).await?;
    let step = Directory(&link).present_move().await?.ok_or_else(|| refusal("no bucket is on its way"))?;
    moving::abort(shards, &link, step).await
}

/// What an instance does for all shards beside its callers' work.
pub(crate) struct Errands {
    shards: Vec<PostgresOptions>,
    /// To the directory, for those who wait for the map.
    reader: Mutex<Option<Link>>,
    /// A connection to each. One that was left in the middle of something is not used again: it is not put back.
    links: Vec<Mutex<Option<Link>>>,
    /// How far each shard's partners and audit log were when they were looked at last.
    known: parking_lot::Mutex<Vec<(u64, u64)>>,
}

/// What the directory says.
pub(crate) struct News {
    pub(crate) map: ShardMap,
    /// Where the log of partners ends.
    log_end: u64,
    /// A bucket is closed on its way, or its move was not finished.
    is_moving: bool,
}

impl Errands {
    pub(crate) fn new(shards: Vec<PostgresOptions>) -> Self {
        let links = shards.iter().map(|_| Mutex::new(None)).collect();
        let known = parking_lot::Mutex::new(vec![(0, 0); shards.len()]);
        Self { shards, reader: Mutex::new(None), links, known }
    }

    async fn link(&self, shard: u16) -> Result<(MutexGuard<'_, Option<Link>>, Link), StoreError> {
        let place = usize::from(shard);
        let none = || refusal(format!("shard {shard} is not configured"));
        let (slot, options) = self.links.get(place).zip(self.shards.get(place)).ok_or_else(none)?;
        taken(slot, options).await
    }

    /// What the directory says.
    pub(crate) async fn news(&self) -> Result<News, StoreError> {
        let (mut slot, link) = taken(&self.reader, first(&self.shards)?).await?;
        let directory = Directory(&link);
        let (map, log_end, step) =
            tokio::try_join!(directory.known_map(), directory.log_end(), directory.present_move())?;
        *slot = Some(link);
        let is_moving = step.is_some_and(|step| matches!(step.stage, Stage::Paused | Stage::Switched));
        Ok(News { map, log_end, is_moving })
    }

    /// The secret under which the audit log names people.
    pub(crate) async fn log_key(&self) -> Result<LogKey, StoreError> {
        let (mut slot, link) = taken(&self.reader, first(&self.shards)?).await?;
        let key = crate::postgres::log_key(&link).await?;
        *slot = Some(link);
        Ok(key)
    }

    /// Says how many shards this run knows.
    pub(crate) async fn say_shards(&self, run: u64) -> Result<(), StoreError> {
        let count = counted(&self.shards)?;
        let (mut slot, link) = self.link(0).await?;
        Directory(&link).say_shards(run, count).await?;
        *slot = Some(link);
        Ok(())
    }

    /// Whether a database is the shard it is configured as.
    pub(crate) async fn check_place(&self, shard: u16) -> Result<(), StoreError> {
        let (mut slot, link) = self.link(shard).await?;
        let (mut reader, directory) = taken(&self.reader, first(&self.shards)?).await?;
        check_place(&link, &Directory(&directory), shard).await?;
        (*slot, *reader) = (Some(link), Some(directory));
        Ok(())
    }

    /// Whether a shard's database answers at all.
    pub(crate) async fn answers(&self, shard: u16) -> bool {
        match self.link(shard).await {
            Ok((mut slot, link)) => {
                *slot = Some(link);
                true
            }
            Err(_) => false,
        }
    }

    /// Tells a shard what has changed of partners, and takes its entries of the audit log.
    pub(crate) async fn run_to(&self, shard: u16) -> Result<(), StoreError> {
        if shard == 0 {
            return Ok(());
        }
        // The shard first: one that does not answer keeps nobody from the directory.
        let (mut slot, link) = self.link(shard).await?;
        let (mut directory_slot, directory) = self.link(0).await?;
        let partners = spread::tell_partners(&directory, &link).await?;
        let audit = spread::take_audit(&directory, &link, shard).await?;
        if let Some(known) = self.known.lock().get_mut(usize::from(shard)) {
            *known = (partners, audit);
        }
        *slot = Some(link);
        *directory_slot = Some(directory);
        Ok(())
    }

    /// The same, where there is something to be told or taken.
    pub(crate) async fn run_to_if_new(&self, shard: u16, news: &News) -> Result<(), StoreError> {
        let known = self.known.lock().get(usize::from(shard)).copied().unwrap_or_default();
        let written = {
            let (mut slot, link) = self.link(shard).await?;
            let row =
                link.query_opt(Query::Fixed("SELECT audit_count FROM log_head WHERE id = 1"), &[]).await?;
            *slot = Some(link);
            row.map_or(Ok(0), |row| column::<i64>(&row, 0, "audit log"))?
        };
        if news.log_end > known.0 || crate::postgres::link::natural(written) > known.1 {
            self.run_to(shard).await?;
        }
        Ok(())
    }

    /// Opens a bucket whose mover has died while it was closed.
    pub(crate) async fn rescue(&self, news: &News) -> Result<(), StoreError> {
        if !news.is_moving {
            return Ok(());
        }
        let link = errand_link(first(&self.shards)?).await?;
        let directory = Directory(&link);
        if !directory.lock().await? {
            // The mover is at work.
            return Ok(());
        }
        if let Some(step) = directory.present_move().await? {
            tracing::warn!(bucket = step.bucket, stage = step.stage.as_str(), "a bucket's move was left");
            moving::rescue(&self.shards, &link, step).await?;
        }
        directory.unlock().await
    }
}

/// A connection for what takes little.
async fn errand_link(options: &PostgresOptions) -> Result<Link, StoreError> {
    Link::connect(&options.primary(ERRAND_MS)?).await
}

/// The connection of a slot, or a new one. Whoever takes it puts it back when all went well.
async fn taken<'a>(
    slot: &'a Mutex<Option<Link>>,
    options: &PostgresOptions,
) -> Result<(MutexGuard<'a, Option<Link>>, Link), StoreError> {
    let mut slot = slot.lock().await;
    let link = match slot.take().filter(|link| !link.is_closed()) {
        Some(link) => link,
        None => errand_link(options).await?,
    };
    Ok((slot, link))
}

/// Goes on without a look at the stages.
pub fn unwatched(_: Stage) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

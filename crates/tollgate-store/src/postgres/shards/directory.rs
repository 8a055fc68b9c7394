//! The directory: which bucket is on which shard, and the move under way. It is in shard 0's database.

use crate::error::StoreError;
use crate::postgres::link::{Id, Link, Query, big, column, natural};
use crate::postgres::shards::tables::{number, small};
use tollgate_core::id::{BUCKET_COUNT, MerchantId};

/// Which bucket is on which shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardMap {
    version: u64,
    shards: u16,
    owners: Vec<u16>,
}

impl ShardMap {
    /// Counts changes.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shards(&self) -> u16 {
        self.shards
    }

    /// The shard of a bucket.
    #[must_use]
    pub fn of_bucket(&self, bucket: u16) -> u16 {
        self.owners.get(usize::from(bucket)).copied().unwrap_or(0)
    }

    /// The shard of a merchant.
    #[must_use]
    pub fn of(&self, merchant_id: MerchantId) -> u16 {
        self.of_bucket(merchant_id.bucket())
    }

    /// The buckets of a shard.
    pub fn buckets(&self, shard: u16) -> impl Iterator<Item = u16> {
        (0..BUCKET_COUNT).filter(move |bucket| self.of_bucket(*bucket) == shard)
    }
}

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The source begins to note what changes; the target is cleared of what an earlier try has left.
    Preparing,
    /// Table by table is copied.
    Copying,
    /// What has changed meanwhile is copied, again and again, and both ends are compared.
    CatchingUp,
    /// The source takes no writes of the bucket: the last rows are copied and compared.
    Paused,
    /// The target has the bucket. There is no way back.
    Switched,
    /// The source's rows are removed.
    Cleaning,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 6] =
        [Self::Preparing, Self::Copying, Self::CatchingUp, Self::Paused, Self::Switched, Self::Cleaning];

    /// Its name in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Copying => "copying",
            Self::CatchingUp => "catching_up",
            Self::Paused => "paused",
            Self::Switched => "switched",
            Self::Cleaning => "cleaning",
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|stage| stage.as_str() == text);
        found.ok_or(StoreError::Corrupt("stage of a move"))
    }
}

/// The move under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which bucket.
    pub bucket: u16,
    /// From which shard.
    pub source: u16,
    /// To which.
    pub target: u16,
    /// How far it is.
    pub stage: Stage,
    /// The tables that were copied.
    pub copied: Vec<String>,
}

/// Held by whoever changes the map or moves a bucket: one at a time. It ends with the session.
const LOCK: i64 = 0x7467_7368_6172_6473;

/// What tells shards of partners: function and triggers. Made by `shards init`, and made anew by each `migrate`.
const TELLS: &str = include_str!("../sql/directory.sql");

/// The directory's own connection.
pub(super) struct Directory<'a>(pub(super) &'a Link);

impl Directory<'_> {
    /// The map; none: this is no directory.
    pub(super) async fn map(&self) -> Result<Option<ShardMap>, StoreError> {
        let query = Query::Fixed("SELECT version, shards, owners FROM directory WHERE id = 1");
        let Some(row) = self.0.query_opt(query, &[]).await? else {
            return Ok(None);
        };
        let owners: Vec<i16> = column(&row, 2, "shard map")?;
        Ok(Some(ShardMap {
            version: natural(column(&row, 0, "shard map")?),
            shards: number(column(&row, 1, "shard map")?)?,
            owners: owners.into_iter().map(number).collect::<Result<_, _>>()?,
        }))
    }

    /// The map of a directory that must be there.
    pub(super) async fn known_map(&self) -> Result<ShardMap, StoreError> {
        let none =
            || StoreError::Unavailable("shards are not set up here; begin with `shards init`".to_owned());
        self.map().await?.ok_or_else(none)
    }

    /// The move under way.
    pub(super) async fn present_move(&self) -> Result<Option<Move>, StoreError> {
        let query = Query::Fixed("SELECT bucket, source, target, stage, copied FROM shard_moves");
        let Some(row) = self.0.query_opt(query, &[]).await? else {
            return Ok(None);
        };
        let small = |place| number(column(&row, place, "move")?);
        Ok(Some(Move {
            bucket: small(0)?,
            source: small(1)?,
            target: small(2)?,
            stage: Stage::read(column(&row, 3, "move")?)?,
            copied: column(&row, 4, "move")?,
        }))
    }

    /// Takes the lock, or says that somebody else has it.
    pub(super) async fn lock(&self) -> Result<bool, StoreError> {
        let row = self.0.query_opt(Query::Fixed("SELECT pg_try_advisory_lock($1)"), &[&LOCK]).await?;
        row.map_or(Ok(false), |row| column(&row, 0, "lock"))
    }

    /// Gives it back.
    pub(super) async fn unlock(&self) -> Result<(), StoreError> {
        self.0.query(Query::Fixed("SELECT pg_advisory_unlock($1)"), &[&LOCK]).await?;
        Ok(())
    }

    /// Notes a move that begins; nothing changes if it has begun.
    pub(super) async fn begin_move(&self, wish: &Move) -> Result<(), StoreError> {
        let query = Query::Fixed(
            "INSERT INTO shard_moves (bucket, source, target, stage) VALUES ($1, $2, $3, $4)
             ON CONFLICT (bucket) DO NOTHING",
        );
        let (bucket, source, target) = (small(wish.bucket), small(wish.source), small(wish.target));
        self.0.execute(query, &[&bucket, &source, &target, &wish.stage.as_str()]).await?;
        Ok(())
    }

    /// Notes how far a move is.
    pub(super) async fn note(&self, step: &Move) -> Result<(), StoreError> {
        let query = Query::Fixed(
            "UPDATE shard_moves SET stage = $2, copied = $3, changed_at = now() WHERE bucket = $1",
        );
        let (bucket, stage) = (small(step.bucket), step.stage.as_str());
        self.0.execute(query, &[&bucket, &stage, &step.copied]).await?;
        Ok(())
    }

    /// The moment of a move: from here on the bucket is the target's.
    pub(super) async fn switch(&self, step: &Move) -> Result<(), StoreError> {
        let text = format!(
            "BEGIN;
             UPDATE directory SET owners[{}] = {}, version = version + 1 WHERE id = 1;
             UPDATE shard_moves SET stage = '{}', changed_at = now() WHERE bucket = {};
             COMMIT",
            u32::from(step.bucket) + 1,
            step.target,
            Stage::Switched.as_str(),
            step.bucket
        );
        self.0.run(&text).await
    }

    /// The move is over.
    pub(super) async fn end_move(&self, bucket: u16) -> Result<(), StoreError> {
        self.0.execute(Query::Fixed("DELETE FROM shard_moves WHERE bucket = $1"), &[&small(bucket)]).await?;
        Ok(())
    }

    /// The installation that this is the directory of.
    pub(super) async fn installation(&self) -> Result<Option<Id>, StoreError> {
        let row =
            self.0.query_opt(Query::Fixed("SELECT installation FROM directory WHERE id = 1"), &[]).await?;
        row.map(|row| column(&row, 0, "directory")).transpose()
    }

    /// A live run of the program that knows too few shards, if there is one.
    pub(super) async fn run_without(&self, shard: u16) -> Result<bool, StoreError> {
        let query = Query::Fixed(
            "SELECT 1 FROM instances
             WHERE seen_at > now() - make_interval(secs => $2::integer) AND coalesce(shards, 1) <= $1::smallint
               AND NOT pg_try_advisory_xact_lock_shared(run)
             LIMIT 1",
        );
        let silence_s = crate::postgres::base::SILENCE_S;
        Ok(self.0.query_opt(query, &[&small(shard), &silence_s]).await?.is_some())
    }

    /// Writes the first map, and begins to note what shards must know of partners.
    pub(super) async fn found(
        &self,
        installation: Id,
        shards: u16,
        owners: &[u16],
    ) -> Result<(), StoreError> {
        self.0.run("BEGIN").await?;
        let owners: Vec<i16> = owners.iter().map(|owner| small(*owner)).collect();
        let query = Query::Fixed(
            "INSERT INTO directory (id, installation, version, shards, owners) VALUES (1, $1, 1, $2, $3)",
        );
        self.0.execute(query, &[&installation, &small(shards), &owners]).await?;
        self.0.run(TELLS).await?;
        self.0.run(include_str!("../sql/directory_log.sql")).await?;
        self.count_shards(shards).await?;
        self.0.run("COMMIT").await
    }

    /// Brings what tells shards of partners up to date, where that is a directory.
    pub(super) async fn renew(&self) -> Result<(), StoreError> {
        match self.map().await? {
            Some(_) => self.0.run(TELLS).await,
            None => Ok(()),
        }
    }

    /// There are so many shards now.
    pub(super) async fn count_shards(&self, shards: u16) -> Result<(), StoreError> {
        let query = Query::Fixed(
            "UPDATE directory SET shards = $1, version = version + 1 WHERE id = 1 AND shards < $1",
        );
        self.0.execute(query, &[&small(shards)]).await?;
        let query = Query::Fixed(
            "INSERT INTO audit_taken (shard, upto) SELECT shard, 0 FROM generate_series(1, $1::integer) AS shard
             ON CONFLICT DO NOTHING",
        );
        self.0.execute(query, &[&(i32::from(shards) - 1)]).await?;
        Ok(())
    }

    /// Where the directory's log of partners ends.
    pub(super) async fn log_end(&self) -> Result<u64, StoreError> {
        let query = Query::Fixed("SELECT coalesce(max(sequence), 0) FROM directory_log");
        let row = self.0.query_opt(query, &[]).await?;
        row.map_or(Ok(0), |row| Ok(natural(column(&row, 0, "directory's log")?)))
    }

    /// Says how many shards a run knows.
    pub(super) async fn say_shards(&self, run: u64, shards: u16) -> Result<(), StoreError> {
        let query = Query::Fixed("UPDATE instances SET shards = $2 WHERE run = $1");
        self.0.execute(query, &[&run.cast_signed(), &small(shards)]).await?;
        Ok(())
    }

    /// A part of the log of partners.
    pub(super) async fn log_after(
        &self,
        after: u64,
        limit: i64,
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let query = Query::Fixed(
            "SELECT sequence, table_name, key, record FROM directory_log
             WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        );
        self.0.query(query, &[&big(after), &limit]).await
    }
}

//! Writes: where each goes, and what is done when a bucket is elsewhere by then.

use crate::Store;
use crate::batch::whose::{is_of_installation, is_of_partners, of_admin, of_record, of_step, of_upkeep};
use crate::commit::{Admin, Commit, CommitError, Committed, Upkeep};
use crate::error::StoreError;
use crate::jobs::{JobStep, LeaseWish, Leased, Work, Worked};
use crate::sharded::{ShardMap, ShardedStore};
use std::collections::BTreeMap;
use std::time::Instant;
use tollgate_core::audit::By;
use tollgate_core::job::Lane;

/// What a caller is told when a bucket is on its way for too long.
fn still_moving() -> CommitError {
    CommitError::Store(StoreError::Unavailable(
        "the merchant's rows are being moved to another shard; try again".to_owned(),
    ))
}

impl ShardedStore {
    pub(super) async fn commit_there(&self, commit: Box<Commit>) -> Result<Committed, CommitError> {
        let until = Instant::now() + self.redirect;
        loop {
            let map = self.map();
            let shard = self.shard(map.of(commit.merchant_id))?;
            match shard.commit(commit.clone()).await {
                Err(CommitError::Store(StoreError::Elsewhere)) => {
                    if !self.is_to_try_again(&map, until).await {
                        return Err(still_moving());
                    }
                }
                other => return other,
            }
        }
    }

    pub(super) async fn administer_there(&self, change: Admin, by: By) -> Result<(), CommitError> {
        let until = Instant::now() + self.redirect;
        loop {
            let map = self.map();
            let number = admin_place(&map, &change)?;
            match self.shard(number)?.administer(change.clone(), by.clone()).await {
                Err(CommitError::Store(StoreError::Elsewhere)) => {
                    if !self.is_to_try_again(&map, until).await {
                        return Err(still_moving());
                    }
                }
                Ok(()) => {
                    if is_of_partners(&change) {
                        self.tell_shards().await?;
                    }
                    if number != 0 {
                        // It is durable and in the shard's own log; the directory's has it at the next look at the latest.
                        if let Err(error) = self.shared.errands.run_to(number).await {
                            tracing::warn!(shard = number, %error, "the directory could not take an entry of the audit log yet");
                        }
                    }
                    return Ok(());
                }
                other => return other,
            }
        }
    }

    /// Tells all shards what has changed of partners: a limit or a suspension holds when it was told.
    async fn tell_shards(&self) -> Result<(), CommitError> {
        let count = self.map().shards();
        let told = futures_util::future::join_all((1..count).map(|number| async move {
            let told = tokio::time::timeout(self.shared.answer, self.shared.errands.run_to(number)).await;
            (number, matches!(told, Ok(Ok(()))))
        }))
        .await;
        match told.into_iter().find(|(_, told)| !told) {
            None => Ok(()),
            Some((number, _)) => Err(CommitError::Store(StoreError::Unavailable(format!(
                "the change is made, but shard {number} does not answer: it is told as soon as it does"
            )))),
        }
    }

    pub(super) async fn upkeep_there(&self, change: Upkeep) -> Result<(), CommitError> {
        let until = Instant::now() + self.redirect;
        loop {
            let map = self.map();
            let number = of_upkeep(&change).map_or(0, |merchant_id| map.of(merchant_id));
            match self.shard(number)?.upkeep(change.clone()).await {
                Err(CommitError::Store(StoreError::Elsewhere)) => {
                    if !self.is_to_try_again(&map, until).await {
                        return Err(still_moving());
                    }
                }
                other => return other,
            }
        }
    }

    /// What is of one shard is done whole there. A part for another shard is done before the step of a log's reader: such
    /// parts make deliveries, and a delivery is made once, so that the step can be taken again.
    pub(super) async fn work_there(&self, mut work: Work) -> Result<Worked, CommitError> {
        let until = Instant::now() + self.redirect;
        for step in &work.steps {
            if let JobStep::Enqueue { job, .. } | JobStep::Again { job, .. } = step {
                self.shared.learn(job.lane, self.map().of(job.merchant_id));
            }
        }
        loop {
            let map = self.map();
            let (last, mut parts) = self.split(&map, work);
            let rest = parts.remove(&last).unwrap_or_default();
            let _turn = match (rest.log, parts.is_empty()) {
                (Some(_), false) => Some(self.shared.crossing.lock().await),
                _ => None,
            };
            if let (Some(step), false) = (rest.log, parts.is_empty())
                && self.shard(last)?.log_read(step.reader).await? != step.from
            {
                return Ok(Worked::Stale);
            }
            let ordered: Vec<(u16, Work)> = parts.into_iter().chain([(last, rest)]).collect();
            let mut refused = None;
            for (place, (number, part)) in ordered.iter().enumerate() {
                match self.shard(*number)?.work(part.clone()).await {
                    Ok(Worked::Done) => {}
                    Ok(Worked::Stale) => return Ok(Worked::Stale),
                    Err(CommitError::Store(StoreError::Elsewhere)) => {
                        refused = Some(place);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(place) = refused else {
                return Ok(Worked::Done);
            };
            if !self.is_to_try_again(&map, until).await {
                return Err(still_moving());
            }
            // What was done is done; the rest finds its way by the new map.
            work = Work::default();
            for (_, part) in ordered.into_iter().skip(place) {
                (work.now_ms, work.log_of, work.outcomes) = (part.now_ms, part.log_of, part.outcomes);
                work.log = work.log.or(part.log);
                work.hold = work.hold.or(part.hold);
                work.give_up = work.give_up.or(part.give_up);
                work.steps.extend(part.steps);
                work.records.extend(part.records);
                work.told.extend(part.told);
            }
        }
    }

    /// The parts by shard, and the shard whose part comes last.
    fn split(&self, map: &ShardMap, work: Work) -> (u16, BTreeMap<u16, Work>) {
        let Work { now_ms, log, log_of, hold, give_up, steps, records, told, outcomes } = work;
        let mut parts: BTreeMap<u16, Work> = BTreeMap::new();
        let part = |parts: &mut BTreeMap<u16, Work>, number: u16, add: &mut dyn FnMut(&mut Work)| {
            let empty = || Work { now_ms, log_of, outcomes, ..Work::default() };
            add(parts.entry(number).or_insert_with(empty));
        };
        for step in steps {
            match of_step(&step) {
                Some(merchant_id) => {
                    part(&mut parts, map.of(merchant_id), &mut |work| work.steps.push(step.clone()))
                }
                None => {
                    let JobStep::Hurry { lane, .. } = &step else {
                        continue;
                    };
                    for number in self.lane_places(map, *lane) {
                        part(&mut parts, number, &mut |work| work.steps.push(step.clone()));
                    }
                }
            }
        }
        for record in records {
            let number = map.of(of_record(&record));
            part(&mut parts, number, &mut |work| work.records.push(record.clone()));
        }
        let is_of_log = log.is_some() || hold.is_some() || give_up.is_some();
        let last = if is_of_log { log_of } else { parts.keys().next().copied().unwrap_or(0) };
        if is_of_log {
            part(&mut parts, last, &mut |work| {
                (work.log, work.hold, work.give_up) = (log, hold.clone(), give_up);
            });
        }
        if !told.is_empty() {
            part(&mut parts, last, &mut |work| work.told.clone_from(&told));
        }
        (last, parts)
    }

    /// The shards that may have a lane's jobs.
    fn lane_places(&self, map: &ShardMap, lane: Lane) -> Vec<u16> {
        let known = self.shared.lanes.lock().get(&lane).copied();
        known.map_or_else(|| (0..map.shards()).collect(), |number| vec![number])
    }

    pub(super) async fn lease_there(&self, wish: LeaseWish) -> Result<Leased, CommitError> {
        let map = self.map();
        let mut wishes: BTreeMap<u16, Vec<(Lane, usize)>> = BTreeMap::new();
        for (lane, count) in &wish.lanes {
            for number in self.lane_places(&map, *lane) {
                wishes.entry(number).or_default().push((*lane, *count));
            }
        }
        let asked = wishes.into_iter().map(|(number, lanes)| {
            let part = LeaseWish { lanes, ..wish.clone() };
            async move { (number, async { self.shard(number)?.lease_jobs(part).await }.await) }
        });
        let mut next: BTreeMap<Lane, Option<u64>> = BTreeMap::new();
        let mut jobs = Vec::new();
        let mut failed = None;
        for (number, leased) in futures_util::future::join_all(asked.collect::<Vec<_>>()).await {
            match leased {
                Ok(leased) => {
                    for job in &leased.jobs {
                        self.shared.learn(job.lane, number);
                    }
                    jobs.extend(leased.jobs);
                    for (lane, at_ms) in leased.next_ms {
                        let known = next.entry(lane).or_default();
                        *known = known.iter().copied().chain(at_ms).min();
                    }
                }
                Err(error) => {
                    tracing::warn!(shard = number, %error, "jobs of a shard could not be leased");
                    failed = Some(error);
                }
            }
        }
        // The lanes of a shard that failed are looked at again by the next sweep.
        if let (Some(error), true) = (failed, next.is_empty()) {
            return Err(error);
        }
        // In the order of the wish, as one shard would have given them.
        let place = |lane: &Lane| wish.lanes.iter().position(|(wished, _)| wished == lane);
        jobs.sort_by_key(|job| place(&job.lane));
        let next_ms =
            wish.lanes.iter().filter_map(|(lane, _)| next.get(lane).map(|at| (*lane, *at))).collect();
        Ok(Leased { jobs, next_ms })
    }
}

/// The shard of an administrative change.
fn admin_place(map: &ShardMap, change: &Admin) -> Result<u16, StoreError> {
    let mut places: Vec<u16> = of_admin(change).into_iter().map(|merchant_id| map.of(merchant_id)).collect();
    if is_of_installation(change) || places.is_empty() {
        places.push(0);
    }
    places.sort_unstable();
    places.dedup();
    match places.as_slice() {
        [place] => Ok(*place),
        _ => Err(StoreError::Unavailable("changes of several shards cannot be made together".to_owned())),
    }
}

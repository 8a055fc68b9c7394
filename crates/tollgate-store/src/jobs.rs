//! The durable job queue, and what is committed together with it.
//!
//! A [`Work`] is done whole or not at all: jobs change together with the records they make, and with the
//! place up to which a log was read. So nothing is lost between them, and nothing is done twice, whatever
//! dies in between.

use crate::commit::Told;
use serde::{Deserialize, Serialize};
use tollgate_core::audit::By;
use tollgate_core::id::{DeliveryId, JobId, MerchantId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind, JobState, Lane};
use tollgate_core::webhook::outcome::DeliveryFault;
use tollgate_core::webhook::{Delivery, DeliveryAttempt, DeliveryState, DisabledBecause, WebhookEndpoint};

/// How long the rows of ended jobs are kept, where they are.
pub const JOBS_KEPT_MS: u64 = 30 * 86_400_000;

/// How long deliveries are kept.
pub const DELIVERIES_KEPT_MS: u64 = 30 * 86_400_000;

/// Most jobs leased at once.
pub const LEASES_MAX: usize = 1_024;

/// The logs that each shard has and that are read on from where one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Log {
    /// What happened to payments ([`crate::Store::outbox_of`]).
    Events,
    /// What became of webhook deliveries ([`crate::Store::outcomes_of`]).
    Outcomes,
}

/// Who reads a log, and how far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogReader {
    /// What makes webhook deliveries of events.
    Webhooks,
    /// What tells others of the outcomes of webhook deliveries.
    Outcomes,
    /// What tells others of events.
    Bus,
}

impl LogReader {
    /// All there are. A bucket of merchants is taken to another shard with what one of them has not read yet.
    pub const ALL: [Self; 3] = [Self::Webhooks, Self::Outcomes, Self::Bus];

    /// Which log it reads.
    #[must_use]
    pub const fn log(self) -> Log {
        match self {
            Self::Webhooks | Self::Bus => Log::Events,
            Self::Outcomes => Log::Outcomes,
        }
    }

    /// Its name in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Outcomes => "outcomes",
            Self::Bus => "bus",
        }
    }

    /// Whether nothing is kept for it until it has begun: there may be no bus. Webhooks begin with the first event.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::Outcomes | Self::Bus)
    }

    /// Where it is told who has it to itself.
    #[must_use]
    pub(crate) fn hold_key(self) -> Vec<u8> {
        format!("hold:{}", self.as_str()).into_bytes()
    }
}

/// Most bytes of the name of whoever has a reader to itself.
pub const HOLDER_BYTES_MAX: usize = 80;

/// How a log's reader stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace {
    /// The last sequence number that it has read; none: it has not begun, or was given up.
    pub read: Option<u64>,
    /// The last of the log.
    pub end: u64,
    /// Who has it to itself, or last had.
    pub hold: Option<LogHold>,
}

/// One instance has a reader to itself for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHold {
    /// Which run of the program.
    pub owner: u64,
    /// How it is shown.
    pub name: String,
    /// Until when, in milliseconds since the Unix epoch.
    pub until_ms: u64,
}

/// A change of who has a reader to itself.
#[derive(Debug, Clone)]
pub struct HoldStep {
    /// Which reader.
    pub reader: LogReader,
    /// Which run of the program.
    pub owner: u64,
    /// What changes.
    pub how: Hold,
}

/// What changes.
#[derive(Debug, Clone)]
pub enum Hold {
    /// It is taken. The work is refused if another has it still.
    Take {
        /// How the holder is shown, at most [`HOLDER_BYTES_MAX`].
        name: String,
        /// Until when.
        until_ms: u64,
    },
    /// It is kept for longer. The work is refused if another has taken it meanwhile: so whatever is committed with this is
    /// committed by the one that has it.
    Keep {
        /// Until when.
        until_ms: u64,
    },
    /// It is given back. Nothing happens if another has taken it meanwhile.
    Release,
}

/// A step of a log's reader. It is refused if the reader is not where the step begins.
#[derive(Debug, Clone, Copy)]
pub struct LogStep {
    /// Who.
    pub reader: LogReader,
    /// The last sequence number that was read before.
    pub from: u64,
    /// The last that is read now.
    pub to: u64,
}

/// How a lease ends.
#[derive(Debug, Clone)]
pub enum Settle {
    /// The job is done.
    Done,
    /// It is to be tried again.
    Retry {
        /// When.
        at_ms: u64,
        /// Why it was not done.
        error: String,
    },
    /// It goes on later with another payload; this was no attempt, and those before are over.
    Continue {
        /// When.
        at_ms: u64,
        /// What its worker needs to know then.
        payload: Vec<u8>,
    },
    /// It is given up.
    Bury {
        /// Why.
        error: String,
    },
    /// Nobody wants it any more.
    Cancel,
}

/// A change of one job.
#[derive(Debug, Clone)]
pub enum JobStep {
    /// Makes a job. Nothing happens if there is one of this id that has not ended, or if its delivery is
    /// there already.
    Enqueue {
        /// The job.
        job: Box<Job>,
        /// The delivery it makes.
        delivery: Option<Box<Delivery>>,
    },
    /// As [`JobStep::Enqueue`], but a delivery that is there is sent once more, at the job's time: at
    /// once if it waits.
    Again {
        /// The job.
        job: Box<Job>,
        /// The delivery, should it not be there.
        delivery: Box<Delivery>,
    },
    /// Ends a lease. The work is refused if the lease is not the owner's any more.
    Settle {
        /// Whose job.
        merchant_id: MerchantId,
        /// Which.
        id: JobId,
        /// Who had it.
        owner: u64,
        /// How it ends.
        how: Settle,
    },
    /// Keeps a lease for longer. The work is refused if the lease is not the owner's any more.
    Renew {
        /// Whose job.
        merchant_id: MerchantId,
        /// Which.
        id: JobId,
        /// Who has it.
        owner: u64,
        /// Until when.
        until_ms: u64,
    },
    /// Ends a job that nobody has. The work is refused if it does not wait.
    Cancel {
        /// Whose job.
        merchant_id: MerchantId,
        /// Which.
        id: JobId,
    },
    /// Has a job done (again) at some time: one that waits, or one that ended and is kept. Nothing happens
    /// if it is leased.
    Requeue {
        /// Whose job.
        merchant_id: MerchantId,
        /// Which.
        id: JobId,
        /// When.
        at_ms: u64,
    },
    /// Has all waiting jobs of a lane done at once, at most so many.
    Hurry {
        /// Of this kind.
        kind: JobKind,
        /// Which lane.
        lane: Lane,
        /// At most.
        count_max: usize,
    },
}

/// A record that changes with jobs.
#[derive(Debug, Clone)]
pub enum Record {
    /// Writes an endpoint.
    PutEndpoint(Box<WebhookEndpoint>),
    /// Removes an endpoint. Its deliveries stay; those that wait are cancelled when their time comes.
    RemoveEndpoint {
        /// Whose.
        merchant_id: MerchantId,
        /// Which.
        id: WebhookEndpointId,
    },
    /// Notes how an endpoint does. Nothing happens if it is gone.
    EndpointHealth {
        /// Whose.
        merchant_id: MerchantId,
        /// Which.
        id: WebhookEndpointId,
        /// Since when nothing was delivered.
        failing_since_ms: Option<u64>,
        /// Disables it, unless it is.
        disable: Option<DisabledBecause>,
    },
    /// Notes a delivery's attempt and where it stands after it. Nothing happens if it is gone.
    Delivered {
        /// Whose.
        merchant_id: MerchantId,
        /// Which.
        id: DeliveryId,
        /// The attempt; none if nothing was sent.
        attempt: Option<DeliveryAttempt>,
        /// Where it stands.
        state: DeliveryState,
        /// When it is sent next.
        next_at_ms: Option<u64>,
        /// Why it was not delivered, for the log of outcomes.
        fault: Option<DeliveryFault>,
    },
}

/// Changes that are made together.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// A step of a log's reader.
    pub log: Option<LogStep>,
    /// Which log that is ([`crate::Store::logs`]).
    pub log_of: u16,
    /// Who has a reader of that log to itself.
    pub hold: Option<HoldStep>,
    /// A reader of that log that is given up: nothing is kept for it any more, and should it come back, it begins anew. The
    /// work is refused while somebody has it.
    pub give_up: Option<LogReader>,
    /// Changes of jobs.
    pub steps: Vec<JobStep>,
    /// Changes of records.
    pub records: Vec<Record>,
    /// What the audit log says of it, where somebody has decided it.
    pub told: Vec<(Told, By)>,
    /// Whether the log of outcomes says what became of deliveries and endpoints ([`crate::outcomes`]). Where nobody
    /// reads it, it is not to be written.
    pub outcomes: bool,
}

/// What came of a [`Work`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// It is durable.
    Done,
    /// Somebody else was faster: the reader is elsewhere, or a lease is lost. Nothing was changed.
    Stale,
}

/// A wish for jobs.
#[derive(Debug, Clone)]
pub struct LeaseWish {
    /// Which.
    pub kind: JobKind,
    /// For which run of the program.
    pub owner: u64,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// How many of each lane, at most.
    pub lanes: Vec<(Lane, usize)>,
}

/// Jobs that were leased.
#[derive(Debug, Clone, Default)]
pub struct Leased {
    /// The jobs, by lane, the longest due first.
    pub jobs: Vec<Job>,
    /// When each lane is to be looked at next, be it for a job that is due or for a lease that is over; none: it
    /// has nothing more.
    pub next_ms: Vec<(Lane, Option<u64>)>,
}

/// A lane that has jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueLane {
    /// The lane.
    pub lane: Lane,
    /// Whose its first job is.
    pub merchant_id: MerchantId,
    /// When that is due; `u64::MAX`: not yet, whatever the time.
    pub at_ms: u64,
}

/// Which jobs to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobFilter {
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// In this state.
    pub state: Option<JobState>,
    /// Only those with smaller ids: the cursor, as pages go from the newest to the oldest.
    pub before: Option<JobId>,
    /// Rows wanted, at most [`crate::query::LIMIT_MAX`].
    pub limit: usize,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// To this endpoint.
    pub endpoint_id: Option<WebhookEndpointId>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Only those with smaller ids: the cursor, as pages go from the newest to the oldest.
    pub before: Option<DeliveryId>,
    /// Rows wanted, at most [`crate::query::LIMIT_MAX`].
    pub limit: usize,
}

/// A page of deliveries, newest first.
#[derive(Debug, Clone, Default)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<DeliveryId>,
}

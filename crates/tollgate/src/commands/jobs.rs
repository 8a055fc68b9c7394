//! `tollgate jobs`: what waits to be done for a merchant.

use crate::Failure;
use crate::config::Config;
use crate::operator::by;
use crate::store::{Purpose, open_store};
use clap::Subcommand;
use std::process::ExitCode;
use tollgate_core::id::{JobId, MerchantId};
use tollgate_core::job::{JobKind, JobState};
use tollgate_engine::webhooks::{Cancelled, cancel};
use tollgate_store::jobs::JobFilter;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists a merchant's jobs, newest first.
    List {
        /// Merchant id, `mer_…`.
        merchant: MerchantId,
        /// `webhook_delivery`, `webhook_replay` or `subject_erasure`.
        #[arg(long, value_parser = kind)]
        kind: Option<JobKind>,
        /// `waiting`, `leased`, `done`, `dead` or `cancelled`.
        #[arg(long, value_parser = state)]
        status: Option<JobState>,
        /// How many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Ends a job that waits.
    Cancel {
        /// Merchant id, `mer_…`.
        merchant: MerchantId,
        /// Job id, `job_…`.
        job: JobId,
    },
}

fn kind(text: &str) -> Result<JobKind, &'static str> {
    JobKind::parse(text).ok_or("must be webhook_delivery, webhook_replay or subject_erasure")
}

fn state(text: &str) -> Result<JobState, &'static str> {
    JobState::parse(text).ok_or("must be waiting, leased, done, dead or cancelled")
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let store = open_store(&config, Purpose::Command).await?;
    let store = store.as_ref();
    match args.action {
        Action::List { merchant, kind, status, limit } => {
            let filter = JobFilter { kind, state: status, before: None, limit: usize::from(limit) };
            for job in store.jobs(merchant, filter).await? {
                let error = job.last_error.as_deref().unwrap_or("-");
                println!(
                    "{} {} {} attempts {} due {} {error}",
                    job.id,
                    job.kind.as_str(),
                    job.state.as_str(),
                    job.attempts,
                    job.run_at_ms
                );
            }
        }
        Action::Cancel { merchant, job } => {
            match cancel(store, merchant, job, by(), config.events.tells_outcomes()).await? {
                Cancelled::Done(job) => println!("{} {}", job.id, job.state.as_str()),
                Cancelled::Ended(job) => return Err(format!("the job is {}", job.state.as_str()).into()),
                Cancelled::Busy => return Err("the job is being done".into()),
                Cancelled::None => return Err("no such job".into()),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

//! `tollgate shards`: several PostgreSQL databases as one installation.

use crate::Failure;
use crate::config::Config;
use crate::operator;
use crate::store::{Purpose, open_store};
use clap::Subcommand;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::process::ExitCode;
use tollgate_store::commit::{Admin, Told};
use tollgate_store::sharded::{MoveOptions, Stage, abort_move, add, init, move_bucket, status};

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes one installation of the configured databases. They must be migrated; all but the first must be empty.
    Init,
    /// Takes configured databases in that are new. All servers must know them before a bucket is moved there.
    Add,
    /// Tells which buckets are where, what is wrong, and which move is under way.
    Status,
    /// Moves a bucket of merchants while payments go on, or goes on with its move.
    Move {
        /// Which, from 0 to 1023.
        bucket: u16,
        /// To which shard.
        #[arg(long)]
        to: u16,
    },
    /// Gives up the move under way, if it is not switched yet.
    Abort,
}

/// Runs it, beside any number of servers.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    if !config.store.is_postgres() {
        return Err("only PostgreSQL has shards (TOLLGATE_STORE, TOLLGATE_STORE_SHARDS)".into());
    }
    let databases = config.store.databases(config.policy())?;
    match args.action {
        Action::Init => {
            let map = init(&databases).await?;
            println!("{} shards", map.shards());
            for shard in 0..map.shards() {
                println!("shard {shard}: {} buckets", map.buckets(shard).count());
            }
            tell(&config, "shards.made", json!({ "shards": map.shards() })).await?;
        }
        Action::Add => {
            let count = add(&databases).await?;
            println!("{count} shards");
            tell(&config, "shards.added", json!({ "shards": count })).await?;
        }
        Action::Status => {
            let found = status(&databases).await?;
            for shard in &found.shards {
                let state = shard.fault.as_deref().unwrap_or("well");
                println!("shard {}: {} buckets, {state}", shard.number, shard.buckets);
            }
            if let Some(step) = &found.present_move {
                let (stage, tables) = (step.stage.as_str(), step.copied.len());
                let (bucket, source, target) = (step.bucket, step.source, step.target);
                println!(
                    "bucket {bucket} is on its way from {source} to {target}: {stage}, {tables} tables copied"
                );
            }
            if found.shards.iter().any(|shard| shard.fault.is_some()) {
                return Ok(ExitCode::FAILURE);
            }
        }
        Action::Move { bucket, to } => {
            let watch = |stage: Stage| {
                println!("{}", stage.as_str());
                ControlFlow::Continue(())
            };
            let report = move_bucket(&databases, bucket, to, MoveOptions::default(), &watch).await?;
            println!(
                "bucket {bucket} is on shard {to}: {} rows compared, {} copied again, writes paused for {} ms",
                report.rows, report.copied_again, report.paused_ms
            );
            tell(&config, "shards.moved", json!({ "bucket": bucket, "to": to, "rows": report.rows })).await?;
        }
        Action::Abort => {
            abort_move(&databases).await?;
            println!("given up; the bucket is where it was");
            tell(&config, "shards.move_aborted", json!({})).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the audit log say so.
async fn tell(config: &Config, action: &'static str, said: Value) -> Result<(), Failure> {
    let store = open_store(config, Purpose::Command).await?;
    let told = Told { action, kind: "shards", id: "shards".to_owned(), merchant_id: None, said };
    store.administer(Admin::Told(Box::new(told)), operator::by()).await?;
    Ok(())
}

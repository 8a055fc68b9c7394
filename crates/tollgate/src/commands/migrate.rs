//! `tollgate migrate`: brings the schema of PostgreSQL up to date.

use crate::Failure;
use crate::config::Config;
use std::process::ExitCode;
use tollgate_store::postgres::{check, migrate};

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail unless this program can work with the schema as it is.
    #[arg(long)]
    check: bool,
}

/// Runs it. Any number of these at once, and servers beside them, do no harm.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    if !config.store.is_postgres() {
        return Err(
            "only PostgreSQL is migrated (TOLLGATE_STORE); the embedded store brings itself up to date"
                .into(),
        );
    }
    let databases = config.store.databases(config.policy())?;
    let is_one = databases.len() == 1;
    for (number, options) in databases.iter().enumerate() {
        let shard = if is_one { String::new() } else { format!("shard {number}: ") };
        if args.check {
            check(options).await?;
            println!("{shard}the schema is up to date");
            continue;
        }
        match migrate(options).await? {
            0 => println!("{shard}the schema is up to date"),
            1 => println!("{shard}1 migration applied"),
            count => println!("{shard}{count} migrations applied"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

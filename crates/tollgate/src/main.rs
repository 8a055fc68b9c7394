//! The command line of Tollgate.

mod commands;
mod config;
mod logging;
mod operator;
mod partner;
mod store;
mod vault;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A payment gateway and processor switch in one binary.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// Configuration file (TOML). Environment variables TOLLGATE_SECTION__KEY win over it.
    #[arg(long, global = true, env = "TOLLGATE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on this machine: simulators, gateway, a first partner and a curl to paste.
    Dev(commands::dev::Args),
    /// The gateway.
    Serve,
    /// The processor simulators alone.
    Simulate(commands::simulate::Args),
    /// Measures a running gateway.
    Load(commands::load::Args),
    /// Measures webhooks out, with receivers of which some are ill.
    LoadWebhooks(commands::load_webhooks::Args),
    /// Brings the schema of PostgreSQL up to date.
    Migrate(commands::migrate::Args),
    /// Makes partitions of PostgreSQL's tables ahead, and puts old ones aside.
    Partitions(commands::partitions::Args),
    /// Shards: several PostgreSQL databases as one installation.
    Shards(commands::shards::Args),
    /// Audits a store, and compares it with the simulators' books.
    Verify(commands::verify::Args),
    /// Breaks everything while payments run, and audits what is left.
    Chaos(commands::chaos::Args),
    /// Settles open attempts by a processor's transaction report. An embedded store must be closed.
    Reconcile(commands::reconcile::Args),
    /// Fraud scoring: synthetic payments, training, evaluation, bench.
    Fraud(commands::fraud::Args),
    /// Looks after partners and API keys. An embedded store must be closed.
    Partner(commands::partner::Args),
    /// Makes API keys of those who run the gateway. An embedded store must be closed.
    Admin(commands::admin::Args),
    /// Lists and cancels jobs. An embedded store must be closed.
    Jobs(commands::jobs::Args),
    /// What the event bus was told, and telling it again. An embedded store must be closed.
    Events(commands::events::Args),
    /// Exports and erases what is known of a person. An embedded store must be closed.
    DataSubject(commands::data_subject::Args),
    /// Reads the audit log, and finds what was done to it. An embedded store must be closed.
    Audit(commands::audit::Args),
    /// Tells how many machines a load needs.
    Plan(commands::plan::Args),
    /// Adds up the payments of all merchants by day, merchant or processor. An embedded store must be closed.
    Report(commands::report::Args),
    /// Tells who still calls which version of the API. An embedded store must be closed.
    ApiVersions(commands::api_versions::Args),
    /// Looks after a card vault that no server has open.
    Vault(commands::vault::Args),
}

/// What stops a command: one sentence for a person.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    logging::catch_panics();
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            logging::complain(&format!("tollgate: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let config = config::Config::load(cli.config.as_deref(), std::env::vars())?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // What measures, or stands in for a processor, leaves the cores to what is measured.
    if matches!(cli.command, Command::Load(_) | Command::LoadWebhooks(_) | Command::Simulate(_)) {
        builder.worker_threads(1);
    }
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async move {
        match cli.command {
            Command::Dev(args) => commands::dev::run(config, args).await,
            Command::Serve => commands::serve::run(config).await,
            Command::Simulate(args) => commands::simulate::run(config, args).await,
            Command::Load(args) => commands::load::run(args).await,
            Command::LoadWebhooks(args) => commands::load_webhooks::run(args).await,
            Command::Migrate(args) => commands::migrate::run(config, args).await,
            Command::Partitions(args) => commands::partitions::run(config, args).await,
            Command::Shards(args) => commands::shards::run(config, args).await,
            Command::Verify(args) => commands::verify::run(config, args).await,
            Command::Chaos(args) => commands::chaos::run(config, args).await,
            Command::Reconcile(args) => commands::reconcile::run(config, args).await,
            Command::Fraud(args) => commands::fraud::run(args).await,
            Command::Partner(args) => commands::partner::run(config, args).await,
            Command::Admin(args) => commands::admin::run(config, args).await,
            Command::Jobs(args) => commands::jobs::run(config, args).await,
            Command::Events(args) => commands::events::run(config, args).await,
            Command::DataSubject(args) => commands::data_subject::run(config, args).await,
            Command::Audit(args) => commands::audit::run(config, args).await,
            Command::Plan(args) => commands::plan::run(&args),
            Command::Report(args) => commands::report::run(config, args).await,
            Command::ApiVersions(args) => commands::api_versions::run(config, args).await,
            Command::Vault(args) => commands::vault::run(config, args).await,
        }
    })
}

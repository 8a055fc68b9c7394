//! `tollgate simulate`: the processor simulators alone.

use crate::Failure;
use crate::commands::serve::stop_signal;
use crate::config::Config;
use crate::logging;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tollgate_sim::accounts::Simulator;
use tollgate_sim::server::{SimOptions, serve};

/// Where to listen and what to keep.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the first simulator listens; the others take the ports behind it. Port 0 takes free ones.
    #[arg(long, default_value = "127.0.0.1:8101")]
    listen: SocketAddr,
    /// The simulators to run; none: all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// File to write the gateway's accounts at the simulators to, as its configuration names them.
    #[arg(long)]
    accounts: Option<PathBuf>,
    /// Folder of the simulators' books; without it they end with the process.
    #[arg(long)]
    books: Option<PathBuf>,
    /// The gateway that webhooks go to.
    #[arg(long)]
    webhooks: Option<String>,
    /// Seed of the faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs them until they are told to stop.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    logging::start(&config.log)?;
    let mut simulators = Simulator::standard();
    if let Some(unknown) = args.only.iter().find(|name| !simulators.iter().any(|it| it.name() == *name)) {
        let known: Vec<_> = simulators.iter().map(Simulator::name).collect();
        return Err(format!("there is no simulator {unknown}; there are {}", known.join(", ")).into());
    }
    simulators.retain(|it| args.only.is_empty() || args.only.iter().any(|name| name == it.name()));
    let options = SimOptions {
        simulators,
        listen: Some(args.listen),
        books_dir: args.books,
        webhook_target: args.webhooks,
        seed: args.seed,
        ..SimOptions::default()
    };
    let running = serve(options, stop_signal()).await?;
    if let Some(file) = args.accounts {
        std::fs::write(&file, running.accounts()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    for (name, address) in running.places() {
        println!("{name} http://{address}");
    }
    running.wait().await;
    Ok(ExitCode::SUCCESS)
}

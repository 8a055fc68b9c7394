//! `tollgate simulate`: the processor simulators alone, or routing against a simulated world.

use crate::Failure;
use crate::commands::serve::stop_signal;
use crate::config::Config;
use crate::logging;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tollgate_sim::accounts::Simulator;
use tollgate_sim::routing::{self, DEFAULT_PAYMENTS, PAYMENTS_MAX, Report, picture};
use tollgate_sim::server::{SimOptions, serve};

/// Where to listen and what to keep.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
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

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The router against processors that drift and break, without network: how near it comes to an oracle.
    /// Ends with code 1 where it is not near enough.
    Routing(RoutingArgs),
}

#[derive(Debug, clap::Args)]
struct RoutingArgs {
    /// Seed: the same seed gives the same world, the same payments and the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other from the first.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Payments over the simulated hours.
    #[arg(long, default_value_t = DEFAULT_PAYMENTS, value_parser = clap::value_parser!(u32).range(1_000..=i64::from(PAYMENTS_MAX)))]
    payments: u32,
    /// Folder for routing-traffic.svg, routing-regret.svg and routing-success.svg of the first seed.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs them until they are told to stop.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    if let Some(What::Routing(args)) = args.what {
        return simulate_routing(&args);
    }
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

fn simulate_routing(args: &RoutingArgs) -> Result<ExitCode, Failure> {
    let seeds = args.seed..args.seed.saturating_add(args.seeds);
    let reports: Vec<Report> = seeds.map(|seed| routing::simulate(seed, args.payments)).collect();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else if let [report] = reports.as_slice() {
        print!("{}", routing::text(report));
    } else {
        print!("{}", routing::summary(&reports));
    }
    if let (Some(folder), Some(report)) = (&args.svg, reports.first()) {
        write_pictures(folder, report)?;
    }
    let holds = reports.iter().all(|report| report.verdict.holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_pictures(folder: &Path, report: &Report) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let pictures = [
        ("routing-traffic.svg", picture::traffic(report)),
        ("routing-regret.svg", picture::regret(report)),
        ("routing-success.svg", picture::success(report)),
    ];
    for (name, svg) in pictures {
        let file = folder.join(name);
        std::fs::write(&file, svg).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

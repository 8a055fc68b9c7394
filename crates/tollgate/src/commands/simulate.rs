//! `tollgate simulate`: the processor simulators alone.

use crate::Failure;
use crate::commands::serve::stop_signal;
use crate::config::Config;
use crate::logging;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tollgate_core::card::Secret;
use tollgate_sim::server::{PayUOptions, RazorpayOptions, SimOptions, serve};

/// The credentials of the simulated accounts. Public: they open nothing but the simulators.
pub(crate) const RAZORPAY_KEY_ID: &str = "rzp_test_tollgate";
pub(crate) const RAZORPAY_KEY_SECRET: &str = "simulated-key-secret";
pub(crate) const RAZORPAY_WEBHOOK_SECRET: &str = "simulated-webhook-secret";
pub(crate) const PAYU_KEY: &str = "simulated";
pub(crate) const PAYU_SALT: &str = "simulated-salt";

/// Where to listen and what to keep.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the Razorpay simulator listens.
    #[arg(long, default_value = "127.0.0.1:8101")]
    razorpay: SocketAddr,
    /// Where the PayU simulator listens.
    #[arg(long, default_value = "127.0.0.1:8102")]
    payu: SocketAddr,
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
    let mut options = options(args.razorpay, args.payu);
    options.books_dir = args.books;
    options.webhook_target = args.webhooks;
    options.seed = args.seed;
    let running = serve(options, stop_signal()).await?;
    for (name, address) in [("razorpay", running.razorpay), ("payu", running.payu)] {
        if let Some(address) = address {
            println!("{name} http://{address}");
        }
    }
    running.wait().await;
    Ok(ExitCode::SUCCESS)
}

/// Both simulators with their public credentials.
pub(crate) fn options(razorpay: SocketAddr, payu: SocketAddr) -> SimOptions {
    SimOptions {
        razorpay: Some(RazorpayOptions {
            listen: razorpay,
            key_id: RAZORPAY_KEY_ID.to_owned(),
            key_secret: Secret::new(RAZORPAY_KEY_SECRET),
            webhook_secret: Secret::new(RAZORPAY_WEBHOOK_SECRET),
        }),
        payu: Some(PayUOptions { listen: payu, key: PAYU_KEY.to_owned(), salt: Secret::new(PAYU_SALT) }),
        ..SimOptions::default()
    }
}

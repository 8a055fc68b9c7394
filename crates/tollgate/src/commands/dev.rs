//! `tollgate dev`: everything on this machine, with nothing to set up.

use crate::Failure;
use crate::commands::serve::{open_store, serve, stop_signal};
use crate::commands::simulate;
use crate::config::Config;
use crate::logging;
use crate::partner::{NewPartner, add, add_key};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tollgate_core::merchant::{FeePlan, Mode};
use tollgate_store::Store;

/// Where to listen and what to keep.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the API listens; default: the configured `server.listen`.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Folder of the store, the simulators' books and the first key.
    #[arg(long, default_value = "data")]
    folder: PathBuf,
}

/// Runs it until it is told to stop.
pub(crate) async fn run(mut config: Config, args: Args) -> Result<ExitCode, Failure> {
    // What happens payment by payment is in the API; the terminal stays readable.
    logging::start(&config.log)?;
    config.store.folder = args.folder.join("store");
    let store: Arc<dyn Store> = Arc::new(open_store(&config)?);
    let key = first_key(store.as_ref(), &args.folder).await?;

    let wanted = args.listen.unwrap_or(config.server.listen);
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|error| format!("{wanted} cannot be listened on: {error}; try --listen 127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut options = simulate::options(any_port, any_port);
    options.books_dir = Some(args.folder.join("books"));
    options.webhook_target = Some(format!("http://{address}"));
    let (stop_simulators, stopped) = tokio::sync::oneshot::channel::<()>();
    let simulators = tollgate_sim::server::serve(options, async move {
        let _ = stopped.await;
    })
    .await?;
    let razorpay = simulators.razorpay.ok_or("the Razorpay simulator did not start")?;
    let payu = simulators.payu.ok_or("the PayU simulator did not start")?;
    config.processors.extend(simulated_accounts(razorpay, payu)?);

    let stop = stop_signal();
    print!("{}", greeting(address, razorpay, payu, &key));
    std::io::stdout().flush()?;
    serve(&config, store, listener, stop).await?;
    drop(stop_simulators);
    simulators.wait().await;
    Ok(ExitCode::SUCCESS)
}

/// The key of the first partner: made at the first start, the same afterwards.
async fn first_key(store: &dyn Store, folder: &Path) -> Result<String, Failure> {
    let file = folder.join("dev.key");
    if let Ok(key) = std::fs::read_to_string(&file) {
        return Ok(key.trim().to_owned());
    }
    let merchant = match store.merchants().await?.into_iter().next() {
        Some(merchant) => merchant,
        None => {
            let fee = FeePlan { percent_bps: 200, fixed_minor: 0 };
            let name = "Dev shop".to_owned();
            add(store, NewPartner { name, mode: Mode::Sandbox, fee, processors: Vec::new() }).await?
        }
    };
    let key = add_key(store, &merchant).await?;
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    writeln!(out, "{key}")?;
    Ok(key)
}

/// The simulators as processor accounts, as a configuration file would name them.
fn simulated_accounts(
    razorpay: SocketAddr,
    payu: SocketAddr,
) -> Result<impl Iterator<Item = (String, toml::Table)>, Failure> {
    use simulate::{PAYU_KEY, PAYU_SALT, RAZORPAY_KEY_ID, RAZORPAY_KEY_SECRET, RAZORPAY_WEBHOOK_SECRET};
    let text = format!(
        r#"
        [razorpay]
        base_url = "http://{razorpay}"
        key_id = "{RAZORPAY_KEY_ID}"
        key_secret = "{RAZORPAY_KEY_SECRET}"
        webhook_secret = "{RAZORPAY_WEBHOOK_SECRET}"
        [payu]
        payment_url = "http://{payu}"
        info_url = "http://{payu}"
        key = "{PAYU_KEY}"
        salt = "{PAYU_SALT}"
        "#
    );
    let table: toml::Table = text.parse()?;
    Ok(table.into_iter().filter_map(|(name, value)| match value {
        toml::Value::Table(table) => Some((name, table)),
        _ => None,
    }))
}

fn greeting(address: SocketAddr, razorpay: SocketAddr, payu: SocketAddr, key: &str) -> String {
    format!(
        r#"Tollgate is ready at http://{address}
  API reference  http://{address}/docs
  health         http://{address}/health/detailed
  simulators     razorpay http://{razorpay}, payu http://{payu}
  API key        {key}

Take a payment:

curl -s http://{address}/api/v1/payments \
  -H 'Authorization: Bearer {key}' \
  -H 'Idempotency-Key: first-payment' \
  -H 'Content-Type: application/json' \
  -d '{{"amount": 100.0, "currency": "USD", "payment_method": "credit_card"}}'

Stop with Ctrl-C.
"#
    )
}

//! `tollgate dev`: everything on this machine, with nothing to set up.

use crate::Failure;
use crate::commands::serve::{serve, stop_signal};
use crate::config::{Config, MasterKeys};
use crate::logging;
use crate::partner::{NewKey, NewPartner, add, add_key, add_platform_key, put_fraud_policy};
use crate::store::{Purpose, only_embedded, open_store};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tollgate_core::merchant::{FeePlan, Mode};
use tollgate_core::risk::Policy;
use tollgate_sim::accounts::Simulator;
use tollgate_sim::server::SimOptions;
use tollgate_store::Store;

/// Where to listen and what to keep.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the API listens; default: the configured `server.listen`.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Folder of the store, the simulators' books and the keys.
    #[arg(long, default_value = "data")]
    folder: PathBuf,
}

/// Runs it until it is told to stop.
pub(crate) async fn run(mut config: Config, args: Args) -> Result<ExitCode, Failure> {
    // What happens payment by payment is in the API; the terminal stays readable.
    logging::start(&config.log)?;
    only_embedded(&config, "dev")?;
    config.store.in_folder(args.folder.join("store"));
    // Whoever tries things out, or measures, is not to be slowed down.
    config.rate_limits.enabled = false;
    // Everything is on this machine, the receivers of webhooks too.
    config.webhooks.allow_private = true;
    if config.vault.remote.is_empty() && config.vault.master_key.is_empty() {
        config.vault.folder = args.folder.join("vault");
        config.vault.master_key = MasterKeys::one(master_key(&args.folder)?);
    }
    let store = open_store(&config, Purpose::Serve).await?;
    let key = key_of(store.as_ref(), &args.folder, &SHOP).await?;
    key_of(store.as_ref(), &args.folder, &LOAD).await?;
    platform_key(store.as_ref(), &args.folder).await?;
    let shop = store.merchants().await?.into_iter().find(|merchant| merchant.name == SHOP.name);

    let wanted = args.listen.unwrap_or(config.server.listen);
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|error| format!("{wanted} cannot be listened on: {error}; try --listen 127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (stop_simulators, stopped) = tokio::sync::oneshot::channel::<()>();
    let options = SimOptions {
        simulators: Simulator::standard(),
        books_dir: Some(args.folder.join("books")),
        webhook_target: Some(format!("http://{address}")),
        seed: 1,
        ..SimOptions::default()
    };
    let simulators = tollgate_sim::server::serve(options, async move {
        let _ = stopped.await;
    })
    .await?;
    add_accounts(&mut config, &simulators.accounts())?;

    let stop = stop_signal();
    let places: Vec<String> =
        simulators.places().map(|(name, address)| format!("{name} http://{address}")).collect();
    print!("{}", greeting(address, &places.join("\n                 "), &key));
    std::io::stdout().flush()?;
    serve(&config, store, listener, stop, shop.map(|merchant| merchant.id)).await?;
    drop(stop_simulators);
    simulators.wait().await;
    Ok(ExitCode::SUCCESS)
}

/// The partner that everything can be tried with: processors that answer server to server come first.
const SHOP: Partner = Partner {
    name: "Dev shop",
    key_file: "dev.key",
    processors: &["razorpay", "payu", "stripe", "phonepe", "paytm", "ccavenue", "phonepe_v1", "examplebank"],
};

/// The partner of `tollgate load`: payments without a page in the browser.
const LOAD: Partner = Partner { name: "Load test", key_file: "load.key", processors: &["razorpay", "payu"] };

/// The fraud policy of these partners: whoever tries things out, or measures, pays with the same few test
/// cards and addresses again and again, and would soon be taken for a fraudster. Every payment is scored all
/// the same, and lists and rules work as soon as they are put.
pub(crate) const LENIENT_POLICY: &str = r#"{"thresholds": {"step_up_above": 1, "block_above": 1}}"#;

struct Partner {
    name: &'static str,
    key_file: &'static str,
    processors: &'static [&'static str],
}

/// The key of a partner of this command: made at the first start, the same afterwards.
async fn key_of(store: &dyn Store, folder: &Path, partner: &Partner) -> Result<String, Failure> {
    let file = folder.join(partner.key_file);
    if let Ok(key) = std::fs::read_to_string(&file) {
        return Ok(key.trim().to_owned());
    }
    let known = store.merchants().await?.into_iter().find(|merchant| merchant.name == partner.name);
    let key = match known {
        Some(merchant) => add_key(store, &merchant, NewKey::of_owner("dev")).await?,
        None => {
            let new = NewPartner {
                name: partner.name.to_owned(),
                mode: Mode::Sandbox,
                fee: FeePlan { percent_bps: 200, fixed_minor: 0 },
                // A category for which UPI collect is still open, so that every method can be tried.
                mcc: Some("6211".to_owned()),
                country: Some("IN".to_owned()),
                processors: partner.processors.iter().map(|name| (*name).to_owned()).collect(),
            };
            let (merchant_id, key) = add(store, new).await?;
            put_fraud_policy(store, merchant_id, &Policy::from_json(LENIENT_POLICY)?).await?;
            key
        }
    };
    write_key(&file, &key)?;
    Ok(key)
}

/// Makes a key of the platform at the first start.
async fn platform_key(store: &dyn Store, folder: &Path) -> Result<(), Failure> {
    let file = folder.join("admin.key");
    if !file.exists() {
        write_key(&file, &add_platform_key(store, NewKey::of_owner("dev")).await?)?;
    }
    Ok(())
}

fn write_key(file: &Path, key: &str) -> Result<(), Failure> {
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(writeln!(out, "{key}")?)
}

/// The vault's master key of this command: made at the first start, the same afterwards.
fn master_key(folder: &Path) -> Result<String, Failure> {
    let file = folder.join("vault.key");
    if !file.exists() {
        std::fs::create_dir_all(folder)?;
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        let halves: [u128; 2] = rand::random();
        writeln!(out, "{:032x}{:032x}", halves[0], halves[1])?;
        out.sync_all()?;
    }
    Ok(format!("file:{}", file.display()))
}

/// The accounts at the simulators, as a configuration file would name them. Accounts of the user's own
/// file stay.
fn add_accounts(config: &mut Config, accounts: &str) -> Result<(), Failure> {
    let mut table: toml::Table = accounts.parse()?;
    if let Some(toml::Value::Table(accounts)) = table.remove("processors") {
        for (name, account) in accounts {
            if let toml::Value::Table(account) = account {
                config.processors.entry(name).or_insert(account);
            }
        }
    }
    Ok(())
}

fn greeting(address: SocketAddr, simulators: &str, key: &str) -> String {
    format!(
        r#"Tollgate is ready at http://{address}
  demo shop      http://{address}/demo
  API reference  http://{address}/docs
  health         http://{address}/health/detailed
  simulators     {simulators}
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

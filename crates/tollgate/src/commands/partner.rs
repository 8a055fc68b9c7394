//! `tollgate partner`: partners and keys, in a store that no server has open.

use crate::Failure;
use crate::commands::keys::{KeyArgs, line};
use crate::commands::serve::open_store;
use crate::config::Config;
use crate::partner::{NewKey, NewPartner, add, add_key, put_fraud_policy};
use clap::Subcommand;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tollgate_core::id::{ApiKeyId, MerchantId};
use tollgate_core::merchant::{FeePlan, Mode};
use tollgate_core::risk::Policy;
use tollgate_engine::clock::Clock;
use tollgate_store::Store;
use tollgate_store::commit::Admin;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a partner and its first key, which is printed once.
    Add {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Real money instead of test systems.
        #[arg(long)]
        live: bool,
        /// Our fee in hundredths of a percent of captured amounts.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=10_000))]
        fee_bps: u32,
        /// Merchant category code (ISO 18245), four digits.
        #[arg(long, value_parser = mcc)]
        mcc: Option<String>,
        /// Country (ISO 3166-1 alpha-2), such as IN.
        #[arg(long, value_parser = country)]
        country: Option<String>,
        /// Processors to use, most wanted first; none: all that are configured.
        #[arg(long, value_delimiter = ',')]
        processors: Vec<String>,
        /// File of its fraud policy (JSON, as `PUT /api/v1/fraud/policy` takes it); none: the default.
        #[arg(long)]
        fraud_policy: Option<PathBuf>,
    },
    /// Lists partners.
    List,
    /// Makes another key for a partner.
    Key {
        /// Partner id, `mer_…`.
        partner: MerchantId,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Makes a key stop working.
    Revoke {
        /// Key id, `key_…`.
        key: ApiKeyId,
    },
}

fn mcc(text: &str) -> Result<String, &'static str> {
    let right = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| text.to_owned()).ok_or("a merchant category code has four digits")
}

fn country(text: &str) -> Result<String, &'static str> {
    let right = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    right.then(|| text.to_owned()).ok_or("a country is two capital letters")
}

/// Read before anything is made: a wrong policy leaves no partner behind.
fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Policy::from_json(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let store = open_store(&config)?;
    match args.action {
        Action::Add { name, live, fee_bps, mcc, country, processors, fraud_policy } => {
            let policy = fraud_policy.as_deref().map(read_policy).transpose()?;
            let mode = if live { Mode::Live } else { Mode::Sandbox };
            let fee = FeePlan { percent_bps: fee_bps, fixed_minor: 0 };
            let merchant = add(&store, NewPartner { name, mode, fee, mcc, country, processors }).await?;
            if let Some(policy) = policy {
                put_fraud_policy(&store, merchant.id, &policy).await?;
            }
            let key = add_key(&store, &merchant, NewKey::of_owner("")).await?;
            println!("{} {}\n{key}", merchant.id, merchant.name);
        }
        Action::List => {
            for merchant in store.merchants().await? {
                let keys = store.api_keys(merchant.id.into()).await?;
                let keys: Vec<String> = keys.iter().map(line).collect();
                println!("{} {:?} {} [{}]", merchant.id, merchant.mode, merchant.name, keys.join(", "));
            }
        }
        Action::Key { partner, key } => {
            let merchant = store.merchant(partner).await?.ok_or("no such partner")?;
            println!("{}", add_key(&store, &merchant, key.into()).await?);
        }
        Action::Revoke { key } => {
            let mut key = store.api_key(key).await?.ok_or("no such key")?;
            key.revoked_at_ms.get_or_insert(Clock::System.now_ms());
            store.administer(Admin::PutApiKey(key)).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

//! `tollgate partner`: partners and keys.

mod credentials;
mod import;

use crate::Failure;
use crate::commands::keys::{KeyArgs, line};
use crate::config::Config;
use crate::operator::by;
use crate::partner::{NewPartner, add, add_key, put_fraud_policy};
use crate::store::{Purpose, open_store};
use clap::Subcommand;
use serde_json::Value;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tollgate_api::partners::change::{change_kyc, change_profile, change_state, go_live};
use tollgate_api::partners::export::export;
use tollgate_core::id::{ApiKeyId, MerchantId, PartnerId};
use tollgate_core::merchant::{FeePlan, Mode};
use tollgate_core::partner::input::{is_country, is_mcc};
use tollgate_core::partner::{KycState, Partner, PartnerState};
use tollgate_core::risk::Policy;
use tollgate_engine::clock::Clock;
use tollgate_store::Store;
use tollgate_store::commit::{Admin, Told};
use tollgate_store::query::PolicyKind;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a partner of one merchant and its first key, which is printed once.
    Add {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Real money instead of test systems: you vouch for knowing the partner.
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
    /// Makes partners of a CSV's lines. Bad lines are told, the others are made.
    Import(import::Args),
    /// Lists merchants with their keys and partners.
    List,
    /// Shows everything about a partner but its payments.
    Show {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
    },
    /// Changes what a partner is and what was agreed with it.
    Change {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
        /// `field=text`, the fields being those of an import's columns; without a text the field is removed.
        #[arg(required = true, value_parser = field)]
        fields: Vec<(String, Option<String>)>,
        /// Only if the partner is at this version.
        #[arg(long)]
        if_version: Option<u32>,
    },
    /// Stops new payments; refunds and reads go on.
    Suspend {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
    },
    /// Lets payments go on, or begin.
    #[command(alias = "activate")]
    Resume {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
    },
    /// Exports everything of a partner, revokes its keys and ends it. What it has booked stays.
    Offboard {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
        /// File for the export; it must not be there yet.
        #[arg(long)]
        export: PathBuf,
    },
    /// Writes everything that is kept of a partner as JSON lines.
    Export {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
        /// File to write; it must not be there yet.
        #[arg(long)]
        out: PathBuf,
    },
    /// Keeps how far a partner is known.
    Kyc {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
        /// `submitted`, `verified`, `rejected` or `expired`.
        #[arg(value_parser = kyc)]
        state: KycState,
        /// Why; may be given several times.
        #[arg(long)]
        reason: Vec<String>,
    },
    /// Gives a partner its merchant for real money, and a key that is printed once.
    Live {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
    },
    /// Accounts that a partner has at processors itself.
    Credentials(credentials::Args),
    /// Makes another key for a merchant.
    Key {
        /// Merchant id, `mer_…`.
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

fn field(text: &str) -> Result<(String, Option<String>), &'static str> {
    let (name, text) = text.split_once('=').ok_or("must be like mcc=5411, or mcc= to remove it")?;
    Ok((name.to_owned(), (!text.is_empty()).then(|| text.to_owned())))
}

fn mcc(text: &str) -> Result<String, &'static str> {
    is_mcc(text).then(|| text.to_owned()).ok_or("a merchant category code has four digits")
}

fn country(text: &str) -> Result<String, &'static str> {
    is_country(text).then(|| text.to_owned()).ok_or("a country is two capital letters")
}

fn kyc(text: &str) -> Result<KycState, &'static str> {
    KycState::parse(text).ok_or("must be submitted, verified, rejected or expired")
}

/// Read before anything is made: a wrong policy leaves no partner behind.
fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Policy::from_json(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// A new file that its owner alone can read.
fn new_file(path: &Path) -> Result<std::fs::File, Failure> {
    let file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| format!("{}: {error}", path.display()).into())
}

async fn find(store: &dyn Store, text: &str) -> Result<Partner, Failure> {
    let found = if let Ok(id) = text.parse::<PartnerId>() {
        store.partner(id).await?
    } else if let Ok(id) = text.parse::<MerchantId>() {
        store.partner_of(id).await?
    } else {
        store.partner_by_reference(text).await?
    };
    found.ok_or_else(|| "no such partner".into())
}

/// Writes an export; that it was made is told in the audit log first.
async fn write_export(store: &dyn Store, partner: &Partner, path: &Path) -> Result<(), Failure> {
    let mut out = BufWriter::new(new_file(path)?);
    let told = Told {
        action: "partner.exported",
        kind: "partner",
        id: partner.id.to_string(),
        merchant_id: None,
        said: serde_json::json!({}),
    };
    store.administer(Admin::Told(Box::new(told)), by()).await?;
    let lines = export(store, partner, &mut out).await?;
    out.flush()?;
    out.get_ref().sync_all()?;
    println!("{lines} lines written to {}", path.display());
    Ok(())
}

/// A partner with the versions of the API that its merchants are pinned to.
async fn shown(store: &dyn Store, partner: &Partner) -> Result<Value, Failure> {
    let mut versions = serde_json::Map::new();
    for (_, merchant_id) in partner.merchants() {
        let pinned = store.policy(merchant_id, PolicyKind::ApiVersion).await?;
        versions.insert(merchant_id.to_string(), pinned.map_or(Value::Null, Value::from));
    }
    let mut shown = partner.as_json();
    if let Some(members) = shown.as_object_mut() {
        members.insert("api_versions".to_owned(), Value::Object(versions));
    }
    Ok(shown)
}

fn say(partner: &Partner) {
    println!("{} {} {}", partner.id, partner.state.as_str(), partner.profile.legal_name);
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let opened = open_store(&config, Purpose::Command).await?;
    let store = opened.as_ref();
    match args.action {
        Action::Add { name, live, fee_bps, mcc, country, processors, fraud_policy } => {
            let policy = fraud_policy.as_deref().map(read_policy).transpose()?;
            let mode = if live { Mode::Live } else { Mode::Sandbox };
            let fee = FeePlan { percent_bps: fee_bps, fixed_minor: 0 };
            let new = NewPartner { name: name.clone(), mode, fee, mcc, country, processors };
            let (merchant_id, key) = add(store, new).await?;
            if let Some(policy) = policy {
                put_fraud_policy(store, merchant_id, &policy).await?;
            }
            println!("{merchant_id} {name}\n{key}");
        }
        Action::Import(args) => return import::run(opened, args).await,
        Action::Credentials(args) => credentials::run(&config, store, args).await?,
        Action::List => {
            for merchant in store.merchants().await? {
                let keys = store.api_keys(merchant.id.into()).await?;
                let keys: Vec<String> = keys.iter().map(line).collect();
                let partner = store.partner_of(merchant.id).await?;
                let partner =
                    partner.map_or_else(String::new, |it| format!(" {} {}", it.id, it.state.as_str()));
                println!(
                    "{} {:?} {} [{}]{partner}",
                    merchant.id,
                    merchant.mode,
                    merchant.name,
                    keys.join(", ")
                );
            }
        }
        Action::Show { partner } => println!("{:#}", shown(store, &find(store, &partner).await?).await?),
        Action::Change { partner, fields, if_version } => {
            let partner = find(store, &partner).await?;
            let patch = fields.into_iter().collect();
            let partner = change_profile(store, partner, (&patch, if_version), by()).await?;
            println!("{} version {}", partner.id, partner.version);
        }
        Action::Suspend { partner } => {
            let partner = find(store, &partner).await?;
            say(&change_state(store, partner, PartnerState::Suspended, by()).await?);
        }
        Action::Resume { partner } => {
            let partner = find(store, &partner).await?;
            say(&change_state(store, partner, PartnerState::Active, by()).await?);
        }
        Action::Offboard { partner, export } => {
            let partner = find(store, &partner).await?;
            // Refused before anything is written.
            partner.clone().moved(PartnerState::Offboarded, 0)?;
            write_export(store, &partner, &export).await?;
            say(&change_state(store, partner, PartnerState::Offboarded, by()).await?);
        }
        Action::Export { partner, out } => {
            let partner = find(store, &partner).await?;
            write_export(store, &partner, &out).await?;
        }
        Action::Kyc { partner, state, reason } => {
            let partner = find(store, &partner).await?;
            let partner = change_kyc(store, partner, state, reason, by()).await?;
            println!("{} kyc {}", partner.id, partner.kyc.state.as_str());
        }
        Action::Live { partner } => {
            let partner = find(store, &partner).await?;
            let (_, key) = go_live(store, partner, by()).await?;
            println!("{}\n{}", key.merchant_id, key.text);
        }
        Action::Key { partner, key } => {
            let merchant = store.merchant(partner).await?.ok_or("no such partner")?;
            println!("{}", add_key(store, &merchant, key.into()).await?);
        }
        Action::Revoke { key } => {
            let mut key = store.api_key(key).await?.ok_or("no such key")?;
            key.revoked_at_ms.get_or_insert(Clock::System.now_ms());
            store.administer(Admin::PutApiKey(key), by()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

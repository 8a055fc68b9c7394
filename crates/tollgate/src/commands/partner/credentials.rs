//! `tollgate partner credentials`: partners' own accounts at processors. Secrets come from standard input or a file, never
//! from arguments, which everybody on the machine can read.

use crate::Failure;
use crate::config::Config;
use crate::operator::by;
use crate::vault::open_sealing;
use clap::Subcommand;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::Mode;
use tollgate_core::processor_account::{OVERLAP_MS_MAX, ProcessorAccount};
use tollgate_engine::EngineError;
use tollgate_engine::accounts::Credentials;
use tollgate_engine::accounts::manage::{AccountBook, AccountWish};
use tollgate_store::Store;
use zeroize::Zeroizing;

/// Most bytes of a file of credentials.
const BYTES_MAX: u64 = 64 << 10;

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// What to do.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// Whose account, and where.
#[derive(Debug, clap::Args)]
struct Place {
    /// Partner id, `par_…`, the id of one of its merchants, or its reference.
    partner: String,
    /// The processor, as the configuration names it.
    processor: String,
    /// Which of its accounts here: sandbox or live; not needed with a merchant's id.
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Sets an account's credentials, or renews them: a JSON object of texts, by the names of the processor's configuration.
    Set {
        #[command(flatten)]
        place: Place,
        /// File with the credentials, readable by its owner alone; none: standard input.
        #[arg(long)]
        file: Option<PathBuf>,
        /// For how many hours those before still prove webhooks.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=720))]
        overlap_hours: u32,
        /// Whether they are of the account that is there, renewed, or of another one: true or false.
        #[arg(long)]
        same_account: Option<bool>,
    },
    /// Shows a partner's accounts, credentials masked.
    Show {
        /// Partner id, `par_…`, the id of one of its merchants, or its reference.
        partner: String,
    },
    /// Ends an account: payments that begin later go through the gateway's. What went through it goes on with it.
    Remove {
        #[command(flatten)]
        place: Place,
    },
}

fn mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "sandbox" => Ok(Mode::Sandbox),
        "live" => Ok(Mode::Live),
        _ => Err("must be sandbox or live"),
    }
}

/// Runs it.
pub(super) async fn run(config: &Config, store: &dyn Store, args: Args) -> Result<(), Failure> {
    match args.action {
        Action::Set { place, file, overlap_hours, same_account } => {
            let merchant_id = merchant(store, &place).await?;
            let credentials = read(file.as_deref())?;
            let (processors, vault) = (config.processors()?, open_sealing(config)?);
            let book = AccountBook { store, processors: &processors };
            let overlap_ms = u64::from(overlap_hours).saturating_mul(HOUR_MS).min(OVERLAP_MS_MAX);
            let wish = AccountWish { credentials: &credentials, overlap_ms, same_account };
            let put = book.put(vault.as_ref(), merchant_id, &place.processor, wish, by()).await;
            say(&put.map_err(told)?);
        }
        Action::Show { partner } => {
            for (_, merchant_id) in super::find(store, &partner).await?.merchants() {
                store.processor_accounts(merchant_id).await?.iter().for_each(say);
            }
        }
        Action::Remove { place } => {
            let merchant_id = merchant(store, &place).await?;
            let processors = config.processors()?;
            let book = AccountBook { store, processors: &processors };
            say(&book.end(merchant_id, &place.processor, by()).await?);
        }
    }
    Ok(())
}

/// Why credentials were not taken, and what helps.
fn told(error: EngineError) -> Failure {
    match &error {
        EngineError::AccountUnclear(_) => format!("{error}: say --same-account true or false").into(),
        EngineError::AnotherAccount(_) => format!("{error}: say --same-account false to change to it").into(),
        _ => error.into(),
    }
}

fn say(account: &ProcessorAccount) {
    println!("{:#}", account.as_json());
}

/// The merchant that is meant: named itself, or the partner's of the mode.
async fn merchant(store: &dyn Store, place: &Place) -> Result<MerchantId, Failure> {
    let partner = super::find(store, &place.partner).await?;
    let named = place.partner.parse::<MerchantId>().ok();
    let meant = |(mode, id): &(Mode, MerchantId)| match (named, place.mode) {
        (Some(named), None) => *id == named,
        (Some(named), Some(wanted)) => *id == named && *mode == wanted,
        (None, wanted) => Some(*mode) == wanted,
    };
    if named.is_none() && place.mode.is_none() {
        return Err("--mode is required: sandbox or live".into());
    }
    let found = partner.merchants().find(meant).map(|(_, id)| id);
    found.ok_or_else(|| "the partner has no account in that mode".into())
}

/// Reads credentials. What is wrong with them is not said in their own words.
fn read(file: Option<&Path>) -> Result<Credentials, Failure> {
    // Room enough from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(BYTES_MAX + 1)?));
    match file {
        None => std::io::stdin().lock().take(BYTES_MAX + 1).read_to_end(&mut bytes)?,
        Some(path) => {
            let named = |error: std::io::Error| format!("{}: {error}", path.display());
            let file = File::open(path).map_err(named)?;
            if file.metadata().map_err(named)?.permissions().mode() & 0o077 != 0 {
                return Err(format!("{}: others may read it (chmod 600)", path.display()).into());
            }
            file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(named)?
        }
    };
    if u64::try_from(bytes.len())? > BYTES_MAX {
        return Err("the credentials are longer than 64 KiB".into());
    }
    serde_json::from_slice(&bytes).map_err(|_| "the credentials must be a JSON object of texts".into())
}

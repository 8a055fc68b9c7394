//! `tollgate data-subject`: what is known of a person, and forgetting one.

use crate::Failure;
use crate::config::Config;
use crate::operator::by;
use crate::store::{Purpose, open_store};
use clap::Subcommand;
use std::process::ExitCode;
use tollgate_api::{export_page, forgotten_json};
use tollgate_core::erasure::Subject;
use tollgate_core::id::MerchantId;
use tollgate_engine::subjects::{Cursor, forget, tell};

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Prints all that is known of a person, a page a line.
    Export(Who),
    /// Masks a person in payments, deletes saved cards and passkeys. The books stay.
    Erase {
        #[command(flatten)]
        who: Who,
        /// Rewrite the store's files afterwards, so that what was masked is gone from them. Takes long.
        #[arg(long)]
        purge: bool,
    },
}

/// A person.
#[derive(clap::Args)]
struct Who {
    /// Merchant id, `mer_…`.
    merchant: MerchantId,
    /// The merchant's id of its customer.
    #[arg(long)]
    user_id: Option<String>,
    /// E-mail address.
    #[arg(long)]
    email: Option<String>,
    /// Phone number.
    #[arg(long)]
    phone: Option<String>,
    /// UPI address.
    #[arg(long)]
    vpa: Option<String>,
    /// The device, as the merchant names it.
    #[arg(long)]
    device_id: Option<String>,
}

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Who").field("merchant", &self.merchant).finish_non_exhaustive()
    }
}

impl Who {
    fn subject(self) -> Result<(MerchantId, Subject), Failure> {
        let Self { merchant, user_id, email, phone, vpa, device_id } = self;
        let subject = Subject { user_id, email, phone, vpa, device_id };
        if subject.is_empty() {
            return Err("name the person: --user-id, --email, --phone, --vpa or --device-id".into());
        }
        Ok((merchant, subject))
    }
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let store = open_store(&config, Purpose::Command).await?;
    let store = store.as_ref();
    match args.action {
        Action::Export(who) => {
            let (merchant_id, subject) = who.subject()?;
            let (mut before, mut count): (Option<Cursor>, _) = (None, 0);
            loop {
                let (page, payments) = export_page(store, merchant_id, &subject, before).await?;
                count += payments;
                println!("{page}");
                before = page["next"].as_str().and_then(|text| text.parse().ok());
                if before.is_none() {
                    break;
                }
            }
            tell(store, "data_subject.exported", (merchant_id, &subject), count, by()).await?;
        }
        Action::Erase { who, purge } => {
            let (merchant_id, subject) = who.subject()?;
            let vault = crate::vault::open(&config)?;
            let mut before = None;
            loop {
                let places = (store, vault.vault.as_ref());
                let done = forget(places, merchant_id, (&subject, before), by()).await?;
                println!("{}", forgotten_json(&done));
                before = done.next;
                if before.is_none() {
                    break;
                }
            }
            if purge {
                store.purge().await?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

//! `tollgate admin`: keys of those who run the gateway.

use crate::Failure;
use crate::commands::keys::{KeyArgs, line};
use crate::config::Config;
use crate::partner::add_platform_key;
use crate::store::{Purpose, open_store};
use clap::Subcommand;
use std::process::ExitCode;
use tollgate_core::api_key::KeyOwner;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key of the platform, which is printed once. `tollgate partner revoke` revokes it.
    Key {
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Lists the keys of the platform.
    Keys,
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let store = open_store(&config, Purpose::Command).await?;
    let store = store.as_ref();
    match args.action {
        Action::Key { key } => println!("{}", add_platform_key(store, key.into()).await?),
        Action::Keys => {
            for key in store.api_keys(KeyOwner::Platform).await? {
                println!("{} {}", line(&key), key.name);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

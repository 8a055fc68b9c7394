//! `tollgate vault`: looks after a vault that no server has open.

mod bench;
mod serve;

use crate::Failure;
use crate::config::Config;
use clap::Subcommand;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tollgate_core::id::MerchantId;
use tollgate_vault::CardVault;
use tollgate_vault::master::{MasterKey, MasterSource};
use tollgate_vault::{LocalVault, RotationError, RotationProgress, VaultOptions};

/// Records printed at a time.
const AUDIT_PAGE: usize = 1_000;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The vault as a process of its own, as `[vault]` of the configuration says.
    Serve,
    /// How the vault stands.
    Status(Place),
    /// Brings the vault under another master key, or goes on with that.
    RotateMaster {
        #[command(flatten)]
        place: Place,
        /// The new master key, written as `--master` is.
        #[arg(long)]
        new: MasterSource,
    },
    /// Gives every merchant a new data key and encrypts every card with it, or goes on with that.
    RotateData(Place),
    /// Destroys the keys of all cards that a merchant has stored, for good.
    Shred {
        #[command(flatten)]
        place: Place,
        /// The merchant's id.
        #[arg(long)]
        merchant: MerchantId,
    },
    /// Prints the audit trail, one record a line.
    Audit {
        #[command(flatten)]
        place: Place,
        /// Checks the whole trail instead: every record, its place and the end.
        #[arg(long)]
        verify: bool,
        /// Prints the records after this one.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Prints at most so many records.
        #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
        limit: u64,
    },
    /// Measures a vault made for the purpose: storing, reading, and both rotations under load.
    Bench(bench::Args),
}

/// Which vault, and what opens it.
#[derive(Debug, clap::Args)]
struct Place {
    /// The vault's folder.
    #[arg(long)]
    folder: PathBuf,
    /// The master key: `file:PATH`, `env:NAME`, `command:PROGRAM ARGUMENTS` or
    /// `pkcs11:module=PATH;token=LABEL;key=LABEL;pin=env:NAME`. Given twice while a rotation of the
    /// master key is under way.
    #[arg(long, required = true)]
    master: Vec<MasterSource>,
}

impl Place {
    /// Opens the vault with the keys given and these.
    fn open_with(&self, more: &[Arc<dyn MasterKey>]) -> Result<Arc<LocalVault>, Failure> {
        // Opening makes what is missing; a mistyped folder must not become a new vault.
        if !self.folder.is_dir() {
            return Err(format!("there is no vault in {}", self.folder.display()).into());
        }
        let mut masters = self.master.iter().map(MasterSource::open).collect::<Result<Vec<_>, _>>()?;
        masters.extend_from_slice(more);
        let first = masters.first().ok_or("a master key is needed")?;
        let mut options = VaultOptions::new(&self.folder, Arc::clone(first));
        options.masters = masters;
        Ok(LocalVault::open(options)?)
    }

    fn open(&self) -> Result<Arc<LocalVault>, Failure> {
        self.open_with(&[])
    }
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    if matches!(args.command, Command::Serve) {
        serve::run(config).await?;
        return Ok(ExitCode::SUCCESS);
    }
    // Opening, rotating and reading the trail block: they have a thread of their own.
    tokio::task::spawn_blocking(move || match args.command {
        Command::Serve => Ok(()),
        Command::Status(place) => status(&place),
        Command::RotateMaster { place, new } => rotate_master(&place, &new),
        Command::RotateData(place) => rotate_data(&place),
        Command::Shred { place, merchant } => {
            let vault = place.open()?;
            tokio::runtime::Handle::current().block_on(vault.shred(merchant, now_ms()))?;
            println!("the cards of {merchant} are destroyed");
            Ok(())
        }
        Command::Audit { place, verify: true, .. } => {
            let count = place.open()?.verify_audit()?;
            println!("{count} audit records; none altered, missing or out of its place");
            Ok(())
        }
        Command::Audit { place, after, limit, .. } => audit(&place, after, limit),
        Command::Bench(args) => bench::run(&args),
    })
    .await??;
    Ok(ExitCode::SUCCESS)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn status(place: &Place) -> Result<(), Failure> {
    let status = place.open()?.status()?;
    println!("master key      {}", status.master);
    if let Some(next) = status.master_next {
        println!("rotating to     {next}: go on with rotate-master");
    }
    if status.rotating_data {
        println!("rotating data keys: go on with rotate-data");
    }
    println!("merchants       {}", status.merchants);
    println!("cards stored    {}", status.cards);
    println!("audit records   {}", status.audit_sequence);
    Ok(())
}

/// Tells of the progress once a second.
fn teller() -> impl FnMut(&RotationProgress) -> ControlFlow<()> + Send {
    let mut told = Instant::now();
    move |progress| {
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            tell(progress);
        }
        ControlFlow::Continue(())
    }
}

fn tell(progress: &RotationProgress) {
    println!(
        "{:?}: {} keys, {} cards, {} of them encrypted again, {} unreadable",
        progress.phase, progress.keys, progress.cards, progress.cards_recrypted, progress.cards_unreadable
    );
}

fn rotate_master(place: &Place, new: &MasterSource) -> Result<(), Failure> {
    let new: Arc<dyn MasterKey> = new.open()?;
    let id = new.id().to_owned();
    // Whoever takes a rotation up again need not say the new key twice.
    let vault = place.open_with(&[Arc::clone(&new)])?;
    let done = vault.rotate_master(new, now_ms(), &mut teller());
    match done {
        Ok(progress) => tell(&progress),
        Err(RotationError::SameMaster(_)) => {}
        Err(error) => return Err(error.into()),
    }
    println!("the vault is under the master key {id}; no other is needed any more");
    Ok(())
}

fn rotate_data(place: &Place) -> Result<(), Failure> {
    let done = place.open()?.rotate_data(now_ms(), &mut teller())?;
    tell(&done);
    if done.cards_unreadable > 0 {
        return Err("cards could not be decrypted: the old data keys are kept; see the audit trail".into());
    }
    Ok(())
}

fn audit(place: &Place, mut after: u64, limit: u64) -> Result<(), Failure> {
    let vault = place.open()?;
    let mut left = limit;
    while left > 0 {
        let page = vault.audit(after, usize::try_from(left).unwrap_or(usize::MAX).min(AUDIT_PAGE))?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        left -= u64::try_from(page.len()).unwrap_or(left).min(left);
        for record in &page {
            println!("{record}");
        }
    }
    Ok(())
}

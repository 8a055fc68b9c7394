//! `tollgate vault bench`: how fast cards are stored and read, and whether every card stays readable
//! while both rotations run.

use super::now_ms;
use crate::Failure;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tollgate_core::card::{CardNumber, CardSecret};
use tollgate_core::id::{IdParts, MerchantId, PaymentId};
use tollgate_vault::master::LocalMaster;
use tollgate_vault::{CardToken, CardVault, Key, LocalVault, Owner, Purpose, RotationProgress, VaultOptions};

/// Arguments of `tollgate vault bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Cards to store.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    cards: u64,
    /// Merchants they are spread over.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    merchants: u64,
    /// Callers at once, for storing and reading.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    callers: u64,
    /// Readers while a rotation runs; each reads without a pause.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    readers: u64,
    /// Writers while a rotation runs; each stores without a pause.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    writers: u64,
    /// An empty or new folder for the vault; it stays afterwards. Without it, a temporary one is used.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// The vault under measurement, and what is in it.
struct Bench {
    vault: Arc<LocalVault>,
    merchants: u64,
    tokens: Vec<CardToken>,
    reads: AtomicU64,
    unreadable: AtomicU64,
    stores: AtomicU64,
    stores_failed: AtomicU64,
    stop: AtomicBool,
}

fn merchant(merchants: u64, place: u64) -> MerchantId {
    MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random: place % merchants })
}

/// The card at a place: a number of its own, in the range of Visa's test numbers.
fn card(place: u64) -> Option<CardSecret> {
    let body = format!("400000{place:09}");
    let number = (0..10).find_map(|digit| CardNumber::parse(&format!("{body}{digit}")).ok())?;
    Some(CardSecret { number, exp_month: 12, exp_year: 2030, cvc: None, holder: None, network_token: None })
}

async fn store(vault: &LocalVault, merchant_id: MerchantId, place: u64) -> Result<CardToken, Failure> {
    let card = card(place).ok_or("there are not so many card numbers")?;
    let now_ms = now_ms();
    let held = vault.hold(merchant_id, card, now_ms).await?;
    let stored = vault.store(merchant_id, Owner::of("bench"), held.token, now_ms).await;
    vault.release(merchant_id, held.token, None).await;
    Ok(stored?.token)
}

impl Bench {
    /// Reads a card and compares it with what was stored.
    async fn read(&self, place: u64) -> bool {
        let Some(token) = usize::try_from(place).ok().and_then(|place| self.tokens.get(place)) else {
            return false;
        };
        let merchant_id = merchant(self.merchants, place);
        let parts = IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random: place };
        let purpose = Purpose::Charge(PaymentId::from_parts(parts));
        let read = self.vault.withdraw(merchant_id, *token, None, purpose, now_ms()).await;
        let expected = card(place);
        matches!((read, expected), (Ok(read), Some(expected)) if read.number.expose() == expected.number.expose())
    }

    fn rate(count: u64, took: Duration) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let rate = count as f64 / took.as_secs_f64();
        format!("{count} in {:.1} s, {rate:.0}/s", took.as_secs_f64())
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (folder, temporary) = match &args.folder {
        Some(folder) => (folder.clone(), false),
        None => (std::env::temp_dir().join(format!("tollgate-vault-bench-{}", std::process::id())), true),
    };
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!("{} is not empty", folder.display()).into());
    }
    let measured = measure(args, &folder);
    if temporary {
        std::fs::remove_dir_all(&folder)?;
    }
    measured
}

fn measure(args: &Args, folder: &std::path::Path) -> Result<(), Failure> {
    let runtime = Handle::current();
    let master = || Arc::new(LocalMaster::new(Key::random()));
    let mut options = VaultOptions::new(folder, master());
    options.queue_length_max = usize::try_from(args.callers + args.readers + args.writers)? * 4;
    let vault = LocalVault::open(options)?;

    let begun = Instant::now();
    let tokens = runtime.block_on(fill(&vault, args))?;
    println!("stored             {}", Bench::rate(args.cards, begun.elapsed()));

    let bench = Arc::new(Bench {
        vault,
        merchants: args.merchants,
        tokens,
        reads: AtomicU64::new(0),
        unreadable: AtomicU64::new(0),
        stores: AtomicU64::new(0),
        stores_failed: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let begun = Instant::now();
    let sample = args.cards.min(200_000);
    let wrong = runtime.block_on(read_all(&bench, sample, args))?;
    println!("read               {}; {wrong} wrong", Bench::rate(sample, begun.elapsed()));
    if wrong > 0 {
        return Err("a card was not read as it was stored".into());
    }

    let mut go = |_: &RotationProgress| ControlFlow::Continue(());
    under_load(&bench, args, &runtime, "data keys", || Ok(bench.vault.rotate_data(now_ms(), &mut go)?))?;
    under_load(&bench, args, &runtime, "master key", || {
        Ok(bench.vault.rotate_master(master(), now_ms(), &mut go)?)
    })?;

    let begun = Instant::now();
    let records = bench.vault.verify_audit()?;
    println!("audit verified     {}", Bench::rate(records, begun.elapsed()));
    if bench.unreadable.load(Ordering::Relaxed) > 0 || bench.stores_failed.load(Ordering::Relaxed) > 0 {
        return Err("a card could not be read or stored while a rotation ran".into());
    }
    Ok(())
}

/// Stores the cards; gives their tokens by place.
async fn fill(vault: &Arc<LocalVault>, args: &Args) -> Result<Vec<CardToken>, Failure> {
    let (cards, merchants, callers) = (args.cards, args.merchants, args.callers);
    type Stored = Result<Vec<(u64, CardToken)>, Failure>;
    let mut tasks: Vec<JoinHandle<Stored>> = Vec::new();
    for caller in 0..callers {
        let vault = Arc::clone(vault);
        tasks.push(tokio::spawn(async move {
            let mut tokens = Vec::new();
            let mut place = caller;
            while place < cards {
                tokens.push((place, store(&vault, merchant(merchants, place), place).await?));
                place += callers;
            }
            Ok(tokens)
        }));
    }
    let mut tokens = vec![CardToken::from_random(0); usize::try_from(cards)?];
    for task in tasks {
        for (place, token) in task.await?? {
            if let Some(slot) = tokens.get_mut(usize::try_from(place)?) {
                *slot = token;
            }
        }
    }
    Ok(tokens)
}

/// Reads `count` cards spread over all; gives how many were not what was stored.
async fn read_all(bench: &Arc<Bench>, count: u64, args: &Args) -> Result<u64, Failure> {
    let (cards, callers) = (args.cards, args.callers);
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let bench = Arc::clone(bench);
        tasks.push(tokio::spawn(async move {
            let mut wrong = 0;
            let mut turn = caller;
            while turn < count {
                // A step that is prime to most numbers: all over the store, as real charges are.
                wrong += u64::from(!bench.read(turn.wrapping_mul(7_919) % cards).await);
                turn += callers;
            }
            wrong
        }));
    }
    let mut wrong = 0;
    for task in tasks {
        wrong += task.await?;
    }
    Ok(wrong)
}

/// Rotates while readers read and writers store without a pause, and checks everything read.
fn under_load(
    bench: &Arc<Bench>,
    args: &Args,
    runtime: &Handle,
    what: &str,
    rotate: impl FnOnce() -> Result<RotationProgress, Failure>,
) -> Result<(), Failure> {
    bench.stop.store(false, Ordering::Relaxed);
    let before = [&bench.reads, &bench.stores, &bench.unreadable, &bench.stores_failed]
        .map(|counter| counter.load(Ordering::Relaxed));
    let mut readers = Vec::new();
    for reader in 0..args.readers {
        let (bench, cards) = (Arc::clone(bench), args.cards);
        readers.push(runtime.spawn(async move {
            let mut took_us = Vec::new();
            let mut turn = reader * 1_009;
            while !bench.stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let right = bench.read(turn.wrapping_mul(7_919) % cards).await;
                took_us.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
                bench.reads.fetch_add(1, Ordering::Relaxed);
                bench.unreadable.fetch_add(u64::from(!right), Ordering::Relaxed);
                turn += 1;
            }
            took_us
        }));
    }
    let mut writers = Vec::new();
    let first = args.cards + before[1];
    for writer in 0..args.writers {
        let (bench, writers_count) = (Arc::clone(bench), args.writers);
        writers.push(runtime.spawn(async move {
            // New numbers each time, and now and then one that is there already.
            let mut place = first + writer;
            while !bench.stop.load(Ordering::Relaxed) {
                let failed = store(&bench.vault, merchant(bench.merchants, place), place).await.is_err();
                bench.stores.fetch_add(1, Ordering::Relaxed);
                bench.stores_failed.fetch_add(u64::from(failed), Ordering::Relaxed);
                place += writers_count;
            }
        }));
    }
    let begun = Instant::now();
    let rotated = rotate();
    let took = begun.elapsed();
    bench.stop.store(true, Ordering::Relaxed);
    let mut took_us = Vec::new();
    for reader in readers {
        took_us.extend(runtime.block_on(reader)?);
    }
    for writer in writers {
        runtime.block_on(writer)?;
    }
    let progress = rotated?;
    let after = [&bench.reads, &bench.stores, &bench.unreadable, &bench.stores_failed]
        .map(|counter| counter.load(Ordering::Relaxed));
    took_us.sort_unstable();
    let at = |share: usize| took_us.get(took_us.len() * share / 1_000).copied().unwrap_or(0);
    println!(
        "rotated {what}: {:.1} s; {} keys, {} cards encrypted again, {} undecryptable",
        took.as_secs_f64(),
        progress.keys,
        progress.cards_recrypted,
        progress.cards_unreadable,
    );
    println!("  meanwhile read   {}", Bench::rate(after[0] - before[0], took));
    println!(
        "  unreadable       {} (reading took at the median {} µs, p99 {} µs, at most {} µs)",
        after[2] - before[2],
        at(500),
        at(990),
        took_us.last().copied().unwrap_or(0)
    );
    println!(
        "  meanwhile stored {}; {} failed",
        Bench::rate(after[1] - before[1], took),
        after[3] - before[3]
    );
    Ok(())
}

//! `tollgate chaos`: breaks everything that can break, on a schedule made from a seed, while payments run; then
//! audits what is left, on both sides.
//!
//! The simulators run in this process, the gateway is a child of it and is killed now and then.

mod afterwards;
mod client;
mod gateway;
mod plan;
mod traffic;

use crate::Failure;
use crate::commands::serve::stop_signal;
use crate::commands::verify::{Checked, books_of};
use crate::config::Config;
use crate::store::{Purpose, open_store};
use afterwards::{Settled, Tally};
use client::Client;
use gateway::Gateway;
use plan::{Kill, Plan, Strike, Trouble};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::fault::FaultProfile;
use tollgate_sim::handle::Handle;
use tollgate_sim::server::{Running, SimOptions};
use traffic::Traffic;

/// The processors in play, most wanted first: those that answer server to server.
const PROCESSORS: [&str; 4] = ["razorpay", "stripe", "payu", "examplebank"];

/// How long shops may insist after the faults are over.
const INSIST: Duration = Duration::from_secs(30);

/// How long the gateway may take to settle what the processors know the end of.
const SETTLE: Duration = Duration::from_secs(90);

/// How long stragglers may take: what a slow processor was doing when the faults ended.
const STRAGGLE: Duration = Duration::from_millis(plan::SLOWEST_MS + 500);

/// How often a flapping processor changes.
const FLAP: Duration = Duration::from_millis(150);

/// What to break, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seed of the schedule and of the payments; default: a random one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Minutes of trouble; 0.5 is half a minute.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Payments a second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// How often the gateway is killed; default: once a minute, and twice at least.
    #[arg(long)]
    kills: Option<u32>,
    /// Folder of the store, the books, the log and the reports, kept afterwards; default: one that is removed
    /// when all was well.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print the schedule and do nothing.
    #[arg(long)]
    plan: bool,
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    if !(0.02..=1_440.0).contains(&args.minutes) || !(0.1..=10_000.0).contains(&args.rate) {
        return Err("--minutes is from 0.02 to 1440, --rate from 0.1 to 10000".into());
    }
    let length = Duration::try_from_secs_f64(args.minutes * 60.0)?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let a_minute = u32::try_from(length.as_secs() / 60).unwrap_or(u32::MAX);
    let plan = Plan::new(seed, length, args.kills.unwrap_or(a_minute.max(2)).min(10_000), &PROCESSORS);
    println!("seed {seed}: {} payments a second for {:.1} s", args.rate, length.as_secs_f64());
    print!("{plan}");
    if args.plan {
        return Ok(ExitCode::SUCCESS);
    }
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("tollgate-chaos-{:016x}", rand::random::<u64>())),
    };
    std::fs::create_dir_all(&folder)?;
    if std::fs::read_dir(&folder)?.next().is_some() {
        return Err(format!("{} is not empty", folder.display()).into());
    }
    let outcome = tokio::select! {
        outcome = carry_out(config, &plan, &folder, (seed, args.rate, length)) => outcome,
        () = stop_signal() => Err("stopped before the audit".into()),
    };
    match outcome {
        Ok(true) => {
            if args.folder.is_none() {
                std::fs::remove_dir_all(&folder)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok(false) => {
            println!("everything is kept in {}", folder.display());
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(format!("seed {seed}: {error}; everything is kept in {}", folder.display()).into()),
    }
}

/// Starts everything, breaks it, and audits it. Whether all was well.
async fn carry_out(
    mut config: Config,
    plan: &Plan,
    folder: &Path,
    (seed, rate, length): (u64, f64, Duration),
) -> Result<bool, Failure> {
    let port = free_port()?;
    let books = folder.join("books");
    let (stop_simulators, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut simulators = Simulator::standard();
    simulators.retain(|simulator| PROCESSORS.contains(&simulator.name()));
    let options = SimOptions {
        simulators,
        books_dir: Some(books.clone()),
        webhook_target: Some(format!("http://127.0.0.1:{port}")),
        faults: plan::ordinary(),
        seed,
        ..SimOptions::default()
    };
    let simulators = tollgate_sim::server::serve(options, async move {
        let _ = stopped.await;
    })
    .await?;
    let mut gateway = Gateway::new(folder, port, &simulators.accounts())?;
    // A shop for each processor that it wants most, so that each is somebody's first choice.
    let mut clients = Vec::new();
    for (place, name) in PROCESSORS.iter().enumerate() {
        let mut wanted = PROCESSORS;
        wanted.rotate_left(place);
        clients.push(Client::new(gateway.address(), gateway.add_partner(name, &wanted).await?));
    }
    let client = clients.first().cloned().ok_or("there is no shop")?;
    gateway.start(&client).await?;

    let begun = Instant::now();
    let traffic = Traffic::new(clients, seed, begun + length + INSIST);
    let ((), (), killed) = tokio::join!(
        traffic.run(rate, begun, length),
        strike_all(&simulators, &plan.strikes, begun),
        kill_all(&mut gateway, &plan.kills, &client, begun),
    );
    killed?;
    for (_, handle) in simulators.handles() {
        handle.set_faults(FaultProfile { pending_ms: 100, ..FaultProfile::default() })?;
    }
    let calm = Instant::now();
    tokio::time::sleep(STRAGGLE).await;
    let settled = afterwards::wait(&books, traffic.known(), SETTLE).await?;
    let settled_in = calm.elapsed();
    gateway.stop().await?;

    config.store.in_folder(folder.join("store"));
    let reconciled = {
        let store = open_store(&config, Purpose::Command).await?;
        afterwards::reconcile_all(store.as_ref(), &books_of(&books)?, &PROCESSORS, folder).await?
    };
    // Returns that never arrived are known by now, and begun again.
    gateway.start(&client).await?;
    let in_the_end = afterwards::wait(&books, traffic.known(), SETTLE).await?;
    gateway.stop().await?;
    let store = open_store(&config, Purpose::Command).await?;
    let (mut checked, tally) = afterwards::audit(store.as_ref(), books_of(&books)?, &traffic).await?;
    for stuck in settled.stuck.iter().chain(&in_the_end.stuck) {
        checked.report.problem(|| format!("{stuck} was not settled within {} s", SETTLE.as_secs()));
    }
    let unanswered = traffic.counts.unanswered.load(Ordering::Relaxed);
    if unanswered > 0 {
        checked.report.problem(|| format!("{unanswered} requests were never answered"));
    }
    print_counts(&traffic, &tally, &simulators, plan.kills.len());
    print_afterwards(&settled, settled_in, &reconciled);
    drop(stop_simulators);
    Ok(print_verdict(&checked, seed))
}

/// A port for the gateway that stays free while it is dead: below those the system gives to outgoing
/// connections.
fn free_port() -> Result<u16, Failure> {
    for _ in 0..1_000 {
        let port = rand::random_range(15_000..31_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}

/// Lets all strikes happen at their times.
async fn strike_all(simulators: &Running, strikes: &[Strike], begun: Instant) {
    let all = simulators.handles().map(|(name, handle)| {
        let own: Vec<Strike> = strikes.iter().filter(|it| it.processor == name).cloned().collect();
        tokio::spawn(async move {
            for strike in own {
                tokio::time::sleep_until((begun + strike.at).into()).await;
                suffer(&handle, &strike, begun).await;
                // Plans hold profiles within their bounds.
                let _ = handle.set_faults(plan::ordinary());
            }
        })
    });
    for one in all.collect::<Vec<_>>() {
        let _ = one.await;
    }
}

/// One strike from its beginning to its end.
async fn suffer(handle: &Handle, strike: &Strike, begun: Instant) {
    let until = begun + strike.until;
    let left = || until.saturating_duration_since(Instant::now());
    let _ = handle.set_faults(strike.trouble.profile());
    match strike.trouble {
        Trouble::Refuse => {
            let _ = handle.refuse_for(left());
        }
        Trouble::Flap => {
            for turn in 0_u32.. {
                if left().is_zero() {
                    return;
                }
                let _ = match turn % 4 {
                    1 => handle.set_faults(Trouble::Unavailable503.profile()),
                    3 => handle.refuse_for(FLAP.min(left())),
                    _ => handle.set_faults(plan::ordinary()),
                };
                tokio::time::sleep(FLAP.min(left())).await;
            }
        }
        _ => {}
    }
    tokio::time::sleep_until(until.into()).await;
}

/// Kills the gateway at its times, and starts it again.
async fn kill_all(
    gateway: &mut Gateway,
    kills: &[Kill],
    client: &Client,
    begun: Instant,
) -> Result<(), Failure> {
    for kill in kills {
        tokio::time::sleep_until((begun + kill.at).into()).await;
        gateway.kill().await?;
        tokio::time::sleep(kill.pause).await;
        gateway.start(client).await?;
    }
    Ok(())
}

fn list<'n>(counts: impl IntoIterator<Item = (&'n str, u64)>) -> String {
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

fn print_counts(traffic: &Traffic, tally: &Tally, simulators: &Running, kills: usize) {
    let counts = &traffic.counts;
    let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let mut struck: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, handle) in simulators.handles() {
        for (name, count) in handle.struck() {
            *struck.entry(name).or_default() += count;
        }
    }
    let payments: u64 = tally.by_status.values().sum();
    println!();
    println!(
        "payments       {payments}: {}",
        list(tally.by_status.iter().map(|(name, count)| (*name, *count)))
    );
    println!("refunds        {}", list(tally.refunds.iter().map(|(name, count)| (*name, *count))));
    println!(
        "requests       {} answered, {} refused, {} sent again, {} never answered, {} shoppers held back",
        read(&counts.answered),
        read(&counts.refused),
        read(&counts.sent_again),
        read(&counts.unanswered),
        read(&counts.held_back)
    );
    println!("failovers      {}", tally.failovers);
    println!(
        "late money     {} payments, all sent back; {} of them were refused at first",
        tally.late, tally.returns_refused
    );
    println!("faults struck  {}", list(struck));
    println!("gateway        killed {kills} times");
}

fn print_afterwards(settled: &Settled, settled_in: Duration, reconciled: &[String]) {
    println!(
        "afterwards     settled in {:.1} s, but for {} attempts that no processor ever saw",
        settled_in.as_secs_f64(),
        settled.unseen
    );
    for said in reconciled {
        println!("reconciled     {said}");
    }
    println!();
}

fn print_verdict(checked: &Checked, seed: u64) -> bool {
    print!("{checked}");
    let problems = checked.report.problem_count;
    if problems == 0 {
        println!("seed {seed}: no double charge, nothing lost, nothing open, both sides' books agree");
    } else {
        println!("seed {seed}: {problems} PROBLEMS");
    }
    problems == 0
}

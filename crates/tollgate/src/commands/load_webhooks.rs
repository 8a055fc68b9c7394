//! `tollgate load-webhooks`: measures webhooks out, with receivers of which some are dead, slow or flapping.
//!
//! Everything is in this process: a store in an empty folder, events committed to it at a rate, the sending,
//! and the receivers, on real sockets. First some receivers are ill; then all are well, and everything has
//! to have arrived.

use crate::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::id::{AttemptId, DeliveryId, EventId, MerchantId, PaymentId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::webhook::filter::EventFilter;
use tollgate_engine::clock::Clock;
use tollgate_engine::processors::Processors;
use tollgate_engine::webhooks::{EndpointWish, WebhookOptions, Webhooks};
use tollgate_engine::{Engine, EngineOptions, ids};
use tollgate_sim::receivers::{Behaviour, Receiver};
use tollgate_store::Store;
use tollgate_store::commit::{Admin, Commit};
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_vault::MemoryVault;

/// Payments begun at once.
const AT_ONCE: usize = 256;

/// What to send, and to whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Events; each payment has two.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Endpoints, each of a partner of its own; events go to them in turn.
    #[arg(long, default_value_t = 100)]
    endpoints: usize,
    /// Of these, ill at first: a third dead, a third slow, a third flapping.
    #[arg(long, default_value_t = 10)]
    ill: usize,
    /// Events a second.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// How long one sending may take, in milliseconds.
    #[arg(long, default_value_t = 15_000)]
    timeout_ms: u64,
    /// Longest wait, after all are well, until everything has arrived, in seconds.
    #[arg(long, default_value_t = 600)]
    patience_s: u64,
    /// An empty folder for the store; removed afterwards.
    #[arg(long)]
    folder: PathBuf,
}

struct Stand {
    engine: Arc<Engine>,
    webhooks: Arc<Webhooks>,
    merchants: Vec<MerchantId>,
    receivers: Vec<Receiver>,
}

/// Runs it; fails if something did not arrive.
pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.ill >= args.endpoints || args.rate < 1.0 {
        return Err("some endpoints must be well, and the rate at least 1".into());
    }
    let stand = set_up(&args).await?;
    let begun = Instant::now();
    let payments = args.events.div_ceil(2);
    commit_payments(&stand, payments, args.rate / 2.0).await?;
    println!("{} events committed in {:.1} s", payments * 2, begun.elapsed().as_secs_f64());

    let healthy = stand.receivers.get(args.ill..).unwrap_or_default();
    let expected: usize =
        (args.ill..args.endpoints).map(|place| share(payments, args.endpoints, place)).sum();
    let waited = wait_for(healthy, expected, args.patience_s).await;
    report_healthy(healthy, expected);
    let ill = stand.receivers.get(..args.ill).unwrap_or_default();
    let missing = (0..args.ill).map(|place| share(payments, args.endpoints, place)).sum::<usize>();
    println!("ill endpoints: {} of {missing} accepted while ill", arrived(ill));
    ill.iter().for_each(|receiver| receiver.behave(Behaviour::Healthy));
    let begun = Instant::now();
    let recovered = wait_for(ill, missing, args.patience_s).await;
    println!(
        "after recovery: {} of {missing} arrived in {:.1} s",
        arrived(ill),
        begun.elapsed().as_secs_f64()
    );
    let accepted: usize = stand.receivers.iter().map(Receiver::accepted_count).sum();
    let distinct = arrived(&stand.receivers);
    println!("{distinct} messages, {} accepted more than once", accepted.saturating_sub(distinct));
    stand.webhooks.stop().await;
    drop(stand);
    let _ = std::fs::remove_dir_all(&args.folder);
    Ok(if waited && recovered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many events one endpoint gets.
fn share(payments: u64, endpoints: usize, place: usize) -> usize {
    let payments = usize::try_from(payments).unwrap_or(usize::MAX);
    let more = usize::from(place < payments % endpoints);
    (payments / endpoints + more) * 2
}

async fn set_up(args: &Args) -> Result<Stand, Failure> {
    std::fs::create_dir_all(&args.folder)?;
    if std::fs::read_dir(&args.folder)?.next().is_some() {
        return Err(format!("{} is not empty", args.folder.display()).into());
    }
    let store = Arc::new(EmbeddedStore::open(EmbeddedOptions::new(&args.folder, rand::random()))?);
    let engine = Engine::new(EngineOptions {
        store: Arc::<EmbeddedStore>::clone(&store) as Arc<dyn Store>,
        vault: Arc::new(MemoryVault::new(1, 1)),
        desk: None,
        processors: Processors::new(vec![]),
        clock: Clock::System,
        public_url: String::new(),
        connect_timeout: Duration::from_secs(1),
        flows_max: 1,
        routing: Default::default(),
        enquiry: Default::default(),
        fraud: Default::default(),
    });
    let options = WebhookOptions {
        allow_private: true,
        timeout: Duration::from_millis(args.timeout_ms),
        ..WebhookOptions::default()
    };
    let webhooks = Webhooks::new(Arc::clone(&engine), options, tollgate_api::webhook_payloads());
    let mut stand = Stand { engine, webhooks, merchants: Vec::new(), receivers: Vec::new() };
    for place in 0..args.endpoints {
        let behaviour = match place % 3 {
            _ if place >= args.ill => Behaviour::Healthy,
            0 => Behaviour::Dead,
            1 => Behaviour::Slow(Duration::from_millis(args.timeout_ms.saturating_mul(2))),
            _ => Behaviour::Flapping(Duration::from_secs(3)),
        };
        let receiver = Receiver::start(behaviour, false).await?;
        let merchant = merchant(&stand.engine, place);
        store.administer(Admin::PutMerchant(merchant.clone()), crate::operator::by()).await?;
        let wish = EndpointWish {
            url: receiver.url(),
            description: None,
            events: EventFilter::read(["*"])?,
            is_enabled: true,
            is_ordered: false,
        };
        stand.webhooks.create_endpoint(merchant.id, wish, crate::operator::by()).await?;
        stand.merchants.push(merchant.id);
        stand.receivers.push(receiver);
    }
    stand.webhooks.start();
    Ok(stand)
}

fn merchant(engine: &Engine, place: usize) -> Merchant {
    let bucket = u16::try_from(place % 1_024).unwrap_or(0);
    let (parts, now_ms) = ids::fresh(engine.clock(), bucket);
    Merchant {
        id: MerchantId::from_parts(parts),
        name: format!("Partner {place}"),
        mode: Mode::Sandbox,
        active: true,
        fee: FeePlan { percent_bps: 0, fixed_minor: 0 },
        mcc: None,
        country: None,
        processors: vec![],
        created_at_ms: now_ms,
    }
}

/// Commits payments at a rate: each begins and is completed.
async fn commit_payments(stand: &Stand, payments: u64, rate: f64) -> Result<(), Failure> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let begun = Instant::now();
    for (number, merchant_id) in (0..payments).zip(stand.merchants.iter().cycle()) {
        let number = f64::from(u32::try_from(number)?);
        tokio::time::sleep_until((begun + Duration::from_secs_f64(number / rate)).into()).await;
        let place = Arc::clone(&places).acquire_owned().await?;
        let (engine, webhooks) = (Arc::clone(&stand.engine), Arc::clone(&stand.webhooks));
        let merchant_id = *merchant_id;
        tokio::spawn(async move {
            if let Err(error) = pay(&engine, merchant_id).await {
                tracing::error!(%error, "a payment could not be committed");
            }
            webhooks.ring();
            drop(place);
        });
    }
    let all = u32::try_from(AT_ONCE)?;
    let _ = places.acquire_many(all).await?;
    Ok(())
}

async fn pay(engine: &Engine, merchant_id: MerchantId) -> Result<(), Failure> {
    let (parts, _) = ids::fresh(engine.clock(), merchant_id.bucket());
    let (payment_id, attempt_id) = (PaymentId::from_parts(parts), AttemptId::from_parts(ids::sibling(parts)));
    let attempt = AttemptStart { id: attempt_id, processor: ProcessorName::new("nobody"), amount_minor: 500 };
    let create = Command::Create { payment_id, attempt, terms: Arc::new(terms()) };
    let outcome = Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 500 };
    let settle = Command::Settle { payment_id, attempt_id, outcome, next: None };
    for command in [create, settle] {
        let (parts, now_ms) = ids::fresh(engine.clock(), merchant_id.bucket());
        let event_id = EventId::from_parts(parts);
        let command = Some(command);
        let commit = Commit { merchant_id, now_ms, event_id, command, idempotency: None, message: None };
        engine.store().commit(Box::new(commit)).await?;
    }
    Ok(())
}

fn terms() -> PaymentTerms {
    PaymentTerms {
        amount: Money::new(500, Currency::INR),
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan { percent_bps: 0, fixed_minor: 0 },
        user_id: None,
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: vec![],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    }
}

/// Different messages that were accepted.
fn arrived(receivers: &[Receiver]) -> usize {
    receivers
        .iter()
        .map(|it| it.accepted().into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len())
        .sum()
}

/// Waits until so many different messages were accepted.
async fn wait_for(receivers: &[Receiver], expected: usize, patience_s: u64) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(patience_s) {
        // Counting ids is dear; counting messages is not.
        let accepted: usize = receivers.iter().map(Receiver::accepted_count).sum();
        if accepted >= expected && arrived(receivers) >= expected {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

/// Prints the time from events to their first acceptance by healthy receivers: a message's id has its event's time.
fn report_healthy(receivers: &[Receiver], expected: usize) {
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    for (id, at_ms) in receivers.iter().flat_map(Receiver::accepted) {
        first.entry(id).and_modify(|known| *known = (*known).min(at_ms)).or_insert(at_ms);
    }
    let mut took: Vec<u64> = first
        .iter()
        .filter_map(|(id, at_ms)| {
            let id: DeliveryId =
                format!("{}{}", DeliveryId::PREFIX, id.strip_prefix("msg_")?).parse().ok()?;
            Some(at_ms.saturating_sub(id.unix_ms()))
        })
        .collect();
    took.sort_unstable();
    let at = |per_mille: usize| {
        let place = (took.len() * per_mille / 1_000).min(took.len().saturating_sub(1));
        took.get(place).copied().unwrap_or(0)
    };
    println!(
        "healthy endpoints: {} of {expected} arrived; event to receipt p50 {} ms, p95 {} ms, p99 {} ms, p99.9 {} ms, max {} ms",
        took.len(),
        at(500),
        at(950),
        at(990),
        at(999),
        at(1_000)
    );
}

//! Events out to the bus: order, repeats, taking over, an absent broker, what is refused, replays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::{Act, Bench, START_MS, bench, scripted};
use tollgate_bus::memory::{MemoryBus, Mood};
use tollgate_bus::{Bus, BusError, BusReport};
use tollgate_core::audit::By;
use tollgate_core::bus::{Message, Topic};
use tollgate_core::event::EventRecord;
use tollgate_core::id::{EventId, IdParts, MerchantId};
use tollgate_core::merchant::Merchant;
use tollgate_core::payment::Payment;
use tollgate_core::webhook::outcome::WebhookOutcome;
use tollgate_engine::events::{
    Alert, Begin, Bodies, LineState, Relay, RelayOptions, Replay, Until, give_up, put_aside, replay, status,
};
use tollgate_store::commit::Admin;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const BODIES: Bodies = Bodies { event: event_body, alert: alert_body, outcome: outcome_body };

fn event_body(record: &EventRecord, payment: &Payment) -> Vec<u8> {
    assert_eq!(record.version, payment.version, "the payment is as it was after the event");
    format!(r#"{{"version":{},"status":"{}"}}"#, record.version, payment.status.as_str()).into_bytes()
}

fn alert_body(_: Alert, _: &EventRecord, _: &Payment) -> Vec<u8> {
    b"{}".to_vec()
}

fn outcome_body(_: &WebhookOutcome) -> Vec<u8> {
    b"{}".to_vec()
}

fn options() -> RelayOptions {
    RelayOptions {
        begin: Begin::Beginning,
        lease: Duration::from_secs(2),
        batch_events: 3,
        holder: "test".to_owned(),
        ..RelayOptions::default()
    }
}

fn relay(bench: &Bench, bus: &Arc<MemoryBus>) -> Arc<Relay> {
    relay_with(bench, Arc::clone(bus) as Arc<dyn Bus>, options())
}

fn relay_with(bench: &Bench, bus: Arc<dyn Bus>, options: RelayOptions) -> Arc<Relay> {
    Relay::new(Arc::clone(&bench.engine), bus, options, BODIES)
}

fn memory() -> Arc<MemoryBus> {
    Arc::new(MemoryBus::new(100_000))
}

async fn paying() -> Bench {
    bench(&[scripted(&[Act::Answer("next"), Act::Answer("captured")]).address]).await
}

/// Another merchant on the same engine.
async fn neighbour(bench: &Bench) -> Bench {
    let id = MerchantId::from_parts(IdParts { unix_ms: START_MS, sub_ms: 0, bucket: 2, random: 2 });
    let merchant = Merchant { id, name: "Neighbour".to_owned(), ..bench.merchant.clone() };
    bench.engine.store().administer(Admin::PutMerchant(merchant.clone()), By::system(0)).await.unwrap();
    Bench {
        folder: Arc::clone(&bench.folder),
        engine: Arc::clone(&bench.engine),
        merchant,
        clock_ms: Arc::clone(&bench.clock_ms),
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The ids of all of a merchant's events, in their order.
async fn ids_of(bench: &Bench) -> Vec<String> {
    let events = bench.engine.store().events(bench.merchant.id, 0, 1_000).await.unwrap();
    events.iter().map(|event| event.id.to_string()).collect()
}

/// What arrived of a merchant, each when it was first seen.
fn first_seen(messages: &[Message], bench: &Bench) -> Vec<String> {
    let mut seen = HashSet::new();
    let is_event = |message: &&Message| message.topic == Topic::PaymentEvents;
    let of = messages.iter().filter(is_event).filter(|message| message.key == bench.merchant.id);
    of.filter(|message| seen.insert(message.id.clone())).map(|message| message.id.clone()).collect()
}

async fn until_told(bus: &MemoryBus, bench: &Bench) {
    let all = ids_of(bench).await;
    until("everything is told", async || first_seen(&bus.messages(), bench).len() >= all.len()).await;
    assert_eq!(first_seen(&bus.messages(), bench), all, "in the log's order");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_once_and_in_each_merchant_s_order() {
    let bench = paying().await;
    let other = neighbour(&bench).await;
    for _ in 0..3 {
        bench.pay().await;
        other.pay().await;
    }
    let bus = memory();
    let relay = relay(&bench, &bus);
    relay.start();
    for _ in 0..3 {
        bench.pay().await;
        other.pay().await;
    }
    until_told(&bus, &bench).await;
    until_told(&bus, &other).await;
    let messages = bus.messages();
    assert_eq!(messages.len(), 24, "nothing went wrong, so nothing is told twice");
    let first = &messages[0];
    assert_eq!((first.topic, first.kind.as_str()), (Topic::PaymentEvents, "tollgate.payment.created.v1"));
    assert!(first.subject.starts_with("pay_") && first.id.starts_with("evt_"), "{first:?}");
    assert!(messages.iter().all(|message| message.check().is_ok()));
    assert!(messages.iter().any(|message| message.data.ends_with(br#""status":"completed"}"#)));
    relay.stop(PATIENCE).await;
    // A clean stop leaves nothing to be told again, and nobody has the log.
    let found = status(bench.engine.store().as_ref()).await.unwrap();
    assert_eq!((found[0].read, found[0].end, &found[0].hold), (Some(24), 24, &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_breaks_half_way_gets_it_again_and_without_a_gap() {
    let bench = paying().await;
    for _ in 0..4 {
        bench.pay().await;
    }
    let bus = memory();
    bus.set_mood(Mood::BreaksAfter(2));
    let relay = relay(&bench, &bus);
    relay.start();
    until("it broke twice", async || bus.messages().len() >= 4).await;
    bus.set_mood(Mood::Well);
    until_told(&bus, &bench).await;
    assert!(bus.messages().len() > 8, "some came twice");
    relay.stop(PATIENCE).await;
}

/// Takes messages and never says so.
#[derive(Debug)]
struct Deaf(Arc<MemoryBus>);

#[async_trait]
impl Bus for Deaf {
    async fn prepare(&self) -> Result<(), BusError> {
        self.0.prepare().await
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), BusError> {
        self.0.publish(messages).await?;
        std::future::pending().await
    }

    fn report(&self) -> BusReport {
        self.0.report()
    }

    async fn close(&self) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_dies_before_it_notes_is_taken_over_when_its_time_is_over() {
    let bench = paying().await;
    bench.pay().await;
    let bus = memory();
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    {
        let _inside = dying.enter();
        relay_with(&bench, Arc::new(Deaf(Arc::clone(&bus))), options()).start();
    }
    until("it is published", async || bus.messages().len() >= 2).await;
    dying.shutdown_background();
    // It is gone, and nobody knows.
    let relay = relay(&bench, &bus);
    relay.start();
    until("another waits", async || {
        relay.report().lines.iter().any(|(_, it)| it.state == LineState::Standby)
    })
    .await;
    assert_eq!(bus.messages().len(), 2, "it has its time still");
    bench.pay().await;
    bench.clock_ms.fetch_add(2_001, Ordering::SeqCst);
    until_told(&bus, &bench).await;
    let messages = bus.messages();
    let repeated: Vec<&Message> = messages.iter().skip(2).take(2).collect();
    assert_eq!(repeated, messages.iter().take(2).collect::<Vec<_>>(), "the same ids and bytes");
    assert_eq!(messages.len(), 6);
    relay.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_instances_publishes_and_the_other_goes_on_when_it_stops() {
    let bench = paying().await;
    let bus = memory();
    let first = relay(&bench, &bus);
    let is_own = |relay: &Relay| {
        let lines = relay.report().lines;
        lines.len() == 2 && lines.iter().all(|(_, line)| line.state == LineState::Relaying)
    };
    first.start();
    until("the first has the logs", async || is_own(&first)).await;
    let second_bus = memory();
    let second = relay(&bench, &second_bus);
    second.start();
    let stands_by = |(_, line): &(_, tollgate_engine::events::LineReport)| {
        line.state == LineState::Standby && line.holder.as_deref() == Some("test")
    };
    until("the second waits", async || {
        let lines = second.report().lines;
        lines.len() == 2 && lines.iter().all(stands_by)
    })
    .await;
    // Longer than a lease by the clock on the wall: it is renewed.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        bench.pay().await;
        bench.clock_ms.fetch_add(100, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_told(&bus, &bench).await;
    assert_eq!(second_bus.messages(), []);
    first.stop(PATIENCE).await;
    let before = bus.messages().len();
    bench.pay().await;
    until("the second goes on", async || second_bus.messages().len() >= 2).await;
    let all = ids_of(&bench).await;
    assert_eq!(first_seen(&second_bus.messages(), &bench), all[before..], "where the first has ended");
    second.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_go_on_while_the_broker_is_away_and_it_is_caught_up_with_afterwards() {
    let bench = paying().await;
    let bus = memory();
    bus.set_mood(Mood::Away);
    let relay = relay(&bench, &bus);
    relay.start();
    for _ in 0..10 {
        bench.pay().await;
    }
    let of_events =
        || relay.report().lines.into_iter().find(|(line, _)| line.name() == "events-0").unwrap().1;
    until("it is seen", async || {
        relay.report().lines.len() == 2
            && of_events().state == LineState::Waiting
            && of_events().lag_events() == 20
    })
    .await;
    assert!(!relay.report().bus.is_connected);
    bus.set_mood(Mood::Well);
    until_told(&bus, &bench).await;
    until("it is well", async || of_events().state == LineState::Relaying && of_events().lag_events() == 0)
        .await;
    relay.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_put_aside_in_sight_and_can_be_told_again() {
    let bench = paying().await;
    for _ in 0..3 {
        bench.pay().await;
    }
    let all = ids_of(&bench).await;
    let bus = memory();
    bus.refuse_message(&all[1]);
    let relay = relay(&bench, &bus);
    relay.start();
    until("the others are told", async || bus.messages().len() >= 5).await;
    let others: Vec<String> = all.iter().filter(|id| **id != all[1]).cloned().collect();
    assert_eq!(first_seen(&bus.messages(), &bench), others);
    let refused = put_aside(bench.engine.store().as_ref(), 10).await.unwrap();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((&refused[0].message_id, refused[0].merchant_id), (&all[1], bench.merchant.id));
    assert!(refused[0].because.contains("too large"), "{refused:?}");
    relay.stop(PATIENCE).await;

    // Once the broker takes it.
    let broker = memory();
    let mut sink: Arc<dyn Bus> = Arc::clone(&broker) as Arc<dyn Bus>;
    let id: EventId = all[1].parse().unwrap();
    let wish = Replay { to: Some(Until::Event(id)), ..wish(Until::Event(id)) };
    let outcome = replay(bench.engine.store().as_ref(), BODIES, &wish, &mut sink).await.unwrap();
    assert_eq!(outcome.messages, 1);
    assert_eq!(broker.messages()[0].id, all[1]);
}

fn wish(from: Until) -> Replay {
    Replay {
        from,
        to: None,
        topic: None,
        merchant_id: None,
        batch_events: 4,
        batch_bytes: 1 << 20,
        share_percent: 100,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_begins_and_ends_where_it_is_told() {
    let bench = paying().await;
    let other = neighbour(&bench).await;
    for _ in 0..5 {
        bench.pay().await;
        other.pay().await;
        bench.clock_ms.fetch_add(600_000, Ordering::SeqCst);
    }
    let store = bench.engine.store().as_ref();
    let told = async |wish: Replay| {
        let bus = memory();
        let mut sink: Arc<dyn Bus> = Arc::clone(&bus) as Arc<dyn Bus>;
        let outcome = replay(store, BODIES, &wish, &mut sink).await.unwrap();
        let messages = bus.messages();
        assert_eq!(outcome.messages, messages.len() as u64);
        [&bench, &other].map(|bench| first_seen(&messages, bench))
    };
    let (own, others) = (ids_of(&bench).await, ids_of(&other).await);
    assert_eq!(told(wish(Until::Sequence(0))).await, [own.clone(), others.clone()]);
    let alone = Replay { merchant_id: Some(other.merchant.id), ..wish(Until::Sequence(0)) };
    assert_eq!(told(alone).await, [vec![], others.clone()]);
    let nothing = Replay { topic: Some(Topic::FraudAlerts), ..wish(Until::Sequence(0)) };
    assert_eq!(told(nothing).await, [Vec::<String>::new(), Vec::new()]);
    // The second and third ten minutes.
    let at = |round: u64| Until::Time(START_MS + round * 600_000);
    let middle = Replay { to: Some(at(3)), ..wish(at(1)) };
    assert_eq!(told(middle).await, [own[2..6].to_vec(), others[2..6].to_vec()]);
    // One event on: of its own merchant from it on, of others from its time on.
    let id: EventId = own[3].parse().unwrap();
    assert_eq!(told(wish(Until::Event(id))).await, [own[3..].to_vec(), others[2..].to_vec()]);
    let upto = Replay { to: Some(Until::Sequence(4)), ..wish(Until::Sequence(2)) };
    assert_eq!(told(upto).await, [own[1..2].to_vec(), others[..2].to_vec()]);
    let unknown = wish(Until::Event(EventId::from_u128(1)));
    let mut sink: Arc<dyn Bus> = memory();
    assert!(replay(store, BODIES, &unknown, &mut sink).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_begins_with_what_comes_and_is_given_up_when_nobody_has_it() {
    let bench = paying().await;
    bench.pay().await;
    let store = bench.engine.store().as_ref();
    let now = RelayOptions { begin: Begin::Now, ..options() };
    let bus = memory();
    let relay = relay_with(&bench, Arc::clone(&bus) as Arc<dyn Bus>, now.clone());
    assert_eq!(status(store).await.unwrap()[0].read, None, "nothing is kept for it");
    relay.start();
    until("it has begun", async || {
        status(store).await.unwrap().iter().all(|line| line.read.is_some() && line.hold.is_some())
    })
    .await;
    bench.pay().await;
    until("what came is told", async || bus.messages().len() >= 2).await;
    assert_eq!(first_seen(&bus.messages(), &bench), ids_of(&bench).await[2..]);
    let by = By::system(bench.engine.now_ms());
    assert_eq!(give_up(store, &by).await.unwrap().unwrap_err().name, "test");
    relay.stop(PATIENCE).await;
    // What happens while there is no bus is told by the next one, unless it is given up.
    bench.pay().await;
    let bus = memory();
    let relay = relay_with(&bench, Arc::clone(&bus) as Arc<dyn Bus>, now.clone());
    relay.start();
    until("it goes on", async || bus.messages().len() >= 2).await;
    assert_eq!(first_seen(&bus.messages(), &bench), ids_of(&bench).await[4..]);
    relay.stop(PATIENCE).await;
    assert_eq!(give_up(store, &by).await.unwrap().unwrap(), 2);
    assert!(status(store).await.unwrap().iter().all(|line| line.read.is_none()));
}

//! The job that forgets a person, ended dead wherever it is: it goes on, what it does counts once, and nothing of the person is left.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::{Act, Bench, START_MS, bench, order, scripted};
use tokio::runtime::Runtime;
use tollgate_core::audit::By;
use tollgate_core::checkout::{CheckoutCustomer, CheckoutSecret, CheckoutSession};
use tollgate_core::currency::Currency;
use tollgate_core::erasure::Subject;
use tollgate_core::id::{CheckoutId, IdParts, PasskeyId};
use tollgate_core::job::{Job, JobState};
use tollgate_core::method::MethodFamily;
use tollgate_core::money::Money;
use tollgate_core::passkey::Passkey;
use tollgate_engine::request::{IdempotencyKey, NewCustomer};
use tollgate_engine::subjects::{Found, find, job::outcome};
use tollgate_store::commit::{Admin, Upkeep};

const USER: &str = "asha";
const EMAIL: &str = "asha@example.com";
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than a step's lease and than the pause between steps.
const WHILE_MS: u64 = 301_000;

/// A shop and a person, on a runtime that outlives the gateways.
struct Shop {
    home: Runtime,
    processor: SocketAddr,
    bench: Bench,
}

impl Shop {
    /// With so many payments of the person, under a key each, and one session and some passkeys.
    fn new(payments: usize, passkeys: usize) -> Self {
        let home = Runtime::new().unwrap();
        let processor = scripted(&[Act::Answer("captured")]).address;
        let bench = home.block_on(async {
            let bench = bench(&[processor]).await;
            for place in 0..payments {
                let key = IdempotencyKey { key: format!("key {place}"), fingerprint: [1; 32] };
                bench.pay_for(order(person()), Some(key)).await;
            }
            for place in 0..passkeys {
                let passkey = Passkey {
                    id: PasskeyId::from_u128(place as u128),
                    merchant_id: bench.merchant.id,
                    user_id: USER.to_owned(),
                    credential_id: place.to_be_bytes().to_vec(),
                    credential: "{}".to_owned(),
                    sign_count: 0,
                    created_at_ms: START_MS,
                };
                let put = Admin::PutPasskey(passkey);
                bench.engine.store().administer(put, By::system(START_MS)).await.unwrap();
            }
            bench
        });
        Self { home, processor, bench }
    }

    /// An open checkout session of the person.
    fn session(&self) -> CheckoutId {
        let merchant_id = self.bench.merchant.id;
        let parts = IdParts { unix_ms: START_MS, sub_ms: 0, bucket: merchant_id.bucket(), random: 9 };
        let customer = CheckoutCustomer { user_id: Some(USER.to_owned()), ..CheckoutCustomer::default() };
        let session = CheckoutSession {
            id: CheckoutId::from_parts(parts),
            merchant_id,
            secret: CheckoutSecret::new(5),
            amount: Money::new(500, Currency::INR),
            methods: vec![MethodFamily::UpiIntent],
            customer,
            description: None,
            statement_descriptor: None,
            return_url: None,
            cancel_url: None,
            metadata: vec![],
            mandate: None,
            created_at_ms: START_MS,
            expires_at_ms: START_MS + 1_000 * WHILE_MS,
        };
        let id = session.id;
        let put = self.bench.engine.store().upkeep(Upkeep::PutCheckout(Box::new(session)));
        self.home.block_on(put).unwrap();
        id
    }

    fn erase_later(&self) -> Job {
        let (subject, by) = (subject(), By::system(START_MS));
        let job = self.bench.engine.erase_later(self.bench.merchant.id, (&subject, None), by);
        self.home.block_on(job).unwrap()
    }

    fn job(&self, job: &Job) -> Job {
        let job = self.bench.engine.store().job(job.merchant_id, job.id);
        self.home.block_on(job).unwrap().unwrap()
    }

    /// A gateway at work until then, and ended dead. It comes to one step of a job at most: for the next the clock would have to move.
    fn run<F: Future<Output = ()>>(&mut self, until: impl FnOnce(Arc<tollgate_engine::Engine>) -> F) {
        let run = Runtime::new().unwrap();
        run.block_on(async {
            self.bench.engine.start();
            until(Arc::clone(&self.bench.engine)).await;
        });
        run.shutdown_timeout(PATIENCE);
        // Another one comes when whatever this one had leased is free again.
        self.bench.clock_ms.fetch_add(WHILE_MS, Ordering::SeqCst);
        let _home = self.home.enter();
        self.bench = self.bench.restarted(&[self.processor]);
    }

    /// One step of the job.
    fn step(&mut self, before: &Job) -> Job {
        let (merchant_id, id, payload) = (before.merchant_id, before.id, before.payload.clone());
        self.run(move |engine| async move {
            let begun = Instant::now();
            loop {
                let job = engine.store().job(merchant_id, id).await.unwrap().unwrap();
                if job.state == JobState::Done || job.payload != payload {
                    return;
                }
                assert!(begun.elapsed() < PATIENCE, "{job:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        self.job(before)
    }

    /// What is known of the person.
    fn known(&self) -> Found {
        let store = self.bench.engine.store();
        let (merchant_id, subject) = (self.bench.merchant.id, subject());
        let found = find(store.as_ref(), merchant_id, &subject, (None, 1_000, 1_000));
        self.home.block_on(found).unwrap()
    }

    /// How often the audit log tells of something.
    fn told(&self, action: &str) -> usize {
        let store = self.bench.engine.store();
        let told = self.home.block_on(store.merchant_audit(self.bench.merchant.id, None, 1_000)).unwrap();
        told.iter().filter(|record| record.entry.action() == action).count()
    }
}

fn person() -> NewCustomer {
    NewCustomer { user_id: Some(USER.to_owned()), email: Some(EMAIL.to_owned()), ..NewCustomer::default() }
}

fn subject() -> Subject {
    Subject { user_id: Some(USER.to_owned()), ..Subject::default() }
}

/// Most gateways that are ended: their time, of which the clock is told, stays within a day, as long as replies are remembered.
const CUTS_MAX: u32 = 280;

/// Who lives that long comes through a step.
const LIFE_MAX: Duration = Duration::from_secs(15);

/// Gateways that live longer and longer: every step is cut off at many places before one gets through it.
#[test]
fn a_job_that_is_cut_off_anywhere_goes_on_and_counts_everything_once() {
    // Two pages, the last not full.
    const PAYMENTS: usize = 140;
    const PASSKEYS: usize = 6;
    let mut shop = Shop::new(PAYMENTS, PASSKEYS);
    shop.session();
    let asked = shop.erase_later();
    let (mut cuts, mut life) = (0_u32, Duration::ZERO);
    let (mut payload, mut redone) = (asked.payload.clone(), 0);
    let done = loop {
        let known = shop.known().payments.len();
        shop.run(|_| tokio::time::sleep(life));
        let job = shop.job(&asked);
        if job.state == JobState::Done {
            break job;
        }
        if job.payload == payload {
            // Something was done of which nothing is noted.
            redone += usize::from(shop.known().payments.len() < known);
            (cuts, life) = (cuts + 1, life.mul_f64(1.3) + Duration::from_micros(300));
        } else {
            payload = job.payload;
            life = Duration::ZERO;
        }
        assert!(
            cuts < CUTS_MAX && life < LIFE_MAX,
            "it does not come to an end: {}",
            String::from_utf8_lossy(&payload)
        );
    };
    println!("cut off {cuts} times, {redone} of them while a page was being masked");
    let (_, counts) = outcome(&done).unwrap();
    assert_eq!(
        (counts.payments, counts.replies, counts.passkeys, counts.checkouts),
        (PAYMENTS, PAYMENTS, PASSKEYS, 1),
        "after {cuts} cuts"
    );
    let left = shop.known();
    assert_eq!((left.payments.len(), left.sessions.len()), (0, 0));
    let passkeys = shop.bench.engine.store().passkeys(shop.bench.merchant.id, USER);
    assert!(shop.home.block_on(passkeys).unwrap().is_empty());
    assert!(done.private.0.is_empty(), "who it was is wiped with the job's end");
    for action in ["data_subject.erasure_requested", "data_subject.erased"] {
        assert_eq!(shop.told(action), 1, "{action}");
    }
    shop.home.block_on(shop.bench.assert_clean());
}

/// More steps than such a job has.
const STEPS_MAX: usize = 20;

#[test]
fn what_the_person_begins_in_a_session_of_theirs_meanwhile_is_forgotten_too() {
    let mut shop = Shop::new(1, 0);
    let session = shop.session();
    let mut job = shop.erase_later();
    let is_noted = |job: &Job| String::from_utf8_lossy(&job.payload).contains("\"Mask\"");
    for _ in 0..STEPS_MAX {
        if is_noted(&job) {
            break;
        }
        job = shop.step(&job);
    }
    assert!(is_noted(&job), "{job:?}");
    // The page is noted; the session in it is open still.
    let late = shop.home.block_on(async {
        let mut new = order(person());
        new.checkout = Some(session);
        shop.bench.pay_for(new, None).await
    });
    for _ in 0..STEPS_MAX {
        if job.state != JobState::Done {
            job = shop.step(&job);
        }
    }
    assert_eq!(job.state, JobState::Done);
    let left = shop.known();
    assert_eq!((left.payments.len(), left.sessions.len()), (0, 0));
    let late = shop.home.block_on(shop.bench.payment(late.id));
    assert_eq!((late.terms.user_id.as_deref(), late.terms.amount.minor), (None, 500));
    let (_, counts) = outcome(&job).unwrap();
    assert_eq!(counts.payments, 2);
    shop.home.block_on(shop.bench.assert_clean());
}

//! What a lost answer means, and that doubt is never resolved by counting: a scripted processor over
//! real sockets, with the clock moved by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tollgate_connectors::capability::MethodRule;
use tollgate_connectors::webhook::{WebhookError, WebhookMessage, WebhookRequest};
use tollgate_connectors::wire::{HttpRequest, HttpResponse};
use tollgate_connectors::{BuildError, Call, Capabilities, Connector, Operation, Progress, Step};
use tollgate_core::attempt::{AttemptStatus, ProcessorName};
use tollgate_core::currency::Currency;
use tollgate_core::event::Flag;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{IdParts, MerchantId, PaymentId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, MethodFamily, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;
use tollgate_core::transition::PaymentStatus;
use tollgate_engine::clock::Clock;
use tollgate_engine::enquiry::EnquiryOptions;
use tollgate_engine::login::LoginCache;
use tollgate_engine::processors::{Processor, Processors};
use tollgate_engine::request::{NewCustomer, NewPayment};
use tollgate_engine::{Engine, EngineOptions};
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, StoredReply};
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_vault::MemoryVault;

const START_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// What the scripted processor does with its next requests; the last one is repeated.
#[derive(Debug, Clone, Copy)]
enum Act {
    Answer(&'static str),
    HangUp,
}

/// A processor that answers what the script says.
struct Script {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

fn scripted(acts: &[Act]) -> Script {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let acts: Arc<Mutex<VecDeque<Act>>> = Arc::new(Mutex::new(acts.iter().copied().collect()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 4096];
            // One small request a connection: what one read brings is all of it.
            if stream.read(&mut buffer).unwrap_or(0) == 0 {
                continue;
            }
            seen.fetch_add(1, Ordering::SeqCst);
            let mut acts = acts.lock().unwrap();
            let act = if acts.len() > 1 { acts.pop_front() } else { acts.front().copied() };
            if let Some(Act::Answer(word)) = act {
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", word.len());
                let _ = stream.write_all(format!("{head}{word}").as_bytes());
            }
        }
    });
    Script { address, requests }
}

/// A wire format of one word: what the body says is what it means. A charge takes two exchanges, of
/// which the second moves the money.
#[derive(Debug)]
struct Words {
    address: SocketAddr,
    capabilities: Capabilities,
}

fn capabilities() -> Capabilities {
    Capabilities {
        methods: vec![MethodRule::new(MethodFamily::UpiIntent, &[Currency::INR]).manual()],
        partial_capture: true,
        partial_refund: true,
        ..Capabilities::default()
    }
}

impl Words {
    fn exchange(&self, index: u8, moves_money: bool) -> Call {
        let request = HttpRequest::post_json(format!("http://{}/", self.address), b"x".to_vec().into());
        Call::new(request, moves_money, Step { index, carry: None })
    }
}

impl Connector for Words {
    fn kind(&self) -> &'static str {
        "words"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn base_url(&self) -> &str {
        ""
    }

    fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        Ok(self.exchange(0, !matches!(operation, Operation::Charge(_))))
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        let failure = |code| Failure::new(code, "as scripted");
        let outcome = match response.body {
            b"next" if matches!(operation, Operation::Charge(_)) => {
                return Progress::Next(Box::new(self.exchange(step.index + 1, true)));
            }
            b"captured" => Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 500 },
            b"declined" => Outcome::Declined(failure(FailureCode::CardDeclined)),
            b"refused" => Outcome::NotTaken(failure(FailureCode::ProcessorUnavailable)),
            b"absent" => Outcome::NotFound,
            _ => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
        };
        Progress::Done(outcome)
    }

    fn webhook(&self, _: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        Err(WebhookError::Malformed)
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    engine: Arc<Engine>,
    merchant: Merchant,
    clock_ms: Arc<AtomicU64>,
}

/// An engine over these processors, tried in this order.
async fn bench(addresses: &[SocketAddr]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 1)).unwrap());
    let names = ["first", "second"];
    let processors = addresses.iter().zip(names).map(|(address, name)| Processor {
        name: ProcessorName::new(name),
        connector: Box::new(Words { address: *address, capabilities: capabilities() }),
        timeout: Duration::from_secs(2),
        probe_address: address.to_string(),
        merchants: vec![],
        login: LoginCache::default(),
    });
    let clock_ms = Arc::new(AtomicU64::new(START_MS));
    let engine = Engine::new(EngineOptions {
        store,
        vault: Arc::new(MemoryVault::new(20, 60_000)),
        desk: None,
        processors: Processors::new(processors.collect()),
        clock: Clock::Manual(Arc::clone(&clock_ms)),
        public_url: "http://127.0.0.1:1".to_owned(),
        connect_timeout: Duration::from_secs(1),
        flows_max: 8,
        failover_max: 2,
        enquiry: EnquiryOptions::default(),
    });
    let parts = IdParts { unix_ms: START_MS, sub_ms: 0, bucket: 1, random: 1 };
    let merchant = Merchant {
        id: MerchantId::from_parts(parts),
        name: "Shop".to_owned(),
        mode: Mode::Sandbox,
        active: true,
        fee: FeePlan::default(),
        mcc: None,
        country: None,
        processors: names.map(ProcessorName::new).to_vec(),
        created_at_ms: START_MS,
    };
    engine.store().administer(Admin::PutMerchant(merchant.clone())).await.unwrap();
    Bench { _folder: folder, engine, merchant, clock_ms }
}

fn render(payment: &Payment, _: Option<&Refund>) -> StoredReply {
    StoredReply { status: 201, body: payment.id.to_string().into_bytes() }
}

impl Bench {
    async fn pay(&self) -> Payment {
        let new = NewPayment {
            amount: Money::new(500, Currency::INR),
            capture: CaptureMode::Automatic,
            method: MethodKind::Upi,
            instrument: None,
            customer: NewCustomer::default(),
            description: None,
            statement_descriptor: None,
            return_url: None,
            metadata: vec![],
            processor: None,
            mandate: None,
            checkout: None,
            confirmation: None,
        };
        let answer = self.engine.create_payment(&self.merchant, new, None, render).await.unwrap();
        let id: PaymentId = String::from_utf8(answer.reply.body).unwrap().parse().unwrap();
        self.payment(id).await
    }

    async fn payment(&self, id: PaymentId) -> Payment {
        self.engine.store().payment(self.merchant.id, id).await.unwrap().unwrap()
    }

    async fn statuses(&self, payment: &Payment) -> Vec<(String, AttemptStatus)> {
        let mut found = Vec::new();
        for id in &payment.attempts {
            let attempt = self.engine.store().attempt(*id).await.unwrap().unwrap();
            found.push((attempt.processor.to_string(), attempt.status));
        }
        found
    }

    async fn assert_clean(&self) {
        let report = audit(self.engine.store().as_ref(), &mut |_, _| {}).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

/// An address nobody listens on.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

use Act::{Answer, HangUp};
use AttemptStatus::{NotTaken, Open, Succeeded};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_fails_over() {
    let second = scripted(&[Answer("next"), Answer("captured")]);
    let bench = bench(&[nobody(), second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Completed, "second"));
    let statuses = bench.statuses(&payment).await;
    assert_eq!(statuses, [("first".to_owned(), NotTaken), ("second".to_owned(), Succeeded)]);
    bench.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_before_money_could_move_fails_over() {
    let first = scripted(&[HangUp]);
    let second = scripted(&[Answer("next"), Answer("captured")]);
    let bench = bench(&[first.address, second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Completed, "second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_money_could_move_is_unknown_and_goes_nowhere_else() {
    let first = scripted(&[Answer("next"), HangUp]);
    let second = scripted(&[Answer("next"), Answer("captured")]);
    let bench = bench(&[first.address, second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Processing, "first"));
    assert_eq!(bench.statuses(&payment).await, [("first".to_owned(), Open)]);
    assert_eq!(second.requests.load(Ordering::SeqCst), 0);
    bench.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_documented_refusal_fails_over_and_a_decline_does_not() {
    let first = scripted(&[Answer("next"), Answer("refused")]);
    let second = scripted(&[Answer("declined")]);
    let bench = bench(&[first.address, second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Declined, "second"));

    let declining = scripted(&[Answer("declined")]);
    let unused = scripted(&[Answer("captured")]);
    let other = self::bench(&[declining.address, unused.address]).await;
    assert_eq!(other.pay().await.status, PaymentStatus::Declined);
    assert_eq!(unused.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_left_is_failed() {
    let bench = bench(&[nobody(), nobody()]).await;
    let payment = bench.pay().await;
    assert_eq!(payment.status, PaymentStatus::Failed);
    assert_eq!(payment.failure.unwrap().code, FailureCode::ProcessorUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enquiry_that_finds_nothing_for_days_leaves_it_processing_and_flagged() {
    let first = scripted(&[Answer("next"), HangUp, Answer("absent")]);
    let bench = bench(&[first.address]).await;
    bench.engine.start();
    let payment = bench.pay().await;
    for hour in 1..=10 {
        let asked = first.requests.load(Ordering::SeqCst);
        bench.clock_ms.store(START_MS + hour * DAY_MS, Ordering::SeqCst);
        for _ in 0..400 {
            if first.requests.load(Ordering::SeqCst) > asked {
                break;
            }
            // The enquiry before may have been put off only after the clock was moved.
            bench.clock_ms.fetch_add(DAY_MS / 1_000, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(first.requests.load(Ordering::SeqCst) > asked, "day {hour}: nobody asked");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = bench.payment(payment.id).await;
    assert_eq!(after.status, PaymentStatus::Processing);
    assert_eq!(after.flags, [Flag::OutcomeUnknown]);
    assert_eq!(bench.statuses(&after).await, [("first".to_owned(), Open)]);
    bench.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enquiry_that_finds_the_money_completes_it() {
    let first = scripted(&[Answer("next"), HangUp, Answer("absent"), HangUp, Answer("captured")]);
    let bench = bench(&[first.address]).await;
    bench.engine.start();
    let payment = bench.pay().await;
    assert_eq!(payment.status, PaymentStatus::Processing);
    for second in 1..2_000 {
        bench.clock_ms.store(START_MS + second * 1_000, Ordering::SeqCst);
        if bench.payment(payment.id).await.status == PaymentStatus::Completed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = bench.payment(payment.id).await;
    assert_eq!((after.status, after.captured_minor), (PaymentStatus::Completed, 500));
    assert_eq!(first.requests.load(Ordering::SeqCst), 5);
    bench.assert_clean().await;
}

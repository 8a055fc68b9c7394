//! A scripted processor over real sockets, and an engine over such processors with the clock moved by hand.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "tests stop where they fail, and each test file uses a part of this"
)]

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
use tollgate_core::audit::By;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{IdParts, MerchantId, PaymentId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodFamily, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;
use tollgate_engine::clock::Clock;
use tollgate_engine::enquiry::EnquiryOptions;
use tollgate_engine::login::LoginCache;
use tollgate_engine::processors::{Processor, Processors};
use tollgate_engine::request::{IdempotencyKey, NewCustomer, NewInstrument, NewPayment};
use tollgate_engine::risk::FraudOptions;
use tollgate_engine::{Engine, EngineOptions};
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, StoredReply};
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_vault::MemoryVault;

pub const START_MS: u64 = 1_790_000_000_000;
pub const DAY_MS: u64 = 86_400_000;

/// What the scripted processor does with its next requests; the last one is repeated.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Answer(&'static str),
    HangUp,
}

/// A processor that answers what the script says.
pub struct Script {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
}

pub fn scripted(acts: &[Act]) -> Script {
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
pub struct Words {
    address: SocketAddr,
    capabilities: Capabilities,
}

fn capabilities(manual: bool) -> Capabilities {
    let rule = MethodRule::new(MethodFamily::UpiIntent, &[Currency::INR]);
    Capabilities {
        methods: vec![if manual { rule.manual() } else { rule }],
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
            b"authorized" => Outcome::Authorized { processor_payment_id: "p".to_owned(), amount_minor: 500 },
            b"voided" => Outcome::Voided,
            b"refunded" => Outcome::Refunded { processor_refund_id: "r".to_owned(), amount_minor: 500 },
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

pub struct Bench {
    pub folder: Arc<tempfile::TempDir>,
    pub engine: Arc<Engine>,
    pub merchant: Merchant,
    pub clock_ms: Arc<AtomicU64>,
}

/// An engine over these processors, tried in this order.
pub async fn bench(addresses: &[SocketAddr]) -> Bench {
    bench_at(addresses, true).await
}

/// An engine over these processors, which can reserve money, or not.
pub async fn bench_at(addresses: &[SocketAddr], manual: bool) -> Bench {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let store: Arc<dyn Store> =
        Arc::new(EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 1)).unwrap());
    let clock_ms = Arc::new(AtomicU64::new(START_MS));
    let engine = engine(store, addresses, manual, &clock_ms);
    let parts = IdParts { unix_ms: START_MS, sub_ms: 0, bucket: 1, random: 1 };
    let merchant = Merchant {
        id: MerchantId::from_parts(parts),
        name: "Shop".to_owned(),
        mode: Mode::Sandbox,
        active: true,
        fee: FeePlan::default(),
        mcc: None,
        country: None,
        processors: NAMES.map(ProcessorName::new).to_vec(),
        created_at_ms: START_MS,
    };
    engine.store().administer(Admin::PutMerchant(merchant.clone()), By::system(0)).await.unwrap();
    Bench { folder, engine, merchant, clock_ms }
}

const NAMES: [&str; 2] = ["first", "second"];

fn engine(
    store: Arc<dyn Store>,
    addresses: &[SocketAddr],
    manual: bool,
    clock_ms: &Arc<AtomicU64>,
) -> Arc<Engine> {
    let processors = addresses.iter().zip(NAMES).map(|(address, name)| Processor {
        name: ProcessorName::new(name),
        connector: Box::new(Words { address: *address, capabilities: capabilities(manual) }),
        timeout: Duration::from_secs(2),
        probe_address: address.to_string(),
        merchants: vec![],
        login: LoginCache::default(),
        traits: tollgate_engine::processors::RoutingTraits::default(),
        template: None,
        own: None,
    });
    Engine::new(EngineOptions {
        store,
        vault: Arc::new(MemoryVault::new(20, 60_000)),
        desk: None,
        processors: Processors::new(processors.collect()),
        clock: Clock::Manual(Arc::clone(clock_ms)),
        public_url: "http://127.0.0.1:1".to_owned(),
        connect_timeout: Duration::from_secs(1),
        flows_max: 8,
        routing: tollgate_engine::routing::RoutingOptions::default(),
        fraud: FraudOptions { budget: Duration::from_secs(5), ..FraudOptions::default() },
        enquiry: EnquiryOptions::default(),
    })
}

pub fn render(payment: &Payment, _: Option<&Refund>) -> StoredReply {
    StoredReply { status: 201, body: payment.id.to_string().into_bytes().into() }
}

impl Bench {
    /// Another engine on the same store, as after a restart.
    pub fn restarted(&self, addresses: &[SocketAddr]) -> Self {
        let store = Arc::clone(self.engine.store());
        Self {
            folder: Arc::clone(&self.folder),
            engine: engine(store, addresses, true, &self.clock_ms),
            merchant: self.merchant.clone(),
            clock_ms: Arc::clone(&self.clock_ms),
        }
    }

    pub async fn pay(&self) -> Payment {
        self.pay_by(NewCustomer::default()).await
    }

    /// A payment of a customer.
    pub async fn pay_as(&self, user_id: &str) -> Payment {
        self.pay_by(NewCustomer { user_id: Some(user_id.to_owned()), ..NewCustomer::default() }).await
    }

    /// A payment of a customer with addresses.
    pub async fn pay_by(&self, customer: NewCustomer) -> Payment {
        self.pay_for(order(customer), None).await
    }

    pub async fn pay_for(&self, new: NewPayment, key: Option<IdempotencyKey>) -> Payment {
        let answer = self.engine.create_payment(&self.merchant, Box::new(new), key, render).await.unwrap();
        let id: PaymentId = String::from_utf8(answer.reply.body.into()).unwrap().parse().unwrap();
        self.payment(id).await
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        self.engine.store().payment(self.merchant.id, id).await.unwrap().unwrap()
    }

    pub async fn statuses(&self, payment: &Payment) -> Vec<(String, AttemptStatus)> {
        let mut found = Vec::new();
        for id in &payment.attempts {
            let attempt = self.engine.store().attempt(*id).await.unwrap().unwrap();
            found.push((attempt.processor.to_string(), attempt.status));
        }
        found
    }

    pub async fn assert_clean(&self) {
        let report = audit(self.engine.store().as_ref(), &mut |_, _| {}).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

/// A payment of a customer, as it is asked for.
pub fn order(customer: NewCustomer) -> NewPayment {
    NewPayment {
        amount: Money::new(500, Currency::INR),
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument: Some(NewInstrument {
            summary: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
            card: None,
        }),
        customer,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: vec![],
        processor: None,
        mandate: None,
        checkout: None,
        confirmation: None,
        time_max: None,
    }
}

/// An address nobody listens on.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

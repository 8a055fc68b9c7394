//! The payment flow: commit, call, commit, reply.
//!
//! Everything from commit 1 on runs in a task of its own, so that a caller who hangs up cannot
//! leave a charge half-done.

use crate::accounts::Accounts;
use crate::charge::Trip;
use crate::clock::Clock;
use crate::desk::CardDesk;
use crate::enquiry::Enquiries;
use crate::error::EngineError;
use crate::exchange::Http;
use crate::fresh::Fresh;
use crate::ids;
use crate::live::LiveStatistics;
use crate::modes::Modes;
use crate::pressure::Pressure;
use crate::processors::{Processor, Processors};
use crate::request::{IdempotencyKey, NewInstrument, NewPayment, NewRefund};
use crate::risk::{Asked, FraudOptions, Gate, Screener};
use crate::routing::{CallGuard, Plan, Router, RoutingOptions};
use crate::sandbox;
use crate::send::{CardSource, ChargeSecrets, ms};
use crate::subjects::job::Erasures;
use crate::watch::Watchers;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tollgate_core::attempt::{AttemptStart, AttemptStatus, ProcessorName};
use tollgate_core::command::{Command, Refusal};
use tollgate_core::event::{PaymentEvent, PaymentTerms};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, EventId, IdParts, MerchantId, PaymentId, RefundId};
use tollgate_core::live::LiveView;
use tollgate_core::merchant::{Merchant, Mode};
use tollgate_core::method::{InstrumentSummary, MethodFamily, UpiFlow, upi_collect_allowed};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::outlive::Outliving;
use tollgate_core::payment::Payment;
use tollgate_core::routing::record::RouteRecord;
use tollgate_core::share::{Full, Places};
use tollgate_store::Store;
use tollgate_store::commit::{Commit, CommitError, Committed, IdempotencyStep, Render, StoredReply};
use tollgate_store::error::StoreError;
use tollgate_vault::CardVault;

/// The first pause before an idempotency key is answered whose flow was ended by the store; each further one is twice
/// as long.
const GIVE_BACK_FIRST: Duration = Duration::from_secs(1);

/// Up to this.
const GIVE_BACK_LONGEST: Duration = Duration::from_secs(60);

/// How often it is tried: for about an hour.
const GIVE_BACK_TRIES_MAX: u32 = 64;

/// What the engine is made of.
#[derive(Debug)]
pub struct EngineOptions {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Processor accounts.
    pub processors: Processors,
    /// The card vault.
    pub vault: Arc<dyn CardVault>,
    /// Who sends the charges that need a clear card, when the vault is a process of its own.
    pub desk: Option<Arc<dyn CardDesk>>,
    /// The clock.
    pub clock: Clock,
    /// Where customers' browsers and processors reach this gateway, e.g. `https://pay.example.com`.
    pub public_url: String,
    /// The longest a connection to a processor may take to be made.
    pub connect_timeout: Duration,
    /// Most payments, captures and refunds under way at once.
    pub flows_max: usize,
    /// Which processors payments go to, and what is tried again.
    pub routing: RoutingOptions,
    /// When and how long open attempts are asked about.
    pub enquiry: crate::enquiry::EnquiryOptions,
    /// The fraud check.
    pub fraud: FraudOptions,
}

/// The engine. Lives in an [`Arc`]; its background work is started by [`Engine::start`].
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) processors: Processors,
    pub(crate) http: Http,
    pub(crate) clock: Clock,
    pub(crate) enquiries: Enquiries,
    pub(crate) public_url: String,
    pub(crate) watchers: Watchers,
    pub(crate) vault: Arc<dyn CardVault>,
    pub(crate) accounts: Accounts,
    pub(crate) live: LiveStatistics,
    pub(crate) erasures: Erasures,
    pub(crate) desk: Option<Arc<dyn CardDesk>>,
    pub(crate) risk: Screener,
    pub(crate) router: Arc<Router>,
    pub(crate) modes: Modes,
    pub(crate) pressure: Arc<Pressure>,
    /// Rings with every event that was committed.
    pub(crate) news: Arc<Notify>,
    /// Wakes who tells the bus.
    pub(crate) bus_news: Notify,
    pub(crate) fresh: Fresh,
    flows: Mutex<Places>,
}

/// What the caller is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status and body.
    pub reply: StoredReply,
    /// Whether it was given before.
    pub replayed: bool,
    /// How long the processor was waited for; none where nobody was asked.
    pub waited: Option<Duration>,
}

/// What a flow comes to.
pub(crate) struct Told {
    pub(crate) reply: StoredReply,
    /// How long the processor was waited for, all tries together.
    pub(crate) waited: Duration,
}

impl Told {
    /// Without anybody asked.
    pub(crate) const fn at_once(reply: StoredReply) -> Self {
        Self { reply, waited: Duration::ZERO }
    }
}

impl Answer {
    /// One that was given before.
    #[must_use]
    pub const fn again(reply: StoredReply) -> Self {
        Self { reply, replayed: true, waited: None }
    }
}

/// Counts a flow for as long as it lives.
struct Flow(Arc<Engine>, MerchantId);

impl Drop for Flow {
    fn drop(&mut self) {
        self.0.flows.lock().leave(self.1);
    }
}

/// What commit 1 left to be done.
pub(crate) struct Begun {
    pub(crate) committed: Committed,
    key: Option<String>,
    render: Render,
}

/// Whose idempotency key it is, and what its reply shows.
#[derive(Clone, Copy)]
struct Claim {
    merchant_id: MerchantId,
    payment_id: PaymentId,
    refund_id: Option<RefundId>,
    /// When it was claimed; none: whenever that was.
    at_ms: Option<u64>,
}

impl Engine {
    /// Puts an engine together.
    #[must_use]
    pub fn new(options: EngineOptions) -> Arc<Self> {
        let weights = Arc::clone(options.store.weights());
        let router = Router::new(options.routing, &options.processors, weights, options.clock.clone());
        Arc::new(Self {
            router: Arc::new(router),
            modes: Modes::default(),
            store: options.store,
            processors: options.processors,
            http: Http::new(options.connect_timeout),
            public_url: options.public_url.trim_end_matches('/').to_owned(),
            clock: options.clock,
            watchers: Watchers::default(),
            enquiries: Enquiries::new(options.enquiry),
            vault: options.vault,
            accounts: Accounts::default(),
            live: LiveStatistics::default(),
            erasures: Erasures::default(),
            desk: options.desk,
            risk: Screener::new(options.fraud),
            pressure: Arc::default(),
            news: Arc::default(),
            bus_news: Notify::new(),
            fresh: Fresh::default(),
            flows: Mutex::new(Places::new(options.flows_max, options.routing.merchant_flows_max)),
        })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The card vault.
    #[must_use]
    pub fn vault(&self) -> &Arc<dyn CardVault> {
        &self.vault
    }

    /// Where customers' browsers reach this gateway, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Payments, captures and refunds under way.
    #[must_use]
    pub fn flows_under_way(&self) -> usize {
        self.flows.lock().taken()
    }

    /// How a merchant's payments do just now.
    #[must_use]
    pub fn live(&self, merchant_id: MerchantId) -> LiveView {
        self.live.of(merchant_id, self.now_ms())
    }

    /// How long commits wait, and how many requests wait for processors.
    #[must_use]
    pub const fn pressure(&self) -> &Arc<Pressure> {
        &self.pressure
    }

    /// The reply remembered under a key, if the request was answered before.
    ///
    /// # Errors
    /// [`EngineError::KeyMismatch`] or [`EngineError::KeyInFlight`].
    pub async fn replay(
        &self,
        merchant_id: MerchantId,
        key: &IdempotencyKey,
    ) -> Result<Option<StoredReply>, EngineError> {
        let Some(record) = self.store.idempotency(merchant_id, &key.key, self.now_ms()).await? else {
            return Ok(None);
        };
        if record.fingerprint != key.fingerprint {
            return Err(EngineError::KeyMismatch);
        }
        // Without a reply it is in flight or orphaned: the commit tells which.
        Ok(record.reply)
    }

    /// Takes a payment.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was charged then.
    pub async fn create_payment(
        self: &Arc<Self>,
        merchant: &Merchant,
        new: Box<NewPayment>,
        key: Option<IdempotencyKey>,
        render: Render,
    ) -> Result<Answer, EngineError> {
        if !merchant.active {
            return Err(EngineError::MerchantSuspended);
        }
        self.modes.learn(merchant.id, merchant.mode);
        let (parts, now_ms) = ids::fresh(&self.clock, merchant.id.bucket());
        let NewInstrument { summary, card: in_hand } = match new.instrument {
            Some(instrument) => instrument,
            None if merchant.mode == Mode::Sandbox => {
                sandbox::instrument(new.method).ok_or(EngineError::DetailsRequired)?
            }
            None => return Err(EngineError::DetailsRequired),
        };
        if let InstrumentSummary::Upi { flow: UpiFlow::Collect, .. } = &summary
            && !upi_collect_allowed(merchant.mcc.as_deref(), new.customer.user_agent.as_deref())
        {
            return Err(EngineError::CollectDiscontinued);
        }
        let mut terms = Arc::new(PaymentTerms {
            amount: new.amount,
            capture: new.capture,
            method: new.method,
            instrument: summary,
            fee: merchant.fee,
            user_id: new.customer.user_id,
            customer_name: new.customer.name,
            customer_email: new.customer.email,
            customer_phone: new.customer.phone,
            description: new.description,
            statement_descriptor: new.statement_descriptor,
            return_url: new.return_url,
            metadata: new.metadata,
            mandate: new.mandate,
            confirmed_by: new.confirmation.as_ref().map(|confirmation| confirmation.passkey_id),
            checkout: new.checkout,
            risk: None,
            routing: None,
        });
        let setup = self.mandate_for(merchant.id, &terms.instrument, terms.amount, now_ms).await?;
        let asked = Asked {
            merchant,
            ip: new.customer.ip.as_deref(),
            device_id: new.customer.device_id.as_deref(),
            user_agent: new.customer.user_agent.as_deref(),
            card_fingerprint: in_hand.map(|card| card.fingerprint.to_bytes()),
            processor: new.processor.as_deref(),
            mandate_at: setup.as_ref().map(|setup| &setup.processor),
            key: key.as_ref(),
            spread: parts.random,
            now_ms,
        };
        let gate = self.gate(Arc::make_mut(&mut terms), &asked).await?;
        let (payment_id, attempt_id) =
            (PaymentId::from_parts(parts), AttemptId::from_parts(ids::sibling(parts)));
        let (subject, amount_minor) = ((merchant.id, parts, now_ms), terms.amount.minor);
        let message = new.confirmation.map(|it| format!("cnf:{}", hex_of(&it.digest)));
        let plan = match gate {
            Gate::Open(plan) => plan,
            Gate::Blocked => {
                let failure =
                    Failure::new(FailureCode::FraudDetected, "the fraud check declines the payment");
                let command = Command::Block { payment_id, attempt_id, terms, failure };
                let rest = move |engine: Arc<Self>, begun| engine.block(begun, in_hand);
                return self.run(subject, command, (key, message), render, rest).await;
            }
        };
        let time = new.time_max.map_or(self.router.deadline(), |wanted| wanted.min(self.router.deadline()));
        let own_accounts = match &setup {
            // A debit of a mandate goes where that was set up.
            Some(setup) => setup.own_accounts.clone(),
            None => self.accounts_in_force(merchant.id).await?,
        };
        let family = terms.instrument.family();
        let (first, call, rest) = self.first_call(&plan, merchant.id, family, &own_accounts)?;
        Arc::make_mut(&mut terms).routing =
            Some(Box::new(RouteRecord { own_accounts, ..plan.record(ms(time)) }));
        let card = match in_hand {
            Some(card) => CardSource::Vault(card),
            None if merchant.mode == Mode::Sandbox => sandbox::card(&terms.instrument)
                .map_or(CardSource::None, |card| CardSource::Test(Box::new(card))),
            None => CardSource::None,
        };
        let secrets = ChargeSecrets { card, ip: new.customer.ip, user_agent: new.customer.user_agent, setup };
        let attempt = AttemptStart { id: attempt_id, processor: first, amount_minor };
        let command = Command::Create { payment_id, attempt, terms };
        let (soft_declines, mode) = (plan.soft_declines, merchant.mode);
        let until = Instant::now() + time;
        let trip = Box::new(Trip { secrets, call, rest, until, soft_declines, mode });
        let rest = move |engine: Arc<Self>, begun| engine.charge(begun, trip);
        self.run(subject, command, (key, message), render, rest).await
    }

    /// The first processor of a plan that can be asked now, with the right to ask it, and those behind it.
    fn first_call(
        &self,
        plan: &Plan,
        merchant_id: MerchantId,
        method: MethodFamily,
        own_accounts: &[(ProcessorName, u32)],
    ) -> Result<(ProcessorName, CallGuard, VecDeque<ProcessorName>), EngineError> {
        let mut names: VecDeque<_> = plan.names().collect();
        while let Some(name) = names.pop_front() {
            let is_own = own_accounts.iter().any(|(own, _)| *own == name);
            if let Some(call) = self.router.admit(merchant_id, &name, method, is_own) {
                return Ok((name, call, names));
            }
        }
        // Nobody is able at all, or those who are cannot be asked just now.
        if plan.is_empty() && plan.wait_ms.is_none() {
            return Err(EngineError::NoProcessor);
        }
        Err(EngineError::ProcessorsClosed { retry_after_ms: plan.wait_ms.unwrap_or(1_000) })
    }

    /// Captures an authorized payment, whole or in part.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was captured then.
    pub async fn capture(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        id: PaymentId,
        amount: Option<String>,
        key: Option<IdempotencyKey>,
        render: Render,
    ) -> Result<Answer, EngineError> {
        let payment = self.owned_payment(merchant_id, id).await?;
        let amount = read_amount(amount.as_deref(), &payment)?;
        let partial = amount.is_some_and(|amount| amount.minor < payment.terms.amount.minor);
        if partial && !self.processor(&payment.processor)?.connector.capabilities().partial_capture {
            let processor = payment.processor.to_string();
            return Err(EngineError::Unsupported { processor, what: "partial captures" });
        }
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let command = Command::Capture {
            payment_id: id,
            attempt_id: AttemptId::from_parts(ids::sibling(parts)),
            amount_minor: amount.map(|amount| amount.minor),
        };
        self.run((merchant_id, parts, now_ms), command, (key, None), render, Self::follow_up).await
    }

    /// Cancels a payment that is authorized or waits for the customer.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was cancelled then.
    pub async fn cancel(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        id: PaymentId,
        key: Option<IdempotencyKey>,
        render: Render,
    ) -> Result<Answer, EngineError> {
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let attempt_id = AttemptId::from_parts(ids::sibling(parts));
        let command = Command::Cancel { payment_id: id, attempt_id };
        self.run((merchant_id, parts, now_ms), command, (key, None), render, Self::follow_up).await
    }

    /// Refunds a captured payment, whole or in part.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was reserved or returned then.
    pub async fn refund(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        id: PaymentId,
        new: NewRefund,
        key: Option<IdempotencyKey>,
        render: Render,
    ) -> Result<Answer, EngineError> {
        let payment = self.owned_payment(merchant_id, id).await?;
        let amount = read_amount(new.amount.as_deref(), &payment)?;
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let command = Command::Refund {
            payment_id: id,
            refund_id: RefundId::from_parts(parts),
            attempt_id: AttemptId::from_parts(ids::sibling(parts)),
            amount_minor: amount.map(|amount| amount.minor),
            reason: new.reason,
            metadata: new.metadata,
        };
        self.run((merchant_id, parts, now_ms), command, (key, None), render, Self::follow_up).await
    }

    /// Commit 1 and what follows it. It outlives the caller.
    ///
    /// What is given to a future is kept in it to its end, and all of a future is copied wherever it is moved to: so the commit is put
    /// together before there is one.
    pub(crate) fn run<F, R>(
        self: &Arc<Self>,
        (merchant_id, parts, now_ms): (MerchantId, IdParts, u64),
        command: Command,
        (key, message): (Option<IdempotencyKey>, Option<String>),
        render: Render,
        rest: F,
    ) -> impl Future<Output = Result<Answer, EngineError>> + Send + use<F, R>
    where
        F: FnOnce(Arc<Self>, Begun) -> R + Send + 'static,
        R: Future<Output = Result<Told, EngineError>> + Send + 'static,
    {
        let flow = self.begin_flow(merchant_id);
        let (payment_id, refund_id) = command.begins().unwrap_or((command.payment_id(), None));
        let claim = Claim { merchant_id, payment_id, refund_id, at_ms: Some(now_ms) };
        let name = key.as_ref().map(|key| key.key.clone());
        let first = Box::new(Commit {
            merchant_id,
            now_ms,
            event_id: EventId::from_parts(parts),
            command: Some(command),
            idempotency: key.map(|key| IdempotencyStep::Begin { key: key.key, fingerprint: key.fingerprint }),
            message,
        });
        let work = |flow: Flow| async move {
            let engine = Arc::clone(&flow.0);
            let committed = match engine.commit(first).await {
                Ok(committed) => committed,
                Err(CommitError::Replay(reply)) => {
                    return Ok(Answer::again(reply));
                }
                Err(CommitError::KeyOrphaned { payment_id, refund_id }) => {
                    let claim = Claim { merchant_id, payment_id, refund_id, at_ms: None };
                    return Box::pin(engine.adopt(claim, name.unwrap_or_default(), render)).await;
                }
                Err(CommitError::DuplicateMessage) => return Err(EngineError::ConfirmationUsed),
                Err(error) => {
                    // It may be durable all the same: then its key is claimed, and nobody works on it.
                    if let (CommitError::Store(StoreError::Doubtful(_)), Some(key)) = (&error, name) {
                        tokio::spawn(async move { engine.give_back(claim, key, render).await });
                    }
                    return Err(error.into());
                }
            };
            let claimed = name.clone();
            let begun = Begun { committed, key: name, render };
            let told = match rest(Arc::clone(&engine), begun).await {
                Ok(told) => told,
                Err(error) => {
                    if let (EngineError::Store(_), Some(key)) = (&error, claimed) {
                        tokio::spawn(async move { engine.give_back(claim, key, render).await });
                    }
                    return Err(error);
                }
            };
            drop(flow);
            let waited = (!told.waited.is_zero()).then_some(told.waited);
            Ok(Answer { reply: told.reply, replayed: false, waited })
        };
        let running = flow.map(|flow| Outliving::new(work(flow), carry_on));
        async move {
            let ended = running?.await;
            ended
                .map_err(|_| EngineError::Store(StoreError::Unavailable("the flow was cut off".to_owned())))?
        }
    }

    /// Answers a request whose first run was cut off by a restart, with the payment as it stands.
    async fn adopt(&self, claim: Claim, key: String, render: Render) -> Result<Answer, EngineError> {
        let Claim { merchant_id, payment_id, refund_id, at_ms: claimed_ms } = claim;
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let finished = self
            .commit(Box::new(Commit {
                merchant_id,
                now_ms,
                event_id: EventId::from_parts(parts),
                command: None,
                idempotency: Some(IdempotencyStep::Finish { key, payment_id, refund_id, claimed_ms, render }),
                message: None,
            }))
            .await?;
        let reply = finished.reply.unwrap_or_else(|| render(&finished.payment, finished.refund.as_deref()));
        Ok(Answer::again(reply))
    }

    /// Answers the repeats of a request whose flow was ended by the store: without it they would be told for as long as
    /// this process lives that the first is still being worked on.
    async fn give_back(&self, claim: Claim, key: String, render: Render) {
        let mut pause = GIVE_BACK_FIRST;
        for _ in 0..GIVE_BACK_TRIES_MAX {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(GIVE_BACK_LONGEST);
            match self.adopt(claim, key.clone(), render).await {
                Err(EngineError::Store(_) | EngineError::Overloaded) => {}
                // Not there: the commit that would have begun it was not made.
                Ok(_) | Err(EngineError::Refused(Refusal::NotFound)) => return,
                Err(error) => {
                    tracing::error!(payment = %claim.payment_id, %error, "an idempotency key is not answered");
                    return;
                }
            }
        }
        tracing::error!(payment = %claim.payment_id, "an idempotency key was not answered in time");
    }

    /// A capture, void or refund: one call, then its settlement.
    async fn follow_up(self: Arc<Self>, begun: Begun) -> Result<Told, EngineError> {
        let open = begun.committed.attempt.clone().filter(|attempt| attempt.status == AttemptStatus::Open);
        let Some(attempt) = open else {
            let committed = begun.committed.clone();
            return Box::pin(self.finish(&begun, committed)).await.map(Told::at_once);
        };
        let done = self.send_follow_up(&begun.committed.payment, &attempt).await;
        let subject = (attempt.merchant_id, attempt.payment_id, attempt.id);
        let settled = self.settle(subject, done.outcome, None, begun.finish(attempt.refund_id)).await?;
        Ok(Told { reply: begun.reply(settled), waited: done.waited })
    }

    /// Remembers the reply under the caller's key when no settlement did.
    pub(crate) async fn finish(
        &self,
        begun: &Begun,
        committed: Committed,
    ) -> Result<StoredReply, EngineError> {
        let refund_id = committed.refund.as_ref().map(|refund| refund.id);
        let Some(step) = begun.finish_at(committed.payment.id, refund_id) else {
            return Ok(begun.reply(committed));
        };
        let merchant_id = committed.payment.merchant_id;
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let finished = self
            .commit(Box::new(Commit {
                merchant_id,
                now_ms,
                event_id: EventId::from_parts(parts),
                command: None,
                idempotency: Some(step),
                message: None,
            }))
            .await?;
        Ok(begun.reply(finished))
    }

    /// Commit 2: books what became of an attempt, and sees to what follows from it.
    pub(crate) fn settle(
        self: &Arc<Self>,
        (merchant_id, payment_id, attempt_id): (MerchantId, PaymentId, AttemptId),
        outcome: Outcome,
        next: Option<AttemptStart>,
        finish: Option<IdempotencyStep>,
    ) -> impl Future<Output = Result<Committed, EngineError>> + Send {
        let command = Command::Settle { payment_id, attempt_id, outcome, next };
        let settled = self.commit_later(merchant_id, command, finish, None);
        async move {
            let committed = settled.await?;
            self.after_settling(&committed, attempt_id);
            Ok(committed)
        }
    }

    /// Tells those who follow the event logs that there is something new.
    pub(crate) fn ring(&self) {
        if self.store.logs() > 1 {
            self.news.notify_waiters();
        }
        // Also for one that does not wait yet.
        self.news.notify_one();
        self.bus_news.notify_waiters();
    }

    /// Every commit goes through here: whoever watches the payment hears of what changed.
    async fn commit(&self, commit: Box<Commit>) -> Result<Committed, CommitError> {
        let committed = self.pressure.timed(self.store.commit(commit)).await?;
        if let Some(record) = &committed.event {
            self.watchers.tell(committed.payment.id);
            self.fresh.keep(record);
            self.ring();
            let mode = self.modes.of(committed.payment.merchant_id);
            self.risk.hear(mode, &committed.payment, &record.event);
            self.router.hear(mode, &committed.payment, &record.event);
            self.live.hear(&committed.payment, record);
        }
        Ok(committed)
    }

    /// A commit that comes from the engine itself.
    pub(crate) fn commit_later(
        &self,
        merchant_id: MerchantId,
        command: Command,
        idempotency: Option<IdempotencyStep>,
        message: Option<String>,
    ) -> impl Future<Output = Result<Committed, CommitError>> + Send {
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let event_id = EventId::from_parts(parts);
        let command = Some(command);
        self.commit(Box::new(Commit { merchant_id, now_ms, event_id, command, idempotency, message }))
    }

    /// What a settlement leads to: an enquiry if it is still open, the way back for late money.
    pub(crate) fn after_settling(self: &Arc<Self>, committed: &Committed, attempt_id: AttemptId) {
        self.follow_review(committed);
        match committed.event.as_ref().map(|record| &record.event) {
            Some(PaymentEvent::LateSuccess { .. }) => {
                let (engine, payment) = (Arc::clone(self), Arc::clone(&committed.payment));
                tokio::spawn(async move { engine.return_late(&payment).await });
            }
            Some(
                PaymentEvent::ActionRequired { .. }
                | PaymentEvent::BecameProcessing { .. }
                | PaymentEvent::Flagged { .. },
            )
            | None => self.enquiries.schedule(attempt_id, self.now_ms(), 0),
            Some(_) => {}
        }
    }

    /// Sends back money that arrived after its payment had ended.
    pub(crate) async fn return_late(self: &Arc<Self>, payment: &Payment) {
        let (parts, _) = ids::fresh(&self.clock, payment.merchant_id.bucket());
        let attempt_id = AttemptId::from_parts(parts);
        let command = Command::Return { payment_id: payment.id, attempt_id };
        let begun = match self.commit_later(payment.merchant_id, command, None, None).await {
            Ok(begun) => begun,
            Err(error) => {
                tracing::error!(payment = %payment.id, %error, "the return of late money could not begin");
                return;
            }
        };
        let Some(attempt) = begun.attempt else {
            return;
        };
        let done = self.send_follow_up(&begun.payment, &attempt).await;
        let subject = (attempt.merchant_id, attempt.payment_id, attempt.id);
        if let Err(error) = self.settle(subject, done.outcome, None, None).await {
            tracing::error!(payment = %payment.id, %error, "the return of late money could not be settled");
        }
    }

    pub(crate) fn processor(&self, name: &ProcessorName) -> Result<&Processor, EngineError> {
        self.processors.get(name.as_str()).ok_or(EngineError::UnknownProcessor)
    }

    async fn owned_payment(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Payment, EngineError> {
        Ok(self.store.payment(merchant_id, id).await?.ok_or(Refusal::NotFound)?)
    }

    fn begin_flow(self: &Arc<Self>, merchant_id: MerchantId) -> Result<Flow, EngineError> {
        let weight = self.store.weights().of(merchant_id);
        self.flows.lock().enter(merchant_id, weight).map_err(|full| match full {
            Full::All => EngineError::Overloaded,
            Full::Own => EngineError::TooManyUnderWay,
        })?;
        Ok(Flow(Arc::clone(self), merchant_id))
    }
}

impl Begun {
    pub(crate) fn finish(&self, refund_id: Option<RefundId>) -> Option<IdempotencyStep> {
        self.finish_at(self.committed.payment.id, refund_id)
    }

    fn finish_at(&self, payment_id: PaymentId, refund_id: Option<RefundId>) -> Option<IdempotencyStep> {
        let key = self.key.clone()?;
        Some(IdempotencyStep::Finish { key, payment_id, refund_id, claimed_ms: None, render: self.render })
    }

    pub(crate) fn reply(&self, committed: Committed) -> StoredReply {
        match committed.reply {
            Some(reply) => reply,
            None => (self.render)(&committed.payment, committed.refund.as_deref()),
        }
    }
}

/// Goes on with what nobody waits for any more. Where the runtime is gone, so is the program.
fn carry_on<F: Future<Output: Send> + Send + 'static>(work: Pin<Box<F>>) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xF])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn read_amount(text: Option<&str>, payment: &Payment) -> Result<Option<Money>, EngineError> {
    let currency = payment.terms.amount.currency;
    Ok(text.map(|text| Money::parse_major(text, currency)).transpose()?)
}
#[cfg(test)]
mod tests {
    use super::*;

    const fn room<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Every payment's flow is copied from where it is made to where it lives, and all of its room is: what is seldom waited for is
    /// boxed, or it would be moved with every payment.
    #[test]
    fn a_payments_flow_stays_small() {
        let charge =
            room(|(engine, begun, trip): (Arc<Engine>, Begun, Box<Trip>)| engine.charge(begun, trip));
        assert!(charge < 4_000, "{charge} bytes");
        let follow_up = room(|(engine, begun): (Arc<Engine>, Begun)| engine.follow_up(begun));
        assert!(follow_up < 3_500, "{follow_up} bytes");
    }
}

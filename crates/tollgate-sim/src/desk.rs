//! What every simulator shares: its books, its faults, its webhooks, its clock.

use crate::books::{Books, BooksError, IdStyle};
use crate::fault::{Dice, Fault, FaultProfile};
use crate::handle::Handle;
use crate::http::{HangUp, ReplyBody, Response, json, reply};
use crate::instrument::Behaviour;
use crate::webhooks::{Delivery, Message, Sender};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// Payments and refunds that decide themselves later; further ones wait for the control endpoint.
const TIMERS_MAX: usize = 100_000;
/// Pending payments whose browser's way back is remembered.
const RETURNS_MAX: usize = 100_000;

/// The shared part of a simulator.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) books: Arc<Books>,
    pub(crate) dice: Dice,
    pub(crate) webhooks: Sender,
    /// Where this simulator is reachable, e.g. `http://127.0.0.1:9001`.
    pub(crate) base_url: String,
    /// What is set from outside.
    handle: Handle,
    /// The first successful answer of each kind, to be told to somebody else.
    told: Mutex<HashMap<&'static str, Bytes>>,
    timers: Arc<Semaphore>,
    /// Where the browser of each pending payment goes afterwards.
    returns: Mutex<HashMap<u64, String>>,
}

impl Desk {
    pub(crate) fn open(
        ids: IdStyle,
        books_dir: Option<&Path>,
        base_url: String,
        webhook_target: Option<&str>,
        profile: FaultProfile,
        seed: u64,
    ) -> Result<Self, BooksError> {
        Ok(Self {
            books: Arc::new(Books::open(ids, books_dir)?),
            dice: Dice::new(seed),
            webhooks: Sender::start(webhook_target, ids.processor),
            base_url,
            handle: Handle::new(profile),
            told: Mutex::default(),
            timers: Arc::new(Semaphore::new(TIMERS_MAX)),
            returns: Mutex::default(),
        })
    }

    pub(crate) fn profile(&self) -> Arc<FaultProfile> {
        self.handle.profile()
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What happens to a charge: the instrument decides, or else the dice.
    pub(crate) fn behaviour(&self, instrument: Behaviour, profile: &FaultProfile) -> Behaviour {
        match instrument {
            Behaviour::Success => match self.drawn(profile) {
                Some(Fault::Decline) => Behaviour::Fail(crate::instrument::Failure::Declined),
                Some(fault) => Behaviour::Fault(fault),
                None => Behaviour::Success,
            },
            other => other,
        }
    }

    /// What goes wrong with a request that is not a charge.
    pub(crate) fn fault(&self, profile: &FaultProfile, is_enquiry: bool) -> Option<Fault> {
        if is_enquiry && !profile.enquiries_too {
            return None;
        }
        let fault = profile.draw(&self.dice).filter(|fault| match fault {
            Fault::Decline => false,
            Fault::Lying => !is_enquiry,
            _ => true,
        })?;
        self.handle.count(fault);
        Some(fault)
    }

    fn drawn(&self, profile: &FaultProfile) -> Option<Fault> {
        let fault = profile.draw(&self.dice)?;
        self.handle.count(fault);
        Some(fault)
    }

    /// Keeps the first success of a kind of request, for [`Desk::lie`].
    pub(crate) fn remember(&self, kind: &'static str, response: &Response) {
        if !response.status().is_success() {
            return;
        }
        let ReplyBody::Whole(body) = response.body() else {
            return;
        };
        let mut told = self.told.lock();
        if !told.contains_key(kind)
            && let Some(bytes) = whole_of(body)
        {
            told.insert(kind, bytes);
        }
    }

    /// A success, well-formed and even signed, that was another request's of that kind.
    pub(crate) fn lie(&self, kind: &'static str) -> Response {
        match self.told.lock().get(kind) {
            Some(body) => json(200, body.clone()),
            // Nothing to tell yet.
            None => reply(500, "text/plain", "Internal Server Error"),
        }
    }

    /// Faults that strike before anything is done.
    pub(crate) async fn strike_before(
        &self,
        fault: Option<Fault>,
        profile: &FaultProfile,
    ) -> Result<Option<Response>, HangUp> {
        match fault {
            Some(Fault::TimeoutBefore) => {
                tokio::time::sleep(Duration::from_millis(profile.hang_ms)).await;
                Err(HangUp)
            }
            Some(Fault::DropBefore) => Err(HangUp),
            Some(Fault::RateLimited) => Ok(Some(reply(429, "text/plain", "Too Many Requests"))),
            Some(Fault::Error500) => Ok(Some(reply(500, "text/plain", "Internal Server Error"))),
            Some(Fault::Unavailable503) => Ok(Some(reply(503, "text/plain", "Service Unavailable"))),
            _ => Ok(None),
        }
    }

    /// Faults that strike the answer, after everything is done.
    pub(crate) async fn strike_after(
        &self,
        fault: Option<Fault>,
        profile: &FaultProfile,
        response: Response,
    ) -> Result<Response, HangUp> {
        match fault {
            Some(Fault::TimeoutAfter) => {
                tokio::time::sleep(Duration::from_millis(profile.hang_ms)).await;
                Err(HangUp)
            }
            Some(Fault::DropAfter) => Err(HangUp),
            Some(Fault::Error500After) => Ok(reply(500, "text/plain", "Internal Server Error")),
            Some(Fault::Garbage) => Ok(reply(200, "text/html", "<html><body>OK</body></html>")),
            _ => Ok(response),
        }
    }

    /// Sends messages about one payment, as disturbed as the profile wants them.
    pub(crate) fn notify(&self, mut messages: Vec<Message>, profile: &FaultProfile) {
        if messages.is_empty() || !self.webhooks.is_on() {
            return;
        }
        if self.dice.happens(profile.webhook_out_of_order) {
            messages.reverse();
        }
        if self.dice.happens(profile.webhook_duplicate) {
            messages.extend(messages.clone());
        }
        let wait = Duration::from_millis(profile.webhook_delay_ms);
        self.webhooks.send(Delivery { messages, wait });
    }

    /// Remembers where the browser of a pending payment goes afterwards.
    pub(crate) fn remember_return(&self, number: u64, url: &str) {
        let mut returns = self.returns.lock();
        if returns.len() < RETURNS_MAX {
            returns.insert(number, url.to_owned());
        }
    }

    /// Where the browser of a payment goes now that it is decided; asked once.
    pub(crate) fn take_return(&self, number: u64) -> Option<String> {
        self.returns.lock().remove(&number)
    }

    /// The page of the simulated bank for a payment.
    pub(crate) fn challenge_url(&self, reference: &str) -> String {
        format!("{}/sim/challenge/{reference}", self.base_url)
    }

    /// Does something later, unless too much is waiting already.
    pub(crate) fn later(&self, wait_ms: u64, act: impl FnOnce() + Send + 'static) {
        let Ok(place) = Arc::clone(&self.timers).try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            act();
            drop(place);
        });
    }

    /// Whether enquiries are still blind to an entry.
    pub(crate) fn is_blind_to(&self, created_ms: u64, profile: &FaultProfile) -> bool {
        profile.enquiry_blind_ms > 0 && now_ms().saturating_sub(created_ms) < profile.enquiry_blind_ms
    }
}

/// The bytes of a body that is there as a whole.
fn whole_of(body: &Full<Bytes>) -> Option<Bytes> {
    let mut body = body.clone();
    let mut frame = std::pin::pin!(body.frame());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match frame.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

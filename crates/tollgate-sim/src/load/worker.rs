//! One connection's life: keep it open, take a due payment, send it, settle it, record it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::client::{Client, SendError};
use super::payment::Payment;
use super::queue::Job;
use super::reply::{self, Failure, Outcome};
use super::shared::Shared;
use super::stats::Finished;

/// First and longest pause before connecting again; it doubles from one to the other.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Most sendings of one payment, whatever its time budget.
const SENDINGS_MAX: u32 = 200;
/// Most connections tried for one payment that provably was not sent, when outages are not tolerated.
const NOT_SENT_MAX: u32 = 3;

/// Works until the run is over.
pub(super) async fn work(shared: Rc<Shared>, worker: usize, mut client: Option<Client>) {
    let mut pause = Pause::default();
    while !shared.is_over() {
        let Some(mut open) = client.take().filter(Client::is_open) else {
            // A payment is taken only with an open connection at hand: while this one is away, others can take it.
            client = connect(&shared, &mut pause).await;
            if client.is_none()
                && !shared.options.tolerate_outage
                && let Some(job) = shared.try_take()
            {
                let outcome = Outcome::Failed(Failure::Connect);
                let at = Instant::now();
                shared.record(&Finished {
                    job,
                    sent: None,
                    at,
                    outcome,
                    resends: 0,
                    was_unknown: false,
                    replayed: false,
                    processor_us: None,
                });
            }
            continue;
        };
        match open.while_open(|cx| shared.poll_take(worker, cx)).await {
            Some(Some(job)) => client = pay(&shared, job, open, &mut pause).await,
            Some(None) => break,
            None => {
                shared.stop_waiting(worker);
                pause.connection_ended(&open);
            }
        }
    }
}

/// Connects, after the pause that earlier failures call for.
async fn connect(shared: &Shared, pause: &mut Pause) -> Option<Client> {
    pause.wait().await;
    let connected = Client::connect(&shared.target).await;
    shared.note_connect(connected.is_ok());
    if connected.is_err() {
        pause.lengthen();
    }
    connected.ok()
}

/// Sends one payment until its outcome is known or there is no use in trying; gives the connection back if it is still good.
async fn pay(shared: &Shared, job: Job, client: Client, pause: &mut Pause) -> Option<Client> {
    let payment = shared.next_payment();
    let sent = Instant::now();
    let mut attempt = Attempt {
        client: Some(client),
        sendings: 0,
        not_sent: 0,
        unknown: None,
        replayed: false,
        processor_us: None,
    };
    let outcome = attempt.settle(shared, &payment, sent, pause).await;
    let at = Instant::now();
    shared.acknowledge(&outcome, &payment);
    shared.record(&Finished {
        job,
        sent: (attempt.sendings > 0).then_some(sent),
        at,
        outcome,
        resends: attempt.sendings.saturating_sub(1),
        was_unknown: attempt.unknown.is_some(),
        replayed: attempt.replayed,
        processor_us: attempt.processor_us,
    });
    attempt.client
}

/// One payment on its way.
struct Attempt {
    client: Option<Client>,
    /// Times it was written to a connection.
    sendings: u32,
    not_sent: u32,
    /// A sending had an unknown outcome; the last such one.
    unknown: Option<Failure>,
    replayed: bool,
    processor_us: Option<u64>,
}

impl Attempt {
    async fn settle(
        &mut self,
        shared: &Shared,
        payment: &Payment,
        began: Instant,
        pause: &mut Pause,
    ) -> Outcome {
        let options = &shared.options;
        let give_up = began + Duration::from_millis(options.retry_budget_ms);
        loop {
            let Some(client) = self.client.as_mut() else {
                let patient = options.tolerate_outage || self.unknown.is_some();
                self.client = connect(shared, pause).await;
                if self.client.is_none() && (!patient || Instant::now() >= give_up) {
                    return Outcome::Failed(self.unknown.unwrap_or(Failure::Connect));
                }
                continue;
            };
            let may_repeat =
                |sendings: u32| options.retry_same_key && sendings < SENDINGS_MAX && Instant::now() < give_up;
            match client.send(payment).await {
                Ok(reply) => {
                    self.sendings += 1;
                    self.replayed = reply.replayed;
                    self.processor_us = reply.processor_us;
                    shared.note_contact();
                    let outcome = reply::read(&reply);
                    if self.unknown.is_some() && outcome.says_later() && may_repeat(self.sendings) {
                        pause.lengthen();
                        pause.wait().await;
                        continue;
                    }
                    pause.reset();
                    return outcome;
                }
                Err(SendError::NotSent) => {
                    self.drop_client(pause);
                    self.not_sent += 1;
                    if Instant::now() >= give_up
                        || (!options.tolerate_outage && self.not_sent >= NOT_SENT_MAX)
                    {
                        return Outcome::Failed(self.unknown.unwrap_or(Failure::Connect));
                    }
                }
                Err(SendError::Lost(failure)) => {
                    self.sendings += 1;
                    self.drop_client(pause);
                    let outcome = Outcome::Failed(failure);
                    if !outcome.is_unknown() || !may_repeat(self.sendings) {
                        return outcome;
                    }
                    self.unknown = Some(failure);
                }
            }
        }
    }

    fn drop_client(&mut self, pause: &mut Pause) {
        if let Some(client) = self.client.take() {
            pause.connection_ended(&client);
        }
    }
}

/// The pause before connecting again: none after a connection that has worked, longer with every one that has not.
#[derive(Default)]
struct Pause {
    failures: u32,
}

impl Pause {
    fn lengthen(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    fn reset(&mut self) {
        self.failures = 0;
    }

    /// A server that accepts and hangs up must not be connected to in a tight loop.
    fn connection_ended(&mut self, client: &Client) {
        if !client.has_worked() {
            self.lengthen();
        }
    }

    fn length(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => PAUSE_FIRST.saturating_mul(1 << (failures - 1).min(10)).min(PAUSE_MAX),
        }
    }

    async fn wait(&self) {
        let length = self.length();
        if !length.is_zero() {
            // Spread over 50 to 100 %, so that many connections do not come back in step.
            tokio::time::sleep(length.mul_f64(rand::random_range(0.5..=1.0))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_at_none() {
        let mut pause = Pause::default();
        assert_eq!(pause.length(), Duration::ZERO);
        let lengths: Vec<u128> = (0..8)
            .map(|_| {
                pause.lengthen();
                pause.length().as_millis()
            })
            .collect();
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 500, 500]);
        pause.failures = u32::MAX;
        assert_eq!(pause.length(), PAUSE_MAX);
        pause.reset();
        assert_eq!(pause.length(), Duration::ZERO);
    }
}

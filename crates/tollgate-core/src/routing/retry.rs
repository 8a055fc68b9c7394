//! Whether and when a charge is tried again, and where.
//!
//! Only what provably took nothing is ever tried again. An unknown outcome never is: an enquiry settles it.

use super::dice::spread;
use crate::failure::{FailureClass, FailureCode};
use crate::outcome::Outcome;

/// How charges are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Most attempts of one payment, the first included.
    pub attempts_max: u32,
    /// The pause before the same processor is asked a second time, in milliseconds; each further one is
    /// twice as long.
    pub first_ms: u64,
    /// The longest pause, in milliseconds.
    pub longest_ms: u64,
    /// By how much a pause is made longer or shorter by chance, in percent.
    pub jitter_percent: u32,
    /// What an attempt must have left of the total time to be begun at all, in milliseconds.
    pub least_ms: u64,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { attempts_max: 3, first_ms: 1_000, longest_ms: 30_000, jitter_percent: 20, least_ms: 250 }
    }
}

/// An attempt that has come to its end, and what is left to try.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// What came of it.
    pub outcome: &'a Outcome,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// How often the same processor was asked again already.
    pub repeats: u32,
    /// What the processor's `Retry-After` said, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// What is left of the total time, in milliseconds.
    pub left_ms: u64,
    /// Whether another processor is left that may take it now.
    pub has_other: bool,
    /// Whether the merchant lets another processor try what one declined softly.
    pub soft_declines: bool,
    /// Any number.
    pub random: u64,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTry {
    /// Nothing: this outcome stands.
    Stop,
    /// The next processor, at once.
    Elsewhere,
    /// The same processor, after a pause in milliseconds. Counts against its retry budget.
    Again {
        /// The pause.
        after_ms: u64,
    },
}

/// What may be tried after an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Nothing,
    /// Another processor alone: this one would say the same again.
    Other,
    /// This one too.
    Same,
}

impl RetryOptions {
    /// What is done after an attempt.
    #[must_use]
    pub fn next(&self, tried: &Tried<'_>) -> NextTry {
        if tried.attempts >= self.attempts_max || tried.left_ms < self.least_ms {
            return NextTry::Stop;
        }
        let allowed = allowed(tried.outcome, tried.soft_declines);
        match allowed {
            Allowed::Nothing => NextTry::Stop,
            Allowed::Other | Allowed::Same if tried.has_other => NextTry::Elsewhere,
            Allowed::Other => NextTry::Stop,
            Allowed::Same => {
                let asked_ms = tried.retry_after_ms.unwrap_or(0);
                let after_ms = self.pause_ms(tried.repeats, tried.random).max(asked_ms);
                // Not longer than the longest pause: nobody waits an hour for a payment's answer.
                if asked_ms > self.longest_ms || after_ms.saturating_add(self.least_ms) > tried.left_ms {
                    return NextTry::Stop;
                }
                NextTry::Again { after_ms }
            }
        }
    }

    /// The pause before the same processor is asked again, in milliseconds, jitter included.
    #[must_use]
    pub fn pause_ms(&self, repeats: u32, random: u64) -> u64 {
        let doubled = self.first_ms.saturating_mul(1_u64.checked_shl(repeats.min(32)).unwrap_or(u64::MAX));
        let pause_ms = doubled.min(self.longest_ms);
        let width_ms = pause_ms.saturating_mul(u64::from(self.jitter_percent.min(100))) / 100;
        // From a jitter's width below to a jitter's width above.
        (pause_ms - width_ms).saturating_add(spread(random, width_ms.saturating_mul(2)))
    }
}

/// Whether an outcome lets the charge be tried again, and where. Nothing else decides this.
fn allowed(outcome: &Outcome, soft_declines: bool) -> Allowed {
    match outcome {
        Outcome::NotTaken(failure) => match failure.code {
            FailureCode::ProcessorUnavailable | FailureCode::ProcessorRateLimited => Allowed::Same,
            FailureCode::ProcessorRejected | FailureCode::NoProcessor => Allowed::Other,
            // The card or its vault is at fault: no processor can help.
            _ => Allowed::Nothing,
        },
        Outcome::Declined(failure) if soft_declines && failure.code.class() == FailureClass::SoftDecline => {
            Allowed::Other
        }
        // What has succeeded, what goes on, what is final, and above all what is not known.
        Outcome::Declined(_)
        | Outcome::Authorized { .. }
        | Outcome::Captured { .. }
        | Outcome::ActionRequired { .. }
        | Outcome::Pending { .. }
        | Outcome::Voided
        | Outcome::Refunded { .. }
        | Outcome::Unknown(_)
        | Outcome::NotFound => Allowed::Nothing,
    }
}

/// A retry budget: a bucket of tokens. A repeat takes one; time and ordinary calls put some back.
#[derive(Debug, Clone, Copy)]
pub struct RetryBudget {
    options: BudgetOptions,
    /// Thousandths of a token.
    milli: u64,
    filled_ms: u64,
}

/// How a retry budget fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetOptions {
    /// Repeats it can pay at once.
    pub burst: u32,
    /// Repeats a second that it pays in any case.
    pub per_second: u32,
    /// Repeats for every hundred first calls.
    pub percent: u32,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self { burst: 50, per_second: 2, percent: 10 }
    }
}

impl RetryBudget {
    /// A full one.
    #[must_use]
    pub fn new(options: BudgetOptions, now_ms: u64) -> Self {
        Self { options, milli: u64::from(options.burst) * 1_000, filled_ms: now_ms }
    }

    /// Counts a first call.
    pub fn called(&mut self) {
        self.add(u64::from(self.options.percent) * 10);
    }

    /// Takes a token for one repeat, if there is one.
    pub fn take(&mut self, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = self.filled_ms.max(now_ms);
        self.add(passed_ms.saturating_mul(u64::from(self.options.per_second)));
        let pays = self.milli >= 1_000;
        if pays {
            self.milli -= 1_000;
        }
        pays
    }

    /// Whether it would be as good as a new one at some time.
    #[must_use]
    pub fn is_full(&self, now_ms: u64) -> bool {
        let mut then = *self;
        then.add(now_ms.saturating_sub(self.filled_ms).saturating_mul(u64::from(self.options.per_second)));
        then.milli >= u64::from(self.options.burst) * 1_000
    }

    fn add(&mut self, milli: u64) {
        self.milli = self.milli.saturating_add(milli).min(u64::from(self.options.burst) * 1_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn not_taken(code: FailureCode) -> Outcome {
        Outcome::NotTaken(Failure::new(code, "test"))
    }

    fn tried(outcome: &Outcome) -> Tried<'_> {
        Tried {
            outcome,
            attempts: 1,
            repeats: 0,
            retry_after_ms: None,
            left_ms: 60_000,
            has_other: false,
            soft_declines: false,
            random: 7,
        }
    }

    #[test]
    fn the_same_processor_after_a_pause_or_another_at_once() {
        let options = RetryOptions::default();
        let outcome = not_taken(FailureCode::ProcessorUnavailable);
        let NextTry::Again { after_ms } = options.next(&tried(&outcome)) else { panic!("it stops") };
        assert!((800..=1_200).contains(&after_ms), "{after_ms}");
        assert_eq!(options.next(&Tried { has_other: true, ..tried(&outcome) }), NextTry::Elsewhere);
        assert_eq!(options.next(&Tried { attempts: 3, has_other: true, ..tried(&outcome) }), NextTry::Stop);
        let rejected = not_taken(FailureCode::ProcessorRejected);
        assert_eq!(options.next(&tried(&rejected)), NextTry::Stop);
        assert_eq!(options.next(&Tried { has_other: true, ..tried(&rejected) }), NextTry::Elsewhere);
    }

    #[test]
    fn what_the_processor_asks_for_is_kept_and_the_deadline_too() {
        let options = RetryOptions::default();
        let outcome = not_taken(FailureCode::ProcessorRateLimited);
        let asked = Tried { retry_after_ms: Some(5_000), ..tried(&outcome) };
        assert_eq!(options.next(&asked), NextTry::Again { after_ms: 5_000 });
        assert_eq!(options.next(&Tried { left_ms: 5_200, ..asked }), NextTry::Stop);
        assert_eq!(options.next(&Tried { retry_after_ms: Some(31_000), ..asked }), NextTry::Stop);
    }

    #[test]
    fn soft_declines_go_elsewhere_where_the_merchant_allows() {
        let options = RetryOptions::default();
        let soft = Outcome::Declined(Failure::new(FailureCode::IssuerUnavailable, "test"));
        let allowed = Tried { has_other: true, soft_declines: true, ..tried(&soft) };
        assert_eq!(options.next(&allowed), NextTry::Elsewhere);
        assert_eq!(options.next(&Tried { soft_declines: false, ..allowed }), NextTry::Stop);
        assert_eq!(options.next(&Tried { has_other: false, ..allowed }), NextTry::Stop);
        let hard = Outcome::Declined(Failure::new(FailureCode::InstrumentInvalid, "test"));
        assert_eq!(options.next(&Tried { outcome: &hard, ..allowed }), NextTry::Stop);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let options = RetryOptions { jitter_percent: 0, ..RetryOptions::default() };
        let pauses: Vec<_> = (0..7).map(|repeats| options.pause_ms(repeats, 3)).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn a_budget_pays_its_burst_and_then_what_comes_in() {
        let options = BudgetOptions { burst: 3, per_second: 1, percent: 10 };
        let mut budget = RetryBudget::new(options, 0);
        assert_eq!((0..5).filter(|_| budget.take(0)).count(), 3);
        assert!(!budget.take(999) && budget.take(1_000));
        (0..20).for_each(|_| budget.called());
        assert_eq!((0..5).filter(|_| budget.take(1_000)).count(), 2);
        assert_eq!((0..9).filter(|_| budget.take(3_600_000)).count(), 3, "it holds its burst and no more");
        assert!(!budget.is_full(3_602_999) && budget.is_full(3_603_000));
    }
}

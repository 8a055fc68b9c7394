//! Adding to the log of outcomes, and removing from it what has outlived its time.

use crate::batch::Base;
use crate::batch::codec::encode;
use crate::batch::work::Desk;
use crate::error::StoreError;
use crate::outcomes::{DROPPED_FOR_ONE, FORGET_EVERY_MS, FORGOTTEN_AT_ONCE, OUTCOMES_KEPT_MS};

/// What the writer remembers of the log. Never ahead of the disk once a batch has ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutcomeLog {
    /// The last number; within a batch that does not know it, how many there are.
    pub(crate) last: u64,
    /// There is none with a smaller number.
    pub(crate) first: u64,
    /// When it was last looked whether some have outlived their time.
    pub(crate) forgotten_at_ms: u64,
}

impl OutcomeLog {
    /// Puts into a batch what the desk has gathered, and makes room. Where nothing is told, that is looked at once in a
    /// while: a log that is not written any more ends too.
    pub(crate) fn seal<B: Base>(
        &mut self,
        base: &B,
        rows: &mut B::Batch,
        desk: &mut Desk<'_, B>,
    ) -> Result<(), StoreError> {
        let (now_ms, outcomes) = (desk.now_ms(), desk.take_outcomes());
        let is_time = now_ms >= self.forgotten_at_ms.saturating_add(FORGET_EVERY_MS);
        if is_time || !outcomes.is_empty() {
            let most = if is_time { FORGOTTEN_AT_ONCE } else { 0 };
            let most = most.max(outcomes.len().saturating_mul(DROPPED_FOR_ONE));
            let before_ms = now_ms.saturating_sub(OUTCOMES_KEPT_MS);
            self.first = base.forget_outcomes(rows, self.first, before_ms, most)?;
            self.forgotten_at_ms = now_ms;
        }
        for outcome in &outcomes {
            self.last += 1;
            base.put_outcome(rows, self.last, outcome, &encode(outcome)?);
        }
        Ok(())
    }
}

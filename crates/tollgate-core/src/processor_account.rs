//! A merchant's own account at a processor: its credentials as the vault has sealed them, what may be shown of them, and
//! which charges are made with it. Never the credentials themselves.
//!
//! A charge belongs to the account it was made with for good: its refunds and enquiries go there. Which that is follows
//! from when the charge began.

use crate::attempt::ProcessorName;
use crate::id::MerchantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most times that an account may be ended and taken up again.
pub const GAPS_MAX: usize = 16;

/// The longest that credentials which were replaced still prove webhooks: 30 days.
pub const OVERLAP_MS_MAX: u64 = 30 * 86_400_000;

/// Credentials, sealed, and what may be shown of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCredentials {
    /// As the vault has sealed them, under [`ProcessorAccount::seal_name`].
    pub sealed: Vec<u8>,
    /// Each credential's name and its masked form.
    pub shown: Vec<(String, String)>,
    /// The first half of a digest of all of them: the same for the same credentials.
    pub fingerprint: [u8; 4],
    /// When they were set, in milliseconds since the Unix epoch.
    pub set_at_ms: u64,
}

impl std::fmt::Debug for SealedCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedCredentials").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl SealedCredentials {
    /// What may be shown of them.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let shown = self.shown.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str())));
        let fingerprint: String = self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({
            "masked": shown.collect::<serde_json::Map<_, _>>(),
            "fingerprint": fingerprint,
            "set_at_ms": self.set_at_ms,
        })
    }
}

/// A merchant's own account at a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessorAccount {
    /// Whose.
    pub merchant_id: MerchantId,
    /// At which processor.
    pub processor: ProcessorName,
    /// Counts changes from 1.
    pub version: u32,
    /// The credentials.
    pub current: SealedCredentials,
    /// Those before, and until when they still prove webhooks.
    pub previous: Option<(SealedCredentials, u64)>,
    /// Charges that begin from here on are made with it.
    pub since_ms: u64,
    /// Times in which it was ended, the end of each not among them: charges of then are the gateway's.
    pub gaps: Vec<(u64, u64)>,
    /// Charges that begin from here on are the gateway's again.
    pub ended_at_ms: Option<u64>,
}

impl ProcessorAccount {
    /// A new one.
    #[must_use]
    pub const fn new(
        merchant_id: MerchantId,
        processor: ProcessorName,
        current: SealedCredentials,
        since_ms: u64,
    ) -> Self {
        let gaps = Vec::new();
        Self {
            merchant_id,
            processor,
            version: 1,
            current,
            previous: None,
            since_ms,
            gaps,
            ended_at_ms: None,
        }
    }

    /// What its credentials are bound to beside the merchant.
    #[must_use]
    pub fn seal_name(processor: &ProcessorName) -> String {
        format!("processor:{}", processor.as_str())
    }

    /// Whether a charge that began then was, or is to be, made with it.
    #[must_use]
    pub fn owns(&self, began_ms: u64) -> bool {
        began_ms >= self.since_ms
            && self.ended_at_ms.is_none_or(|ended_ms| began_ms < ended_ms)
            && self.gaps.iter().all(|(from_ms, until_ms)| !(*from_ms..*until_ms).contains(&began_ms))
    }

    /// The same with other credentials of the same account; those before prove webhooks for `overlap_ms` more. One that
    /// was ended is taken up again at `since_ms`; none if that was done too often.
    #[must_use]
    pub fn replaced(
        mut self,
        current: SealedCredentials,
        (overlap_ms, since_ms): (u64, u64),
    ) -> Option<Self> {
        if let Some(ended_ms) = self.ended_at_ms.take() {
            if self.gaps.len() >= GAPS_MAX {
                return None;
            }
            self.gaps.push((ended_ms, since_ms));
        }
        let until_ms = current.set_at_ms.saturating_add(overlap_ms.min(OVERLAP_MS_MAX));
        let before = std::mem::replace(&mut self.current, current);
        self.previous = (overlap_ms > 0).then_some((before, until_ms));
        self.version = self.version.saturating_add(1);
        Some(self)
    }

    /// The same, beginning (again) at another time: what was written took longer than was thought.
    #[must_use]
    pub fn beginning_at(mut self, since_ms: u64) -> Self {
        match self.gaps.last_mut() {
            Some((_, until_ms)) => *until_ms = since_ms,
            None => self.since_ms = since_ms,
        }
        self.version = self.version.saturating_add(1);
        self
    }

    /// The same, ended from some time on. Its credentials stay for the charges that were made with them.
    #[must_use]
    pub fn ended(mut self, at_ms: u64) -> Self {
        self.ended_at_ms = Some(at_ms);
        self.version = self.version.saturating_add(1);
        self
    }

    /// The credentials that prove webhooks at this time, the newest first.
    pub fn proving(&self, now_ms: u64) -> impl Iterator<Item = &SealedCredentials> {
        let previous = self.previous.as_ref().filter(|(_, until_ms)| now_ms < *until_ms);
        std::iter::once(&self.current).chain(previous.map(|(credentials, _)| credentials))
    }

    /// What may be shown of it.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let previous = |(credentials, until_ms): &(SealedCredentials, u64)| json!({"fingerprint": credentials.as_json()["fingerprint"], "good_until_ms": until_ms});
        json!({
            "object": "processor_account",
            "merchant_id": self.merchant_id.to_string(),
            "processor": self.processor.as_str(),
            "version": self.version,
            "credentials": self.current.as_json(),
            "previous": self.previous.as_ref().map(previous),
            "charges_since_ms": self.since_ms,
            "ended_at_ms": self.ended_at_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdParts;

    fn credentials(fingerprint: u8, set_at_ms: u64) -> SealedCredentials {
        let shown = vec![("key_secret".to_owned(), "****abcd".to_owned())];
        SealedCredentials { sealed: vec![1, 2, 3], shown, fingerprint: [fingerprint; 4], set_at_ms }
    }

    fn account() -> ProcessorAccount {
        let id = MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random: 1 });
        ProcessorAccount::new(id, ProcessorName::new("razorpay"), credentials(1, 90), 100)
    }

    #[test]
    fn a_charge_belongs_to_the_account_of_its_time() {
        let account = account();
        assert!(!account.owns(99) && account.owns(100) && account.owns(u64::MAX));
        let ended = account.ended(200);
        assert!(ended.owns(199) && !ended.owns(200));
        let again = ended.replaced(credentials(2, 290), (0, 300)).unwrap();
        let owned: Vec<u64> =
            [99, 100, 199, 200, 299, 300].into_iter().filter(|at| again.owns(*at)).collect();
        assert_eq!(owned, [100, 199, 300]);
        let later = again.clone().beginning_at(400);
        assert!(!later.owns(399) && later.owns(400) && later.owns(100), "what it has owned stays its own");
        let mut often = again;
        for turn in 1..GAPS_MAX as u64 {
            often = often.ended(turn * 1_000).replaced(credentials(3, 0), (0, turn * 1_000 + 1)).unwrap();
        }
        assert!(often.ended(99_000).replaced(credentials(3, 0), (0, 99_001)).is_none());
    }

    #[test]
    fn old_credentials_prove_webhooks_for_a_while() {
        let account = account().replaced(credentials(2, 1_000), (500, 0)).unwrap();
        let proving = |now_ms| account.proving(now_ms).map(|it| it.fingerprint[0]).collect::<Vec<_>>();
        assert_eq!(proving(1_499), [2, 1]);
        assert_eq!(proving(1_500), [2]);
        assert!(account.owns(150), "it is the same account still");
        assert!(account.clone().replaced(credentials(3, 9), (0, 0)).unwrap().previous.is_none());
        assert!(!format!("{account:?}").contains("[1, 2, 3]"));
        assert!(!account.as_json().to_string().contains("sealed"));
    }
}

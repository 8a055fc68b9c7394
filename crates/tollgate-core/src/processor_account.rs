//! A merchant's own account at a processor: its credentials as the vault has sealed them, what may be shown of them, and
//! which charges are made with it. Never the credentials themselves.
//!
//! A payment belongs to the account it began with for good: its refunds and enquiries go there. Which that is stands in the
//! payment ([`crate::routing::record::RouteRecord::own_accounts`]), by the account's generation: one that follows
//! another is the next, and the credentials of those before stay for what went through them.

use crate::attempt::ProcessorName;
use crate::id::MerchantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most accounts before the present one whose credentials are kept.
pub const EARLIER_MAX: usize = 16;

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
    /// Counts accounts from 1.
    pub generation: u32,
    /// The credentials.
    pub current: SealedCredentials,
    /// Those before, and until when they still prove webhooks.
    pub previous: Option<(SealedCredentials, u64)>,
    /// The last credentials of the generations before, the oldest first.
    pub earlier: Vec<(u32, SealedCredentials)>,
    /// When this generation was set, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When it was ended: payments begin with the gateway's account again.
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
        Self {
            merchant_id,
            processor,
            version: 1,
            generation: 1,
            current,
            previous: None,
            earlier: Vec::new(),
            since_ms,
            ended_at_ms: None,
        }
    }

    /// What its credentials are bound to beside the merchant.
    #[must_use]
    pub fn seal_name(processor: &ProcessorName) -> String {
        format!("processor:{}", processor.as_str())
    }

    /// The same account with renewed credentials: those before prove webhooks for `overlap_ms` more. Where it was ended,
    /// payments begin with it again.
    #[must_use]
    pub fn renewed(mut self, current: SealedCredentials, overlap_ms: u64) -> Self {
        let until_ms = current.set_at_ms.saturating_add(overlap_ms.min(OVERLAP_MS_MAX));
        let before = std::mem::replace(&mut self.current, current);
        self.previous = (overlap_ms > 0).then_some((before, until_ms));
        self.ended_at_ms = None;
        self.version = self.version.saturating_add(1);
        self
    }

    /// Another account in its place: the credentials of this one stay for what went through it. None if there were too many.
    #[must_use]
    pub fn followed(mut self, current: SealedCredentials) -> Option<Self> {
        if self.earlier.len() >= EARLIER_MAX {
            return None;
        }
        self.since_ms = current.set_at_ms;
        let before = std::mem::replace(&mut self.current, current);
        self.earlier.push((self.generation, before));
        self.generation = self.generation.saturating_add(1);
        (self.previous, self.ended_at_ms) = (None, None);
        self.version = self.version.saturating_add(1);
        Some(self)
    }

    /// Whether payments begin with it.
    #[must_use]
    pub const fn is_in_force(&self) -> bool {
        self.ended_at_ms.is_none()
    }

    /// The credentials of a generation; none if they were never there.
    #[must_use]
    pub fn of_generation(&self, generation: u32) -> Option<&SealedCredentials> {
        if generation == self.generation {
            return Some(&self.current);
        }
        self.earlier.iter().find(|(earlier, _)| *earlier == generation).map(|(_, credentials)| credentials)
    }

    /// The same, ended from some time on. Its credentials stay for the charges that were made with them.
    #[must_use]
    pub fn ended(mut self, at_ms: u64) -> Self {
        self.ended_at_ms = Some(at_ms);
        self.version = self.version.saturating_add(1);
        self
    }

    /// The credentials that prove webhooks at this time, the newest first, each with its generation: those of all generations,
    /// since what went through an account that was ended is told of still. What they prove is about charges of that
    /// generation alone: credentials of an earlier account say nothing of what goes through a later one.
    pub fn proving(&self, now_ms: u64) -> impl Iterator<Item = (u32, &SealedCredentials)> {
        let previous = self.previous.as_ref().filter(|(_, until_ms)| now_ms < *until_ms);
        let previous = previous.map(|(credentials, _)| (self.generation, credentials));
        let earlier = self.earlier.iter().rev().map(|(generation, credentials)| (*generation, credentials));
        std::iter::once((self.generation, &self.current)).chain(previous).chain(earlier)
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
            "generation": self.generation,
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
    fn another_account_follows_and_the_one_before_stays_known() {
        let first = account();
        assert!(first.is_in_force());
        let renewed = first.renewed(credentials(2, 150), 0);
        assert_eq!((renewed.generation, renewed.current.fingerprint[0]), (1, 2));
        let ended = renewed.clone().ended(200);
        assert!(!ended.is_in_force());
        for before in [renewed, ended] {
            let next = before.followed(credentials(3, 300)).unwrap();
            assert_eq!((next.generation, next.since_ms, next.is_in_force()), (2, 300, true));
            let of = |generation| next.of_generation(generation).map(|it| it.fingerprint[0]);
            assert_eq!([of(1), of(2), of(3)], [Some(2), Some(3), None]);
            let proving = next.proving(301).map(|(generation, it)| (generation, it.fingerprint[0]));
            assert_eq!(proving.collect::<Vec<_>>(), [(2, 3), (1, 2)]);
            let mut often = next;
            for _ in 1..EARLIER_MAX {
                often = often.followed(credentials(4, 2_000)).unwrap();
            }
            assert!(often.followed(credentials(4, 0)).is_none());
        }
    }

    #[test]
    fn an_account_that_was_ended_may_be_taken_up_again() {
        let ended = account().ended(200);
        let again = ended.renewed(credentials(2, 300), 0);
        assert_eq!((again.generation, again.is_in_force(), again.version), (1, true, 3));
        assert_eq!(
            again.of_generation(1).unwrap().fingerprint[0],
            2,
            "its charges are asked about with these"
        );
    }

    #[test]
    fn old_credentials_prove_webhooks_for_a_while() {
        let account = account().renewed(credentials(2, 1_000), 500);
        let proving =
            |now_ms| account.proving(now_ms).map(|(of, it)| (of, it.fingerprint[0])).collect::<Vec<_>>();
        assert_eq!(proving(1_499), [(1, 2), (1, 1)]);
        assert_eq!(proving(1_500), [(1, 2)]);
        assert_eq!(account.generation, 1, "it is the same account still");
        assert!(account.clone().renewed(credentials(3, 9), 0).previous.is_none());
        assert!(!format!("{account:?}").contains("[1, 2, 3]"));
        assert!(!account.as_json().to_string().contains("sealed"));
    }
}

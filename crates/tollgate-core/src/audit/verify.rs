//! Reading the chain again: what was changed, dropped, moved or cut off is found, with its position.

use super::{AuditRecord, Head, hex, unhex};
use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with the audit log, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// A record does not decode.
    #[error("audit record {0} cannot be read")]
    Unreadable(u64),
    /// A record is not what was written.
    #[error("audit record {0} was altered")]
    Altered(u64),
    /// A record is not there.
    #[error("audit record {0} is missing")]
    Missing(u64),
    /// Another record stands there.
    #[error("at the place of audit record {0} stands another")]
    OutOfPlace(u64),
    /// A record is whole but does not follow from the one before it.
    #[error("audit record {0} does not follow from the one before it")]
    Unlinked(u64),
    /// The log ends elsewhere than its end, kept apart, says.
    #[error("the audit log ends at record {found} instead of {expected}")]
    Cut {
        /// The last record there is.
        found: u64,
        /// The last record there should be.
        expected: u64,
    },
    /// The end of the log, kept apart, was altered.
    #[error("the end of the audit log, record {0}, is not the one that is noted")]
    Head(u64),
    /// An anchor says otherwise.
    #[error("audit record {0} is not the one that the anchor file names")]
    Anchor(u64),
}

/// The end of the log at some time, kept outside of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The end.
    pub head: Head,
    /// When it was noted, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl fmt::Display for Anchor {
    /// One line: count, hash, time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.head.count, hex(&self.head.last), self.at_ms)
    }
}

impl Anchor {
    /// Reads a line of an anchor file.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let head = Head { count: words.next()?.parse().ok()?, last: unhex(words.next()?)? };
        let at_ms = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self { head, at_ms })
    }
}

/// Reads a log from its start.
#[derive(Debug, Default)]
pub struct Verifier {
    head: Head,
    anchors: BTreeMap<u64, [u8; 32]>,
}

impl Verifier {
    /// One that compares with these anchors too.
    #[must_use]
    pub fn new(anchors: &[Anchor]) -> Self {
        let anchors = anchors.iter().map(|anchor| (anchor.head.count, anchor.head.last)).collect();
        Self { head: Head::default(), anchors }
    }

    /// Takes what stands at the next position there is.
    ///
    /// # Errors
    /// [`AuditFault`]: the first thing that is wrong.
    pub fn follow(&mut self, position: u64, record: Option<&AuditRecord>) -> Result<(), AuditFault> {
        let expected = self.head.count.saturating_add(1);
        if position != expected {
            return Err(AuditFault::Missing(expected));
        }
        let record = record.ok_or(AuditFault::Unreadable(expected))?;
        let right = record.right_hash();
        if right != record.hash {
            return Err(AuditFault::Altered(expected));
        }
        if record.sequence != expected {
            return Err(AuditFault::OutOfPlace(expected));
        }
        if record.previous != self.head.last {
            return Err(AuditFault::Unlinked(expected));
        }
        if self.anchors.get(&expected).is_some_and(|hash| *hash != right) {
            return Err(AuditFault::Anchor(expected));
        }
        self.head = Head { count: expected, last: right };
        Ok(())
    }

    /// Ends: compares with the end that is kept apart, and with the anchors behind it. Gives the number of records.
    ///
    /// # Errors
    /// [`AuditFault::Cut`] or [`AuditFault::Head`].
    pub fn end(self, noted: Head) -> Result<u64, AuditFault> {
        let found = self.head.count;
        let anchored = self.anchors.keys().next_back().copied().unwrap_or_default();
        let expected = noted.count.max(anchored);
        if found != expected || noted.count < found {
            return Err(AuditFault::Cut { found, expected });
        }
        if self.head.last != noted.last {
            return Err(AuditFault::Head(found));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditEntry, By};
    use proptest::prelude::*;
    use serde_json::json;

    type Log = Vec<(u64, AuditRecord)>;

    fn log(length: u64) -> (Log, Head) {
        let mut head = Head::default();
        let record = |number: u64| {
            let entry = AuditEntry::new(&By::system(number), "thing.changed", "thing", number.to_string())
                .change(Some(json!({"n": number})), Some(json!({"n": number + 1})));
            (number, head.append(entry))
        };
        let records = (1..=length).map(record).collect();
        (records, head)
    }

    fn verify(log: &Log, head: Head, anchors: &[Anchor]) -> Result<u64, AuditFault> {
        let mut verifier = Verifier::new(anchors);
        for (position, record) in log {
            verifier.follow(*position, Some(record))?;
        }
        verifier.end(head)
    }

    #[test]
    fn a_whole_log_is_right() {
        assert_eq!(verify(&Log::new(), Head::default(), &[]), Ok(0));
        let (log, head) = log(5);
        let anchor = Anchor { head: Head { count: 3, last: log[2].1.hash }, at_ms: 9 };
        assert_eq!(Anchor::parse(&anchor.to_string()), Some(anchor));
        assert_eq!(verify(&log, head, &[anchor, Anchor { head, at_ms: 10 }]), Ok(5));
        for wrong in ["", "3", "3 00 9", &format!("{anchor} more")] {
            assert_eq!(Anchor::parse(wrong), None);
        }
    }

    #[test]
    fn what_was_rewritten_whole_is_found_by_the_anchor() {
        let (mut log, old) = log(5);
        let anchor = Anchor { head: old, at_ms: 9 };
        let mut head = Head { count: 2, last: log[1].1.hash };
        for (position, record) in log.iter_mut().skip(2) {
            let entry = AuditEntry::new(&By::system(*position), "nothing.happened", "thing", String::new());
            *record = head.append(entry);
        }
        assert_eq!(verify(&log, head, &[]), Ok(5), "nothing inside of the store tells");
        assert_eq!(verify(&log, head, &[anchor]), Err(AuditFault::Anchor(5)));
        log.truncate(4);
        let head = Head { count: 4, last: log[3].1.hash };
        assert_eq!(verify(&log, head, &[]), Ok(4));
        assert_eq!(verify(&log, head, &[anchor]), Err(AuditFault::Cut { found: 4, expected: 5 }));
    }

    proptest! {
        #[test]
        fn any_tampering_is_found_with_its_position(
            length in 2_u64..20, at in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
            field in 0..9_usize, bit in 0..8_u32, byte in any::<prop::sample::Index>(),
        ) {
            let (right, head) = log(length);
            let place = at.index(right.len());
            let position = right[place].0;
            prop_assert_eq!(verify(&right, head, &[]), Ok(length));

            // Flip.
            let mut log = right.clone();
            let record = &mut log[place].1;
            match field {
                0 => record.entry.at_ms ^= 1 << bit,
                1 => record.entry.actor.push('x'),
                2 => record.entry.ip = Some("192.0.2.1".to_owned()),
                3 => record.entry.action.insert(0, 'x'),
                4 => record.entry.subject.id.push('0'),
                5 => record.entry.after = None,
                6 => record.sequence ^= 1 << bit,
                7 => record.hash[byte.index(32)] ^= 1 << bit,
                _ => record.previous[byte.index(32)] ^= 1 << bit,
            }
            prop_assert_eq!(verify(&log, head, &[]), Err(AuditFault::Altered(position)));
            // Flip, and hash again: the next one tells, or the noted end.
            if field != 7 {
                let record = &mut log[place].1;
                record.hash = record.right_hash();
                let told = match verify(&log, head, &[]) {
                    Err(AuditFault::OutOfPlace(it) | AuditFault::Unlinked(it) | AuditFault::Head(it)) => it,
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                prop_assert!(told == position || told == position + 1, "{}", told);
            }

            // Drop, with and without closing the gap.
            let mut log = right.clone();
            log.remove(place);
            let fault = verify(&log, head, &[]).unwrap_err();
            if position == length {
                prop_assert_eq!(fault, AuditFault::Cut { found: length - 1, expected: length });
            } else {
                prop_assert_eq!(fault, AuditFault::Missing(position));
                for (number, entry) in (1..).zip(&mut log) { entry.0 = number; }
                prop_assert_eq!(verify(&log, head, &[]), Err(AuditFault::OutOfPlace(position)));
            }

            // Reorder.
            let second = other.index(right.len());
            if second != place {
                let mut log = right.clone();
                let (a, b) = (log[place].1.clone(), log[second].1.clone());
                (log[place].1, log[second].1) = (b, a);
                let first = right[place.min(second)].0;
                prop_assert_eq!(verify(&log, head, &[]), Err(AuditFault::OutOfPlace(first)));
            }

            // Truncate.
            let mut log = right.clone();
            log.truncate(place);
            let found = u64::try_from(place).unwrap();
            prop_assert_eq!(verify(&log, head, &[]), Err(AuditFault::Cut { found, expected: length }));
        }
    }
}

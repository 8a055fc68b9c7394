//! Versions of the API: what has changed, and how calls of older versions are translated.
//!
//! The program knows the newest shapes alone. A [`Change`] tells, in one file, how a call of before it becomes one of after
//! it: requests go through the changes from the oldest to the newest, replies from the newest to the oldest. A call of the
//! newest version meets none of this: nothing of it is parsed or written again.
//!
//! `docs/api-versions.md` tells how to add a change; `docs/changelog-api.md` is printed from the same data.

mod audit_cursor;
mod batch_counts;
mod cancel_in_progress;
mod changelog;
mod checkout_seconds;
mod delivery_cursor;
mod instrument_details;

pub(crate) mod account;
pub(crate) mod layer;
pub(crate) mod shape;
pub(crate) mod usage;

pub use changelog::changelog_page;
pub(crate) use changelog::{ChangelogView, view as changelog_view};
pub use usage::report::{AccountUse, EndpointUse, Report, VersionUse, report};
pub(crate) use usage::{Calls, Counts};

use crate::guard::table::Endpoint;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;
use tollgate_engine::webhooks::VersionedBody;

/// One version.
#[derive(Debug)]
pub struct Version {
    /// Its name, which is its day.
    pub date: &'static str,
    /// The day from which on nobody should use it.
    pub deprecated_since: Option<&'static str>,
    /// The day from which on nobody can.
    pub sunset: Option<&'static str>,
}

/// All versions, the oldest first.
pub static VERSIONS: [Version; 3] = [
    Version { date: "2026-11-01", deprecated_since: Some("2026-11-22"), sunset: Some("2027-11-22") },
    Version { date: "2026-11-15", deprecated_since: None, sunset: None },
    Version { date: "2026-11-22", deprecated_since: None, sunset: None },
];

/// All changes, the oldest first.
pub(crate) static CHANGES: [&Change; 6] = [
    &cancel_in_progress::CHANGE,
    &batch_counts::CHANGE,
    &checkout_seconds::CHANGE,
    &instrument_details::CHANGE,
    &delivery_cursor::CHANGE,
    &audit_cursor::CHANGE,
];

/// A request's query parameters.
pub(crate) type Query = Vec<(String, String)>;

/// One change that clients would notice. Whatever it is given, it leaves alone what it does not know.
#[derive(Debug)]
pub(crate) struct Change {
    /// The version that brought it.
    pub(crate) since: &'static str,
    /// Its stable name.
    pub(crate) name: &'static str,
    /// What it means, for the changelog.
    pub(crate) sentence: &'static str,
    /// The endpoints it touches: method and path.
    pub(crate) endpoints: &'static [(&'static str, &'static str)],
    /// Translates query parameters of before to those of after.
    pub(crate) query: Option<fn(&mut Query)>,
    /// Translates a body of before to one of after. Not for bodies with cards: copies of them are not wiped.
    pub(crate) request: Option<fn(&mut Value)>,
    /// Translates a reply of after to one of before.
    pub(crate) response: Option<fn(&mut Value)>,
    /// Translates a problem of after to one of before.
    pub(crate) problem: Option<fn(&mut Value)>,
    /// Translates the body of a webhook of after to one of before.
    pub(crate) webhook: Option<fn(&mut Value)>,
}

impl Change {
    /// A change that translates nothing yet.
    const fn new(since: &'static str, name: &'static str, sentence: &'static str) -> Self {
        Self {
            since,
            name,
            sentence,
            endpoints: &[],
            query: None,
            request: None,
            response: None,
            problem: None,
            webhook: None,
        }
    }

    /// Whether it touches an endpoint.
    pub(crate) fn touches(&self, method: &str, path: &str) -> bool {
        self.endpoints.contains(&(method, path))
    }
}

/// One of [`VERSIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VersionId(u8);

impl VersionId {
    /// The newest.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are fewer than 200 versions; a test counts them"
    )]
    pub(crate) const NEWEST: Self = Self(VERSIONS.len() as u8 - 1);

    /// By its place among all.
    pub(crate) fn at(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|_| place < VERSIONS.len()).map(Self)
    }

    /// By its name.
    pub(crate) fn named(date: &str) -> Option<Self> {
        Self::at(VERSIONS.iter().position(|version| version.date == date)?)
    }

    /// Its place among all.
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }

    /// What is known of it.
    pub(crate) fn version(self) -> &'static Version {
        // An id is made of a place that there is.
        VERSIONS.get(self.place()).unwrap_or(&VERSIONS[0])
    }

    /// The changes that came after it.
    pub(crate) fn changes_since(self) -> impl DoubleEndedIterator<Item = &'static Change> {
        let date = self.version().date;
        // Dates in this form are in the order of their texts.
        CHANGES.iter().copied().filter(move |change| change.since > date)
    }

    /// The changes that came after it and touch an endpoint, the oldest first.
    pub(crate) fn plan(self, endpoint: &'static Endpoint) -> &'static [&'static Change] {
        let found = PLANS.get(&(self.0, endpoint.method.as_str(), endpoint.path));
        found.map_or(&[], Vec::as_slice)
    }
}

/// Changes by version, method and path.
type Plans = HashMap<(u8, &'static str, &'static str), Vec<&'static Change>>;

/// What is translated for each older version and endpoint that any change touches.
static PLANS: LazyLock<Plans> = LazyLock::new(|| {
    let mut plans = Plans::new();
    for place in 0..VERSIONS.len() {
        let Some(id) = VersionId::at(place) else {
            continue;
        };
        for change in id.changes_since() {
            for (method, path) in change.endpoints {
                plans.entry((id.0, *method, *path)).or_default().push(change);
            }
        }
    }
    plans
});

/// Gives a webhook's body the shape that it has in a version, the newest if none is named.
pub(crate) fn webhook_of_version(version: Option<&str>, body: Vec<u8>) -> VersionedBody {
    let id = version.and_then(VersionId::named).unwrap_or(VersionId::NEWEST);
    let translate: Vec<fn(&mut Value)> =
        id.changes_since().filter_map(|change| change.webhook).rev().collect();
    let shaped = if translate.is_empty() { None } else { shape::translated(&body, &translate) };
    (shaped.unwrap_or(body), id.version().date)
}

#[cfg(test)]
mod tests;

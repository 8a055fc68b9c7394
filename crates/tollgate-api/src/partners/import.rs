//! Many partners from one CSV: each bad line is told with its number, field and reason, and nothing of it is made.

use super::onboard::{FreshKey, Onboarding, Sides, onboard};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::task::JoinSet;
use tollgate_core::audit::By;
use tollgate_core::id::PartnerId;
use tollgate_core::partner::PartnerState;
use tollgate_core::partner::input::{FIELDS, FieldError, NewPartner};
use tollgate_store::Store;
use tollgate_store::commit::{Admin, CommitError};
use tollgate_store::error::StoreError;
use tollgate_store::query::LIMIT_MAX;

/// Most bytes of a CSV.
pub const BYTES_MAX: usize = 16 << 20;

/// Most lines of a CSV, without its head.
pub const LINES_MAX: u64 = 10_000;

/// Most errors that are told; further ones are counted.
pub const ERRORS_MAX: usize = 1_000;

/// Partners that are on their way to the store at once: they share its commits.
const AT_ONCE: usize = 256;

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Its number; the head is line 1.
    pub line: u64,
    /// What is wrong.
    pub error: FieldError,
}

/// A partner that was made.
#[derive(Debug)]
pub struct Made {
    /// The line it was on.
    pub line: u64,
    /// Its id.
    pub partner_id: PartnerId,
    /// The operator's own id of it.
    pub reference: Option<String>,
    /// Its registered name.
    pub legal_name: String,
    /// Its keys, told once.
    pub keys: Vec<FreshKey>,
}

/// What came of an import.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines read, without the head.
    pub lines: u64,
    /// What was made, in the order of the lines.
    pub made: Vec<Made>,
    /// What was not, at most [`ERRORS_MAX`].
    pub errors: Vec<LineError>,
    /// How many errors there are.
    pub error_count: u64,
}

impl Report {
    fn refuse(&mut self, line: u64, error: FieldError) {
        self.error_count += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(LineError { line, error });
        }
    }
}

/// Why a CSV was not read at all. Nothing was made then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is too long.
    #[error("the file has more than 16 MiB or 10,000 lines")]
    TooLong,
    /// Its head is wrong.
    #[error("the first line must name the fields: {0}")]
    Head(String),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not take what must be taken whole.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The partners there are, by what must not be there twice.
#[derive(Default)]
struct Known {
    references: HashMap<String, (PartnerId, bool)>,
    names: HashSet<(String, Option<String>)>,
}

impl Known {
    async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let (mut known, mut after) = (Self::default(), None);
        loop {
            let page = store.partners(after, LIMIT_MAX).await?;
            let Some(last) = page.last() else {
                return Ok(known);
            };
            after = Some(last.id);
            for partner in page.into_iter().filter(|partner| partner.state != PartnerState::Offboarded) {
                known.names.insert((partner.profile.legal_name.to_lowercase(), partner.profile.country));
                if let Some(reference) = partner.profile.reference {
                    known.references.insert(reference, (partner.id, partner.parent.is_some()));
                }
            }
        }
    }

    /// Takes a new partner in; gives the one above it, or what is wrong.
    fn admit(&mut self, new: &NewPartner) -> Result<Option<PartnerId>, FieldError> {
        let name = (new.profile.legal_name.to_lowercase(), new.profile.country.clone());
        if self.names.contains(&name) {
            return Err(FieldError::new(
                "legal_name",
                "is a duplicate: there is a partner of this name and country",
            ));
        }
        if new.profile.reference.as_ref().is_some_and(|reference| self.references.contains_key(reference)) {
            return Err(FieldError::new("reference", "is a duplicate: another partner has it"));
        }
        let parent = match &new.parent_reference {
            None => None,
            Some(reference) => match self.references.get(reference) {
                Some((id, false)) => Some(*id),
                Some((_, true)) => {
                    return Err(FieldError::new(
                        "parent_reference",
                        "names a partner that is a sub-merchant itself",
                    ));
                }
                None => {
                    return Err(FieldError::new(
                        "parent_reference",
                        "names no partner that is there or above",
                    ));
                }
            },
        };
        self.names.insert(name);
        Ok(parent)
    }
}

/// Makes partners of a CSV's lines; with `all_or_nothing` either all of them or none.
///
/// # Errors
/// [`ImportError`]: the file as a whole is wrong, or the store failed.
pub async fn import(
    store: &Arc<dyn Store>,
    csv: &[u8],
    all_or_nothing: bool,
    by: &By,
) -> Result<Report, ImportError> {
    if csv.len() > BYTES_MAX {
        return Err(ImportError::TooLong);
    }
    let mut report = Report::default();
    let ready = read(Known::read(store.as_ref()).await?, csv, &mut report)?;
    if all_or_nothing {
        if report.error_count == 0 && !ready.is_empty() {
            let changes = ready.iter().map(|(_, one)| one.change.clone()).collect();
            store.administer(Admin::Together(changes), by.clone()).await?;
            report.made = ready.into_iter().map(made).collect();
        }
        return Ok(report);
    }
    let mut waiting = ready.into_iter();
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some((line, one)) = waiting.next()
        {
            let (store, by) = (Arc::clone(store), by.clone());
            under_way.spawn(async move {
                let written = store.administer(one.change.clone(), by).await;
                (line, one, written)
            });
        }
        match under_way.join_next().await {
            None => break,
            Some(Ok((line, one, Ok(())))) => report.made.push(made((line, one))),
            Some(Ok((line, _, Err(error)))) => report.refuse(line, FieldError::new("", &error.to_string())),
            Some(Err(_)) => report.refuse(0, FieldError::new("", "was not written: the program is stopping")),
        }
    }
    report.made.sort_by_key(|made| made.line);
    report.errors.sort_by_key(|error| error.line);
    Ok(report)
}

fn made((line, one): (u64, Onboarding)) -> Made {
    let partner = one.partner;
    Made {
        line,
        partner_id: partner.id,
        reference: partner.profile.reference,
        legal_name: partner.profile.legal_name,
        keys: one.keys,
    }
}

/// Reads and checks a CSV as if there were no partners yet; makes nothing.
///
/// # Errors
/// [`ImportError`]: the file as a whole is wrong.
pub fn examine(csv: &[u8]) -> Result<Report, ImportError> {
    if csv.len() > BYTES_MAX {
        return Err(ImportError::TooLong);
    }
    let mut report = Report::default();
    read(Known::default(), csv, &mut report)?;
    Ok(report)
}

/// Reads and checks all lines before anything is made.
fn read(mut known: Known, csv: &[u8], report: &mut Report) -> Result<Vec<(u64, Onboarding)>, ImportError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
    let head: Vec<String> = match reader.headers() {
        Ok(head) => head.iter().map(str::to_owned).collect(),
        Err(_) => return Err(ImportError::Head("it is not CSV in UTF-8".to_owned())),
    };
    let distinct: HashSet<&String> = head.iter().collect();
    if distinct.len() != head.len() {
        return Err(ImportError::Head("a name stands there twice".to_owned()));
    }
    if !head.iter().any(|name| name == "legal_name") {
        return Err(ImportError::Head("legal_name is missing".to_owned()));
    }
    if let Some(place) = head.iter().position(|name| !FIELDS.contains(&name.as_str())) {
        return Err(ImportError::Head(format!("column {} has a name that is not known", place + 1)));
    }
    let mut ready = Vec::new();
    for record in reader.records() {
        report.lines += 1;
        if report.lines > LINES_MAX {
            return Err(ImportError::TooLong);
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(report.lines + 1, csv::Position::line);
                let reason = match error.kind() {
                    csv::ErrorKind::UnequalLengths { .. } => {
                        "has another number of fields than the first line"
                    }
                    csv::ErrorKind::Utf8 { .. } => "is not UTF-8",
                    _ => "is not CSV",
                };
                report.refuse(line, FieldError::new("", reason));
                continue;
            }
        };
        let line = record.position().map_or(report.lines + 1, csv::Position::line);
        let fields: BTreeMap<String, String> =
            head.iter().cloned().zip(record.iter().map(str::to_owned)).collect();
        let new = match NewPartner::read(&fields) {
            Ok(new) => new,
            Err(errors) => {
                errors.into_iter().for_each(|error| report.refuse(line, error));
                continue;
            }
        };
        match known.admit(&new) {
            Err(error) => report.refuse(line, error),
            Ok(parent) => {
                let sides = if new.live { Sides::Both } else { Sides::Sandbox };
                let one = onboard(new, parent, sides);
                if let Some(reference) = &one.partner.profile.reference {
                    known.references.insert(reference.clone(), (one.partner.id, parent.is_some()));
                }
                ready.push((line, one));
            }
        }
    }
    Ok(ready)
}

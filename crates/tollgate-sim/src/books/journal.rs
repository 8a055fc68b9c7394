//! The journal: one line of tab-separated text a change.

use super::entry::{Method, Notes, RefundState, Status};
use super::{BooksError, NewEntry};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "tollgate-sim-books\t1\n";

/// A change of the books.
#[derive(Debug, Clone)]
pub(super) enum Change<'a> {
    Open {
        number: u64,
        new: NewEntry<'a>,
    },
    Charge {
        number: u64,
        status: Status,
        method: Method,
        failure: u8,
    },
    /// Without an amount: all of it.
    Capture {
        number: u64,
        action: u64,
        token: String,
        amount_minor: Option<i64>,
    },
    Void {
        number: u64,
        action: u64,
        token: String,
    },
    Refund {
        number: u64,
        action: u64,
        amount_minor: i64,
        state: RefundState,
        reference: String,
        key: String,
    },
    RefundState {
        number: u64,
        action: u64,
        state: RefundState,
    },
}

impl Change<'_> {
    pub(super) const fn number(&self) -> u64 {
        match self {
            Self::Open { number, .. }
            | Self::Charge { number, .. }
            | Self::Capture { number, .. }
            | Self::Void { number, .. }
            | Self::Refund { number, .. }
            | Self::RefundState { number, .. } => *number,
        }
    }

    pub(super) const fn highest_action(&self) -> u64 {
        match self {
            Self::Capture { action, .. }
            | Self::Void { action, .. }
            | Self::Refund { action, .. }
            | Self::RefundState { action, .. } => *action,
            Self::Open { .. } | Self::Charge { .. } => 0,
        }
    }

    fn write_into(&self, line: &mut String) {
        // Writing to a `String` cannot fail.
        let _ = match self {
            Self::Open { number, new } => {
                let currency = std::str::from_utf8(&new.currency).unwrap_or("XXX");
                let manual = u8::from(new.manual);
                let method = letter(&Method::ALL, new.method);
                let notes = match &new.notes {
                    Notes::None => "-",
                    Notes::Reference => "=",
                    Notes::Json(json) => json,
                };
                let (reference, amount, at) = (new.reference, new.amount_minor, new.now_ms);
                writeln!(
                    line,
                    "O\t{number}\t{reference}\t{amount}\t{currency}\t{at}\t{manual}\t{method}\t{notes}"
                )
            }
            Self::Charge { number, status, method, failure } => {
                let status = letter(&Status::ALL, *status);
                let method = letter(&Method::ALL, *method);
                writeln!(line, "S\t{number}\t{status}\t{method}\t{failure}")
            }
            Self::Capture { number, action, token, amount_minor: None } => {
                writeln!(line, "C\t{number}\t{action}\t{token}")
            }
            Self::Capture { number, action, token, amount_minor: Some(amount_minor) } => {
                writeln!(line, "C\t{number}\t{action}\t{token}\t{amount_minor}")
            }
            Self::Void { number, action, token } => {
                writeln!(line, "V\t{number}\t{action}\t{token}")
            }
            Self::Refund { number, action, amount_minor, state, reference, key } => {
                let state = letter(&RefundState::ALL, *state);
                writeln!(line, "R\t{number}\t{action}\t{amount_minor}\t{state}\t{reference}\t{key}")
            }
            Self::RefundState { number, action, state } => {
                let state = letter(&RefundState::ALL, *state);
                writeln!(line, "r\t{number}\t{action}\t{state}")
            }
        };
    }
}

fn letter<T: Copy + PartialEq>(table: &[(char, T)], value: T) -> char {
    table.iter().find(|(_, known)| *known == value).map_or('?', |(letter, _)| *letter)
}

fn value<T: Copy>(table: &[(char, T)], letter: &str) -> Option<T> {
    let mut characters = letter.chars();
    let wanted = characters.next().filter(|_| characters.as_str().is_empty())?;
    table.iter().find(|(known, _)| *known == wanted).map(|(_, value)| *value)
}

/// Reads a line; `None` when it is not one.
pub(super) fn parse(line: &str) -> Option<Change<'_>> {
    let mut fields = line.split('\t');
    let kind = fields.next()?;
    let number = fields.next()?.parse().ok()?;
    let change = match kind {
        "O" => {
            let reference = fields.next()?;
            let amount_minor = fields.next()?.parse().ok()?;
            let currency = fields.next()?.as_bytes().try_into().ok()?;
            let now_ms = fields.next()?.parse().ok()?;
            let manual = fields.next()? == "1";
            let method = value(&Method::ALL, fields.next()?)?;
            let notes = match fields.next()? {
                "-" => Notes::None,
                "=" => Notes::Reference,
                json => Notes::Json(json.into()),
            };
            let new = NewEntry { reference, amount_minor, currency, manual, method, notes, now_ms };
            Change::Open { number, new }
        }
        "S" => Change::Charge {
            number,
            status: value(&Status::ALL, fields.next()?)?,
            method: value(&Method::ALL, fields.next()?)?,
            failure: fields.next()?.parse().ok()?,
        },
        "C" | "V" => {
            let action = fields.next()?.parse().ok()?;
            let token = fields.next()?.to_owned();
            if kind == "C" {
                let amount_minor = fields.next().map(str::parse).transpose().ok()?;
                Change::Capture { number, action, token, amount_minor }
            } else {
                Change::Void { number, action, token }
            }
        }
        "R" => Change::Refund {
            number,
            action: fields.next()?.parse().ok()?,
            amount_minor: fields.next()?.parse().ok()?,
            state: value(&RefundState::ALL, fields.next()?)?,
            reference: fields.next()?.to_owned(),
            key: fields.next()?.to_owned(),
        },
        "r" => Change::RefundState {
            number,
            action: fields.next()?.parse().ok()?,
            state: value(&RefundState::ALL, fields.next()?)?,
        },
        _ => return None,
    };
    fields.next().is_none().then_some(change)
}

/// Where a processor's journal is.
pub(super) fn path_of(dir: &Path, processor: &str) -> PathBuf {
    dir.join(format!("{processor}.journal"))
}

/// Gives every complete line of a journal to `each` and tells how many bytes they take; `None` when
/// there is no journal. A last line without its end was being written when the process died and is
/// left out: nothing was answered for it.
pub(super) fn replay(
    dir: &Path,
    processor: &str,
    mut each: impl FnMut(&str) -> Option<()>,
) -> Result<Option<u64>, BooksError> {
    let path = path_of(dir, processor);
    let failed = |source| BooksError::Io { path: path.display().to_string(), source };
    let mut reader = match File::open(&path) {
        Ok(file) => BufReader::with_capacity(1 << 20, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut line = String::new();
    let (mut complete, mut number) = (0_u64, 0_usize);
    loop {
        line.clear();
        let length = reader.read_line(&mut line).map_err(failed)?;
        let Some(content) = line.strip_suffix('\n') else {
            return Ok((number > 0).then_some(complete));
        };
        number += 1;
        complete += length as u64;
        let understood = if number == 1 { (line == HEADER).then_some(()) } else { each(content) };
        if understood.is_none() {
            return Err(BooksError::Malformed { path: path.display().to_string(), line: number });
        }
    }
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Opens a journal after giving what is in it to `each`, or creates one.
    pub(super) fn open(
        dir: &Path,
        processor: &str,
        each: impl FnMut(&str) -> Option<()>,
    ) -> Result<Self, BooksError> {
        let path = path_of(dir, processor);
        let failed = |source| BooksError::Io { path: path.display().to_string(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let complete = replay(dir, processor, each)?;
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        let journal = Self { file };
        match complete {
            // Cut off a line that was not finished, or the next one would be appended to it.
            Some(bytes) => journal.file.set_len(bytes).map_err(failed)?,
            None => journal.clear().map_err(failed)?,
        }
        Ok(journal)
    }

    /// Appends one line with one `write()`: appends of several threads do not mix.
    pub(super) fn append(&self, change: &Change<'_>) -> io::Result<()> {
        let mut line = String::with_capacity(128);
        change.write_into(&mut line);
        (&self.file).write_all(line.as_bytes())
    }

    /// Empties it.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).write_all(HEADER.as_bytes())
    }
}

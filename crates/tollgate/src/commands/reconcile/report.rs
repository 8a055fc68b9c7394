//! A processor's transaction report: comma-separated values (RFC 4180) with a header line.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::BufRead;
use tollgate_core::id::AttemptId;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Most bad lines that are kept.
const BAD_MAX: usize = 10_000;

/// The columns that must be there, in any order; others are not looked at.
const COLUMNS: [&str; 4] = ["reference", "processor_payment_id", "status", "amount"];

/// What a report says about one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line it stands on, from 1.
    pub(crate) line: usize,
    /// The processor's id of the payment or refund.
    pub(crate) processor_id: String,
    /// Where it stands.
    pub(crate) status: Status,
    /// The amount in decimal major units, as it is written.
    pub(crate) amount: String,
}

/// Where a transaction of a report stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Registered; nobody has tried to pay.
    Created,
    /// Not finished.
    Pending,
    /// Reserved, not taken.
    Authorized,
    /// Taken.
    Captured,
    /// Refused; no money moved.
    Failed,
    /// Reserved and released.
    Voided,
    /// A charge: taken, and all of it given back. A refund: done.
    Refunded,
}

impl Status {
    const ALL: [(&'static str, Self); 7] = [
        ("created", Self::Created),
        ("pending", Self::Pending),
        ("authorized", Self::Authorized),
        ("captured", Self::Captured),
        ("failed", Self::Failed),
        ("voided", Self::Voided),
        ("refunded", Self::Refunded),
    ];

    /// The name in a report.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// A line that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// The line, from 1.
    pub(crate) line: usize,
    /// Why; quotes nothing of the line.
    pub(crate) reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads a report, every line of it; keeps the rows of the wanted references.
pub(crate) fn read(
    mut report: impl BufRead,
    wanted: &HashSet<AttemptId>,
) -> std::io::Result<Result<HashMap<AttemptId, Row>, Vec<BadLine>>> {
    let mut rows: HashMap<AttemptId, Row> = HashMap::new();
    let mut bad = Vec::new();
    let mut places: Option<[usize; 4]> = None;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        if std::io::Read::take(&mut report, limit).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let read = read_line(line, &bytes, &mut places).and_then(|found| {
            let Some((reference, row)) = found else {
                return Ok(());
            };
            // References that are not ours are other systems' business.
            let Some(id) = AttemptId::from_reference(&reference).filter(|id| wanted.contains(id)) else {
                return Ok(());
            };
            match rows.get(&id) {
                Some(first) => Err(format!("the reference stands on line {} already", first.line)),
                None => {
                    rows.insert(id, row);
                    Ok(())
                }
            }
        });
        if let Err(reason) = read {
            bad.push(BadLine { line, reason });
        }
        // Without its header nothing can be read; and a file of another kind has no good line.
        if places.is_none() || bad.len() >= BAD_MAX {
            break;
        }
    }
    if places.is_none() && bad.is_empty() {
        bad.push(BadLine { line: 1, reason: "the report is empty".to_owned() });
    }
    Ok(if bad.is_empty() { Ok(rows) } else { Err(bad) })
}

fn read_line(
    line: usize,
    bytes: &[u8],
    places: &mut Option<[usize; 4]>,
) -> Result<Option<(String, Row)>, String> {
    if bytes.len() >= LINE_BYTES_MAX && bytes.last() != Some(&b'\n') {
        return Err("the line is too long".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "the line is not UTF-8")?;
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if text.is_empty() && places.is_some() {
        return Ok(None);
    }
    let fields = split(text)?;
    let Some(places) = places else {
        *places = Some(header(&fields)?);
        return Ok(None);
    };
    let [reference, processor_id, status, amount] = places.map(|place| fields.get(place).map(|it| it.trim()));
    let (Some(reference), Some(processor_id), Some(status), Some(amount)) =
        (reference, processor_id, status, amount)
    else {
        return Err("the line has fewer fields than the header".to_owned());
    };
    if reference.is_empty() {
        return Err("the reference is missing".to_owned());
    }
    let known = Status::ALL.iter().find(|(name, _)| *name == status);
    let Some((_, status)) = known else {
        let names = Status::ALL.map(|(name, _)| name);
        return Err(format!("the status is none of {}", names.join(", ")));
    };
    if !is_amount(amount) {
        return Err("the amount is no decimal number".to_owned());
    }
    let row = Row { line, processor_id: processor_id.to_owned(), status: *status, amount: amount.to_owned() };
    Ok(Some((reference.to_owned(), row)))
}

fn header(fields: &[String]) -> Result<[usize; 4], String> {
    let mut places = [0; 4];
    for (name, place) in COLUMNS.iter().zip(&mut places) {
        let mut found = fields.iter().enumerate().filter(|(_, field)| field.trim() == *name);
        *place = found.next().ok_or_else(|| format!("the header has no column {name}"))?.0;
        if found.next().is_some() {
            return Err(format!("the header has the column {name} twice"));
        }
    }
    Ok(places)
}

/// Digits, and perhaps a point and digits; nothing is said about how many of them a currency has.
fn is_amount(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    text.len() <= 40 && digits(whole) && fraction.is_none_or(digits)
}

/// The fields of a line. A field in quotes may hold commas and doubled quotes, no line ends.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted).ok_or("a quoted field does not end")?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return Err("a quote stands inside a field that is not quoted".to_owned());
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(fields),
            None => return Err("something follows a quoted field".to_owned()),
        }
    }
}

fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, wanted: &[AttemptId]) -> Result<HashMap<AttemptId, Row>, Vec<BadLine>> {
        read(text.as_bytes(), &wanted.iter().copied().collect()).unwrap()
    }

    fn id(number: u128) -> AttemptId {
        AttemptId::from_u128(number)
    }

    #[test]
    fn wanted_rows_are_kept_whatever_the_order_of_columns() {
        let text = format!(
            "\u{feff}settled_on,amount,status,reference,processor_payment_id\r\n\
             \"1 May, noon\",100.00,captured,{},\"a \"\"quoted\"\" id\"\r\n\
             ,5,failed,{},x\r\n\r\n,1.5,refunded,not-one-of-ours,y",
            id(7).reference(),
            id(8).reference()
        );
        let rows = read_text(&text, &[id(7)]).unwrap();
        let row = Row {
            line: 2,
            processor_id: "a \"quoted\" id".to_owned(),
            status: Status::Captured,
            amount: "100.00".to_owned(),
        };
        assert_eq!(rows, HashMap::from([(id(7), row)]));
    }

    #[test]
    fn bad_lines_are_told_with_number_and_reason() {
        let reference = id(7).reference();
        let text = format!(
            "reference,processor_payment_id,status,amount\n\
             {reference},p,captured,100.00\n\
             ,p,captured,1\n\
             r,p,paid,1\n\
             r,p,captured,1e3\n\
             r,p\n\
             r,\"p,captured,1\n\
             {reference},p,failed,1\n"
        );
        let bad = read_text(&text, &[id(7)]).unwrap_err();
        let lines: Vec<usize> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8], "{bad:?}");
        assert_eq!(bad[5].reason, "the reference stands on line 2 already");
    }

    #[test]
    fn a_file_of_another_kind_is_refused_at_its_head() {
        for (text, reason) in [
            ("", "the report is empty"),
            ("reference,status,amount\nx", "the header has no column processor_payment_id"),
            (
                "reference,status,amount,processor_payment_id,status\n",
                "the header has the column status twice",
            ),
        ] {
            let bad = read_text(text, &[]).unwrap_err();
            assert_eq!(bad, [BadLine { line: 1, reason: reason.to_owned() }], "{text}");
        }
        assert_eq!(read_text(&"x".repeat(70_000), &[]).unwrap_err().len(), 1);
    }
}

//! The file of acknowledged payments: what the gateway has promised to have on disk. A crash test reads it after the server
//! was killed and looks every line up.
//!
//! A line is written, with one system call, as soon as its reply is read; it survives the death of the generator, though not
//! of the machine. The file is appended to, never truncated.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::payment::write_amount;

/// One acknowledged payment. In the file: its five fields in this order with a tab between, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckLine {
    /// The gateway's payment id.
    pub id: String,
    /// The status in the reply; the payment may have moved on since.
    pub status: String,
    /// The amount asked for, in major units as sent, such as `123.45`.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: String,
    /// The `Idempotency-Key` it was sent with.
    pub idempotency_key: String,
}

/// Reads a line of the file. `None` unless it has exactly five fields, none of them empty (a line cut off by a crash has not).
#[must_use]
pub fn parse_ack_line(line: &str) -> Option<AckLine> {
    let mut fields = line.split('\t').filter(|field| !field.is_empty());
    let mut next = || fields.next().map(str::to_owned);
    let ack = AckLine {
        id: next()?,
        status: next()?,
        amount: next()?,
        currency: next()?,
        idempotency_key: next()?,
    };
    (line.split('\t').count() == 5).then_some(ack)
}

/// The open file.
pub(super) struct AckLog {
    file: File,
    line: String,
    currency: String,
    minor_digits: u8,
}

impl AckLog {
    pub(super) fn open(path: &Path, currency: &str, minor_digits: u8) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, line: String::with_capacity(160), currency: currency.to_owned(), minor_digits })
    }

    /// Appends a line. Id and status are printable without spaces: [`super::reply`] lets nothing else through.
    pub(super) fn append(&mut self, id: &str, status: &str, amount_minor: u64, key: &[u8]) -> io::Result<()> {
        self.line.clear();
        self.line.push_str(id);
        self.line.push('\t');
        self.line.push_str(status);
        self.line.push('\t');
        write_amount(&mut self.line, amount_minor, self.minor_digits);
        self.line.push('\t');
        self.line.push_str(&self.currency);
        self.line.push('\t');
        self.line.push_str(&String::from_utf8_lossy(key));
        self.line.push('\n');
        self.file.write_all(self.line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_or_crowded_line_is_no_line() {
        let line = "pay_1\tcompleted\t1.00\tINR\tload-1";
        assert_eq!(parse_ack_line(line).unwrap().idempotency_key, "load-1");
        for bad in
            ["", "pay_1\tcompleted\t1.00\tINR", "pay_1\tcompleted\t1.00\tINR\t", "pay_1\t\t1.00\tINR\tload-1"]
        {
            assert_eq!(parse_ack_line(bad), None, "{bad:?}");
        }
        assert_eq!(parse_ack_line(&format!("{line}\tmore")), None);
    }
}

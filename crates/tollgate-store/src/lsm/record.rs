//! How a batch lies in the journal.
//!
//! A record begins at a page, and no two records share one: writing a record never touches the bytes of another, so a write that is
//! cut off cannot harm what was acknowledged. Its header has the number of the segment, so that what an earlier use of the file left is told
//! apart, and its place in the order of all records, so that a gap is seen.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic |
//! | 4 | rows |
//! | 8 | length of the rows |
//! | 8 | number of the segment |
//! | 8 | place among all records, one more than that of the one before |
//! | 8 | sequence number of the rows |
//! | 8 | XXH3 of the header before this, and of the rows |
//! | … | rows: kind, keyspace (4), length of the key (2), of the value (4), key, value; little-endian |

use crate::lsm::error::LsmError;
use lsm_tree::Slice;
use xxhash_rust::xxh3::Xxh3;

/// What records and segments are multiples of.
pub(super) const PAGE: u64 = 4_096;

/// Length of a record's header.
pub(super) const HEADER: usize = 48;

/// How much of the header its checksum covers.
const CHECKED: usize = 40;

const MAGIC: [u8; 4] = *b"TGr1";

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// A change of one row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The keyspace's number.
    pub(super) space: u32,
    pub(super) key: Slice,
    /// None: removed.
    pub(super) value: Option<Slice>,
}

/// A record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) index: u64,
    pub(super) seqno: u64,
}

/// A record's header, as read.
pub(super) struct Header {
    pub(super) place: Place,
    pub(super) length: u64,
    rows: u32,
    checksum: u64,
    checked: [u8; CHECKED],
}

/// The next multiple of a page.
pub(super) const fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE).saturating_mul(PAGE)
}

/// Writes a record, up to the end of its last page, over what the buffer held.
pub(super) fn encode(buffer: &mut Vec<u8>, place: Place, rows: &[Row]) -> Result<(), LsmError> {
    buffer.clear();
    buffer.resize(HEADER, 0);
    for row in rows {
        let key_length =
            u16::try_from(row.key.len()).ok().filter(|length| *length > 0).ok_or(LsmError::Length)?;
        let value: &[u8] = row.value.as_deref().unwrap_or_default();
        let value_length = u32::try_from(value.len()).map_err(|_| LsmError::Length)?;
        buffer.push(if row.value.is_some() { PUT } else { REMOVE });
        buffer.extend_from_slice(&row.space.to_le_bytes());
        buffer.extend_from_slice(&key_length.to_le_bytes());
        buffer.extend_from_slice(&value_length.to_le_bytes());
        buffer.extend_from_slice(&row.key);
        buffer.extend_from_slice(value);
    }
    let count = u32::try_from(rows.len()).map_err(|_| LsmError::Length)?;
    let length = buffer.len().saturating_sub(HEADER) as u64;
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&count.to_le_bytes());
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(&place.segment.to_le_bytes());
    header.extend_from_slice(&place.index.to_le_bytes());
    header.extend_from_slice(&place.seqno.to_le_bytes());
    let checksum = checksum(&header, buffer.get(HEADER..).unwrap_or_default());
    header.extend_from_slice(&checksum.to_le_bytes());
    if let Some(start) = buffer.get_mut(..HEADER) {
        start.copy_from_slice(&header);
    }
    let whole = usize::try_from(pages(buffer.len() as u64)).map_err(|_| LsmError::Length)?;
    buffer.resize(whole, 0);
    Ok(())
}

fn checksum(header: &[u8], rows: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(header);
    hash.update(rows);
    hash.digest()
}

/// Reads numbers and bytes one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

impl Header {
    /// Reads a header; none: there is none here.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let checked = bytes.get(..CHECKED)?.try_into().ok()?;
        let mut reader = Reader(bytes);
        if reader.array::<4>()? != MAGIC {
            return None;
        }
        let rows = reader.u32()?;
        let length = reader.u64()?;
        let place = Place { segment: reader.u64()?, index: reader.u64()?, seqno: reader.u64()? };
        Some(Self { place, length, rows, checksum: reader.u64()?, checked })
    }

    /// Whether these are the rows it was written with.
    pub(super) fn fits(&self, rows: &[u8]) -> bool {
        rows.len() as u64 == self.length && checksum(&self.checked, rows) == self.checksum
    }

    /// Reads the rows.
    pub(super) fn rows(&self, bytes: &[u8]) -> Option<Vec<Row>> {
        let mut reader = Reader(bytes);
        let mut rows = Vec::new();
        for _ in 0..self.rows {
            let kind = reader.array::<1>()?;
            let space = reader.u32()?;
            let key_length = u16::from_le_bytes(reader.array()?);
            let value_length = usize::try_from(reader.u32()?).ok()?;
            let key = reader.bytes(key_length.into()).filter(|key| !key.is_empty())?;
            let value = reader.bytes(value_length)?;
            let value = match kind {
                [PUT] => Some(Slice::from(value)),
                [REMOVE] => None,
                _ => return None,
            };
            rows.push(Row { space, key: Slice::from(key), value });
        }
        reader.0.is_empty().then_some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { segment: 3, index: 17, seqno: 99 };

    fn written() -> Vec<u8> {
        let rows = [
            Row { space: 1, key: Slice::from("key"), value: Some(Slice::from(vec![7; 5_000])) },
            Row { space: 2, key: Slice::from("other"), value: None },
            Row { space: 2, key: Slice::from("empty"), value: Some(Slice::from("")) },
        ];
        let mut buffer = vec![1; 100];
        encode(&mut buffer, PLACE, &rows).unwrap();
        buffer
    }

    #[test]
    fn what_is_written_is_read() {
        let buffer = written();
        assert_eq!(buffer.len(), 8_192);
        let header = Header::read(&buffer).unwrap();
        assert_eq!(header.place, PLACE);
        let bytes = &buffer[HEADER..HEADER + usize::try_from(header.length).unwrap()];
        assert!(header.fits(bytes));
        let rows = header.rows(bytes).unwrap();
        let read: Vec<_> = rows.iter().map(|row| (row.space, row.key.to_vec(), row.value.clone())).collect();
        assert_eq!(read[0], (1, b"key".to_vec(), Some(Slice::from(vec![7; 5_000]))));
        assert_eq!(read[1], (2, b"other".to_vec(), None));
        assert_eq!(read[2], (2, b"empty".to_vec(), Some(Slice::from(""))));
    }

    #[test]
    fn any_bit_that_is_flipped_is_seen() {
        let buffer = written();
        let length = HEADER + usize::try_from(Header::read(&buffer).unwrap().length).unwrap();
        for at in (0..length).filter(|at| *at < 200 || at % 97 == 0) {
            let mut flipped = buffer.clone();
            flipped[at] ^= 0x10;
            let fits = Header::read(&flipped).is_some_and(|header| {
                let end = HEADER.saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX));
                flipped.get(HEADER..end).is_some_and(|bytes| header.fits(bytes))
            });
            assert!(!fits, "byte {at}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_written_are_refused() {
        let mut buffer = Vec::new();
        for key in [Vec::new(), vec![0; 65_536]] {
            let row = Row { space: 1, key: Slice::from(key), value: None };
            assert!(matches!(encode(&mut buffer, PLACE, &[row]), Err(LsmError::Length)));
        }
    }
}

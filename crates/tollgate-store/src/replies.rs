//! Replies in rows: packed by LZ4 against a dictionary of what replies usually say.
//!
//! A reply is kept to the byte, and most of its bytes are names that every reply has: against the dictionary a tenth of them is
//! left, in the journal, the tables and every merge after. Rows written before there was a dictionary are read as they are.

use crate::commit::StoredReply;
use bytes::Bytes;
use lz4_flex::block::{compress_into_with_dict, decompress_into_with_dict, get_maximum_output_size};
use serde::{Deserialize, Serialize};

/// In a row's status: the body is packed.
const PACKED: u16 = 1 << 15;

/// The dictionary of today's rows, by its place in [`DICTIONARIES`].
const TODAY: u8 = 0;

/// All there have ever been. None may change or go: rows cannot be read without the one they were written with.
const DICTIONARIES: [&[u8]; 1] = [include_bytes!("replies.dictionary")];

/// The dictionary's place and the body's length.
const HEAD_BYTES: usize = 5;

/// The longest body that is unpacked. Replies are far shorter: requests are at most a few MiB.
const BODY_BYTES_MAX: usize = 64 << 20;

/// How a reply stands in a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReplyRow {
    status: u16,
    body: Bytes,
}

impl From<StoredReply> for ReplyRow {
    fn from(reply: StoredReply) -> Self {
        match pack(&reply.body) {
            Some(packed) => Self { status: reply.status | PACKED, body: packed.into() },
            None => Self { status: reply.status, body: reply.body },
        }
    }
}

impl TryFrom<ReplyRow> for StoredReply {
    type Error = &'static str;

    fn try_from(row: ReplyRow) -> Result<Self, Self::Error> {
        if row.status & PACKED == 0 {
            return Ok(Self { status: row.status, body: row.body });
        }
        let body = unpack(&row.body).ok_or("a packed reply that cannot be unpacked")?;
        Ok(Self { status: row.status & !PACKED, body: body.into() })
    }
}

/// The body against today's dictionary; none if that makes it no shorter.
fn pack(body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX)?;
    let dictionary = DICTIONARIES.get(usize::from(TODAY))?;
    let mut packed = vec![0; HEAD_BYTES + get_maximum_output_size(body.len())];
    let (head, block) = packed.split_at_mut(HEAD_BYTES);
    let (place, written) = head.split_at_mut(1);
    place.fill(TODAY);
    written.copy_from_slice(&length.to_le_bytes());
    let block = compress_into_with_dict(body, block, dictionary).ok()?;
    packed.truncate(HEAD_BYTES + block);
    (packed.len() < body.len()).then_some(packed)
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (place, rest) = packed.split_first()?;
    let (length, block) = rest.split_first_chunk::<4>()?;
    let length =
        usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= BODY_BYTES_MAX)?;
    let dictionary = DICTIONARIES.get(usize::from(*place))?;
    let mut body = vec![0; length];
    let unpacked = decompress_into_with_dict(block, &mut body, dictionary).ok()?;
    (unpacked == length).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn there_and_back(body: &[u8]) -> (usize, StoredReply) {
        let reply = StoredReply { status: 201, body: body.to_vec().into() };
        let row = postcard::to_stdvec(&reply).unwrap();
        (row.len(), postcard::from_bytes(&row).unwrap())
    }

    #[test]
    fn bodies_come_back_to_the_byte() {
        let long: Vec<u8> =
            (0..300_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        for body in [&b""[..], b"x", b"{}", DICTIONARIES[0], &DICTIONARIES[0][100..1_000], &[0; 5_000], &long]
        {
            let (_, back) = there_and_back(body);
            assert_eq!((back.status, &back.body[..]), (201, body));
        }
    }

    #[test]
    fn what_the_dictionary_knows_is_short() {
        let (length, _) = there_and_back(&DICTIONARIES[0][1_500..]);
        assert!(length < 40, "{length} bytes");
    }

    #[test]
    fn rows_from_before_the_dictionary_are_read() {
        let row = postcard::to_stdvec(&(402_u16, Bytes::from_static(b"{\"a\":1}"))).unwrap();
        let reply: StoredReply = postcard::from_bytes(&row).unwrap();
        assert_eq!((reply.status, &reply.body[..]), (402, &b"{\"a\":1}"[..]));
    }

    #[test]
    fn broken_rows_are_refused() {
        let body = &DICTIONARIES[0][500..1_500];
        let packed = pack(body).unwrap();
        assert_eq!(unpack(&packed).as_deref(), Some(body));
        let broken = |at: usize, byte: u8| {
            let mut broken = packed.clone();
            broken[at] = byte;
            unpack(&broken)
        };
        assert_eq!(broken(0, 7), None, "a dictionary that is not known");
        assert_eq!(broken(4, 0xFF), None, "a length beyond all bounds");
        assert_eq!(broken(2, 0), None, "a length that is not the block's");
        assert_eq!(unpack(&packed[..packed.len() - 1]), None);
        for length in 0..HEAD_BYTES {
            assert_eq!(unpack(&packed[..length]), None);
        }
    }

    #[test]
    fn dictionaries_never_change() {
        let digests: Vec<String> = DICTIONARIES
            .iter()
            .map(|dictionary| {
                Sha256::digest(dictionary).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        assert_eq!(digests, ["44efbf93dfeb34dc"], "rows that were written with it could not be read");
    }
}

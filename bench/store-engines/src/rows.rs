//! The rows one payment writes, at their real key shapes and value sizes.
//!
//! Everything is a pure function of the run and the payment's number, so a run can be replayed to
//! know exactly what a database must hold.

use crate::engine::{Op, Table};
use std::collections::VecDeque;

const MERCHANTS: usize = 1_000;
/// A payment completes this many batches after it began, at the earliest.
const LAG_BATCHES: u64 = 4;

/// SplitMix64: a good enough hash and generator of reproducible noise.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Half noise, half fixed text: about as compressible as a stored record.
fn value(seed: u64, bytes: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes + 16);
    let mut state = seed;
    while out.len() < bytes {
        state = mix(state);
        out.extend_from_slice(&state.to_be_bytes());
        out.extend_from_slice(b"currency");
    }
    out.truncate(bytes);
    Some(out)
}

fn put(ops: &mut Vec<Op>, table: Table, key: &[&[u8]], value: Option<Vec<u8>>) {
    let key = key.concat();
    ops.push(Op { table, key, value });
}

pub fn merchant_id(index: usize) -> [u8; 16] {
    (u128::from(mix(index as u64)) << 64 | index as u128).to_be_bytes()
}

/// Time-ordered: a rising half, then a random one.
fn id(kind: u64, payment: u64) -> [u8; 16] {
    (u128::from(payment) << 64 | u128::from(mix(payment ^ kind))).to_be_bytes()
}

/// The hash of the payment's idempotency key.
fn hash(payment: u64) -> [u8; 16] {
    (u128::from(mix(payment ^ 3)) << 64 | u128::from(mix(payment ^ 4))).to_be_bytes()
}

pub struct Rows {
    run: u64,
    batch: u64,
    turn: u64,
    next_payment: u64,
    open: VecDeque<(u64, u64)>,
    event_seq: Vec<u64>,
    outbox_seq: u64,
    popularity: Vec<f64>,
}

impl Rows {
    /// Runs with different numbers never write the same payment.
    pub fn new(run: u64) -> Self {
        let mut total = 0.0;
        let popularity = (1..=MERCHANTS)
            .map(|rank| {
                total += 1.0 / rank as f64;
                total
            })
            .collect();
        let base = run << 40;
        Self {
            run,
            batch: 0,
            turn: 0,
            next_payment: base,
            open: VecDeque::new(),
            event_seq: vec![base; MERCHANTS],
            outbox_seq: base,
            popularity,
        }
    }

    pub fn payments(&self) -> u64 {
        self.next_payment - (self.run << 40)
    }

    fn merchant_of(&self, payment: u64) -> usize {
        let total = self.popularity[MERCHANTS - 1];
        let at = (mix(payment ^ 0xA11CE) >> 11) as f64 / (1u64 << 53) as f64 * total;
        self.popularity.partition_point(|&sum| sum <= at)
    }

    pub fn payment_key(&self, payment: u64) -> Vec<u8> {
        [merchant_id(self.merchant_of(payment)), id(1, payment)].concat()
    }

    /// The next batch of `size` row sets, first and second commits mixed.
    pub fn batch(&mut self, size: usize) -> Vec<Op> {
        self.batch += 1;
        let mut ops = Vec::with_capacity(size * 7 + 4);
        let mut completes = false;
        for _ in 0..size {
            self.turn += 1;
            let ripe = self
                .open
                .front()
                .is_some_and(|&(_, begun)| begun + LAG_BATCHES <= self.batch);
            if ripe && self.turn.is_multiple_of(2) {
                if let Some((payment, _)) = self.open.pop_front() {
                    self.complete(payment, &mut ops);
                    completes = true;
                }
            } else {
                self.begin(&mut ops);
            }
        }
        if completes {
            for total in 0..4 {
                let key = mix(total).to_be_bytes();
                put(&mut ops, Table::Balance, &[&key], value(self.turn, 40));
            }
        }
        ops
    }

    fn begin(&mut self, ops: &mut Vec<Op>) {
        let n = self.next_payment;
        self.next_payment += 1;
        self.open.push_back((n, self.batch));
        let merchant = self.merchant_of(n);
        let (owner, payment, attempt) = (merchant_id(merchant), id(1, n), id(2, n));
        let user = mix(n % 50_021).to_be_bytes();
        let user_key = [&owner[..], &user, &user, &payment];
        put(ops, Table::Payment, &[&owner, &payment], value(n, 500));
        put(ops, Table::Attempt, &[&attempt], value(n, 150));
        put(ops, Table::OpenAttempt, &[&attempt], value(n, 40));
        put(ops, Table::UserIndex, &user_key, Some(Vec::new()));
        put(ops, Table::Idempotency, &[&owner, &hash(n)], value(n, 60));
        self.event(merchant, 500, ops);
    }

    fn complete(&mut self, n: u64, ops: &mut Vec<Op>) {
        let merchant = self.merchant_of(n);
        let (owner, payment, attempt) = (merchant_id(merchant), id(1, n), id(2, n));
        let posting_key = [&owner[..], &payment, &1u32.to_be_bytes()];
        let seed = n ^ (1 << 63);
        put(ops, Table::Payment, &[&owner, &payment], value(seed, 500));
        put(ops, Table::Attempt, &[&attempt], value(seed, 150));
        put(ops, Table::OpenAttempt, &[&attempt], None);
        put(
            ops,
            Table::Idempotency,
            &[&owner, &hash(n)],
            value(seed, 700),
        );
        put(ops, Table::Ledger, &posting_key, value(seed, 120));
        self.event(merchant, 150, ops);
    }

    fn event(&mut self, merchant: usize, bytes: usize, ops: &mut Vec<Op>) {
        self.event_seq[merchant] += 1;
        self.outbox_seq += 1;
        let event = self.event_seq[merchant].to_be_bytes();
        let outbox = self.outbox_seq.to_be_bytes();
        let body = value(self.outbox_seq, bytes);
        put(ops, Table::Event, &[&merchant_id(merchant), &event], body);
        put(ops, Table::Outbox, &[&outbox], value(self.outbox_seq, 40));
    }
}

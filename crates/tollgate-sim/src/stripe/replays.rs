//! Idempotency keys: the same key gives the same reply.
//!
//! Source: docs.stripe.com/api/idempotent_requests. Different from the real one: keys are forgotten when
//! there are too many of them, at a restart, or on command, not after a day.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Keys of payment intents that were made; their replies are written again.
const MADE_MAX: usize = 500_000;
/// Keys of other requests; their replies are kept.
const ANSWERS_MAX: usize = 20_000;

/// What a key stands for.
#[derive(Debug, Clone)]
pub(super) enum Saved {
    /// An intent, as it was when it was made.
    Made(u64),
    /// A reply.
    Answer(u16, Bytes),
}

#[derive(Debug)]
struct Shelf {
    places: HashMap<u64, (u64, Saved)>,
    order: VecDeque<u64>,
    max: usize,
}

impl Shelf {
    fn new(max: usize) -> Self {
        Self { places: HashMap::new(), order: VecDeque::new(), max }
    }

    fn put(&mut self, key: u64, request: u64, saved: Saved) {
        if self.places.insert(key, (request, saved)).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.max {
            if let Some(oldest) = self.order.pop_front() {
                self.places.remove(&oldest);
            }
        }
    }
}

/// All keys.
#[derive(Debug)]
pub(super) struct Replays(Mutex<[Shelf; 2]>);

/// What is known of a key.
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// The reply to give again.
    Saved(Saved),
    /// It was used for another request.
    Otherwise,
}

impl Replays {
    pub(super) fn new() -> Self {
        Self(Mutex::new([Shelf::new(MADE_MAX), Shelf::new(ANSWERS_MAX)]))
    }

    pub(super) fn look(&self, key: &str, path: &str, body: &[u8]) -> Known {
        let (key, request) = (digest(&[key.as_bytes()]), digest(&[path.as_bytes(), body]));
        let shelves = self.0.lock();
        match shelves.iter().find_map(|shelf| shelf.places.get(&key)) {
            None => Known::Nothing,
            Some((same, saved)) if *same == request => Known::Saved(saved.clone()),
            Some(_) => Known::Otherwise,
        }
    }

    pub(super) fn save(&self, key: &str, path: &str, body: &[u8], saved: Saved) {
        let (key, request) = (digest(&[key.as_bytes()]), digest(&[path.as_bytes(), body]));
        let shelf = usize::from(matches!(saved, Saved::Answer(..)));
        self.0.lock()[shelf].put(key, request, saved);
    }

    /// Forgets all keys, as Stripe does when they are old.
    pub(super) fn forget(&self) {
        *self.0.lock() = [Shelf::new(MADE_MAX), Shelf::new(ANSWERS_MAX)];
    }
}

/// FNV-1a of the parts, each with its end marked.
fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.iter().chain(&[0xFF])) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    hash
}

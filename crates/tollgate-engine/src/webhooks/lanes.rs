//! Who may send next: endpoints take turns, within bounds for each, for each merchant, and for all.
//!
//! Endpoints that fail or are slow hold at most half of all places together, so however many of them there
//! are, healthy ones are served.

use crate::webhooks::WebhookOptions;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use tollgate_core::id::MerchantId;
use tollgate_core::job::Lane;
use tollgate_core::webhook::health::EndpointHealth;
use tollgate_store::jobs::DueLane;

/// Most endpoints that are remembered; what does not fit is found again by the next sweep.
const LANES_MAX: usize = 100_000;

/// Most jobs that one endpoint is given in a round.
const ROUND_MAX: usize = 8;

/// Most jobs of a round.
const ROUND_ALL_MAX: usize = 128;

#[derive(Debug)]
struct LaneState {
    merchant_id: MerchantId,
    /// When it is to be looked at; `u64::MAX`: when somebody tells of it.
    next_ms: u64,
    running: usize,
    health: EndpointHealth,
}

/// All endpoints that have something to be sent, or have failed.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: BTreeMap<Lane, LaneState>,
    merchants: HashMap<MerchantId, usize>,
    running: usize,
    running_suspect: usize,
    last: Lane,
    all_max: usize,
    lane_max: usize,
    merchant_max: usize,
}

/// A place that is taken, until it is given back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) lane: Lane,
    merchant_id: MerchantId,
    is_suspect: bool,
}

/// What came of looking for work.
#[derive(Debug)]
pub(super) struct Round {
    /// The places taken, lane by lane.
    pub(super) places: Vec<(Place, usize)>,
    /// When there may be more to do; none: when somebody tells.
    pub(super) next_ms: Option<u64>,
}

impl Lanes {
    pub(super) fn new(options: &WebhookOptions) -> Self {
        Self {
            lanes: BTreeMap::new(),
            merchants: HashMap::new(),
            running: 0,
            running_suspect: 0,
            last: [0; 16],
            all_max: options.concurrency.max(2),
            lane_max: options.endpoint_concurrency.max(1),
            merchant_max: options.merchant_concurrency.max(1),
        }
    }

    /// A lane has something to be done.
    pub(super) fn tell(&mut self, due: DueLane) {
        let DueLane { lane, merchant_id, at_ms } = due;
        if self.lanes.len() >= LANES_MAX && !self.lanes.contains_key(&lane) {
            return;
        }
        let state = self.lanes.entry(lane).or_insert_with(|| LaneState {
            merchant_id,
            next_ms: u64::MAX,
            running: 0,
            health: EndpointHealth::default(),
        });
        state.next_ms = state.next_ms.min(at_ms);
    }

    /// Takes places for whoever is due, each in its turn.
    pub(super) fn round(&mut self, now_ms: u64) -> Round {
        let mut round = Round { places: Vec::new(), next_ms: None };
        let mut count_all = 0;
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let order: Vec<Lane> = self
            .lanes
            .range(after)
            .chain(self.lanes.range(..=self.last))
            .filter(|(_, state)| state.next_ms < u64::MAX)
            .map(|(lane, _)| *lane)
            .collect();
        for lane in order {
            let Some(state) = self.lanes.get_mut(&lane) else {
                continue;
            };
            let at_ms = state.next_ms.max(state.health.open_until_ms());
            if at_ms > now_ms {
                round.next_ms = Some(round.next_ms.map_or(at_ms, |next_ms| next_ms.min(at_ms)));
                continue;
            }
            let is_suspect = state.health.is_suspect();
            let all_left = (self.all_max.saturating_sub(self.running)).min(ROUND_ALL_MAX - count_all);
            let suspect_left =
                if is_suspect { (self.all_max / 2).saturating_sub(self.running_suspect) } else { all_left };
            let merchant = self.merchants.entry(state.merchant_id).or_default();
            let count = state
                .health
                .places(self.lane_max, now_ms)
                .saturating_sub(state.running)
                .min(self.merchant_max.saturating_sub(*merchant))
                .min(all_left)
                .min(suspect_left)
                .min(ROUND_MAX);
            if count == 0 {
                // Whoever gives a place back looks again.
                if all_left == 0 {
                    break;
                }
                continue;
            }
            *merchant += count;
            state.running += count;
            state.next_ms = u64::MAX;
            self.running += count;
            self.running_suspect += if is_suspect { count } else { 0 };
            count_all += count;
            self.last = lane;
            round.places.push((Place { lane, merchant_id: state.merchant_id, is_suspect }, count));
            if count_all >= ROUND_ALL_MAX {
                round.next_ms = Some(now_ms);
                break;
            }
        }
        round
    }

    /// A lane is to be looked at again, as the store told when its jobs were leased.
    pub(super) fn look_again(&mut self, lane: Lane, at_ms: u64) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.next_ms = state.next_ms.min(at_ms);
        }
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self, place: Place) {
        self.running = self.running.saturating_sub(1);
        if place.is_suspect {
            self.running_suspect = self.running_suspect.saturating_sub(1);
        }
        if let Some(count) = self.merchants.get_mut(&place.merchant_id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.merchants.remove(&place.merchant_id);
            }
        }
        if let Some(state) = self.lanes.get_mut(&place.lane) {
            state.running = state.running.saturating_sub(1);
            if state.running == 0 && state.next_ms == u64::MAX && !state.health.is_suspect() {
                self.lanes.remove(&place.lane);
            }
        }
    }

    /// Hears how a message went; tells whether the endpoint is well again.
    pub(super) fn hear(&mut self, lane: Lane, is_delivered: bool, took_ms: u64, now_ms: u64) -> bool {
        self.lanes.get_mut(&lane).is_some_and(|state| state.health.hear(is_delivered, took_ms, now_ms))
    }

    /// How many endpoints are left alone just now.
    pub(super) fn open(&self, now_ms: u64) -> usize {
        self.lanes.values().filter(|state| state.health.open_until_ms() > now_ms).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(all: usize, lane: usize, merchant: usize) -> Lanes {
        Lanes::new(&WebhookOptions {
            concurrency: all,
            endpoint_concurrency: lane,
            merchant_concurrency: merchant,
            ..WebhookOptions::default()
        })
    }

    fn tell(lanes: &mut Lanes, lane: u8, merchant: u128, at_ms: u64) {
        lanes.tell(DueLane { lane: [lane; 16], merchant_id: MerchantId::from_u128(merchant), at_ms });
    }

    fn taken(round: &Round) -> Vec<(u8, usize)> {
        round.places.iter().map(|(place, count)| (place.lane[0], *count)).collect()
    }

    #[test]
    fn bounds_hold_and_endpoints_take_turns() {
        let mut lanes = lanes(10, 4, 6);
        for lane in 1..=4 {
            tell(&mut lanes, lane, u128::from(lane / 2), 0);
        }
        tell(&mut lanes, 9, 9, 50);
        // Lane 2 and 3 share a merchant.
        let round = lanes.round(0);
        assert_eq!(taken(&round), [(1, 4), (2, 4), (3, 2)]);
        let (first, _) = round.places[0];
        for lane in [1, 2, 3] {
            lanes.look_again([lane; 16], 0);
        }
        lanes.give_back(first);
        lanes.give_back(first);
        // Lane 4 has had nothing yet.
        assert_eq!(taken(&lanes.round(0)), [(4, 2)]);
        for _ in 0..2 {
            lanes.give_back(first);
        }
        lanes.look_again([4; 16], 0);
        let round = lanes.round(0);
        assert_eq!((taken(&round), round.next_ms), (vec![(1, 2)], Some(50)));
    }

    #[test]
    fn however_many_fail_half_of_the_places_are_left_for_the_healthy() {
        let mut lanes = lanes(8, 4, 99);
        for lane in 1..=20 {
            tell(&mut lanes, lane, 1, 0);
            lanes.hear([lane; 16], false, 1, 0);
        }
        assert_eq!(lanes.round(0).places.len(), 4);
        tell(&mut lanes, 99, 2, 0);
        assert_eq!(taken(&lanes.round(0)), [(99, 4)]);
        assert_eq!(taken(&lanes.round(0)), []);
    }

    #[test]
    fn an_endpoint_that_is_left_alone_is_not_asked_before_its_time() {
        let mut lanes = lanes(8, 4, 99);
        tell(&mut lanes, 1, 1, 0);
        for _ in 0..5 {
            lanes.hear([1; 16], false, 1, 10);
        }
        assert_eq!(lanes.open(10), 1);
        let round = lanes.round(11);
        assert_eq!((taken(&round), round.next_ms), (vec![], Some(5_010)));
        assert_eq!(taken(&lanes.round(5_010)), [(1, 1)]);
        assert!(lanes.hear([1; 16], true, 1, 5_011));
    }
}

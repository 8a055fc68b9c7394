//! Makes the payments: body and idempotency key of the n-th one. Everything that does not change from payment to payment is
//! prepared once, so that a payment costs two small allocations.

use std::fmt::Write as _;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::mix::{Instrument, Method, Mix};
use super::options::LoadOptions;

/// One payment to send. Cloning is cheap (shared bytes), so that a retry repeats it to the byte.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) body: Bytes,
    pub(super) idempotency_key: Bytes,
    pub(super) amount_minor: u64,
    /// Whose it is, by the place of the key.
    pub(super) partner: usize,
}

/// The part of a body between the amount and the user number, and the instrument's weight.
struct Template {
    weight: u32,
    middle: String,
}

/// Draws payments, the same ones in the same order for the same seed.
pub(super) struct PaymentMaker {
    rng: SmallRng,
    mix: Mix,
    templates: [Vec<Template>; 3],
    amount_minor: std::ops::RangeInclusive<u64>,
    minor_digits: u8,
    users: u32,
    /// For each partner the share of it and all before it.
    partners: Vec<f64>,
    run_id: u64,
    next_number: u64,
}

impl PaymentMaker {
    /// `run_id` makes the idempotency keys of this run different from every other's.
    pub(super) fn new(options: &LoadOptions, run_id: u64) -> Self {
        let templates = Method::ALL.map(|method| {
            let mut chosen: Vec<(u32, Instrument)> = options
                .instruments
                .iter()
                .filter(|(_, instrument)| instrument.method() == method)
                .cloned()
                .collect();
            if chosen.is_empty() {
                chosen.push((1, Instrument::default_for(method)));
            }
            chosen
                .into_iter()
                .map(|(weight, instrument)| Template {
                    weight,
                    middle: format!(
                        "\",\"currency\":\"{}\",\"payment_method\":{}{},\"user_id\":\"user_",
                        options.currency,
                        instrument.to_json(),
                        instrument.customer_json()
                    ),
                })
                .collect()
        });
        Self {
            rng: SmallRng::seed_from_u64(options.seed),
            mix: options.mix,
            templates,
            amount_minor: options.amount_minor.clone(),
            minor_digits: options.minor_digits,
            users: options.users,
            partners: shares(options.keys().count()),
            run_id,
            next_number: 0,
        }
    }

    pub(super) fn next(&mut self) -> Payment {
        let method = self.mix.pick(self.rng.random_range(0..100));
        let templates = &self.templates[method as usize];
        let middle = match templates.as_slice() {
            [only] => only.middle.as_str(),
            several => pick_weighted(several, &mut self.rng),
        };
        let amount_minor = self.rng.random_range(self.amount_minor.clone());
        let user = self.rng.random_range(0..self.users);
        let partner = match self.partners.as_slice() {
            [_] => 0,
            partners => {
                let drawn: f64 = self.rng.random();
                partners.partition_point(|share| *share <= drawn).min(partners.len().saturating_sub(1))
            }
        };

        let mut body = String::with_capacity(middle.len() + 48);
        body.push_str("{\"amount\":\"");
        write_amount(&mut body, amount_minor, self.minor_digits);
        body.push_str(middle);
        // Writing to a String cannot fail.
        let _ = write!(body, "{user:06}\"}}");
        let mut key = String::with_capacity(40);
        let _ = write!(key, "load-{:016x}-{:010}", self.run_id, self.next_number);
        self.next_number += 1;
        Payment { body: Bytes::from(body), idempotency_key: Bytes::from(key), amount_minor, partner }
    }
}

/// The shares of so many partners by Zipf's law, each with all before it.
fn shares(count: usize) -> Vec<f64> {
    let each = |place: usize| 1.0 / (place as f64 + 1.0);
    let all: f64 = (0..count).map(each).sum();
    let mut sum = 0.0;
    (0..count)
        .map(|place| {
            sum += each(place);
            sum / all
        })
        .collect()
}

fn pick_weighted<'a>(templates: &'a [Template], rng: &mut SmallRng) -> &'a str {
    let total: u64 = templates.iter().map(|template| u64::from(template.weight)).sum();
    let mut draw = rng.random_range(0..total.max(1));
    for template in templates {
        let weight = u64::from(template.weight);
        if draw < weight {
            return &template.middle;
        }
        draw -= weight;
    }
    ""
}

/// Writes minor units as decimal major units: 12345 with two digits is `123.45`.
pub(super) fn write_amount(out: &mut String, amount_minor: u64, minor_digits: u8) {
    let unit = 10_u64.pow(u32::from(minor_digits));
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", amount_minor / unit);
    if minor_digits > 0 {
        let _ = write!(out, ".{:0width$}", amount_minor % unit, width = usize::from(minor_digits));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::super::options::ApiKey;
    use super::*;

    fn options() -> LoadOptions {
        LoadOptions::new("http://x", ApiKey::new("k"))
    }

    #[test]
    fn amounts_are_written_exactly() {
        let text = |minor, digits| {
            let mut out = String::new();
            write_amount(&mut out, minor, digits);
            out
        };
        assert_eq!(text(12_345, 2), "123.45");
        assert_eq!(text(5, 2), "0.05");
        assert_eq!(text(700, 0), "700");
        assert_eq!(text(1_050, 3), "1.050");
        assert_eq!(text(u64::MAX, 2), "184467440737095516.15");
    }

    #[test]
    fn the_first_partner_is_the_largest() {
        let more_keys = vec![ApiKey::new("k"); 99];
        let mut maker = PaymentMaker::new(&LoadOptions { more_keys, ..options() }, 7);
        let mut counts = [0_u32; 100];
        (0..100_000).for_each(|_| counts[maker.next().partner] += 1);
        // The hundredth harmonic number is 5.19.
        assert!((18_700..19_900).contains(&counts[0]), "{}", counts[0]);
        assert!((8_900..10_400).contains(&counts[1]), "{}", counts[1]);
        assert!((120..280).contains(&counts[99]), "{}", counts[99]);
    }

    #[test]
    fn bodies_are_the_api_s_json_and_follow_the_mix() {
        let mut maker = PaymentMaker::new(&options(), 7);
        let mut methods = BTreeMap::new();
        let mut keys = HashSet::new();
        for _ in 0..2_000 {
            let payment = maker.next();
            let body: serde_json::Value = serde_json::from_slice(&payment.body).unwrap();
            assert_eq!(body["currency"], "INR");
            let user = body["user_id"].as_str().unwrap();
            assert!(user.starts_with("user_") && user.len() == 11, "{user}");
            let method = body["payment_method"]["type"].as_str().unwrap().to_owned();
            match method.as_str() {
                "upi" => assert_eq!(body["payment_method"]["upi"]["vpa"], "success@upi"),
                "card" => {
                    let card = &body["payment_method"]["card"];
                    assert_eq!(
                        (card["number"].as_str(), card["cvc"].as_str()),
                        (Some("4111111111111111"), Some("123"))
                    );
                    assert_eq!(
                        (card["exp_month"].as_u64(), card["exp_year"].as_u64()),
                        (Some(12), Some(2030))
                    );
                }
                _ => assert_eq!(body["payment_method"]["wallet"]["provider"], "paytm"),
            }
            *methods.entry(method).or_insert(0_u32) += 1;
            assert!(keys.insert(payment.idempotency_key));
        }
        assert!((900..1_100).contains(&methods["upi"]), "{methods:?}");
        assert!((500..700).contains(&methods["card"]), "{methods:?}");
        assert!((300..500).contains(&methods["wallet"]), "{methods:?}");
    }

    #[test]
    fn a_seed_fixes_the_payments_but_not_the_keys() {
        let (mut a, mut b) = (PaymentMaker::new(&options(), 1), PaymentMaker::new(&options(), 2));
        let mut other = PaymentMaker::new(&LoadOptions { seed: 2, ..options() }, 1);
        let mut differing = 0;
        for _ in 0..50 {
            let (a, b) = (a.next(), b.next());
            assert_eq!(a.body, b.body);
            assert_ne!(a.idempotency_key, b.idempotency_key);
            differing += u32::from(other.next().body != a.body);
        }
        assert!(differing > 25);
    }

    #[test]
    fn instruments_are_drawn_by_weight_and_escaped() {
        let chosen = vec![(9, Instrument::upi("success@upi")), (1, Instrument::upi("tim\"eout@upi"))];
        let options = LoadOptions { instruments: chosen, mix: Mix::new(100, 0, 0).unwrap(), ..options() };
        let mut maker = PaymentMaker::new(&options, 1);
        let special = (0..1_000)
            .filter(|_| {
                let body: serde_json::Value = serde_json::from_slice(&maker.next().body).unwrap();
                body["payment_method"]["upi"]["vpa"] == "tim\"eout@upi"
            })
            .count();
        assert!((50..200).contains(&special), "{special}");
    }
}

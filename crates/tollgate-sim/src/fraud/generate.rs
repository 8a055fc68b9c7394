//! Makes a stream of labelled payments: honest ones, frauds of several patterns, and wrong labels.
//!
//! All of it is made up, after what is publicly known of how card and UPI fraud looks. Some of every
//! pattern is careful: slow, from the victim's own country, with ordinary amounts.

use super::dice::Dice;
use super::payment::{LabelledPayment, Pattern};
use super::population::{DAY_MS, MARKETS, Person, Population, address_in, agent, money, place};
use std::net::{IpAddr, Ipv4Addr};
use tollgate_core::method::MethodKind;

/// Most payments that are generated at once.
pub const PAYMENTS_MAX: u64 = 5_000_000;

/// Part of the payments that is fraud before friendly fraud and wrong labels come on top.
const FRAUD_SHARE: f64 = 0.018;
/// Part of the genuine payments that is friendly fraud.
const FRIENDLY_SHARE: f64 = 0.001_5;
/// Part of the honest payments that is taken for fraud by mistake.
const FALSE_ALARM_SHARE: f64 = 0.000_5;
/// Part of the frauds that nobody reports.
const UNREPORTED_SHARE: f64 = 0.02;

/// Makes payments in time order; the same seed gives the same payments.
#[must_use]
pub fn generate(seed: u64, payments: u64) -> Vec<LabelledPayment> {
    let payments = payments.clamp(100, PAYMENTS_MAX);
    let mut dice = Dice::new(seed);
    let mut population = Population::new((payments / 9).max(20), &mut dice);
    let frauds = (payments as f64 * FRAUD_SHARE).round();
    let honest = payments as f64 - frauds;
    let mut made = Vec::with_capacity(usize::try_from(payments).unwrap_or(0) + 100);
    let zeal: f64 = population.people.iter().map(|person| person.zeal).sum();
    let mut owed = 0.0;
    for person in 0..population.people.len() {
        owed += honest * population.people[person].zeal / zeal;
        while owed >= 0.5 {
            owed -= 1.0;
            let mut payment = population.honest(person, &mut dice);
            if dice.chance(FRIENDLY_SHARE) {
                payment.pattern = Pattern::Friendly;
                payment.fraud = true;
            }
            made.push(payment);
        }
    }
    let mut case = 0;
    while (made.len() as u64) < payments {
        case += 1;
        // Frauds come when the honest do: more of both as the shops grow.
        let start_ms = made[place(&mut dice, made.len())].at_ms;
        let mut episode = Episode::new(&mut population, &mut dice, case, start_ms);
        let kind = episode.dice.unit();
        made.extend(match kind {
            kind if kind < 0.04 => episode.card_testing(),
            kind if kind < 0.54 => episode.stolen_card(),
            kind if kind < 0.88 => episode.account_takeover(),
            kind if kind < 0.94 => episode.many_cards(),
            _ => episode.mule_vpa(),
        });
    }
    made.truncate(usize::try_from(payments).unwrap_or(usize::MAX));
    for payment in &mut made {
        let share = if payment.fraud { UNREPORTED_SHARE } else { FALSE_ALARM_SHARE };
        payment.fraud ^= dice.chance(share);
    }
    made.sort_by_key(|payment| payment.at_ms);
    made
}

/// One fraudster at work.
struct Episode<'a> {
    population: &'a mut Population,
    dice: &'a mut Dice,
    case: u64,
    start_ms: u64,
    /// Avoids what gives the others away.
    careful: bool,
}

impl<'a> Episode<'a> {
    fn new(population: &'a mut Population, dice: &'a mut Dice, case: u64, start_ms: u64) -> Self {
        let careful = dice.chance(0.3);
        Self { population, dice, case, start_ms, careful }
    }

    /// A payment of a person, taken over: time, pattern and label are the fraud's.
    fn base(&mut self, person: usize, at_ms: u64, pattern: Pattern) -> LabelledPayment {
        let mut payment = self.population.honest(person, self.dice);
        (payment.at_ms, payment.pattern, payment.fraud) = (at_ms, pattern, true);
        payment
    }

    fn anybody(&mut self) -> usize {
        place(self.dice, self.population.people.len())
    }

    fn device(&mut self) -> String {
        format!("dev-x{}-{}", self.case, self.dice.below(1_000_000))
    }

    fn with_card(&mut self, payment: &mut LabelledPayment, market: usize) {
        payment.vpa = None;
        payment.method = MethodKind::Card;
        payment.card = Some(self.population.card(market, self.dice));
    }

    fn with_ip(&mut self, payment: &mut LabelledPayment, ip: Ipv4Addr, market: usize) {
        payment.ip = Some(IpAddr::V4(ip));
        payment.ip_country = MARKETS[market].country();
    }

    fn stranger(&mut self, payment: &mut LabelledPayment) {
        let name = format!("{}-{}", self.case, self.dice.below(1_000_000));
        payment.customer = self.dice.chance(0.7).then(|| format!("cust-x{name}"));
        payment.email = Some(format!("x{name}@post.example"));
    }

    /// 15 to 60 cards in minutes (careful: a day), from one to five devices and addresses.
    fn card_testing(&mut self) -> Vec<LabelledPayment> {
        let count = 15 + self.dice.below(46);
        let over_ms = if self.careful { DAY_MS } else { self.dice.below(35 * 60_000) + 5 * 60_000 };
        let shop = place(self.dice, self.population.shops.len());
        let (merchant, shop_market) = (self.population.shops[shop].id, self.population.shops[shop].market);
        let ip_market = place(self.dice, MARKETS.len());
        let hands = if self.careful { 12 } else { 1 + self.dice.below(5) };
        let tools: Vec<(String, Ipv4Addr)> =
            (0..hands).map(|_| (self.device(), address_in(ip_market, self.dice))).collect();
        let program = self.dice.chance(0.4);
        let card_market = place(self.dice, MARKETS.len());
        (0..count)
            .map(|_| {
                let (at_ms, person) = (self.start_ms + self.dice.below(over_ms), self.anybody());
                let mut payment = self.base(person, at_ms, Pattern::CardTesting);
                let (device, ip) = self.dice.pick(&tools).clone();
                payment.merchant = merchant;
                payment.merchant_country = MARKETS[shop_market].country();
                payment.amount = money(self.dice.between(1.0, 120.0), shop_market);
                payment.device = Some(device).filter(|_| !program);
                payment.user_agent = Some(if program { "client/2.1".to_owned() } else { agent(false) });
                payment.declined = self.dice.chance(0.75);
                self.with_card(&mut payment, card_market);
                self.with_ip(&mut payment, ip, ip_market);
                self.stranger(&mut payment);
                payment
            })
            .collect()
    }

    /// One to five purchases with a victim's card from a new device, mostly from abroad.
    fn stolen_card(&mut self) -> Vec<LabelledPayment> {
        let victim = self.anybody();
        let card = self.population.people[victim].cards[0].clone();
        let home = self.population.people[victim].market;
        let market = if self.careful { home } else { place(self.dice, MARKETS.len()) };
        let (device, ip) = (self.device(), address_in(market, self.dice));
        let mut at_ms = self.start_ms;
        let shift = if self.careful { 0.3 } else { 1.2 };
        (0..1 + self.dice.below(5))
            .map(|_| {
                at_ms += self.dice.below(if self.careful { 8 * 3_600_000 } else { 25 * 60_000 });
                let person = self.anybody();
                let mut payment = self.base(person, at_ms, Pattern::StolenCard);
                self.raise(&mut payment, shift);
                (payment.vpa, payment.method) = (None, MethodKind::Card);
                payment.card = Some(card.clone());
                payment.device = Some(device.clone());
                payment.declined = self.dice.chance(0.45);
                self.with_ip(&mut payment, ip, market);
                self.stranger(&mut payment);
                payment
            })
            .collect()
    }

    /// One to three high payments from the victim's account, from a new device.
    fn account_takeover(&mut self) -> Vec<LabelledPayment> {
        let victim = self.anybody();
        let Person { id, market: home, .. } = self.population.people[victim];
        let market =
            if self.careful || self.dice.chance(0.3) { home } else { place(self.dice, MARKETS.len()) };
        let (device, ip) = (self.device(), address_in(market, self.dice));
        let mut at_ms = self.start_ms;
        let shift = if self.careful { 0.6 } else { 1.8 };
        (0..1 + self.dice.below(3))
            .map(|_| {
                at_ms += self.dice.below(40 * 60_000);
                let mut payment = self.base(victim, at_ms, Pattern::AccountTakeover);
                self.raise(&mut payment, shift);
                payment.customer = Some(format!("cust-{id}"));
                payment.device = Some(device.clone());
                payment.declined = self.dice.chance(0.25);
                self.with_ip(&mut payment, ip, market);
                payment
            })
            .collect()
    }

    /// 6 to 20 cards from one device in a day or two, each for a customer of its own.
    fn many_cards(&mut self) -> Vec<LabelledPayment> {
        let market = place(self.dice, MARKETS.len());
        let device = self.device();
        (0..6 + self.dice.below(15))
            .map(|_| {
                let (at_ms, person) = (self.start_ms + self.dice.below(2 * DAY_MS), self.anybody());
                let ip = address_in(market, self.dice);
                let mut payment = self.base(person, at_ms, Pattern::ManyCards);
                self.raise(&mut payment, 0.7);
                payment.device = Some(device.clone()).filter(|_| !self.careful || self.dice.chance(0.5));
                payment.declined = self.dice.chance(0.4);
                self.with_card(&mut payment, market);
                self.with_ip(&mut payment, ip, market);
                self.stranger(&mut payment);
                payment
            })
            .collect()
    }

    /// Round, high amounts from one UPI address under many names.
    fn mule_vpa(&mut self) -> Vec<LabelledPayment> {
        let vpa = format!("collect{}@fastpay", self.case);
        let over_ms = if self.careful { 2 * DAY_MS } else { DAY_MS / 4 };
        (0..4 + self.dice.below(12))
            .map(|_| {
                let (at_ms, person) = (self.start_ms + self.dice.below(over_ms), self.anybody());
                let mut payment = self.base(person, at_ms, Pattern::MuleVpa);
                let thousands = 2.0 + self.dice.between(0.0, 18.0).floor();
                if !self.careful {
                    payment.amount = money(thousands * 1_000.0, 0);
                }
                (payment.card, payment.method, payment.vpa) = (None, MethodKind::Upi, Some(vpa.clone()));
                payment.device = Some(self.device());
                payment.declined = self.dice.chance(0.15);
                let ip = address_in(0, self.dice);
                self.with_ip(&mut payment, ip, 0);
                self.stranger(&mut payment);
                payment
            })
            .collect()
    }

    fn raise(&mut self, payment: &mut LabelledPayment, shift: f64) {
        let factor = (shift + 0.4 * self.dice.normal()).exp();
        let market = MARKETS.iter().position(|market| market.country() == payment.merchant_country);
        let major = payment.amount.minor as f64 / 100.0 * factor;
        payment.amount = money(major.ceil(), market.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_payments_in_time_order() {
        let made = generate(7, 5_000);
        assert_eq!(made, generate(7, 5_000));
        assert_ne!(made, generate(8, 5_000));
        assert_eq!(made.len(), 5_000);
        assert!(made.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    }

    #[test]
    fn every_pattern_occurs_and_some_labels_are_wrong() {
        let made = generate(1, 40_000);
        for pattern in Pattern::ALL {
            assert!(made.iter().any(|payment| payment.pattern == pattern), "{pattern:?}");
        }
        let frauds = made.iter().filter(|payment| payment.fraud).count();
        assert!((700..1_000).contains(&frauds), "{frauds}");
        let wrong =
            made.iter().filter(|payment| payment.fraud != (payment.pattern != Pattern::Genuine)).count();
        assert!((5..80).contains(&wrong), "{wrong}");
    }
}

//! The made-up people and shops of the generator, and how honest people pay.

use super::dice::Dice;
use super::payment::{LabelledCard, LabelledPayment, Pattern};
use std::net::{IpAddr, Ipv4Addr};
use tollgate_core::card::CardBrand;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodKind;
use tollgate_core::money::Money;
use tollgate_core::risk::Country;

/// Milliseconds of a day.
pub(super) const DAY_MS: u64 = 86_400_000;
/// The first moment: 1 January 2026, UTC.
pub(super) const START_MS: u64 = 1_767_225_600_000;
/// Days that are generated.
pub(super) const DAYS: u64 = 42;

/// A country, its currency, and what its prices are multiplied by.
pub(super) struct Market {
    code: &'static str,
    currency: Currency,
    prices: f64,
    /// Hours its clock is before UTC.
    hours_ahead: f64,
    bins: [&'static str; 3],
}

pub(super) const MARKETS: [Market; 5] = [
    Market {
        code: "IN",
        currency: Currency::INR,
        prices: 1.0,
        hours_ahead: 5.5,
        bins: ["411146", "508532", "524167"],
    },
    Market {
        code: "US",
        currency: Currency::USD,
        prices: 0.03,
        hours_ahead: -6.0,
        bins: ["414720", "542418", "601120"],
    },
    Market {
        code: "GB",
        currency: Currency::GBP,
        prices: 0.025,
        hours_ahead: 0.0,
        bins: ["465858", "535522", "492181"],
    },
    Market {
        code: "AE",
        currency: Currency::AED,
        prices: 0.1,
        hours_ahead: 4.0,
        bins: ["455036", "520473", "489052"],
    },
    Market {
        code: "SG",
        currency: Currency::SGD,
        prices: 0.04,
        hours_ahead: 8.0,
        bins: ["452419", "540012", "455226"],
    },
];

impl Market {
    pub(super) fn country(&self) -> Option<Country> {
        self.code.parse().ok()
    }
}

/// The middle of a trade's amounts, in rupees, and how far they spread (of the logarithm).
const TRADES: [(f64, f64); 6] =
    [(600.0, 0.6), (1_800.0, 0.7), (9_000.0, 0.8), (150.0, 0.8), (6_000.0, 0.9), (300.0, 0.3)];

pub(super) struct Shop {
    pub(super) id: u128,
    pub(super) market: usize,
    log_middle: f64,
    spread: f64,
}

pub(super) struct Person {
    pub(super) id: u64,
    pub(super) market: usize,
    pub(super) cards: Vec<LabelledCard>,
    pub(super) vpa: String,
    pub(super) devices: Vec<String>,
    addresses: Vec<Ipv4Addr>,
    habit: f64,
    hour: f64,
    shops: Vec<usize>,
    /// When the person first pays.
    from_ms: u64,
    /// How much more than others the person pays.
    pub(super) zeal: f64,
    guest: bool,
}

pub(super) struct Population {
    pub(super) shops: Vec<Shop>,
    pub(super) people: Vec<Person>,
    next_card: u128,
}

/// An address in a country; the countries are the first bytes.
pub(super) fn address_in(market: usize, dice: &mut Dice) -> Ipv4Addr {
    let low = u32::try_from(dice.below(1 << 24)).unwrap_or(0);
    Ipv4Addr::from_bits((u32::try_from(market).unwrap_or(0) + 60) << 24 | low)
}

impl Population {
    pub(super) fn new(people: u64, dice: &mut Dice) -> Self {
        let shops = (0..60_u128).map(|id| {
            let (middle, spread) = *dice.pick(&TRADES);
            let market = if dice.chance(0.7) { 0 } else { place(dice, MARKETS.len()) };
            let log_middle = f64::ln(middle * MARKETS[market].prices) + 0.4 * dice.normal();
            Shop { id: id + 1, market, log_middle, spread }
        });
        let mut population = Self { shops: shops.collect(), people: Vec::new(), next_card: 1 };
        // Carriers and offices: addresses that hundreds of people share.
        let shared: Vec<Vec<Ipv4Addr>> =
            (0..MARKETS.len()).map(|market| (0..40).map(|_| address_in(market, dice)).collect()).collect();
        for id in 0..people {
            let person = population.person(id, &shared, dice);
            population.people.push(person);
        }
        population
    }

    fn person(&mut self, id: u64, shared: &[Vec<Ipv4Addr>], dice: &mut Dice) -> Person {
        let market = if dice.chance(0.72) { 0 } else { place(dice, MARKETS.len()) };
        let cards = (0..1 + dice.below(2)).map(|_| self.card(market, dice)).collect();
        let mut addresses: Vec<_> = (0..1 + dice.below(3)).map(|_| address_in(market, dice)).collect();
        if dice.chance(0.4) {
            addresses.push(*dice.pick(&shared[market]));
        }
        // One device in twelve is shared with whoever came before: families.
        let before = self.people.last().and_then(|person| person.devices.first().cloned());
        let mut devices: Vec<_> = (0..1 + dice.below(2)).map(|number| format!("dev-{id}-{number}")).collect();
        devices.extend(before.filter(|_| dice.chance(0.08)));
        let local: Vec<usize> = (0..self.shops.len())
            .filter(|shop| self.shops[*shop].market == market || dice.chance(0.05))
            .collect();
        Person {
            id,
            market,
            cards,
            vpa: format!("person{id}@okbank"),
            devices,
            addresses,
            habit: 0.35 * dice.normal(),
            hour: dice.between(9.0, 22.0),
            shops: (0..1 + dice.below(5))
                .map(|_| if local.is_empty() { 0 } else { *dice.pick(&local) })
                .collect(),
            from_ms: if dice.chance(0.6) { START_MS } else { START_MS + dice.below(DAYS * DAY_MS) },
            zeal: (0.9 * dice.normal()).exp(),
            guest: dice.chance(0.15),
        }
    }

    /// A card that nobody has used.
    pub(super) fn card(&mut self, market: usize, dice: &mut Dice) -> LabelledCard {
        let bin = (*dice.pick(&MARKETS[market].bins)).to_owned();
        let brand = match bin.as_bytes() {
            [b'4', ..] => CardBrand::Visa,
            [b'5', b'0', ..] => CardBrand::Rupay,
            [b'5', ..] => CardBrand::Mastercard,
            _ => CardBrand::Discover,
        };
        self.next_card += 1;
        LabelledCard { brand, bin, fingerprint: self.next_card, country: MARKETS[market].country() }
    }

    /// An ordinary payment of a person.
    pub(super) fn honest(&mut self, person: usize, dice: &mut Dice) -> LabelledPayment {
        let shop_place = if dice.chance(0.85) {
            *dice.pick(&self.people[person].shops)
        } else {
            place(dice, self.shops.len())
        };
        // Now and then a new card or a new phone.
        if dice.chance(0.02) {
            let card = self.card(self.people[person].market, dice);
            self.people[person].cards.push(card);
        }
        if dice.chance(0.03) {
            let device = format!("dev-{person}-n{}", dice.below(1_000_000));
            self.people[person].devices.push(device);
        }
        let (who, shop) = (&self.people[person], &self.shops[shop_place]);
        let at_ms = moment(who, dice);
        let travels = dice.chance(0.02);
        let at_home = who.market;
        let market = if travels { place(dice, MARKETS.len()) } else { at_home };
        let ip = if travels { address_in(market, dice) } else { *dice.pick(&who.addresses) };
        // Gifts, holidays, a new washing machine.
        let treat = if dice.chance(0.04) { dice.between(0.8, 2.2) } else { 0.0 };
        let amount = shop.amount(0.8 * who.habit + treat, 0.7, dice);
        let phone = dice.chance(0.65);
        let mut payment = LabelledPayment {
            at_ms,
            merchant: shop.id,
            merchant_country: MARKETS[shop.market].country(),
            amount,
            method: MethodKind::Upi,
            card: None,
            vpa: None,
            customer: (!who.guest).then(|| format!("cust-{}", who.id)),
            email: Some(format!("person{}@mail.example", who.id)),
            device: dice.chance(0.9).then(|| {
                let usual = if dice.chance(0.8) { who.devices.first() } else { None };
                usual.unwrap_or_else(|| dice.pick(&who.devices)).clone()
            }),
            ip: dice.chance(0.97).then_some(IpAddr::V4(ip)),
            ip_country: None,
            user_agent: dice.chance(0.95).then(|| agent(phone)),
            declined: dice.chance(0.06),
            pattern: Pattern::Genuine,
            fraud: false,
        };
        payment.ip_country = payment.ip.filter(|_| dice.chance(0.95)).and_then(|_| MARKETS[market].country());
        if at_home == 0 && MARKETS[shop.market].code == "IN" && dice.chance(0.55) {
            payment.vpa = dice.chance(0.8).then(|| who.vpa.clone());
        } else {
            payment.method = *dice.pick(&[MethodKind::Card, MethodKind::CreditCard, MethodKind::DebitCard]);
            payment.card =
                Some(who.cards.last().filter(|_| dice.chance(0.3)).unwrap_or(&who.cards[0]).clone());
        }
        payment
    }
}

impl Shop {
    /// An amount: the shop's usual, moved by `shift` in logarithms.
    pub(super) fn amount(&self, shift: f64, spread: f64, dice: &mut Dice) -> Money {
        let major = (self.log_middle + shift + spread * self.spread * dice.normal()).exp();
        let round = dice.unit();
        let major = if round < 0.15 {
            (major / 100.0).ceil() * 100.0
        } else if round < 0.6 {
            major.ceil()
        } else {
            major
        };
        money(major, self.market)
    }
}

/// An amount of major units in a market's currency.
#[expect(clippy::cast_possible_truncation, reason = "kept between one and ten million")]
pub(super) fn money(major: f64, market: usize) -> Money {
    let minor = (major.clamp(1.0, 10_000_000.0) * 100.0).round() as i64;
    Money::new(minor, MARKETS[market].currency)
}

/// When a person pays: by day, around the hour the person likes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an hour of the day, not negative"
)]
fn moment(person: &Person, dice: &mut Dice) -> u64 {
    let days = DAYS - (person.from_ms - START_MS) / DAY_MS;
    let day = START_MS + (DAYS - days + dice.below(days)) * DAY_MS;
    let local = person.hour + 3.0 * dice.normal() - MARKETS[person.market].hours_ahead;
    day + (local.rem_euclid(24.0) * 3_600_000.0) as u64
}

pub(super) fn agent(phone: bool) -> String {
    let system = if phone { "(Linux; Android 15) Mobile" } else { "(X11; Linux x86_64)" };
    format!("Mozilla/5.0 {system} Browser/1.0")
}

/// A place in a list of so many.
pub(super) fn place(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.below(count as u64)).unwrap_or(0)
}

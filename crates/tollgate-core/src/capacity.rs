//! How many machines a load needs, from what a payment costs. Arithmetic alone: what it is given is measured elsewhere.
//!
//! Gateways share nothing but their databases, and a merchant's payments are all in one of those. What several of them still cost each
//! other is told by the Universal Scalability Law (Gunther, 1993): `n` gateways carry `n / (1 + σ(n − 1) + κn(n − 1))` times what one
//! carries, where `σ` is waiting for what is shared, and `κ` is agreeing with each other.

/// Most gateways and most databases that are thought of.
pub const MACHINES_MAX: u32 = 10_000;

const DAY_S: f64 = 86_400.0;
const GB: f64 = 1e9;
const MB: f64 = 1e6;

/// What is to be carried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Payments a second in the busiest minute.
    pub peak_per_s: f64,
    /// Payments a day.
    pub per_day: f64,
    /// How long they are kept, in days.
    pub kept_days: f64,
}

/// What a payment costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Processor time of a gateway, in microseconds.
    pub gateway_us: f64,
    /// Processor time of its database, in microseconds.
    pub database_us: f64,
    /// What is kept of it, with indexes, in bytes.
    pub stored_bytes: f64,
    /// What is written to the database's log for it, in bytes: each replica is sent as much.
    pub logged_bytes: f64,
    /// `σ` above.
    pub contention: f64,
    /// `κ` above.
    pub coherence: f64,
}

/// What the machines are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machines {
    /// Cores of a gateway.
    pub gateway_cores: f64,
    /// Cores of a database.
    pub database_cores: f64,
    /// What a database can keep, in gigabytes.
    pub database_gb: f64,
    /// How busy cores may be at the peak, from 0 to 1: what is above it is for bursts, and for the tails of latency.
    pub busy_max: f64,
    /// Gateways that may be away at the peak.
    pub spare: u32,
}

/// What it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Gateways, the spare ones among them.
    pub gateways: u32,
    /// Primary databases; each has its replicas besides.
    pub databases: u32,
    /// How busy the gateways are at the peak while all are there.
    pub gateway_busy: f64,
    /// How busy the databases are at the peak.
    pub database_busy: f64,
    /// Payments a second that it carries with the spare gateways away.
    pub carried_per_s: f64,
    /// What is kept after the whole time, in gigabytes, in all databases together.
    pub stored_gb: f64,
    /// What is written to all databases' logs at the peak, in megabytes a second.
    pub logged_mb_per_s: f64,
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoPlan {
    /// A figure makes no sense.
    #[error("{0} must be {1}")]
    Nonsense(&'static str, &'static str),
    /// However many gateways there are.
    #[error(
        "{MACHINES_MAX} gateways do not carry it; with this contention and coherence at most {0:.0}/s can be carried"
    )]
    OutOfReach(f64),
    /// More databases than are thought of.
    #[error("it takes {0:.0} databases, and no more than {MACHINES_MAX} are planned for")]
    Databases(f64),
}

/// How many times as much as one gateway `machines` carry.
#[must_use]
pub fn speedup(machines: u32, contention: f64, coherence: f64) -> f64 {
    let n = f64::from(machines);
    n / (1.0 + contention * (n - 1.0) + coherence * n * (n - 1.0))
}

/// `σ` of what two gateways carry together, as a multiple of one: the whole loss taken for waiting.
#[must_use]
pub fn contention_of_two(speedup: f64) -> f64 {
    (2.0 / speedup - 1.0).max(0.0)
}

/// The least machines that carry a load.
///
/// # Errors
/// [`NoPlan`].
pub fn plan(demand: &Demand, costs: &Costs, machines: &Machines) -> Result<Plan, NoPlan> {
    check(demand, costs, machines)?;
    let one = machines.gateway_cores * machines.busy_max * 1e6 / costs.gateway_us;
    let carried = |count: u32| one * speedup(count, costs.contention, costs.coherence);
    let needed = (1..=MACHINES_MAX).find(|count| carried(*count) >= demand.peak_per_s).ok_or_else(|| {
        let most = (1..=MACHINES_MAX).map(carried).fold(0.0, f64::max);
        NoPlan::OutOfReach(most)
    })?;
    let gateways = needed.saturating_add(machines.spare);
    let database = machines.database_cores * machines.busy_max * 1e6 / costs.database_us;
    let stored_gb = demand.per_day * demand.kept_days * costs.stored_bytes / GB;
    // As many as the peak keeps busy, or as many as have room for it all.
    let wanted = (demand.peak_per_s / database).max(stored_gb / machines.database_gb).ceil();
    if wanted > f64::from(MACHINES_MAX) {
        return Err(NoPlan::Databases(wanted));
    }
    let databases = whole(wanted).max(1);
    let at_peak = carried(gateways).max(f64::MIN_POSITIVE);
    Ok(Plan {
        gateways,
        databases,
        gateway_busy: demand.peak_per_s / at_peak * machines.busy_max,
        database_busy: demand.peak_per_s / (database * f64::from(databases)) * machines.busy_max,
        carried_per_s: carried(needed).min(database * f64::from(databases)),
        stored_gb,
        logged_mb_per_s: demand.peak_per_s * costs.logged_bytes / MB,
    })
}

/// Payments a day of a peak, where the day's mean is so much of it.
#[must_use]
pub fn per_day(peak_per_s: f64, mean_share: f64) -> f64 {
    peak_per_s * mean_share * DAY_S
}

fn check(demand: &Demand, costs: &Costs, machines: &Machines) -> Result<(), NoPlan> {
    let positive = [
        ("the peak", demand.peak_per_s),
        ("a gateway's time for a payment", costs.gateway_us),
        ("a database's time for a payment", costs.database_us),
        ("a gateway's cores", machines.gateway_cores),
        ("a database's cores", machines.database_cores),
        ("what a database can keep", machines.database_gb),
    ];
    for (name, figure) in positive {
        if !(figure.is_finite() && figure > 0.0) {
            return Err(NoPlan::Nonsense(name, "above 0"));
        }
    }
    let natural = [
        ("payments a day", demand.per_day),
        ("the days payments are kept", demand.kept_days),
        ("the bytes of a payment", costs.stored_bytes),
        ("the logged bytes of a payment", costs.logged_bytes),
        ("contention", costs.contention),
        ("coherence", costs.coherence),
    ];
    for (name, figure) in natural {
        if !(figure.is_finite() && figure >= 0.0) {
            return Err(NoPlan::Nonsense(name, "0 or more"));
        }
    }
    if !(machines.busy_max > 0.0 && machines.busy_max <= 1.0) {
        return Err(NoPlan::Nonsense("how busy cores may be", "above 0 and at most 1"));
    }
    Ok(())
}

/// A whole number that is not negative, cut off at [`MACHINES_MAX`].
fn whole(figure: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and MACHINES_MAX")]
    let cut = figure.clamp(0.0, f64::from(MACHINES_MAX)) as u32;
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEMAND: Demand = Demand { peak_per_s: 10_000.0, per_day: 200e6, kept_days: 30.0 };
    const COSTS: Costs = Costs {
        gateway_us: 150.0,
        database_us: 300.0,
        stored_bytes: 3_000.0,
        logged_bytes: 6_000.0,
        contention: 0.0,
        coherence: 0.0,
    };
    const MACHINES: Machines =
        Machines { gateway_cores: 2.0, database_cores: 4.0, database_gb: 20_000.0, busy_max: 0.6, spare: 1 };

    #[test]
    fn a_plan_by_hand() {
        let plan = plan(&DEMAND, &COSTS, &MACHINES).unwrap();
        // A gateway: 2 cores x 0.6 / 150 us = 8,000/s. A database: 4 x 0.6 / 300 us = 8,000/s.
        assert_eq!((plan.gateways, plan.databases), (3, 2));
        assert!((plan.gateway_busy - 0.25).abs() < 1e-9 && (plan.database_busy - 0.375).abs() < 1e-9);
        assert!((plan.carried_per_s - 16_000.0).abs() < 1e-6);
        assert!((plan.stored_gb - 18_000.0).abs() < 1e-6 && (plan.logged_mb_per_s - 60.0).abs() < 1e-9);
    }

    #[test]
    fn databases_have_room_for_what_is_kept() {
        let of = |database_gb: f64| plan(&DEMAND, &COSTS, &Machines { database_gb, ..MACHINES });
        // 18,000 GB. Two are needed for the peak anyway.
        assert_eq!(of(9_000.0).unwrap().databases, 2);
        let small = of(4_000.0).unwrap();
        assert_eq!(small.databases, 5);
        assert!((small.database_busy - 0.15).abs() < 1e-9, "the peak is spread over all of them");
        assert_eq!(of(1.0), Err(NoPlan::Databases(18_000.0)));
        assert!(of(0.0).is_err());
    }

    #[test]
    fn what_is_shared_bounds_what_can_be_carried() {
        let costs = Costs { contention: 0.1, ..COSTS };
        // 8,000/s times at most 1 / 0.1.
        let far = Demand { peak_per_s: 81_000.0, ..DEMAND };
        assert!(
            matches!(plan(&far, &costs, &MACHINES), Err(NoPlan::OutOfReach(most)) if most < 80_000.0 && most > 79_000.0)
        );
        assert!((contention_of_two(2.0)).abs() < 1e-12 && (contention_of_two(1.6) - 0.25).abs() < 1e-12);
        assert!((speedup(2, contention_of_two(1.8), 0.0) - 1.8).abs() < 1e-12);
        assert!(contention_of_two(2.2).abs() < 1e-12, "better than twice is no negative waiting");
    }

    #[test]
    fn nonsense_is_named() {
        for demand in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = plan(&Demand { peak_per_s: demand, ..DEMAND }, &COSTS, &MACHINES).unwrap_err();
            assert_eq!(refused.to_string(), "the peak must be above 0");
        }
        for busy_max in [0.0, 1.1, f64::NAN] {
            assert!(plan(&DEMAND, &COSTS, &Machines { busy_max, ..MACHINES }).is_err());
        }
        assert!(plan(&DEMAND, &Costs { contention: -0.1, ..COSTS }, &MACHINES).is_err());
    }

    proptest! {
        #[test]
        fn it_is_enough_and_not_more(
            peak in 1.0..200_000.0_f64,
            us in 20.0..5_000.0_f64,
            contention in 0.0..0.01_f64,
            coherence in 0.0..0.000_01_f64,
        ) {
            let demand = Demand { peak_per_s: peak, ..DEMAND };
            let costs = Costs { gateway_us: us, contention, coherence, ..COSTS };
            let one = MACHINES.gateway_cores * MACHINES.busy_max * 1e6 / us;
            match plan(&demand, &costs, &MACHINES) {
                Ok(plan) => {
                    let needed = plan.gateways - MACHINES.spare;
                    prop_assert!(one * speedup(needed, contention, coherence) >= peak);
                    prop_assert!(needed == 1 || one * speedup(needed - 1, contention, coherence) < peak);
                    prop_assert!(plan.database_busy <= MACHINES.busy_max + 1e-9);
                    prop_assert!(plan.carried_per_s >= peak - 1e-6);
                }
                Err(NoPlan::OutOfReach(most)) => prop_assert!(most < peak),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}

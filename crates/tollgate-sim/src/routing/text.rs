//! A simulation's figures as text.

use super::report::{Figures, Report};
use std::fmt::Write as _;

/// The figures of one simulation, as a table.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail: the results of write! are left in this module.
    let _ = writeln!(
        out,
        "seed {}: {} payments over {} simulated hours, {} processors ({})\n",
        report.seed,
        report.payments,
        report.span_ms / 3_600_000,
        report.processors.len(),
        report.processors.join(", ")
    );
    let _ = writeln!(
        out,
        "{:<18} {:>9} {:>8} {:>9} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>8}",
        "strategy",
        "success",
        "gap",
        "cost",
        "cost at",
        "latency",
        "p95",
        "score",
        "success",
        "explored",
        "breaker"
    );
    let _ = writeln!(
        out,
        "{:<18} {:>9} {:>8} {:>9} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>8}",
        "", "%", "points", "bps", "equal", "mean ms", "ms", "regret", "regret", "%", "openings"
    );
    for figures in &report.strategies {
        line(&mut out, figures);
    }
    let verdict = report.verdict;
    let _ = writeln!(
        out,
        "\nrouter: {:.2} points of success below the oracle (at most 0.5), cost at equal success {:.3} of the \
         oracle's (at most 1.05): {}",
        verdict.success_gap_points,
        verdict.cost_ratio,
        if verdict.holds { "holds" } else { "does not hold" }
    );
    out
}

fn line(out: &mut String, figures: &Figures) {
    let _ = writeln!(
        out,
        "{:<18} {:>9.2} {:>8.2} {:>9.1} {:>8.3}x {:>9.0} {:>8} {:>9.0} {:>9.0} {:>9.2} {:>8}",
        figures.strategy,
        figures.success_percent,
        figures.success_gap_points,
        figures.cost_bps,
        figures.cost_ratio,
        figures.latency_mean_ms,
        figures.latency_p95_ms,
        figures.regret_score,
        figures.regret_success,
        figures.explored_percent,
        figures.breaker_openings
    );
}

/// Several simulations: one line each, then the median and the worst of every strategy.
#[must_use]
pub fn summary(reports: &[Report]) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "{:>6} {:>12} {:>12} {:>14} {:>9}", "seed", "gap, points", "cost ratio", "regret", "");
    for report in reports {
        let verdict = report.verdict;
        let _ = writeln!(
            out,
            "{:>6} {:>12.2} {:>12.3} {:>14.0} {:>9}",
            report.seed,
            verdict.success_gap_points,
            verdict.cost_ratio,
            report.strategies.get(1).map_or(0.0, |router| router.regret_score),
            if verdict.holds { "holds" } else { "does not" }
        );
    }
    let _ = writeln!(
        out,
        "\n{:<18} {:>22} {:>22} {:>22}",
        "strategy", "gap, points", "cost ratio", "regret in score"
    );
    let _ = writeln!(
        out,
        "{:<18} {:>22} {:>22} {:>22}",
        "", "median / worst", "median / worst", "median / worst"
    );
    let count = reports.first().map_or(0, |report| report.strategies.len());
    for place in 0..count {
        let all = |pick: fn(&Figures) -> f64| {
            let mut values: Vec<f64> =
                reports.iter().filter_map(|report| report.strategies.get(place).map(pick)).collect();
            values.sort_by(f64::total_cmp);
            (values.get(values.len() / 2).copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0))
        };
        let (gap, ratio, regret) =
            (all(|it| it.success_gap_points), all(|it| it.cost_ratio), all(|it| it.regret_score));
        let name =
            reports.first().and_then(|report| report.strategies.get(place)).map_or("", |it| it.strategy);
        let _ = writeln!(
            out,
            "{name:<18} {:>22} {:>22} {:>22}",
            format!("{:.2} / {:.2}", gap.0, gap.1),
            format!("{:.3} / {:.3}", ratio.0, ratio.1),
            format!("{:.0} / {:.0}", regret.0, regret.1)
        );
    }
    out
}

//! Three pictures of an evaluation: ROC, precision against recall, calibration. Each is one
//! self-contained SVG, light or dark as the viewer prefers. Writing to a String cannot fail: the
//! results of `write!` are left.

use super::evaluate::{Evaluated, Measures, THRESHOLDS};
use crate::load::svg::draw::{end_at, escape, line, paint, polyline};
use std::fmt::Write as _;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 530.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 464.0;
/// More points than this cannot be told apart.
const POINTS_MAX: usize = 300;

const STYLE: &str = "\
svg{--bg:#fff;--ink:#1f2430;--dim:#5c6575;--grid:#e4e8ee;--one:#1b7f79;--two:#b5651d;--three:#2f6fd0}\
@media (prefers-color-scheme:dark){svg{--bg:#14171d;--ink:#e8ebf0;--dim:#9aa4b5;--grid:#2a303b;\
--one:#4cc4bb;--two:#e8a45c;--three:#76a9f7}}\
text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2430;fill:var(--ink)}\
.h{font-size:16px;font-weight:600}.d{fill:#5c6575;fill:var(--dim)}.s{font-size:12px}.e{text-anchor:end}.m{text-anchor:middle}";

const COLOURS: [(&str, &str); 3] = [("#1b7f79", "--one"), ("#b5651d", "--two"), ("#2f6fd0", "--three")];

/// The ROC curve: frauds found against honest payments suspected.
#[must_use]
pub fn roc(evaluated: &Evaluated) -> String {
    let mut svg = frame(
        "Frauds found against honest payments suspected",
        &subtitle(evaluated),
        ["false-positive rate", "recall"],
    );
    line(&mut svg, (LEFT, BOTTOM), (RIGHT, TOP));
    for (place, measures) in evaluated.measures.iter().enumerate() {
        let label = format!("{}: AUC {:.4}", measures.name, measures.auc);
        curve(
            &mut svg,
            place,
            &label,
            points(measures, |hits, alarms, all| (part(alarms, all.1), part(hits, all.0))),
        );
    }
    dots(&mut svg, |at| (at.false_positive_rate(), at.recall()), &evaluated.measures[0]);
    finish(svg)
}

/// The precision-recall curve.
#[must_use]
pub fn precision_recall(evaluated: &Evaluated) -> String {
    let mut svg = frame("Precision against recall", &subtitle(evaluated), ["recall", "precision"]);
    for (place, measures) in evaluated.measures.iter().enumerate() {
        let label = format!("{}: area {:.4}", measures.name, measures.average_precision);
        let all = points(measures, |hits, alarms, all| (part(hits, all.0), part(hits, hits + alarms)));
        // Nothing found has no precision.
        curve(&mut svg, place, &label, all.into_iter().skip(1).collect());
    }
    dots(&mut svg, |at| (at.recall(), at.precision()), &evaluated.measures[0]);
    finish(svg)
}

/// The calibration curve.
#[must_use]
pub fn calibration(evaluated: &Evaluated) -> String {
    let title = "Probability given against part that was fraud";
    let mut svg = frame(title, &subtitle(evaluated), ["mean probability given", "part that was fraud"]);
    line(&mut svg, (LEFT, BOTTOM), (RIGHT, TOP));
    let model = &evaluated.measures[0];
    let bins: Vec<_> = model.bins.iter().filter(|bin| bin.count > 0).collect();
    let label = format!("{}: Brier {:.5}", model.name, model.brier);
    curve(&mut svg, 0, &label, bins.iter().map(|bin| (bin.predicted, bin.observed)).collect());
    for bin in bins {
        let (x, y) = spot((bin.predicted, bin.observed));
        let fill = paint("fill", COLOURS[0].0, COLOURS[0].1);
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" {fill}/>\
             <text class=\"d s\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 7.0,
            y + 14.0,
            bin.count
        );
    }
    finish(svg)
}

fn subtitle(evaluated: &Evaluated) -> String {
    format!(
        "{} · {} synthetic payments, {} labelled fraud",
        escape(&evaluated.model),
        evaluated.payments,
        evaluated.frauds
    )
}

fn frame(title: &str, subtitle: &str, axes: [&str; 2]) -> String {
    let mut svg = String::with_capacity(16 * 1_024);
    let ground = paint("fill", "#fff", "--bg");
    let middle = f64::midpoint(LEFT, RIGHT);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{title}</title>\
         <style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{HEIGHT}\" {ground}/>\
         <text class=\"h\" x=\"24\" y=\"30\">{title}</text><text class=\"d s\" x=\"24\" y=\"52\">{subtitle}</text>\
         <text class=\"d s m\" x=\"{middle}\" y=\"{:.1}\">{}</text>\
         <text class=\"d s m\" transform=\"translate(20 {:.1}) rotate(-90)\">{}</text>",
        HEIGHT - 14.0,
        axes[0],
        f64::midpoint(TOP, BOTTOM),
        axes[1],
    );
    for fifth in 0..=5 {
        let value = f64::from(fifth) / 5.0;
        let (x, y) = spot((value, value));
        line(&mut svg, (x, TOP), (x, BOTTOM));
        line(&mut svg, (LEFT, y), (RIGHT, y));
        end_at(&mut svg, LEFT - 8.0, y, &format!("{value:.1}"));
        let _ =
            write!(svg, "<text class=\"d s m\" x=\"{x:.1}\" y=\"{:.1}\">{value:.1}</text>", BOTTOM + 18.0);
    }
    svg
}

fn finish(mut svg: String) -> String {
    svg.push_str("</svg>\n");
    svg
}

fn spot((x, y): (f64, f64)) -> (f64, f64) {
    (LEFT + x * (RIGHT - LEFT), BOTTOM - y * (BOTTOM - TOP))
}

fn curve(svg: &mut String, place: usize, label: &str, points: Vec<(f64, f64)>) {
    let (colour, variable) = COLOURS[place];
    polyline(svg, points.into_iter().map(spot), &paint("stroke", colour, variable), 2.0);
    let y = BOTTOM - 58.0 + 20.0 * place as f64;
    let _ = write!(
        svg,
        "<text class=\"s e\" x=\"{:.1}\" y=\"{y:.1}\" {}>{}</text>",
        RIGHT - 10.0,
        paint("fill", colour, variable),
        escape(label)
    );
}

/// The thresholds on the model's curve.
fn dots(svg: &mut String, place: fn(&super::measure::AtThreshold) -> (f64, f64), measures: &Measures) {
    for (at, threshold) in measures.at.iter().zip(THRESHOLDS) {
        let (x, y) = spot(place(at));
        let fill = paint("fill", COLOURS[0].0, COLOURS[0].1);
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" {fill}/>\
             <text class=\"s\" x=\"{:.1}\" y=\"{:.1}\">above {threshold}</text>",
            x + 9.0,
            y + 14.0
        );
    }
}

/// Points of a curve, thinned out evenly along the path; the first and the last stay.
fn points(
    measures: &Measures,
    point: impl Fn(usize, usize, (usize, usize)) -> (f64, f64),
) -> Vec<(f64, f64)> {
    let all = measures.steps.last().map_or((0, 0), |last| (last.hits, last.false_alarms));
    let mut points: Vec<(f64, f64)> = Vec::new();
    let least = 2.0 / POINTS_MAX as f64;
    for (place, step) in measures.steps.iter().enumerate() {
        let next = point(step.hits, step.false_alarms, all);
        let far = points.last().is_none_or(|last| (last.0 - next.0).abs() + (last.1 - next.1).abs() >= least);
        // The second too: the first is nothing, which not every curve shows.
        if far || place <= 1 || place + 1 == measures.steps.len() {
            points.push(next);
        }
    }
    points
}

fn part(these: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { these as f64 / all as f64 }
}

//! Three pictures of a simulation: who takes the payments, regret, success. Each is one self-contained SVG,
//! light or dark as the viewer prefers. Writing to a String cannot fail: the results of `write!` are left.

use super::report::Report;
use super::run::Part;
use crate::load::svg::draw::{end_at, line, paint, polyline};
use std::fmt::Write as _;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 850.0;
/// Parts that a line of the success rate is averaged over, so that chance does not hide the lines.
const SMOOTHED: usize = 5;

const STYLE: &str = "\
svg{--bg:#fff;--ink:#1f2430;--dim:#5c6575;--grid:#e4e8ee;\
--a:#1b7f79;--b:#2f6fd0;--c:#b5651d;--d:#7a5bc0;--e:#c0306a;--f:#7d8a2e}\
@media (prefers-color-scheme:dark){svg{--bg:#14171d;--ink:#e8ebf0;--dim:#9aa4b5;--grid:#2a303b;\
--a:#4cc4bb;--b:#76a9f7;--c:#e8a45c;--d:#b39bf0;--e:#f277a6;--f:#b9c75a}}\
text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2430;fill:var(--ink)}\
.h{font-size:16px;font-weight:600}.d{fill:#5c6575;fill:var(--dim)}.s{font-size:12px}.b{font-weight:600}\
.e{text-anchor:end}.m{text-anchor:middle}";

const COLOURS: [(&str, &str); 6] = [
    ("#1b7f79", "--a"),
    ("#2f6fd0", "--b"),
    ("#b5651d", "--c"),
    ("#7a5bc0", "--d"),
    ("#c0306a", "--e"),
    ("#7d8a2e", "--f"),
];

/// The processors' shares of the payments: the router's choice above, the oracle's below.
#[must_use]
pub fn traffic(report: &Report) -> String {
    let mut svg =
        frame(report, 600.0, "Who takes the payments: the router, and the oracle that knows the truth");
    for (strategy, name, top) in [(1, "router", 104.0), (0, "oracle", 346.0)] {
        let pane = Pane { top, bottom: top + 190.0, low: 0.0, high: 1.0 };
        pane.name(&mut svg, &format!("{name}: share of payments"));
        pane.grid(&mut svg, report, &|share| format!("{:.0} %", share * 100.0));
        let Some(parts) = report.parts.get(strategy) else { continue };
        let mut floor = vec![0.0; parts.len()];
        for (place, (processor, (colour, variable))) in report.processors.iter().zip(COLOURS).enumerate() {
            let roof: Vec<f64> =
                floor.iter().zip(parts).map(|(floor, part)| floor + share(part, place)).collect();
            let mut path = String::new();
            let there = roof.iter().enumerate().map(|(at, roof)| (at, *roof));
            let back = floor.iter().enumerate().rev().map(|(at, floor)| (at, *floor));
            for (number, (at, value)) in there.chain(back).enumerate() {
                let (x, y) = (x(at, parts.len()), pane.y(value));
                let _ = write!(path, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
            }
            let fill = paint("fill", colour, variable);
            let _ = write!(svg, "<path d=\"{path}Z\" fill-opacity=\"0.8\" {fill}/>");
            label(&mut svg, place, top + 14.0 + 20.0 * place as f64, processor);
            floor = roof;
        }
    }
    finish(svg)
}

/// What every strategy has lost of expected score against the oracle, added up.
#[must_use]
pub fn regret(report: &Report) -> String {
    let lines: Vec<Vec<f64>> = report
        .parts
        .iter()
        .map(|parts| {
            let mut sum = 0.0;
            parts
                .iter()
                .map(|part| {
                    sum += part.lost_score;
                    sum
                })
                .collect()
        })
        .collect();
    let high = lines.iter().filter_map(|line| line.last()).copied().fold(1.0, f64::max);
    let pane = Pane { top: 104.0, bottom: 420.0, low: 0.0, high: high * 1.05 };
    let mut svg = frame(report, 480.0, "Regret: expected score lost against the oracle, added up");
    pane.name(&mut svg, "score lost");
    pane.lines(&mut svg, report, &lines, &|value| format!("{value:.0}"));
    finish(svg)
}

/// The success rate of every strategy over time.
#[must_use]
pub fn success(report: &Report) -> String {
    let lines: Vec<Vec<f64>> = report.parts.iter().map(|parts| smoothed(parts)).collect();
    let all = || lines.iter().flatten().copied();
    let low = (all().fold(1.0, f64::min) * 20.0).floor() / 20.0;
    let high = (all().fold(0.0, f64::max) * 20.0).ceil() / 20.0;
    let pane = Pane { top: 104.0, bottom: 420.0, low, high: high.max(low + 0.05) };
    let mut svg = frame(report, 480.0, "Success rate over time");
    pane.name(&mut svg, "payments that succeeded, mean of a quarter of an hour");
    pane.lines(&mut svg, report, &lines, &|rate| format!("{:.0} %", rate * 100.0));
    finish(svg)
}

/// An area with a scale.
struct Pane {
    top: f64,
    bottom: f64,
    low: f64,
    high: f64,
}

impl Pane {
    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.bottom - (self.bottom - self.top) * share.clamp(0.0, 1.0)
    }

    fn name(&self, svg: &mut String, name: &str) {
        let _ = write!(svg, "<text class=\"b s\" x=\"{LEFT}\" y=\"{:.1}\">{name}</text>", self.top - 10.0);
    }

    fn grid(&self, svg: &mut String, report: &Report, text: &dyn Fn(f64) -> String) {
        for fifth in 0..=5 {
            let value = self.low + (self.high - self.low) * f64::from(fifth) / 5.0;
            line(svg, (LEFT, self.y(value)), (RIGHT, self.y(value)));
            end_at(svg, LEFT - 8.0, self.y(value), &text(value));
        }
        let hours = report.span_ms / 3_600_000;
        for hour in 0..=hours {
            let x = LEFT + (RIGHT - LEFT) * hour as f64 / hours.max(1) as f64;
            line(svg, (x, self.top), (x, self.bottom));
            let y = self.bottom + 18.0;
            let _ = write!(svg, "<text class=\"d s m\" x=\"{x:.1}\" y=\"{y:.1}\">{hour} h</text>");
        }
    }

    /// One line for each strategy, named at its end.
    fn lines(&self, svg: &mut String, report: &Report, lines: &[Vec<f64>], text: &dyn Fn(f64) -> String) {
        self.grid(svg, report, text);
        let mut ends = Vec::new();
        for (place, values) in lines.iter().enumerate() {
            let points = values.iter().enumerate().map(|(at, value)| (x(at, values.len()), self.y(*value)));
            let (colour, variable) = COLOURS[place % COLOURS.len()];
            let width = if place == 1 { 2.6 } else { 1.6 };
            if let Some((_, y)) = polyline(svg, points, &paint("stroke", colour, variable), width) {
                ends.push((y, place));
            }
        }
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut above = f64::NEG_INFINITY;
        for (y, place) in ends {
            above = (y + 4.0).max(above + 16.0);
            label(svg, place, above, report.strategies.get(place).map_or("", |figures| figures.strategy));
        }
    }
}

fn share(part: &Part, place: usize) -> f64 {
    let all: u32 = part.first.iter().sum();
    f64::from(part.first[place]) / f64::from(all.max(1))
}

fn smoothed(parts: &[Part]) -> Vec<f64> {
    (0..parts.len())
        .map(|at| {
            let from = at.saturating_sub(SMOOTHED / 2);
            let near = &parts[from..(at + SMOOTHED / 2 + 1).min(parts.len())];
            let sum = |pick: fn(&Part) -> u32| near.iter().map(|part| f64::from(pick(part))).sum::<f64>();
            sum(|part| part.succeeded) / sum(|part| part.payments).max(1.0)
        })
        .collect()
}

fn x(at: usize, count: usize) -> f64 {
    LEFT + (RIGHT - LEFT) * (at as f64 + 0.5) / count.max(1) as f64
}

fn label(svg: &mut String, place: usize, y: f64, text: &str) {
    let (colour, variable) = COLOURS[place % COLOURS.len()];
    let fill = paint("fill", colour, variable);
    let _ = write!(svg, "<text class=\"b s\" x=\"{:.1}\" y=\"{y:.1}\" {fill}>{text}</text>", RIGHT + 10.0);
}

fn frame(report: &Report, height: f64, title: &str) -> String {
    let mut svg = String::with_capacity(64 * 1_024);
    let ground = paint("fill", "#fff", "--bg");
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
         <title>{title}</title><style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height}\" {ground}/>\
         <text class=\"h\" x=\"24\" y=\"34\">{title}</text>\
         <text class=\"d s\" x=\"24\" y=\"58\">seed {} · {} payments over {} simulated hours · simulated \
         processors</text>",
        report.seed,
        report.payments,
        report.span_ms / 3_600_000
    );
    svg
}

fn finish(mut svg: String) -> String {
    svg.push_str("</svg>\n");
    svg
}

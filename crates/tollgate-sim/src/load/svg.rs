//! A picture of a run: latency over time on a logarithmic scale, throughput below. One self-contained SVG with its own
//! background, light or dark as the viewer prefers. Plain string writing, no drawing library.

pub(crate) mod draw;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use self::draw::{axis_ms, cut, escape, line, paint, polyline, round_down, round_up, short_ms};
use super::report::{LoadReport, SecondPoint};
use super::text;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 620.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 930.0;
const LATENCY_TOP: f64 = 104.0;
const LATENCY_BOTTOM: f64 = 384.0;
const RATE_TOP: f64 = 432.0;
const RATE_BOTTOM: f64 = 552.0;
/// More points than this cannot be told apart; longer runs are drawn by the worst second of each group.
const POINTS_MAX: usize = 600;
/// Least distance between two labels at the right edge.
const LABEL_GAP: f64 = 15.0;

const STYLE: &str = "\
svg{--bg:#fff;--ink:#1f2430;--dim:#5c6575;--grid:#e4e8ee;--shade:#f1f3f7;\
--p50:#1b7f79;--p95:#2f6fd0;--p99:#b5651d;--max:#c0306a;--rate:#1b7f79;--bad:#c62828}\
@media (prefers-color-scheme:dark){svg{--bg:#14171d;--ink:#e8ebf0;--dim:#9aa4b5;--grid:#2a303b;--shade:#1d222b;\
--p50:#4cc4bb;--p95:#76a9f7;--p99:#e8a45c;--max:#f277a6;--rate:#4cc4bb;--bad:#ff7b72}}\
text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2430;fill:var(--ink)}\
.h{font-size:16.5px;font-weight:600}.d{fill:#5c6575;fill:var(--dim)}.s{font-size:12px}.e{text-anchor:end}.m{text-anchor:middle}\
.b{font-weight:600}";

/// Draws a report. Text from outside (the address, the processor's name) is escaped.
#[must_use]
pub fn latency_over_time(report: &LoadReport) -> String {
    let series = without_stragglers(&report.series);
    let (points, group) = grouped_points(series);
    let mut svg = String::with_capacity(32 * 1024);
    let seconds = series.last().map_or(1.0, |point| f64::from(point.second)).max(1.0);
    let chart = Chart { points: &points, seconds, group };
    // Writing to a String cannot fail: the results of write! are left in this module.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <style>{STYLE}</style>\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" {}/>",
        paint("fill", "#fff", "--bg")
    );
    header(&mut svg, report, group);
    chart.shade(&mut svg);
    chart.time_axis(&mut svg);
    chart.latency(&mut svg);
    chart.rate(&mut svg, report.target_rate_per_s);
    svg.push_str("</svg>\n");
    svg
}

/// One point of the picture.
#[derive(Clone, Copy)]
struct Point {
    /// Middle of its time, in seconds.
    at_s: f64,
    unmeasured: bool,
    warm_up: bool,
    ok_per_s: f64,
    bad_per_s: f64,
    /// p50, p95, p99, max in milliseconds; nothing when no payment ended.
    latency_ms: Option<[f64; 4]>,
}

/// Leaves out a drain of one second: the few replies in a part of a second would look like a collapse.
fn without_stragglers(series: &[SecondPoint]) -> &[SecondPoint] {
    match series {
        [measured @ .., last] if last.drain && !measured.last().is_some_and(|p| p.drain) => measured,
        all => all,
    }
}

fn grouped_points(series: &[SecondPoint]) -> (Vec<Point>, usize) {
    let group = series.len().div_ceil(POINTS_MAX).max(1);
    let points = series.chunks(group).map(|seconds| {
        let length = seconds.len() as f64;
        let sum = |pick: fn(&SecondPoint) -> u64| seconds.iter().map(pick).sum::<u64>() as f64 / length;
        let worst =
            |pick: fn(&SecondPoint) -> u64| seconds.iter().map(pick).max().unwrap_or(0) as f64 / 1_000.0;
        let latency_ms = [worst(|p| p.p50_us), worst(|p| p.p95_us), worst(|p| p.p99_us), worst(|p| p.max_us)];
        let from = seconds.first().map_or(0.0, |p| f64::from(p.second) - 1.0);
        Point {
            at_s: from + length / 2.0,
            unmeasured: seconds.iter().all(|p| p.warm_up || p.drain),
            warm_up: seconds.iter().all(|p| p.warm_up),
            ok_per_s: sum(|p| p.ok + p.declined),
            bad_per_s: sum(|p| p.errors + p.not_sent),
            latency_ms: (latency_ms[3] > 0.0).then_some(latency_ms),
        }
    });
    (points.collect(), group)
}

fn header(svg: &mut String, report: &LoadReport, group: usize) {
    let latency = &report.latency;
    let title = format!(
        "{} payments/s · {} success · p50 {} · p95 {} · p99 {} · max {}",
        text::count(report.tps),
        text::percent(report.success_rate),
        short_ms(latency.p50_us as f64 / 1_000.0),
        short_ms(latency.p95_us as f64 / 1_000.0),
        short_ms(latency.p99_us as f64 / 1_000.0),
        short_ms(latency.max_us as f64 / 1_000.0),
    );
    let subtitle = format!(
        "{}, {} connections, {:.0} s measured · {} · {}",
        report.mode,
        report.connections,
        report.measured_s,
        report.mix,
        text::machine(report)
    );
    let _ = write!(svg, "<title>{}</title>", escape(&title));
    let _ = write!(svg, "<text class=\"h\" x=\"24\" y=\"36\">{}</text>", escape(&title));
    let _ = write!(svg, "<text class=\"d\" x=\"24\" y=\"58\">{}</text>", escape(&cut(&subtitle, 130)));
    let note = match (report.warnings.first(), group) {
        (Some(warning), _) => Some((cut(warning, 130), "--bad", "#c62828")),
        (None, 1) => None,
        (None, _) => {
            Some((format!("each point of a latency is the worst of {group} seconds"), "--dim", "#5c6575"))
        }
    };
    if let Some((note, variable, colour)) = note {
        let _ = write!(
            svg,
            "<text class=\"s\" x=\"24\" y=\"78\" {}>{}</text>",
            paint("fill", colour, variable),
            escape(&note)
        );
    }
}

struct Chart<'a> {
    points: &'a [Point],
    seconds: f64,
    group: usize,
}

impl Chart<'_> {
    fn x(&self, at_s: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * at_s / self.seconds
    }

    /// Marks what is not in the figures.
    fn shade(&self, svg: &mut String) {
        let half = self.group as f64 / 2.0;
        let mut index = 0;
        while let Some(first) = self.points.get(index) {
            let run = self.points[index..]
                .iter()
                .take_while(|p| p.unmeasured && p.warm_up == first.warm_up)
                .count();
            if run == 0 {
                index += 1;
                continue;
            }
            let last = &self.points[index + run - 1];
            let (from, to) = (self.x(first.at_s - half), self.x((last.at_s + half).min(self.seconds)));
            for (top, bottom) in [(LATENCY_TOP, LATENCY_BOTTOM), (RATE_TOP, RATE_BOTTOM)] {
                let (width, height) = (to - from, bottom - top);
                let fill = paint("fill", "#f1f3f7", "--shade");
                let _ = write!(
                    svg,
                    "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\" {fill}/>"
                );
            }
            let name = if first.warm_up { "warm-up" } else { "drain" };
            if to - from > 24.0 {
                let _ = write!(
                    svg,
                    "<text class=\"d s\" x=\"{:.1}\" y=\"{}\">{name}</text>",
                    from + 4.0,
                    LATENCY_TOP + 14.0
                );
            }
            index += run;
        }
    }

    fn time_axis(&self, svg: &mut String) {
        const STEPS_S: [f64; 14] =
            [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 3_600.0, 7_200.0, 14_400.0];
        let step = STEPS_S.into_iter().find(|step| self.seconds / step <= 12.0).unwrap_or(14_400.0);
        let mut at_s = 0.0;
        while at_s <= self.seconds {
            let x = self.x(at_s);
            for (top, bottom) in [(LATENCY_TOP, LATENCY_BOTTOM), (RATE_TOP, RATE_BOTTOM)] {
                line(svg, (x, top), (x, bottom));
            }
            let label = if step >= 60.0 { format!("{:.0}", at_s / 60.0) } else { format!("{at_s:.0}") };
            let _ =
                write!(svg, "<text class=\"d s m\" x=\"{x:.1}\" y=\"{}\">{label}</text>", RATE_BOTTOM + 18.0);
            at_s += step;
        }
        let unit = if step >= 60.0 { "minutes since the start" } else { "seconds since the start" };
        let middle = f64::midpoint(LEFT, RIGHT);
        let _ =
            write!(svg, "<text class=\"d s m\" x=\"{middle}\" y=\"{}\">{unit}</text>", RATE_BOTTOM + 40.0);
    }

    fn latency(&self, svg: &mut String) {
        let values = || self.points.iter().filter_map(|p| p.latency_ms);
        let lowest = values().map(|v| v[0]).fold(f64::INFINITY, f64::min);
        let highest = values().map(|v| v[3]).fold(0.0, f64::max);
        let _ = write!(
            svg,
            "<text class=\"b s\" x=\"{LEFT}\" y=\"{}\">latency (log scale)</text>",
            LATENCY_TOP - 8.0
        );
        let (low, high) = if highest > 0.0 { (lowest.max(0.001), highest) } else { (1.0, 10.0) };
        let (bottom, top) = (round_down(low), round_up((high * 1.05).max(low * 2.0)));
        let y = |ms: f64| {
            let share = (ms.max(0.001) / bottom).log10() / (top / bottom).log10();
            LATENCY_BOTTOM - (LATENCY_BOTTOM - LATENCY_TOP) * share.clamp(0.0, 1.0)
        };
        let every = top / bottom < 2_001.0;
        let mut decade = bottom.log10().floor();
        while 10_f64.powf(decade) <= top * 1.001 {
            for factor in [1.0, 2.0, 5.0].into_iter().filter(|factor| every || *factor < 2.0) {
                let ms = 10_f64.powf(decade) * factor;
                // A hair's breadth for rounding: the ends of the scale are such values themselves.
                if (bottom * 0.999..=top * 1.001).contains(&ms) {
                    line(svg, (LEFT, y(ms)), (RIGHT, y(ms)));
                    draw::end_at(svg, LEFT - 8.0, y(ms), &axis_ms(ms));
                }
            }
            decade += 1.0;
        }
        let kinds = [
            (3, "max", "--max", "#c0306a", 1.2),
            (2, "p99", "--p99", "#b5651d", 1.8),
            (1, "p95", "--p95", "#2f6fd0", 1.8),
            (0, "p50", "--p50", "#1b7f79", 2.2),
        ];
        let mut labels = Vec::new();
        for (index, name, variable, colour, width) in kinds {
            let stroke = paint("stroke", colour, variable);
            let mut last = None;
            for part in self.points.split(|p| p.latency_ms.is_none()).filter(|part| !part.is_empty()) {
                let path = part.iter().filter_map(|p| p.latency_ms.map(|v| (self.x(p.at_s), y(v[index]))));
                last = polyline(svg, path, &stroke, width).or(last);
            }
            if let Some((_, y)) = last {
                labels.push((y, name, paint("fill", colour, variable)));
            }
        }
        // From the top down; a label too near the one above it is moved down.
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut above = LATENCY_TOP - LABEL_GAP;
        for (y, name, fill) in labels {
            above = (y + 4.0).max(above + LABEL_GAP);
            let _ = write!(
                svg,
                "<text class=\"b s\" x=\"{}\" y=\"{above:.1}\" {fill}>{name}</text>",
                RIGHT + 8.0
            );
        }
    }

    fn rate(&self, svg: &mut String, target: Option<f64>) {
        let _ = write!(
            svg,
            "<text class=\"b s\" x=\"{LEFT}\" y=\"{}\">payments answered per second</text>",
            RATE_TOP - 8.0
        );
        let highest = self
            .points
            .iter()
            .map(|p| p.ok_per_s.max(p.bad_per_s))
            .fold(target.unwrap_or(0.0), f64::max)
            .max(1.0);
        let magnitude = 10_f64.powf((highest / 4.0).log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|m| m * magnitude)
            .find(|s| highest / s <= 4.0)
            .unwrap_or(highest);
        let top = (highest * 1.02 / step).ceil() * step;
        let y = |rate: f64| RATE_BOTTOM - (RATE_BOTTOM - RATE_TOP) * rate / top;
        let mut value = 0.0;
        while value <= top + step / 2.0 {
            line(svg, (LEFT, y(value)), (RIGHT, y(value)));
            let label = if step < 1.0 {
                format!("{value:.1}")
            } else {
                text::count(value).trim_end_matches(".0").to_owned()
            };
            draw::end_at(svg, LEFT - 8.0, y(value), &label);
            value += step;
        }
        let stroke = paint("stroke", "#1b7f79", "--rate");
        if let (Some(first), Some(last)) = (self.points.first(), self.points.last()) {
            let mut area = format!("M{:.1} {RATE_BOTTOM}", self.x(first.at_s));
            for p in self.points {
                let _ = write!(area, "L{:.1} {:.1}", self.x(p.at_s), y(p.ok_per_s));
            }
            let _ = write!(area, "L{:.1} {RATE_BOTTOM}Z", self.x(last.at_s));
            let _ = write!(
                svg,
                "<path d=\"{area}\" fill-opacity=\"0.15\" {}/>",
                paint("fill", "#1b7f79", "--rate")
            );
        }
        let answered =
            polyline(svg, self.points.iter().map(|p| (self.x(p.at_s), y(p.ok_per_s))), &stroke, 1.8);
        if let Some(target) = target {
            let _ = write!(
                svg,
                "<path d=\"M{LEFT} {y:.1}L{RIGHT} {y:.1}\" stroke-dasharray=\"5 4\" fill=\"none\" {}/>\
                 <text class=\"d s\" x=\"{}\" y=\"{:.1}\">target</text>",
                paint("stroke", "#5c6575", "--dim"),
                RIGHT + 8.0,
                y(target) + 4.0,
                y = y(target),
            );
        }
        if self.points.iter().any(|p| p.bad_per_s > 0.0) {
            let stroke = paint("stroke", "#c62828", "--bad");
            let path = self.points.iter().map(|p| (self.x(p.at_s), y(p.bad_per_s)));
            if polyline(svg, path, &stroke, 1.8).is_some() {
                let _ = write!(
                    svg,
                    "<text class=\"b s e\" x=\"{RIGHT}\" y=\"{}\" {}>errors and not sent, per second</text>",
                    RATE_TOP - 8.0,
                    paint("fill", "#c62828", "--bad")
                );
            }
        }
        if answered.is_none() {
            let middle = f64::midpoint(LEFT, RIGHT);
            let _ = write!(
                svg,
                "<text class=\"d m\" x=\"{middle}\" y=\"{}\">no payment ended</text>",
                RATE_TOP + 60.0
            );
        }
    }
}

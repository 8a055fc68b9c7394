//! The small parts of the picture: lines, labels, round numbers. They know nothing of payments.
//! Writing to a String cannot fail: the results of `write!` are left.

use std::fmt::Write as _;

/// The next of 1, 2, 5, 10, 20, 50 … at or above a value.
pub(crate) fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * decade)
        .find(|round| *round >= value)
        .unwrap_or(10.0 * decade)
}

/// The next of them at or below it.
pub(crate) fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [5.0, 2.0].into_iter().map(|factor| factor * decade).find(|round| *round <= value).unwrap_or(decade)
}

/// A colour for viewers that know CSS variables, after a plain one for those that do not.
pub(crate) fn paint(property: &str, colour: &str, variable: &str) -> String {
    format!("style=\"{property}:{colour};{property}:var({variable})\"")
}

/// A line of the grid.
pub(crate) fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let stroke = paint("stroke", "#e4e8ee", "--grid");
    let _ = write!(svg, "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" {stroke}/>", from.0, from.1, to.0, to.1);
}

/// A label of an axis, ending at `x`.
pub(crate) fn end_at(svg: &mut String, x: f64, y: f64, label: &str) {
    let _ = write!(svg, "<text class=\"d s e\" x=\"{x}\" y=\"{:.1}\">{label}</text>", y + 4.0);
}

/// Draws a line and gives its last point. A single point is drawn as a dot.
pub(crate) fn polyline(
    svg: &mut String,
    points: impl Iterator<Item = (f64, f64)>,
    stroke: &str,
    width: f64,
) -> Option<(f64, f64)> {
    let mut path = String::new();
    let mut last = None;
    let mut count = 0;
    for (x, y) in points {
        let _ = write!(path, "{}{x:.1} {y:.1}", if count == 0 { 'M' } else { 'L' });
        last = Some((x, y));
        count += 1;
    }
    if count == 1 {
        path.push_str("h0.01");
    }
    if count > 0 {
        let _ = write!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke-width=\"{width}\" stroke-linejoin=\"round\" stroke-linecap=\"round\" {stroke}/>"
        );
    }
    last
}

/// Milliseconds, or seconds when long, with their unit.
pub(crate) fn short_ms(ms: f64) -> String {
    match ms {
        ms if ms >= 1_000.0 => format!("{:.2} s", ms / 1_000.0),
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 10.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

/// A round number of milliseconds in its best unit.
pub(crate) fn axis_ms(ms: f64) -> String {
    if ms >= 999.0 {
        format!("{:.0} s", ms / 1_000.0)
    } else if ms >= 0.99 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.0} µs", ms * 1_000.0)
    }
}

/// At most so many characters.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        text.to_owned()
    } else {
        text.chars().take(chars - 1).chain(['…']).collect()
    }
}

/// Text as XML content or attribute value.
pub(crate) fn escape(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_ends_on_round_values() {
        for (value, below, above) in
            [(1.0, 1.0, 1.0), (1.3, 1.0, 2.0), (4.9, 2.0, 5.0), (7.0, 5.0, 10.0), (0.03, 0.02, 0.05)]
        {
            assert!((round_down(value) / below - 1.0).abs() < 1e-9, "{value}: {}", round_down(value));
            assert!((round_up(value) / above - 1.0).abs() < 1e-9, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn text_from_outside_cannot_break_out() {
        assert_eq!(escape("a<b>&\"c\"\u{0}\n"), "a&lt;b&gt;&amp;&quot;c&quot;");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}

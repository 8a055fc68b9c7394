//! How a report and the progress line look as text.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::engine::Progress;
use super::report::{LoadReport, Percentiles, ProcessUse};

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Tollgate load · {} · {}, {} connections", self.url, self.mode, self.connections)?;
        writeln!(
            f,
            "{:.1} s measured after {:.1} s warm-up · {} · {} · {}",
            self.measured_s,
            self.warm_up_s,
            self.mix,
            self.currency,
            machine(self)
        )?;
        for warning in &self.warnings {
            writeln!(f, "\n  !! {warning}")?;
        }
        writeln!(f, "\n  throughput     {} payments/s", count(self.tps))?;
        if self.replies_per_s > self.tps {
            writeln!(f, "                 {} replies/s, refusals included", count(self.replies_per_s))?;
        }
        writeln!(f, "  success        {}", percent(self.success_rate))?;
        writeln!(f, "                 {} without declines", percent(self.success_rate_without_declines))?;
        self.write_counts(f)?;

        writeln!(
            f,
            "\n  {:<15}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "ms", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"
        )?;
        row(f, "latency", &self.latency)?;
        row(f, "service time", &self.service_time)?;
        if self.refused_latency.count > 0 {
            row(f, "  of accepted", &self.accepted_service_time)?;
        }
        row(f, "  own overhead", &self.overhead)?;
        row(f, "send delay", &self.send_delay)?;
        row(f, "generator lag", &self.schedule_lag)?;
        row(f, "refusals", &self.refused_latency)?;
        writeln!(f, "  latency: from the instant a payment was due; service time: from sending")?;
        if self.overhead.count > 0 {
            writeln!(f, "  own overhead: service time without what the gateway waited for processors")?;
        }

        writeln!(f)?;
        process(f, &self.generator)?;
        for sampled in &self.processes {
            process(f, sampled)?;
        }
        writeln!(f, "\n  {}.", self.success_rule)
    }
}

impl LoadReport {
    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counts;
        writeln!(f, "  payments       {} due", grouped(c.due))?;
        for (name, value) in [
            ("success", c.success),
            ("declined", c.declined),
            ("errors", c.errors),
            ("refused (429, 503)", c.refused),
            ("refused without Retry-After", c.refused_without_retry_after),
            ("not sent", c.not_sent),
            ("unfinished", c.unfinished),
            ("outcome unknown", c.unknown),
            ("sent again", c.resends),
            ("settled by retry", c.settled_by_retry),
            ("replayed", c.replayed),
        ] {
            if value > 0 {
                writeln!(f, "{:>17}{:>12} {name}", "", grouped(value))?;
            }
        }
        Self::write_map(f, "status", self.payment_status.iter().map(|(name, n)| (name.clone(), *n)))?;
        Self::write_map(f, "http", self.http_status.iter().map(|(code, n)| (code.to_string(), *n)))?;
        Self::write_map(f, "errors", self.errors.iter().map(|(name, n)| (name.clone(), *n)))?;
        if self.connect_failures + self.reconnects > 0 {
            writeln!(
                f,
                "  connections    {} made again, {} refused",
                grouped(self.reconnects),
                grouped(self.connect_failures)
            )?;
        }
        Ok(())
    }

    fn write_map(
        f: &mut fmt::Formatter<'_>,
        title: &str,
        entries: impl Iterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let mut title = title;
        for (name, value) in entries {
            writeln!(f, "  {title:<15}{:>12} {name}", grouped(value))?;
            title = "";
        }
        Ok(())
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.point;
        let phase = if p.warm_up {
            " warm-up"
        } else if p.drain {
            " drain"
        } else {
            ""
        };
        write!(
            f,
            "{:>5} s{phase}  {:>7}/s  p50 {:>8} ms  p99 {:>8} ms  max {:>8} ms  errors {}",
            p.second,
            grouped(p.finished),
            ms(p.p50_us),
            ms(p.p99_us),
            ms(p.max_us),
            grouped(p.errors)
        )?;
        if p.not_sent > 0 {
            write!(f, "  NOT SENT {}", grouped(p.not_sent))?;
        }
        if self.waiting > 0 {
            write!(f, "  waiting {}", grouped(u64::try_from(self.waiting).unwrap_or(u64::MAX)))?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, p: &Percentiles) -> fmt::Result {
    if p.count == 0 {
        return Ok(());
    }
    write!(f, "  {name:<15}")?;
    for us in [p.p50_us, p.p75_us, p.p90_us, p.p95_us, p.p99_us, p.p99_9_us, p.max_us] {
        write!(f, "{:>10}", ms(us))?;
    }
    writeln!(f)
}

fn process(f: &mut fmt::Formatter<'_>, used: &ProcessUse) -> fmt::Result {
    write!(f, "  {:<15}", used.name)?;
    match (used.cpu_s, used.cores_used, used.cpu_us_per_payment) {
        (Some(cpu_s), Some(cores), Some(each)) => {
            write!(f, "{cpu_s:.2} s CPU ({cores:.2} cores), {each:.1} µs a payment")?
        }
        (Some(cpu_s), Some(cores), None) => write!(f, "{cpu_s:.2} s CPU ({cores:.2} cores)")?,
        _ => write!(f, "CPU time not known")?,
    }
    if let Some(bytes) = used.rss_peak_bytes {
        write!(f, ", {} MiB resident at most", bytes >> 20)?;
    }
    if used.ended {
        write!(f, " (ended during the run)")?;
    }
    writeln!(f)
}

/// The machine in words.
pub(super) fn machine(report: &LoadReport) -> String {
    let machine = &report.machine;
    let mut text = format!("{} {}", machine.cores, if machine.cores == 1 { "core" } else { "cores" });
    if let Some(model) = &machine.cpu_model {
        // Writing to a String cannot fail.
        let _ = write!(text, " ({model})");
    }
    if let Some(bytes) = machine.memory_bytes {
        let _ = write!(text, ", {:.1} GiB", bytes as f64 / f64::from(1 << 30));
    }
    text
}

/// Milliseconds with as many decimals as are worth reading.
pub(super) fn ms(us: u64) -> String {
    let value = Duration::from_micros(us).as_secs_f64() * 1_000.0;
    match us {
        0..10_000 => format!("{value:.2}"),
        10_000..1_000_000 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A share as percent; never rounded up to 100 %.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.3} %", share * 100.0);
    if share < 1.0 && text.starts_with("100") { "99.999 %".to_owned() } else { text }
}

/// A rate: whole above 100, with decimals below.
pub(super) fn count(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    format!("{value:.0}").parse().map_or_else(|_| format!("{value:.0}"), grouped)
}

/// Groups of three digits: 1,234,567.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(ms(1_234), "1.23");
        assert_eq!(ms(123_456), "123.5");
        assert_eq!(count(9_999.7), "10,000");
        assert_eq!(count(0.25), "0.2");
    }

    #[test]
    fn less_than_all_is_never_shown_as_all() {
        assert_eq!(percent(1.0), "100.000 %");
        assert_eq!(percent(0.999_999_9), "99.999 %");
        assert_eq!(percent(0.9951), "99.510 %");
    }
}

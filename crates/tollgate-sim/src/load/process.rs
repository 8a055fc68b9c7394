//! What processes and this generator cost, read from Linux's `/proc` (proc(5)). Elsewhere everything here is `None`.

use std::fs;
use std::path::PathBuf;

use super::report::ProcessUse;

/// Clock ticks in a second in `/proc/PID/stat`. Linux fixes the value shown to programs at 100 (`USER_HZ`) on every
/// architecture Tollgate is built for.
const TICKS_PER_S: u64 = 100;

/// One reading of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessSample {
    /// User and system time since its start, in microseconds; steps of 10 ms.
    pub(super) cpu_us: u64,
    /// Memory resident now, in bytes.
    pub(super) rss_bytes: u64,
}

/// Reads a process; `None` when it is gone.
pub(super) fn sample(pid: u32) -> Option<ProcessSample> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(ProcessSample { cpu_us: cpu_us_from_stat(&stat)?, rss_bytes: kib_field(&status, "VmRSS:")? })
}

/// Fields 14 and 15 (utime, stime). Counted after the last `)`: a program's name may contain spaces and parentheses.
fn cpu_us_from_stat(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * (1_000_000 / TICKS_PER_S))
}

/// A line such as `VmRSS:     1234 kB`, in bytes.
fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1_024)
}

/// The CPU time of one thread of this process, to the nanosecond where the kernel keeps it.
#[derive(Debug)]
pub(super) struct ThreadCpu {
    folder: PathBuf,
}

impl ThreadCpu {
    pub(super) fn of_this_thread() -> Option<Self> {
        let link = fs::read_link("/proc/thread-self").ok()?;
        Some(Self { folder: PathBuf::from("/proc").join(link) })
    }

    /// CPU time so far in microseconds.
    pub(super) fn read_us(&self) -> Option<u64> {
        if let Ok(text) = fs::read_to_string(self.folder.join("schedstat")) {
            let ns: u64 = text.split_ascii_whitespace().next()?.parse().ok()?;
            return Some(ns / 1_000);
        }
        cpu_us_from_stat(&fs::read_to_string(self.folder.join("stat")).ok()?)
    }
}

/// A process watched through the measured part of a run.
#[derive(Debug)]
pub(super) struct Tracked {
    name: String,
    pid: u32,
    first: Option<ProcessSample>,
    last: Option<ProcessSample>,
    rss_peak_bytes: u64,
    ended: bool,
}

impl Tracked {
    pub(super) fn new(name: String, pid: u32) -> Self {
        Self { name, pid, first: None, last: None, rss_peak_bytes: 0, ended: false }
    }

    /// The measured part begins: CPU time counts from here.
    pub(super) fn begin(&mut self) {
        self.first = sample(self.pid);
        self.read();
    }

    /// Looks at it. Once it is gone it stays gone: its number may by then belong to another.
    pub(super) fn read(&mut self) {
        if self.ended {
            return;
        }
        match sample(self.pid) {
            Some(now) => {
                self.rss_peak_bytes = self.rss_peak_bytes.max(now.rss_bytes);
                self.last = Some(now);
            }
            None => self.ended = true,
        }
    }

    /// What it cost.
    pub(super) fn used(&self, measured_s: f64, payments: u64) -> ProcessUse {
        let mut used = ProcessUse {
            name: self.name.clone(),
            pid: self.pid,
            rss_peak_bytes: (self.rss_peak_bytes > 0).then_some(self.rss_peak_bytes),
            ended: self.ended,
            ..ProcessUse::default()
        };
        let cpu_us = self.first.zip(self.last).map(|(first, last)| last.cpu_us.saturating_sub(first.cpu_us));
        used.set_cpu(cpu_us, measured_s, payments);
        used
    }
}

impl ProcessUse {
    pub(super) fn set_cpu(&mut self, cpu_us: Option<u64>, measured_s: f64, payments: u64) {
        self.cpu_s = cpu_us.map(|us| us as f64 / 1e6);
        self.cores_used = self.cpu_s.filter(|_| measured_s > 0.0).map(|cpu_s| cpu_s / measured_s);
        self.cpu_us_per_payment = cpu_us.filter(|_| payments > 0).map(|us| us as f64 / payments as f64);
    }
}

/// Cores, processor model and memory in bytes of this machine.
pub(super) fn machine() -> (usize, Option<String>, Option<u64>) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
        Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
    });
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_field(&text, "MemTotal:"));
    (cores, model, memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_nasty_name() {
        let stat = "42 (a b) c)) R 1 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 1 0 78168 2998272 390 1";
        assert_eq!(cpu_us_from_stat(stat), Some(1_750_000));
        assert_eq!(cpu_us_from_stat("nonsense"), None);
    }

    #[test]
    fn memory_lines_are_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kib_field(status, "VmRSS:"), Some(1_048_576));
        assert_eq!(kib_field(status, "VmHWM:"), Some(2_097_152));
        assert_eq!(kib_field(status, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_and_this_thread_can_be_read() {
        let sample = sample(std::process::id()).unwrap();
        assert!(sample.rss_bytes > 0);
        let thread = ThreadCpu::of_this_thread().unwrap();
        let before = thread.read_us().unwrap();
        let mut sum = 0_u64;
        while thread.read_us().unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(thread.read_us().unwrap() > before);
    }

    #[test]
    fn a_process_that_is_gone_is_none() {
        assert_eq!(sample(u32::MAX), None);
    }
}

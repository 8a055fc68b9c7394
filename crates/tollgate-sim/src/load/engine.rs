//! The arrangement of a run: its thread, its tasks, its phases (connect, warm up, measure, drain) and its report.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::client::{Client, Target};
use super::options::{LoadError, LoadOptions, Mode, StopSignal};
use super::process::{self, ThreadCpu, Tracked};
use super::report::{LoadReport, Machine, SUCCESS_RULE, SecondPoint};
use super::shared::Shared;
use super::stats::percentiles;
use super::ticker::Ticker;
use super::worker;

/// How often the run looks for the end of a second and of itself.
const CONTROL_STEP: Duration = Duration::from_millis(20);
/// Time for the last replies, beyond the timeout.
const DRAIN_SLACK: Duration = Duration::from_secs(2);
/// Progress lines that may wait for a slow sink; further ones are left out.
const PROGRESS_QUEUE: usize = 16;
/// Above this share of a core, or this lateness, the generator is itself a limit and the report says so.
const GENERATOR_CORES_MAX: f64 = 0.9;
const GENERATOR_LAG_P99_MAX_US: u64 = 5_000;

/// What the progress sink is given every second; prints as one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The second that has just ended.
    pub point: SecondPoint,
    /// Payments due and waiting for a connection.
    pub waiting: usize,
}

/// Runs the load and reports. The generator works on a thread of its own; `progress` is called here, once a second, and may
/// be slow without disturbing it. Dropping the future ends the run.
///
/// # Errors
/// [`LoadError`] when the options are wrong, nobody listens at the start, or the acknowledgement log cannot be written.
/// Payments that fail are no error: they are in the report.
pub async fn run(options: LoadOptions, mut progress: impl FnMut(&Progress)) -> Result<LoadReport, LoadError> {
    options.validate()?;
    let (lines_in, mut lines) = mpsc::channel(PROGRESS_QUEUE);
    let (report_in, mut report) = oneshot::channel();
    let abandoned = StopSignal::default();
    let _stop = StopOnDrop(abandoned.clone());
    std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            let result = run_on_this_thread(options, &lines_in, &abandoned);
            // Nobody there: the caller has dropped the run.
            let _ = report_in.send(result);
        })
        .map_err(LoadError::generator)?;
    loop {
        tokio::select! {
            biased;
            Some(line) = lines.recv() => progress(&line),
            result = &mut report => {
                return result.unwrap_or_else(|_| Err(LoadError::Generator("its thread ended without a report".to_owned())));
            }
        }
    }
}

struct StopOnDrop(StopSignal);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn run_on_this_thread(
    options: LoadOptions,
    lines: &mpsc::Sender<Progress>,
    abandoned: &StopSignal,
) -> Result<LoadReport, LoadError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::generator)?;
    LocalSet::new().block_on(&runtime, async {
        let target = Target::new(&options)?;
        let clients = connect_all(&target, &options).await?;
        let shared = Rc::new(Shared::new(options, target)?);
        let mut tasks = JoinSet::new();
        for (index, client) in clients.into_iter().enumerate() {
            tasks.spawn_local(worker::work(Rc::clone(&shared), index, client));
        }
        let releaser = tokio::task::spawn_local(release(Rc::clone(&shared)));
        let mut run = Run::new(&shared, lines);
        run.measure(abandoned).await;
        run.drain(&mut tasks, abandoned).await;
        releaser.abort();
        tasks.shutdown().await;
        run.report()
    })
}

/// Opens all connections before the clock starts. An absent server is an error here, unless outages are tolerated.
async fn connect_all(target: &Rc<Target>, options: &LoadOptions) -> Result<Vec<Option<Client>>, LoadError> {
    let mut clients = Vec::with_capacity(options.connection_count());
    for index in 0..options.connection_count() {
        match Client::connect(target).await {
            Ok(client) => clients.push(Some(client)),
            Err(error) if index == 0 && !options.tolerate_outage => {
                return Err(LoadError::Unreachable { url: options.url.clone(), reason: error.to_string() });
            }
            Err(_) => {
                // The worker connects for itself; no use in waiting for the same refusal thousands of times.
                clients.resize_with(options.connection_count(), || None);
                break;
            }
        }
    }
    Ok(clients)
}

/// Hands out payments as they fall due.
async fn release(shared: Rc<Shared>) {
    let Some(ticker) = &shared.ticker else { return };
    loop {
        shared.release_due(Instant::now());
        ticker.woken().await;
    }
}

/// The run seen from above: its clock, its samples, its report.
struct Run<'a> {
    shared: &'a Rc<Shared>,
    lines: &'a mpsc::Sender<Progress>,
    started: SystemTime,
    shown: usize,
    thread_cpu: Option<ThreadCpu>,
    own_cpu_from_us: Option<u64>,
    own_cpu_us: Option<u64>,
    own_process: Tracked,
    tracked: Vec<Tracked>,
    ended_early: Option<String>,
}

impl<'a> Run<'a> {
    fn new(shared: &'a Rc<Shared>, lines: &'a mpsc::Sender<Progress>) -> Self {
        Self {
            shared,
            lines,
            started: SystemTime::now(),
            shown: 0,
            thread_cpu: ThreadCpu::of_this_thread(),
            own_cpu_from_us: None,
            own_cpu_us: None,
            own_process: Tracked::new("generator".to_owned(), std::process::id()),
            tracked: shared
                .options
                .sample
                .iter()
                .map(|one| Tracked::new(one.name.clone(), one.pid))
                .collect(),
            ended_early: None,
        }
    }

    /// Warm-up and measured part.
    async fn measure(&mut self, abandoned: &StopSignal) {
        let measure_from = self.shared.start + self.shared.options.warm_up;
        loop {
            let now = Instant::now();
            if now >= measure_from && self.own_cpu_from_us.is_none() {
                self.own_cpu_from_us = Some(self.own_cpu_us().unwrap_or(0));
                self.each_tracked(Tracked::begin);
            }
            if now >= self.shared.end.get() {
                break;
            }
            if self.shared.options.stop.is_stopped() || abandoned.is_stopped() {
                self.ended_early = Some("stopped by the caller".to_owned());
            } else if let Some(reason) = self.shared.hopeless() {
                self.ended_early = Some(reason.to_owned());
            }
            if self.ended_early.is_some() {
                self.shared.end_now();
                break;
            }
            self.tick(now);
            let boundary = if now < measure_from { measure_from } else { self.shared.end.get() };
            tokio::time::sleep_until(boundary.min(now + CONTROL_STEP).into()).await;
        }
        self.each_tracked(Tracked::read);
        self.own_cpu_us =
            self.own_cpu_from_us.and_then(|from| self.own_cpu_us().map(|now| now.saturating_sub(from)));
        self.shared.release_due(Instant::now());
        self.shared.queue.close();
    }

    /// Waits for the payments still on their way, for as long as they may take and no longer.
    async fn drain(&mut self, tasks: &mut JoinSet<()>, abandoned: &StopSignal) {
        let options = &self.shared.options;
        let retries_ms =
            if options.retry_same_key || options.tolerate_outage { options.retry_budget_ms } else { 0 };
        let until = Instant::now() + Duration::from_millis(options.timeout_ms + retries_ms) + DRAIN_SLACK;
        let unreachable = self.shared.hopeless().is_some();
        while !tasks.is_empty() && Instant::now() < until && !abandoned.is_stopped() && !unreachable {
            // A worker that panicked has printed why; its payment is counted as unfinished.
            let _ = tokio::time::timeout(CONTROL_STEP, tasks.join_next()).await;
            self.tick(Instant::now());
        }
    }

    /// Every second: a progress line, and a look at the processes.
    fn tick(&mut self, now: Instant) {
        self.shared.recorder.borrow_mut().roll(now);
        let recorder = self.shared.recorder.borrow();
        let fresh = recorder.series().get(self.shown..).unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
        for point in fresh.iter().filter(|_| self.shared.options.progress) {
            // Full: the sink is slow, and a line is left out rather than the run held up.
            let _ = self.lines.try_send(Progress { point: *point, waiting: self.shared.queue.waiting() });
        }
        self.shown = recorder.series().len();
        drop(recorder);
        if self.own_cpu_us.is_none() {
            self.each_tracked(Tracked::read);
        }
    }

    fn each_tracked(&mut self, act: fn(&mut Tracked)) {
        act(&mut self.own_process);
        self.tracked.iter_mut().for_each(act);
    }

    fn own_cpu_us(&self) -> Option<u64> {
        let ticker = self.shared.ticker.as_ref().and_then(Ticker::cpu).and_then(ThreadCpu::read_us);
        Some(self.thread_cpu.as_ref()?.read_us()? + ticker.unwrap_or(0))
    }

    fn report(mut self) -> Result<LoadReport, LoadError> {
        if let Some(fatal) = self.shared.fatal.borrow_mut().take() {
            return Err(fatal);
        }
        let options = &self.shared.options;
        let mut recorder = self.shared.recorder.borrow_mut();
        let mut counts = recorder.counts;
        counts.unfinished = counts.due.saturating_sub(counts.finished + counts.not_sent);
        let measured_s = recorder.measured().as_secs_f64();
        let per_s = |count: u64| {
            if measured_s > 0.0 { count as f64 / measured_s } else { 0.0 }
        };
        let share = |part: u64, whole: u64| {
            if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
        };
        let (mode, target_rate_per_s) = match options.mode {
            Mode::OpenLoop { rate_per_s, arrivals } => {
                (format!("open loop, {rate_per_s}/s {arrivals}"), Some(rate_per_s))
            }
            Mode::ClosedLoop { concurrency } => (format!("closed loop, {concurrency} at a time"), None),
        };
        let answered = recorder.payments_arrived;
        let mut generator = self.own_process.used(measured_s, answered);
        generator.set_cpu(self.own_cpu_us, measured_s, answered);
        let (cores, cpu_model, memory_bytes) = process::machine();
        let mut report = LoadReport {
            started_unix_ms: unix_ms(self.started),
            url: options.url.clone(),
            mode,
            target_rate_per_s,
            connections: options.connection_count(),
            mix: options.mix.to_string(),
            currency: options.currency.clone(),
            seed: options.seed,
            timeout_ms: options.timeout_ms,
            warm_up_s: options.warm_up.as_secs_f64(),
            measured_s,
            ended_early: self.ended_early.take(),
            warnings: Vec::new(),
            machine: Machine { cores, cpu_model, memory_bytes },
            tps: per_s(answered),
            replies_per_s: per_s(recorder.replies_arrived),
            success_rate: share(counts.success, counts.due),
            success_rate_without_declines: share(counts.success, counts.due.saturating_sub(counts.declined)),
            success_rule: SUCCESS_RULE.to_owned(),
            counts,
            http_status: std::mem::take(&mut recorder.http),
            payment_status: std::mem::take(&mut recorder.statuses),
            errors: std::mem::take(&mut recorder.errors),
            connect_failures: recorder.connect_failures,
            reconnects: recorder.reconnects,
            latency: percentiles(&recorder.histograms.latency),
            refused_latency: percentiles(&recorder.histograms.refused),
            service_time: percentiles(&recorder.histograms.service),
            accepted_service_time: percentiles(&recorder.histograms.accepted_service),
            overhead: percentiles(&recorder.histograms.overhead),
            send_delay: percentiles(&recorder.histograms.send_delay),
            schedule_lag: percentiles(&recorder.histograms.schedule_lag),
            generator,
            processes: self.tracked.iter().map(|tracked| tracked.used(measured_s, answered)).collect(),
            series: recorder.take_series(),
        };
        report.warnings = warnings(&report);
        Ok(report)
    }
}

/// What would make the figures misleading if it went unsaid.
fn warnings(report: &LoadReport) -> Vec<String> {
    let counts = &report.counts;
    let mut warnings = Vec::new();
    if let Some(reason) = &report.ended_early {
        warnings.push(format!("ENDED EARLY: {reason}"));
    }
    if counts.not_sent > 0 {
        warnings.push(format!(
            "NOT SENT: {} of {} payments found the queue full; the rate asked for was not reached and the latencies leave them out",
            counts.not_sent, counts.due
        ));
    }
    if counts.unfinished > 0 {
        warnings
            .push(format!("UNFINISHED: {} payments had no end when the drain was over", counts.unfinished));
    }
    if report.generator.cores_used.is_some_and(|cores| cores > GENERATOR_CORES_MAX) {
        warnings.push("GENERATOR AT ITS LIMIT: its thread was busy almost all the time; the server may be able to do more".to_owned());
    }
    if report.schedule_lag.p99_us > GENERATOR_LAG_P99_MAX_US {
        warnings.push(format!(
            "GENERATOR LATE: 1 % of the payments were noticed more than {} ms after they were due, which is in their latency",
            report.schedule_lag.p99_us / 1_000
        ));
    }
    warnings
}

fn unix_ms(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

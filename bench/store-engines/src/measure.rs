//! What one child process does to one database: fill it, read it, write until killed, check it.
//! Each prints `figure<TAB>value` lines; `main` gathers them.

use crate::{
    engine::{Engine, Op, Result, Table},
    rows::{Rows, merchant_id, mix},
};
use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

const BATCH_SIZES: [usize; 4] = [1, 64, 256, 1024];
/// The share of a round's row sets that each batch size writes: the small ones are slow.
const SHARES: [f64; 4] = [0.01, 0.14, 0.35, 0.50];
const ROUNDS: usize = 5;
pub const CRASH_BATCH: usize = 256;

/// Fills an empty database with `payments`, cycling through the batch sizes in several rounds, so
/// that each figure is taken at several sizes of the database.
pub fn fill<E: Engine>(dir: &Path, payments: u64) -> Result<()> {
    let mut engine = E::open(dir)?;
    let mut rows = Rows::new(1);
    for round in 1..=ROUNDS {
        for (size, share) in BATCH_SIZES.into_iter().zip(SHARES) {
            let row_sets = payments as f64 * 2.0 / ROUNDS as f64 * share;
            let batches = (row_sets / size as f64).ceil().max(10.0) as usize;
            let mut commits = Vec::with_capacity(batches);
            let mut preparing = Duration::ZERO;
            let (start, cpu_before) = (Instant::now(), cpu_seconds()?);
            for _ in 0..batches {
                let at = Instant::now();
                let ops = rows.batch(size);
                preparing += at.elapsed();
                let at = Instant::now();
                engine.commit(&ops)?;
                commits.push(at.elapsed());
            }
            let row_sets = (batches * size) as f64;
            let seconds = (start.elapsed() - preparing).as_secs_f64();
            let cpu = cpu_seconds()? - cpu_before - preparing.as_secs_f64();
            let name = |figure: &str| format!("batch {size}: {figure}");
            figure(&name("row sets/s"), row_sets / seconds);
            figure(&name("CPU, µs a row set"), cpu.max(0.0) * 1e6 / row_sets);
            latencies(&name("commit ms"), 1e3, &mut commits);
            if size == 256 && (round == 1 || round == ROUNDS) {
                figure(
                    &format!("batch 256, round {round}: row sets/s"),
                    row_sets / seconds,
                );
            }
        }
    }
    figure("payments", rows.payments() as f64);
    figure("memory after the fill, MiB", status_mib("VmRSS:")?);
    figure("memory, highest, MiB", status_mib("VmHWM:")?);
    let at = Instant::now();
    drop(engine);
    figure("clean close, ms", at.elapsed().as_secs_f64() * 1e3);
    figure("disk, MiB", disk_bytes(dir)? as f64 / f64::from(1 << 20));
    Ok(())
}

/// Opens a cleanly closed database and reads it at random.
pub fn read<E: Engine>(dir: &Path, payments: u64) -> Result<()> {
    let rows = Rows::new(1);
    let at = Instant::now();
    let engine = E::open(dir)?;
    engine.get(Table::Payment, &rows.payment_key(1 << 40))?;
    figure(
        "reopen after a clean close, ms",
        at.elapsed().as_secs_f64() * 1e3,
    );

    let mut random = u64::from(std::process::id());
    let mut times = Vec::new();
    for _ in 0..50_000 {
        random = mix(random);
        let key = rows.payment_key((1 << 40) + random % payments);
        let at = Instant::now();
        let found = engine.get(Table::Payment, &key)?;
        times.push(at.elapsed());
        found.ok_or("a payment is missing")?;
    }
    latencies("read by primary key, µs", 1e6, &mut times);
    times.clear();
    for _ in 0..5_000 {
        random = mix(random);
        let merchant = merchant_id((random % 1_000) as usize);
        let (from, to) = (
            [merchant, [0; 16]].concat(),
            [merchant, [0xFF; 16]].concat(),
        );
        let at = Instant::now();
        engine.newest(Table::Payment, &from, &to, 20)?;
        times.push(at.elapsed());
    }
    latencies("20 newest of a merchant, µs", 1e6, &mut times);
    figure("memory after reads, MiB", status_mib("VmRSS:")?);
    Ok(())
}

/// Commits batches for ever, printing each one's number once it is durable.
pub fn write<E: Engine>(dir: &Path, run: u64) -> Result<()> {
    let mut engine = E::open(dir)?;
    let mut rows = Rows::new(run);
    let mut out = std::io::stdout().lock();
    for number in 1u64.. {
        engine.commit(&rows.batch(CRASH_BATCH))?;
        writeln!(out, "{number}")?;
        out.flush()?;
    }
    Ok(())
}

/// Opens a killed writer's database and replays its run: every acknowledged batch must be there
/// whole, and the one in flight whole or not at all.
pub fn check<E: Engine>(dir: &Path, run: u64, acknowledged: u64) -> Result<()> {
    let at = Instant::now();
    let engine = E::open(dir)?;
    engine.get(Table::Balance, b"first read")?;
    figure("reopen after SIGKILL, ms", at.elapsed().as_secs_f64() * 1e3);

    let mut rows = Rows::new(run);
    let mut expected = HashMap::new();
    let apply = |expected: &mut HashMap<_, _>, ops: Vec<Op>| {
        for op in ops {
            expected.insert((op.table, op.key), op.value);
        }
    };
    for _ in 0..acknowledged {
        apply(&mut expected, rows.batch(CRASH_BATCH));
    }
    let in_flight = rows.batch(CRASH_BATCH);
    let has_in_flight = match in_flight.iter().find(|op| op.table == Table::Outbox) {
        Some(op) => engine.get(op.table, &op.key)?.is_some(),
        None => false,
    };
    if has_in_flight {
        apply(&mut expected, in_flight);
    } else {
        for op in in_flight {
            expected.entry((op.table, op.key)).or_insert(None);
        }
    }
    let mut wrong = 0;
    for ((table, key), value) in &expected {
        wrong += usize::from(engine.get(*table, key)? != *value);
    }
    figure("rows checked after SIGKILL", expected.len() as f64);
    figure("rows lost or torn by SIGKILL", wrong as f64);
    Ok(())
}

fn figure(name: &str, value: f64) {
    println!("{name}\t{value}");
}

fn latencies(name: &str, unit: f64, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * unit;
    figure(&format!("{name}, p50"), at(0.50));
    figure(&format!("{name}, p99"), at(0.99));
    figure(&format!("{name}, max"), at(1.0));
}

/// User and system time of the whole process, background threads included.
fn cpu_seconds() -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ on every Linux architecture Rust is built for
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, field 2, may hold spaces; user and system time are fields 14 and 15.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<f64>);
    Ok(ticks.sum::<std::result::Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn status_mib(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("no such field")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// Space really taken: a preallocated file counts only what has been written.
fn disk_bytes(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}

//! What a machine can do at most, for comparison with what the gateway does on it: HTTP exchanges without anything behind them, looks at
//! memory, and syncs of a file.

#![forbid(unsafe_code)]

use axum::{Json, Router, routing::post};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: machine http ADDRESS | machine memory | machine disk FOLDER";

#[derive(Deserialize)]
struct Request {
    amount: String,
    currency: String,
    reference: String,
}

#[derive(Serialize)]
struct Reply {
    id: String,
    status: &'static str,
    amount: String,
    currency: String,
    reference: String,
}

async fn create(Json(request): Json<Request>) -> Json<Reply> {
    let Request { amount, currency, reference } = request;
    Json(Reply { id: format!("pay_{reference}"), status: "captured", amount, currency, reference })
}

async fn http(address: &str) -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().route("/payments", post(create))).await
}

/// A line of a cache, which says where to look next.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    next: u32,
}

/// How long a look at memory takes that waits for the one before it, by how much memory is looked at: what fits the caches costs
/// little, and the rest what the machine's memory is away.
fn memory() {
    const LOOKS: u32 = 2_000_000;
    let took = |mebibytes: usize| {
        let count = (mebibytes << 20) / size_of::<Line>();
        let mut order: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for at in (1..count).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, (random >> 33) as usize % (at + 1));
        }
        let mut lines = vec![Line { next: 0 }; count];
        for (at, line) in order.iter().enumerate() {
            lines[*line as usize].next = order[(at + 1) % count];
        }
        // The best of some: whatever else the machine does makes it only longer.
        let round = |_| {
            let begun = Instant::now();
            let mut at = order[0];
            for _ in 0..LOOKS {
                at = lines[at as usize].next;
            }
            std::hint::black_box(at);
            begun.elapsed() / LOOKS
        };
        (0..5).map(round).min().unwrap_or_default().as_nanos()
    };
    let said: Vec<String> = [1, 2, 4, 8, 16, 32, 128].map(|size| format!("{size} MiB {} ns", took(size))).into();
    println!("memory, a look that waits for the one before it: {}", said.join(", "));
}

/// Syncs alone, and then beside cores that are busy for 450 µs of every millisecond.
fn disk(folder: &str) -> io::Result<()> {
    syncs(folder, "")?;
    let is_over = AtomicBool::new(false);
    let busy = || {
        while !is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(450) {
                std::hint::spin_loop();
            }
            std::thread::sleep(Duration::from_micros(550));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(busy);
        }
        let said = syncs(folder, ", every core 45 % busy");
        is_over.store(true, Ordering::Relaxed);
        said
    })
}

/// Pages written and synced one after the other into a file that was filled before, as the store's journal is.
fn syncs(folder: &str, beside: &str) -> io::Result<()> {
    const BYTES: usize = 8 << 10;
    const PLACES: usize = 4_096;
    const SYNCS: usize = 5_000;
    let path = std::path::Path::new(folder).join("machine.disk");
    let file = File::create(&path)?;
    let zeros = vec![0; BYTES * 64];
    for at in 0..PLACES / 64 {
        file.write_all_at(&zeros, (at * zeros.len()) as u64)?;
    }
    file.sync_all()?;
    let piece = vec![1; BYTES];
    let mut took: Vec<Duration> = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&piece, (number % PLACES * BYTES) as u64)?;
        file.sync_data()?;
        took.push(begun.elapsed());
        std::thread::sleep(Duration::from_micros(500));
    }
    std::fs::remove_file(&path)?;
    took.sort_unstable();
    let at = |thousandths: usize| {
        took.get(SYNCS * thousandths / 1_000).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    println!(
        "fdatasync of 8 KiB, 0.5 ms apart{beside}: p50 {:.2} ms, p95 {:.2}, p99 {:.2}, p99.9 {:.1}",
        at(500),
        at(950),
        at(990),
        at(999)
    );
    Ok(())
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["http", address] => tokio::runtime::Runtime::new()?.block_on(http(address)),
        ["memory"] => {
            memory();
            Ok(())
        }
        ["disk", folder] => disk(folder),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    }
}

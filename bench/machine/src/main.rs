//! What a machine can do at most, for comparison with what the gateway does on it: HTTP exchanges without anything behind them, and
//! syncs of a file without anything beside them.

#![forbid(unsafe_code)]

use axum::{Json, Router, routing::post};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: machine http ADDRESS | machine disk FOLDER";

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

/// Pages written and synced one after the other into a file that was filled before, as the store's journal is.
fn disk(folder: &str) -> io::Result<()> {
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
        "fdatasync of 8 KiB, 0.5 ms apart: p50 {:.2} ms, p95 {:.2}, p99 {:.2}, p99.9 {:.1}",
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
        ["disk", folder] => disk(folder),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    }
}

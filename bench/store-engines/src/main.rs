//! Compares embedded storage engines on the rows one payment writes; prints a Markdown table.
//!
//! Each measurement runs in a process of its own, so that memory and CPU are one engine's alone
//! and a writer can be killed in mid-write.

#![forbid(unsafe_code)]

mod engine;
mod fjall;
mod measure;
mod redb;
mod rows;
mod sqlite;

use engine::{Engine, Result};
use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const USAGE: &str = "usage: store-engines [--payments N] [--dir PATH] [--engine fjall|redb|sqlite]";
const ENGINES: [&str; 3] = ["fjall", "redb", "sqlite"];
/// How often the reopen, read and SIGKILL figures are taken.
const REPEATS: u64 = 3;
const WRITE_BEFORE_KILL: Duration = Duration::from_secs(4);

/// Figures in the order they first appeared, each with all its samples.
#[derive(Default)]
struct Figures {
    names: Vec<String>,
    samples: HashMap<String, Vec<f64>>,
}

impl Figures {
    fn add(&mut self, name: &str, value: f64) {
        if !self.samples.contains_key(name) {
            self.names.push(name.to_owned());
        }
        self.samples.entry(name.to_owned()).or_default().push(value);
    }

    /// The median; but of maxima and of errors the worst.
    fn quote(&self, name: &str) -> Option<f64> {
        let mut samples = self.samples.get(name)?.clone();
        samples.sort_unstable_by(f64::total_cmp);
        let worst = name.ends_with("max") || name.contains("lost");
        samples
            .get(if worst {
                samples.len() - 1
            } else {
                samples.len() / 2
            })
            .copied()
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--child") {
        return child(&args[1..]);
    }
    let mut payments = 1_000_000;
    let mut base = env::temp_dir();
    let mut engines = ENGINES.to_vec();
    for pair in args.chunks(2) {
        match pair {
            [name, value] if name == "--payments" => payments = value.parse()?,
            [name, value] if name == "--dir" => base = PathBuf::from(value),
            [name, value] if name == "--engine" => engines.retain(|engine| engine == value),
            _ => return Err(USAGE.into()),
        }
    }
    let mut columns = Vec::new();
    for name in &engines {
        let dir = base.join(format!("store-engines-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let figures = measure_engine(name, &dir, payments);
        std::fs::remove_dir_all(&dir)?;
        columns.push(figures?);
    }
    print_table(&engines, &columns);
    Ok(())
}

fn measure_engine(name: &str, dir: &Path, payments: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    run_child(&["fill", name, &payments.to_string()], dir, &mut figures)?;
    let filled = figures.quote("payments").ok_or("the fill did not end")? as u64;
    for _ in 0..REPEATS {
        run_child(&["read", name, &filled.to_string()], dir, &mut figures)?;
    }
    for run in 2..2 + REPEATS {
        let run = run.to_string();
        let acknowledged = write_and_kill(name, &run, dir)?;
        run_child(
            &["check", name, &run, &acknowledged.to_string()],
            dir,
            &mut figures,
        )?;
    }
    Ok(figures)
}

fn command(args: &[&str], dir: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg("--child")
        .args(args)
        .arg(dir)
        .stdout(Stdio::piped());
    Ok(command)
}

fn run_child(args: &[&str], dir: &Path, figures: &mut Figures) -> Result<()> {
    eprintln!("{}", args.join(" "));
    let output = command(args, dir)?.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{args:?} failed").into());
    }
    for line in String::from_utf8(output.stdout)?.lines() {
        let (name, value) = line.split_once('\t').ok_or("not a figure")?;
        figures.add(name, value.parse()?);
    }
    Ok(())
}

/// Lets a writer run, kills it in mid-write, and returns the last batch it acknowledged.
fn write_and_kill(name: &str, run: &str, dir: &Path) -> Result<u64> {
    let mut writer = command(&["write", name, run], dir)?.spawn()?;
    let stdout = writer.stdout.take().ok_or("no output")?;
    let (mut acknowledged, mut first, mut killed) = (0, None, false);
    // Reads on after the kill: what is still in the pipe was acknowledged too.
    for line in BufReader::new(stdout).lines() {
        acknowledged = line?.parse()?;
        let first = *first.get_or_insert_with(Instant::now);
        if !killed && first.elapsed() >= WRITE_BEFORE_KILL {
            // Not right after an acknowledgement: anywhere in a commit.
            std::thread::sleep(Duration::from_micros(rows::mix(acknowledged) % 10_000));
            writer.kill()?;
            killed = true;
        }
    }
    writer.wait()?;
    if killed {
        Ok(acknowledged)
    } else {
        Err("the writer died by itself".into())
    }
}

fn child(args: &[String]) -> Result<()> {
    match args.get(1).map(String::as_str) {
        Some("fjall") => child_of::<fjall::Fjall>(args),
        Some("redb") => child_of::<redb::Redb>(args),
        Some("sqlite") => child_of::<sqlite::Sqlite>(args),
        _ => Err(USAGE.into()),
    }
}

fn child_of<E: Engine>(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["fill", _, payments, dir] => measure::fill::<E>(Path::new(dir), payments.parse()?),
        ["read", _, payments, dir] => measure::read::<E>(Path::new(dir), payments.parse()?),
        ["write", _, run, dir] => measure::write::<E>(Path::new(dir), run.parse()?),
        ["check", _, run, acknowledged, dir] => {
            measure::check::<E>(Path::new(dir), run.parse()?, acknowledged.parse()?)
        }
        _ => Err(USAGE.into()),
    }
}

fn print_table(engines: &[&str], columns: &[Figures]) {
    println!("| figure | {} |", engines.join(" | "));
    println!("|---|{}", "---:|".repeat(engines.len()));
    let Some(first) = columns.first() else { return };
    for name in &first.names {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| cell(column.quote(name)))
            .collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn cell(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 || value == 0.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

//! `tollgate partner import`: many partners from one CSV, their keys into a file of their owner alone.

use super::new_file;
use crate::Failure;
use crate::operator::by;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tollgate_api::partners::import::{BYTES_MAX, Made, Report, import};
use tollgate_core::merchant::Mode;
use tollgate_store::Store;

/// What to import.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The CSV; its first line names the fields (`docs/partners.md`).
    file: PathBuf,
    /// Make all partners or, if any line is bad, none.
    #[arg(long)]
    all_or_nothing: bool,
    /// File for the keys; it must not be there yet. Default: the CSV's name with `.keys.csv` behind it.
    #[arg(long)]
    keys: Option<PathBuf>,
}

/// Runs it; fails if a line was bad.
pub(super) async fn run(store: Arc<dyn Store>, args: Args) -> Result<ExitCode, Failure> {
    let csv = read(&args.file)?;
    let path = args.keys.unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".keys.csv");
        name.into()
    });
    // Before anything is made: keys that cannot be written down would be lost.
    let file = new_file(&path)?;
    let report = match import(&store, &csv, args.all_or_nothing, &by()).await {
        Ok(report) if !report.made.is_empty() => {
            write_keys(file, &report.made)?;
            report
        }
        nothing => {
            std::fs::remove_file(&path)?;
            nothing?
        }
    };
    tell(&report, &path);
    Ok(if report.error_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path).map_err(wrong)?.take(most).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(bytes)
}

fn write_keys(file: std::fs::File, made: &[Made]) -> Result<(), Failure> {
    let mut out = csv::Writer::from_writer(file);
    out.write_record(["line", "reference", "legal_name", "partner", "merchant", "mode", "key"])?;
    for one in made {
        for key in &one.keys {
            let mode = match key.mode {
                Mode::Sandbox => "sandbox",
                Mode::Live => "live",
            };
            out.write_record([
                one.line.to_string().as_str(),
                one.reference.as_deref().unwrap_or_default(),
                &one.legal_name,
                &one.partner_id.to_string(),
                &key.merchant_id.to_string(),
                mode,
                &key.text,
            ])?;
        }
    }
    out.into_inner().map_err(|error| error.to_string())?.sync_all()?;
    Ok(())
}

fn tell(report: &Report, keys: &Path) {
    for bad in &report.errors {
        match bad.error.field.as_str() {
            "" => println!("line {}: {}", bad.line, bad.error.reason),
            field => println!("line {}: {field} {}", bad.line, bad.error.reason),
        }
    }
    let told = u64::try_from(report.errors.len()).unwrap_or(u64::MAX);
    if report.error_count > told {
        println!("and {} more", report.error_count - told);
    }
    println!("{} lines, {} partners made, {} errors", report.lines, report.made.len(), report.error_count);
    if !report.made.is_empty() {
        println!("their keys are in {}", keys.display());
    }
}

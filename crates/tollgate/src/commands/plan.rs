//! `tollgate plan`: how many machines a load needs, from what a payment was measured to cost.

use crate::Failure;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tollgate_core::capacity::{Costs, Demand, Machines, Plan, contention_of_two, per_day, plan};
use tollgate_sim::load::LoadReport;

/// What is to be carried, and what it costs. The defaults are what `docs/capacity.md` measured; give your own.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Payments a second in the busiest minute.
    #[arg(long)]
    rate: f64,
    /// Payments a day; default: a day whose mean is a third of the peak.
    #[arg(long)]
    per_day: Option<f64>,
    /// How long payments are kept, in days.
    #[arg(long, default_value_t = 3_650.0)]
    kept_days: f64,
    /// A report of `tollgate load --json` that sampled the gateway: its time for a payment is taken from there.
    #[arg(long, value_name = "FILE", conflicts_with = "gateway_us")]
    report: Option<PathBuf>,
    /// Processor time of a gateway for a payment, in microseconds.
    #[arg(long, default_value_t = 150.0)]
    gateway_us: f64,
    /// Processor time of the database for a payment, in microseconds.
    #[arg(long, default_value_t = 330.0)]
    database_us: f64,
    /// What the database keeps of a payment, with indexes, in bytes.
    #[arg(long, default_value_t = 4_100.0)]
    stored_bytes: f64,
    /// What is written to the database's log for a payment, in bytes.
    #[arg(long, default_value_t = 6_000.0)]
    logged_bytes: f64,
    /// What two gateways carry together, as a multiple of one (`bench/scaling/run`).
    #[arg(long, default_value_t = 1.9)]
    two: f64,
    /// Cores of a gateway.
    #[arg(long, default_value_t = 2.0)]
    cores: f64,
    /// Cores of a database.
    #[arg(long, default_value_t = 8.0)]
    database_cores: f64,
    /// What a database can keep, in terabytes.
    #[arg(long, default_value_t = 16.0)]
    database_tb: f64,
    /// How busy cores may be at the peak, in percent.
    #[arg(long, default_value_t = 60.0)]
    busy: f64,
    /// Gateways that may be away at the peak.
    #[arg(long, default_value_t = 1)]
    spare: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let gateway_us = match &args.report {
        Some(path) => {
            measured(&std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?)?
        }
        None => args.gateway_us,
    };
    if !args.two.is_finite() || args.two <= 0.0 {
        return Err("--two must be above 0".into());
    }
    let demand = Demand {
        peak_per_s: args.rate,
        per_day: args.per_day.unwrap_or_else(|| per_day(args.rate, 1.0 / 3.0)),
        kept_days: args.kept_days,
    };
    let costs = Costs {
        gateway_us,
        database_us: args.database_us,
        stored_bytes: args.stored_bytes,
        logged_bytes: args.logged_bytes,
        contention: contention_of_two(args.two),
        coherence: 0.0,
    };
    let machines = Machines {
        gateway_cores: args.cores,
        database_cores: args.database_cores,
        database_gb: args.database_tb * 1e3,
        busy_max: args.busy / 100.0,
        spare: args.spare,
    };
    let plan = plan(&demand, &costs, &machines)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &view(&plan, gateway_us))?;
        writeln!(out)?;
    } else {
        out.write_all(text(&demand, &machines, &plan, gateway_us).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The gateway's time for a payment in a report of the load generator, in microseconds.
fn measured(text: &str) -> Result<f64, Failure> {
    let report: LoadReport =
        serde_json::from_str(text).map_err(|error| format!("not a report of `tollgate load`: {error}"))?;
    let gateway =
        report.processes.iter().find(|process| process.name == "gateway").or(report.processes.first());
    gateway
        .and_then(|process| process.cpu_us_per_payment)
        .ok_or_else(|| "the report samples no gateway: run `tollgate load` with --sample gateway=PID".into())
}

#[derive(Serialize)]
struct View {
    gateways: u32,
    databases: u32,
    gateway_us: f64,
    gateway_busy: f64,
    database_busy: f64,
    carried_per_s: f64,
    stored_gb: f64,
    logged_mb_per_s: f64,
}

const fn view(plan: &Plan, gateway_us: f64) -> View {
    View {
        gateways: plan.gateways,
        databases: plan.databases,
        gateway_us,
        gateway_busy: plan.gateway_busy,
        database_busy: plan.database_busy,
        carried_per_s: plan.carried_per_s,
        stored_gb: plan.stored_gb,
        logged_mb_per_s: plan.logged_mb_per_s,
    }
}

fn text(demand: &Demand, machines: &Machines, plan: &Plan, gateway_us: f64) -> String {
    format!(
        "{:.0} payments/s at the peak, {:.0} million a day, kept for {:.0} days; {gateway_us:.0} us of a gateway's core for each\n\n\
         gateways    {} of {} cores, {} of them spare; {:.0} % busy at the peak\n\
         databases   {} of {} cores and {} TB, without replicas; {:.0} % busy at the peak\n\
         carried     {:.0} payments/s with the spare gateways away\n\
         kept        {:.1} TB in the end\n\
         logged      {:.0} MB/s at the peak, and as much to each replica\n",
        demand.peak_per_s,
        demand.per_day / 1e6,
        demand.kept_days,
        plan.gateways,
        machines.gateway_cores,
        machines.spare,
        plan.gateway_busy * 100.0,
        plan.databases,
        machines.database_cores,
        machines.database_gb / 1e3,
        plan.database_busy * 100.0,
        plan.carried_per_s,
        plan.stored_gb / 1e3,
        plan.logged_mb_per_s,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_is_said_so() {
        assert!(measured("{}").unwrap_err().to_string().starts_with("not a report"));
    }
}

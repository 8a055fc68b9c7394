//! `tollgate fraud`: made-up payments with labels, training, evaluation, and how long scoring takes.

use crate::Failure;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tollgate_core::risk::{Model, RiskOptions};
use tollgate_sim::fraud::{
    DEFAULT_PAYMENTS, DEFAULT_SEED, FEEDBACK_WEIGHT, LabelledPayment, PAYMENTS_MAX, bench, evaluate,
    from_csv, generate, model_text, picture, read_feedback, rows, split, synthetic_name, to_csv, train_model,
};

/// Fraud scoring away from the gateway. The payments are synthetic unless a file is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Writes synthetic labelled payments as CSV.
    Generate {
        #[command(flatten)]
        made: Made,
        /// File to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Trains a model.
    Train {
        #[command(flatten)]
        data: Data,
        /// What became of real payments, one JSON object a line, as the gateway exports it.
        #[arg(long)]
        feedback: Option<PathBuf>,
        /// How many payments of the data each line of feedback counts as.
        #[arg(long, default_value_t = FEEDBACK_WEIGHT)]
        feedback_weight: f64,
        /// What assessments call the model; default: after the data.
        #[arg(long)]
        name: Option<String>,
        /// Model file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Measures a model on the last quarter of the data, which training does not look at.
    Evaluate {
        #[command(flatten)]
        data: Data,
        /// Model file; default: the built-in model.
        #[arg(long)]
        model: Option<PathBuf>,
        /// Folder for roc.svg, precision-recall.svg and calibration.svg.
        #[arg(long)]
        svg: Option<PathBuf>,
    },
    /// Measures time and memory of scoring.
    Bench {
        /// Different cards seen before.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        cards: u64,
    },
}

#[derive(Debug, clap::Args)]
struct Made {
    /// Seed: the same seed gives the same payments.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// How many.
    #[arg(long, default_value_t = DEFAULT_PAYMENTS, value_parser = clap::value_parser!(u64).range(1_000..=PAYMENTS_MAX))]
    payments: u64,
}

#[derive(Debug, clap::Args)]
struct Data {
    /// CSV of labelled payments in time order, with the columns that `generate` writes.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    made: Made,
}

impl Data {
    fn payments(&self) -> Result<Vec<LabelledPayment>, Failure> {
        match &self.data {
            Some(file) => {
                from_csv(&read(file)?).map_err(|error| format!("{}: {error}", file.display()).into())
            }
            None => Ok(generate(self.made.seed, self.made.payments)),
        }
    }

    fn name(&self) -> String {
        let stem = self.data.as_ref().and_then(|file| file.file_stem()).map(|stem| stem.to_string_lossy());
        stem.map_or_else(
            || synthetic_name(self.made.seed, self.made.payments),
            |stem| stem.chars().take(64).collect(),
        )
    }
}

/// Runs it.
pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    // Long work without waiting: not on the threads that serve.
    tokio::task::spawn_blocking(move || work(args.command)).await??;
    Ok(ExitCode::SUCCESS)
}

fn work(command: Command) -> Result<(), Failure> {
    match command {
        Command::Generate { made, out } => {
            let payments = generate(made.seed, made.payments);
            write(&out, &to_csv(&payments))?;
            println!("{} payments: {}", payments.len(), out.display());
        }
        Command::Train { data, feedback, feedback_weight, name, out } => {
            if !(feedback_weight > 0.0 && feedback_weight <= 1_000.0) {
                return Err("the weight of feedback is above 0, at most 1000".into());
            }
            let feedback = feedback.map(|file| {
                read_feedback(&read(&file)?, feedback_weight)
                    .map_err(|error| Failure::from(format!("{}: {error}", file.display())))
            });
            let feedback = feedback.transpose()?.unwrap_or_default();
            let name = name.unwrap_or_else(|| data.name());
            let file = train_model(&rows(&data.payments()?), &feedback, &name)?;
            write(&out, &model_text(&file))?;
            println!("{} trees, {} lines of feedback: {}", file.trees.len(), feedback.len(), out.display());
        }
        Command::Evaluate { data, model, svg } => {
            let rows = rows(&data.payments()?);
            let model = match model {
                Some(file) => Model::from_json(&read(&file)?)?,
                None => Model::built_in().clone(),
            };
            let evaluated = evaluate(&model, &split(&rows))?;
            println!("{evaluated}");
            if let Some(folder) = svg {
                std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
                for (name, text) in [
                    ("roc.svg", picture::roc(&evaluated)),
                    ("precision-recall.svg", picture::precision_recall(&evaluated)),
                    ("calibration.svg", picture::calibration(&evaluated)),
                ] {
                    write(&folder.join(name), &text)?;
                }
            }
        }
        Command::Bench { cards } => {
            println!("{}", bench(cards, RiskOptions::default(), Model::built_in()));
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()).into())
}

//! `cairn bench`: events as real logs have them, a measured run over them, and
//! the questions that it asks. docs/benchmarks.md says how to read the figures.
//!
//! - [`generate`]: events from a seed
//! - [`mod@questions`]: what auditors ask, as data
//! - [`measure`]: processor time, memory, bytes, and the seam to the pipeline
//! - [`trails`]: a tenth and a third of the events
//! - [`report`]: the figures, for people and as JSON

mod actiontrail;
mod cloudtrail;
mod describe;
pub mod generate;
mod identity;
pub mod measure;
mod mix;
mod padding;
mod params;
mod population;
mod prng;
pub mod questions;
pub mod report;
mod subject;
mod timing;
pub mod trails;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use cairn_schemas::keys;
use clap::{Args, Subcommand};

use generate::{DialectChoice, Generator, Shape};
use measure::{Meter, Options, at_rest};
use questions::{Landmarks, questions};
use report::Report;

/// Generate realistic events, and measure this machine with them.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The benchmark's parts.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchCommand {
    /// Write events as NDJSON.
    Generate(GenerateArgs),
    /// Load events in this process and ask the questions.
    Run(RunArgs),
    /// Print the questions about such events as JSON, for any engine.
    Questions(ShapeArgs),
}

/// Which events.
#[derive(Clone, Debug, Args)]
pub struct ShapeArgs {
    /// How many events, repeats among them.
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,
    /// The same seed gives the same events.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Member accounts.
    #[arg(long, default_value_t = 50)]
    pub accounts: usize,
    /// Regions.
    #[arg(long, default_value_t = 8)]
    pub regions: usize,
    /// When the first event arrives.
    #[arg(long, default_value = "2026-06-01T00:00:00Z", value_name = "TIME")]
    pub start: String,
    /// Over how many days they arrive.
    #[arg(long, default_value_t = 7)]
    pub days: u32,
    /// The share that repeats an earlier event byte for byte; up to 0.21 was
    /// seen in real deliveries.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub duplicates: f64,
    /// Whose field names.
    #[arg(long, value_enum, default_value_t)]
    pub dialect: DialectChoice,
}

/// `cairn bench generate`.
#[derive(Clone, Debug, Args)]
pub struct GenerateArgs {
    /// Which events.
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Where to; `-` is the standard output.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub out: PathBuf,
    /// Compress with zstd.
    #[arg(long)]
    pub zstd: bool,
    /// Say what of this was measured and what is made up, and generate nothing.
    #[arg(long)]
    pub describe: bool,
}

/// `cairn bench run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Which events.
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Where to store; must be empty or absent.
    #[arg(long, default_value = "cairn-bench-data", value_name = "DIR")]
    pub data: PathBuf,
    /// Leave the stored data where they are.
    #[arg(long)]
    pub keep: bool,
    /// How often each question is asked.
    #[arg(long, default_value_t = 5)]
    pub runs: u32,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl ShapeArgs {
    /// The shape, with the start understood.
    pub fn shape(&self) -> anyhow::Result<Shape> {
        Ok(Shape {
            events: self.events,
            seed: self.seed,
            accounts: self.accounts,
            regions: self.regions,
            start: generate::parse_start(&self.start)?,
            days: self.days,
            duplicates: self.duplicates,
            dialect: self.dialect,
        })
    }

    /// The arguments that give the same events again.
    fn again(&self) -> String {
        format!(
            "--events {} --seed {} --accounts {} --regions {} --start {} --days {} \
             --duplicates {} --dialect {:?}",
            self.events,
            self.seed,
            self.accounts,
            self.regions,
            self.start,
            self.days,
            self.duplicates,
            self.dialect
        )
        .to_lowercase()
        .replace(&self.start.to_lowercase(), &self.start)
    }
}

/// Does what the command line asks for.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        BenchCommand::Generate(args) => tokio::task::spawn_blocking(move || generate_to(&args))
            .await
            .context("the generator stopped")?,
        BenchCommand::Questions(shape) => {
            let g = Generator::new(shape.shape()?)?;
            let at = Landmarks::of(&g)?;
            let all = serde_json::json!({
                "generator": shape.again(),
                "landmarks": at,
                "trails": trails::trails(&g)?,
                "questions": questions(&at),
            });
            say(&(serde_json::to_string_pretty(&all)? + "\n"))
        }
        BenchCommand::Run(args) => measured_run(&args).await,
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("writing to the standard output"),
    }
}

fn generate_to(args: &GenerateArgs) -> anyhow::Result<()> {
    let g = Generator::new(args.shape.shape()?)?;
    if args.describe {
        return say(&describe::text(&g));
    }
    let target: Box<dyn Write> = if args.out == Path::new("-") {
        Box::new(std::io::stdout().lock())
    } else {
        let file = std::fs::File::create(&args.out)
            .with_context(|| format!("creating {}", args.out.display()))?;
        Box::new(file)
    };
    let buffered = BufWriter::with_capacity(1 << 20, target);
    let written = if args.zstd {
        zstd::stream::Encoder::new(buffered, 3).and_then(|mut encoder| {
            write_all(&g, &mut encoder)?;
            encoder.finish()?.flush()
        })
    } else {
        let mut buffered = buffered;
        write_all(&g, &mut buffered).and_then(|()| buffered.flush())
    };
    match written {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.with_context(|| format!("writing to {}", args.out.display())),
    }
}

fn write_all(g: &Generator, out: &mut impl Write) -> std::io::Result<()> {
    let mut line = Vec::with_capacity(8 * 1024);
    for i in 0..g.shape().events {
        line.clear();
        g.render(i, &mut line);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}

async fn measured_run(args: &RunArgs) -> anyhow::Result<()> {
    let g = Generator::new(args.shape.shape()?)?;
    let at = Landmarks::of(&g)?;
    let trails = trails::trails(&g)?;
    prepare(&args.data)?;
    let generated = measure::generate_only(&g)?;
    let mut subject = subject::open(Options {
        data: args.data.clone(),
        trails: trails.clone(),
    })
    .await?;

    let peak_is_of_loading = measure::reset_peak_memory();
    let mut loaded = subject.load(&mut g.records()).await?;
    let meter = Meter::start()?;
    subject.flush(&mut loaded).await?;
    loaded.pipeline = loaded.pipeline.plus(meter.stop()?);
    let peak_memory = measure::peak_memory()?;

    let meter = Meter::start()?;
    let answers = measure::ask(&*subject, questions(&at), args.runs).await?;
    let asking = meter.stop()?;
    let (history, trail_tables, other) = stored(subject.data_dir())?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        generator: args.shape.again(),
        generated,
        trails: trails.to_vec(),
        loaded,
        peak_memory,
        peak_is_of_loading,
        peak_memory_with_questions: measure::peak_memory()?,
        history,
        trail_tables,
        other,
        answers,
        asking,
    };
    drop(subject);
    say(&if args.json {
        report.json()?
    } else {
        report.text()
    })?;
    if !args.keep {
        std::fs::remove_dir_all(&args.data)
            .with_context(|| format!("removing {}", args.data.display()))?;
    }
    Ok(())
}

/// Makes the directory. A directory with something in it is refused, since the
/// run removes it afterwards and files of before would count as stored.
fn prepare(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let empty = std::fs::read_dir(dir)
        .with_context(|| format!("reading {}", dir.display()))?
        .next()
        .is_none();
    ensure!(
        empty,
        "{} is not empty: name another directory with --data, or empty this one",
        dir.display()
    );
    Ok(())
}

/// What history, the trails and everything else take.
fn stored(data: &Path) -> anyhow::Result<(measure::AtRest, measure::AtRest, measure::AtRest)> {
    let store = data.join(keys::STORE_DIR);
    let history = at_rest(&store.join(keys::HISTORY))?;
    let tables = Path::new(keys::HISTORY).parent().unwrap_or(Path::new(""));
    let trails = at_rest(&store.join(tables).join("trails"))?;
    let all = at_rest(data)?;
    let other = measure::AtRest {
        files: all.files - history.files - trails.files,
        parquet_files: all.parquet_files - history.parquet_files - trails.parquet_files,
        bytes: all.bytes - history.bytes - trails.bytes,
    };
    Ok((history, trails, other))
}

#[cfg(test)]
mod tests;

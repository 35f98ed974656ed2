//! The measured run: what is counted, and by which means.
//!
//! Everything runs in one process. Processor time is the process's own, user
//! and system, of all threads, from `/proc/self/stat`; memory is the greatest
//! resident size, from `/proc/self/status`; bytes are the sizes of files as
//! `stat` gives them. Both exist on Linux only.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_schemas::Micros;
use serde::Serialize;
use tokio::time::Instant;

use super::generate::{Generator, Record};
use super::questions::Question;
use super::trails::BenchTrail;

/// What one stretch of work took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Phase {
    /// By the clock.
    pub wall_seconds: f64,
    /// Processor time outside of the kernel, all threads.
    pub user_seconds: f64,
    /// Processor time in the kernel, all threads.
    pub system_seconds: f64,
}

impl Phase {
    /// User and system together.
    pub fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    /// Both, one after the other.
    pub fn plus(self, other: Self) -> Self {
        Self {
            wall_seconds: self.wall_seconds + other.wall_seconds,
            user_seconds: self.user_seconds + other.user_seconds,
            system_seconds: self.system_seconds + other.system_seconds,
        }
    }

    /// This without a part of it; never below zero.
    pub fn less(self, part: Self) -> Self {
        Self {
            wall_seconds: (self.wall_seconds - part.wall_seconds).max(0.0),
            user_seconds: (self.user_seconds - part.user_seconds).max(0.0),
            system_seconds: (self.system_seconds - part.system_seconds).max(0.0),
        }
    }
}

/// Measures one stretch of work, from its making to [`Meter::stop`].
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    user: f64,
    system: f64,
}

impl Meter {
    /// Begins now.
    pub fn start() -> anyhow::Result<Self> {
        let (user, system) = processor_seconds()?;
        Ok(Self {
            began: Instant::now(),
            user,
            system,
        })
    }

    /// What went by since.
    pub fn stop(self) -> anyhow::Result<Phase> {
        let wall_seconds = self.began.elapsed().as_secs_f64();
        let (user, system) = processor_seconds()?;
        Ok(Phase {
            wall_seconds,
            user_seconds: user - self.user,
            system_seconds: system - self.system,
        })
    }
}

/// What loading came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Loaded {
    /// Pulling the events from the generator and appending them to the log,
    /// until they are durable there.
    pub append: Phase,
    /// From the log to committed tables: decode, admit, commit, deliver.
    pub pipeline: Phase,
    /// Rows in history.
    pub admitted: u64,
    /// Events that were there before.
    pub duplicates: u64,
    /// Records that could not become events.
    pub quarantined: u64,
    /// Rows by trail, in the order of [`Options::trails`].
    pub delivered: Vec<u64>,
}

/// What a subject is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// An empty directory for everything that it stores.
    pub data: PathBuf,
    /// The trails to make before anything is loaded.
    pub trails: [BenchTrail; 2],
}

/// What is measured. One seam, so that the run does not know the pipeline.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Appends all events to the log, then takes them from there into history
    /// and the trails. Returns when as much is committed as the pipeline
    /// commits of itself; [`Subject::flush`] does the rest. Called once.
    async fn load(
        &mut self,
        events: &mut (dyn Iterator<Item = Record> + Send),
    ) -> anyhow::Result<Loaded>;

    /// Returns once every loaded event is committed to every table that takes
    /// it, and brings `loaded` up to date. Its time counts as the pipeline's.
    async fn flush(&mut self, loaded: &mut Loaded) -> anyhow::Result<()>;

    /// Runs one statement to its end and returns how many rows it gave.
    async fn question(&self, sql: &str) -> anyhow::Result<u64>;

    /// Where everything is stored.
    fn data_dir(&self) -> &Path;
}

/// What the events are, and what making them takes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Generated {
    /// How many, repeats among them.
    pub events: u64,
    /// How many are repeats.
    pub repeats: u64,
    /// Their bytes, without line ends.
    pub bytes: u64,
    /// What making them takes.
    pub phase: Phase,
}

/// Files of one part of the data directory.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AtRest {
    /// Files.
    pub files: u64,
    /// Of these, Parquet files.
    pub parquet_files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// One question's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    /// The question.
    #[serde(flatten)]
    pub question: Question,
    /// Rows of the answer.
    pub rows: u64,
    /// Each run, in the order of the runs, in milliseconds.
    pub runs_ms: Vec<f64>,
}

impl Answered {
    /// Least, middle and greatest.
    pub fn spread(&self) -> (f64, f64, f64) {
        let mut sorted = self.runs_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
        (
            at(0),
            at(sorted.len() / 2),
            at(sorted.len().saturating_sub(1)),
        )
    }
}

/// Makes all events and throws them away: what generating takes by itself.
pub fn generate_only(g: &Generator) -> anyhow::Result<Generated> {
    let meter = Meter::start()?;
    let mut made = Generated::default();
    for record in g.records() {
        made.events += 1;
        made.bytes += record.bytes.len() as u64;
    }
    made.phase = meter.stop()?;
    // Outside of the measurement: it draws numbers, it makes no events.
    made.repeats = (0..made.events).filter(|i| g.origin(*i) != *i).count() as u64;
    Ok(made)
}

/// Asks each question `runs` times, one after the other.
pub async fn ask(
    subject: &dyn Subject,
    questions: Vec<Question>,
    runs: u32,
) -> anyhow::Result<Vec<Answered>> {
    let mut all = Vec::with_capacity(questions.len());
    for question in questions {
        let mut rows = 0;
        let mut runs_ms = Vec::new();
        for _ in 0..runs.max(1) {
            let began = Instant::now();
            rows = subject
                .question(&question.sql)
                .await
                .with_context(|| format!("question {}: {}", question.name, question.sql))?;
            runs_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        all.push(Answered {
            question,
            rows,
            runs_ms,
        });
    }
    Ok(all)
}

/// The geometric mean of the least time of each question, in milliseconds.
pub fn geometric_mean_of_best(answers: &[Answered]) -> f64 {
    let logs: f64 = answers.iter().map(|a| a.spread().0.max(1e-6).ln()).sum();
    (logs / answers.len().max(1) as f64).exp()
}

/// Counts the files below `dir`; nothing where there is no such directory.
pub fn at_rest(dir: &Path) -> anyhow::Result<AtRest> {
    let mut sum = AtRest::default();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).with_context(|| format!("reading {}", dir.display())),
        };
        for entry in entries {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                sum.files += 1;
                sum.bytes += meta.len();
                let parquet = entry.path().extension().is_some_and(|e| e == "parquet");
                // Delta's checkpoints are Parquet too, but hold no events.
                let log = dir.ends_with("_delta_log");
                sum.parquet_files += u64::from(parquet && !log);
            }
        }
    }
    Ok(sum)
}

/// User and system seconds of this process so far.
fn processor_seconds() -> anyhow::Result<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat")
        .context("measuring needs Linux: /proc/self/stat cannot be read")?;
    parse_stat(&stat)
}

/// The 14th and 15th field of `/proc/PID/stat`. The second, the command's
/// name, may hold blanks and brackets; nothing after its last bracket does.
fn parse_stat(stat: &str) -> anyhow::Result<(f64, f64)> {
    /// Linux shows these times in hundredths of a second on every platform.
    const TICKS: f64 = 100.0;
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after.split_ascii_whitespace().skip(11);
    match (fields.next().map(str::parse), fields.next().map(str::parse)) {
        (Some(Ok::<f64, _>(user)), Some(Ok::<f64, _>(system))) => {
            Ok((user / TICKS, system / TICKS))
        }
        _ => bail!("/proc/self/stat does not have the expected form"),
    }
}

/// The greatest resident size of this process so far, in bytes.
pub fn peak_memory() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")
        .context("measuring needs Linux: /proc/self/status cannot be read")?;
    parse_peak(&status).context("/proc/self/status has no VmHWM")
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

/// Lets the greatest resident size begin anew, where the system allows that.
/// Returns whether it did.
pub fn reset_peak_memory() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The bytes of a record and when it arrived: what a log's append wants.
pub fn arrived(record: Record) -> (Micros, Bytes) {
    (record.arrival, record.bytes)
}

#[cfg(test)]
mod tests;

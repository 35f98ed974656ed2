//! What a measured run says, for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::measure::{Answered, AtRest, Generated, Loaded, Phase, geometric_mean_of_best};
use super::trails::BenchTrail;

/// All figures of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Cairn's version.
    pub version: &'static str,
    /// How the events were made.
    pub generator: String,
    /// The events.
    pub generated: Generated,
    /// The trails.
    pub trails: Vec<BenchTrail>,
    /// Loading, the flush among it.
    pub loaded: Loaded,
    /// The greatest resident size while loading, in bytes.
    pub peak_memory: u64,
    /// Whether the peak counts from the start of loading; else from the start
    /// of the process.
    pub peak_is_of_loading: bool,
    /// The greatest resident size, the questions among it, in bytes.
    pub peak_memory_with_questions: u64,
    /// The table of every event.
    pub history: AtRest,
    /// The tables of both trails.
    pub trail_tables: AtRest,
    /// Everything else that was stored: the log, the duplicate index, and so on.
    pub other: AtRest,
    /// The questions.
    pub answers: Vec<Answered>,
    /// What all runs of all questions took.
    pub asking: Phase,
}

/// The figures that are compared.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// Events a second, from the log to committed tables.
    pub events_per_second: f64,
    /// Processor seconds for a million events, from the log to committed tables.
    pub cpu_seconds_per_million: f64,
    /// The same for appending to the log, generation taken off.
    pub append_cpu_seconds_per_million: f64,
    /// Bytes of history for each of its rows.
    pub history_bytes_per_event: f64,
    /// Bytes of the trails for each of their rows.
    pub trail_bytes_per_event: f64,
    /// Milliseconds.
    pub geometric_mean_of_best_ms: f64,
}

fn per(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

impl Report {
    /// The figures that are compared.
    pub fn summary(&self) -> Summary {
        let n = self.generated.events as f64;
        let append = self.loaded.append.less(self.generated.phase);
        let delivered: u64 = self.loaded.delivered.iter().sum();
        Summary {
            events_per_second: per(n, self.loaded.pipeline.wall_seconds),
            cpu_seconds_per_million: per(self.loaded.pipeline.cpu_seconds(), n / 1e6),
            append_cpu_seconds_per_million: per(append.cpu_seconds(), n / 1e6),
            history_bytes_per_event: per(self.history.bytes as f64, self.loaded.admitted as f64),
            trail_bytes_per_event: per(self.trail_tables.bytes as f64, delivered as f64),
            geometric_mean_of_best_ms: geometric_mean_of_best(&self.answers),
        }
    }

    /// One JSON document.
    pub fn json(&self) -> anyhow::Result<String> {
        #[derive(Serialize)]
        struct Whole<'a> {
            summary: Summary,
            #[serde(flatten)]
            report: &'a Report,
        }
        let whole = Whole {
            summary: self.summary(),
            report: self,
        };
        Ok(serde_json::to_string_pretty(&whole)? + "\n")
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let s = self.summary();
        let made = &self.generated;
        let l = &self.loaded;
        writeln!(out, "cairn {} bench: {}", self.version, self.generator)?;
        writeln!(
            out,
            "\nevents      {} ({} repeats), {} bytes on average",
            made.events,
            made.repeats,
            made.bytes / made.events.max(1)
        )?;
        writeln!(
            out,
            "history     {} rows, {} duplicates, {} quarantined",
            l.admitted, l.duplicates, l.quarantined
        )?;
        for (trail, rows) in self.trails.iter().zip(&l.delivered) {
            writeln!(
                out,
                "{:<11} {rows} rows ({:.1} % of history; {:.1} % expected)",
                trail.name,
                100.0 * per(*rows as f64, l.admitted as f64),
                100.0 * trail.expected
            )?;
        }
        writeln!(
            out,
            "\nphase                          wall s   user s    sys s"
        )?;
        let append = l.append.less(made.phase);
        for (name, p) in [
            ("generate", made.phase),
            ("append to the log, durable", append),
            ("log to committed tables", l.pipeline),
            ("questions, all runs", self.asking),
        ] {
            writeln!(
                out,
                "{name:<28} {:>8.2} {:>8.2} {:>8.2}",
                p.wall_seconds, p.user_seconds, p.system_seconds
            )?;
        }
        self.write_figures(out, &s)?;
        self.write_answers(out, &s)
    }

    fn write_figures(&self, out: &mut String, s: &Summary) -> std::fmt::Result {
        writeln!(
            out,
            "\nlog to committed tables: {:.0} events/s, {:.2} CPU-seconds per million events",
            s.events_per_second, s.cpu_seconds_per_million
        )?;
        writeln!(
            out,
            "appending: {:.2} CPU-seconds per million events more",
            s.append_cpu_seconds_per_million
        )?;
        let since = if self.peak_is_of_loading {
            "loading"
        } else {
            "generating and loading"
        };
        writeln!(
            out,
            "peak memory: {:.0} MB while {since}, {:.0} MB with the questions",
            self.peak_memory as f64 / 1e6,
            self.peak_memory_with_questions as f64 / 1e6
        )?;
        writeln!(
            out,
            "\nat rest       bytes an event        bytes   files  of events"
        )?;
        for (name, rest, each) in [
            ("history", &self.history, s.history_bytes_per_event),
            ("trails", &self.trail_tables, s.trail_bytes_per_event),
            (
                "all else",
                &self.other,
                per(self.other.bytes as f64, self.generated.events as f64),
            ),
        ] {
            writeln!(
                out,
                "{name:<12} {each:>15.1} {:>12} {:>7} {:>10}",
                rest.bytes, rest.files, rest.parquet_files
            )?;
        }
        Ok(())
    }

    fn write_answers(&self, out: &mut String, s: &Summary) -> std::fmt::Result {
        writeln!(
            out,
            "\nquestion (ms)              min   median      max     rows"
        )?;
        for a in &self.answers {
            let (min, median, max) = a.spread();
            let empty = if a.rows == 0 {
                "  EMPTY: too few events for this question"
            } else {
                ""
            };
            writeln!(
                out,
                "{:<20} {min:>9.2} {median:>8.2} {max:>8.2} {:>8}{empty}",
                a.question.name, a.rows
            )?;
        }
        let runs = self.answers.first().map_or(0, |a| a.runs_ms.len());
        writeln!(
            out,
            "geometric mean of the best of {runs}: {:.2} ms over {} questions",
            s.geometric_mean_of_best_ms,
            self.answers.len()
        )
    }
}

#[cfg(test)]
mod tests;

//! What came of it all, counted and told.

use std::time::Duration;

use serde::Serialize;

use crate::cli::output::Out;
use crate::client::Receipt;

/// One event, or one whole input, that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    /// The input.
    pub(super) file: String,
    /// The event's place in it, from 0; nothing where it is the whole input.
    pub(super) index: Option<u64>,
    /// Stable, for programs.
    pub(super) code: String,
    /// For people.
    pub(super) message: String,
}

impl Refusal {
    fn tell(&self) -> String {
        let place = self
            .index
            .map_or(String::new(), |index| format!(", event {index}"));
        format!(
            "refused: {}{place}: {}: {}",
            self.file, self.code, self.message
        )
    }
}

/// So many refusals are told one by one.
const TOLD: usize = 10;

/// The counts.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// New, and durable.
    pub(super) accepted: u64,
    /// Known already.
    pub(super) duplicate: u64,
    /// Not taken.
    pub(super) refused: u64,
    /// Inputs that were read.
    pub(super) files: u64,
    /// Their bytes, as they lie there.
    pub(super) bytes: u64,
    /// From the first byte to the last answer.
    pub(super) elapsed_ms: u64,
    /// The first few refusals.
    pub(super) refusals: Vec<Refusal>,
}

impl Tally {
    /// Adds the answer to a body whose first event has index `first`.
    pub(super) fn add(&mut self, file: &str, first: u64, receipt: &Receipt) {
        self.accepted += receipt.accepted;
        self.duplicate += receipt.duplicate;
        self.refused += receipt.refused;
        let refused = receipt.events.iter().filter(|e| e.status == "refused");
        for event in refused.take(TOLD - self.refusals.len().min(TOLD)) {
            self.refusals.push(Refusal {
                file: file.to_owned(),
                index: Some(first + event.index),
                code: event.code.clone().unwrap_or_default(),
                message: event.message.clone().unwrap_or_default(),
            });
        }
    }

    /// Adds `events` that one refusal is about.
    pub(super) fn refuse(&mut self, events: u64, refusal: Refusal) {
        self.refused += events;
        if self.refusals.len() < TOLD {
            self.refusals.push(refusal);
        }
    }

    /// Events that the server holds.
    pub(super) fn held(&self) -> u64 {
        self.accepted + self.duplicate
    }

    /// The refusals on standard error and the counts as the last line of
    /// standard output.
    pub(super) fn print(&self, as_json: bool, out: &mut Out) -> std::io::Result<()> {
        for refusal in &self.refusals {
            out.note(&refusal.tell());
        }
        let told = self.refusals.len() as u64;
        if self.refused > told {
            out.note(&format!(
                "… and {} more; the table quarantine has those that reached the server",
                self.refused - told
            ));
        }
        let line = if as_json {
            serde_json::to_string(self).map_err(std::io::Error::other)?
        } else {
            self.line()
        };
        out.line(&line)
    }

    fn line(&self) -> String {
        let elapsed = Duration::from_millis(self.elapsed_ms).as_secs_f64();
        let events = self.held() + self.refused;
        let rate = events as f64 / elapsed.max(0.001);
        format!(
            "{} accepted, {} duplicate, {} refused in {elapsed:.1} s ({rate:.0} events/s)",
            self.accepted, self.duplicate, self.refused
        )
    }
}

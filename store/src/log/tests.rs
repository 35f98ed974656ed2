//! Whole-log claims: every file operation fails in every way, and what was
//! acknowledged or seen is there afterwards, exactly once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cairn_schemas::Micros;
use cairn_schemas::selector::Among;

use super::files::LogFiles;
use super::sim::{Crash, Disk, Fault};
use super::{EmbeddedLog, Envelope, LogBatch, LogError, LogOptions};

pub(super) fn envelope(sender: &str) -> Envelope {
    Envelope {
        received: Micros(7),
        sender: sender.to_owned(),
        accounts: Among::All,
        account: None,
    }
}

/// Segments so small that a few appends fill one.
pub(super) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 900,
        max_frame_bytes: 4096,
        ring_bytes: 1 << 20,
        first_offset: 0,
    }
}

pub(super) const DIR: &str = "/log";

pub(super) fn open(files: Arc<dyn LogFiles>) -> Result<EmbeddedLog, LogError> {
    EmbeddedLog::open_with(files, Path::new(DIR), options())
}

/// Everything there is, in order.
pub(super) async fn read_all(log: &EmbeddedLog) -> Result<Vec<LogBatch>, LogError> {
    let mut reader = log.reader(log.start())?;
    let mut all = Vec::new();
    loop {
        let batches = reader.try_next(300).await?;
        if batches.is_empty() {
            assert_eq!(reader.position(), log.end());
            return Ok(all);
        }
        all.extend(batches);
    }
}

/// What was asked of the log, and what it said.
#[derive(Default)]
struct Run {
    attempts: BTreeMap<String, (Vec<Bytes>, Option<Range<i64>>)>,
    /// What a reader has seen, by its first offset.
    seen: BTreeMap<i64, String>,
    trimmed_below: i64,
}

impl Run {
    /// One to three records, some empty, some larger than a sector.
    fn payloads(id: usize) -> Vec<Bytes> {
        let one = |k: usize| match (id + k) % 4 {
            0 => Bytes::new(),
            n => Bytes::from(format!("{id}.{k}:{}", "x".repeat(n * n * 17))),
        };
        (0..1 + id % 3).map(one).collect()
    }

    async fn append(&mut self, log: &EmbeddedLog) {
        let id = self.attempts.len();
        let (sender, payloads) = (format!("attempt {id}"), Self::payloads(id));
        let answer = log.append(envelope(&sender), payloads.clone()).await;
        if let Err(error) = &answer {
            assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
        }
        self.attempts.insert(sender, (payloads, answer.ok()));
    }

    /// Three appends that may share a group.
    async fn append_together(&mut self, log: &EmbeddedLog) {
        let id = self.attempts.len();
        let one = |k: usize| async move {
            let payloads = Self::payloads(id + k);
            let sender = format!("attempt {}", id + k);
            let answer = log.append(envelope(&sender), payloads.clone()).await;
            (sender, (payloads, answer.ok()))
        };
        let three = tokio::join!(one(0), one(1), one(2));
        self.attempts.extend([three.0, three.1, three.2]);
    }

    async fn trim(&mut self, log: &EmbeddedLog) {
        let below = log.end() - 5;
        self.trimmed_below = self.trimmed_below.max(below);
        if let Err(error) = log.trim(below).await {
            assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
        }
    }

    /// Reads everything and holds it against what was asked and seen.
    async fn check(&mut self, log: &EmbeddedLog) -> Result<(), LogError> {
        let batches = read_all(log).await?;
        let start = log.start();
        assert!(start <= self.trimmed_below.max(0), "trimmed too much");
        let mut next = start;
        let mut found = BTreeMap::new();
        for batch in batches {
            assert_eq!(batch.first, next, "offsets follow each other");
            next = batch.next();
            let sender = batch.envelope.sender.clone();
            let (payloads, _) = &self.attempts[&sender];
            assert_eq!(&batch.payloads, payloads, "{sender}: whole or not at all");
            let before = found.insert(sender.clone(), batch.first);
            assert_eq!(before, None, "{sender}: once");
            self.seen.insert(batch.first, sender);
        }
        for (sender, (_, acknowledged)) in &self.attempts {
            if let Some(range) = acknowledged.as_ref().filter(|r| r.start >= start) {
                assert_eq!(
                    found.get(sender),
                    Some(&range.start),
                    "{sender}: acknowledged"
                );
            }
        }
        for (first, sender) in self.seen.range(start..) {
            assert_eq!(found.get(sender), Some(first), "{sender}: was seen before");
        }
        Ok(())
    }

    /// A life of a process, with whatever goes wrong in it.
    async fn live(&mut self, files: Arc<dyn LogFiles>) {
        let log = match open(files) {
            Ok(log) => log,
            Err(error) => {
                assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
                return;
            }
        };
        for i in 0..13 {
            self.append(&log).await;
            if i == 6 || i == 11 {
                self.trim(&log).await;
            }
        }
        self.append_together(&log).await;
        self.append(&log).await;
        if let Err(error) = self.check(&log).await {
            assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
        }
        let _ = log.close().await;
    }
}

/// One life with a fault at operation `n`, a crash, perhaps a crash in
/// recovery, then two more lives. Whether the fault came to pass.
async fn survive(n: usize, fault: Fault, crash: Crash, seed: u64) -> bool {
    let disk = Disk::new(seed.wrapping_mul(7919).wrapping_add(n as u64));
    let mut run = Run::default();
    disk.fail_at(n, fault);
    run.live(disk.process()).await;
    let fired = disk.heal();
    disk.crash(crash);
    if seed > 0 {
        // The recovery itself is interrupted.
        disk.fail_at((n * 5 + seed as usize) % 23, Fault::Dead);
        drop(open(disk.process()));
        disk.heal();
        disk.crash(Crash::PowerLoss);
    }
    for _ in 0..2 {
        let log = open(disk.process()).expect("a crash is no damage");
        run.check(&log)
            .await
            .expect("nothing is wrong with this disk");
        run.append(&log).await;
        run.append(&log).await;
        run.check(&log)
            .await
            .expect("nothing is wrong with this disk");
        disk.crash(Crash::PowerLoss);
    }
    fired
}

async fn survive_all(fault: Fault) {
    for crash in [Crash::Kill, Crash::PowerLoss] {
        for seed in 0..3 {
            let mut n = 0;
            while survive(n, fault, crash, seed).await {
                n += 1;
            }
            assert!(n > 60, "only {n} operations were tried");
        }
    }
}

#[tokio::test]
async fn survives_an_operation_that_does_nothing() {
    survive_all(Fault::Refused).await;
}

#[tokio::test]
async fn survives_an_operation_that_does_a_part() {
    survive_all(Fault::Torn).await;
}

#[tokio::test]
async fn survives_an_operation_that_does_all_and_reports_failure() {
    survive_all(Fault::Done).await;
}

#[tokio::test]
async fn survives_a_crash_in_any_operation() {
    survive_all(Fault::Dead).await;
}

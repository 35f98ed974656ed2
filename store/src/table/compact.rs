//! Many small files of one day become few large ones with the same rows.
//!
//! Nothing of the evidence may change on the way: the rows are hashed as a
//! multiset when they are first committed, and the new files are decoded and
//! hashed again before they may take the old ones' place. If the two differ,
//! nothing is committed and the error says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cairn_schemas::columns::OUTLINE_COLUMN;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Table;
use super::age::{MAINTENANCE, fence, remove};
use super::error::TableError;
use super::facts::{Facts, RowsHash, TAG_ROWS, row_hashes};
use super::landed::Made;
use super::log::with_info;
use super::merge::Merge;
use super::parquet::{Encoded, Encoder, Layout};
use super::state::{LiveFile, State};
use crate::outline;

/// Which files are put together.
#[derive(Clone, Copy, Debug)]
pub struct CompactPolicy {
    /// A file smaller than this is small.
    pub small_bytes: u64,
    /// A new file is closed at about this size.
    pub target_bytes: u64,
    /// So many small files of like size are worth it while their day lasts;
    /// once it is over, two of any size are.
    pub min_files: usize,
    /// At most so many at a time: each holds a batch of rows in memory.
    pub max_files: usize,
    /// At most so many bytes at a time: they are in memory while they are merged.
    pub max_bytes: u64,
}

impl Default for CompactPolicy {
    fn default() -> Self {
        Self {
            small_bytes: 64 << 20,
            target_bytes: 128 << 20,
            min_files: 8,
            max_files: 64,
            max_bytes: 192 << 20,
        }
    }
}

/// What [`Table::compact`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Commits: each put a group of files together.
    pub groups: u64,
    /// Files that left.
    pub removed: u64,
    /// Files that took their place.
    pub added: u64,
    /// Rows in them, before and after.
    pub rows: u64,
}

type Group = Vec<Arc<LiveFile>>;

impl Table {
    /// Puts small files together, group by group, each in a commit of its own. A
    /// group that cannot be merged is told of at the end, after the others.
    /// Appends go on meanwhile. Readers that hold an older listing read on
    /// until the vacuum's grace is over.
    pub async fn compact(&self, policy: &CompactPolicy) -> Result<CompactReport, TableError> {
        let _only = self.maintenance.lock().await;
        let (groups, mut fenced) = {
            let mut head = self.head.lock().await;
            let caught_up = self.catch_up(&mut head).await;
            self.show(&head.state);
            caught_up?;
            let today = self.clock.now().day();
            let fenced = head.state.txns.get(MAINTENANCE).copied();
            (groups(&head.state, policy, today), fenced)
        };
        let mut report = CompactReport::default();
        let mut failed = Ok(());
        for group in groups {
            match self
                .compact_group(&group, policy, fenced, &mut report)
                .await
            {
                Ok(left) => fenced = left,
                // The store, or another process: the others would meet it too.
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| report)
    }

    /// Returns the fence that it left.
    async fn compact_group(
        &self,
        group: &Group,
        policy: &CompactPolicy,
        fenced: Option<i64>,
        report: &mut CompactReport,
    ) -> Result<Option<i64>, TableError> {
        let (id, now) = (self.ids.hex128(), self.clock.now());
        let encoded = self.merged(group, policy).await?;
        let encoded = self.verified(group, encoded).await?;
        let rows: u64 = encoded.iter().map(|e| e.facts.rows).sum();
        // (1) The new files. A crash after it leaves objects that nothing
        // lists; the vacuum removes them.
        let mut adds: Vec<Value> = Vec::new();
        let mut made = Made::new(self.clock.as_ref());
        for file in encoded {
            let add = self.put_file(file, &mut made, &id, now, false).await?;
            adds.push(json!({ "add": add }));
        }
        // (2) The log's entry, which swaps them for the old ones. A crash after
        // it leaves it done; the old objects stay for the vacuum's grace.
        let mut head = self.head.lock().await;
        let done = self
            .publish(&mut head, &id, &made, |state| {
                self.check_fence(state, fenced)?;
                let mut actions = adds.clone();
                for live in group {
                    if !state.files.contains_key(&live.add.path) {
                        return Err(TableError::Overtaken {
                            table: self.spec.name.clone(),
                        });
                    }
                    actions.push(remove(live, now, false));
                }
                actions.push(fence(state));
                Ok(with_info(actions, "OPTIMIZE", now, &id, None))
            })
            .await;
        self.show(&head.state);
        done?;
        report.groups += 1;
        report.removed += group.len() as u64;
        report.added += adds.len() as u64;
        report.rows += rows;
        // (3) As after every commit.
        self.checkpoint_if_due(&mut head).await;
        Ok(head.state.txns.get(MAINTENANCE).copied())
    }

    /// The group's rows, sorted, in new files.
    async fn merged(
        &self,
        group: &Group,
        policy: &CompactPolicy,
    ) -> Result<Vec<Encoded>, TableError> {
        let batch_rows = (32 * 1024 / group.len().max(1)).clamp(128, 4096);
        let reading = self.reading(batch_rows);
        let streams = group
            .iter()
            .map(|l| reading.stream(l.file.clone()))
            .collect();
        let mut merge = Merge::new(self.spec.name.clone(), streams, self.layout.sort()).await?;
        let rows = group.iter().map(|l| l.file.rows).sum::<u64>();
        let job = Job {
            layout: self.layout.clone(),
            day: group.first().map_or(0, |l| l.file.ingest_date),
            rows: usize::try_from(rows).unwrap_or(usize::MAX),
            target: usize::try_from(policy.target_bytes).unwrap_or(usize::MAX),
        };
        // Few batches wait between the reader and the processor's work.
        let (to_encoder, from_merge) = mpsc::channel(2);
        let encoder = tokio::task::spawn_blocking(move || job.run(from_merge));
        while let Some(batch) = merge.next().await? {
            if to_encoder.send(batch).await.is_err() {
                break;
            }
        }
        drop(to_encoder);
        encoder
            .await
            .map_err(|e| self.log.unavailable("merging", e))?
            .map_err(|e| self.refused(format!("merged rows cannot be written as Parquet: {e}")))
    }

    /// `encoded`, once its rows are shown to be those of `group`.
    async fn verified(
        &self,
        group: &Group,
        encoded: Vec<Encoded>,
    ) -> Result<Vec<Encoded>, TableError> {
        let merged: u64 = encoded.iter().map(|e| e.facts.rows).sum();
        let before: u64 = group.iter().map(|l| l.file.rows).sum();
        let expected = expected_hash(group, &encoded);
        let (encoded, after) = tokio::task::spawn_blocking(move || {
            let after = decoded(&encoded);
            (encoded, after)
        })
        .await
        .map_err(|e| self.log.unavailable("checking merged files", e))?;
        let after = after.map_err(|e| {
            self.log
                .damaged(format!("merged files cannot be read: {e}"))
        })?;
        if merged == before && after.rows == before && after.hash == expected {
            return Ok(encoded);
        }
        let names: Vec<&str> = group.iter().map(|l| l.add.path.as_str()).collect();
        Err(self.log.damaged(format!(
            "merging would have changed its rows, so nothing was committed: {} and {} rows of {}",
            before,
            after.rows,
            names.join(", ")
        )))
    }
}

/// What the rows of `group` hashed to when they were committed. Files of
/// another engine do not say; then what was read of them has to do.
fn expected_hash(group: &Group, encoded: &[Encoded]) -> Option<RowsHash> {
    let mut sum: Option<RowsHash> = None;
    for live in group {
        let tag = live
            .add
            .tags
            .as_ref()
            .and_then(|t| t.get(TAG_ROWS)?.as_deref());
        let Some(hash) = tag.and_then(RowsHash::from_hex) else {
            sum = None;
            break;
        };
        sum.get_or_insert_default().add(&hash);
    }
    if sum.is_some() {
        return sum;
    }
    for hash in encoded.iter().filter_map(|e| e.facts.hash) {
        sum.get_or_insert_default().add(&hash);
    }
    sum
}

/// The facts of the rows that a reader will find in `encoded`.
fn decoded(encoded: &[Encoded]) -> Result<Facts, ParquetError> {
    const WANTED: &[&str] = &[
        "raw",
        "account_id",
        "log_source",
        "log_partition",
        "log_offset",
    ];
    let mut facts = Facts::default();
    for file in encoded {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::clone(&file.bytes))?;
        let outlined = builder.schema().index_of(OUTLINE_COLUMN).is_ok();
        let more = [OUTLINE_COLUMN].into_iter().chain(outline::needed());
        let roots: Vec<usize> = WANTED
            .iter()
            .copied()
            .chain(more.filter(|_| outlined))
            .filter_map(|c| builder.schema().index_of(c).ok())
            .collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        for batch in builder
            .with_projection(mask)
            .with_batch_size(4096)
            .build()?
        {
            let batch = outline::filled(batch?)?;
            facts.add(&batch);
            for hash in row_hashes(&batch) {
                facts.add_hash(Some(hash));
            }
        }
    }
    Ok(facts)
}

/// The processor's part of a merge.
struct Job {
    layout: Layout,
    day: i32,
    rows: usize,
    target: usize,
}

impl Job {
    fn run(
        self,
        mut batches: mpsc::Receiver<arrow::array::RecordBatch>,
    ) -> Result<Vec<Encoded>, ParquetError> {
        let mut files = Vec::new();
        let mut open: Option<Encoder> = None;
        while let Some(batch) = batches.blocking_recv() {
            let mut encoder = match open.take() {
                Some(encoder) => encoder,
                None => Encoder::new(&self.layout, self.day, self.rows)?,
            };
            encoder.write(&batch)?;
            if encoder.size() >= self.target {
                files.push(encoder.finish()?);
            } else {
                open = Some(encoder);
            }
        }
        if let Some(encoder) = open {
            files.push(encoder.finish()?);
        }
        Ok(files)
    }
}

/// The groups of small files worth putting together, each of one day and in
/// the order of the log. While a day lasts only files of like size go
/// together, so that a row is written anew a few times in all and not at every
/// run; once it is over, whatever is small goes together.
fn groups(state: &State, policy: &CompactPolicy, today: i32) -> Vec<Group> {
    let mut tiers: BTreeMap<(i32, u32), Group> = BTreeMap::new();
    for live in state.files.values() {
        let (day, size) = (live.file.ingest_date, live.file.size);
        if size < policy.small_bytes {
            let tier = if day < today { 0 } else { tier(size) };
            let small = tiers.entry((day, tier)).or_default();
            small.push(Arc::clone(live));
        }
    }
    let mut groups = Vec::new();
    for ((day, _), mut small) in tiers {
        small.sort_by_key(|l| l.file.offsets.first().map(|r| r.first));
        let enough = match day < today {
            true => 2,
            false => policy.min_files.max(2),
        };
        let whole = cut(small, policy).into_iter();
        groups.extend(whole.filter(|g| g.len() >= enough));
    }
    groups
}

/// Sizes within a factor of eight of each other, from 128 KiB on.
fn tier(size: u64) -> u32 {
    (size >> 17).checked_ilog2().map_or(0, |n| n / 3 + 1)
}

/// `small` in groups within the policy's bounds.
fn cut(small: Group, policy: &CompactPolicy) -> Vec<Group> {
    let mut groups = Vec::new();
    let (mut group, mut bytes) = (Group::new(), 0);
    for live in small {
        let full = group.len() >= policy.max_files.max(2)
            || (group.len() >= 2 && bytes + live.file.size > policy.max_bytes);
        if full {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        bytes += live.file.size;
        group.push(live);
    }
    groups.push(group);
    groups
}

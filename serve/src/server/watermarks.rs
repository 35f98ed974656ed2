//! Up to when everything that was sent is in, by source and partition.
//!
//! Records of one partition are taken in in their order, so a record that is
//! in says that every earlier one is in as well. Where nothing waits, all that
//! had come by the time of looking is in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use cairn_ingest::deliver::LogEnd;
use cairn_ingest::history::History;
use cairn_query::{QueryError, SystemTable};
use cairn_schemas::columns::Kind;
use cairn_schemas::control::Principal;
use cairn_schemas::selector::Among;
use cairn_schemas::{Clock, Micros, Partition, Position};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::kafka::Ends;
use super::system_tables::{batch, longs_or_null, schema, texts, times};

/// How many times of stretches that wait for their commit are kept of one
/// partition; beyond that, neighbours share the later one's place.
const KEPT: usize = 256;

/// The times of the newest records, as the pipeline took them in.
#[derive(Debug, Default)]
pub struct Times(Mutex<BTreeMap<Partition, Newest>>);

#[derive(Debug, Default)]
struct Newest {
    visible: Option<Micros>,
    committed: Option<Micros>,
    /// Where stretches end that are in no file yet, and their times.
    waiting: VecDeque<(i64, Micros)>,
}

impl Times {
    /// Everything of `partition` below `next` is visible; the newest of it came
    /// at `time`.
    pub fn judged(&self, partition: &Partition, next: i64, time: Micros) {
        let mut all = self.0.lock();
        let one = all.entry(partition.clone()).or_default();
        // A time of the producer's may go back; what was said holds.
        let time = one.visible.map_or(time, |known| known.max(time));
        one.visible = Some(time);
        if one.waiting.len() >= KEPT {
            one.waiting.pop_back();
        }
        one.waiting.push_back((next, time));
    }

    /// Everything below `position` lies in files.
    pub fn committed(&self, position: &Position) {
        for (partition, one) in self.0.lock().iter_mut() {
            let next = position.of(partition);
            while one.waiting.front().is_some_and(|(end, _)| *end <= next) {
                one.committed = one.waiting.pop_front().map(|(_, time)| time);
            }
        }
    }

    fn of(&self, partition: &Partition) -> (Option<Micros>, Option<Micros>) {
        let all = self.0.lock();
        all.get(partition)
            .map_or((None, None), |one| (one.visible, one.committed))
    }
}

/// What is known of one partition.
#[derive(Clone, Debug)]
struct Mark {
    partition: Partition,
    /// Where the log ends; `None` where that cannot be asked now.
    end: Option<i64>,
    visible: i64,
    committed: i64,
    visible_until: Option<Micros>,
    committed_until: Option<Micros>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Watermarks {
    times: Arc<Times>,
    ends: Arc<Ends>,
    history: Arc<History>,
    clock: Arc<dyn Clock>,
}

impl Watermarks {
    /// Over what was measured while records came in.
    pub fn new(
        times: Arc<Times>,
        ends: Arc<Ends>,
        history: Arc<History>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            times,
            ends,
            history,
            clock,
        }
    }

    async fn marks(&self) -> Vec<Mark> {
        // In this order: what came after the time of looking is not promised,
        // and where the log ended then, everything before that time lies below.
        let now = self.clock.now();
        let end = match self.ends.end().await {
            Ok(end) => Some(end),
            Err(error) => {
                tracing::debug!(error = %error, "the ends of the logs cannot be asked");
                None
            }
        };
        let (visible, committed) = (self.history.head(), self.history.committed());
        let mut all = committed.of_records();
        all.merge(&visible.of_records());
        if let Some(end) = &end {
            all.merge(&end.of_records());
        }
        let mark = |partition: Partition| {
            let end = end.as_ref().map(|end| end.of(&partition));
            let visible = visible.of(&partition).max(committed.of(&partition));
            let committed = committed.of(&partition);
            let (mut visible_until, mut committed_until) = self.times.of(&partition);
            if end.is_some_and(|end| visible >= end) {
                visible_until = Some(now);
            }
            if end.is_some_and(|end| committed >= end) {
                committed_until = Some(now);
            }
            Mark {
                partition,
                end,
                visible,
                committed,
                visible_until,
                committed_until,
            }
        };
        all.0.into_keys().map(mark).collect()
    }

    /// For `/v1/status`.
    pub async fn to_json(&self) -> Value {
        let marks = self.marks().await.into_iter().map(|m| {
            json!({
                "partition": m.partition,
                "end": m.end,
                "visible": m.visible,
                "committed": m.committed,
                "visible_until": m.visible_until.map(Micros::to_rfc3339),
                "committed_until": m.committed_until.map(Micros::to_rfc3339),
            })
        });
        marks.collect()
    }
}

/// `watermarks`.
#[derive(Debug)]
pub struct WatermarksTable(pub Arc<Watermarks>);

#[async_trait]
impl SystemTable for WatermarksTable {
    fn name(&self) -> &str {
        "watermarks"
    }

    fn comment(&self) -> &str {
        "Up to when everything that was sent is in, by source and partition. Offsets are for auditors of all accounts."
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("log_source", Kind::Text, "The source, as in history."),
            ("log_partition", Kind::Long, "Its partition."),
            (
                "visible_until",
                Kind::Time,
                "Everything that came to the partition before this is in the answers.",
            ),
            (
                "committed_until",
                Kind::Time,
                "Everything that came before this is in files, and in answers as of now.",
            ),
            ("end_offset", Kind::Long, "The next offset of the log."),
            (
                "visible_offset",
                Kind::Long,
                "Every record below is in the answers.",
            ),
            (
                "committed_offset",
                Kind::Long,
                "Every record below is in files.",
            ),
        ])
    }

    async fn rows(&self, principal: &Principal) -> Result<Vec<RecordBatch>, QueryError> {
        let marks = self.0.marks().await;
        // How much others send is not for auditors of some accounts.
        let all = principal.readable() == Among::All;
        let offsets = |of: fn(&Mark) -> Option<i64>| {
            longs_or_null(marks.iter().map(|m| of(m).filter(|_| all)))
        };
        batch(
            self.schema(),
            vec![
                texts(marks.iter().map(|m| m.partition.source.clone())),
                longs_or_null(marks.iter().map(|m| Some(i64::from(m.partition.number)))),
                times(marks.iter().map(|m| m.visible_until)),
                times(marks.iter().map(|m| m.committed_until)),
                offsets(|m| m.end),
                offsets(|m| Some(m.visible)),
                offsets(|m| Some(m.committed)),
            ],
        )
    }
}

#[cfg(test)]
mod tests;

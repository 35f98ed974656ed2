//! Sorted files into one sorted stream, with a bounded number of rows in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use futures::StreamExt;

use super::error::TableError;
use super::parquet::CHUNK_ROWS;
use super::read::RowStream;

/// One input, and the row of it that comes next.
struct Cursor {
    stream: RowStream,
    /// Which of the held batches it stands in; past the end once it is empty.
    batch: usize,
    row: usize,
    rows: usize,
}

/// The inputs' rows in the order of one timestamp column; equal ones in the
/// order of the inputs. Without a column, one input after the other.
///
/// It holds one batch of each input, and those that the rows of the batch
/// under way come from.
pub(super) struct Merge {
    table: String,
    cursors: Vec<Cursor>,
    held: Vec<RecordBatch>,
    /// The next row of every input that has one.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    sort: Option<usize>,
}

impl Merge {
    /// Takes the first batch of every stream.
    pub(super) async fn new(
        table: String,
        streams: Vec<RowStream>,
        sort: Option<usize>,
    ) -> Result<Self, TableError> {
        let mut merge = Self {
            table,
            cursors: Vec::with_capacity(streams.len()),
            held: Vec::new(),
            next: BinaryHeap::new(),
            sort,
        };
        for stream in streams {
            merge.cursors.push(Cursor {
                stream,
                batch: usize::MAX,
                row: 0,
                rows: 0,
            });
            merge.fill(merge.cursors.len() - 1).await?;
        }
        Ok(merge)
    }

    /// Moves input `n`, whose batch is used up, to its next one.
    async fn fill(&mut self, n: usize) -> Result<(), TableError> {
        let cursor = &mut self.cursors[n];
        (cursor.row, cursor.rows) = (0, 0);
        while cursor.rows == 0 {
            let Some(batch) = cursor.stream.next().await else {
                cursor.batch = usize::MAX;
                return Ok(());
            };
            let batch = batch?;
            cursor.rows = batch.num_rows();
            cursor.batch = self.held.len();
            self.held.push(batch);
        }
        self.offer(n);
        Ok(())
    }

    fn offer(&mut self, n: usize) {
        let cursor = &self.cursors[n];
        let key = self.sort.map_or(0, |column| {
            self.held[cursor.batch]
                .column(column)
                .as_primitive::<TimestampMicrosecondType>()
                .value(cursor.row)
        });
        self.next.push(Reverse((key, n)));
    }

    /// The next rows; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, TableError> {
        let mut picks = Vec::with_capacity(CHUNK_ROWS);
        while picks.len() < CHUNK_ROWS {
            let Some(Reverse((_, n))) = self.next.pop() else {
                break;
            };
            let cursor = &mut self.cursors[n];
            picks.push((cursor.batch, cursor.row));
            cursor.row += 1;
            if cursor.row < cursor.rows {
                self.offer(n);
            } else {
                self.fill(n).await?;
            }
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let batch = self.gather(&picks).map_err(|e| TableError::Refused {
            table: self.table.clone(),
            reason: format!("rows cannot be merged: {e}"),
        })?;
        self.release();
        Ok(Some(batch))
    }

    fn gather(&self, picks: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
        let held: Vec<&RecordBatch> = self.held.iter().collect();
        arrow::compute::interleave_record_batch(&held, picks)
    }

    /// Lets go of the batches that no input stands in any more.
    fn release(&mut self) {
        let mut held = Vec::with_capacity(self.cursors.len());
        for cursor in &mut self.cursors {
            if cursor.batch != usize::MAX {
                held.push(self.held[cursor.batch].clone());
                cursor.batch = held.len() - 1;
            }
        }
        self.held = held;
    }
}

//! Rows of the quarantine: what could not become an event, with its bytes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_schemas::columns::quarantine_schema;
use cairn_schemas::{AccountId, Micros};

use super::origin::OriginBuilder;
use super::{BatchFull, MAX_BYTES};
use crate::decode::Refusal;
use crate::source::Origin;

/// One record that was refused.
#[derive(Clone, Copy, Debug)]
pub struct QuarantineRow<'r> {
    /// When it was received.
    pub ingest_time: Micros,
    /// The one account that its sender may write for, where there is just one.
    pub account: Option<&'r AccountId>,
    /// The id of the token or source that sent it.
    pub sender: &'r str,
    /// The log it was received into.
    pub log_source: &'r str,
    /// The log's partition.
    pub log_partition: i32,
    /// Its offset there.
    pub log_offset: i64,
    /// Its place among the events of that record.
    pub log_item: u16,
    /// What else the log says of the record.
    pub origin: Option<&'r Origin>,
    /// Why.
    pub refusal: &'r Refusal,
    /// The bytes as received.
    pub raw: &'r [u8],
}

/// The open batch of the quarantine.
#[derive(Debug)]
pub struct QuarantineBuilder {
    rows: usize,
    bytes: usize,
    ingest_time: TimestampMicrosecondBuilder,
    account_id: StringBuilder,
    sender: StringBuilder,
    log_source: StringBuilder,
    log_partition: Int32Builder,
    log_offset: Int64Builder,
    reason: StringBuilder,
    detail: StringBuilder,
    size: Int64Builder,
    origin: OriginBuilder,
    raw_base64: StringBuilder,
    ingest_date: Date32Builder,
}

impl Default for QuarantineBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl QuarantineBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            rows: 0,
            bytes: 0,
            ingest_time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            account_id: StringBuilder::new(),
            sender: StringBuilder::new(),
            log_source: StringBuilder::new(),
            log_partition: Int32Builder::new(),
            log_offset: Int64Builder::new(),
            reason: StringBuilder::new(),
            detail: StringBuilder::new(),
            size: Int64Builder::new(),
            origin: OriginBuilder::default(),
            raw_base64: StringBuilder::new(),
            ingest_date: Date32Builder::new(),
        }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// About how many bytes the rows take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// [`BatchFull`] when the rows have come to a gibibyte; then nothing was
    /// added.
    pub fn push(&mut self, row: &QuarantineRow<'_>) -> Result<(), BatchFull> {
        let base64 = row.raw.len().div_ceil(3) * 4;
        let bytes = 120
            + base64
            + row.sender.len()
            + row.log_source.len()
            + row.refusal.detail.len()
            + row.origin.map_or(0, Origin::len);
        if self.bytes + bytes > MAX_BYTES {
            return Err(BatchFull);
        }
        self.bytes += bytes;
        self.rows += 1;
        self.ingest_time.append_value(row.ingest_time.0);
        self.account_id
            .append_option(row.account.map(AccountId::as_str));
        self.sender.append_value(row.sender);
        self.log_source.append_value(row.log_source);
        self.log_partition.append_value(row.log_partition);
        self.log_offset.append_value(row.log_offset);
        self.reason.append_value(row.refusal.reason.as_str());
        self.detail.append_value(&row.refusal.detail);
        self.size
            .append_value(i64::try_from(row.raw.len()).unwrap_or(i64::MAX));
        self.origin.push(row.log_item, row.origin);
        self.raw_base64.append_value(STANDARD.encode(row.raw));
        self.ingest_date.append_value(row.ingest_time.day());
        Ok(())
    }

    /// The rows as a batch; the builder is empty again.
    pub fn finish(&mut self) -> RecordBatch {
        self.rows = 0;
        self.bytes = 0;
        let [log_item, log_time, log_key, log_headers] = self.origin.finish_all();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.ingest_time.finish()),
            Arc::new(self.account_id.finish()),
            Arc::new(self.sender.finish()),
            Arc::new(self.log_source.finish()),
            Arc::new(self.log_partition.finish()),
            Arc::new(self.log_offset.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.size.finish()),
            log_item,
            log_time,
            log_key,
            log_headers,
            Arc::new(self.raw_base64.finish()),
            Arc::new(self.ingest_date.finish()),
        ];
        RecordBatch::try_new(quarantine_schema(), columns)
            .expect("the columns stand in the schema's order, and all got every row")
    }
}

#[cfg(test)]
mod tests;

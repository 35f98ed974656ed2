//! Rows: from decoded events to Arrow batches of
//! [`cairn_schemas::columns::event_schema`], and back to the facts that trails
//! select by.

mod facts;
mod origin;
mod quarantine;
mod resources;
mod text;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field};
use cairn_schemas::Micros;
use cairn_schemas::columns::event_schema;

pub use facts::{BatchFacts, ColumnError, RowFacts};
pub use quarantine::{QuarantineBuilder, QuarantineRow};

use crate::decode::{Event, Flags};
use crate::source::Origin;
use origin::OriginBuilder;
use resources::ResourcesBuilder;
use text::TextColumn;

/// What a row holds beside the event: where it came from and what admission
/// found.
#[derive(Clone, Copy, Debug)]
pub struct RowMeta<'m> {
    /// When it was received.
    pub ingest_time: Micros,
    /// The id of the token or source that sent it.
    pub sender: &'m str,
    /// The log it was received into.
    pub log_source: &'m str,
    /// The log's partition.
    pub log_partition: i32,
    /// Its offset there.
    pub log_offset: i64,
    /// Its place among the events of that record.
    pub log_item: u16,
    /// What else the log says of the record.
    pub origin: Option<&'m Origin>,
    /// Notes of admission, beside those of decoding.
    pub flags: Flags,
}

/// The batch has no room for the row; finish it first. Arrow counts the bytes
/// of a text column in 31 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the open batch is full: finish it before the next row")]
pub struct BatchFull;

/// Past so many bytes a builder takes no more. Far above any sensible cut, and
/// safely below what would overflow an offset.
const MAX_BYTES: usize = 1 << 30;

/// What a row takes beside its texts: offsets of 39 text columns, validity and
/// the fixed-width columns.
const ROW_OVERHEAD: usize = 280;

macro_rules! text_columns {
    ($($name:ident)*) => {
        /// The optional text columns that are copied as they are.
        #[derive(Debug, Default)]
        struct Texts {
            $($name: TextColumn,)*
        }

        impl Texts {
            /// Appends the event's values; returns how many bytes they have.
            fn push(&mut self, event: &Event<'_>) -> usize {
                let mut bytes = 0;
                $({
                    let value = event.$name.as_deref();
                    bytes += value.map_or(0, str::len);
                    self.$name.append_option(value);
                })*
                bytes
            }

            fn reserve(&mut self, rows: usize) {
                $(self.$name.reserve(rows);)*
            }

            /// The finished column of this name.
            fn finish(&mut self, name: &str) -> Option<ArrayRef> {
                match name {
                    $(stringify!($name) => Some(self.$name.finish()),)*
                    _ => None,
                }
            }
        }
    };
}

text_columns! {
    event_name event_source service_name event_type event_category event_version region
    identity_type principal_id principal_arn user_name access_key_id identity_account_id
    invoked_by source_ip user_agent request_id api_version error_code error_message
    resource_type resource_name vpc_id shared_event_id tls_version request_parameters
}

/// The open batch: rows in the order of the log.
#[derive(Debug)]
pub struct RowBuilder {
    rows: usize,
    bytes: usize,
    texts: Texts,
    event_id: TextColumn,
    event_time: TimestampMicrosecondBuilder,
    ingest_time: TimestampMicrosecondBuilder,
    event_rw: TextColumn,
    account_id: TextColumn,
    dialect: TextColumn,
    session_created: TimestampMicrosecondBuilder,
    mfa: BooleanBuilder,
    resources: ResourcesBuilder,
    is_global: BooleanBuilder,
    sensitive_action: BooleanBuilder,
    response_elements: TextColumn,
    additional_event_data: TextColumn,
    user_identity: TextColumn,
    late: BooleanBuilder,
    flags: ListBuilder<StringBuilder>,
    sender: TextColumn,
    log_source: TextColumn,
    log_partition: Int32Builder,
    log_offset: Int64Builder,
    origin: OriginBuilder,
    raw: TextColumn,
    ingest_date: Date32Builder,
}

impl Default for RowBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RowBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        let utc = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
        let element = Field::new("element", DataType::Utf8, true);
        Self {
            rows: 0,
            bytes: 0,
            texts: Texts::default(),
            event_id: TextColumn::default(),
            event_time: utc(),
            ingest_time: utc(),
            event_rw: TextColumn::default(),
            account_id: TextColumn::default(),
            dialect: TextColumn::default(),
            session_created: utc(),
            mfa: BooleanBuilder::new(),
            resources: ResourcesBuilder::default(),
            is_global: BooleanBuilder::new(),
            sensitive_action: BooleanBuilder::new(),
            response_elements: TextColumn::default(),
            additional_event_data: TextColumn::default(),
            user_identity: TextColumn::default(),
            late: BooleanBuilder::new(),
            flags: ListBuilder::new(StringBuilder::new()).with_field(element),
            sender: TextColumn::default(),
            log_source: TextColumn::default(),
            log_partition: Int32Builder::new(),
            log_offset: Int64Builder::new(),
            origin: OriginBuilder::default(),
            raw: TextColumn::default(),
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

    /// Makes room for `rows` whose events have `raw` bytes together, so that the
    /// columns need not grow. Only while there is no row.
    pub fn reserve(&mut self, rows: usize, raw: usize) {
        self.texts.reserve(rows);
        for column in [
            &mut self.event_id,
            &mut self.event_rw,
            &mut self.account_id,
            &mut self.dialect,
            &mut self.response_elements,
            &mut self.additional_event_data,
            &mut self.user_identity,
            &mut self.sender,
            &mut self.log_source,
        ] {
            column.reserve(rows);
        }
        self.raw.reserve_bytes(rows, raw);
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// [`BatchFull`] when the rows have come to a gibibyte; then nothing was
    /// added.
    pub fn push(&mut self, event: &Event<'_>, meta: &RowMeta<'_>) -> Result<(), BatchFull> {
        // No column holds more of an event than the event has bytes, but for
        // an id that was made.
        let widest = event.raw.len()
            + event.event_id.len()
            + meta.sender.len()
            + meta.log_source.len()
            + meta.origin.map_or(0, Origin::len);
        if self.bytes + widest > MAX_BYTES {
            return Err(BatchFull);
        }
        let json = |json: Option<&str>| json.map_or(0, str::len);
        self.bytes += ROW_OVERHEAD
            + widest
            + self.texts.push(event)
            + self.resources.push(&event.resources)
            + json(event.response_elements)
            + json(event.additional_event_data)
            + json(event.user_identity);
        self.rows += 1;
        self.event_id.append_value(&event.event_id);
        self.event_time.append_value(event.event_time.0);
        self.ingest_time.append_value(meta.ingest_time.0);
        self.event_rw.append_value(event.event_rw.as_str());
        self.account_id.append_value(&event.account_id);
        self.dialect.append_value(event.dialect.as_str());
        self.session_created
            .append_option(event.session_created.map(|m| m.0));
        self.mfa.append_option(event.mfa);
        self.is_global.append_option(event.is_global);
        self.sensitive_action.append_option(event.sensitive_action);
        self.response_elements
            .append_option(event.response_elements);
        self.additional_event_data
            .append_option(event.additional_event_data);
        self.user_identity.append_option(event.user_identity);
        self.late.append_value(event.late);
        self.push_flags(event.flags | meta.flags);
        self.sender.append_value(meta.sender);
        self.log_source.append_value(meta.log_source);
        self.log_partition.append_value(meta.log_partition);
        self.log_offset.append_value(meta.log_offset);
        self.origin.push(meta.log_item, meta.origin);
        self.raw.append_value(event.raw);
        self.ingest_date.append_value(meta.ingest_time.day());
        Ok(())
    }

    /// No note is null, not an empty list: most rows have none.
    fn push_flags(&mut self, flags: Flags) {
        for name in flags.names() {
            self.flags.values().append_value(name);
        }
        self.flags.append(!flags.is_empty());
    }

    /// The rows as a batch; the builder is empty again.
    pub fn finish(&mut self) -> RecordBatch {
        let schema = event_schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| self.column(field.name()))
            .collect();
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(schema, columns)
            .expect("each column of the schema has a builder of its type, and all got every row")
    }

    fn column(&mut self, name: &str) -> ArrayRef {
        if let Some(column) = self.texts.finish(name).or_else(|| self.origin.finish(name)) {
            return column;
        }
        match name {
            "event_id" => self.event_id.finish(),
            "event_time" => Arc::new(self.event_time.finish()),
            "ingest_time" => Arc::new(self.ingest_time.finish()),
            "event_rw" => self.event_rw.finish(),
            "account_id" => self.account_id.finish(),
            "dialect" => self.dialect.finish(),
            "session_created" => Arc::new(self.session_created.finish()),
            "mfa" => Arc::new(self.mfa.finish()),
            "resources" => self.resources.finish(),
            "is_global" => Arc::new(self.is_global.finish()),
            "sensitive_action" => Arc::new(self.sensitive_action.finish()),
            "response_elements" => self.response_elements.finish(),
            "additional_event_data" => self.additional_event_data.finish(),
            "user_identity" => self.user_identity.finish(),
            "late" => Arc::new(self.late.finish()),
            "flags" => Arc::new(self.flags.finish()),
            "sender" => self.sender.finish(),
            "log_source" => self.log_source.finish(),
            "log_partition" => Arc::new(self.log_partition.finish()),
            "log_offset" => Arc::new(self.log_offset.finish()),
            "raw" => self.raw.finish(),
            // A column that the schema gains and this list does not fails
            // every test of this module, as the wrong type.
            _ => Arc::new(self.ingest_date.finish()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

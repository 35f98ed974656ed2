//! What a table is, and how it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use cairn_schemas::columns::{self, Column};
use serde_json::{Value, json};

/// What a table is. The schema's last column is `ingest_date`, by which the
/// table is partitioned and which lies in no Parquet file.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// The table's name, for messages and for other engines.
    pub name: String,
    /// Its columns, `ingest_date` last.
    pub schema: SchemaRef,
    /// The timestamp column that each file is sorted by, ascending.
    pub sort_column: Option<&'static str>,
    /// Text columns that get bloom filters.
    pub bloom_columns: Vec<String>,
    /// Table properties of Cairn's, such as `cairn.trail_id`. They are written
    /// once; a table that has other values is not this table, and is not opened.
    pub properties: BTreeMap<String, String>,
    /// One sentence per column, for other engines' `DESCRIBE`.
    pub comments: BTreeMap<String, String>,
    /// Whether a table that is made keeps `raw` as what its other columns lack
    /// ([`crate::outline`]). One that is there stays as it was made.
    pub outlined: bool,
}

impl TableSpec {
    /// A table of events: `history` or a trail.
    pub fn events(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            schema: columns::event_schema(),
            sort_column: Some(columns::SORT_COLUMN),
            bloom_columns: columns::BLOOM_COLUMNS
                .iter()
                .map(|c| (*c).to_owned())
                .collect(),
            properties: BTreeMap::new(),
            comments: comments_of(columns::EVENT_COLUMNS),
            outlined: false,
        }
    }

    /// The table of what could not become an event.
    pub fn quarantine() -> Self {
        Self {
            name: "quarantine".to_owned(),
            schema: columns::quarantine_schema(),
            sort_column: None,
            bloom_columns: Vec::new(),
            properties: BTreeMap::new(),
            comments: comments_of(columns::QUARANTINE_COLUMNS),
            outlined: false,
        }
    }

    /// The same with one property more.
    #[must_use]
    pub fn with_property(mut self, key: &str, value: &str) -> Self {
        self.properties.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The same, outlined where it is made, or not.
    #[must_use]
    pub fn outlined(self, outlined: bool) -> Self {
        Self { outlined, ..self }
    }

    /// The schema of the files, and `ingest_date`: with `raw_outline`, or as it is.
    pub(super) fn stored(&self, outlined: bool) -> SchemaRef {
        match self.schema.index_of(columns::RAW_COLUMN) {
            Ok(raw) if outlined => {
                let mut fields = self.schema.fields().to_vec();
                fields[raw] = Arc::new(fields[raw].as_ref().clone().with_nullable(true));
                let outline = Field::new(columns::OUTLINE_COLUMN, DataType::Utf8, true);
                fields.insert(raw + 1, Arc::new(outline));
                Arc::new(Schema::new(fields))
            }
            _ => Arc::clone(&self.schema),
        }
    }

    /// The schema as Delta writes it down, of an outlined table or not. `Err` names a
    /// column whose type Delta does not have.
    pub(super) fn delta_schema(&self, outlined: bool) -> Result<Value, String> {
        let mut fields = Vec::new();
        for field in self.stored(outlined).fields() {
            let mut delta = delta_field(field)?;
            let comment = match field.name().as_str() {
                columns::OUTLINE_COLUMN => Some(OUTLINE_COMMENT),
                columns::RAW_COLUMN if outlined => Some(OUTLINED_COMMENT),
                name => self.comments.get(name).map(String::as_str),
            };
            if let Some(comment) = comment {
                delta["metadata"] = json!({ "comment": comment });
            }
            fields.push(delta);
        }
        Ok(json!({"type": "struct", "fields": fields}))
    }
}

/// For other engines, which see both columns.
const OUTLINED_COMMENT: &str =
    "The event byte for byte as received; null where raw_outline is not.";
const OUTLINE_COMMENT: &str = "The event as received, with other columns named, between two U+0001, \
     where their values stand; null where raw is not.";

fn comments_of(columns: &[Column]) -> BTreeMap<String, String> {
    columns
        .iter()
        .map(|c| (c.name.to_owned(), c.comment.to_owned()))
        .collect()
}

fn delta_field(field: &Field) -> Result<Value, String> {
    Ok(json!({
        "name": field.name(),
        "type": delta_type(field.data_type()).ok_or_else(|| field.name().clone())?,
        "nullable": field.is_nullable(),
        "metadata": {},
    }))
}

fn delta_type(data_type: &DataType) -> Option<Value> {
    Some(match data_type {
        DataType::Utf8 => json!("string"),
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("integer"),
        DataType::Int64 => json!("long"),
        DataType::Date32 => json!("date"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
            json!("timestamp")
        }
        DataType::List(element) => json!({
            "type": "array",
            "elementType": delta_type(element.data_type())?,
            "containsNull": element.is_nullable(),
        }),
        DataType::Struct(fields) => {
            let fields: Result<Vec<Value>, String> =
                fields.iter().map(|f| delta_field(f)).collect();
            json!({"type": "struct", "fields": fields.ok()?})
        }
        _ => return None,
    })
}

/// A Delta schema without what may differ between equal tables: the comments.
pub(super) fn bare(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| *key != "metadata")
            .map(|(key, value)| (key.clone(), bare(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(bare).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

/// How Parquet files are written.
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    /// Zstandard's level, 1 to 22.
    pub zstd_level: i32,
    /// Rows of a row group.
    pub row_group_rows: usize,
    /// Rows of a data page, at most.
    pub page_rows: usize,
    /// Bytes of a data page, about.
    pub page_bytes: usize,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self {
            zstd_level: 1,
            row_group_rows: 128 * 1024,
            page_rows: 20_000,
            page_bytes: 1 << 20,
        }
    }
}

/// How a table is kept. The defaults are right for all but tests.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// The `appId` of the transaction that holds the position of partition
    /// `log/0` is `<this>:log/0`.
    pub position_prefix: String,
    /// How Parquet files are written.
    pub parquet: ParquetOptions,
    /// A checkpoint after so many commits; 0 for none.
    pub checkpoint_every: i64,
    /// How long entries of the Delta log are kept that a checkpoint has made
    /// superfluous. Hours at the least: a writer that slept for an hour reads
    /// the table anew before it commits, one that slept for less must find its
    /// place in the log taken.
    pub log_retention: Duration,
    /// How often one step is tried before the caller is told.
    pub attempts: u32,
    /// The first pause between two tries; it doubles up to 64 times itself.
    pub pause: Duration,
    /// `expire` refuses to go on where for longer than this nothing came in, at
    /// any time after what it would remove: then either the clock jumped or
    /// nothing was sent for as long.
    pub expire_gap: Duration,
}

impl Default for TableOptions {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            position_prefix: "log".to_owned(),
            parquet: ParquetOptions::default(),
            checkpoint_every: 20,
            log_retention: Duration::from_secs(DAY),
            attempts: 6,
            pause: Duration::from_millis(25),
            expire_gap: Duration::from_secs(30 * DAY),
        }
    }
}

//! Past states of tables: `FOR SYSTEM_TIME AS OF`, `VERSION AS OF`, and the
//! versions that an earlier answer told.
//!
//! A state is a place in the log: every row of a record below it, and no
//! other. It is looked for in the files as they are now, however often they
//! were merged since, so it can be asked for as long as its rows are kept.
//! What retention has removed cannot be had back: a question that could have
//! met such rows gets an error, and no smaller answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, Int32Type, Int64Type, SchemaRef};
use cairn_schemas::{Micros, Partition, Position};
use cairn_store::view::{DataFile, Expired, Moment, TableSnapshot, TableVersion};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::common::internal_err;
use datafusion::error::Result;
use serde_json::{Value, json};

use crate::error::QueryError;

/// The columns that say which record a row comes from.
pub(crate) const PLACE: [&str; 3] = ["log_source", "log_partition", "log_offset"];

/// Between a table's name and the state that is asked for.
const AT: char = '@';

/// The state of tables that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// What was committed at this moment.
    Time(Micros),
    /// Of each table the state that stands here under its name.
    Versions(BTreeMap<String, At>),
}

/// The state of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// What was committed at this moment.
    Time(Micros),
    /// The version of this number.
    Number(i64),
    /// The state that an earlier answer told.
    Told(TableVersion),
    /// The same, as it was told to somebody who may not know what it says.
    Sealed {
        /// What they were told, and say again.
        text: String,
        /// What it stands for.
        version: TableVersion,
    },
}

impl AsOf {
    /// From the form that the doors' JSON has: a time, or an object with a
    /// time, a number or a told version for each table.
    pub fn from_json(value: &Value) -> Result<Self, QueryError> {
        match value {
            Value::String(text) => time(text).map(Self::Time).ok_or_else(|| not_a_time(text)),
            Value::Object(tables) => {
                let each = tables
                    .iter()
                    .map(|(name, at)| Ok((name.clone(), At::from_json(at)?)));
                Ok(Self::Versions(each.collect::<Result<_, QueryError>>()?))
            }
            _ => Err(wrong_form()),
        }
    }
}

impl AsOf {
    /// The inverse of [`Self::from_json`].
    pub fn to_json(&self) -> Value {
        match self {
            Self::Time(time) => json!(time.to_rfc3339()),
            Self::Versions(each) => each
                .iter()
                .map(|(name, at)| (name.clone(), at.to_json()))
                .collect(),
        }
    }
}

impl At {
    fn to_json(&self) -> Value {
        match self {
            Self::Time(time) => json!(time.to_rfc3339()),
            Self::Number(number) => json!(number),
            Self::Told(version) => json!(version),
            Self::Sealed { text, .. } => json!(text),
        }
    }

    /// From the form that the doors' JSON has, for one table.
    pub fn from_json(value: &Value) -> Result<Self, QueryError> {
        match value {
            Value::String(text) => time(text).map(Self::Time).ok_or_else(|| not_a_time(text)),
            Value::Number(number) => number.as_i64().map(Self::Number).ok_or_else(wrong_form),
            told @ Value::Object(_) => serde_json::from_value(told.clone())
                .map(Self::Told)
                .map_err(|_| wrong_form()),
            _ => Err(wrong_form()),
        }
    }

    /// From the text that stands behind a table's name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(number) => Some(Self::Number(number)),
            Err(_) => time(text).map(Self::Time),
        }
    }

    /// What the table is asked, where that is needed.
    pub(crate) fn moment(&self) -> Result<Moment, &TableVersion> {
        match self {
            Self::Time(time) => Ok(Moment::Time(*time)),
            Self::Number(number) => Ok(Moment::Version(*number)),
            Self::Told(version) | Self::Sealed { version, .. } => Err(version),
        }
    }
}

fn wrong_form() -> QueryError {
    QueryError::invalid("as_of is no state of tables that could be asked for").with_hint(
        "give a time (\"2026-01-02T03:04:05Z\"), or an object with a version for each table: {\"history\": 12}, or what an earlier answer told as its versions",
    )
}

pub(crate) fn not_a_time(text: &str) -> QueryError {
    let shown: String = text.chars().take(40).collect();
    QueryError::invalid(format!("AS OF cannot be {shown:?}"))
        .with_hint("write a time, such as '2026-01-02T03:04:05Z', or a version, such as 12")
}

/// A time as people write it, in UTC where they do not say otherwise.
pub fn time(text: &str) -> Option<Micros> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(Micros(time.timestamp_micros()));
    }
    let plain = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let time = plain
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_hms_opt(0, 0, 0)
        })?;
    Some(Micros(time.and_utc().timestamp_micros()))
}

/// `name` with the state that is asked for, as one name.
pub(crate) fn joined(name: &str, at: &str) -> String {
    format!("{name}{AT}{at}")
}

/// The parts of such a name.
pub(crate) fn split(name: &str) -> (&str, Option<(&str, At)>) {
    let parts = name.rsplit_once(AT);
    match parts.and_then(|(name, at)| Some((name, at, At::parse(at)?))) {
        Some((name, text, at)) => (name, Some((text, at))),
        None => (name, None),
    }
}

/// Which of the rows of a table's newest snapshot were there in a past state.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    reach: Arc<Position>,
    /// What retention has removed since.
    gone: Option<Expired>,
}

impl Past {
    /// `None` when `snapshot` itself does not reach as far.
    pub(crate) fn of(snapshot: &TableSnapshot, version: &TableVersion) -> Option<Self> {
        let reach = version.reach.of_records();
        let gone = snapshot.expired.filter(|e| version.version < e.version);
        snapshot.reach.reaches(&reach).then(|| Self {
            reach: Arc::new(reach),
            gone,
        })
    }

    /// Before which moment of ingest rows may be missing.
    pub(crate) fn gone_before(&self) -> Option<Micros> {
        self.gone.map(|e| e.before)
    }

    /// The error for a question that may have met rows that are gone.
    pub(crate) fn incomplete(&self, table: &str) -> QueryError {
        let (before, version) = match self.gone {
            Some(gone) => (gone.before.to_rfc3339(), gone.version),
            None => return QueryError::internal("nothing is gone"),
        };
        QueryError::invalid(format!(
            "retention has removed rows of {table} since: the oldest version that can be asked whole is {version}"
        ))
        .with_hint(format!(
            "what was ingested later is all there: add ingest_time >= TIMESTAMP '{before}'"
        ))
    }

    /// Whether a file may hold a row of the state.
    pub(crate) fn meets(&self, file: &DataFile) -> bool {
        // A file that does not say where its rows come from may hold any.
        file.offsets.is_empty()
            || file
                .offsets
                .iter()
                .any(|range| range.first < self.reach.of(&range.partition))
    }

    /// The rows of `batch`, whose columns are `columns`, that were there.
    pub(crate) fn rows(&self, batch: RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
        let [source, number, offset] = PLACE;
        let (source, number, offset) = (
            batch.column(columns.index_of(source)?).as_string_view_opt(),
            batch
                .column(columns.index_of(number)?)
                .as_primitive_opt::<Int32Type>(),
            batch
                .column(columns.index_of(offset)?)
                .as_primitive_opt::<Int64Type>(),
        );
        let (Some(source), Some(number), Some(offset)) = (source, number, offset) else {
            return internal_err!("a row does not say which record it comes from");
        };
        // Neighbours mostly come from one partition.
        let mut last: Option<(&str, i32, i64)> = None;
        let mut kept = 0;
        let mask: BooleanArray = (0..batch.num_rows())
            .map(|row| {
                let (s, n) = (source.value(row), number.value(row));
                let next = match last {
                    Some((ls, ln, next)) if ls == s && ln == n => next,
                    _ => self.next_of(s, n),
                };
                last = Some((s, n, next));
                let keep = offset.is_valid(row) && offset.value(row) < next;
                kept += usize::from(keep);
                Some(keep)
            })
            .collect();
        match kept == batch.num_rows() {
            true => Ok(batch),
            false => Ok(filter_record_batch(&batch, &mask)?),
        }
    }

    fn next_of(&self, source: &str, number: i32) -> i64 {
        self.reach.of(&Partition {
            source: source.to_owned(),
            number,
        })
    }

    /// The columns that are needed beside `columns`.
    pub(crate) fn more(columns: &[FieldRef], schema: &SchemaRef) -> Result<Vec<FieldRef>> {
        let missing = PLACE
            .iter()
            .filter(|name| !columns.iter().any(|c| c.name() == *name));
        missing
            .map(|name| Ok(Arc::new(schema.field_with_name(name)?.clone())))
            .collect()
    }
}

#[cfg(test)]
mod tests;

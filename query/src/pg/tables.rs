//! The tables of `pg_catalog`: which there are, and their columns. All but a
//! few are always empty here; [`super::content`] fills the others.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, Int64Array, ListBuilder,
    RecordBatch, StringArray, StringBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::internal_err;
use datafusion::error::Result;

use super::types::{CHAR_KEY, OID_KEY};

/// One table.
#[derive(Debug)]
pub(crate) struct PgTable {
    pub(crate) name: &'static str,
    pub(crate) oid: i32,
    pub(crate) schema: SchemaRef,
}

/// The tables that have rows. All others are empty whoever asks, and stay so:
/// there are no indexes, constraints, triggers or sequences.
const FILLED: &[&str] = &[
    "cairn_types",
    "pg_am",
    "pg_attribute",
    "pg_class",
    "pg_database",
    "pg_description",
    "pg_get_keywords",
    "pg_language",
    "pg_namespace",
    "pg_proc",
    "pg_roles",
    "pg_settings",
    "pg_tables",
    "pg_tablespace",
    "pg_type",
    "pg_user",
    "pg_views",
];

static TABLES: LazyLock<BTreeMap<&'static str, PgTable>> = LazyLock::new(|| {
    include_str!("data/tables.txt")
        .lines()
        .filter_map(parse)
        .map(|t| (t.name, t))
        .collect()
});

pub(super) fn parse(line: &'static str) -> Option<PgTable> {
    let mut words = line.split_whitespace();
    let (name, oid) = (words.next()?, words.next()?.parse().ok()?);
    let fields = words.filter_map(|w| w.split_once(':')).map(column);
    Some(PgTable {
        name,
        oid,
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
    })
}

fn column((name, type_name): (&str, &str)) -> Field {
    let marked = |key: &str, value: &str| HashMap::from([(key.to_owned(), value.to_owned())]);
    let (data_type, metadata) = match type_name {
        "oid" => (DataType::Int32, marked(OID_KEY, "oid")),
        "char" => (DataType::Utf8, marked(CHAR_KEY, "char")),
        "bool" => (DataType::Boolean, HashMap::new()),
        "int2" => (DataType::Int16, HashMap::new()),
        "int4" => (DataType::Int32, HashMap::new()),
        "int8" => (DataType::Int64, HashMap::new()),
        "float4" => (DataType::Float32, HashMap::new()),
        "timestamptz" => {
            let zone = Some("UTC".into());
            let time = DataType::Timestamp(TimeUnit::Microsecond, zone);
            (time, HashMap::new())
        }
        "int2[]" => (DataType::new_list(DataType::Int16, true), HashMap::new()),
        "oid[]" => {
            let item = Field::new_list_field(DataType::Int32, true);
            let item = item.with_metadata(marked(OID_KEY, "oid"));
            (DataType::List(Arc::new(item)), HashMap::new())
        }
        "text[]" | "char[]" => (DataType::new_list(DataType::Utf8, true), HashMap::new()),
        _ => (DataType::Utf8, HashMap::new()),
    };
    Field::new(name, data_type, true).with_metadata(metadata)
}

/// Every table, by name.
pub(crate) fn all() -> impl Iterator<Item = &'static PgTable> {
    TABLES.values()
}

/// The table of that name.
pub(crate) fn get(name: &str) -> Option<&'static PgTable> {
    TABLES.get(name)
}

/// Whether the table of that name is there and can have no rows.
pub(crate) fn is_always_empty(name: &str) -> bool {
    TABLES.contains_key(name) && !FILLED.contains(&name)
}

/// A cell.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// Nothing.
    Null,
    /// Text, or a letter.
    Text(String),
    /// A number, or an object's.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// A list of texts.
    Texts(Vec<String>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i32> for Cell {
    fn from(n: i32) -> Self {
        Self::Int(n.into())
    }
}

impl From<i16> for Cell {
    fn from(n: i16) -> Self {
        Self::Int(n.into())
    }
}

impl From<bool> for Cell {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

/// Rows of one table, of which only what is not usual has to be said: a
/// number is 0, a truth false, a letter empty, a text and a list null.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    columns: Vec<Vec<Cell>>,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        Self {
            schema: Arc::clone(schema),
            columns: schema.fields().iter().map(|_| vec![]).collect(),
        }
    }

    /// One more row.
    pub(crate) fn push<const N: usize>(&mut self, cells: [(&str, Cell); N]) {
        for (field, column) in self.schema.fields().iter().zip(&mut self.columns) {
            let said = cells.iter().find(|(name, _)| name == field.name());
            column.push(match said {
                Some((_, cell)) => cell.clone(),
                None => usual(field),
            });
        }
    }

    /// All of them.
    pub(crate) fn batch(self) -> Result<RecordBatch> {
        let arrays = self
            .schema
            .fields()
            .iter()
            .zip(&self.columns)
            .map(|(field, cells)| array(field.data_type(), cells))
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.schema, arrays)?)
    }
}

fn usual(field: &Field) -> Cell {
    match field.data_type() {
        DataType::Boolean => Cell::Bool(false),
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 => Cell::Int(0),
        DataType::Utf8 if field.metadata().contains_key(CHAR_KEY) => Cell::Text(String::new()),
        _ => Cell::Null,
    }
}

fn int(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(n) => Some(*n),
        _ => None,
    }
}

fn array(data_type: &DataType, cells: &[Cell]) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(cells.iter().map(|c| match c {
            Cell::Bool(b) => Some(*b),
            _ => None,
        }))),
        DataType::Int16 => Arc::new(Int16Array::from_iter(
            cells.iter().map(|c| int(c).and_then(|n| n.try_into().ok())),
        )),
        DataType::Int32 => Arc::new(Int32Array::from_iter(
            cells.iter().map(|c| int(c).and_then(|n| n.try_into().ok())),
        )),
        DataType::Int64 => Arc::new(Int64Array::from_iter(cells.iter().map(int))),
        DataType::Float32 => Arc::new(Float32Array::from_iter(
            cells.iter().map(|c| int(c).map(|n| n as f32)),
        )),
        DataType::Utf8 => Arc::new(StringArray::from_iter(cells.iter().map(|c| match c {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        }))),
        DataType::List(item) if item.data_type() == &DataType::Utf8 => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for cell in cells {
                match cell {
                    Cell::Texts(texts) => lists.append_value(texts.iter().map(Some)),
                    _ => lists.append_null(),
                }
            }
            Arc::new(lists.finish())
        }
        other if cells.iter().all(|c| matches!(c, Cell::Null)) => {
            new_null_array(other, cells.len())
        }
        other => return internal_err!("no cells of type {other}"),
    })
}

#[cfg(test)]
mod tests;

//! `information_schema`: SQL's standard description of the tables. What the
//! standard has and Cairn has not (constraints, triggers, …) is there, empty.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::internal_err;
use datafusion::error::Result;

use super::known::{NAMESPACES, OWNER};
use super::tables::{Cell, PgTable, Rows, parse};
use super::types;
use crate::catalog::{CATALOG, Entry};

static TABLES: LazyLock<Vec<PgTable>> = LazyLock::new(|| {
    include_str!("data/information.txt")
        .lines()
        .filter_map(parse)
        .collect()
});

/// The names of its tables.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|t| t.name)
}

fn get(name: &str) -> Option<&'static PgTable> {
    TABLES.iter().find(|t| t.name == name)
}

/// The columns of one of them.
pub(crate) fn columns(name: &str) -> SchemaRef {
    get(name).map_or_else(
        || Arc::new(arrow::datatypes::Schema::empty()),
        |t| SchemaRef::clone(&t.schema),
    )
}

/// Whether one of them can have no rows.
pub(crate) fn is_always_empty(name: &str) -> bool {
    let filled = ["schemata", "tables", "columns", "views", "enabled_roles"];
    get(name).is_some() && !filled.contains(&name)
}

/// The rows of one of them.
pub(crate) fn rows(name: &str, entries: &[Entry]) -> Result<RecordBatch> {
    let Some(table) = get(name) else {
        return internal_err!("there is no table information_schema.{name}");
    };
    let mut rows = Rows::new(&table.schema);
    match name {
        "schemata" => NAMESPACES.iter().for_each(|(_, schema)| {
            rows.push([
                ("catalog_name", CATALOG.into()),
                ("schema_name", (*schema).into()),
                ("schema_owner", OWNER.1.into()),
            ]);
        }),
        "tables" => entries.iter().for_each(|e| {
            rows.push([
                ("table_catalog", CATALOG.into()),
                ("table_schema", e.schema.into()),
                ("table_name", e.name.clone().into()),
                ("table_type", e.table_type().into()),
                ("is_insertable_into", "NO".into()),
                ("is_typed", "NO".into()),
                ("comment", e.comment.clone().into()),
            ]);
        }),
        "columns" => entries.iter().for_each(|e| columns_of(&mut rows, e)),
        "views" => entries.iter().for_each(|e| {
            if let Some(sql) = e.view_sql(None) {
                rows.push([
                    ("table_catalog", CATALOG.into()),
                    ("table_schema", e.schema.into()),
                    ("table_name", e.name.clone().into()),
                    ("view_definition", sql.clone().into_owned().into()),
                    ("check_option", "NONE".into()),
                    ("is_updatable", "NO".into()),
                    ("is_insertable_into", "NO".into()),
                    ("definition", sql.into_owned().into()),
                ]);
            }
        }),
        "enabled_roles" => rows.push([("role_name", OWNER.1.into())]),
        _ => {}
    }
    rows.batch()
}

fn columns_of(rows: &mut Rows, entry: &Entry) {
    for (i, field) in entry.columns().fields().iter().enumerate() {
        let oid = types::of(field);
        let list = matches!(field.data_type(), DataType::List(_));
        let bits = match oid {
            21 => Some(16),
            23 => Some(32),
            20 => Some(64),
            _ => None,
        };
        let time = matches!(field.data_type(), DataType::Timestamp(..));
        rows.push([
            ("table_catalog", CATALOG.into()),
            ("table_schema", entry.schema.into()),
            ("table_name", entry.name.clone().into()),
            ("column_name", field.name().clone().into()),
            ("ordinal_position", (i as i32 + 1).into()),
            (
                "is_nullable",
                if field.is_nullable() { "YES" } else { "NO" }.into(),
            ),
            (
                "data_type",
                if list {
                    "ARRAY".to_owned()
                } else {
                    types::shown(oid)
                }
                .into(),
            ),
            ("character_maximum_length", Cell::Null),
            ("character_octet_length", Cell::Null),
            ("numeric_precision", bits.map_or(Cell::Null, Cell::from)),
            (
                "numeric_precision_radix",
                bits.map_or(Cell::Null, |_| 2.into()),
            ),
            ("numeric_scale", bits.map_or(Cell::Null, |_| 0.into())),
            (
                "datetime_precision",
                if time { 6.into() } else { Cell::Null },
            ),
            ("interval_precision", Cell::Null),
            ("udt_catalog", CATALOG.into()),
            ("udt_schema", "pg_catalog".into()),
            (
                "udt_name",
                types::get(oid).map_or("text", |t| t.name).into(),
            ),
            ("maximum_cardinality", Cell::Null),
            ("dtd_identifier", (i + 1).to_string().into()),
            ("is_self_referencing", "NO".into()),
            ("is_identity", "NO".into()),
            ("is_generated", "NEVER".into()),
            ("is_updatable", "NO".into()),
            ("comment", entry.comment_of(field).into()),
        ]);
    }
}

//! What clients ask of a server before they ask it anything: names, types, and
//! what it can do.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables, Nullable, Searchable, SqlInfo,
    SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedTransaction, XdbcDataType,
};
use cairn_query::TableInfo;

/// The one catalog.
pub(super) const CATALOG: &str = "cairn";

/// What is the same for everybody.
pub(super) struct Facts {
    pub(super) sql: SqlInfoData,
    pub(super) types: XdbcTypeInfoData,
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Facts")
    }
}

impl Facts {
    pub(super) fn new() -> Result<Self, ArrowError> {
        Ok(Self {
            sql: sql_info()?,
            types: types()?,
        })
    }
}

fn sql_info() -> Result<SqlInfoData, ArrowError> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Cairn");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(
        SqlInfo::FlightSqlServerTransaction,
        SqlSupportedTransaction::None as i32,
    );
    info.append(SqlInfo::FlightSqlServerCancel, false);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
    info.append(
        SqlInfo::SqlIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i64,
    );
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(
        SqlInfo::SqlQuotedIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i64,
    );
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(
        SqlInfo::SqlNullOrdering,
        SqlNullOrdering::SqlNullsSortedHigh as i64,
    );
    info.build().map_err(arrow_error)
}

fn types() -> Result<XdbcTypeInfoData, ArrowError> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    let mut add = |name: &str, data_type: XdbcDataType, size: i32, quote: bool| {
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type,
            column_size: Some(size),
            literal_prefix: quote.then(|| "'".to_owned()),
            literal_suffix: quote.then(|| "'".to_owned()),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: quote,
            searchable: Searchable::Full,
            sql_data_type: data_type,
            ..XdbcTypeInfo::default()
        });
    };
    add("text", XdbcDataType::XdbcVarchar, i32::MAX, true);
    add("bigint", XdbcDataType::XdbcBigint, 19, false);
    add("int", XdbcDataType::XdbcInteger, 10, false);
    add("double", XdbcDataType::XdbcDouble, 15, false);
    add("boolean", XdbcDataType::XdbcBit, 1, false);
    add("timestamp", XdbcDataType::XdbcTimestamp, 32, true);
    add("date", XdbcDataType::XdbcDate, 10, true);
    types.build().map_err(arrow_error)
}

fn arrow_error(error: FlightError) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// As clients call the kinds of tables.
fn table_type(table: &TableInfo) -> &str {
    match table.table_type {
        "BASE TABLE" => "TABLE",
        other => other,
    }
}

pub(super) fn schemas(
    asked: CommandGetDbSchemas,
    tables: &[TableInfo],
) -> Result<RecordBatch, FlightError> {
    let mut builder = asked.into_builder();
    let mut names: Vec<&str> = tables.iter().map(|t| t.schema.as_str()).collect();
    names.extend(["public", "trails", "information_schema"]);
    names.sort_unstable();
    names.dedup();
    for name in names {
        builder.append(CATALOG, name);
    }
    builder.build()
}

pub(super) fn tables(
    asked: CommandGetTables,
    tables: &[TableInfo],
) -> Result<RecordBatch, FlightError> {
    let mut builder = asked.into_builder();
    for table in tables {
        builder.append(
            CATALOG,
            &table.schema,
            &table.name,
            table_type(table),
            &table.columns,
        )?;
    }
    builder.build()
}

pub(super) fn table_types(asked: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut builder = asked.into_builder();
    for name in ["TABLE", "VIEW"] {
        builder.append(name);
    }
    builder.build()
}

/// No table has a primary key that the engine would hold.
pub(super) fn primary_keys() -> SchemaRef {
    let text = |name: &str, null| Field::new(name, DataType::Utf8, null);
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// Nor does any refer to another.
pub(super) fn foreign_keys() -> SchemaRef {
    let text = |name: &str, null| Field::new(name, DataType::Utf8, null);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

#[cfg(test)]
mod tests;

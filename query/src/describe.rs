//! Statements that tell of tables instead of events: SHOW TABLES, SHOW
//! COLUMNS, DESCRIBE and EXPLAIN. They are answered from the principal's own
//! names and never touch a file.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::TableReference;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable};

use crate::asof;
use crate::catalog::{CATALOG, Entry, INFORMATION, Names, PUBLIC, TRAILS};
use crate::error::{QueryError, closest};

/// What SQL's people call a type.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::UInt64 => "bigint unsigned".into(),
        DataType::Float64 => "double".into(),
        DataType::List(item) => format!("list({})", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|f| format!("{} {}", f.name(), type_name(f.data_type())))
                .collect();
            format!("struct({})", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types: Vec<String> = fields.iter().map(|f| type_name(f.data_type())).collect();
                format!("map({})", types.join(", "))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

fn texts(columns: &[(&str, Vec<String>)]) -> Result<RecordBatch, QueryError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, _)| Field::new(*name, DataType::Utf8, false))
        .collect();
    let arrays = columns
        .iter()
        .map(|(_, values)| Arc::new(StringArray::from_iter_values(values)) as _)
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|e| QueryError::internal(format!("cannot list names: {e}")))
}

/// SQL's LIKE, for names.
fn is_like(name: &str, pattern: Option<&str>) -> bool {
    fn matches(name: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|i| matches(&name[i..], rest)),
            ['_', rest @ ..] => !name.is_empty() && matches(&name[1..], rest),
            [c, rest @ ..] => name.first() == Some(c) && matches(&name[1..], rest),
        }
    }
    let Some(pattern) = pattern else {
        return true;
    };
    // Two wildcards in a row say no more than one, and cost much more.
    let mut chars: Vec<char> = pattern.chars().take(200).collect();
    chars.dedup_by(|a, b| *a == '%' && *b == '%');
    if chars.iter().filter(|c| **c == '%').count() > 4 {
        return false;
    }
    matches(&name.chars().collect::<Vec<_>>(), &chars)
}

/// SHOW TABLES.
pub(crate) fn tables(
    names: &Names,
    schema: Option<&str>,
    like: Option<&str>,
) -> Result<RecordBatch, QueryError> {
    let shown: Vec<&Entry> = names
        .entries()
        .iter()
        .filter(|e| match schema {
            Some(schema) => e.schema == schema,
            None => e.schema != INFORMATION,
        })
        .filter(|e| is_like(&e.name, like))
        .collect();
    texts(&[
        (
            "table_schema",
            shown.iter().map(|e| e.schema.to_owned()).collect(),
        ),
        ("table_name", shown.iter().map(|e| e.name.clone()).collect()),
        (
            "table_type",
            shown.iter().map(|e| e.table_type().to_owned()).collect(),
        ),
        ("comment", shown.iter().map(|e| e.comment.clone()).collect()),
    ])
}

/// DESCRIBE and SHOW COLUMNS.
pub(crate) fn columns(
    names: &Names,
    table: &[String],
    like: Option<&str>,
) -> Result<RecordBatch, QueryError> {
    let reference = match table {
        [table] => TableReference::bare(table.as_str()),
        [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
        [catalog, schema, table] => {
            TableReference::full(catalog.as_str(), schema.as_str(), table.as_str())
        }
        _ => return Err(QueryError::invalid("that is not the name of a table")),
    };
    let entry = find(names, &reference)?;
    let columns = entry.columns();
    let shown: Vec<&Field> = columns
        .fields()
        .iter()
        .map(AsRef::as_ref)
        .filter(|f: &&Field| is_like(f.name(), like))
        .collect();
    let nullable = |f: &Field| if f.is_nullable() { "YES" } else { "NO" }.to_owned();
    texts(&[
        (
            "column_name",
            shown.iter().map(|f| f.name().clone()).collect(),
        ),
        (
            "data_type",
            shown.iter().map(|f| type_name(f.data_type())).collect(),
        ),
        ("is_nullable", shown.iter().map(|f| nullable(f)).collect()),
        (
            "comment",
            shown.iter().map(|f| entry.comment_of(f)).collect(),
        ),
    ])
}

/// The table that a name stands for, or who it might have been meant for.
pub(crate) fn find<'a>(
    names: &'a Names,
    reference: &TableReference,
) -> Result<&'a Entry, QueryError> {
    let schema = reference.schema().unwrap_or(names.default_schema());
    let own = reference.catalog().is_none_or(|c| c == CATALOG);
    if own && let Some(entry) = names.find(schema, reference.table()) {
        return Ok(entry);
    }
    // Without the time or the version that became part of its name.
    let (table, _) = asof::split(reference.table());
    let above = [reference.catalog(), reference.schema()];
    let parts: Vec<&str> = above.into_iter().flatten().chain([table]).collect();
    let error = QueryError::invalid(format!("there is no table {}", parts.join(".")));
    let all = || names.entries().iter();
    // A trail asked for by its bare name is the likeliest slip of all.
    if reference.schema().is_none() && names.find(TRAILS, table).is_some() {
        return Err(error.with_hint(format!("a trail's table is trails.\"{table}\"")));
    }
    let near = closest(
        table,
        all()
            .filter(|e| e.schema == schema)
            .map(|e| e.name.as_str()),
    );
    Err(match near {
        Some(near) if schema == PUBLIC => error.with_hint(format!("did you mean {near}?")),
        Some(near) => error.with_hint(format!("did you mean {schema}.\"{near}\"?")),
        None => error.with_hint("SHOW TABLES lists the tables"),
    })
}

/// EXPLAIN: the two plans. A scan shows itself (see
/// [`crate::scope::ScopeExec`]) without files, counts or statistics.
pub(crate) fn plans(
    logical: &LogicalPlan,
    physical: &dyn ExecutionPlan,
) -> Result<RecordBatch, QueryError> {
    texts(&[
        (
            "plan_type",
            vec!["logical_plan".to_owned(), "physical_plan".to_owned()],
        ),
        (
            "plan",
            vec![
                logical.display_indent().to_string(),
                displayable(physical).indent(false).to_string(),
            ],
        ),
    ])
}

#[cfg(test)]
mod tests;

//! The same events under the names that auditors' questions already use:
//! `cloudtrail` has the columns of CloudTrail Lake, `actiontrail` (and `log`)
//! those of ActionTrail in the log service.
//!
//! Each column is an expression over `history`; the view becomes part of the
//! question's plan, so that what is not asked for is never computed, and a
//! comparison of a column that only has another name chooses files as one of
//! the column itself does.

mod actiontrail;
mod cloudtrail;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::functions::map_type;

/// One column of a view.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// What it is, over the columns of `history`.
    pub(crate) sql: &'static str,
    pub(crate) data_type: fn() -> DataType,
    /// What there is to say of it beyond its name.
    pub(crate) says: &'static str,
}

/// One view over `history`.
pub(crate) struct View {
    /// The names that it has.
    pub(crate) names: &'static [&'static str],
    pub(crate) says: &'static str,
    pub(crate) columns: &'static [Column],
    schema: OnceLock<SchemaRef>,
    sql: OnceLock<String>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("View").field(&self.names).finish()
    }
}

/// All of them.
pub(crate) static VIEWS: [&View; 2] = [&cloudtrail::VIEW, &actiontrail::VIEW];

/// Whether a table of that name is a view.
pub(crate) fn is_view(name: &str) -> bool {
    VIEWS
        .iter()
        .flat_map(|v| v.names)
        .any(|n| n.eq_ignore_ascii_case(name))
}

impl View {
    const fn new(
        names: &'static [&'static str],
        says: &'static str,
        columns: &'static [Column],
    ) -> Self {
        Self {
            names,
            says,
            columns,
            schema: OnceLock::new(),
            sql: OnceLock::new(),
        }
    }

    /// Its columns as people see them.
    pub(crate) fn schema(&self) -> SchemaRef {
        let made = self.schema.get_or_init(|| {
            let fields: Vec<Field> = self
                .columns
                .iter()
                .map(|c| Field::new(c.name, (c.data_type)(), true))
                .collect();
            Arc::new(Schema::new(fields))
        });
        Arc::clone(made)
    }

    /// The question that it stands for, of the state `at` of history.
    pub(crate) fn sql(&self, at: Option<&str>) -> Cow<'_, str> {
        let now = self.sql.get_or_init(|| {
            let columns: Vec<String> = self
                .columns
                .iter()
                .map(|c| format!("{} AS \"{}\"", c.sql, c.name))
                .collect();
            format!("SELECT {} FROM history", columns.join(", "))
        });
        match at {
            None => Cow::Borrowed(now),
            Some(at) => {
                let at = at.replace('\'', "''");
                Cow::Owned(format!("{now} FOR SYSTEM_TIME AS OF '{at}'"))
            }
        }
    }
}

const fn column(
    name: &'static str,
    sql: &'static str,
    data_type: fn() -> DataType,
    says: &'static str,
) -> Column {
    Column {
        name,
        sql,
        data_type,
        says,
    }
}

fn text() -> DataType {
    DataType::Utf8
}

fn truth() -> DataType {
    DataType::Boolean
}

fn long() -> DataType {
    DataType::Int64
}

fn map() -> DataType {
    map_type()
}

fn fields(names: &[(&str, DataType)]) -> DataType {
    let fields: Fields = names
        .iter()
        .map(|(name, data_type)| Field::new(*name, data_type.clone(), true))
        .collect();
    DataType::Struct(fields)
}

/// The page about the views, in Markdown.
pub(crate) fn page() -> String {
    let mut page = String::new();
    for view in VIEWS {
        let names: Vec<String> = view.names.iter().map(|n| format!("`{n}`")).collect();
        page.push_str(&format!(
            "\n### {}\n\n{}\n\n| column | type | what it is in `history` | |\n|---|---|---|---|\n",
            names.join(", "),
            view.says
        ));
        for (column, field) in view.columns.iter().zip(view.schema().fields()) {
            let sql = column.sql.split_whitespace().collect::<Vec<_>>().join(" ");
            let sql = if sql.len() > 120 {
                "made of its parts".to_owned()
            } else {
                format!("`{}`", sql.replace('|', "\\|"))
            };
            page.push_str(&format!(
                "| `{}` | {} | {sql} | {} |\n",
                column.name,
                crate::describe::type_name(field.data_type()),
                column.says
            ));
        }
    }
    page
}

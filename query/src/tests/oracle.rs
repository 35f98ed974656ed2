//! The judge of the account scope: everything that one engine tells a principal
//! about a statement, to be held against what another tells.

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Float64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use cairn_schemas::control::Principal;
use futures::TryStreamExt;

use super::fixture::Organization;
use crate::error::{ErrorKind, QueryError};

/// What a question brought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// The columns, and the rows as text.
    Rows(String, Vec<String>),
    /// The error, whole.
    Error(QueryError),
}

/// Everything that can be learnt of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Everything {
    pub(crate) answer: Told,
    /// What EXPLAIN shows.
    plan: Told,
    /// The plan's statistics, which nothing shows: they could decide something.
    statistics: Result<String, QueryError>,
}

impl Everything {
    /// The same answer by the plan of another.
    pub(crate) fn planned_as(self, other: &Self) -> Self {
        Self {
            answer: self.answer,
            ..other.clone()
        }
    }
}

/// A cell. Sums of fractions depend on the order in which they were made, by a
/// last digit; nothing else may differ.
fn cell(array: &dyn Array, formatter: &ArrayFormatter<'_>, row: usize) -> String {
    if array.is_null(row) {
        return "∅".to_owned();
    }
    match array.data_type() {
        DataType::Float64 => format!("{:.9e}", array.as_primitive::<Float64Type>().value(row)),
        _ => formatter.value(row).to_string(),
    }
}

fn rows_of(batch: &RecordBatch, into: &mut Vec<String>) {
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|c| (c, ArrayFormatter::try_new(c, &options).unwrap()))
        .collect();
    for row in 0..batch.num_rows() {
        let mut line = String::new();
        for (array, formatter) in &columns {
            write!(line, "{}|", cell(array, formatter, row)).unwrap();
        }
        into.push(line);
    }
}

fn columns_of(schema: &Schema) -> String {
    let one = |f: &FieldRef| format!("{}:{}:{}", f.name(), f.data_type(), f.is_nullable());
    let all: Vec<String> = schema.fields().iter().map(one).collect();
    all.join(", ")
}

pub(crate) async fn ask(organization: &Organization, principal: &Principal, sql: &str) -> Told {
    let stream = match organization.engine.query(principal, sql).await {
        Ok(stream) => stream,
        Err(error) => return Told::Error(error),
    };
    let schema = stream.schema();
    let columns = columns_of(&schema);
    match stream.try_collect::<Vec<_>>().await {
        Err(error) => Told::Error(error),
        Ok(batches) => {
            let mut rows = vec![];
            batches.iter().for_each(|b| rows_of(b, &mut rows));
            Told::Rows(columns, rows)
        }
    }
}

/// Whether a statement is one whose plan can be had.
fn has_plan(sql: &str) -> bool {
    let start = sql.trim_start_matches(['(', ' ']);
    let word = start.split([' ', '(', '\n']).next().unwrap_or_default();
    ["SELECT", "WITH", "VALUES", "TABLE"].contains(&word.to_uppercase().as_str())
}

pub(crate) async fn everything(
    organization: &Organization,
    principal: &Principal,
    sql: &str,
) -> Everything {
    let answer = ask(organization, principal, sql).await;
    let (mut plan, mut statistics) = (Told::Rows(String::new(), vec![]), Ok(String::new()));
    if has_plan(sql) {
        plan = ask(organization, principal, &format!("EXPLAIN {sql}")).await;
        let probed = organization.engine.probe(principal, sql, false).await;
        statistics = probed.map(|(plan, _)| plan);
    }
    Everything {
        answer,
        plan,
        statistics,
    }
}

/// The rows, or the error, and the plan with its statistics: of one planning, for
/// thousands of questions.
pub(crate) async fn at_once(
    organization: &Organization,
    principal: &Principal,
    sql: &str,
) -> Everything {
    let probed = organization.engine.probe(principal, sql, true).await;
    let (plan, outcome) = match probed {
        Ok((plan, outcome)) => (Ok(plan), outcome),
        Err(error) => (Ok(String::new()), Err(error)),
    };
    let answer = match outcome {
        Err(error) => Told::Error(error),
        Ok(batches) => {
            let mut rows = vec![];
            batches.iter().for_each(|b| rows_of(b, &mut rows));
            let columns = batches.first().map(|b| columns_of(&b.schema()));
            Told::Rows(columns.unwrap_or_default(), rows)
        }
    };
    Everything {
        answer,
        plan: Told::Rows(String::new(), vec![]),
        statistics: plan,
    }
}

/// How two answers differ, if they do. Rows without an order are compared
/// without one. Of several values on which a query fails, it is chance which
/// is met first, so of two such errors the words may differ and nothing else.
pub(crate) fn difference(sql: &str, one: &Everything, other: &Everything) -> Option<String> {
    let same_rows = match (&one.answer, &other.answer) {
        (Told::Rows(columns, rows), Told::Rows(columns2, rows2)) => {
            let sorted = |rows: &[String]| {
                let mut rows = rows.to_vec();
                rows.sort();
                rows
            };
            let ordered = sql.to_uppercase().contains("ORDER BY");
            columns == columns2 && (rows == rows2 || !ordered && sorted(rows) == sorted(rows2))
        }
        (Told::Error(a), Told::Error(b)) => a == b || met_a_value(a) && met_a_value(b),
        _ => false,
    };
    if !same_rows {
        return Some(format!(
            "{sql}\n  {:.800?}\n  {:.800?}",
            one.answer, other.answer
        ));
    }
    if one.plan != other.plan {
        return Some(format!(
            "plan of {sql}\n  {:?}\n  {:?}",
            one.plan, other.plan
        ));
    }
    (one.statistics != other.statistics).then(|| {
        format!(
            "statistics of {sql}\n{:?}\n{:?}",
            one.statistics, other.statistics
        )
    })
}

/// Whether one of the two failed over a value that a row held: which conditions
/// a row has to pass before another is asked of it is the plan's affair.
pub(crate) fn met_by_one(one: &Everything, other: &Everything) -> bool {
    let met = |told: &Told| matches!(told, Told::Error(error) if met_a_value(error) || matches!(error.kind, ErrorKind::Limit(_)));
    met(&one.answer) != met(&other.answer)
}

/// Whether it is an error over a value that a row held.
fn met_a_value(error: &QueryError) -> bool {
    error.code() == "invalid_query" && error.hint.as_ref().is_some_and(|h| h.contains("TRY_CAST"))
}

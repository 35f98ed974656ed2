//! Functions that stand where a table stands.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, SelectItem, SetExpr, TableAlias,
    TableFactor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{call, fold, folded};
use crate::catalog::PG_CATALOG;
use crate::pg::{SERIES, tables};

/// Functions of one value that may stand for a table of one row.
const ONE_VALUE: &[&str] = &[
    "current_setting",
    "current_schemas",
    "string_to_array",
    "version",
];

pub(super) fn rewrite(factor: &mut TableFactor) {
    let TableFactor::Table {
        name,
        args: Some(given),
        alias,
        with_ordinality: false,
        ..
    } = factor
    else {
        return;
    };
    let parts = folded(name);
    let function = match parts.as_slice() {
        [function] => function.clone(),
        [schema, function] if schema == PG_CATALOG => function.clone(),
        _ => return,
    };
    let args: Option<Vec<Expr>> = given.args.iter().map(plain).collect();
    let Some(args) = args else {
        return;
    };
    // A table that PostgreSQL has as a function.
    let table = match function.as_str() {
        "pg_show_all_settings" => "pg_settings",
        other => other,
    };
    if args.is_empty()
        && let Some(table) = tables::get(table)
    {
        *name = ObjectName::from(vec![Ident::new(PG_CATALOG), Ident::new(table.name)]);
        if let TableFactor::Table { args, .. } = factor {
            *args = None;
        }
        return;
    }
    let value = match function.as_str() {
        "generate_series" if args.len() == 2 => call("unnest", vec![call(SERIES, args)]),
        f if ONE_VALUE.contains(&f) => call(f, args),
        _ => return,
    };
    if let Some(derived) = derived(value, &function, alias.take()) {
        *factor = derived;
    }
}

fn plain(arg: &FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

/// `(SELECT value AS column) AS table`.
fn derived(value: Expr, function: &str, alias: Option<TableAlias>) -> Option<TableFactor> {
    let table = alias
        .as_ref()
        .map_or_else(|| function.to_owned(), |a| fold(&a.name));
    let column = alias
        .as_ref()
        .and_then(|a| a.columns.first())
        .map_or_else(|| table.clone(), |c| fold(&c.name));
    let mut subquery = select_one()?;
    if let SetExpr::Select(select) = subquery.body.as_mut() {
        select.projection = vec![SelectItem::ExprWithAlias {
            expr: value,
            alias: super::names::ident(&column),
        }];
    }
    Some(TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias: Some(TableAlias {
            explicit: true,
            name: super::names::ident(&table),
            columns: vec![],
            at: None,
        }),
        sample: None,
    })
}

/// A query to be filled in.
pub(super) fn select_one() -> Option<Query> {
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql("SELECT 1")
        .and_then(|mut p| p.parse_query())
        .ok()
        .map(|query| *query)
}

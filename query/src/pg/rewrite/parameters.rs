//! The types that a statement gives its parameters in so many words:
//! `$1::oid[]`. The engine keeps no more of `oid` than that it is a number,
//! and a driver that is told another type than it asked for goes on to ask
//! what that is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan, visit_expressions};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::super::types;
use crate::session::DEPTH;

/// PostgreSQL's type of each parameter, from 1, that the statement casts.
pub fn declared(sql: &str) -> BTreeMap<usize, i32> {
    let mut found = BTreeMap::new();
    if !sql.contains('$') {
        return found;
    }
    let parsed = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(DEPTH)
        .try_with_sql(sql)
        .and_then(|mut p| p.parse_statements());
    let Ok(statements) = parsed else {
        return found;
    };
    for statement in &statements {
        let _ = visit_expressions(statement, |expr| {
            if let Expr::Cast {
                expr, data_type, ..
            } = expr
                && let Some(number) = number(expr)
                && let Some(t) = types::named(&data_type.to_string().to_ascii_lowercase())
            {
                found.entry(number).or_insert(t.oid);
            }
            ControlFlow::<()>::Continue(())
        });
    }
    found
}

fn number(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::Placeholder(id),
            ..
        }) => id.strip_prefix('$')?.parse().ok(),
        Expr::Nested(inner) => number(inner),
        _ => None,
    }
}

//! PostgreSQL's words for what the engine calls otherwise.
//!
//! Drivers and tools send statements that were written for PostgreSQL alone.
//! Here is all that is changed in a parsed statement, before the gate looks at
//! it; what is not listed reaches the engine as it was written:
//!
//! - `pg_catalog.f(x)`, `x OPERATOR(pg_catalog.~) y`, `x COLLATE c`: without
//!   their frills ([`words`])
//! - `'x'::regclass`, `c.oid::regclass::text`, `x::name`: functions and plain
//!   types ([`casts`])
//! - `x = ANY('{a,b}')`, `'{a,b}'::text[]`: a list ([`casts`])
//! - `FROM generate_series(1, n) AS i`: a derived table ([`sources`])
//! - `(SELECT x FROM pg_class …)` that depends on the row around it: at most
//!   one row, by force ([`subqueries`])
//! - a question of a table that is empty for everybody (`pg_index`,
//!   `pg_constraint`, …): no rows under the names asked for ([`empty`])
//! - columns of the same name, which PostgreSQL allows, and the names that it
//!   gives to calls of its own functions ([`names`])
//! - asyncpg's question what a type is made of, which recurses ([`types_tree`])

mod casts;
mod empty;
mod names;
pub(crate) mod parameters;
mod sources;
mod subqueries;
mod types_tree;
mod words;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, Select, TableFactor, Value, VisitMut, VisitorMut,
};

/// How deep an expression is followed; the gate refuses those that are deeper.
const DEPTH: usize = 512;

/// Which names columns get that were given none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The engine's: `count(*)`.
    Own,
    /// PostgreSQL's, by which its clients look for them: `count`.
    Postgres,
}

/// Puts a query into the engine's words. What cannot be put stays as it is,
/// for the gate and the engine to judge.
pub(crate) fn rewrite(query: &mut Query, naming: Naming) {
    if let Some(other) = types_tree::replaced(query) {
        *query = other;
    }
    casts::shown(query);
    // It stops only where an expression is too deep for the gate as well.
    let _ = query.visit(&mut Rewriter {
        naming,
        depth: 0,
        ctes: vec![],
        columns: vec![],
    });
}

struct Rewriter {
    naming: Naming,
    depth: usize,
    /// The CTEs that the queries around name, and whether one can have no rows.
    ctes: Vec<empty::Ctes>,
    /// What the columns of the selects around were before.
    columns: Vec<names::Before>,
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let known = self.ctes.last().cloned().unwrap_or_default();
        let known = empty::ctes(query, known);
        empty::reduce(query, &known);
        self.ctes.push(known);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.ctes.pop();
        names::order(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.columns.push(names::before(select));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let Some(before) = self.columns.pop() {
            names::after(select, before, self.naming);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        sources::rewrite(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return ControlFlow::Break(());
        }
        if let Some(known) = self.ctes.last() {
            empty::reduce_in(expr, known);
        }
        subqueries::rewrite(expr);
        casts::rewrite(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth -= 1;
        words::rewrite(expr);
        ControlFlow::Continue(())
    }
}

/// `name(args)`.
fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args
        .into_iter()
        .map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e)))
        .collect();
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// `'text'`.
fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

/// The parts of a name, unquoted ones in lower case.
fn folded(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(fold)
        .collect()
}

fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// The table of PostgreSQL's catalogue, or of SQL's, that a name is of:
/// `(schema, table)`.
fn catalogue_table(name: &ObjectName) -> Option<(&'static str, String)> {
    use super::{information, tables};
    use crate::catalog::{CATALOG, INFORMATION, PG_CATALOG};
    let parts = folded(name);
    let (schema, table) = match parts.as_slice() {
        [table] => (PG_CATALOG, table),
        [schema, table] => (schema.as_str(), table),
        [catalog, schema, table] if catalog == CATALOG => (schema.as_str(), table),
        _ => return None,
    };
    match schema {
        PG_CATALOG if tables::get(table).is_some() => Some((PG_CATALOG, table.clone())),
        INFORMATION if information::names().any(|n| n == table) => {
            Some((INFORMATION, table.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;

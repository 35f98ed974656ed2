//! asyncpg's question what a type is made of.
//!
//! It walks `pg_type` with a recursive query, which the gate does not let
//! through, and tells it in one statement as long as this file. What it would
//! find stands ready in `cairn_types`.

use datafusion::sql::sqlparser::ast::{Query, SelectItem, SetExpr};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::fold;
use crate::pg::tables;

/// The question in other words, if it is that.
pub(super) fn replaced(query: &Query) -> Option<Query> {
    let with = query.with.as_ref().filter(|w| w.recursive)?;
    let tree = with.cte_tables.first()?;
    if fold(&tree.alias.name) != "typeinfo_tree" {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let mut columns: Vec<String> = vec![];
    for item in &select.projection {
        match item {
            SelectItem::Wildcard(_) => {
                columns.extend(tree.alias.columns.iter().map(|c| fold(&c.name)));
            }
            SelectItem::ExprWithAlias { alias, .. } => columns.push(fold(alias)),
            _ => return None,
        }
    }
    let table = tables::get("cairn_types")?;
    if columns.iter().any(|c| table.schema.index_of(c).is_err()) {
        return None;
    }
    let sql = format!(
        "SELECT DISTINCT {} FROM pg_catalog.cairn_types WHERE root = ANY($1::oid[]) ORDER BY depth DESC",
        columns.join(", ")
    );
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql(&sql)
        .and_then(|mut p| p.parse_query())
        .ok()
        .map(|query| *query)
}

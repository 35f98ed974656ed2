//! How large a statement gets once every name in it is replaced by what it
//! stands for.
//!
//! `WITH b AS (SELECT x + x AS x FROM a), c AS (SELECT x + x AS x FROM b), …`
//! doubles with each step. The optimizer writes such a column out when it moves
//! a filter or merges two projections: thirty short lines would take all the
//! memory there is, in one go that nobody can interrupt. So it is reckoned
//! before.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{Expr as Ast, GroupByExpr, Select};

use crate::error::{Exceeded, QueryError};

/// How many operators, calls and columns a statement may have, written out.
const WRITTEN_OUT: u64 = 50_000;
/// How many sets of columns a GROUP BY may stand for.
const GROUPINGS: usize = 256;

fn too_large() -> DataFusionError {
    let text = "the query is too large once its subqueries' columns are written out";
    QueryError::limit(Exceeded::Statement, text)
        .with_hint("a column that is said twice in each of several nested queries doubles each time: say it once")
        .into()
}

/// Fails if `plan` is too large, written out.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    let mut all = 0;
    columns(plan, &mut all).map(drop)
}

/// How large each column of `plan` is, written out.
fn columns(plan: &LogicalPlan, all: &mut u64) -> Result<Vec<u64>> {
    let mut inputs = Vec::new();
    for input in plan.inputs() {
        inputs.push((input.schema().as_ref(), columns(input, all)?));
    }
    let mut sizes = Vec::new();
    plan.apply_expressions(|e| {
        let size = written_out(e, &inputs, all)?;
        *all = all.saturating_add(size);
        sizes.push(size);
        match *all > WRITTEN_OUT {
            true => Err(too_large()),
            false => Ok(TreeNodeRecursion::Continue),
        }
    })?;
    let width = plan.schema().fields().len();
    let largest = inputs.iter().flat_map(|(_, c)| c).max().copied();
    let largest = largest.unwrap_or(1);
    let mut given: Vec<u64> = match plan {
        LogicalPlan::Projection(_) => sizes,
        LogicalPlan::Aggregate(_) => vec![sizes.into_iter().max().unwrap_or(1); width],
        LogicalPlan::Union(_) | LogicalPlan::Unnest(_) => vec![largest; width],
        _ => inputs.into_iter().flat_map(|(_, c)| c).collect(),
    };
    // What a node adds of its own (a window's values) is not written out again.
    given.resize(width, 1);
    Ok(given)
}

/// An input's columns, and how large each is.
type Input<'a> = (&'a DFSchema, Vec<u64>);

fn of_column(column: &Column, inputs: &[Input<'_>]) -> u64 {
    inputs
        .iter()
        .find_map(|(schema, sizes)| {
            let at = schema.maybe_index_of_column(column)?;
            sizes.get(at).copied()
        })
        .unwrap_or(1)
}

fn written_out(expr: &Expr, inputs: &[Input<'_>], all: &mut u64) -> Result<u64> {
    let mut size = 0u64;
    expr.apply(|e| {
        size = size.saturating_add(match e {
            Expr::Column(column) => of_column(column, inputs),
            _ => 1,
        });
        match e {
            Expr::ScalarSubquery(s) => columns(&s.subquery, all).map(drop)?,
            Expr::Exists(e) => columns(&e.subquery.subquery, all).map(drop)?,
            Expr::InSubquery(i) => columns(&i.subquery.subquery, all).map(drop)?,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(size)
}

/// How many sets of columns one item of a GROUP BY stands for.
fn sets(item: &Ast) -> usize {
    match item {
        Ast::Cube(parts) => 1usize
            .checked_shl(parts.len().min(31) as u32)
            .unwrap_or(usize::MAX),
        Ast::Rollup(parts) => parts.len() + 1,
        Ast::GroupingSets(sets) => sets.len(),
        _ => 1,
    }
}

/// Fails if a GROUP BY stands for too many sets of columns: they are all
/// written out before there is a plan to look at.
pub(super) fn check_groups(select: &Select) -> std::result::Result<(), QueryError> {
    let GroupByExpr::Expressions(items, _) = &select.group_by else {
        return Ok(());
    };
    let all = items.iter().map(sets).fold(1, usize::saturating_mul);
    if all <= GROUPINGS {
        return Ok(());
    }
    let text = format!("a GROUP BY stands for more than {GROUPINGS} sets of columns");
    Err(QueryError::limit(Exceeded::Statement, text)
        .with_hint("group by fewer columns in CUBE, ROLLUP or GROUPING SETS"))
}

#[cfg(test)]
mod tests;

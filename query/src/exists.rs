//! `EXISTS (…)` as a value: in a SELECT list, in CASE, within an aggregate.
//!
//! The engine knows it as a condition of WHERE and HAVING alone. Elsewhere it
//! becomes what the engine knows: a subquery that speaks of no table around it
//! is asked once, for one row; one that does is joined, so that each row is
//! marked by whether it found another.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::alias::AliasGenerator;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, JoinType, Spans};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::Exists;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery, lit};
use datafusion::optimizer::decorrelate::PullUpCorrelatedExpr;

use crate::error::QueryError;

/// The plan with nothing in it that asks whether there is a row, but where the
/// engine knows that.
pub(crate) fn as_values(plan: LogicalPlan, aliases: &AliasGenerator) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let values = matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::Aggregate(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Sort(_)
        );
        if !values || !node.expressions().iter().any(asks) {
            return Ok(Transformed::no(node));
        }
        without(node, aliases).map(Transformed::yes)
    })
    .data()
}

fn asks(expr: &Expr) -> bool {
    let found = expr.exists(|e| Ok(matches!(e, Expr::Exists(_) | Expr::InSubquery(_))));
    found.unwrap_or(false)
}

fn without(node: LogicalPlan, aliases: &AliasGenerator) -> Result<LogicalPlan> {
    let [input] = node.inputs()[..] else {
        return Ok(node);
    };
    let mut input = input.clone();
    let names = NamePreserver::new(&node);
    let mut made = vec![];
    for expr in node.expressions() {
        let name = names.save(&expr);
        let value = expr.transform(|e| match e {
            Expr::Exists(exists) => value(exists, &mut input, aliases).map(Transformed::yes),
            Expr::InSubquery(_) => Err(QueryError::invalid(
                "IN (SELECT …) is a condition of WHERE and HAVING here, and no value",
            )
            .with_hint("write EXISTS (SELECT 1 FROM … WHERE … = …)")
            .into()),
            other => Ok(Transformed::no(other)),
        });
        made.push(name.restore(value.data()?));
    }
    let columns = node.schema().columns();
    let plan = node.with_new_exprs(made, vec![input])?;
    // Marks that a node hands on with its input end here.
    match plan.schema().fields().len() == columns.len() {
        true => Ok(plan),
        false => LogicalPlanBuilder::from(plan)
            .project(columns.into_iter().map(Expr::Column))?
            .build(),
    }
}

fn value(exists: Exists, input: &mut LogicalPlan, aliases: &AliasGenerator) -> Result<Expr> {
    let Exists { subquery, negated } = exists;
    let found = match subquery.outer_ref_columns.is_empty() {
        true => once(&subquery)?,
        false => marked(&subquery, input, aliases)?,
    };
    Ok(if negated { !found } else { found })
}

/// Whether the first row is there.
fn once(subquery: &Subquery) -> Result<Expr> {
    let counted = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone())
        .limit(0, Some(1))?
        .aggregate(Vec::<Expr>::new(), vec![count(lit(1i64)).alias("found")])?
        .build()?;
    let found = Expr::ScalarSubquery(Subquery {
        subquery: Arc::new(counted),
        outer_ref_columns: vec![],
        spans: Spans::new(),
    });
    // Never null, as EXISTS is: the nodes above were made for that.
    Ok(Expr::IsTrue(Box::new(found.gt(lit(0i64)))))
}

/// Joins the subquery to `input`, and gives the column that marks its rows.
fn marked(subquery: &Subquery, input: &mut LogicalPlan, aliases: &AliasGenerator) -> Result<Expr> {
    let mut pulled = PullUpCorrelatedExpr::new().with_exists_sub_query(true);
    let inner = subquery.subquery.as_ref().clone();
    let inner = inner.rewrite(&mut pulled).data()?;
    if !pulled.can_pull_up {
        let text = "this EXISTS cannot be asked for each row";
        return Err(QueryError::invalid(text)
            .with_hint("compare with the tables around it in its WHERE, and nowhere else")
            .into());
    }
    let alias = aliases.next("__exists");
    let theirs: BTreeSet<&Column> = pulled
        .correlated_subquery_cols_map
        .values()
        .flatten()
        .collect();
    let condition = conjunction(pulled.join_filters).unwrap_or_else(|| lit(true));
    let condition = condition.transform(|e| match e {
        Expr::Column(column) if theirs.contains(&column) => Ok(Transformed::yes(Expr::Column(
            Column::new(Some(alias.clone()), column.name),
        ))),
        other => Ok(Transformed::no(other)),
    });
    let inner = LogicalPlanBuilder::from(inner)
        .alias(alias.as_str())?
        .build()?;
    *input = LogicalPlanBuilder::from(input.clone())
        .join_on(inner, JoinType::LeftMark, Some(condition.data()?))?
        .build()?;
    Ok(Expr::Column(Column::new(Some(alias), "mark")))
}

//! Subqueries of the catalogue in the place of a value.
//!
//! Where one depends on the row around it, the engine wants to know that it
//! gives one row; of the catalogue's tables it always does, and PostgreSQL
//! finds out when it runs. So the largest of its values is taken.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, GroupByExpr, Query, Select, SelectItem, SetExpr, TableFactor, Value,
    visit_expressions,
};

use super::{call, catalogue_table, fold, folded};

pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Subquery(query) => one_row(query),
        // ARRAY(SELECT …): a list of what it gives.
        Expr::Function(function)
            if folded(&function.name) == ["array"]
                && matches!(function.args, FunctionArguments::Subquery(_)) =>
        {
            let args = std::mem::replace(&mut function.args, FunctionArguments::None);
            if let FunctionArguments::Subquery(query) = args
                && let Some(list) = list_of(*query)
            {
                *expr = list;
            }
        }
        _ => {}
    }
}

/// `(SELECT array_agg(x) FROM …)`.
fn list_of(mut query: Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return None;
    };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let listed = call("array_agg", vec![value.clone()]);
    select.projection = vec![SelectItem::UnnamedExpr(listed)];
    query.order_by = None;
    Some(Expr::Subquery(Box::new(query)))
}

fn one_row(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let mut own = BTreeSet::new();
    for from in &select.from {
        for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation))
        {
            let TableFactor::Table { name, alias, .. } = factor else {
                return;
            };
            let Some((_, table)) = catalogue_table(name) else {
                return;
            };
            own.insert(alias.as_ref().map_or(table, |a| fold(&a.name)));
        }
    }
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    if own.is_empty() || grouped || !depends(select, &own) {
        return;
    }
    if let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_mut_slice()
        && !super::empty::aggregates(value)
    {
        let one = std::mem::replace(value, Expr::value(Value::Null));
        *value = call("max", vec![one]);
        query.order_by = None;
        query.limit_clause = None;
        query.fetch = None;
    }
}

/// Whether it speaks of a table that is not one of its own.
fn depends(select: &Select, own: &BTreeSet<String>) -> bool {
    let found = visit_expressions(select, |expr| match expr {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., table, _] if !own.contains(&fold(table)) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

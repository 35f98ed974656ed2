//! Plain comparisons: the only predicates of the user's that may run below the
//! account filter.
//!
//! Below it they see rows of other accounts, so they must not be able to fail
//! (an error would tell of such a row), nor to take long, nor to have any
//! effect but choosing. A column compared with a constant of its own type
//! qualifies, and AND, OR and NOT of such. A cast, a division, a function, a
//! regular expression does not, and stays above. Nor does `raw`, which not every
//! file has as it is ([`crate::received`]).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use cairn_schemas::columns::RAW_COLUMN;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr as PhysicalBinary, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr,
    IsNullExpr, LikeExpr, Literal, NotExpr,
};

/// `Some(true)` for AND and OR, `Some(false)` for comparisons.
fn connective(op: Operator) -> Option<bool> {
    match op {
        Operator::And | Operator::Or => Some(true),
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom => Some(false),
        _ => None,
    }
}

/// Whether the values of this column compare without surprises, in a file too.
fn scalar(field: &Field) -> bool {
    !field.data_type().is_nested() && field.name() != RAW_COLUMN
}

/// Text types differ in how they are kept, not in what they compare to.
fn same_type(column: &DataType, literal: &DataType) -> bool {
    let text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    column == literal || text(column) && text(literal) || literal.is_null()
}

/// `abc%`, with no other wildcard and no escape.
fn prefix_pattern(pattern: &ScalarValue) -> bool {
    pattern
        .try_as_str()
        .flatten()
        .and_then(|p| p.strip_suffix('%'))
        .is_some_and(|p| !p.contains(['%', '_', '\\']))
}

/// Whether a logical predicate over a table with `schema` is plain.
pub(crate) fn logical(expr: &Expr, schema: &Schema) -> bool {
    let column = |e: &Expr| match e {
        Expr::Column(c) => schema
            .field_with_name(&c.name)
            .ok()
            .filter(|f| scalar(f))
            .map(|f| f.data_type().clone()),
        _ => None,
    };
    let literal = |e: &Expr| match e {
        Expr::Literal(value, _) => Some(value.data_type()),
        _ => None,
    };
    let compares = |a: &Expr, b: &Expr| match (column(a), literal(b)) {
        (Some(c), Some(l)) => same_type(&c, &l),
        _ => false,
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match connective(*op) {
            Some(true) => logical(left, schema) && logical(right, schema),
            Some(false) => compares(left, right) || compares(right, left),
            None => false,
        },
        Expr::InList(InList { expr, list, .. }) => list.iter().all(|item| compares(expr, item)),
        Expr::Between(b) => compares(&b.expr, &b.low) && compares(&b.expr, &b.high),
        Expr::IsNull(e) | Expr::IsNotNull(e) => column(e).is_some(),
        Expr::Like(Like {
            expr,
            pattern,
            escape_char: None,
            case_insensitive: false,
            ..
        }) => match pattern.as_ref() {
            Expr::Literal(value, _) => compares(expr, pattern) && prefix_pattern(value),
            _ => false,
        },
        Expr::Not(e) => logical(e, schema),
        Expr::Column(_) => column(expr) == Some(DataType::Boolean),
        _ => false,
    }
}

/// Whether a physical predicate over rows of `schema` is plain, or is a filter
/// that an operator above makes up as it goes (a TopK's threshold, a join's
/// keys) over nothing but columns. What such a filter knows it knows from rows
/// that came through the account filter.
pub(crate) fn physical(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    if expr.is::<DynamicFilterPhysicalExpr>() {
        return expr
            .children()
            .iter()
            .all(|child| column_type(child, schema).is_some());
    }
    if let Some(binary) = expr.downcast_ref::<PhysicalBinary>() {
        return match connective(*binary.op()) {
            Some(true) => physical(binary.left(), schema) && physical(binary.right(), schema),
            Some(false) => {
                compares(binary.left(), binary.right(), schema)
                    || compares(binary.right(), binary.left(), schema)
            }
            None => false,
        };
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        return list
            .list()
            .iter()
            .all(|item| compares(list.expr(), item, schema));
    }
    if let Some(null) = expr.downcast_ref::<IsNullExpr>() {
        return column_type(null.arg(), schema).is_some();
    }
    if let Some(null) = expr.downcast_ref::<IsNotNullExpr>() {
        return column_type(null.arg(), schema).is_some();
    }
    if let Some(like) = expr.downcast_ref::<LikeExpr>() {
        return !like.case_insensitive()
            && compares(like.expr(), like.pattern(), schema)
            && like
                .pattern()
                .downcast_ref::<Literal>()
                .is_some_and(|l| prefix_pattern(l.value()));
    }
    if let Some(not) = expr.downcast_ref::<NotExpr>() {
        return physical(not.arg(), schema);
    }
    column_type(expr, schema) == Some(DataType::Boolean)
}

fn column_type(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<DataType> {
    let column = expr.downcast_ref::<Column>()?;
    let field = schema.fields().get(column.index())?;
    (field.name() == column.name() && scalar(field)).then(|| field.data_type().clone())
}

fn compares(a: &Arc<dyn PhysicalExpr>, b: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    match (column_type(a, schema), b.downcast_ref::<Literal>()) {
        (Some(column), Some(literal)) => same_type(&column, &literal.value().data_type()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

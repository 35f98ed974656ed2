//! The names of columns: those that PostgreSQL gives, and no name twice.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TrimWhereField, Value,
};

use super::{Naming, fold, folded};
use crate::pg::{functions, types};

/// The columns of a select that have no name of their own yet: what they are
/// called, and what they were.
pub(super) type Before = Vec<Option<(String, Expr)>>;

pub(super) fn before(select: &Select) -> Before {
    let unnamed = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) if !is_column(expr) => Some((of(expr), expr.clone())),
        _ => None,
    };
    select.projection.iter().map(unnamed).collect()
}

/// Gives a column that was put into other words the name that it had, and a
/// name that is there twice a number.
pub(super) fn after(select: &mut Select, before: Before, naming: Naming) {
    for (item, before) in select.projection.iter_mut().zip(before) {
        let SelectItem::UnnamedExpr(expr) = &*item else {
            continue;
        };
        let name = match before {
            Some((name, was)) if *expr != was || naming == Naming::Postgres => name,
            _ if is_ours(expr) => of(expr),
            _ => continue,
        };
        let expr = expr.clone();
        let alias = ident(&name);
        *item = SelectItem::ExprWithAlias { expr, alias };
    }
    let whole: Vec<Option<String>> = select.projection.iter().filter_map(wildcard).collect();
    let mut seen = BTreeSet::new();
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let within = match &*expr {
                    Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                        [table, _] => whole.iter().flatten().any(|w| *w == fold(table)),
                        _ => false,
                    },
                    _ => false,
                };
                let again = !seen.insert(expr.to_string());
                if within || again {
                    let alias = numbered(&of(expr), &mut seen);
                    let expr = expr.clone();
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
            }
            SelectItem::ExprWithAlias { alias, .. } if !seen.insert(alias.to_string()) => {
                *alias = numbered(&alias.value, &mut seen);
            }
            _ => {}
        }
    }
}

/// What DISTINCT rows are ordered by has to be one of their columns; where that
/// got a name, its place says which.
pub(super) fn order(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return;
    };
    let (Some(_), Some(order)) = (&select.distinct, &mut query.order_by) else {
        return;
    };
    if let OrderByKind::Expressions(by) = &mut order.kind {
        for by in by.iter_mut().filter(|by| !is_column(&by.expr)) {
            let place = select.projection.iter().position(|item| match item {
                SelectItem::ExprWithAlias { expr, .. } => *expr == by.expr,
                _ => false,
            });
            if let Some(place) = place {
                by.expr = Expr::value(Value::Number((place + 1).to_string(), false));
            }
        }
    }
}

fn numbered(name: &str, seen: &mut BTreeSet<String>) -> Ident {
    let free = (1..)
        .map(|n| ident(&format!("{name}:{n}")))
        .find(|i| seen.insert(i.to_string()));
    free.unwrap_or_else(|| ident(name))
}

/// `t` of `t.*`.
fn wildcard(item: &SelectItem) -> Option<Option<String>> {
    match item {
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            Some(folded(name).pop())
        }
        _ => None,
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

fn is_ours(expr: &Expr) -> bool {
    match expr {
        Expr::Function(f) => folded(&f.name).pop().is_some_and(|n| functions::has(&n)),
        _ => false,
    }
}

/// Quoted, so that it stays as it is.
pub(super) fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// What PostgreSQL calls a column that was given no name.
pub(super) fn of(expr: &Expr) -> String {
    named(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// The name, and whether it is one that a cast keeps.
fn named(expr: &Expr) -> Option<(String, bool)> {
    let kept = |name: &str| Some((name.to_owned(), true));
    match expr {
        Expr::Identifier(name) => Some((fold(name), true)),
        Expr::CompoundIdentifier(names) => names.last().map(|n| (fold(n), true)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => named(inner),
        Expr::Cast {
            expr, data_type, ..
        } => match named(expr) {
            Some((name, true)) => Some((name, true)),
            _ => Some((type_name(&data_type.to_string()), false)),
        },
        Expr::Function(function) => folded(&function.name).pop().map(|name| (name, true)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(named) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => named(expr),
                SelectItem::ExprWithAlias { alias, .. } => Some((fold(alias), true)),
                _ => None,
            },
            _ => None,
        },
        Expr::Exists { .. } => kept("exists"),
        Expr::Array(_) => kept("array"),
        Expr::CompoundFieldAccess { root, .. } => named(root),
        Expr::Extract { .. } => kept("extract"),
        Expr::Substring { .. } => kept("substring"),
        Expr::Trim { trim_where, .. } => kept(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        _ => None,
    }
}

/// PostgreSQL's own name for a type.
fn type_name(written: &str) -> String {
    let written = written.to_ascii_lowercase();
    match types::named(&written) {
        Some(t) => t.name.to_owned(),
        None => written.rsplit('.').next().unwrap_or_default().to_owned(),
    }
}

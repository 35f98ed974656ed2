//! The names of columns: those that PostgreSQL gives, and no name twice.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
};

use super::{Naming, fold, folded};
use crate::pg::functions;

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
    named(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn named(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(fold(name)),
        Expr::CompoundIdentifier(names) => names.last().map(fold),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => named(inner),
        Expr::Cast {
            expr, data_type, ..
        } => named(expr).or_else(|| {
            let text = data_type.to_string().to_ascii_lowercase();
            text.rsplit('.').next().map(str::to_owned)
        }),
        Expr::Function(function) => folded(&function.name).pop(),
        Expr::Case { else_result, .. } => {
            let other = else_result.as_deref().and_then(named);
            Some(other.unwrap_or_else(|| "case".to_owned()))
        }
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => named(expr),
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                _ => None,
            },
            _ => None,
        },
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::CompoundFieldAccess { root, .. } => named(root),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        _ => None,
    }
}

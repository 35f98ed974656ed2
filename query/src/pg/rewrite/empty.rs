//! Questions of tables that are empty for everybody.
//!
//! Most of what tools ask of the catalogue is about indexes, constraints,
//! triggers, policies: things that are not there. They ask it in PostgreSQL's
//! most peculiar words, of which the engine knows few; but the answer to a
//! select that joins an empty table is no rows, whatever else it says. So such
//! a select keeps the names of its columns and nothing more.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CaseWhen, CastKind, DataType, Expr, FunctionArg,
    FunctionArgExpr, FunctionArguments, GroupByExpr, JoinOperator, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, TableFactor, TableWithJoins, Value,
    Visit, Visitor, visit_expressions,
};

use super::{call, catalogue_table, fold, folded, names};
use crate::catalog::PG_CATALOG;
use crate::pg::{information, tables};

/// CTEs by name, and whether one can have no rows.
pub(super) type Ctes = BTreeMap<String, bool>;

/// `known`, and the CTEs of `query`.
pub(super) fn ctes(query: &Query, mut known: Ctes) -> Ctes {
    for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
        let empty = is_empty(&cte.query, &known);
        known.insert(fold(&cte.alias.name), empty);
    }
    known
}

fn is_empty(query: &Query, known: &Ctes) -> bool {
    body_is_empty(&query.body, known)
}

fn body_is_empty(body: &SetExpr, known: &Ctes) -> bool {
    match body {
        SetExpr::Select(select) => select_is_empty(select, known),
        SetExpr::Query(query) => is_empty(query, known),
        SetExpr::SetOperation {
            left, op, right, ..
        } => match op {
            SetOperator::Union => body_is_empty(left, known) && body_is_empty(right, known),
            SetOperator::Intersect => body_is_empty(left, known) || body_is_empty(right, known),
            _ => body_is_empty(left, known),
        },
        _ => false,
    }
}

fn select_is_empty(select: &Select, known: &Ctes) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(by, _) => !by.is_empty(),
        GroupByExpr::All(_) => false,
    };
    let one_row = !grouped
        && (select.having.is_some()
            || select.projection.iter().any(|item| match item {
                SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => {
                    aggregates(e)
                }
                _ => false,
            }));
    !one_row && select.from.iter().any(|from| from_is_empty(from, known))
}

fn from_is_empty(from: &TableWithJoins, known: &Ctes) -> bool {
    let mut empty = factor_is_empty(&from.relation, known);
    for join in &from.joins {
        let right = factor_is_empty(&join.relation, known);
        empty = match join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                empty || right
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => empty,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => right,
            JoinOperator::FullOuter(_) => empty && right,
            _ => return false,
        };
    }
    empty
}

fn factor_is_empty(factor: &TableFactor, known: &Ctes) -> bool {
    match factor {
        TableFactor::Table {
            name, args: None, ..
        } => {
            // It hides a table of that name.
            if let [bare] = folded(name).as_slice()
                && let Some(empty) = known.get(bare)
            {
                return *empty;
            }
            catalogue_table(name).is_some_and(|(schema, table)| match schema {
                PG_CATALOG => tables::is_always_empty(&table),
                _ => information::is_always_empty(&table),
            })
        }
        TableFactor::Table {
            name,
            args: Some(given),
            ..
        } => {
            folded(name).last().is_some_and(|n| n == "unnest")
                && given.args.iter().all(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => always_null(e),
                    _ => false,
                })
        }
        TableFactor::UNNEST { array_exprs, .. } => array_exprs.iter().all(always_null),
        TableFactor::Derived { subquery, .. } => is_empty(subquery, &ctes(subquery, known.clone())),
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => from_is_empty(table_with_joins, known),
        _ => false,
    }
}

/// Whether it is a column of rights or options, of which nothing here has any.
fn always_null(expr: &Expr) -> bool {
    let column = match expr {
        Expr::Identifier(name) => Some(fold(name)),
        Expr::CompoundIdentifier(parts) => parts.last().map(fold),
        _ => None,
    };
    column.is_some_and(|c| c.ends_with("acl") || c.ends_with("options"))
}

/// Whether an expression makes one value of many rows. Better once too often:
/// then the engine has to see to it.
pub(super) fn aggregates(expr: &Expr) -> bool {
    const AGGREGATES: &[&str] = &[
        "count",
        "sum",
        "min",
        "max",
        "avg",
        "array_agg",
        "string_agg",
        "bool_and",
        "bool_or",
        "every",
        "json_agg",
        "jsonb_agg",
        "json_object_agg",
        "jsonb_object_agg",
        "any_value",
        "median",
        "stddev",
        "variance",
        "first_value",
        "last_value",
    ];
    struct Walk {
        queries: usize,
    }
    impl Visitor for Walk {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                // That of a subquery is of the subquery's rows.
                Expr::Function(f) if f.over.is_none() && self.queries == 0 => {
                    let name = folded(&f.name).pop().unwrap_or_default();
                    match AGGREGATES.contains(&name.as_str()) {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Walk { queries: 0 }).is_break()
}

/// The parameters of a piece of a statement, with the types that it gives them.
/// They stay parameters of the statement when the piece goes: the client sends
/// their values all the same.
fn parameters<V: Visit>(of: &V) -> BTreeMap<String, Expr> {
    let mut found = BTreeMap::new();
    let _ = visit_expressions(of, |e| {
        let (typed, inner) = match e {
            Expr::Cast { expr, .. } => (true, expr.as_ref()),
            other => (false, other),
        };
        if let Expr::Value(value) = inner
            && let Value::Placeholder(id) = &value.value
        {
            match typed {
                true => found.insert(id.clone(), e.clone()),
                false => found.entry(id.clone()).or_insert(e.clone()).clone().into(),
            };
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// `a IS NULL AND b IS NULL …`.
fn all_null(parameters: impl Iterator<Item = Expr>) -> Option<Expr> {
    parameters
        .map(|p| Expr::IsNull(Box::new(p)))
        .reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::And,
            right: Box::new(right),
        })
}

/// Takes out of `query` what cannot have rows.
pub(super) fn reduce(query: &mut Query, known: &Ctes) {
    let before = parameters(query);
    reduce_whole(query, known);
    let after = parameters(query);
    let gone = before.into_iter().filter(|(id, _)| !after.contains_key(id));
    if let Some(kept) = all_null(gone.map(|(_, p)| p)) {
        keep(&mut query.body, kept);
    }
}

/// Adds a condition to the first select, which has no rows anyway.
fn keep(body: &mut SetExpr, kept: Expr) {
    match body {
        SetExpr::Select(select) => {
            let was = select.selection.take();
            select.selection = Some(match was {
                Some(was) => Expr::BinaryOp {
                    left: Box::new(was),
                    op: BinaryOperator::And,
                    right: Box::new(Expr::Nested(Box::new(kept))),
                },
                None => kept,
            });
        }
        SetExpr::SetOperation { left, .. } => keep(left, kept),
        SetExpr::Query(query) => keep(&mut query.body, kept),
        _ => {}
    }
}

fn reduce_whole(query: &mut Query, known: &Ctes) {
    let whole = is_empty(query, known);
    let within_set = matches!(query.body.as_ref(), SetExpr::SetOperation { .. });
    let done = reduce_body(&mut query.body, known, within_set);
    if whole && done {
        // Its words may be those of columns that are gone.
        query.order_by = None;
        query.limit_clause = None;
        query.fetch = None;
        query.with = None;
    }
}

/// Whether all of it could be reduced.
fn reduce_body(body: &mut SetExpr, known: &Ctes, within_set: bool) -> bool {
    match body {
        SetExpr::Select(select) if select_is_empty(select, known) => {
            reduce_select(select, within_set)
        }
        SetExpr::SetOperation { left, right, .. } => {
            let left = reduce_body(left, known, within_set);
            let right = reduce_body(right, known, within_set);
            left && right
        }
        _ => false,
    }
}

fn reduce_select(select: &mut Select, within_set: bool) -> bool {
    let mut columns = vec![];
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                columns.push((names::of(expr), null_for(expr, &select.from)));
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                columns.push((fold(alias), null_for(expr, &select.from)));
            }
            SelectItem::Wildcard(_) => match all_columns(&select.from, None) {
                Some(all) => columns.extend(all),
                None => return false,
            },
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                match all_columns(&select.from, folded(name).pop()) {
                    Some(all) => columns.extend(all),
                    None => return false,
                }
            }
            _ => return false,
        }
    }
    // The types of the other selects of a set decide.
    let null = || Expr::value(Value::Null);
    let column = |(name, typed): (String, Expr)| SelectItem::ExprWithAlias {
        expr: if within_set { null() } else { typed },
        alias: names::ident(&name),
    };
    select.projection = columns.into_iter().map(column).collect();
    select.distinct = None;
    select.from = vec![];
    select.selection = Some(Expr::value(Value::Boolean(false)));
    select.group_by = GroupByExpr::Expressions(vec![], vec![]);
    select.having = None;
    select.named_window = vec![];
    true
}

/// The factors of a FROM, joins and all.
fn factors(from: &[TableWithJoins]) -> impl Iterator<Item = &TableFactor> {
    from.iter()
        .flat_map(|f| std::iter::once(&f.relation).chain(f.joins.iter().map(|j| &j.relation)))
}

fn catalogue_schema(factor: &TableFactor) -> Option<(String, arrow::datatypes::SchemaRef)> {
    let TableFactor::Table { name, alias, .. } = factor else {
        return None;
    };
    let (schema, table) = catalogue_table(name)?;
    let columns = match schema {
        PG_CATALOG => Arc::clone(&tables::get(&table)?.schema),
        _ => information::columns(&table),
    };
    Some((alias.as_ref().map_or(table, |a| fold(&a.name)), columns))
}

/// The columns that `*` or `of.*` stands for.
fn all_columns(from: &[TableWithJoins], of: Option<String>) -> Option<Vec<(String, Expr)>> {
    let mut columns = vec![];
    for factor in factors(from) {
        let found = catalogue_schema(factor);
        match (&of, found) {
            (Some(of), Some((name, schema))) if *of == name => {
                columns.extend(schema.fields().iter().map(|f| (f.name().clone(), null(f))));
            }
            (Some(_), _) => {}
            (None, Some((_, schema))) => {
                columns.extend(schema.fields().iter().map(|f| (f.name().clone(), null(f))));
            }
            (None, None) => return None,
        }
    }
    (!columns.is_empty()).then_some(columns)
}

fn null(field: &arrow::datatypes::Field) -> Expr {
    null_of(sql_type(field.data_type()))
}

fn null_of(data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::Null)),
        data_type,
        array: false,
        format: None,
    }
}

fn sql_type(arrow: &ArrowType) -> DataType {
    match arrow {
        ArrowType::Int16 => DataType::SmallInt(None),
        ArrowType::Int32 => DataType::Integer(None),
        ArrowType::Int64 => DataType::BigInt(None),
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Float32 => DataType::Real,
        ArrowType::List(item) => DataType::Array(ArrayElemTypeDef::SquareBracket(
            Box::new(sql_type(item.data_type())),
            None,
        )),
        _ => DataType::Text,
    }
}

/// Null, of the type that the expression has as far as its words tell.
fn null_for(expr: &Expr, from: &[TableWithJoins]) -> Expr {
    let column = match expr {
        Expr::Identifier(name) => Some(fold(name)),
        Expr::CompoundIdentifier(parts) => parts.last().map(fold),
        _ => None,
    };
    let data_type = match (expr, column) {
        (Expr::Cast { data_type, .. }, _) => data_type.clone(),
        (_, Some(column)) => factors(from)
            .filter_map(catalogue_schema)
            .find_map(|(_, schema)| {
                let field = schema.field_with_name(&column).ok()?;
                Some(sql_type(field.data_type()))
            })
            .unwrap_or(DataType::Text),
        (Expr::AnyOp { .. } | Expr::AllOp { .. } | Expr::IsNull(_) | Expr::IsNotNull(_), _) => {
            DataType::Boolean
        }
        _ => DataType::Text,
    };
    null_of(data_type)
}

/// Takes out of an expression the subqueries that cannot have rows.
pub(super) fn reduce_in(expr: &mut Expr, known: &Ctes) {
    let none = |query: &Query| is_empty(query, &ctes(query, known.clone()));
    let made = match expr {
        Expr::Subquery(query) if none(query) => null_of(DataType::Text),
        Expr::Exists { subquery, negated } if none(subquery) => {
            Expr::value(Value::Boolean(*negated))
        }
        Expr::InSubquery {
            subquery, negated, ..
        } if none(subquery) => Expr::value(Value::Boolean(*negated)),
        Expr::Function(function) if folded(&function.name) == ["array"] => match &function.args {
            FunctionArguments::Subquery(query) if none(query) => Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(call("make_array", vec![])),
                data_type: sql_type(&ArrowType::new_list(ArrowType::Utf8, true)),
                array: false,
                format: None,
            },
            _ => return,
        },
        _ => return,
    };
    // Where the parameters are null it is null, and where they are not as well.
    let kept = all_null(parameters(expr).into_values());
    *expr = match kept {
        None => made,
        Some(condition) => Expr::Case {
            case_token: AttachedToken::empty(),
            end_token: AttachedToken::empty(),
            operand: None,
            conditions: vec![CaseWhen {
                condition,
                result: made.clone(),
            }],
            else_result: Some(Box::new(made)),
        },
    };
}

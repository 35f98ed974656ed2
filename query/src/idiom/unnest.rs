//! `FROM t CROSS JOIN UNNEST(t.list) AS u(item)`: the items of each row's list
//! beside the row.
//!
//! The engine unnests lists in a SELECT, and in FROM only such as depend on no
//! table. So a table and the UNNEST beside it are put in one pair of
//! parentheses, and those are planned here.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, TableReference, UnnestOptions, plan_err};
use datafusion::error::Result;
use datafusion::functions::core::get_field;
use datafusion::functions_nested::map_keys::map_keys_udf;
use datafusion::functions_nested::map_values::map_values_udf;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarUDF, lit,
};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Join, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins,
    Value,
};

use crate::functions::places;

/// What stands beside an UNNEST that may ask of it, together with it: the
/// planner of [`super::unnest`] looks for that.
pub(super) fn beside(from: Vec<TableWithJoins>) -> Vec<TableWithJoins> {
    let is_unnest = |factor: &TableFactor| matches!(factor, TableFactor::UNNEST { .. });
    let comma = from.iter().skip(1).any(|f| is_unnest(&f.relation));
    let mut made: Vec<TableWithJoins> = vec![];
    for mut part in from {
        let joins = std::mem::take(&mut part.joins);
        let mut all = match made.pop() {
            Some(before) if comma => {
                let mut before = before;
                let cross = JoinOperator::CrossJoin(JoinConstraint::None);
                add(&mut before, part.relation, cross);
                before
            }
            before => {
                made.extend(before);
                part
            }
        };
        for join in joins {
            if is_unnest(&join.relation) {
                add(&mut all, join.relation, join.join_operator);
            } else {
                all.joins.push(join);
            }
        }
        made.push(all);
    }
    made
}

fn add(before: &mut TableWithJoins, relation: TableFactor, join_operator: JoinOperator) {
    let lateral = matches!(relation, TableFactor::UNNEST { .. });
    before.joins.push(Join {
        relation,
        global: false,
        join_operator,
    });
    if lateral {
        let inner = TableWithJoins {
            relation: std::mem::replace(&mut before.relation, empty()),
            joins: std::mem::take(&mut before.joins),
        };
        before.relation = TableFactor::NestedJoin {
            table_with_joins: Box::new(inner),
            alias: None,
        };
    }
}

/// Stands where a table was taken from, for a moment.
fn empty() -> TableFactor {
    TableFactor::UNNEST {
        alias: None,
        array_exprs: vec![],
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    }
}

/// Plans what [`beside`] has put together.
#[derive(Debug)]
pub(crate) struct Beside;

impl RelationPlanner for Beside {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::NestedJoin {
            mut table_with_joins,
            alias,
        } = relation
        else {
            return alone(relation, context);
        };
        let lateral = table_with_joins
            .joins
            .pop_if(|join| matches!(join.relation, TableFactor::UNNEST { .. }));
        let Some(join) = lateral else {
            return Ok(RelationPlanning::Original(Box::new(
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias,
                },
            )));
        };
        let left = match table_with_joins.joins.is_empty() {
            true => context.plan(table_with_joins.relation)?,
            false => context.plan(TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            })?,
        };
        let plan = with_items(left, join, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan, alias,
        ))))
    }
}

/// UNNEST beside no table. The engine plans that too, but for the places.
fn alone(
    relation: TableFactor,
    context: &mut dyn RelationPlannerContext,
) -> Result<RelationPlanning> {
    let ordinal = matches!(
        relation,
        TableFactor::UNNEST {
            with_ordinality: true,
            ..
        }
    );
    if !ordinal {
        return Ok(RelationPlanning::Original(Box::new(relation)));
    }
    let join = Join {
        relation,
        global: false,
        join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
    };
    let row = LogicalPlanBuilder::empty(true).build()?;
    let plan = with_items(row, join, context)?;
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
        plan, None,
    ))))
}

/// Whether rows without items stay.
fn keeps_rows(operator: &JoinOperator) -> Result<bool> {
    let always = |constraint: &JoinConstraint| match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(SqlExpr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    };
    match operator {
        JoinOperator::CrossJoin(JoinConstraint::None) => Ok(false),
        JoinOperator::Join(c) | JoinOperator::Inner(c) if always(c) => Ok(false),
        JoinOperator::Left(c) | JoinOperator::LeftOuter(c) if always(c) => Ok(true),
        _ => plan_err!("UNNEST is joined with CROSS JOIN, or with LEFT JOIN … ON TRUE"),
    }
}

/// A column of items, and what it is called.
struct Items {
    /// The column that is unnested.
    column: String,
    /// What is taken of each item, and its name.
    parts: Vec<(Expr, String)>,
}

fn with_items(
    left: LogicalPlan,
    join: Join,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let keep = keeps_rows(&join.join_operator)?;
    let TableFactor::UNNEST {
        alias,
        array_exprs,
        with_ordinality,
        with_offset: false,
        ..
    } = join.relation
    else {
        return plan_err!("UNNEST … WITH OFFSET is not supported: write WITH ORDINALITY");
    };
    let schema = Arc::clone(left.schema());
    let mut lists: Vec<Expr> = vec![];
    for expr in array_exprs {
        let expr = context.sql_to_expr(expr, &schema)?;
        let of = |udf: Arc<ScalarUDF>| udf.call(vec![expr.clone()]);
        match expr.get_type(&*schema)? {
            DataType::Map(..) => lists.extend([of(map_keys_udf()), of(map_values_udf())]),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
                lists.push(expr);
            }
            other => return plan_err!("UNNEST takes a list or a map, not {other}"),
        }
    }
    let named = names_of(alias.as_ref(), context);
    let mut items = vec![];
    for (i, list) in lists.iter().enumerate() {
        let column = format!("unnest {i}");
        let list_type = list.get_type(&*schema)?;
        let parts = parts(&column, &list_type, lists.len(), &named, with_ordinality, i);
        items.push(Items { column, parts });
    }
    if with_ordinality {
        let column = format!("unnest {}", lists.len());
        let before = items.iter().map(|i| i.parts.len()).sum::<usize>();
        let name = named.get(before).map_or("ordinality", String::as_str);
        let place = Expr::Column(Column::new_unqualified(&column));
        items.push(Items {
            column,
            parts: vec![(place, name.to_owned())],
        });
        lists.push(places().call(lists.clone()));
    }
    let own: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let mut before = own.clone();
    before.extend(
        lists
            .into_iter()
            .zip(&items)
            .map(|(list, items)| list.alias(&items.column)),
    );
    let columns = items.iter().map(|i| Column::new_unqualified(&i.column));
    let options = UnnestOptions::new().with_preserve_nulls(keep);
    let table = alias.map(|a| TableReference::bare(context.normalize_ident(a.name)));
    let mut after = own;
    for (part, name) in items.iter().flat_map(|i| i.parts.clone()) {
        after.push(part.alias_qualified(table.clone(), name));
    }
    LogicalPlanBuilder::from(left)
        .project(before)?
        .unnest_columns_with_options(columns.collect(), options)?
        .project(after)?
        .build()
}

/// The names that the statement gives to the columns.
fn names_of(alias: Option<&TableAlias>, context: &dyn RelationPlannerContext) -> Vec<String> {
    let columns = alias.map(|a| a.columns.as_slice()).unwrap_or_default();
    columns
        .iter()
        .map(|c| context.normalize_ident(c.name.clone()))
        .collect()
}

/// What is taken of each item: its fields, if it is a struct and they have
/// names of their own or are named one by one; else the item.
fn parts(
    column: &str,
    list: &DataType,
    lists: usize,
    named: &[String],
    with_ordinality: bool,
    i: usize,
) -> Vec<(Expr, String)> {
    let item = Expr::Column(Column::new_unqualified(column));
    let fields = match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            match item.data_type() {
                DataType::Struct(fields) if lists == 1 => Some(fields),
                _ => None,
            }
        }
        _ => None,
    };
    let all = |fields: usize| {
        named.is_empty()
            || named.len() == fields
            // The last one names the places.
            || with_ordinality && named.len() == fields + 1
    };
    match fields {
        Some(fields) if all(fields.len()) => fields
            .iter()
            .enumerate()
            .map(|(n, field)| {
                let name = named.get(n).unwrap_or(field.name());
                let part = get_field().call(vec![item.clone(), lit(field.name().as_str())]);
                (part, name.clone())
            })
            .collect(),
        _ => {
            let name = named.get(i).cloned();
            vec![(item, name.unwrap_or_else(|| "item".to_owned()))]
        }
    }
}

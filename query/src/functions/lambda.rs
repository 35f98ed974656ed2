//! Functions that ask something of each item of a list: `filter(a, x -> …)`.
//!
//! The engine has such functions too, which are not offered: they work on all
//! items of all rows of a batch at once, and a lambda in a lambda in a lambda
//! multiplies lists until there is neither memory nor an end. Ours take a
//! thousand items at a time, look at the clock after each thousand, and reckon
//! what the values from outside the lambda take before they are repeated.

mod lists;
mod reduce;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, UInt32Array, new_empty_array,
};
use arrow::compute::{concat, filter, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::HigherOrderFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, LogicalPlan,
    ValueOrLambda, Volatility,
};

use lists::{Lists, list_of, size_of};
use reduce::Reduce;
pub(crate) use reduce::{NAME as REDUCE, SAYS as REDUCE_SAYS, USAGE as REDUCE_USAGE};

use super::{MADE, too_big};
use crate::coop::Until;
use crate::meter::Meter;
use crate::stream::too_late;

/// How many items a lambda is given at a time.
const ITEMS: usize = 1024;
/// How many in all while there is no clock yet: constants are worked out while
/// planning.
const PLANNED: usize = 256;

/// What is asked of the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asks {
    Filter,
    Transform,
    Any,
    All,
    None,
}

/// Name, other names, as it is called, what it says.
pub(super) type Described = (
    Asks,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
);

/// The functions of this group.
pub(super) static ALL: &[Described] = &[
    (
        Asks::Filter,
        "filter",
        &["array_filter", "list_filter"],
        "filter(list, x -> condition)",
        "The items for which the condition is true.",
    ),
    (
        Asks::Transform,
        "transform",
        &["array_transform", "list_transform"],
        "transform(list, x -> expression)",
        "What the expression makes of each item.",
    ),
    (
        Asks::Any,
        "any_match",
        &["array_any_match", "list_any_match"],
        "any_match(list, x -> condition)",
        "Whether the condition is true for any item.",
    ),
    (
        Asks::All,
        "all_match",
        &[],
        "all_match(list, x -> condition)",
        "Whether the condition is true for all items.",
    ),
    (
        Asks::None,
        "none_match",
        &[],
        "none_match(list, x -> condition)",
        "Whether the condition is true for no item.",
    ),
];

/// The functions as the engine calls them.
pub(crate) fn higher_order() -> Vec<Arc<HigherOrderUDF>> {
    ALL.iter()
        .map(|(asks, name, aliases, ..)| {
            Arc::new(HigherOrderUDF::new_from_impl(Lambda {
                asks: *asks,
                name,
                aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
                signature: HigherOrderSignature::exact(
                    vec![ValueOrLambda::Value(()), ValueOrLambda::Lambda(())],
                    Volatility::Immutable,
                ),
                bounds: None,
            }))
        })
        .chain([reduce::udf()])
        .collect()
}

/// Gives the lambdas of a plan the query's clock, and its account of memory.
pub(crate) fn bounded(
    plan: LogicalPlan,
    meter: &Arc<Meter>,
    until: &Arc<Until>,
) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|e| {
            e.transform_up(|e| {
                let Expr::HigherOrderFunction(call) = e else {
                    return Ok(Transformed::no(e));
                };
                let inner: &dyn std::any::Any = call.func.inner().as_ref();
                let bounds = Bounds {
                    until: Arc::clone(until),
                    meter: Arc::clone(meter),
                    call: meter.place(),
                };
                let lambda = inner.downcast_ref::<Lambda>();
                let func = match (lambda, inner.downcast_ref::<Reduce>()) {
                    (Some(lambda), _) => HigherOrderUDF::new_from_impl(Lambda {
                        bounds: Some(bounds),
                        ..lambda.clone()
                    }),
                    (_, Some(reduce)) => reduce.within(bounds),
                    _ => return plan_err!("{} is not offered here", call.func.name()),
                };
                Ok(Transformed::yes(Expr::HigherOrderFunction(
                    HigherOrderFunction::new(Arc::new(func), call.args),
                )))
            })
        })
    })
    .data()
}

/// What holds a call within the query's limits.
#[derive(Clone, Debug)]
struct Bounds {
    until: Arc<Until>,
    meter: Arc<Meter>,
    call: usize,
}

fn in_time(bounds: Option<&Bounds>) -> Result<()> {
    match bounds {
        Some(bounds) if bounds.until.over() => Err(too_late().into()),
        _ => Ok(()),
    }
}

#[derive(Clone, Debug)]
struct Lambda {
    asks: Asks,
    name: &'static str,
    aliases: Vec<String>,
    signature: HigherOrderSignature,
    bounds: Option<Bounds>,
}

impl PartialEq for Lambda {
    fn eq(&self, other: &Self) -> bool {
        self.asks == other.asks && self.bounds.is_some() == other.bounds.is_some()
    }
}

impl Eq for Lambda {}

impl Hash for Lambda {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.asks.hash(state);
    }
}

impl HigherOrderUDFImpl for Lambda {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [list @ DataType::List(_)] => Ok(vec![list.clone()]),
            [DataType::LargeList(item) | DataType::FixedSizeList(item, _)] => {
                Ok(vec![DataType::List(Arc::clone(item))])
            }
            [DataType::Null] => Ok(vec![DataType::List(Arc::new(Field::new_list_field(
                DataType::Null,
                true,
            )))]),
            _ => plan_err!(
                "{} takes a list and a lambda: {}(list, x -> …)",
                self.name,
                self.name
            ),
        }
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        match fields.first() {
            Some(ValueOrLambda::Value(list)) => {
                Ok(LambdaParametersProgress::Complete(vec![vec![item_of(
                    list.data_type(),
                )?]]))
            }
            _ => plan_err!(
                "{} takes a list and a lambda: {}(list, x -> …)",
                self.name,
                self.name
            ),
        }
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [ValueOrLambda::Value(list), ValueOrLambda::Lambda(body)] = args.arg_fields else {
            return plan_err!(
                "{} takes a list and a lambda: {}(list, x -> …)",
                self.name,
                self.name
            );
        };
        let data_type = match self.asks {
            Asks::Transform => DataType::List(Arc::new(Field::new_list_field(
                body.data_type().clone(),
                true,
            ))),
            _ if !matches!(body.data_type(), DataType::Boolean | DataType::Null) => {
                return plan_err!("the lambda of {} has to be a condition", self.name);
            }
            Asks::Filter => DataType::List(item_of(list.data_type())?),
            Asks::Any | Asks::All | Asks::None => DataType::Boolean,
        };
        Ok(Arc::new(Field::new("", data_type, true)))
    }

    // It would spread a constant list over all rows first.
    fn clear_null_values(&self) -> bool {
        false
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let [ValueOrLambda::Value(list), ValueOrLambda::Lambda(lambda)] = args.args.as_slice()
        else {
            return internal_err!("{} takes a list and a lambda", self.name);
        };
        let (array, one) = match list {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array_of_size(1)?, true),
        };
        let Some(list) = array.as_list_opt::<i32>() else {
            return internal_err!("{} takes a list", self.name);
        };
        let lists = Lists {
            list,
            one,
            rows: args.number_rows,
        };
        let made = match (self.asks, args.return_field.data_type()) {
            (Asks::Transform, DataType::List(item)) => self.transform(&lists, lambda, item)?,
            (Asks::Filter, DataType::List(item)) => self.filter(&lists, lambda, item)?,
            _ => self.matches(&lists, lambda)?,
        };
        if let Some(bounds) = &self.bounds {
            let size = made.to_data().get_slice_memory_size()?;
            bounds.meter.note(bounds.call, size)?;
        }
        Ok(ColumnarValue::Array(made))
    }
}

fn item_of(list: &DataType) -> Result<FieldRef> {
    match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Ok(Arc::clone(item))
        }
        DataType::Null => Ok(Arc::new(Field::new_list_field(DataType::Null, true))),
        other => plan_err!("a lambda is asked of the items of a list, not of {other}"),
    }
}

impl Lambda {
    /// What the lambda makes of every item of every row, in order.
    fn each(&self, lists: &Lists<'_>, lambda: &LambdaArgument) -> Result<Vec<ArrayRef>> {
        if self.bounds.is_none() && lists.all() > PLANNED {
            return Err(too_big().into());
        }
        let mut places = (0..lists.rows).flat_map(|row| {
            let row_number = u32::try_from(row).unwrap_or(u32::MAX);
            lists.items(row).map(move |item| (row_number, item as u32))
        });
        let (mut made, mut size) = (vec![], 0u64);
        loop {
            let (rows, items): (Vec<u32>, Vec<u32>) = places.by_ref().take(ITEMS).unzip();
            if rows.is_empty() {
                return Ok(made);
            }
            in_time(self.bounds.as_ref())?;
            let (rows, items) = (UInt32Array::from(rows), UInt32Array::from(items));
            let values = take(lists.list.values(), &items, None)?;
            let given = || Ok(Arc::clone(&values));
            let result = lambda.evaluate(&[&given], |outside| {
                let mut repeated = 0usize;
                for column in outside {
                    repeated = repeated.saturating_add(size_of(column, &rows)?);
                }
                if repeated as u64 > MADE {
                    return Err(too_big().into());
                }
                let spread = outside.iter().map(|column| Ok(take(column, &rows, None)?));
                spread.collect()
            })?;
            let result = result.into_array(rows.len())?;
            size += result.to_data().get_slice_memory_size()? as u64;
            if size > MADE {
                return Err(too_big().into());
            }
            made.push(result);
        }
    }

    fn together(made: &[ArrayRef], data_type: &DataType) -> Result<ArrayRef> {
        let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
        Ok(match made.as_slice() {
            [] => new_empty_array(data_type),
            made => concat(made)?,
        })
    }

    fn conditions(&self, lists: &Lists<'_>, lambda: &LambdaArgument) -> Result<BooleanArray> {
        let made = self.each(lists, lambda)?;
        let all = Self::together(&made, &DataType::Boolean)?;
        match all.as_boolean_opt() {
            Some(all) => Ok(all.clone()),
            None => Ok(BooleanArray::new_null(all.len())),
        }
    }

    fn transform(
        &self,
        lists: &Lists<'_>,
        lambda: &LambdaArgument,
        item: &FieldRef,
    ) -> Result<ArrayRef> {
        let made = self.each(lists, lambda)?;
        let values = Self::together(&made, item.data_type())?;
        list_of(lists, item, values, |row| lists.items(row).len())
    }

    fn filter(
        &self,
        lists: &Lists<'_>,
        lambda: &LambdaArgument,
        item: &FieldRef,
    ) -> Result<ArrayRef> {
        let keep = self.conditions(lists, lambda)?;
        let (mut sizes, mut at) = (vec![], 0);
        for row in 0..lists.rows {
            let items = lists.items(row).len();
            let kept = (at..at + items).filter(|i| keep.is_valid(*i) && keep.value(*i));
            sizes.push(kept.count());
            at += items;
        }
        // In pieces: the items of one list for all rows are many.
        let (mut made, mut at, mut size) = (vec![], 0, 0u64);
        for row in 0..lists.rows {
            let items = lists.items(row);
            let values = lists.list.values().slice(items.start, items.len());
            let kept = filter(&values, &keep.slice(at, items.len()))?;
            at += items.len();
            size += kept.to_data().get_slice_memory_size()? as u64;
            if size > MADE {
                return Err(too_big().into());
            }
            if !kept.is_empty() {
                made.push(kept);
            }
        }
        let values = Self::together(&made, item.data_type())?;
        list_of(lists, item, values, |row| sizes[row])
    }

    fn matches(&self, lists: &Lists<'_>, lambda: &LambdaArgument) -> Result<ArrayRef> {
        let holds = self.conditions(lists, lambda)?;
        let (mut made, mut at) = (BooleanBuilder::new(), 0);
        for row in 0..lists.rows {
            let items = at..at + lists.items(row).len();
            at = items.end;
            if lists.is_null(row) {
                made.append_null();
                continue;
            }
            let (mut yes, mut no, mut unknown) = (false, false, false);
            for i in items {
                match holds.is_valid(i).then(|| holds.value(i)) {
                    Some(true) => yes = true,
                    Some(false) => no = true,
                    None => unknown = true,
                }
            }
            made.append_option(match self.asks {
                Asks::All if no => Some(false),
                Asks::Any if yes => Some(true),
                Asks::None if yes => Some(false),
                _ if unknown => None,
                Asks::Any => Some(false),
                _ => Some(true),
            });
        }
        Ok(Arc::new(made.finish()))
    }
}

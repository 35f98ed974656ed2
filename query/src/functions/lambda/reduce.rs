//! `reduce(list, start, (s, x) -> …, s -> …)`: item after item into one value.
//!
//! One step takes the next item of every row that has one left, so that a step
//! is a call over a batch. Rows are put in the order of their lists' lengths:
//! those that are done lie behind those that go on.

use std::cmp::Reverse;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_empty_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda,
    Volatility,
};

use super::lists::{Lists, size_of};
use super::{Bounds, PLANNED, in_time, item_of};
use crate::functions::{MADE, too_big};

/// Its name.
pub(crate) const NAME: &str = "reduce";
/// As it is called.
pub(crate) const USAGE: &str = "reduce(list, start, (s, x) -> expression, s -> expression)";
/// What it says.
pub(crate) const SAYS: &str = "What the first expression makes of the start and the first item, of that and the second, and so on; \
     and what the second makes of the last.";

#[derive(Clone, Debug)]
pub(super) struct Reduce {
    signature: HigherOrderSignature,
    bounds: Option<Bounds>,
}

impl PartialEq for Reduce {
    fn eq(&self, other: &Self) -> bool {
        self.bounds.is_some() == other.bounds.is_some()
    }
}

impl Eq for Reduce {}

impl Hash for Reduce {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NAME.hash(state);
    }
}

/// The function as the engine calls it.
pub(super) fn udf() -> Arc<HigherOrderUDF> {
    Arc::new(HigherOrderUDF::new_from_impl(Reduce {
        signature: HigherOrderSignature::exact(
            vec![
                ValueOrLambda::Value(()),
                ValueOrLambda::Value(()),
                ValueOrLambda::Lambda(()),
                ValueOrLambda::Lambda(()),
            ],
            Volatility::Immutable,
        ),
        bounds: None,
    }))
}

fn call_it_right<T>() -> Result<T> {
    plan_err!("reduce takes a list, a start and two lambdas: {USAGE}")
}

impl HigherOrderUDFImpl for Reduce {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [list, start] = given else {
            return call_it_right();
        };
        Ok(vec![
            DataType::List(item_of(list)?),
            // A view is a way to keep a text, and not what texts are made as.
            match start {
                DataType::Utf8View => DataType::Utf8,
                other => other.clone(),
            },
        ])
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let [
            ValueOrLambda::Value(list),
            ValueOrLambda::Value(start),
            ValueOrLambda::Lambda(step),
            _,
        ] = fields
        else {
            return call_it_right();
        };
        let item = item_of(list.data_type())?;
        let field = |of: &FieldRef| Arc::new(Field::new("", of.data_type().clone(), true));
        // What the step makes is what the next begins with.
        Ok(match step {
            None => LambdaParametersProgress::Partial(vec![Some(vec![field(start), item]), None]),
            Some(made) => {
                LambdaParametersProgress::Complete(vec![vec![field(made), item], vec![field(made)]])
            }
        })
    }

    fn coerce_values_for_lambdas(
        &self,
        fields: &[ValueOrLambda<DataType, DataType>],
    ) -> Result<Option<Vec<DataType>>> {
        match fields {
            [
                ValueOrLambda::Value(list),
                _,
                ValueOrLambda::Lambda(step),
                _,
            ] => Ok(Some(vec![list.clone(), step.clone()])),
            _ => call_it_right(),
        }
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [_, _, _, ValueOrLambda::Lambda(end)] => {
                Ok(Arc::new(Field::new("", end.data_type().clone(), true)))
            }
            _ => call_it_right(),
        }
    }

    // It would spread a constant list over all rows first.
    fn clear_null_values(&self) -> bool {
        false
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let [
            ValueOrLambda::Value(list),
            ValueOrLambda::Value(start),
            ValueOrLambda::Lambda(step),
            ValueOrLambda::Lambda(end),
        ] = args.args.as_slice()
        else {
            return internal_err!("{USAGE}");
        };
        let (array, one) = match list {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array_of_size(1)?, true),
        };
        let Some(list) = array.as_list_opt::<i32>() else {
            return internal_err!("reduce takes a list");
        };
        let lists = Lists {
            list,
            one,
            rows: args.number_rows,
        };
        if self.bounds.is_none() && lists.all() > PLANNED {
            return Err(too_big().into());
        }
        let state = self.reduced(&lists, start.to_array(lists.rows)?, step)?;
        let given = || Ok(Arc::clone(&state));
        let made = end.evaluate(&[&given], |outside| Ok(outside.to_vec()))?;
        let made = made.into_array(lists.rows)?;
        // Of no list there is nothing.
        let rows = 0..u32::try_from(lists.rows).unwrap_or(u32::MAX);
        let there = rows.map(|row| (!lists.is_null(row as usize)).then_some(row));
        let made = take(&made, &there.collect::<UInt32Array>(), None)?;
        if let Some(bounds) = &self.bounds {
            let size = made.to_data().get_slice_memory_size()?;
            bounds.meter.note(bounds.call, size)?;
        }
        Ok(ColumnarValue::Array(made))
    }
}

impl Reduce {
    pub(super) fn within(&self, bounds: Bounds) -> HigherOrderUDF {
        HigherOrderUDF::new_from_impl(Self {
            bounds: Some(bounds),
            ..self.clone()
        })
    }

    /// What is left of each row after its last item.
    fn reduced(
        &self,
        lists: &Lists<'_>,
        start: ArrayRef,
        step: &LambdaArgument,
    ) -> Result<ArrayRef> {
        let mut order: Vec<usize> = (0..lists.rows).collect();
        order.sort_by_key(|row| Reverse(lists.items(*row).len()));
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let rows: UInt32Array = order.iter().map(|row| number(*row)).collect();
        let mut state = take(&start, &rows, None)?;
        let data_type = state.data_type().clone();
        // The last come first.
        let mut done: Vec<ArrayRef> = vec![];
        for n in 0.. {
            let left = order.partition_point(|row| lists.items(*row).len() > n);
            done.push(state.slice(left, state.len() - left));
            if left == 0 {
                break;
            }
            in_time(self.bounds.as_ref())?;
            let before = state.slice(0, left);
            let rows = rows.slice(0, left);
            let places = order[..left].iter();
            let items: UInt32Array = places
                .map(|row| number(lists.items(*row).start + n))
                .collect();
            let items = take(lists.list.values(), &items, None)?;
            let (first, second) = (|| Ok(Arc::clone(&before)), || Ok(Arc::clone(&items)));
            let made = step.evaluate(&[&first, &second], |outside| {
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
            state = cast(&made.into_array(left)?, &data_type)?;
            if state.to_data().get_slice_memory_size()? as u64 > MADE {
                return Err(too_big().into());
            }
        }
        done.reverse();
        let done: Vec<&dyn Array> = done.iter().map(AsRef::as_ref).collect();
        let done = match done.as_slice() {
            [] => new_empty_array(&data_type),
            done => concat(done)?,
        };
        let mut places = vec![0; lists.rows];
        for (place, row) in order.iter().enumerate() {
            places[*row] = number(place);
        }
        Ok(take(&done, &UInt32Array::from(places), None)?)
    }
}

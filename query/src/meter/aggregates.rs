//! Aggregate functions whose values are counted.
//!
//! Two things are in nobody's account. As a group's function, `array_agg` keeps
//! views: it tells their own sixteen bytes, and not the texts that they hold on
//! to. As a window's, every aggregate gives a value a row, a running
//! `string_agg` a longer one each time; and nobody asks what it keeps.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};

use super::{COPIES, Meter};
use crate::weight;

/// How many more bytes a window's function takes in before it is asked again
/// what it keeps: some look at each of their values to tell.
const LOOK: usize = 1 << 20;

/// Whose values one function makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    /// A group's; so it is the meter's call of this number.
    Groups(usize),
    /// A window's.
    Windows,
}

/// `function` of groups, counted where it has to be.
pub(super) fn of_groups(function: Arc<AggregateUDF>, meter: &Arc<Meter>) -> Arc<AggregateUDF> {
    // What the others keep, they tell; and what they give is no longer than
    // one of the values that they were given.
    if !matches!(function.name(), "array_agg" | "string_agg") {
        return function;
    }
    counted(&function, meter, Of::Groups(meter.place()))
}

/// `function` of windows, counted.
pub(super) fn of_windows(function: &Arc<AggregateUDF>, meter: &Arc<Meter>) -> Arc<AggregateUDF> {
    counted(function, meter, Of::Windows)
}

fn counted(function: &AggregateUDF, meter: &Arc<Meter>, of: Of) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Counted {
        inner: Arc::clone(function.inner()),
        meter: Arc::clone(meter),
        of,
    }))
}

/// An aggregate function whose values are counted.
#[derive(Clone, Debug)]
struct Counted {
    inner: Arc<dyn AggregateUDFImpl>,
    meter: Arc<Meter>,
    of: Of,
}

impl Counted {
    fn within(&self, inner: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
        let meter = Arc::clone(&self.meter);
        match self.of {
            Of::Groups(call) => Box::new(OfGroup {
                inner,
                meter,
                call,
                texts: 0,
            }),
            Of::Windows => Box::new(OfWindow {
                inner,
                meter,
                taken: 0,
                looked: 0,
                kept: 0,
            }),
        }
    }
}

// Two equal calls stay equal: the planner looks for those.
impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.inner.as_ref() == other.inner.as_ref()
            && Arc::ptr_eq(&self.meter, &other.meter)
            && matches!(self.of, Of::Groups(_)) == matches!(other.of, Of::Groups(_))
    }
}

impl Eq for Counted {}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.dyn_hash(state);
    }
}

impl AggregateUDFImpl for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.human_display(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_schema_name(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.display_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(arg_fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(self.within(self.inner.accumulator(args)?))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let inner = self.inner.create_groups_accumulator(args)?;
        Ok(match self.of {
            Of::Windows => inner,
            Of::Groups(call) => Box::new(OfGroups {
                inner,
                meter: Arc::clone(&self.meter),
                call,
                texts: 0,
            }),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(self.within(self.inner.create_sliding_accumulator(args)?))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = Arc::clone(&self.inner).with_beneficial_ordering(beneficial)?;
        Ok(inner.map(|inner| {
            Arc::new(Self {
                inner,
                ..Self::clone(&self)
            }) as Arc<dyn AggregateUDFImpl>
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_expr() {
            ReversedUDAF::Reversed(function) => {
                ReversedUDAF::Reversed(counted(&function, &self.meter, self.of))
            }
            other => other,
        }
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.inner.supports_within_group_clause()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }
}

fn texts(arrays: &[ArrayRef]) -> usize {
    arrays.iter().map(|a| weight::of_texts(a.as_ref())).sum()
}

/// One group's values.
#[derive(Debug)]
struct OfGroup {
    inner: Box<dyn Accumulator>,
    meter: Arc<Meter>,
    call: usize,
    /// The texts behind the views that came in.
    texts: usize,
}

impl Accumulator for OfGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.texts += texts(values);
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.inner.evaluate()?;
        self.meter.add(self.call, weight::of_value(&value))?;
        Ok(value)
    }

    fn size(&self) -> usize {
        self.inner.size() + self.texts
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.texts += texts(states);
        self.inner.merge_batch(states)
    }
}

/// The values of many groups.
struct OfGroups {
    inner: Box<dyn GroupsAccumulator>,
    meter: Arc<Meter>,
    call: usize,
    texts: usize,
}

impl OfGroups {
    /// Some groups have gone: so has the part of the texts that their part of
    /// the rest stands for.
    fn emitted(&mut self, before: usize) {
        let left = self.inner.size().min(before);
        let part = self.texts as f64 * left as f64 / before.max(1) as f64;
        self.texts = part as usize;
    }
}

impl GroupsAccumulator for OfGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.texts += texts(values);
        self.inner
            .update_batch(values, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let before = self.inner.size();
        let values = self.inner.evaluate(emit_to)?;
        self.emitted(before);
        self.meter
            .add(self.call, weight::of_array(values.as_ref()))?;
        Ok(values)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let before = self.inner.size();
        let state = self.inner.state(emit_to)?;
        self.emitted(before);
        Ok(state)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.texts += texts(values);
        self.inner
            .merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, opt_filter)
    }

    fn size(&self) -> usize {
        self.inner.size() + self.texts
    }
}

/// The values of one window.
#[derive(Debug)]
struct OfWindow {
    inner: Box<dyn Accumulator>,
    meter: Arc<Meter>,
    /// How many bytes came in.
    taken: usize,
    /// How many had come in when it was last asked what it keeps.
    looked: usize,
    /// What it keeps, as far as is known.
    kept: usize,
}

impl OfWindow {
    fn took(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.taken += values
            .iter()
            .map(|v| weight::of_array(v.as_ref()))
            .sum::<usize>();
        if self.taken - self.looked < LOOK {
            return Ok(());
        }
        self.looked = self.taken;
        let now = self.inner.size();
        if now > self.kept {
            self.meter.hold(now - self.kept)?;
        } else {
            self.meter.let_go(self.kept - now);
        }
        self.kept = now;
        Ok(())
    }
}

impl Accumulator for OfWindow {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(values)?;
        self.took(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.inner.evaluate()?;
        if weight::is_long(&value.data_type()) {
            self.meter.hold(COPIES * weight::of_value(&value))?;
        }
        Ok(value)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

impl Drop for OfWindow {
    fn drop(&mut self) {
        self.meter.let_go(self.kept);
    }
}

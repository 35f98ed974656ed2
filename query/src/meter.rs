//! What function calls make and windows hold back, counted in the query's
//! memory.
//!
//! Operators reserve what they keep; what an expression makes of a batch is in
//! nobody's account, and a statement may hold hundreds of calls that each copy
//! a long column. So each call in the finished plan is wrapped, and the largest
//! result that a call has made so far stays reserved until the query is over,
//! once for every copy of it that can be about. A call that would not fit fails
//! the query before a second result of that size is made.
//!
//! - [`aggregates`]: lists and texts of whole groups; what a window's aggregates
//!   keep and give
//! - [`evaluators`]: what the functions give that only windows have
//! - [`passing`]: the rows that windows hold back

mod aggregates;
mod evaluators;
pub(crate) mod passing;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{ByteViewType, DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, WindowFunctionDefinition,
};
use parking_lot::Mutex;

use crate::weight::is_long;

/// How many results of one call in one partition are about at the same time:
/// one that is being made, and one that is on its way out.
const COPIES: usize = 2;
/// In which steps the account of windows grows, in bytes: they count value by
/// value.
const STEP: usize = 1 << 20;

/// What the calls of one query have made.
#[derive(Debug)]
pub(crate) struct Meter {
    reservation: MemoryReservation,
    /// Of each call, the largest result so far, in bytes.
    largest: Mutex<Vec<usize>>,
    copies: usize,
    windows: Mutex<Windows>,
}

/// What windows hold: rows, what their functions keep, and what these made.
#[derive(Debug)]
struct Windows {
    reservation: MemoryReservation,
    held: usize,
}

impl Meter {
    /// A meter of a query that works in so many partitions at once.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, partitions: usize) -> Arc<Self> {
        Arc::new(Self {
            reservation: MemoryConsumer::new("functions").register(pool),
            largest: Mutex::default(),
            copies: COPIES * partitions.max(1),
            windows: Mutex::new(Windows {
                reservation: MemoryConsumer::new("windows").register(pool),
                held: 0,
            }),
        })
    }

    /// A place in the account for one call.
    pub(crate) fn place(&self) -> usize {
        let mut largest = self.largest.lock();
        largest.push(0);
        largest.len() - 1
    }

    /// Fails when the query may not take what this result takes.
    pub(crate) fn note(&self, call: usize, made: usize) -> Result<()> {
        let mut largest = self.largest.lock();
        let Some(before) = largest.get_mut(call).filter(|before| **before < made) else {
            return Ok(());
        };
        let more = (made - *before).saturating_mul(self.copies);
        self.reservation.try_grow(more)?;
        *before = made;
        Ok(())
    }

    /// Fails when the query may not take what this result takes beside all that
    /// the same call has made before.
    fn add(&self, call: usize, made: usize) -> Result<()> {
        let mut largest = self.largest.lock();
        let Some(before) = largest.get_mut(call) else {
            return Ok(());
        };
        self.reservation.try_grow(made)?;
        *before += made;
        Ok(())
    }

    /// Fails when windows may not hold so many bytes more.
    fn hold(&self, bytes: usize) -> Result<()> {
        let mut windows = self.windows.lock();
        windows.held = windows.held.saturating_add(bytes);
        let (held, reserved) = (windows.held, windows.reservation.size());
        if held <= reserved {
            return Ok(());
        }
        windows.reservation.try_grow(held - reserved + STEP)
    }

    /// So many of them are gone.
    fn let_go(&self, bytes: usize) {
        let mut windows = self.windows.lock();
        windows.held = windows.held.saturating_sub(bytes);
        let spare = windows.reservation.size().saturating_sub(windows.held);
        if spare > 4 * STEP {
            windows.reservation.shrink(spare - STEP);
        }
    }
}

/// Makes every call in `plan` that can make anything long tell `meter`.
pub(crate) fn metered(plan: LogicalPlan, meter: &Arc<Meter>) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        // The plan's columns keep their names and types: a wrapped call has
        // those of the call.
        node.map_expressions(|e| {
            e.transform_up(|e| {
                Ok(match e {
                    Expr::ScalarFunction(call) => {
                        Transformed::yes(Expr::ScalarFunction(wrapped(call, meter)))
                    }
                    Expr::AggregateFunction(AggregateFunction { func, params }) => {
                        let func = aggregates::of_groups(func, meter);
                        Transformed::yes(Expr::AggregateFunction(AggregateFunction {
                            func,
                            params,
                        }))
                    }
                    Expr::WindowFunction(call) => {
                        let WindowFunction { fun, params } = *call;
                        let fun = of_windows(fun, meter);
                        Transformed::yes(Expr::from(WindowFunction { fun, params }))
                    }
                    other => Transformed::no(other),
                })
            })
        })
    })
    .data()
}

fn of_windows(function: WindowFunctionDefinition, meter: &Arc<Meter>) -> WindowFunctionDefinition {
    match function {
        WindowFunctionDefinition::AggregateUDF(function) => {
            WindowFunctionDefinition::AggregateUDF(aggregates::of_windows(&function, meter))
        }
        WindowFunctionDefinition::WindowUDF(function) => {
            WindowFunctionDefinition::WindowUDF(evaluators::counted(function, meter))
        }
    }
}

fn wrapped(call: ScalarFunction, meter: &Arc<Meter>) -> ScalarFunction {
    let metered = Metered {
        inner: call.func,
        meter: Arc::clone(meter),
        call: meter.place(),
    };
    ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(metered)), call.args)
}

/// A function whose results are counted.
#[derive(Debug)]
struct Metered {
    inner: Arc<ScalarUDF>,
    meter: Arc<Meter>,
    /// Which call of the statement this is.
    call: usize,
}

// Two equal calls stay equal: the planner looks for those.
impl PartialEq for Metered {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner && Arc::ptr_eq(&self.meter, &other.meter)
    }
}

impl Eq for Metered {}

impl Hash for Metered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Metered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    // What the planner makes use of, so that a counted call plans as any other.
    fn is_strict(&self) -> bool {
        self.inner.inner().is_strict()
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.inner().evaluate_bounds(input)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        inputs: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.inner.inner().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.inner().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.inner().preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.inner().strictly_order_preserving(inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given: Vec<Buffer> = args
            .args
            .iter()
            .filter_map(|arg| match arg {
                ColumnarValue::Array(array) => Some(shared_buffers(array)),
                ColumnarValue::Scalar(_) => None,
            })
            .flatten()
            .collect();
        let result = self.inner.invoke_with_args(args)?;
        if let ColumnarValue::Array(array) = &result
            && is_long(array.data_type())
        {
            self.meter.note(self.call, made(array, &given)?)?;
        }
        Ok(result)
    }
}

fn texts_of<T: ByteViewType>(views: &GenericByteViewArray<T>) -> Vec<Buffer> {
    views.data_buffers().to_vec()
}

/// The texts behind an array of views.
fn shared_buffers(array: &ArrayRef) -> Vec<Buffer> {
    if let Some(views) = array.as_string_view_opt() {
        return texts_of(views);
    }
    array.as_binary_view_opt().map(texts_of).unwrap_or_default()
}

/// How many bytes of an array are new: views may stand for what was given.
fn made(array: &ArrayRef, given: &[Buffer]) -> Result<usize> {
    let is_view = matches!(array.data_type(), DataType::Utf8View | DataType::BinaryView);
    if !is_view {
        return Ok(array.to_data().get_slice_memory_size()?);
    }
    let new = shared_buffers(array)
        .iter()
        .filter(|b| !given.iter().any(|g| g.as_ptr() == b.as_ptr()))
        .map(Buffer::len)
        .sum::<usize>();
    Ok(array.len() * size_of::<u128>() + new)
}

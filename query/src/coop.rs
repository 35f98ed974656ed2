//! Joins that let go of their thread.
//!
//! The engine's operators yield where rows enter a plan. A join makes many
//! rows of few, and whoever counts them may run on for hours without coming
//! back to where rows enter: a time-out would never be looked at. So every
//! operator that can multiply rows is made to yield as well; and the condition
//! of a join, which may turn rows down by the billion before one comes out,
//! looks at the clock itself.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use tokio::time::Instant;

use crate::stream::too_late;

/// Wraps what multiplies rows in [`CooperativeExec`].
#[derive(Debug)]
pub(crate) struct YieldInJoins;

impl PhysicalOptimizerRule for YieldInJoins {
    fn name(&self) -> &str {
        "YieldInJoins"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let multiplies = node.is::<CrossJoinExec>()
                || node.is::<NestedLoopJoinExec>()
                || node.is::<HashJoinExec>()
                || node.is::<SortMergeJoinExec>()
                || node.is::<UnnestExec>();
            Ok(match multiplies {
                true => Transformed::yes(Arc::new(CooperativeExec::new(node)) as _),
                false => Transformed::no(node),
            })
        })
        .data()
    }
}

/// Whether a query still has somebody to work for, and time.
#[derive(Debug)]
pub(crate) struct Until {
    deadline: Instant,
    gone: AtomicBool,
}

impl Until {
    pub(crate) fn new(deadline: Instant) -> Arc<Self> {
        Arc::new(Self {
            deadline,
            gone: AtomicBool::new(false),
        })
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn stop(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub(crate) fn over(&self) -> bool {
        self.gone.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// Makes the conditions of the plan's joins look at `until`.
pub(crate) fn stoppable(plan: LogicalPlan, until: &Arc<Until>) -> Result<LogicalPlan> {
    let watched = Arc::new(ScalarUDF::new_from_impl(WhileTime {
        until: Arc::clone(until),
        signature: Signature::any(1, Volatility::Stable),
    }));
    plan.transform_up_with_subqueries(|node| {
        Ok(match node {
            LogicalPlan::Join(mut join) if join.filter.is_some() => {
                join.filter = join.filter.map(|filter| {
                    let call = ScalarFunction::new_udf(Arc::clone(&watched), vec![filter]);
                    Expr::ScalarFunction(call)
                });
                Transformed::yes(LogicalPlan::Join(join))
            }
            other => Transformed::no(other),
        })
    })
    .data()
}

/// Its argument, as long as there is time.
#[derive(Debug)]
struct WhileTime {
    until: Arc<Until>,
    signature: Signature,
}

impl PartialEq for WhileTime {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.until, &other.until)
    }
}

impl Eq for WhileTime {}

impl Hash for WhileTime {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.until).hash(state);
    }
}

impl ScalarUDFImpl for WhileTime {
    fn name(&self) -> &str {
        "while_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.until.over() {
            return Err(too_late().into());
        }
        match args.args.into_iter().next() {
            Some(condition) => Ok(condition),
            None => internal_err!("no condition"),
        }
    }
}

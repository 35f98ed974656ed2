//! Rows that windows hold back, counted.
//!
//! A window keeps the rows that came in until it has their values: all rows of
//! its input, where a frame reaches to the end, and no operator of windows
//! tells anybody. So what comes in is counted below each of them, and what goes
//! on above it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use super::{COPIES, Meter};
use crate::weight;

/// Counts what the windows in a finished plan hold back. After the optimizer,
/// which knows nothing of these nodes.
pub(crate) fn counted(
    plan: Arc<dyn ExecutionPlan>,
    meter: &Arc<Meter>,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let calls = match (
            node.downcast_ref::<WindowAggExec>(),
            node.downcast_ref::<BoundedWindowAggExec>(),
        ) {
            (Some(window), _) => window.window_expr().len(),
            (_, Some(window)) => window.window_expr().len(),
            _ => return Ok(Transformed::no(node)),
        };
        let Some(input) = node.children().first().map(|input| Arc::clone(input)) else {
            return Ok(Transformed::no(node));
        };
        let partitions = input.output_partitioning().partition_count();
        let held: Arc<[Held]> = (0..partitions)
            .map(|_| Held::new(Arc::clone(meter)))
            .collect();
        let below = Counted::new(input, Side::Below, &held);
        let window = node.replace_children(
            vec![Arc::new(below)],
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep),
        )?;
        let above = Counted::new(window, Side::Above { calls }, &held);
        Ok(Transformed::yes(Arc::new(above) as _))
    })
    .data()
}

/// What one partition of a window holds back.
#[derive(Debug)]
struct Held {
    meter: Arc<Meter>,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    came: usize,
    went: usize,
    /// In bytes: of all that came, and of what is counted now.
    weight: usize,
    counted: usize,
}

impl Held {
    fn new(meter: Arc<Meter>) -> Self {
        Self {
            meter,
            rows: Mutex::default(),
        }
    }

    fn came(&self, batch: &RecordBatch) -> Result<()> {
        let weight = weight::of_batch(batch);
        let mut rows = self.rows.lock();
        rows.came += batch.num_rows();
        rows.weight += weight;
        rows.counted += weight;
        self.meter.hold(weight)
    }

    /// `batch` goes on, the values of `calls` functions in its last columns.
    fn went(&self, batch: &RecordBatch, calls: usize) {
        let first = batch.num_columns().saturating_sub(calls);
        let values = batch.columns()[first..].iter();
        let made: usize = values
            .filter(|v| weight::is_long(v.data_type()))
            .map(|v| weight::of_array(v.as_ref()))
            .sum();
        self.meter.let_go(COPIES * made);
        let mut rows = self.rows.lock();
        rows.went += batch.num_rows();
        // Rows go on in the order in which they came, but the sum is kept of
        // all of them only.
        let left = rows.came.saturating_sub(rows.went) as f64 / rows.came.max(1) as f64;
        let now = (rows.weight as f64 * left) as usize;
        self.meter.let_go(rows.counted.saturating_sub(now));
        rows.counted = rows.counted.min(now);
    }

    fn over(&self) {
        let mut rows = self.rows.lock();
        self.meter.let_go(rows.counted);
        rows.counted = 0;
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    /// Of what a window takes in.
    Below,
    /// Of what it gives, `calls` of its functions' values in each row.
    Above { calls: usize },
}

/// Its input's rows, looked at as they pass.
#[derive(Debug)]
struct Counted {
    input: Arc<dyn ExecutionPlan>,
    side: Side,
    held: Arc<[Held]>,
    properties: Arc<PlanProperties>,
}

impl Counted {
    fn new(input: Arc<dyn ExecutionPlan>, side: Side, held: &Arc<[Held]>) -> Self {
        Self {
            properties: Arc::clone(input.properties()),
            input,
            side,
            held: Arc::clone(held),
        }
    }
}

impl DisplayAs for Counted {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counted")
    }
}

impl ExecutionPlan for Counted {
    fn name(&self) -> &str {
        "Counted"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(
            children.swap_remove(0),
            self.side,
            &self.held,
        )))
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(
            children.swap_remove(0),
            self.side,
            &self.held,
        )))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(Passing {
            rows: self.input.execute(partition, context)?,
            side: self.side,
            held: Arc::clone(&self.held),
            partition,
        }))
    }
}

struct Passing {
    rows: SendableRecordBatchStream,
    side: Side,
    held: Arc<[Held]>,
    partition: usize,
}

impl Stream for Passing {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.rows.poll_next_unpin(cx);
        if let (Poll::Ready(Some(Ok(batch))), Some(held)) = (&next, self.held.get(self.partition)) {
            match self.side {
                Side::Below => held.came(batch)?,
                Side::Above { calls } => held.went(batch, calls),
            }
        }
        next
    }
}

impl RecordBatchStream for Passing {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // The one below is dropped first, when its rows are still there.
        if let (Side::Above { .. }, Some(held)) = (self.side, self.held.get(self.partition)) {
            held.over();
        }
    }
}

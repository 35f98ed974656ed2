//! Grouping sets have no constants.
//!
//! In `GROUP BY ROLLUP (a, 'x')` each column of the result is null wherever its
//! expression is not in the set. DataFusion 55.2 takes what held of the
//! expressions before the grouping to hold of those columns
//! (`AggregateExec::compute_properties`): that a literal is constant, that one
//! column equals another. It then leaves them out of `ORDER BY`, and the answer
//! comes in the wrong order, with LIMIT the wrong rows. So each grouping by sets
//! is put below a node that promises nothing but its columns.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

/// Puts [`PlainRows`] above each grouping by sets. Has to come before the rules
/// that look at orders.
#[derive(Debug)]
pub(crate) struct NoConstantsInSets;

impl PhysicalOptimizerRule for NoConstantsInSets {
    fn name(&self) -> &str {
        "NoConstantsInSets"
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
            let sets = node
                .downcast_ref::<AggregateExec>()
                .is_some_and(|aggregate| aggregate.group_expr().groups().len() > 1);
            Ok(match sets {
                true => Transformed::yes(Arc::new(PlainRows::new(node)) as _),
                false => Transformed::no(node),
            })
        })
        .data()
    }
}

/// Its input's rows, of which nothing is known.
#[derive(Debug)]
struct PlainRows {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl PlainRows {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let nothing = EquivalenceProperties::new(input.schema());
        let properties = PlanProperties::clone(input.properties()).with_eq_properties(nothing);
        Self {
            input,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for PlainRows {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainRows")
    }
}

impl ExecutionPlan for PlainRows {
    fn name(&self) -> &str {
        "PlainRows"
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
        Ok(Arc::new(Self::new(children.swap_remove(0))))
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}

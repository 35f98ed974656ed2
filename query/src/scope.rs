//! The account filter: a plan node of its own, directly above the raw scan,
//! and the only way to what the scan reads.
//!
//! The scan is not a child that the optimizer could see and rewrite; it is
//! held inside. Whatever the engine wants of the scan it has to ask this node,
//! which lets through:
//!
//! - plain comparisons and filters made up by operators above ([`plain`]),
//!   which choose what to read and cannot fail;
//! - a wish for an order, which chooses what to read first;
//! - no statistics: `count(*)` counts rows that passed.
//!
//! It is the column filter as well: a withheld column comes out as nulls, and
//! nothing that names it gets below. There it has another name, which no file
//! and no batch of fresh rows has, so that nothing could be read by mistake.
//!
//! Every row is checked here, exactly, whatever the scan already left out.

mod show;
mod whose;

pub(crate) use whose::Scope;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::SchemaRef;
use cairn_schemas::columns::PARTITION_COLUMN;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_expr_common::sort_expr::PhysicalSortExpr;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
    PushedDown,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ExecutionPlan, Partitioning, PlanProperties, SortOrderPushdownResult, StatisticsArgs,
};
use futures::{StreamExt, TryStreamExt};

use crate::asof::Past;
use crate::plain;

/// A scan of one table, seen through the accounts of a principal.
#[derive(Clone, Debug)]
pub(crate) struct ScopeExec {
    table: String,
    scope: Scope,
    /// What comes out.
    output: SchemaRef,
    /// What is read: the output's columns, those that are withheld under names
    /// that nothing has, and after them those that choose rows and that the
    /// output does not have.
    columns: SchemaRef,
    /// Every row of the files that matter; `None` when none does.
    raw: Option<Arc<dyn ExecutionPlan>>,
    /// Rows that are in no file yet, of every account, in the log's order.
    fresh: Vec<RecordBatch>,
    /// The state that is asked for, if not the newest.
    past: Option<Past>,
    /// What was pushed down to the scan, for the fresh rows, which have none.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ScopeExec {
    pub(crate) fn new(
        table: String,
        scope: Scope,
        output: SchemaRef,
        columns: SchemaRef,
        raw: Option<Arc<dyn ExecutionPlan>>,
        fresh: Vec<RecordBatch>,
        partitions: usize,
    ) -> Self {
        // The number of partitions is the same however many files there are,
        // and no order is promised: so that a plan, which EXPLAIN shows, does
        // not depend on what other accounts have stored.
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&output)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            table,
            scope,
            output,
            columns,
            raw,
            fresh,
            past: None,
            filters: vec![],
            fetch: None,
            properties: Arc::new(properties),
        }
    }

    /// The same in the state that is asked for. `columns` have to say which
    /// record a row comes from.
    pub(crate) fn in_state(self, past: Option<Past>) -> Self {
        Self { past, ..self }
    }

    /// The fresh rows that `partition` gives, newest first.
    fn fresh_of(&self, partition: usize, batch_size: usize) -> Vec<RecordBatch> {
        let all = self.properties.partitioning.partition_count();
        self.fresh
            .iter()
            .rev()
            .flat_map(|batch| {
                let parts = batch.num_rows().div_ceil(batch_size.max(1));
                (0..parts).rev().map(move |i| {
                    let start = i * batch_size;
                    batch.slice(start, batch_size.min(batch.num_rows() - start))
                })
            })
            .enumerate()
            .filter_map(|(i, batch)| (i % all == partition).then_some(batch))
            .collect()
    }

    /// Fresh rows in the form in which the scan gives stored ones, filtered as
    /// the scan filters.
    fn as_read(&self, fresh: &RecordBatch) -> Result<RecordBatch> {
        let arrays = self
            .columns
            .fields()
            .iter()
            .map(|field| match fresh.column_by_name(field.name()) {
                Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
                Some(array) => Ok(cast(array, field.data_type())?),
                None if field.is_nullable() => {
                    Ok(new_null_array(field.data_type(), fresh.num_rows()))
                }
                None => internal_err!("fresh rows lack the column {}", field.name()),
            })
            .collect::<Result<Vec<_>>>()?;
        batch_of(&self.columns, arrays, fresh.num_rows())
    }

    fn chosen(&self, mut batch: RecordBatch) -> Result<RecordBatch> {
        for filter in &self.filters {
            let kept = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
            let Some(kept) = kept.as_boolean_opt() else {
                return internal_err!("a filter is not a truth value");
            };
            batch = filter_record_batch(&batch, kept)?;
        }
        Ok(batch)
    }

    /// For each row of `batch` whether it may be seen; `None` when all may.
    fn mask(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let columns = self.scope.columns().iter();
        let columns: Vec<&ArrayRef> = columns
            .map(|name| Ok(batch.column(self.columns.index_of(name)?)))
            .collect::<Result<_>>()?;
        self.scope.mask(&columns)
    }

    /// Exactly the rows of the scope.
    fn own_rows(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if matches!(self.scope, Scope::All) {
            return Ok(batch);
        }
        let Some(mask) = self.mask(&batch)? else {
            return Ok(batch);
        };
        let batch = filter_record_batch(&batch, &mask)?;
        // The last line of defence, should a kernel ever fail us: better no
        // answer than another's row.
        if self.mask(&batch)?.is_some() {
            tracing::error!(table = %self.table, "query: a row of another account passed the account filter");
            return internal_err!("a row of another account passed the account filter");
        }
        Ok(batch)
    }

    /// Exactly the rows of the scope, and exactly the output's columns.
    fn scoped(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let mut batch = self.own_rows(batch)?;
        if let Some(past) = &self.past {
            batch = past.rows(batch, &self.columns)?;
        }
        let rows = batch.num_rows();
        // Whatever came for a withheld column: nothing of it goes on.
        let arrays = (0..self.output.fields().len())
            .map(|i| match self.withholds(i) {
                true => new_null_array(self.output.field(i).data_type(), rows),
                false => Arc::clone(batch.column(i)),
            })
            .collect();
        batch_of(&self.output, arrays, rows)
    }

    /// Whether the column of the output at this place is withheld.
    fn withholds(&self, at: usize) -> bool {
        self.columns.field(at).name() != self.output.field(at).name()
    }

    fn with_raw(&self, raw: Option<Arc<dyn ExecutionPlan>>) -> Self {
        Self {
            raw,
            ..self.clone()
        }
    }
}

fn batch_of(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        arrays,
        &options,
    )?)
}

impl ExecutionPlan for ScopeExec {
    fn name(&self) -> &str {
        "EventScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for filter in &self.filters {
            if f(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let raw = match &self.raw {
            Some(raw) => Some(Arc::clone(raw).reset_state()?),
            None => None,
        };
        Ok(Arc::new(self.with_raw(raw)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let fresh = self.fresh_of(partition, context.session_config().batch_size());
        let this = Arc::new(self.clone());
        let reader = Arc::clone(&this);
        let fresh = futures::stream::iter(fresh).map(move |batch| {
            reader.as_read(&batch).and_then(|b| {
                // The account filter first: a filter of the user's, however
                // plain, need not see what it need not see.
                let own = reader.own_rows(b)?;
                reader.chosen(own)
            })
        });
        let stored = match &self.raw {
            Some(raw) => raw.execute(partition, context)?.boxed(),
            None => futures::stream::empty().boxed(),
        };
        let source = fresh.chain(stored).boxed();
        let stream = futures::stream::try_unfold(
            (source, self.fetch, this),
            |(mut source, mut left, this)| async move {
                loop {
                    if left == Some(0) {
                        return Ok(None);
                    }
                    let Some(batch) = source.try_next().await? else {
                        return Ok(None);
                    };
                    let mut batch = this.scoped(batch)?;
                    if batch.num_rows() == 0 {
                        continue;
                    }
                    if let Some(left) = &mut left {
                        batch = batch.slice(0, batch.num_rows().min(*left));
                        *left -= batch.num_rows();
                    }
                    return Ok(Some((batch, (source, left, this))));
                }
            },
        );
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(
            Arc::clone(&self.output),
            stream.boxed(),
        ))))
    }

    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.output)))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        // Counted on what comes out, so that rows of others never use it up.
        Some(Arc::new(Self {
            fetch: limit,
            ..self.clone()
        }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let wanted = child_pushdown_result.parent_filters;
        let plain: Vec<bool> = wanted
            .iter()
            // A limit already counts rows; a filter put below it would change
            // which rows those are.
            .map(|w| self.fetch.is_none() && plain::physical(&w.filter, &self.columns))
            .collect();
        let accepted: Vec<Arc<dyn PhysicalExpr>> = wanted
            .iter()
            .zip(&plain)
            .filter(|(_, plain)| **plain)
            .map(|(w, _)| Arc::clone(&w.filter))
            .collect();
        if accepted.is_empty() {
            return Ok(FilterPushdownPropagation::with_parent_pushdown_result(
                vec![PushedDown::No; wanted.len()],
            ));
        }
        let mut answers = vec![PushedDown::Yes; accepted.len()];
        let mut raw = self.raw.clone();
        if let Some(scan) = &self.raw {
            let asked = ChildPushdownResult {
                parent_filters: accepted
                    .iter()
                    .map(|filter| ChildFilterPushdownResult {
                        filter: Arc::clone(filter),
                        child_results: vec![],
                    })
                    .collect(),
                self_filters: vec![],
            };
            let told = scan.handle_child_pushdown_result(phase, asked, config)?;
            answers = told.filters;
            raw = told.updated_node.or(raw);
        }
        let mut answers = answers.into_iter();
        let verdicts = plain
            .iter()
            .map(|plain| match plain {
                true => answers.next().unwrap_or(PushedDown::No),
                false => PushedDown::No,
            })
            .collect();
        let mut node = self.with_raw(raw);
        node.filters.extend(accepted);
        Ok(
            FilterPushdownPropagation::with_parent_pushdown_result(verdicts)
                .with_updated_node(Arc::new(node)),
        )
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let first = order.first().and_then(|o| o.expr.downcast_ref::<Column>());
        let Some(first) = first else {
            return Ok(SortOrderPushdownResult::Unsupported);
        };
        let kept = self
            .output
            .fields()
            .get(first.index())
            .is_some_and(|f| !f.data_type().is_nested() && f.name() != PARTITION_COLUMN)
            && !self.withholds(first.index());
        if !kept {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        // Always "inexact", whatever the files would allow: see `new`.
        let raw = match &self.raw {
            Some(raw) => raw
                .try_pushdown_sort(order)?
                .into_inner()
                .or_else(|| Some(Arc::clone(raw))),
            None => None,
        };
        Ok(SortOrderPushdownResult::Inexact {
            inner: Arc::new(self.with_raw(raw)),
        })
    }
}

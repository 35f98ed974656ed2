//! Tables whose rows are made at the moment of asking: `trails`, `accounts`,
//! `commits`, `queries` and whatever else the server knows of itself.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use cairn_schemas::control::Principal;
use datafusion::catalog::Session;
use datafusion::datasource::{MemTable, TableProvider, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::QueryError;

/// A table that `serve` fills in: with rows, or as a view. Rows are asked for
/// once per statement, for one principal, who decides which are given.
#[async_trait]
pub trait SystemTable: Send + Sync + std::fmt::Debug {
    /// Its name in the schema `public`: lower case, no quoting needed.
    fn name(&self) -> &str;

    /// Its columns. A field's metadata may hold a `comment` for `DESCRIBE`.
    fn schema(&self) -> SchemaRef;

    /// One sentence about it.
    fn comment(&self) -> &str;

    /// The question that it stands for, if it is a view. It becomes part of the
    /// statement's own plan: over the same snapshot, for the same principal,
    /// within the same limits. It may ask of event tables, and of no other
    /// view; its columns have the names that [`SystemTable::schema`] has.
    fn view_sql(&self) -> Option<&str> {
        None
    }

    /// Whether the view is of what Cairn recorded of the principal's own doing,
    /// and of nothing else: an administrator's shows what everybody did, within
    /// the administrator's accounts.
    fn is_of_own_acts(&self) -> bool {
        false
    }

    /// Its rows, for this principal. A view is never asked for them.
    async fn rows(&self, _principal: &Principal) -> Result<Vec<RecordBatch>, QueryError> {
        Ok(vec![])
    }
}

/// Rows already chosen for the principal.
#[derive(Debug)]
pub(crate) struct RowsTable(MemTable);

impl RowsTable {
    pub(crate) fn new(schema: SchemaRef, rows: Vec<RecordBatch>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self(MemTable::try_new(schema, vec![rows])?)))
    }
}

#[async_trait]
impl TableProvider for RowsTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }
}

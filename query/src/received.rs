//! The column `raw` of files that hold what the other columns lack of it
//! ([`cairn_store::outline`]).
//!
//! The engine asks for each file how an expression over the table's columns
//! becomes one over the file's. Here `raw` becomes [`Received`], which reads
//! what it takes to put the bytes together; a statement without `raw` reads
//! nothing more than before.
//!
//! No filter that names `raw` reaches a file ([`crate::plain`]): bytes are put together
//! for rows that are wanted, and above the account filter they are compared.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use cairn_schemas::columns::{OUTLINE_COLUMN, RAW_COLUMN};
use cairn_store::outline;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

/// For each file, [`DefaultPhysicalExprAdapterFactory`] and `raw`.
#[derive(Debug)]
pub(crate) struct FromOutlines;

impl PhysicalExprAdapterFactory for FromOutlines {
    fn create(
        &self,
        logical: SchemaRef,
        physical: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let received = match logical.index_of(RAW_COLUMN) {
            Ok(raw) => Received::of(&physical, logical.field(raw).data_type()),
            Err(_) => None,
        };
        let others = DefaultPhysicalExprAdapterFactory.create(logical, physical)?;
        Ok(match received {
            Some(received) => Arc::new(Adapter {
                received: Arc::new(received),
                others,
            }),
            None => others,
        })
    }
}

#[derive(Debug)]
struct Adapter {
    received: Arc<Received>,
    others: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        // The others first: what `raw` is made of are the file's columns already.
        let expr = self.others.rewrite(expr)?;
        expr.transform_down(|e| {
            let is_raw = e
                .downcast_ref::<Column>()
                .is_some_and(|c| c.name() == RAW_COLUMN);
            Ok(match is_raw {
                true => Transformed::new(
                    Arc::clone(&self.received) as Arc<dyn PhysicalExpr>,
                    true,
                    TreeNodeRecursion::Jump,
                ),
                false => Transformed::no(e),
            })
        })
        .data()
    }
}

/// `raw`, from the columns of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Received {
    /// `raw`, `raw_outline`, and then what outlines refer to, each with its place in
    /// the file.
    columns: Vec<Arc<dyn PhysicalExpr>>,
    /// Their names.
    names: Vec<&'static str>,
    to: DataType,
}

impl Received {
    /// Nothing for a file that holds `raw` as it is.
    fn of(physical: &Schema, to: &DataType) -> Option<Self> {
        let column = |name: &str| {
            let at = physical.index_of(name).ok()?;
            Some(Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>)
        };
        let (mut columns, mut names) = (Vec::new(), Vec::new());
        for name in [RAW_COLUMN, OUTLINE_COLUMN] {
            columns.push(column(name)?);
            names.push(name);
        }
        for name in outline::needed() {
            columns.extend(column(name).inspect(|_| names.push(name)));
        }
        Some(Self {
            columns,
            names,
            to: to.clone(),
        })
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RAW_COLUMN)
    }
}

impl PhysicalExpr for Received {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let arrays: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|c| c.evaluate(batch)?.into_array(batch.num_rows()))
            .collect::<Result<_>>()?;
        let column = |name: &str| {
            let at = self.names.iter().position(|n| *n == name)?;
            arrays.get(at)
        };
        let [raw, outline, ..] = arrays.as_slice() else {
            return internal_err!("raw and raw_outline are not there");
        };
        Ok(ColumnarValue::Array(outline::fill(
            raw, outline, column, &self.to,
        )?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.columns.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        columns: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self {
            columns,
            ..self.as_ref().clone()
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RAW_COLUMN)
    }
}

//! One table of events as this principal sees it in this statement: the
//! snapshot's files that can matter and its fresh rows, under the account
//! filter.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use cairn_schemas::Micros;
use cairn_schemas::columns::{PARTITION_COLUMN, SORT_COLUMN};
use cairn_store::view::{DataFile, TableSnapshot};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ColumnStatistics, DFSchema, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::{Column, in_list, lit};
use datafusion::physical_expr::{PhysicalExpr, conjunction_opt};
use datafusion::physical_expr_common::sort_expr::PhysicalSortExpr;
use datafusion::physical_plan::ExecutionPlan;

use crate::asof::Past;
use crate::plain;
use crate::prune::{may_meet, prune};
use crate::received::FromOutlines;
use crate::scope::{Scope, ScopeExec};

/// Files above this many bytes are worth reading in more than one part.
const SPLIT_ABOVE: u64 = 8 << 20;

/// A table of events, bound to a snapshot and to the accounts of a principal.
#[derive(Clone, Debug)]
pub(crate) struct EventTable {
    name: String,
    snapshot: TableSnapshot,
    /// The snapshot's schema with text as views, which filter and group faster.
    schema: SchemaRef,
    /// The same with the withheld columns under names that no file has: what
    /// is below the filter, and what may be pushed there, goes by these.
    readable: SchemaRef,
    scope: Scope,
    footers: Arc<FileMetadataCache>,
    /// The state that is asked for, if not the newest.
    past: Option<Past>,
}

/// The columns of a table, with those that are withheld under a name that no
/// file has and no statement can say. A reader that is asked for it finds
/// nothing and gives nulls, without a byte, a statistic or a bloom filter of
/// the column itself.
fn hidden_under_other_names(schema: &Schema, withheld: &BTreeSet<String>) -> SchemaRef {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|f| match withheld.contains(f.name()) {
            true => Arc::new(
                f.as_ref()
                    .clone()
                    .with_name(format!("\0withheld {}", f.name())),
            ),
            false => Arc::clone(f),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The same columns, those that are withheld as such that may be null.
pub(crate) fn nullable(schema: &Schema, withheld: &BTreeSet<String>) -> SchemaRef {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|f| match withheld.contains(f.name()) {
            true => Arc::new(f.as_ref().clone().with_nullable(true)),
            false => Arc::clone(f),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The same schema with top-level text as views.
pub(crate) fn with_views(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|f| match f.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => {
                Arc::new(f.as_ref().clone().with_data_type(DataType::Utf8View))
            }
            _ => Arc::clone(f),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

impl EventTable {
    pub(crate) fn new(
        name: String,
        snapshot: TableSnapshot,
        scope: Scope,
        withheld: &BTreeSet<String>,
        footers: Arc<FileMetadataCache>,
        past: Option<Past>,
    ) -> Self {
        let schema = nullable(&with_views(&snapshot.schema), withheld);
        Self {
            readable: hidden_under_other_names(&schema, withheld),
            schema,
            name,
            snapshot,
            scope,
            footers,
            past,
        }
    }

    /// The same rows as another scope shows them.
    pub(crate) fn seen_by(&self, scope: Scope) -> Self {
        Self {
            scope,
            ..self.clone()
        }
    }

    /// The files that can hold rows of the answer, newest first.
    fn files(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&DataFile>> {
        let files: Vec<&DataFile> = self
            .snapshot
            .files
            .iter()
            .filter(|f| self.scope.meets(f.accounts.as_deref()))
            .filter(|f| self.past.as_ref().is_none_or(|past| past.meets(f)))
            .collect();
        let predicate = match conjunction(
            filters
                .iter()
                .cloned()
                .map(unqualified)
                .collect::<Result<Vec<_>>>()?,
        ) {
            Some(predicate) => {
                let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
                Some(state.create_physical_expr(predicate, &schema)?)
            }
            None => None,
        };
        if let Some(past) = &self.past
            && let Some(before) = past.gone_before()
            && may_meet(before, predicate.as_ref(), &self.schema)
        {
            return Err(past.incomplete(&self.name).into());
        }
        let mut files = prune(files, predicate, &self.schema);
        files.sort_by_key(|f| Reverse((f.event_time.map(|t| t.1), f.ingest_time.map(|t| t.1))));
        Ok(files)
    }

    /// The raw scan: every row of `files`, of `columns` only. Nothing may read
    /// it but a [`ScopeExec`].
    fn raw(
        &self,
        state: &dyn Session,
        files: &[&DataFile],
        columns: &[FieldRef],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if files.is_empty() {
            return Ok(None);
        }
        let (partition, stored): (Vec<FieldRef>, Vec<FieldRef>) = columns
            .iter()
            .map(Arc::clone)
            .partition(|f| f.name() == PARTITION_COLUMN);
        let dated = !partition.is_empty();
        let table = TableSchema::builder(Arc::new(Schema::new(stored)))
            .with_table_partition_cols(partition)
            .build();
        let full = Arc::clone(table.table_schema());

        let mut options = state.default_table_options().parquet;
        options.global = state.config_options().execution.parquet.clone();
        let mut source = ParquetSource::new(table)
            .with_table_parquet_options(options)
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(true)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(
                Arc::clone(&self.snapshot.store),
                Arc::clone(&self.footers),
            )));
        // Where every file holds nothing but this principal's accounts the
        // predicate would only cost; ScopeExec checks each row either way.
        let mixed = files
            .iter()
            .any(|f| !self.scope.holds(f.accounts.as_deref()));
        if mixed && let Some(predicate) = self.scope_predicate(&full)? {
            source = source.with_predicate(predicate);
        }
        let indices = columns
            .iter()
            .map(|f| full.index_of(f.name()))
            .collect::<Result<Vec<_>, _>>()?;
        let url = ObjectStoreUrl::parse(self.snapshot.store_url.as_str())?;
        let config = FileScanConfigBuilder::new(url, Arc::new(source) as Arc<dyn FileSource>)
            .with_file_groups(self.groups(state, files, &full, dated))
            .with_projection_indices(Some(indices))?
            .with_expr_adapter(Some(Arc::new(FromOutlines)))
            .build();
        let scan = DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>;

        // Newest first unless the question wants another order: so that the
        // threshold of a "newest ten", wherever it comes from, is met by the
        // first files and the others are never opened.
        let Some(at) = columns.iter().position(|f| f.name() == SORT_COLUMN) else {
            return Ok(Some(scan));
        };
        let newest = PhysicalSortExpr::new(
            Arc::new(Column::new(SORT_COLUMN, at)),
            arrow::compute::SortOptions::default().desc(),
        );
        let ordered = scan.try_pushdown_sort(&[newest])?.into_inner();
        Ok(Some(ordered.unwrap_or(scan)))
    }

    fn scope_predicate(&self, schema: &Schema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let wanted = self.scope.wanted().into_iter().map(|(name, values)| {
            let column = Arc::new(Column::new_with_schema(name, schema)?);
            let list = values
                .into_iter()
                .map(|v| lit(ScalarValue::Utf8View(Some(v.to_owned()))))
                .collect();
            in_list(column, list, &false, schema)
        });
        Ok(conjunction_opt(wanted.collect::<Result<Vec<_>>>()?))
    }

    /// One group for each of the query's threads. The groups are only where
    /// the shared queue of files starts from; idle threads take the next file
    /// from it, whichever group it was listed in.
    fn groups(
        &self,
        state: &dyn Session,
        files: &[&DataFile],
        schema: &Schema,
        dated: bool,
    ) -> Vec<FileGroup> {
        let threads = state.config().target_partitions().max(1);
        let parts = if files.len() < 4 * threads {
            threads
        } else {
            1
        };
        let listed: Vec<PartitionedFile> = files
            .iter()
            .flat_map(|file| {
                let whole = partitioned(file, schema, dated);
                if parts == 1 || file.size <= SPLIT_ABOVE {
                    return vec![whole];
                }
                // Rows lie in time order, so that the last part is the newest.
                let step = file.size.div_ceil(parts as u64);
                (0..parts as u64)
                    .rev()
                    .map(|i| {
                        let end = (step * (i + 1)).min(file.size);
                        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                        whole.clone().with_range(signed(step * i), signed(end))
                    })
                    .collect()
            })
            .collect();
        let each = listed.len().div_ceil(threads).max(1);
        let mut groups: Vec<FileGroup> = listed
            .chunks(each)
            .map(|chunk| FileGroup::new(chunk.to_vec()))
            .collect();
        groups.resize_with(threads, || FileGroup::new(vec![]));
        groups
    }
}

/// Columns without the table's name: the snapshot's schema knows none.
fn unqualified(expr: Expr) -> Result<Expr> {
    expr.transform(|e| {
        Ok(match e {
            Expr::Column(c) => Transformed::yes(Expr::Column(
                datafusion::common::Column::new_unqualified(c.name),
            )),
            other => Transformed::no(other),
        })
    })
    .map(|t| t.data)
}

/// A file as the engine takes it, with the few statistics that choose files
/// and order them. They stay below [`ScopeExec`], which passes none on.
fn partitioned(file: &DataFile, schema: &Schema, dated: bool) -> PartitionedFile {
    let mut partitioned = PartitionedFile::new(file.path.to_string(), file.size);
    // The key as it is: `new` would encode it anew.
    partitioned.object_meta.location = file.path.clone();
    if dated {
        partitioned.partition_values = vec![ScalarValue::Date32(Some(file.ingest_date))];
    }
    let column_statistics = schema
        .fields()
        .iter()
        .map(|f| column_statistics(file, f))
        .collect();
    partitioned.statistics = Some(Arc::new(Statistics {
        num_rows: Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Absent,
        column_statistics,
    }));
    partitioned
}

fn column_statistics(file: &DataFile, field: &Field) -> ColumnStatistics {
    let time = |t: Micros| {
        Precision::Exact(ScalarValue::TimestampMicrosecond(
            Some(t.0),
            Some(Arc::from("UTC")),
        ))
    };
    let bounds = match field.name().as_str() {
        SORT_COLUMN => file.event_time.map(|(a, b)| (time(a), time(b))),
        "ingest_time" => file.ingest_time.map(|(a, b)| (time(a), time(b))),
        PARTITION_COLUMN => {
            let day = Precision::Exact(ScalarValue::Date32(Some(file.ingest_date)));
            Some((day.clone(), day))
        }
        _ => None,
    };
    match bounds {
        Some((min, max)) => ColumnStatistics {
            null_count: Precision::Exact(0),
            min_value: min,
            max_value: max,
            ..ColumnStatistics::new_unknown()
        },
        None => ColumnStatistics::new_unknown(),
    }
}

#[async_trait]
impl TableProvider for EventTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|f| {
                if plain::logical(f, &self.readable) {
                    TableProviderFilterPushDown::Inexact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (output, read) = match projection {
            Some(indices) => (
                Arc::new(self.schema.project(indices)?),
                self.readable.project(indices)?,
            ),
            None => (Arc::clone(&self.schema), self.readable.as_ref().clone()),
        };
        let mut columns: Vec<FieldRef> = read.fields().iter().map(Arc::clone).collect();
        // What decides whose a row is comes last where nobody asked for it, so
        // that the places of the others are the same below and above the filter.
        for name in self.scope.columns() {
            if columns.iter().all(|c| c.name() != name) {
                columns.push(Arc::new(self.schema.field_with_name(name)?.clone()));
            }
        }
        if self.past.is_some() {
            columns.extend(Past::more(&columns, &self.schema)?);
        }
        let files = self.files(state, filters)?;
        let raw = self.raw(state, &files, &columns)?;
        let scan = ScopeExec::new(
            self.name.clone(),
            self.scope.clone(),
            output,
            Arc::new(Schema::new(columns)),
            raw,
            self.snapshot.fresh.clone(),
            state.config().target_partitions().max(1),
        );
        Ok(Arc::new(scan.in_state(self.past.clone())))
    }
}

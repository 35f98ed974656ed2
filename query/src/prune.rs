//! Which files can hold a row of the answer, decided from the table's list of
//! files, before any of them is opened.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::SchemaRef;
use cairn_schemas::columns::PARTITION_COLUMN;
use cairn_schemas::{AccountId, Micros};
use cairn_store::view::DataFile;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

/// The files that may hold rows for which `predicate` holds.
pub(crate) fn prune<'a>(
    files: Vec<&'a DataFile>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    schema: &SchemaRef,
) -> Vec<&'a DataFile> {
    let Some(predicate) = predicate else {
        return files;
    };
    // A predicate that says nothing about these columns prunes nothing; one
    // that cannot be analysed must not lose a file either.
    let Ok(pruning) = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(schema))
        .try_build(predicate)
    else {
        return files;
    };
    match pruning.prune(&Files(&files)) {
        Ok(keep) => files
            .iter()
            .zip(keep)
            .filter_map(|(file, keep)| keep.then_some(*file))
            .collect(),
        Err(_) => files,
    }
}

/// Whether a row that was ingested before `before`, and of which no more is
/// known, may satisfy `predicate`.
pub(crate) fn may_meet(
    before: Micros,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    schema: &SchemaRef,
) -> bool {
    let Some(predicate) = predicate else {
        return true;
    };
    let pruning = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(schema))
        .try_build(Arc::clone(predicate));
    let kept = pruning.and_then(|p| p.prune(&Gone(before)));
    kept.map_or(true, |kept| kept.contains(&true))
}

/// Rows that are gone: only up to when they were ingested is known.
struct Gone(Micros);

impl PruningStatistics for Gone {
    fn min_values(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        let last = Micros(self.0.0.saturating_sub(1));
        match column.name.as_str() {
            "ingest_time" => {
                let last = TimestampMicrosecondArray::from(vec![last.0]);
                Some(Arc::new(last.with_timezone("UTC")))
            }
            PARTITION_COLUMN => Some(Arc::new(Date32Array::from(vec![last.day()]))),
            _ => None,
        }
    }

    fn num_containers(&self) -> usize {
        1
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// What the table's list of files tells of their columns.
struct Files<'a>(&'a [&'a DataFile]);

impl Files<'_> {
    fn times(&self, of: impl Fn(&DataFile) -> Option<Micros>) -> ArrayRef {
        let values: TimestampMicrosecondArray = self.0.iter().map(|f| of(f).map(|t| t.0)).collect();
        Arc::new(values.with_timezone("UTC"))
    }

    fn accounts(&self, of: impl Fn(&AccountId, &AccountId) -> AccountId) -> ArrayRef {
        let values: StringViewArray = self
            .0
            .iter()
            .map(|f| {
                let set = f.accounts.as_deref()?;
                Some(of(set.first()?, set.last()?).to_string())
            })
            .collect();
        Arc::new(values)
    }

    fn bound(&self, column: &str, least: bool) -> Option<ArrayRef> {
        let pick = |(low, high): (Micros, Micros)| if least { low } else { high };
        Some(match column {
            "event_time" => self.times(|f| f.event_time.map(pick)),
            "ingest_time" => self.times(|f| f.ingest_time.map(pick)),
            PARTITION_COLUMN => Arc::new(
                self.0
                    .iter()
                    .map(|f| Some(f.ingest_date))
                    .collect::<Date32Array>(),
            ),
            "log_offset" => Arc::new(
                self.0
                    .iter()
                    .map(|f| {
                        if least {
                            f.offsets.iter().map(|o| o.first).min()
                        } else {
                            f.offsets.iter().map(|o| o.next - 1).max()
                        }
                    })
                    .collect::<Int64Array>(),
            ),
            "account_id" if least => self.accounts(|low, _| low.clone()),
            "account_id" => self.accounts(|_, high| high.clone()),
            _ => return None,
        })
    }
}

impl PruningStatistics for Files<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(&column.name, true)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(&column.name, false)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows: UInt64Array = self.0.iter().map(|f| Some(f.rows)).collect();
        Some(Arc::new(rows))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        if column.name != "account_id" {
            return None;
        }
        let asked: Vec<&str> = values
            .iter()
            .map(|v| v.try_as_str().flatten())
            .collect::<Option<_>>()?;
        let contained = |file: &DataFile| {
            let set = file.accounts.as_deref()?;
            if asked.iter().all(|account| !set.contains(*account)) {
                return Some(false);
            }
            // Null where some rows may match: quarantine's column has nulls,
            // so "all rows match" is never known from the set.
            None
        };
        Some(self.0.iter().map(|f| contained(f)).collect())
    }
}

#[cfg(test)]
mod tests;

//! The facts that trails select by, straight from a batch's columns.

use arrow::array::{Array, ListArray, RecordBatch, StringArray, StructArray};
use cairn_schemas::selector::{EventFacts, Field, ReadWrite};

/// A batch whose columns are not those of an event table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the batch's column {name} is missing or not of the type that event tables have: it was read from another table, or by a reader that changes types"
)]
pub struct ColumnError {
    name: &'static str,
}

/// A batch's columns that selectors ask about, found and typed once.
#[derive(Clone, Copy, Debug)]
pub struct BatchFacts<'b> {
    account_id: &'b StringArray,
    region: &'b StringArray,
    event_rw: &'b StringArray,
    event_category: &'b StringArray,
    service_name: &'b StringArray,
    event_source: &'b StringArray,
    event_name: &'b StringArray,
    user_name: &'b StringArray,
    principal_id: &'b StringArray,
    principal_arn: &'b StringArray,
    resource_type: &'b StringArray,
    resource_name: &'b StringArray,
    resources: &'b ListArray,
    kinds: &'b StringArray,
    names: &'b StringArray,
}

impl<'b> BatchFacts<'b> {
    /// Looks at a batch of [`cairn_schemas::columns::event_schema`]; columns
    /// that selectors do not ask about may be missing.
    ///
    /// # Errors
    ///
    /// [`ColumnError`] names the first column that is not there.
    pub fn new(batch: &'b RecordBatch) -> Result<Self, ColumnError> {
        let text = |name| typed(batch, name);
        let resources: &ListArray = typed(batch, "resources")?;
        let missing = || ColumnError { name: "resources" };
        let structs: &StructArray = downcast(resources.values().as_ref()).ok_or_else(missing)?;
        let inner = |name| {
            let column = structs.column_by_name(name).ok_or_else(missing)?;
            downcast(column.as_ref()).ok_or_else(missing)
        };
        Ok(Self {
            account_id: text("account_id")?,
            region: text("region")?,
            event_rw: text("event_rw")?,
            event_category: text("event_category")?,
            service_name: text("service_name")?,
            event_source: text("event_source")?,
            event_name: text("event_name")?,
            user_name: text("user_name")?,
            principal_id: text("principal_id")?,
            principal_arn: text("principal_arn")?,
            resource_type: text("resource_type")?,
            resource_name: text("resource_name")?,
            resources,
            kinds: inner("type")?,
            names: inner("name")?,
        })
    }

    /// The facts of row `index`, which is one of the batch's rows.
    pub fn row(&self, index: usize) -> RowFacts<'b> {
        RowFacts {
            batch: *self,
            index,
        }
    }
}

fn typed<'b, T: 'static>(batch: &'b RecordBatch, name: &'static str) -> Result<&'b T, ColumnError> {
    batch
        .column_by_name(name)
        .and_then(|column| downcast(column.as_ref()))
        .ok_or(ColumnError { name })
}

fn downcast<T: 'static>(array: &dyn Array) -> Option<&T> {
    array.as_any().downcast_ref()
}

/// One row's facts.
#[derive(Clone, Copy, Debug)]
pub struct RowFacts<'b> {
    batch: BatchFacts<'b>,
    index: usize,
}

impl<'b> RowFacts<'b> {
    fn get(&self, column: &'b StringArray) -> Option<&'b str> {
        column
            .is_valid(self.index)
            .then(|| column.value(self.index))
    }

    /// The elements of the row's `resources` in one of their columns.
    fn of_resources(&self, column: &'b StringArray) -> impl Iterator<Item = &'b str> {
        let lists = self.batch.resources;
        let range = if lists.is_valid(self.index) {
            let ends = lists.value_offsets();
            // Offsets of a list array are never negative and ascend.
            ends[self.index] as usize..ends[self.index + 1] as usize
        } else {
            0..0
        };
        range
            .filter(|i| column.is_valid(*i))
            .map(|i| column.value(i))
    }
}

impl EventFacts for RowFacts<'_> {
    fn account(&self) -> &str {
        self.get(self.batch.account_id).unwrap_or_default()
    }

    fn region(&self) -> Option<&str> {
        self.get(self.batch.region)
    }

    fn read_write(&self) -> ReadWrite {
        // As everywhere: what does not say Read counts as a write.
        match self.get(self.batch.event_rw) {
            Some("Read") => ReadWrite::Read,
            _ => ReadWrite::Write,
        }
    }

    fn category(&self) -> Option<&str> {
        self.get(self.batch.event_category)
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let batch = &self.batch;
        let mut holds = |column| self.get(column).is_some_and(&mut *test);
        match field {
            Field::Service => holds(batch.service_name) || holds(batch.event_source),
            Field::EventName => holds(batch.event_name),
            Field::Resource => {
                holds(batch.resource_name) || self.of_resources(batch.names).any(test)
            }
            Field::ResourceType => {
                holds(batch.resource_type) || self.of_resources(batch.kinds).any(test)
            }
            Field::User => {
                holds(batch.user_name) || holds(batch.principal_id) || holds(batch.principal_arn)
            }
        }
    }
}

#[cfg(test)]
mod tests;

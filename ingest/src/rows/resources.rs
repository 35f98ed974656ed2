//! The builder of the column `resources`.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, NullBufferBuilder, StringBuilder, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use cairn_schemas::columns::resource_fields;

use crate::decode::{Resource, Text};

/// A list of structs, kept as its three columns and the lists' ends.
#[derive(Debug)]
pub(super) struct ResourcesBuilder {
    kind: StringBuilder,
    name: StringBuilder,
    account_id: StringBuilder,
    ends: Vec<i32>,
    elements: i32,
    valid: NullBufferBuilder,
}

impl Default for ResourcesBuilder {
    fn default() -> Self {
        Self {
            kind: StringBuilder::new(),
            name: StringBuilder::new(),
            account_id: StringBuilder::new(),
            ends: vec![0],
            elements: 0,
            valid: NullBufferBuilder::new(0),
        }
    }
}

impl ResourcesBuilder {
    /// Adds one row's list, null where it is empty; returns its bytes.
    pub(super) fn push(&mut self, resources: &[Resource<'_>]) -> usize {
        let mut bytes = 0;
        let mut add = |to: &mut StringBuilder, value: &Option<Text<'_>>| {
            let value = value.as_deref();
            bytes += 8 + value.map_or(0, str::len);
            to.append_option(value);
        };
        for resource in resources {
            add(&mut self.kind, &resource.kind);
            add(&mut self.name, &resource.name);
            add(&mut self.account_id, &resource.account_id);
            self.elements += 1;
        }
        self.ends.push(self.elements);
        self.valid.append(!resources.is_empty());
        bytes
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.kind.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.account_id.finish()),
        ];
        let structs = StructArray::new(resource_fields(), columns, None);
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        self.elements = 0;
        let element = Field::new("element", DataType::Struct(resource_fields()), true);
        Arc::new(ListArray::new(
            Arc::new(element),
            OffsetBuffer::new(ScalarBuffer::from(ends)),
            Arc::new(structs),
            self.valid.finish(),
        ))
    }
}

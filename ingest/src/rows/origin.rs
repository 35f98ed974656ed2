//! The columns that tell where in its log a record stood and what the log says
//! of it beside its bytes. Events and quarantine have the same four.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, StringBuilder, TimestampMicrosecondBuilder};

use crate::source::Origin;

/// Builds `log_item`, `log_time`, `log_key` and `log_headers`.
#[derive(Debug)]
pub(super) struct OriginBuilder {
    item: Int32Builder,
    time: TimestampMicrosecondBuilder,
    key: StringBuilder,
    headers: StringBuilder,
}

impl Default for OriginBuilder {
    fn default() -> Self {
        Self {
            item: Int32Builder::new(),
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            key: StringBuilder::new(),
            headers: StringBuilder::new(),
        }
    }
}

impl OriginBuilder {
    pub(super) fn push(&mut self, item: u16, origin: Option<&Origin>) {
        self.item.append_value(i32::from(item));
        self.time
            .append_option(origin.and_then(|o| o.time).map(|t| t.0));
        self.key
            .append_option(origin.and_then(|o| o.key.as_deref()));
        self.headers
            .append_option(origin.and_then(|o| o.headers.as_deref()));
    }

    /// The finished column of this name.
    pub(super) fn finish(&mut self, name: &str) -> Option<ArrayRef> {
        match name {
            "log_item" => Some(Arc::new(self.item.finish())),
            "log_time" => Some(Arc::new(self.time.finish())),
            "log_key" => Some(Arc::new(self.key.finish())),
            "log_headers" => Some(Arc::new(self.headers.finish())),
            _ => None,
        }
    }

    /// The four columns, in their order.
    pub(super) fn finish_all(&mut self) -> [ArrayRef; 4] {
        [
            Arc::new(self.item.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.headers.finish()),
        ]
    }
}

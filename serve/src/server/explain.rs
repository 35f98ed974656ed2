//! An event's facts from a row that a query gave out as JSON.

use cairn_schemas::selector::{EventFacts, Field, ReadWrite};
use serde_json::Value;

/// See the module's documentation.
#[derive(Debug)]
pub struct RowOfJson<'a>(&'a Value);

impl<'a> RowOfJson<'a> {
    /// The columns that a row must have.
    pub const COLUMNS: &'static str = "event_id, event_time, event_name, account_id, region, event_rw, event_category, \
        service_name, event_source, user_name, principal_id, principal_arn, resources, log_source, log_partition, log_offset";

    /// Over one row.
    pub fn new(row: &'a Value) -> Self {
        Self(row)
    }

    /// A text column; `None` for null.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        self.0.get(column)?.as_str()
    }

    /// `log_partition`.
    pub fn partition(&self) -> i32 {
        self.0
            .get("log_partition")
            .and_then(Value::as_i64)
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(0)
    }

    /// `log_offset`.
    pub fn offset(&self) -> i64 {
        self.0
            .get("log_offset")
            .and_then(Value::as_i64)
            .unwrap_or(0)
    }

    fn any_resource(&self, part: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let resources = self.0.get("resources").and_then(Value::as_array);
        resources.is_some_and(|all| {
            all.iter()
                .any(|r| r.get(part).and_then(Value::as_str).is_some_and(&mut *test))
        })
    }
}

impl EventFacts for RowOfJson<'_> {
    fn account(&self) -> &str {
        self.text("account_id").unwrap_or_default()
    }

    fn region(&self) -> Option<&str> {
        self.text("region")
    }

    fn read_write(&self) -> ReadWrite {
        match self.text("event_rw") {
            Some("Read") => ReadWrite::Read,
            _ => ReadWrite::Write,
        }
    }

    fn category(&self) -> Option<&str> {
        self.text("event_category")
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let columns: &[&str] = match field {
            Field::Service => &["service_name", "event_source"],
            Field::EventName => &["event_name"],
            Field::User => &["user_name", "principal_id", "principal_arn"],
            Field::Resource => return self.any_resource("name", test),
            Field::ResourceType => return self.any_resource("type", test),
        };
        columns.iter().any(|c| self.text(c).is_some_and(&mut *test))
    }
}

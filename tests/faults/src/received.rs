//! The bytes received of a row whose file names columns in place of what they hold
//! (docs/other-engines.md). Written after that page, and with nothing of Cairn's.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, SecondsFormat};

/// What `outline` stands for in this row of `batch`, whose text columns are `texts`.
pub(crate) fn received(
    outline: &str,
    texts: &BTreeMap<String, String>,
    batch: &RecordBatch,
    row: usize,
) -> Result<String, String> {
    let mut parts = outline.split('\u{1}');
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let Some(reference) = parts.next() {
        let after = parts.next().ok_or("a reference that does not end")?;
        let value = match reference.split('.').collect::<Vec<_>>()[..] {
            ["event_time"] => moment(batch, row, SecondsFormat::Secs),
            ["event_time", "3"] => moment(batch, row, SecondsFormat::Millis),
            ["event_time", "6"] => moment(batch, row, SecondsFormat::Micros),
            ["resources", item, field] => resource(batch, row, item, field),
            _ => texts.get(reference).cloned(),
        };
        text.push_str(&value.ok_or_else(|| format!("a row without {reference}"))?);
        text.push_str(after);
    }
    Ok(text)
}

fn moment(batch: &RecordBatch, row: usize, format: SecondsFormat) -> Option<String> {
    let times = batch.column_by_name("event_time")?;
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    let moment = DateTime::from_timestamp_micros(times.value(row))?;
    Some(moment.to_rfc3339_opts(format, true))
}

fn resource(batch: &RecordBatch, row: usize, item: &str, field: &str) -> Option<String> {
    let all = batch.column_by_name("resources")?.as_list_opt::<i32>()?;
    let (of_row, item) = (all.value(row), item.parse::<usize>().ok()?);
    let fields = of_row.as_struct_opt()?.column_by_name(field)?;
    let texts = fields.as_string_opt::<i32>()?;
    (item < texts.len() && texts.is_valid(item)).then(|| texts.value(item).to_owned())
}

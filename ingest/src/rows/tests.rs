use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use cairn_schemas::columns::EVENT_COLUMNS;
use cairn_schemas::selector::{EventFacts, Field as Ask};
use serde_json::Value;

use super::*;
use crate::decode::tests::real::events;
use crate::decode::tests::{NOW, anybody, decode_for, taken};

pub(crate) fn meta(offset: i64) -> RowMeta<'static> {
    RowMeta {
        ingest_time: NOW,
        sender: "0123456789abcdef",
        log_source: "log",
        log_partition: 0,
        log_offset: offset,
        log_item: 0,
        origin: None,
        flags: Flags::NONE,
    }
}

/// All real events as one batch.
pub(crate) fn real_batch() -> (Vec<bytes::Bytes>, RecordBatch) {
    let mut raws = events("cloudtrail", "json");
    raws.extend(events("actiontrail", "ndjson"));
    let sender = anybody();
    let mut rows = RowBuilder::new();
    for (offset, raw) in raws.iter().enumerate() {
        let event = decode_for(&sender, raw).unwrap();
        rows.push(&event, &meta(offset as i64)).unwrap();
    }
    let batch = rows.finish();
    (raws, batch)
}

/// The value of one cell, as JSON.
fn cell(batch: &RecordBatch, name: &str, row: usize) -> Value {
    let column = batch.column_by_name(name).unwrap();
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Timestamp(..) => column
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .into(),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            match list.data_type() {
                DataType::Utf8 => list.as_string::<i32>().iter().map(Value::from).collect(),
                _ => {
                    let parts = list.as_struct();
                    let names = ["type", "name", "account_id"];
                    (0..list.len())
                        .map(|i| {
                            names
                                .iter()
                                .map(|n| {
                                    let part = parts.column_by_name(n).unwrap();
                                    let part = part.as_string::<i32>();
                                    Value::from(part.is_valid(i).then(|| part.value(i)))
                                })
                                .collect::<Value>()
                        })
                        .collect()
                }
            }
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_column_has_the_events_own_value() {
    let (raws, batch) = real_batch();
    assert_eq!(batch.num_rows(), raws.len());
    assert_eq!(batch.schema(), event_schema());
    let sender = anybody();
    for (row, raw) in raws.iter().enumerate() {
        let e = decode_for(&sender, raw).unwrap();
        macro_rules! same {
            ($($column:ident),* $(,)?) => {
                $(assert_eq!(cell(&batch, stringify!($column), row), serde_json::json!(e.$column));)*
            };
        }
        same!(
            event_id,
            event_name,
            event_source,
            service_name,
            event_type,
            event_category,
            event_version,
            region,
            account_id,
            identity_type,
            principal_id,
            principal_arn,
            user_name,
            access_key_id,
            identity_account_id,
            invoked_by,
            mfa,
            source_ip,
            user_agent,
            request_id,
            api_version,
            error_code,
            error_message,
            resource_type,
            resource_name,
            vpc_id,
            shared_event_id,
            is_global,
            sensitive_action,
            tls_version,
            request_parameters,
            response_elements,
            additional_event_data,
            user_identity,
            late,
            raw,
            event_time,
            session_created,
        );
        assert_eq!(cell(&batch, "event_rw", row), e.event_rw.as_str());
        assert_eq!(cell(&batch, "dialect", row), e.dialect.as_str());
        assert_eq!(cell(&batch, "log_offset", row), row);
        let flags: Vec<_> = e.flags.names().collect();
        let expected = if flags.is_empty() {
            Value::Null
        } else {
            flags.into()
        };
        assert_eq!(cell(&batch, "flags", row), expected);
        let resources: Vec<Value> = e
            .resources
            .iter()
            .map(|r| serde_json::json!([r.kind, r.name, r.account_id]))
            .collect();
        let expected = if resources.is_empty() {
            Value::Null
        } else {
            resources.into()
        };
        assert_eq!(cell(&batch, "resources", row), expected);
    }
}

#[test]
fn what_the_log_says_stands_beside_the_event() {
    let event = taken(r#"{"eventId":"1"}"#);
    let mut rows = RowBuilder::new();
    rows.push(
        &event,
        &RowMeta {
            ingest_time: NOW,
            sender: "s",
            log_source: "topic",
            log_partition: 3,
            log_offset: 1 << 40,
            log_item: 0,
            origin: None,
            flags: Flags::CONFLICTING_DUPLICATE,
        },
    )
    .unwrap();
    let batch = rows.finish();
    assert_eq!(cell(&batch, "ingest_time", 0), NOW.0);
    assert_eq!(cell(&batch, "sender", 0), "s");
    assert_eq!(cell(&batch, "log_source", 0), "topic");
    assert_eq!(cell(&batch, "log_offset", 0), 1i64 << 40);
    let partition = batch.column_by_name("log_partition").unwrap();
    assert_eq!(
        partition
            .as_primitive::<arrow::datatypes::Int32Type>()
            .value(0),
        3
    );
    let day = batch.column_by_name("ingest_date").unwrap();
    assert_eq!(
        day.as_primitive::<arrow::datatypes::Date32Type>().value(0),
        20_455
    );
    let flags = cell(&batch, "flags", 0);
    let last = flags.as_array().unwrap().last().unwrap();
    assert_eq!(last, "conflicting_duplicate");
}

#[test]
fn a_builder_starts_again_after_each_batch() {
    let event = taken(r#"{"eventId":"1","resourceName":"r"}"#);
    let mut rows = RowBuilder::new();
    assert_eq!(rows.finish().num_rows(), 0);
    for n in 1..4 {
        assert!(rows.is_empty() && rows.bytes() == 0);
        for offset in 0..n {
            rows.push(&event, &meta(offset)).unwrap();
        }
        assert_eq!(rows.len(), n as usize);
        let batch = rows.finish();
        assert_eq!(batch.num_rows(), n as usize);
        assert_eq!(
            cell(&batch, "resources", n as usize - 1),
            serde_json::json!([[null, "r", null]])
        );
    }
}

#[test]
fn bytes_are_about_what_arrow_holds() {
    let raws = events("cloudtrail/invictus", "json");
    let sender = anybody();
    let mut rows = RowBuilder::new();
    for raw in &raws {
        rows.push(&decode_for(&sender, raw).unwrap(), &meta(0))
            .unwrap();
    }
    let told = rows.bytes();
    let batch = rows.finish();
    let held: usize = batch
        .columns()
        .iter()
        .map(|c| c.to_data().get_slice_memory_size().unwrap())
        .sum();
    assert!(
        told * 10 > held * 9 && told * 9 < held * 10,
        "{told} {held}"
    );
}

#[test]
fn a_full_batch_takes_no_more_and_loses_nothing() {
    let event = taken(r#"{"eventId":"1"}"#);
    let mut rows = RowBuilder::new();
    rows.push(&event, &meta(0)).unwrap();
    rows.bytes = MAX_BYTES;
    assert_eq!(rows.push(&event, &meta(1)), Err(BatchFull));
    assert_eq!(rows.finish().num_rows(), 1);
    assert_eq!(rows.push(&event, &meta(1)), Ok(()));
}

#[test]
fn columns_without_an_event_field_are_those_of_the_log() {
    let from_log: Vec<_> = EVENT_COLUMNS
        .iter()
        .filter(|c| {
            c.name.starts_with("log_") || c.name.starts_with("ingest_") || c.name == "sender"
        })
        .collect();
    assert_eq!(from_log.len(), 10);
    let optional = |name: &str| Texts::default().finish(name).is_some();
    for column in EVENT_COLUMNS {
        // A null in a column that must not have one would fail the batch.
        assert!(!optional(column.name) || column.nullable, "{}", column.name);
    }
}

#[test]
fn a_row_answers_selectors_as_its_event_does() {
    let (raws, batch) = real_batch();
    let facts = BatchFacts::new(&batch).unwrap();
    let sender = anybody();
    for (index, raw) in raws.iter().enumerate() {
        let event = decode_for(&sender, raw).unwrap();
        let row = facts.row(index);
        assert_eq!(row.account(), event.account());
        assert_eq!(row.region(), event.region());
        assert_eq!(row.read_write(), event.read_write());
        assert_eq!(row.category(), event.category());
        for field in [
            Ask::Service,
            Ask::EventName,
            Ask::Resource,
            Ask::ResourceType,
            Ask::User,
        ] {
            let values = |of: &dyn EventFacts| {
                let mut values = Vec::new();
                of.any(field, &mut |v| {
                    values.push(v.to_owned());
                    false
                });
                values
            };
            assert_eq!(values(&row), values(&event), "{field:?}");
        }
    }
}

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use cairn_schemas::selector::FieldSelector;

use super::*;
use crate::decode::tests::taken;
use crate::rows::RowBuilder;
use crate::rows::tests::meta;

#[test]
fn lists_of_one_row_stay_with_it() {
    let mut rows = RowBuilder::new();
    for raw in [
        r#"{"eventId":"1","referencedResources":{"T":["a","b"]}}"#,
        r#"{"eventId":"2"}"#,
        r#"{"eventId":"3","referencedResources":{"U":["c"]},"eventRW":"Read"}"#,
    ] {
        rows.push(&taken(raw), &meta(0)).unwrap();
    }
    let batch = rows.finish();
    // A slice has offsets that do not begin at 0.
    for (batch, first) in [(batch.clone(), 0), (batch.slice(1, 2), 1)] {
        let facts = BatchFacts::new(&batch).unwrap();
        for (index, expected) in [vec!["a", "b"], vec![], vec!["c"]]
            .iter()
            .enumerate()
            .skip(first)
        {
            let row = facts.row(index - first);
            for name in ["a", "b", "c"] {
                let holds = row.any(Field::Resource, &mut |v| v == name);
                assert_eq!(holds, expected.contains(&name), "{index} {name}");
            }
        }
    }
}

#[test]
fn selectors_judge_rows() {
    let mut rows = RowBuilder::new();
    let raw = r#"{"eventId":"1","eventName":"DeleteDisk","acsRegion":"A","resourceName":"d-1"}"#;
    rows.push(&taken(raw), &meta(0)).unwrap();
    let batch = rows.finish();
    let facts = BatchFacts::new(&batch).unwrap();
    for (text, takes) in [("event_name=Delete*", true), ("resource!=d-*", false)] {
        let selector = cairn_schemas::Selector {
            fields: vec![text.parse::<FieldSelector>().unwrap()],
            ..Default::default()
        };
        assert_eq!(selector.takes(&facts.row(0)), takes, "{text}");
    }
}

#[test]
fn a_batch_of_another_table_is_told_from_ours() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("account_id", numbers)]).unwrap();
    let error = BatchFacts::new(&batch).unwrap_err();
    assert!(error.to_string().contains("resources"), "{error}");
}

use std::sync::Arc;

use arrow::array::{Int64Array, ListBuilder, StringBuilder, StringViewArray, StringViewBuilder};

use super::*;

/// Each value of `array` alone, together.
fn one_by_one(array: &dyn Array) -> usize {
    (0..array.len())
        .map(|row| of_value(&ScalarValue::try_from_array(array, row).unwrap()))
        .sum()
}

#[test]
fn values_weigh_the_same_in_an_array_and_alone() {
    let long = "y".repeat(1000);
    let texts = [Some("short"), None, Some(""), Some(long.as_str())];
    let views: ArrayRef = Arc::new(StringViewArray::from_iter(texts));
    let plain: ArrayRef = Arc::new(StringArray::from_iter(texts));
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    lists.append_value([Some("a"), Some(long.as_str()), None]);
    lists.append_null();
    lists.append_value(std::iter::empty::<Option<&str>>());
    lists.append_value([Some(long.as_str())]);
    let of_views: ArrayRef = Arc::new(lists.finish());
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a"), Some(long.as_str())]);
    lists.append_null();
    lists.append_value([Some("")]);
    lists.append_value([Some("b")]);
    let of_texts: ArrayRef = Arc::new(lists.finish());
    for array in [views, plain, of_views, of_texts] {
        assert!(of_array(&array) > 1000);
        assert_eq!(of_array(&array), one_by_one(&array), "{array:?}");
        // Of a part, only the part counts.
        let part = array.slice(1, 2);
        assert!(of_array(&part) < 200, "{array:?}");
        assert_eq!(of_array(&part), one_by_one(&part), "{array:?}");
    }
}

#[test]
fn the_texts_behind_views_count() {
    let long = "y".repeat(1000);
    let views: ArrayRef = Arc::new(StringViewArray::from_iter_values([&long; 3]));
    let told = views.to_data().get_slice_memory_size().unwrap();
    assert!(told < 100, "Arrow counts them itself now: {told}");
    assert_eq!(of_texts(&views), 3000);
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    lists.append_value([Some(long.as_str()), Some("a")]);
    lists.append_value([Some("b")]);
    let lists: ArrayRef = Arc::new(lists.finish());
    assert_eq!(of_texts(&lists), 1002);
    assert_eq!(of_texts(&lists.slice(1, 1)), 1);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    assert_eq!(of_texts(&numbers), 0);
    let batch = RecordBatch::try_from_iter([("l", lists), ("n", numbers)]).unwrap();
    assert!(of_row(&batch, 0) > 1000 && of_row(&batch, 1) < 100);
}

//! Room is asked for once, by what the last batch took.

use arrow::array::{Array as _, AsArray as _};

use super::TextColumn;

#[test]
fn the_second_batch_does_not_grow() {
    let mut column = TextColumn::default();
    let text = "x".repeat(100);
    for _ in 0..5000 {
        column.append_value(&text);
    }
    column.finish();
    column.reserve(5000);
    for _ in 0..5000 {
        column.append_value(&text);
    }
    let made = column.finish();
    let values = made.as_string::<i32>();
    assert_eq!(values.len(), 5000);
    // Doubling would have ended at a power of two of the first capacity.
    let room = values.values().capacity();
    assert!((500_000..600_000).contains(&room), "{room}");
}

#[test]
fn an_empty_batch_teaches_nothing_and_an_outlier_little() {
    let mut column = TextColumn::default();
    column.append_option(Some("abc"));
    column.append_option(None);
    let made = column.finish();
    assert_eq!(made.len(), 2);
    assert_eq!(made.null_count(), 1);
    assert_eq!(column.finish().len(), 0);
    assert_eq!((column.rows, column.bytes), (2, 3));
    column.bytes = usize::MAX;
    column.reserve(2);
    column.append_value("d");
    assert_eq!(column.finish().as_string::<i32>().value(0), "d");
}

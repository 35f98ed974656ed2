use arrow::array::{Int64Array, ListArray, StringViewArray, UInt64Array};
use arrow::datatypes::{Int64Type, UInt64Type};

use super::*;
use arrow::array::AsArray;

#[test]
fn long_texts_come_in_pieces() {
    let long = "x".repeat(1 << 20);
    let views: StringViewArray = (0..40).map(|_| Some(long.as_str())).collect();
    let numbers = Int64Array::from_iter_values(0..40);
    let batch = RecordBatch::try_from_iter([
        ("text", Arc::new(views) as ArrayRef),
        ("n", Arc::new(numbers) as ArrayRef),
    ])
    .unwrap();
    let mut output = Output::new(&Limits::default(), None);
    let parts: Vec<RecordBatch> = output.parts(&batch).unwrap().map(Result::unwrap).collect();
    assert_eq!(parts.len(), 20);
    assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), 40);
    for part in &parts {
        assert_eq!(part.schema(), plain_schema(&batch.schema()));
    }
    let limits = Limits {
        max_rows: Some(39),
        ..Limits::default()
    };
    let mut output = Output::new(&limits, None);
    assert!(output.parts(&batch).is_err());
}

#[test]
fn numbers_without_a_sign_get_one_or_fail() {
    let fits = [Some(0), None, Some(i64::MAX as u64)];
    let numbers: UInt64Array = fits.into_iter().collect();
    let lists = ListArray::from_iter_primitive::<UInt64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let batch = RecordBatch::try_from_iter([
        ("n", Arc::new(numbers) as ArrayRef),
        ("l", Arc::new(lists) as ArrayRef),
    ])
    .unwrap();
    let mut output = Output::new(&Limits::default(), None);
    let part = output.parts(&batch).unwrap().next().unwrap().unwrap();
    let expected: Int64Array = [Some(0), None, Some(i64::MAX)].into_iter().collect();
    assert_eq!(part.column(0).as_primitive::<Int64Type>(), &expected);
    let lists = part.column(1).as_list::<i32>();
    let first = lists.value(0);
    let expected: Int64Array = [Some(1), None].into_iter().collect();
    assert_eq!(first.as_primitive::<Int64Type>(), &expected);

    let numbers = UInt64Array::from(vec![1, i64::MAX as u64 + 1]);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap();
    let mut output = Output::new(&Limits::default(), None);
    let error = output.parts(&batch).unwrap().next().unwrap().unwrap_err();
    assert!(error.message.contains("larger than bigint"), "{error}");
    assert_eq!(error.code(), "invalid_query");
}

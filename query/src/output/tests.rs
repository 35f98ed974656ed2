use arrow::array::{Int64Array, StringViewArray};

use super::*;

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

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;

use super::*;

#[test]
fn what_the_server_can_do_is_told_in_the_form_that_clients_expect() {
    let facts = Facts::new().unwrap();
    let all = facts.sql.record_batch([]).unwrap();
    assert_eq!(all.schema().field(0).name(), "info_name");
    assert!(matches!(
        all.schema().field(1).data_type(),
        DataType::Union(..)
    ));
    let one = facts
        .sql
        .record_batch([SqlInfo::FlightSqlServerReadOnly as u32])
        .unwrap();
    assert_eq!(one.column(0).as_primitive::<UInt32Type>().values(), &[3]);
    assert!(facts.types.record_batch(None).unwrap().num_rows() >= 7);
}

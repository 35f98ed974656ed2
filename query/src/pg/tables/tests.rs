//! What the list of tables says.

use super::*;

#[test]
fn every_line_is_a_table_with_columns() {
    let lines = include_str!("../data/tables.txt").lines();
    let tables = lines.filter(|l| !l.starts_with('#')).count();
    assert_eq!(all().count(), tables);
    let oids: std::collections::BTreeSet<i32> = all().map(|t| t.oid).collect();
    assert_eq!(oids.len(), tables);
    for table in all() {
        assert!(table.schema.fields().len() > 1, "{}", table.name);
    }
    for filled in FILLED {
        assert!(get(filled).is_some(), "{filled}");
    }
    assert!(is_always_empty("pg_index"));
    assert!(!is_always_empty("pg_class"));
    assert!(!is_always_empty("history"));
}

#[test]
fn a_row_is_filled_up() {
    let table = get("pg_namespace").unwrap();
    let mut rows = Rows::new(&table.schema);
    rows.push([("oid", 11.into()), ("nspname", "pg_catalog".into())]);
    let batch = rows.batch().unwrap();
    assert_eq!(batch.num_rows(), 1);
    assert_eq!(batch.column(2).null_count(), 0);
    assert_eq!(batch.column(3).null_count(), 1);
}

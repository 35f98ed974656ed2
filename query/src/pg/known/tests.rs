//! Numbers and names.

use super::*;

#[test]
fn names_are_quoted_where_they_have_to_be() {
    assert_eq!(quoted("history"), "history");
    assert_eq!(quoted("My-trail"), "\"My-trail\"");
    assert_eq!(quoted("user"), "\"user\"");
    assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    assert_eq!(quoted(""), "\"\"");
}

#[test]
fn names_are_read_as_sql_reads_them() {
    assert_eq!(parts("History"), ["history"]);
    assert_eq!(parts("trails.\"My.trail\""), ["trails", "My.trail"]);
    assert_eq!(parts("\"a\"\"b\""), ["a\"b"]);
}

#[test]
fn numbers_stay() {
    // They stand in clients' caches: changing one is a change that shows.
    assert_eq!(oid_of("public.history"), oid_of("public.history"));
    assert_ne!(oid_of("public.history"), oid_of("public.events"));
    assert!(oid_of("") > 16_400);
    let all = relations(&[]);
    assert!(
        all.iter()
            .any(|r| r.oid == PG_CLASS && r.name == "pg_class")
    );
}

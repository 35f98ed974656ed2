use super::*;

#[test]
fn names_are_matched_as_sql_matches() {
    assert!(is_like("history", None));
    assert!(is_like("history", Some("history")));
    assert!(is_like("history", Some("h%")));
    assert!(is_like("history", Some("%s_o%")));
    assert!(!is_like("history", Some("h")));
    assert!(!is_like("history", Some("_h%")));
    // A pattern made to cost is not worked out.
    assert!(!is_like(&"a".repeat(100), Some(&"%a".repeat(50))));
}

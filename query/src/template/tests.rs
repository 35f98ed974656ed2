use super::*;

#[test]
fn names_become_numbers() {
    for (sql, wanted, names) in [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", vec!["a", "b"]),
        (
            "SELECT ':a' || \":b\" -- :c\n/* :d */ || :e",
            "SELECT ':a' || \":b\" -- :c\n/* :d */ || $1",
            vec!["e"],
        ),
        (
            "SELECT a::text, b[1:2], c[n:2]",
            "SELECT a::text, b[1:2], c[n:2]",
            vec![],
        ),
        (
            "WHERE x>:lim AND y=:long_name_2)",
            "WHERE x>$1 AND y=$2)",
            vec!["lim", "long_name_2"],
        ),
        (
            "SELECT 'it''s :a', :ä, :b",
            "SELECT 'it''s :a', :ä, $1",
            vec!["b"],
        ),
    ] {
        let made = Template::new(sql).unwrap();
        assert_eq!(made.sql, wanted);
        assert_eq!(made.names, names);
    }
    assert!(Template::new("SELECT $1").is_err());
    assert!(Template::new("SELECT '$1'").is_ok());
}

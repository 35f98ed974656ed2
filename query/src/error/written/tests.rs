use super::*;

fn column_of(written: &Written, parts: &[&str], role: Role) -> Option<u64> {
    let place = written.place(written.find(parts, role)?)?;
    Some(place.column)
}

#[test]
fn a_name_is_found_where_it_is_meant() {
    let written = Written::of("SELECT lost, lost(1) AS gone, h.gone FROM lost h ORDER BY GONE");
    let find = |parts: &[&str], role| column_of(&written, parts, role);
    assert_eq!(find(&["lost"], Role::Column), Some(8));
    assert_eq!(find(&["lost"], Role::Function), Some(14));
    assert_eq!(find(&["lost"], Role::Table), Some(43));
    assert_eq!(find(&["h", "gone"], Role::Column), Some(31));
    // Neither the alias nor the part of another name.
    assert_eq!(find(&["gone"], Role::Column), Some(59));
    assert_eq!(find(&["h", "lost"], Role::Column), None);
    assert_eq!(find(&["gone"], Role::Function), None);
    assert_eq!(find(&[], Role::Column), None);
}

#[test]
fn quotes_keep_the_case_of_a_name_and_hide_what_is_no_name() {
    let written = Written::of("SELECT 'gone', -- gone\n \"Gone\" FROM t");
    assert_eq!(written.find(&["gone"], Role::Column), None);
    let at = written.find(&["Gone"], Role::Column).unwrap();
    assert_eq!(written.place(at), Some(Location::new(2, 2)));
    assert_eq!(written.token_at(2, 2), Some(at));
    assert!(!written.says("gone") && written.says("T"));
}

#[test]
fn a_search_before_a_bar_moves_no_place() {
    let written = Written::of("error or 'x' |\nSELECT nix");
    let at = written.find(&["nix"], Role::Column).unwrap();
    assert_eq!(written.place(at), Some(Location::new(2, 8)));
}

#[test]
fn a_word_that_is_compared_with_may_be_a_text() {
    for (sql, compared) in [
        ("SELECT 1 FROM t WHERE a = nix", true),
        ("SELECT 1 FROM t WHERE a <> \"nix\"", true),
        ("SELECT 1 FROM t WHERE a LIKE nix", true),
        ("SELECT 1 FROM t WHERE a IN ('b', 2, nix)", true),
        ("SELECT 1 FROM t WHERE nix = a", false),
        ("SELECT a, nix FROM t", false),
        ("SELECT f(a, nix) FROM t", false),
        ("SELECT 1 FROM t WHERE a = nix.b", false),
    ] {
        let written = Written::of(sql);
        let at = written.find(&["nix"], Role::Column).unwrap();
        assert_eq!(written.compared(at).is_some(), compared, "{sql}");
    }
}

#[test]
fn a_statement_ends_after_its_last_token() {
    let written = Written::of("SELECT 1\n  +   -- and so on\n");
    assert_eq!(end_of(&written.tokens), Some(Location::new(2, 4)));
    assert_eq!(end_of(&[]), None);
}

#[test]
fn a_function_is_found_by_the_alias_that_it_is_called_by() {
    let canonical = |name: &str| (name == "len").then_some("character_length");
    let written = Written::of("SELECT len, f(LEN(x))").calling(canonical, |_| None);
    let at = written.call("character_length").unwrap();
    assert_eq!(written.place(at), Some(Location::new(1, 15)));
    assert_eq!(written.called_at(at).as_deref(), Some("len"));
    assert_eq!(written.call("len"), Some(at));
    assert_eq!(written.call("lower"), None);
}

use super::*;

#[test]
fn account_ids_are_ascii_digits_only() {
    for good in ["123456789012", "5558349267652842"] {
        assert_eq!(AccountId::new(good).unwrap().as_str(), good);
    }
    let long = "9".repeat(300);
    for bad in [
        "",
        "../../x",
        "%2e%2e",
        "a/b",
        "12345678901",
        "１２３４５６７８９０１２",
        &long,
    ] {
        assert!(AccountId::new(bad).is_err(), "{bad:?} was taken");
    }
}

#[test]
fn a_refused_name_is_quoted_briefly_and_escaped() {
    let text = AccountId::new(&format!("\u{202e}\n{}", "x".repeat(10_000)))
        .unwrap_err()
        .to_string();
    assert!(text.len() < 300, "{text}");
    assert!(text.contains("\\n"), "{text}");
    assert!(text.contains("12 to 16 digits"), "{text}");
}

#[test]
fn trail_names_cover_both_clouds() {
    for good in ["writes", "Org-Writes", "a.b_c-1", "abc"] {
        assert!(TrailName::new(good).is_ok(), "{good:?} was refused");
    }
    for bad in [
        "ab",
        "1abc",
        "has space",
        "slash/y",
        "ümlaut",
        "-abc",
        "semi;colon",
    ] {
        assert!(TrailName::new(bad).is_err(), "{bad:?} was taken");
    }
    assert_eq!(TrailName::new("Org").unwrap().folded(), "org");
}

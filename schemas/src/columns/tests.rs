use super::*;

#[test]
fn names_are_unique_snake_case_and_commented() {
    let mut seen = std::collections::BTreeSet::new();
    for c in EVENT_COLUMNS {
        assert!(seen.insert(c.name), "{} stands twice", c.name);
        assert!(
            c.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{}",
            c.name
        );
        assert!(c.comment.ends_with('.'), "{}", c.name);
    }
    for name in BLOOM_COLUMNS
        .iter()
        .chain([&PARTITION_COLUMN, &SORT_COLUMN])
    {
        assert!(seen.contains(name), "{name} is no column");
    }
}

#[test]
fn the_reference_page_is_the_one_in_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/columns.md");
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if there != reference_page() {
        let new = std::env::temp_dir().join("cairn-columns.md");
        std::fs::write(&new, reference_page()).unwrap();
        panic!(
            "docs/columns.md is out of date; the new page lies in {}",
            new.display()
        );
    }
}

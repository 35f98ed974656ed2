use super::*;

#[test]
fn the_reference_page_is_the_one_in_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/functions.md");
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if there != reference_page() {
        let new = std::env::temp_dir().join("cairn-functions.md");
        std::fs::write(&new, reference_page()).unwrap();
        panic!(
            "docs/functions.md is out of date; the new page lies in {}",
            new.display()
        );
    }
}

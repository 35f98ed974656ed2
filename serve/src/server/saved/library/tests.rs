use std::collections::BTreeMap;

use cairn_schemas::Micros;

use super::*;
use crate::server::saved::Wanted;
use crate::server::saved::values::bound;

#[test]
fn every_question_is_whole() {
    let all = read().unwrap();
    assert!(all.len() >= 40, "{}", all.len());
    let mut names = std::collections::BTreeSet::new();
    for question in all {
        assert!(
            names.insert(question.name.clone()),
            "{} stands twice",
            question.name
        );
        assert!(
            question.title.ends_with('.') && question.says.ends_with('.'),
            "{}",
            question.name
        );
        // Each can be asked without a word more.
        let asked = bound(
            &question.sql,
            &question.parameters,
            &BTreeMap::new(),
            Micros(0),
        );
        assert!(asked.is_ok(), "{}: {asked:?}", question.name);
        let wanted = Wanted {
            name: question.name,
            title: question.title,
            sql: question.sql,
            parameters: question.parameters,
        };
        wanted.check().unwrap();
    }
}

#[test]
fn the_page_is_the_one_in_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/questions.md");
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if there != page() {
        let new = std::env::temp_dir().join("cairn-questions.md");
        std::fs::write(&new, page()).unwrap();
        panic!(
            "docs/questions.md is out of date; the new page lies in {}",
            new.display()
        );
    }
}

use std::io::Cursor;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Gives so many bytes at a time.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

fn split_by(text: &str, step: usize) -> Result<Vec<String>, String> {
    let reader = Trickle(Cursor::new(text.as_bytes().to_vec()), step);
    let mut elements = Elements::new(reader, 1 << 20);
    let (mut all, mut out) = (Vec::new(), Vec::new());
    loop {
        match elements.next(&mut out) {
            Ok(Some(Element::Event)) => all.push(String::from_utf8(out.clone()).unwrap()),
            Ok(Some(Element::TooLong)) => all.push("too long".to_owned()),
            Ok(None) => return Ok(all),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn split(text: &str) -> Vec<String> {
    let all = split_by(text, 1 << 20).unwrap();
    assert_eq!(all, split_by(text, 1).unwrap(), "blocks must not matter");
    all
}

#[test]
fn records_are_taken_out_byte_for_byte() {
    let text = "{ \"v\" : [1, {\"Records\": [9]}], \"Records\" : [ {\"a\": \"]}\\\"\"} ,\n{\"b\" :{\"c\":[ ]}}], \"after\": {\"x\": \"]\"} }\n";
    assert_eq!(split(text), ["{\"a\": \"]}\\\"\"}", "{\"b\" :{\"c\":[ ]}}"]);
}

#[test]
fn arrays_and_objects_one_after_another() {
    assert_eq!(
        split("[{\"a\":1},2 , \"x\",null]"),
        ["{\"a\":1}", "2", "\"x\"", "null"]
    );
    assert_eq!(
        split("{\"a\":\n1}\n{\"b\":2} [3]"),
        ["{\"a\":\n1}", "{\"b\":2}", "3"]
    );
    assert_eq!(split(" \n"), Vec::<String>::new());
    assert_eq!(split("{\"Records\": []}"), Vec::<String>::new());
}

#[test]
fn an_event_whose_records_are_no_list_is_an_event() {
    let text = "{\"Records\": 3, \"eventName\": \"x\"}";
    assert_eq!(split(text), [text]);
}

#[test]
fn what_is_cut_short_is_told() {
    for text in [
        "[{\"a\":1}",
        "[{\"a\":1},",
        "[{\"a\":",
        "[\"a",
        "{\"Records\": [1",
        "{\"Records\": [1]",
        "{\"Records\": [1], \"x\"",
        "{\"a\"",
        "{\"a\": {",
    ] {
        let error = split_by(text, 3).unwrap_err();
        assert!(
            error.contains("cut short") || error.contains("should stand here"),
            "{text}: {error}"
        );
    }
    assert_eq!(
        split_by("nonsense", 3).unwrap_err(),
        "byte 0: an object or an array should begin here"
    );
}

#[test]
fn an_element_beyond_every_bound_is_passed_over() {
    let text = format!("[1,\"{}\",{{\"b\":2}}]", "x".repeat(100));
    let mut elements = Elements::new(Cursor::new(text), 50);
    let mut out = Vec::new();
    assert_eq!(elements.next(&mut out).unwrap(), Some(Element::Event));
    assert_eq!(elements.next(&mut out).unwrap(), Some(Element::TooLong));
    assert_eq!(elements.next(&mut out).unwrap(), Some(Element::Event));
    assert_eq!(out, b"{\"b\":2}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_elements_of_any_document_are_its_elements(
        events in prop::collection::vec(any_json(), 0..6),
        before in any_json(),
        pretty in any::<bool>(),
        wrapped in any::<bool>(),
        step in 1usize..40,
    ) {
        let document = if wrapped {
            json!({"Before": before.clone(), "Records": events.clone(), "Zafter": before})
        } else {
            Value::from(events.clone())
        };
        let text = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let found: Vec<Value> = split_by(&text, step)
            .unwrap()
            .iter()
            .map(|element| serde_json::from_str(element).unwrap())
            .collect();
        prop_assert_eq!(found, events);
    }

    #[test]
    fn no_input_makes_it_panic_or_run_for_ever(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut elements = Elements::new(Cursor::new(bytes), 64);
        let mut out = Vec::new();
        while let Ok(Some(_)) = elements.next(&mut out) {}
    }
}

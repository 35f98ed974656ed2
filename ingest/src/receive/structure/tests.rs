use super::*;

fn end(text: &str) -> Result<usize, Broken> {
    value_end(text.as_bytes(), 0)
}

#[test]
fn a_value_ends_where_its_brackets_close() {
    for value in [
        "{}",
        "[]",
        r#"{"a":"}"}"#,
        r#"{"a":"\"}"}"#,
        r#"{"a":"\\"}"#,
        r#"[{"a":[1,{"b":"]"}]},2]"#,
        "{\n \"a\" : [\n1\n]\n}",
        r#""x y""#,
        "12.5e3",
        "nul",
        r#"{"a":nul,"b":+1}"#,
    ] {
        assert_eq!(end(value), Ok(value.len()), "{value}");
        let followed = format!("{value} {{\"next\":1}}");
        assert_eq!(end(&followed), Ok(value.len()), "{followed}");
    }
}

#[test]
fn what_cannot_go_on_is_broken_where_it_breaks() {
    for (text, at) in [
        ("{", 1),
        ("[1,", 3),
        (r#"{"a"#, 3),
        ("{\"a\n\":1}", 3),
        ("{\"a\\\n\":1}", 3),
        (r#"{"a\"#, 4),
        ("[}", 1),
        (r#"{"a":[}"#, 6),
        // A line that breaks off, and the next that is none of its business.
        ("{\"a\":1\n{\"b\":2}", 7),
        ("{\"a\":1,\n{\"b\":2}", 8),
        ("{\"a\":{}\n{\"b\":2}", 8),
        ("{\"a\":\"x\"\n{\"b\":2}", 9),
        ("[{\"a\":1}\n[{\"b\":2}]", 9),
        ("]", 0),
        (",", 0),
        ("", 0),
    ] {
        assert_eq!(end(text), Err(Broken(at)), "{text:?}");
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = "[".repeat(1_000_000);
    assert_eq!(end(&deep), Err(Broken(1_000_000)));
    let closed = deep + &"]".repeat(1_000_000);
    assert_eq!(end(&closed), Ok(2_000_000));
    // Beyond 64 levels the kinds of brackets are not told apart.
    let mixed = format!("{}{}{}", "{\"a\":".repeat(70), "[1]", "}".repeat(70));
    assert_eq!(end(&mixed), Ok(mixed.len()));
    let wrong = format!("{}{}", "[".repeat(63), "}");
    assert_eq!(end(&wrong), Err(Broken(63)));
}

#[test]
fn members_and_elements_are_walked() {
    let text = br#"{ "a" : [1, {"b":2}] , "c":"d" }"#;
    let mut seen = Vec::new();
    let end = members(text, 0, |k, v| {
        seen.push((&text[k.0..k.1], &text[v.0..v.1]));
    });
    assert_eq!(end, Ok(text.len()));
    let expected: [(&[u8], &[u8]); 2] = [(b"a", br#"[1, {"b":2}]"#), (b"c", br#""d""#)];
    assert_eq!(seen, expected);
    for (text, expected) in [
        ("[1, [2] ,{}]", Ok(3)),
        ("[ ]", Ok(0)),
        ("[1,]", Err(Broken(3))),
        ("[,1]", Err(Broken(1))),
        ("[1 2]", Err(Broken(3))),
        ("[1", Err(Broken(2))),
    ] {
        let mut count = 0;
        let end = elements::<Broken>(text.as_bytes(), 0, |_, _| {
            count += 1;
            Ok(())
        });
        assert_eq!(end.map(|_| count), expected, "{text}");
    }
}

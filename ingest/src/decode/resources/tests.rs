use crate::decode::tests::taken;

/// `type name account` of each resource of an event with these members.
fn named(members: &str) -> Vec<String> {
    let raw = format!(r#"{{"eventId":"1",{members}}}"#);
    let event = taken(&raw);
    let part = |text: &Option<_>| text.as_deref().unwrap_or("-").to_owned();
    let resources = event.resources.iter();
    resources
        .map(|r| [&r.kind, &r.name, &r.account_id].map(part).join(" "))
        .collect()
}

#[test]
fn both_dialects_shapes() {
    assert_eq!(
        named(
            r#""resources":[{"ARN":"a","type":"T","accountId":"1"},{"ARNPrefix":"p/","type":"U"},{"resourceName":"n","resourceType":"V"}]"#
        ),
        ["T a 1", "U p/ -", "V n -"]
    );
    assert_eq!(
        named(
            r#""referencedResources":{"T":["a","b"],"U":["c"]},"resourceType":"U","resourceName":"c""#
        ),
        ["U c -", "T a -", "T b -"]
    );
    assert_eq!(named(r#""resourceName":"n""#), ["- n -"]);
}

#[test]
fn each_stands_once() {
    assert_eq!(
        named(r#""referencedResources":{"T":["a","a"]},"resourceType":"T","resourceName":"a""#),
        ["T a -"]
    );
    assert_eq!(
        named(r#""resources":[{"ARN":"a"},{"ARN":"a"},{"ARN":"a","accountId":"1"}]"#),
        ["- a -", "- a 1"]
    );
}

#[test]
fn odd_shapes_are_passed_over() {
    for (members, expected) in [
        (r#""resources":null"#, vec![]),
        (r#""resources":[]"#, vec![]),
        (r#""resources":7"#, vec![]),
        (r#""resources":[null,7,[],{},true]"#, vec![]),
        (r#""resources":{"ARN":"a"}"#, vec!["- a -"]),
        (r#""resources":["arn:x"]"#, vec!["- arn:x -"]),
        (r#""resources":[{"ARN":["a"],"type":"T"}]"#, vec!["T - -"]),
        (r#""resources":[{"accountId":"1"}]"#, vec![]),
        (
            r#""referencedResources":{"T":"a","U":7,"V":null,"W":[null,{},"b"]}"#,
            vec!["T a -", "U 7 -", "V - -", "W - -", "W b -"],
        ),
        (r#""referencedResources":["a"]"#, vec![]),
        (r#""resourceType":"","resourceName":"""#, vec![]),
    ] {
        assert_eq!(named(members), expected, "{members}");
    }
}

#[test]
fn the_first_resource_fills_the_columns() {
    for (members, expected) in [
        (
            r#""resources":[{"ARN":"a","type":"T"},{"ARN":"b","type":"U"}]"#,
            (Some("T"), Some("a")),
        ),
        (
            r#""resourceType":"T","referencedResources":{"U":["b"],"T":["a"]}"#,
            (Some("T"), Some("a")),
        ),
        (
            r#""resourceType":"T","referencedResources":{"U":["b"]}"#,
            (Some("T"), None),
        ),
        (r#""resourceName":"a""#, (None, Some("a"))),
        (r#""a":1"#, (None, None)),
    ] {
        let raw = format!(r#"{{"eventId":"1",{members}}}"#);
        let event = taken(&raw);
        let found = (
            event.resource_type.as_deref(),
            event.resource_name.as_deref(),
        );
        assert_eq!(found, expected, "{members}");
    }
}

#[test]
fn a_hundred_thousand_names_are_all_there() {
    let names: Vec<String> = (0..100_000).map(|n| format!("\"{n}\"")).collect();
    let raw = format!(
        r#"{{"eventId":"1","referencedResources":{{"T":[{}]}}}}"#,
        names.join(",")
    );
    assert_eq!(taken(&raw).resources.len(), 100_000);
}

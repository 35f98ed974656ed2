use super::*;

struct Fake {
    region: Option<&'static str>,
    rw: ReadWrite,
    resources: Vec<&'static str>,
}

impl EventFacts for Fake {
    fn account(&self) -> &str {
        "111111111111"
    }
    fn region(&self) -> Option<&str> {
        self.region
    }
    fn read_write(&self) -> ReadWrite {
        self.rw
    }
    fn category(&self) -> Option<&str> {
        Some("Management")
    }
    fn any(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool {
        match field {
            Field::Resource => self.resources.iter().any(|r| test(r)),
            Field::EventName => test("CreateUser"),
            _ => false,
        }
    }
}

fn event() -> Fake {
    Fake {
        region: Some("EU-West-1"),
        rw: ReadWrite::Write,
        resources: vec!["arn:a", "arn:b"],
    }
}

fn fields(text: &str) -> Selector {
    Selector {
        fields: vec![text.parse().unwrap()],
        ..Selector::default()
    }
}

#[test]
fn the_default_takes_everything_reads_too() {
    let all = Selector::default();
    assert!(all.takes(&Fake {
        rw: ReadWrite::Read,
        region: None,
        ..event()
    }));
}

#[test]
fn regions_ignore_case_and_a_missing_region_needs_all() {
    let only = Selector {
        regions: Among::Only(BTreeSet::from(["eu-west-1".to_owned()])),
        ..Selector::default()
    };
    assert!(only.takes(&event()));
    assert_eq!(
        only.decide(&Fake {
            region: None,
            ..event()
        }),
        Err(Refusal::Region)
    );
}

#[test]
fn accounts_read_write_and_category() {
    let other = AccountId::new("222222222222").unwrap();
    let s = Selector {
        accounts: Among::Only(BTreeSet::from([other])),
        ..Selector::default()
    };
    assert_eq!(s.decide(&event()), Err(Refusal::Account));
    let s = Selector {
        read_write: ReadWriteFilter::Read,
        ..Selector::default()
    };
    assert_eq!(s.decide(&event()), Err(Refusal::ReadWrite));
    let s = Selector {
        categories: Among::Only(BTreeSet::from(["Data".to_owned()])),
        ..Selector::default()
    };
    assert_eq!(s.decide(&event()), Err(Refusal::Category));
}

#[test]
fn each_operator_over_several_values() {
    for (text, taken) in [
        ("resource=arn:b,arn:z", true),
        ("resource=arn:z", false),
        ("resource!=arn:z", true),
        ("resource!=arn:a", false),
        ("resource=arn:*", true),
        ("resource!=arn:*", false),
        ("resource=*:b", true),
        ("resource!=*:z", true),
        ("event_name=Create*,Delete*", true),
        ("user=root", false),
        ("user!=root", true),
    ] {
        let s = fields(text);
        assert_eq!(s.takes(&event()), taken, "{text}");
        assert_eq!(s.fields[0].to_string(), text);
    }
}

#[test]
fn wrong_texts_say_what_is_right() {
    for text in [
        "user",
        "nofield=x",
        "user=",
        "user=*",
        "user=a*b",
        "user=*a*",
        "user=a*,b",
    ] {
        let error = text.parse::<FieldSelector>().unwrap_err().to_string();
        assert!(
            error.contains("use ") || error.contains("write ") || error.contains("may stand"),
            "{error}"
        );
    }
}

#[test]
fn json_round_trip_and_unknown_fields_are_refused() {
    let s = fields("service!=kms*");
    let text = serde_json::to_string(&s).unwrap();
    assert_eq!(serde_json::from_str::<Selector>(&text).unwrap(), s);
    assert_eq!(
        serde_json::from_str::<Selector>("{}").unwrap(),
        Selector::default()
    );
    assert!(serde_json::from_str::<Selector>(r#"{"region":"x"}"#).is_err());
}

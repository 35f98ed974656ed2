use super::*;

#[test]
fn the_name_beats_the_pattern_and_the_first_pattern_the_next() {
    let rule = |topic: &str, account: &str| TopicRule {
        account: Some(AccountId::new(account).unwrap()),
        ..TopicRule::new(topic)
    };
    let rules = [
        rule("^audit\\.", "100000000001"),
        rule("audit.x", "100000000002"),
        rule("^.*$", "100000000003"),
    ];
    let rules = Rules::new(&rules, Some("intake")).unwrap();
    let account = |topic| rules.of(topic).and_then(|r| r.account.clone());
    let id = |text| AccountId::new(text).ok();
    assert_eq!(account("audit.x"), id("100000000002"));
    assert_eq!(account("audit.y"), id("100000000001"));
    assert_eq!(account("other"), id("100000000003"));
    assert_eq!(account("__consumer_offsets"), None);
    assert_eq!(account("intake"), None, "the intake topic has no rule");
    assert!(rules.reads("intake") && rules.is_intake("intake"));
    assert!(!rules.reads("__consumer_offsets"));
    assert!(!rules.reads("log") && !rules.reads("log-0123456789ab"));
    assert!(rules.reads("logs") && rules.reads("log-of-the-door"));
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let new = |topics: &[&str], intake| {
        let rules: Vec<_> = topics.iter().map(|topic| TopicRule::new(topic)).collect();
        Rules::new(&rules, intake).map(drop)
    };
    assert!(matches!(new(&["a b"], None), Err(RuleError::Name(_))));
    assert!(matches!(new(&["a@2"], None), Err(RuleError::Name(_))));
    assert!(matches!(new(&[""], None), Err(RuleError::Name(_))));
    assert!(matches!(new(&["^("], None), Err(RuleError::Pattern { .. })));
    assert!(matches!(new(&["a", "a"], None), Err(RuleError::Twice(_))));
    assert!(matches!(new(&["a"], Some("a")), Err(RuleError::Twice(_))));
    assert!(matches!(new(&[], Some("a/b")), Err(RuleError::Name(_))));
    assert!(new(&["^a", "a"], Some("b")).is_ok());
    let own = cairn_schemas::Partition::embedded().source;
    assert!(matches!(new(&[&own], None), Err(RuleError::Own(_))));
    assert!(matches!(new(&["a"], Some(&own)), Err(RuleError::Own(_))));
    let other = "log-0123456789ab";
    assert!(matches!(new(&[other], None), Err(RuleError::Own(_))));
}

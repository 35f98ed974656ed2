use super::*;
use crate::kafka::topics::DialectHint;
use cairn_schemas::AccountId;

fn message<'m>(value: Option<&'m [u8]>) -> Message<'m> {
    Message {
        topic: "t",
        partition: 0,
        offset: 7,
        epoch: Some(1),
        timestamp: None,
        key: None,
        value,
        headers: Vec::new(),
    }
}

fn limits() -> Limits {
    Limits::new(DecodeLimits::default(), ReceiveLimits::default())
}

fn reasons(records: &[Record]) -> Vec<Option<Reason>> {
    let reason = |r: &Record| r.refusal.as_ref().map(|r| r.reason);
    records.iter().map(reason).collect()
}

#[test]
fn a_record_may_hold_no_event_one_or_many() {
    let read = |value| read(&message(value), &limits());
    let one = read(Some(br#" {"eventName":"x"} "#));
    assert_eq!(reasons(&one), [None]);
    assert_eq!(one[0].bytes, &br#"{"eventName":"x"}"#[..]);
    assert_eq!(reasons(&read(None)), [Some(Reason::Empty)]);
    // The judge says what these are.
    assert_eq!(reasons(&read(Some(b""))), [None]);
    assert_eq!(reasons(&read(Some(b"hello"))), [None]);
    let many = read(Some(br#"{"Records":[{"a":1},{"a":2},{"a":3}]}"#));
    let items: Vec<_> = many.iter().map(|r| (r.offset, r.item)).collect();
    assert_eq!(items, [(7, 0), (7, 1), (7, 2)]);
    let broken = read(Some(br#"{"Records":[{"a":1},{"a":"#));
    assert_eq!(reasons(&broken), [Some(Reason::InvalidBody)]);
    assert_eq!(broken[0].bytes, &br#"{"Records":[{"a":1},{"a":"#[..]);
    let packed = read(Some(b"\x1f\x8bnonsense"));
    assert_eq!(reasons(&packed), [Some(Reason::InvalidBody)]);
}

#[test]
fn what_is_too_large_or_too_many_is_told_and_its_head_kept() {
    let mut limits = limits();
    limits.decode.max_event = 10;
    limits.receive.max_event = 10;
    limits.receive.max_events = 3;
    let many = read(
        &message(Some(br#"[{"a":1},{"b":"0123456789"},{"c":3}]"#)),
        &limits,
    );
    assert_eq!(reasons(&many), [None, Some(Reason::TooLarge), None]);
    assert_eq!(many[1].bytes, &br#"{"b":"0123"#[..]);
    assert_eq!(many[2].bytes, &br#"{"c":3}"#[..]);
    let over = read(&message(Some(br"[{},{},{},{}]")), &limits);
    assert_eq!(reasons(&over), [Some(Reason::TooManyEvents)]);
    assert_eq!(over[0].bytes.len(), 10);
    let text = read(&message(Some(&[b'x'; 30])), &limits);
    assert_eq!(reasons(&text), [Some(Reason::TooLarge)]);
    assert_eq!(text[0].bytes.len(), 10);
    let exact = Limits::new(DecodeLimits::default(), ReceiveLimits::default());
    assert_eq!(exact.receive.max_events, MAX_ITEMS);
}

#[test]
fn key_time_and_headers_are_kept_losslessly() {
    let mut message = message(Some(b"{}"));
    message.timestamp = Some(5);
    message.key = Some(b"k");
    message.headers = vec![
        ("a".to_owned(), Some(b"text")),
        ("a".to_owned(), Some(b"\xff")),
        ("n".to_owned(), None),
    ];
    let origin = origin(&message, false).unwrap();
    assert_eq!(origin.time, Some(Micros(5000)));
    assert_eq!(origin.key.as_deref(), Some("k"));
    let headers = r#"[["a","text"],["a",{"base64":"/w=="}],["n",null]]"#;
    assert_eq!(origin.headers.as_deref(), Some(headers));
    assert_eq!(key_text(b"\xff"), "base64:/w==");
    assert_eq!(key_text(b"base64:x"), "base64:YmFzZTY0Ong=");
}

#[test]
fn an_envelope_must_be_there_once_and_not_be_cairns_own() {
    let envelope = Envelope {
        received: Micros(9),
        sender: "t1".to_owned(),
        accounts: Among::All,
        account: None,
    };
    let good = serde_json::to_vec(&envelope).unwrap();
    let own = serde_json::to_vec(&Envelope {
        sender: OWN_SENDER.to_owned(),
        ..envelope.clone()
    })
    .unwrap();
    fn read(headers: &[Option<&[u8]>]) -> (Option<Envelope>, Option<Reason>, Option<Arc<Origin>>) {
        let mut message = message(Some(b"{}"));
        for value in headers {
            message.headers.push((ENVELOPE_HEADER.to_owned(), *value));
        }
        let (envelope, record) = read_intake(&message, &limits());
        (envelope, record.refusal.map(|r| r.reason), record.origin)
    }
    assert_eq!(read(&[Some(&good)]), (Some(envelope), None, None));
    let refused = (None, Some(Reason::NoEnvelope));
    for headers in [
        &[][..],
        &[None],
        &[Some(&b"{"[..])],
        &[Some(&own)],
        &[Some(&good), Some(&good)],
    ] {
        let (envelope, reason, _) = read(headers);
        assert_eq!((envelope, reason), refused);
    }
}

#[test]
fn a_rule_refuses_other_dialects_and_may_suspend() {
    let actiontrail = br#"{"eventId":"1","eventName":"x","acsRegion":"r"}"#;
    let cloudtrail = br#"{"eventID":"1","eventName":"x","awsRegion":"r"}"#;
    let mut rule = TopicRule::new("t");
    rule.account = Some(AccountId::new("123456789012").unwrap());
    let envelope = topic_envelope("t", Some(&rule), Micros(1));
    assert_eq!(envelope.account, rule.account);
    let partition = Partition {
        source: "t".to_owned(),
        number: 0,
    };
    let apply = |rule: &TopicRule, value: &[u8], accepted: bool| {
        let mut records = read(&message(Some(value)), &limits());
        let accepted = || accepted;
        let answer = apply_rule(
            rule,
            accepted,
            &mut records,
            &envelope,
            &partition,
            &limits(),
        );
        (answer.map_err(|r| r.reason), reasons(&records))
    };
    assert_eq!(apply(&rule, b"nonsense", false), (Ok(()), vec![None]));
    rule.dialect = DialectHint::CloudTrail;
    assert_eq!(apply(&rule, cloudtrail, false), (Ok(()), vec![None]));
    let unknown = Some(Reason::UnknownDialect);
    assert_eq!(apply(&rule, actiontrail, false), (Ok(()), vec![unknown]));
    rule.on_bad_record = OnBadRecord::Suspend;
    let (answer, _) = apply(&rule, actiontrail, false);
    assert_eq!(answer, Err(Reason::UnknownDialect));
    assert_eq!(apply(&rule, actiontrail, true), (Ok(()), vec![unknown]));
    let own = br#"{"eventId":"1","eventName":"x","serviceName":"cairn"}"#;
    assert_eq!(apply(&rule, own, false).0, Err(Reason::ReservedService));
    let tombstone = apply_rule(
        &rule,
        || false,
        &mut read(&message(None), &limits()),
        &envelope,
        &partition,
        &limits(),
    );
    assert_eq!(tombstone.map_err(|r| r.reason), Err(Reason::Empty));
}

use super::*;

fn attempt(address: &str, presented: Presented) -> Attempt {
    Attempt {
        caller: Caller {
            address: address.to_owned(),
            agent: "x".to_owned(),
        },
        call: "POST /v1/sql".to_owned(),
        presented,
        at: Micros(7),
    }
}

fn counts(due: &[Pending]) -> Vec<(&str, u64)> {
    due.iter()
        .map(|p| (p.caller.address.as_str(), p.calls))
        .collect()
}

#[test]
fn an_address_has_one_event_a_minute_however_often_it_tries() {
    let rejected = Rejected::default();
    let start = Instant::now();
    let id = TokenId::new("0123456789abcdef").unwrap();
    rejected.note(attempt("a", Presented::Nothing));
    assert_eq!(counts(&rejected.take(Some(start))), [("a", 1)]);
    for _ in 0..1000 {
        rejected.note(attempt("a", Presented::Known(id.clone())));
        rejected.note(attempt("a", Presented::Unknown));
    }
    rejected.note(attempt("b", Presented::Nothing));
    let second = start + Duration::from_secs(1);
    assert_eq!(counts(&rejected.take(Some(second))), [("b", 1)]);
    let before = start + QUIET - Duration::from_millis(1);
    assert!(rejected.take(Some(before)).is_empty());
    let due = rejected.take(Some(start + QUIET));
    assert_eq!(counts(&due), [("a", 2000)]);
    assert_eq!((due[0].without_token, due[0].tokens.len()), (0, 1));
    assert!(due[0].tokens.contains(&id));
    // Nothing is held of those who have gone quiet.
    assert!(rejected.take(Some(start + 3 * QUIET)).is_empty());
    assert!(rejected.0.lock().is_empty());
}

#[test]
fn many_addresses_share_an_entry_and_nothing_is_left_out_at_the_end() {
    let rejected = Rejected::default();
    for n in 0..10_000 {
        rejected.note(attempt(&format!("10.0.{n}"), Presented::Unknown));
    }
    assert_eq!(rejected.0.lock().len(), ADDRESSES + 1);
    let now = Instant::now();
    let due = rejected.take(Some(now));
    assert_eq!(due.len(), ADDRESSES + 1);
    assert_eq!(due.iter().map(|p| p.calls).sum::<u64>(), 10_000);
    rejected.note(attempt("10.0.1", Presented::Unknown));
    assert!(rejected.take(Some(now)).is_empty());
    assert_eq!(counts(&rejected.take(None)), [("10.0.1", 1)]);
}

use std::sync::Arc;

use bytes::Bytes;
use cairn_schemas::Micros;
use cairn_schemas::selector::Among;
use cairn_store::log::Envelope;

use super::*;
use crate::source::Record;

fn received(first: i64, bytes: usize) -> Received {
    Received {
        partition: Partition {
            source: "t".to_owned(),
            number: 0,
        },
        first,
        next: first + 1,
        envelope: Arc::new(Envelope {
            received: Micros(1),
            sender: "kafka:t".to_owned(),
            accounts: Among::All,
            account: None,
        }),
        records: vec![Record {
            offset: first,
            item: 0,
            bytes: Bytes::from(vec![b'x'; bytes]),
            refusal: None,
            origin: None,
        }],
        mark: None,
    }
}

fn taken(shared: &Shared, max: usize) -> Option<Vec<i64>> {
    match shared.lock().take(max) {
        Offer::Records(records) => Some(records.iter().map(|r| r.first).collect()),
        Offer::Nothing => Some(Vec::new()),
        Offer::Changed | Offer::Failed(_) => None,
    }
}

fn begin(shared: &Shared) {
    let mut state = shared.lock();
    state.clear();
    state.generation += 1;
    state.changed = false;
}

#[test]
fn nothing_comes_before_it_was_verified_in_its_own_generation() {
    let shared = Shared::default();
    begin(&shared);
    shared.push(vec![received(0, 10), received(1, 10)]);
    assert_eq!(taken(&shared, 1000), Some(vec![]));
    let (generation, count, _) = shared.to_verify();
    // Polled after the look began: it is not let through by it.
    shared.push(vec![received(2, 10)]);
    shared.verified(generation, count);
    assert_eq!(taken(&shared, 1 << 20), Some(vec![0, 1]));
    // A look of an older generation lets nothing of the new one through.
    let (old, count, _) = shared.to_verify();
    assert_eq!(count, 1);
    shared.change();
    begin(&shared);
    shared.push(vec![received(5, 10)]);
    shared.verified(old, count);
    assert_eq!(taken(&shared, 1 << 20), Some(vec![]));
}

#[test]
fn a_change_lets_go_of_everything_until_it_begins_anew() {
    let shared = Shared::default();
    begin(&shared);
    shared.push(vec![received(0, 10)]);
    let (generation, count, _) = shared.to_verify();
    shared.verified(generation, count);
    shared.push(vec![received(1, 10)]);
    shared.change();
    assert_eq!(shared.bytes(), 0);
    assert_eq!(taken(&shared, 1000), None);
    shared.push(vec![received(2, 10)]);
    assert_eq!(shared.bytes(), 0, "what comes meanwhile is read again");
    begin(&shared);
    assert_eq!(taken(&shared, 1000), Some(vec![]));
}

#[test]
fn bytes_are_counted_in_and_out() {
    let shared = Shared::default();
    begin(&shared);
    shared.push((0..10).map(|n| received(n, 1000)).collect());
    assert!(shared.bytes() > 10_000);
    let (generation, count, _) = shared.to_verify();
    shared.verified(generation, count);
    let some = taken(&shared, 2500).unwrap();
    assert!(!some.is_empty() && some.len() < 4, "{some:?}");
    while !taken(&shared, 2500).unwrap().is_empty() {}
    assert_eq!(shared.bytes(), 0);
}

#[test]
fn a_failure_is_told_for_good() {
    let shared = Shared::default();
    shared.fail("first".to_owned());
    shared.fail("second".to_owned());
    begin(&shared);
    let offer = shared.lock().take(1);
    assert!(matches!(offer, Offer::Failed(why) if why == "first"));
}

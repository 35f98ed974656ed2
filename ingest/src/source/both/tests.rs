use std::sync::Arc;

use bytes::Bytes;
use cairn_schemas::Micros;
use cairn_schemas::selector::Among;
use cairn_store::log::Envelope;

use super::*;
use crate::source::memory::MemoryLog;

fn partition(source: &str) -> Partition {
    Partition {
        source: source.to_owned(),
        number: 0,
    }
}

fn send(log: &MemoryLog, to: &Partition, count: usize) {
    let envelope = Envelope {
        received: Micros(1),
        sender: "test".to_owned(),
        accounts: Among::All,
        account: None,
    };
    for n in 0..count {
        log.append(
            to,
            &Arc::new(envelope.clone()),
            vec![Bytes::from(n.to_string())],
        );
    }
}

async fn taken(source: &mut Joined) -> Option<(String, i64)> {
    match source.next(1).await.unwrap() {
        Taken::Changed => None,
        Taken::Records(mut received) => {
            assert_eq!(received.len(), 1);
            let one = received.remove(0);
            Some((one.partition.source, one.first))
        }
    }
}

#[tokio::test]
async fn both_come_in_turn_and_either_may_change() {
    let (a, b) = (MemoryLog::default(), MemoryLog::default());
    let (pa, pb) = (partition("a"), partition("b"));
    a.assign(0, BTreeSet::from([pa.clone()]));
    b.assign(0, BTreeSet::from([pb.clone()]));
    let mut joined = Joined::new(Box::new(a.source(0)), Box::new(b.source(0)));
    assert_eq!(taken(&mut joined).await, None, "nothing before the begin");

    send(&a, &pa, 3);
    send(&b, &pb, 3);
    let owned = joined.begin(&Position::default()).await.unwrap();
    assert_eq!(owned, BTreeSet::from([pa.clone(), pb.clone()]));
    let mut got = Vec::new();
    for _ in 0..6 {
        got.push(taken(&mut joined).await.unwrap().0);
    }
    assert_eq!(got, ["a", "b", "a", "b", "a", "b"]);

    // A call that waits and is dropped loses nothing.
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(5), joined.next(1))
            .await
            .is_err()
    );
    send(&b, &pb, 1);
    assert_eq!(taken(&mut joined).await, Some(("b".to_owned(), 3)));

    b.assign(0, BTreeSet::new());
    send(&a, &pa, 1);
    while taken(&mut joined).await.is_some() {}
    assert_eq!(taken(&mut joined).await, None, "it stays so");
    let owned = joined.begin(&Position::at(pa.clone(), 3)).await.unwrap();
    assert_eq!(owned, BTreeSet::from([pa]));
    assert_eq!(taken(&mut joined).await, Some(("a".to_owned(), 3)));
}

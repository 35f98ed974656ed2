//! Offsets without records, records without events.

use std::io::Write;
use std::sync::Arc;

use cairn_ingest::kafka::{
    Acceptable, DialectHint, KafkaOptions, OnBadRecord, PartitionState, StoppedReason,
};
use rdkafka::message::{Header, OwnedHeaders};

use super::harness::*;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn positions_pass_aborted_transactions_and_skip_no_record() {
    let topic = unique("tx");
    create(&topic, 1).await;
    let world = Arc::new(World::default());
    let member = Member::new(&world, &options(&unique("g"), &[&topic]));
    let handle = member.handle.clone();
    let running = member.spawn();
    let mut expected = Vec::new();
    let mut offset = 0;
    // Reading goes on while transactions come and go: the ends that are met
    // are of all kinds.
    for round in 0..12 {
        let (count, commit) = (1 + round % 4, round % 3 != 0);
        {
            let topic = topic.clone();
            tokio::task::spawn_blocking(move || {
                transaction(&topic, 0, 100 * round, count, commit);
            })
            .await
            .unwrap();
        }
        if commit {
            expected.extend(offset..offset + count as i64);
        }
        offset += count as i64 + 1;
        if round % 4 == 1 {
            produce(&topic, 0, 100_000 + round, 2).await;
            expected.extend([offset, offset + 1]);
            offset += 2;
        }
        if round % 3 == 0 {
            wait("the end after an aborted transaction is reached", || {
                world.history.lock().at(&topic, 0) == offset
            })
            .await;
        }
    }
    {
        let topic = topic.clone();
        tokio::task::spawn_blocking(move || transaction(&topic, 0, 9_000, 3, false))
            .await
            .unwrap();
    }
    offset += 4;
    // The marker is written a moment after the abort was answered.
    let end = async {
        loop {
            let end = handle.end().await.unwrap();
            if end.of(&partition(&topic, 0)) == offset {
                return end;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let end = in_time("the end is told", end).await;
    wait("the end is reached, though no record stands there", || {
        world.history.lock().position.reaches(&end)
    })
    .await;
    let history = world.history.lock();
    assert_eq!(history.at(&topic, 0), offset, "and nothing behind it");
    assert_eq!(history.offsets(&topic, 0), expected);
    drop(history);
    let status = &handle.board().status().partitions[0];
    assert_eq!((status.lag, status.next), (0, offset));
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn an_open_transaction_holds_the_end() {
    let topic = unique("open");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 3).await;
    let world = Arc::new(World::default());
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    let open = OpenTransaction::new(&topic, 4);
    // Behind the open one, and so not stable.
    produce(&topic, 0, 50, 2).await;
    member
        .until("what is stable is read", |m| {
            m.world.history.lock().at(&topic, 0) == 3
        })
        .await;
    let end = member.handle.end().await.unwrap();
    assert_eq!(end.of(&partition(&topic, 0)), 3);
    open.abort();
    // Three records, four aborted ones, two records, one marker.
    member
        .until("all is read", |m| {
            m.world.history.lock().at(&topic, 0) == 10
        })
        .await;
    assert_eq!(world.history.lock().offsets(&topic, 0), [0, 1, 2, 7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn what_is_no_event_is_told_and_what_holds_many_is_split() {
    let topic = unique("bad");
    create(&topic, 1).await;
    let one = event(1);
    let many = [&b"{\"Records\": ["[..], &event(2), b",", &event(3), b"]}"].concat();
    let lines = [&event(4)[..], b"\n", &event(5), b"\n{broken\n"].concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&many).unwrap();
    let packed = packed.finish().unwrap();
    let broken = &many[..many.len() - 10];
    let large = vec![b'x'; 1_048_576 - 200];
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "trace",
            value: Some("t1"),
        })
        .insert(Header {
            key: "raw",
            value: Some(&[0xff_u8][..]),
        });
    produce_raw(&topic, Some(b"k"), Some(&one), Some(headers)).await;
    produce_raw(&topic, None, None, None).await;
    produce_raw(&topic, None, Some(&many), None).await;
    produce_raw(&topic, None, Some(&lines), None).await;
    produce_raw(&topic, None, Some(&packed), None).await;
    produce_raw(&topic, None, Some(broken), None).await;
    produce_raw(&topic, None, Some(&large), None).await;
    produce_raw(&topic, None, Some(b"\xff\xfe"), None).await;
    let world = Arc::new(World::default());
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("all is read", |m| m.world.history.lock().at(&topic, 0) == 8)
        .await;
    let history = world.history.lock();
    let seen: Vec<_> = history
        .rows
        .iter()
        .map(|row| (row.offset, row.item, row.reason))
        .collect();
    let expected = [
        (0, 0, None),
        (1, 0, Some("empty")),
        (2, 0, None),
        (2, 1, None),
        (3, 0, None),
        (3, 1, None),
        (3, 2, None),
        (4, 0, None),
        (4, 1, None),
        (5, 0, Some("invalid_body")),
        (6, 0, None),
        (7, 0, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(history.rows[0].bytes, one);
    assert_eq!(history.rows[3].bytes, event(3));
    assert_eq!(history.rows[8].bytes, event(3));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_rule_may_stop_at_a_bad_record_until_it_is_accepted() {
    let topic = unique("strict");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 3).await;
    produce_raw(&topic, None, Some(b"no event"), None).await;
    produce(&topic, 0, 3, 2).await;
    let world = Arc::new(World::default());
    let mut options: KafkaOptions = options(&unique("g"), &[&topic]);
    options.topics[0].on_bad_record = OnBadRecord::Suspend;
    options.topics[0].dialect = DialectHint::ActionTrail;
    let mut member = Member::new(&world, &options);
    let stopped = |m: &Member| {
        let partitions = m.handle.board().status().partitions;
        partitions.first().is_some_and(|p| {
            matches!(
                &p.state,
                PartitionState::Stopped {
                    why: StoppedReason::BadRecord { offset: 3, .. },
                    ..
                }
            )
        })
    };
    member
        .until("it stops there", |m| {
            stopped(m) && m.world.history.lock().at(&topic, 0) == 3
        })
        .await;
    let bad = Acceptable::bad_record(3);
    world.accepted.0.lock().push((partition(&topic, 0), bad));
    member
        .until("it goes on", |m| m.world.history.lock().at(&topic, 0) == 6)
        .await;
    let history = world.history.lock();
    assert_eq!(history.offsets(&topic, 0), each(0, 6));
    assert_eq!(history.rows[3].reason, Some("invalid_json"));
}

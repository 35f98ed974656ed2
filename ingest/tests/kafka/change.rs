//! Topics that grow, shrink, and are made anew.

use std::sync::Arc;
use std::time::Duration;

use cairn_ingest::kafka::{Acceptable, PartitionState, StoppedReason, TopicRule};

use super::harness::*;

fn stopped(member: &Member, number: i32) -> Option<StoppedReason> {
    let partitions = member.handle.board().status().partitions;
    let found = partitions.into_iter().find(|p| p.partition == number)?;
    match found.state {
        PartitionState::Stopped { why, .. } => Some(why),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn new_partitions_are_read_from_their_beginning() {
    let topic = unique("grow");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 10).await;
    let world = Arc::new(World::default());
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("one partition is read", |m| {
            m.world.history.lock().at(&topic, 0) == 10
        })
        .await;
    grow(&topic, 3).await;
    produce(&topic, 2, 100, 10).await;
    member
        .until("the new one is read", |m| {
            m.world.history.lock().at(&topic, 2) == 10
        })
        .await;
    let history = world.history.lock();
    assert_eq!(history.offsets(&topic, 0), each(0, 10));
    assert_eq!(history.offsets(&topic, 2), each(0, 10));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_topic_made_anew_has_a_name_of_its_own() {
    let topic = unique("anew");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 20).await;
    let world = Arc::new(World::default());
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("the first life is read", |m| {
            m.world.history.lock().at(&topic, 0) == 20
        })
        .await;
    // While it runs, and with more records than the first had: a reader that
    // went on at 20 would take the second life's for the first's.
    delete(&topic).await;
    recreate(&topic).await;
    produce(&topic, 0, 1000, 50).await;
    let second = format!("{topic}@2");
    member
        .until("the second life is read", |m| {
            m.world.history.lock().at(&second, 0) == 50
        })
        .await;
    drop(member);
    // And while nobody runs.
    delete(&topic).await;
    recreate(&topic).await;
    produce(&topic, 0, 2000, 5).await;
    let third = format!("{topic}@3");
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("the third life is read", |m| {
            m.world.history.lock().at(&third, 0) == 5
        })
        .await;
    let history = world.history.lock();
    assert_eq!(history.offsets(&topic, 0), each(0, 20));
    assert_eq!(history.offsets(&second, 0), each(0, 50));
    assert_eq!(history.offsets(&third, 0), each(0, 5));
    for (source, first) in [(&topic, 0), (&second, 1000), (&third, 2000)] {
        for row in history
            .rows
            .iter()
            .filter(|row| row.partition.source == *source)
        {
            assert_eq!(row.bytes, event(first + row.offset as usize), "of {source}");
        }
    }
}

/// Deletion takes the broker a moment.
async fn recreate(topic: &str) {
    use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
    let made = async {
        loop {
            let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
            let made = admin().create_topics([&new], &AdminOptions::new()).await;
            if made.unwrap()[0].is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    in_time("the topic is made anew", made).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_gap_stops_its_partition_and_no_other() {
    let topic = unique("gap");
    create(&topic, 2).await;
    produce(&topic, 0, 0, 30).await;
    produce(&topic, 1, 100, 10).await;
    let world = Arc::new(World::default());
    world
        .history
        .lock()
        .position
        .0
        .insert(partition(&topic, 0), 10);
    trim(&topic, 0, 25).await;
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("the other is read, the one is not", |m| {
            let gap = StoppedReason::Gap { from: 10, to: 25 };
            m.world.history.lock().at(&topic, 1) == 10 && stopped(m, 0) == Some(gap)
        })
        .await;
    assert_eq!(member.owned.len(), 2, "a stopped partition is owned");
    assert_eq!(world.history.lock().at(&topic, 0), 10);
    // What is accepted has to be what is gone: neither less nor more.
    for to in [20, 30] {
        let wrong = Acceptable::gap(10, to);
        world.accepted.0.lock().push((partition(&topic, 0), wrong));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.history.lock().at(&topic, 0), 10);
    let right = Acceptable::gap(10, 25);
    world.accepted.0.lock().push((partition(&topic, 0), right));
    member
        .until("it goes on once the gap is accepted", |m| {
            m.world.history.lock().at(&topic, 0) == 30
        })
        .await;
    let history = world.history.lock();
    let reasons: Vec<_> = history
        .rows
        .iter()
        .filter(|row| row.partition.number == 0)
        .map(|row| (row.offset, row.reason))
        .collect();
    assert_eq!(reasons[0], (10, Some("source_gap")));
    let rest: Vec<_> = (25..30).map(|offset| (offset, None)).collect();
    assert_eq!(reasons[1..], rest);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_gap_that_opens_while_reading_is_found() {
    let topic = unique("late-gap");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 5).await;
    let world = Arc::new(World::default());
    let mut options = options(&unique("g"), &[&topic]);
    // So little is fetched that the rest is trimmed before it is asked for.
    options.buffer_bytes = 1;
    let mut member = Member::new(&world, &options);
    member
        .until("the first records are read", |m| {
            m.world.history.lock().at(&topic, 0) == 5
        })
        .await;
    // Nobody takes anything: the consumer pauses, and the log is trimmed ahead.
    produce(&topic, 0, 5, 1).await;
    wait("the consumer pauses", || {
        let status = member.handle.board().status();
        let partition = &status.partitions[0];
        partition.next == 6 && partition.state == PartitionState::Paused
    })
    .await;
    produce(&topic, 0, 6, 50).await;
    trim(&topic, 0, 40).await;
    member
        .until("the gap is found", |m| {
            matches!(stopped(m, 0), Some(StoppedReason::Gap { from: 6, to: 40 }))
        })
        .await;
    assert_eq!(world.history.lock().offsets(&topic, 0), each(0, 6));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_log_that_ends_before_history_is_not_read() {
    let topic = unique("cut");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 7).await;
    let world = Arc::new(World::default());
    world
        .history
        .lock()
        .position
        .0
        .insert(partition(&topic, 0), 9);
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("it is told", |m| {
            stopped(m, 0)
                == Some(StoppedReason::Truncated {
                    committed: 9,
                    end: 7,
                    from: None,
                })
        })
        .await;
    produce(&topic, 0, 7, 5).await;
    // A look later: what was written under old offsets must not pass.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    member
        .until("still stopped", |m| stopped(m, 0).is_some())
        .await;
    assert_eq!(world.history.lock().rows, []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_first_sight_begins_at_the_log_start_for_every_partition() {
    let topic = unique("first");
    create(&topic, 2).await;
    produce(&topic, 0, 0, 10).await;
    produce(&topic, 1, 100, 10).await;
    trim(&topic, 0, 4).await;
    trim(&topic, 1, 10).await;
    let (world, group) = (Arc::new(World::default()), unique("g"));
    for _ in 0..2 {
        // The second time history knows the topic; the emptied partition still
        // has no gap.
        let mut member = Member::new(&world, &options(&group, &[&topic]));
        member
            .until("both are read", |m| {
                let history = m.world.history.lock();
                m.owned.len() == 2 && history.at(&topic, 0) == 10 && history.at(&topic, 1) == 10
            })
            .await;
        assert_eq!((stopped(&member, 0), stopped(&member, 1)), (None, None));
        let handle = member.handle.clone();
        drop(member);
        in_time("the member leaves", handle.closed()).await;
    }
    assert_eq!(world.history.lock().offsets(&topic, 0), each(4, 10));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_pattern_takes_topics_that_come_later() {
    let prefix = unique("pattern");
    let first = format!("{prefix}.a");
    create(&first, 1).await;
    produce(&first, 0, 0, 3).await;
    let world = Arc::new(World::default());
    let mut options = options(&unique("g"), &[]);
    options.topics = vec![TopicRule::new(&format!("^{prefix}\\.[a-b]$"))];
    let mut member = Member::new(&world, &options);
    member
        .until("the first is read", |m| {
            m.world.history.lock().at(&first, 0) == 3
        })
        .await;
    let (second, other) = (format!("{prefix}.b"), format!("{prefix}.c"));
    create(&second, 1).await;
    create(&other, 1).await;
    produce(&second, 0, 100, 4).await;
    produce(&other, 0, 200, 4).await;
    member
        .until("the second is read", |m| {
            m.world.history.lock().at(&second, 0) == 4
        })
        .await;
    assert_eq!(world.history.lock().offsets(&other, 0), [] as [i64; 0]);
}

//! Logs that lost records which were read. A broker that runs loses none, so
//! history is told of records that the log never had.

use std::sync::Arc;

use cairn_ingest::kafka::{Acceptable, PartitionState, StoppedReason};
use cairn_ingest::source::Mark;

use super::harness::*;

/// A history that has read `topic` up to `next`, with the mark of its last record.
fn world(topic: &str, next: i64, mark: Mark) -> Arc<World> {
    let world = World::default();
    let partition = partition(topic, 0);
    let mut history = world.history.lock();
    history.position.advance(&partition, next);
    mark.note(&mut history.position, &partition);
    drop(history);
    Arc::new(world)
}

fn state(member: &Member) -> Option<PartitionState> {
    let partitions = member.handle.board().status().partitions;
    partitions.into_iter().next().map(|p| p.state)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn records_where_none_were_stop_the_partition_until_that_is_accepted() {
    let topic = unique("regrown");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 20).await;
    let world = world(&topic, 10, Mark { next: 8, epoch: 0 });
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("it is told", |m| {
            let why = StoppedReason::Truncated {
                committed: 10,
                end: 20,
                from: Some(8),
            };
            matches!(state(m), Some(PartitionState::Stopped { why: told, .. }) if told == why)
        })
        .await;
    assert_eq!(world.history.lock().rows, []);
    let what = Acceptable::truncated(8, 10);
    let accepted = (partition(&topic, 0), what);
    world.accepted.0.lock().push(accepted);
    let renewed = format!("{topic}@2");
    member
        .until("it goes on under another name", |m| {
            m.world.history.lock().at(&renewed, 0) == 20
        })
        .await;
    {
        let history = world.history.lock();
        assert_eq!(history.offsets(&renewed, 0), each(8, 20));
        assert_eq!(history.offsets(&topic, 0), each(0, 0));
        assert_eq!(history.at(&topic, 0), 10, "what was read stays as it was");
    }
    // For every process, and for ever.
    drop(member);
    produce(&topic, 0, 20, 5).await;
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("the next process reads on there", |m| {
            m.world.history.lock().at(&renewed, 0) == 25
        })
        .await;
    let history = world.history.lock();
    assert_eq!(history.offsets(&renewed, 0), each(8, 25));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn an_epoch_that_the_log_does_not_know_stops_the_partition() {
    let topic = unique("older");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 20).await;
    // A cluster that was put back as a whole: its epochs are older too.
    let mark = Mark {
        next: 10,
        epoch: 99,
    };
    let world = world(&topic, 10, mark);
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("it is told", |m| {
            let why = StoppedReason::Truncated {
                committed: 10,
                end: 20,
                from: None,
            };
            matches!(state(m), Some(PartitionState::Stopped { why: told, .. }) if told == why)
        })
        .await;
    assert_eq!(world.history.lock().rows, []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_log_that_has_what_was_read_goes_on() {
    let topic = unique("same");
    create(&topic, 1).await;
    let world = Arc::new(World::default());
    let options = options(&unique("g"), &[&topic]);
    // Ends of all kinds: at a record, behind an aborted transaction, and behind
    // what retention has left.
    for round in 0..4_usize {
        let mut member = Member::new(&world, &options);
        let first = 100 * round;
        let topic_of = topic.clone();
        produce(&topic, 0, first, 5).await;
        if round % 2 == 0 {
            tokio::task::spawn_blocking(move || transaction(&topic_of, 0, first + 50, 2, false))
                .await
                .unwrap();
        }
        // Five records each, and after every other two aborted ones and a marker.
        let end = 5 * (round as i64 + 1) + 3 * (round as i64 / 2 + 1);
        member
            .until("all is read", |m| {
                m.world.history.lock().at(&topic, 0) == end
            })
            .await;
        let mark = Mark::of(&world.history.lock().position, &partition(&topic, 0)).unwrap();
        let last = world.history.lock().offsets(&topic, 0).pop().unwrap();
        assert_eq!(mark.next, last + 1);
        assert_eq!(state(&member), Some(PartitionState::Reading));
        if round == 2 {
            trim(&topic, 0, end).await;
        }
        let handle = member.handle.clone();
        drop(member);
        in_time("the member leaves", handle.closed()).await;
    }
    assert_eq!(world.history.lock().offsets(&topic, 0).len(), 20);
}

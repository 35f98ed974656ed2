//! A pipeline that is slow, or away.

use std::sync::Arc;

use cairn_ingest::kafka::PartitionState;

use super::harness::*;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn what_waits_is_bounded_and_nothing_is_lost_by_pausing() {
    let topic = unique("pressure");
    create(&topic, 2).await;
    for number in 0..2 {
        produce(&topic, number, 100_000 * number as usize, 20_000).await;
    }
    // The end of one is told while fetching pauses, and must be told again.
    {
        let topic = topic.clone();
        let aborted = move || transaction(&topic, 0, 500_000, 3, false);
        tokio::task::spawn_blocking(aborted).await.unwrap();
    }
    let ends = [20_004, 20_000];
    let world = Arc::new(World::default());
    let mut options = options(&unique("g"), &[&topic]);
    options.buffer_bytes = 300_000;
    let mut member = Member::new(&world, &options);
    let paused = |m: &Member| {
        let partitions = m.handle.board().status().partitions;
        partitions.iter().any(|p| p.state == PartitionState::Paused)
    };
    // Rest again and again until it has paused; then take a little.
    for _ in 0..5 {
        let before = world.history.lock().position.clone();
        member
            .until("something is read", |m| {
                m.world.history.lock().position != before
            })
            .await;
        let end = world.history.lock().position.clone();
        if (0..2).all(|n| end.of(&partition(&topic, n)) >= 20_000) {
            panic!("the buffer held everything, so nothing was shown");
        }
        wait("it pauses", || paused(&member)).await;
    }
    member
        .until("all is read", |m| {
            let history = m.world.history.lock();
            (0..2).all(|n| history.at(&topic, n) == ends[n as usize])
        })
        .await;
    let history = world.history.lock();
    for number in 0..2 {
        assert_eq!(history.offsets(&topic, number), each(0, 20_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_member_that_sleeps_is_overtaken_and_repeats_nothing() {
    let topic = unique("sleep");
    create(&topic, 2).await;
    for number in 0..2 {
        produce(&topic, number, 1000 * number as usize, 100).await;
    }
    let (world, group) = (Arc::new(World::default()), unique("g"));
    let mut sleeper = Member::new(&world, &options(&group, &[&topic]));
    // It reads everything and commits nothing.
    sleeper.commit_every = usize::MAX;
    sleeper
        .until("all is open", |m| {
            let read: usize = m.open.iter().map(|r| r.records.len()).sum();
            read == 200
        })
        .await;
    // Another joins and is given one partition once patience is over, though
    // the sleeper answers nothing.
    let mut other = Member::new(&world, &options(&group, &[&topic]));
    other
        .until("the other has its share and commits it", |m| {
            let history = m.world.history.lock();
            m.owned.len() == 1 && m.owned.iter().all(|p| history.position.of(p) == 100)
        })
        .await;
    // The sleeper wakes: it cannot commit what was overtaken, and goes on.
    let other = other.spawn();
    sleeper.commit_every = 1;
    let sleeper = sleeper.spawn();
    wait("all is committed", || {
        let history = world.history.lock();
        (0..2).all(|n| history.at(&topic, n) == 100)
    })
    .await;
    drop((sleeper, other));
    let history = world.history.lock();
    for number in 0..2 {
        assert_eq!(history.offsets(&topic, number), each(0, 100));
    }
}

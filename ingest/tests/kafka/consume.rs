//! Reading, sharing, beginning at given offsets.

use std::sync::Arc;

use super::harness::*;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn every_record_comes_once_and_in_order() {
    let topic = unique("all");
    create(&topic, 3).await;
    for number in 0..3 {
        produce(&topic, number, 1000 * number as usize, 500).await;
    }
    let world = Arc::new(World::default());
    let mut member = Member::new(&world, &options(&unique("g"), &[&topic]));
    member
        .until("three partitions are read", |m| {
            let history = m.world.history.lock();
            (0..3).all(|n| history.at(&topic, n) == 500)
        })
        .await;
    let history = world.history.lock();
    for number in 0..3 {
        assert_eq!(history.offsets(&topic, number), each(0, 500));
    }
    assert!(
        history
            .rows
            .iter()
            .all(|row| row.sender == format!("kafka:{topic}"))
    );
    assert_eq!(member.owned.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn two_members_share_and_take_over() {
    let topic = unique("share");
    create(&topic, 4).await;
    for number in 0..4 {
        produce(&topic, number, 1000 * number as usize, 200).await;
    }
    let (world, group) = (Arc::new(World::default()), unique("g"));
    let first = Member::new(&world, &options(&group, &[&topic])).spawn();
    wait("the first reads all", || {
        let history = world.history.lock();
        (0..4).all(|n| history.at(&topic, n) == 200)
    })
    .await;
    // The second joins while more comes.
    let second = Member::new(&world, &options(&group, &[&topic]));
    let board = Arc::clone(second.handle.board());
    let second = second.spawn();
    for number in 0..4 {
        produce(&topic, number, 10_000 + 1000 * number as usize, 300).await;
    }
    wait("the second has its share", || {
        board.status().partitions.len() == 2
    })
    .await;
    for number in 0..4 {
        produce(&topic, number, 20_000 + 1000 * number as usize, 300).await;
    }
    wait("both read on", || {
        let history = world.history.lock();
        (0..4).all(|n| history.at(&topic, n) == 800)
    })
    .await;
    // The first leaves; the second takes over what it had.
    let first = first.stop().await;
    let handle = first.handle.clone();
    drop(first);
    in_time("the first leaves", handle.closed()).await;
    for number in 0..4 {
        produce(&topic, number, 30_000 + 1000 * number as usize, 200).await;
    }
    wait("the second reads all", || {
        let history = world.history.lock();
        (0..4).all(|n| history.at(&topic, n) == 1000)
    })
    .await;
    let second = second.stop().await;
    assert_eq!(second.owned.len(), 4);
    let history = world.history.lock();
    for number in 0..4 {
        assert_eq!(history.offsets(&topic, number), each(0, 1000));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn history_alone_says_where_to_begin() {
    let topic = unique("begin");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 1000).await;
    let world = Arc::new(World::default());
    let group = unique("g");
    let mut member = Member::new(&world, &options(&group, &[&topic]));
    member
        .until("all is read", |m| {
            m.world.history.lock().at(&topic, 0) == 1000
        })
        .await;
    // Kafka's own group offsets say the end; nobody reads them.
    member.handle.report(&world.history.lock().position.clone());
    // Overtaken, as it were: the same partitions, from other offsets, again and
    // again. Nothing of an older beginning comes out after a newer one.
    for begin in [0, 990, 1, 500, 999, 3, 0, 700, 2] {
        {
            let mut history = world.history.lock();
            history.position.0.insert(partition(&topic, 0), begin);
            history.rows.clear();
        }
        member.open.clear();
        member.begin().await;
        member
            .until("it is read again", |m| {
                m.world.history.lock().at(&topic, 0) == 1000
            })
            .await;
        assert_eq!(world.history.lock().offsets(&topic, 0), each(begin, 1000));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn a_member_that_got_nothing_takes_over_all_the_same() {
    let topic = unique("spare");
    create(&topic, 1).await;
    produce(&topic, 0, 0, 100).await;
    let (world, group) = (Arc::new(World::default()), unique("g"));
    let two = [(); 2].map(|()| Member::new(&world, &options(&group, &[&topic])));
    let boards = [0, 1].map(|n| Arc::clone(two[n].handle.board()));
    let mut running = two.map(|member| Some(member.spawn()));
    let shares = || [0, 1].map(|n| boards[n].status());
    wait("both are members, and one has the partition", || {
        let rebalanced = shares().iter().all(|s| s.rebalances > 0);
        rebalanced && world.history.lock().at(&topic, 0) == 100
    })
    .await;
    // The group has settled when nothing changes any more.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let owner = usize::from(shares()[0].partitions.is_empty());
    let stopped = running[owner].take().unwrap().stop().await;
    let handle = stopped.handle.clone();
    drop(stopped);
    in_time("the owner leaves", handle.closed()).await;
    produce(&topic, 0, 1000, 100).await;
    wait("the other reads on", || {
        world.history.lock().at(&topic, 0) == 200
    })
    .await;
    let other = running[1 - owner].take().unwrap().stop().await;
    assert_eq!(other.owned.len(), 1);
    let history = world.history.lock();
    assert_eq!(history.offsets(&topic, 0), each(0, 200));
}

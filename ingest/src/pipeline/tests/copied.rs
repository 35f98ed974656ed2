//! Two processes that take one log for their own, as after a copy of a data
//! folder.

use super::super::*;
use super::many::seldom;
use super::world::{World, event, owned, partition};

/// Notes a start on partition 0 by process `n`.
async fn start(world: &World, n: usize, number: i64) {
    let history = &world.of(n).history;
    let at = history.standing().await.unwrap();
    history.claim(&partition(0), number, &at).await.unwrap();
}

/// Where history and quarantine stand in partition 0, by process 1.
async fn places(world: &World) -> [i64; 2] {
    let at = world.of(1).history.standing().await.unwrap();
    [&at.history, &at.quarantine].map(|at| at.of(&partition(0)))
}

fn bad() -> bytes::Bytes {
    bytes::Bytes::from_static(b"{\"eventName\": ")
}

/// Process 0 has committed two records of partition 0, one of them refused.
async fn one_that_runs() -> World {
    let world = World::new(2, seldom()).await;
    world.log.assign(0, owned(&[0]));
    world.log.assign(1, owned(&[1]));
    world.owns(0, &[0]).await;
    world.owns(1, &[1]).await;
    start(&world, 0, 10).await;
    world.send(0, vec![event(1, 0), bad()]);
    world.flush(0).await;
    assert_eq!(places(&world).await, [2, 2]);
    world
}

#[tokio::test]
async fn the_older_of_two_on_one_log_commits_no_event() {
    let mut world = one_that_runs().await;
    world.send(0, vec![event(2, 0)]);
    world.judged(0).await;
    start(&world, 1, 20).await;
    let end = world.log.end();
    assert!(!world.of(0).handle.flush(end).await, "it committed");
    assert!(world.of(0).history.is_superseded());
    let ended = world.ended(0).await;
    assert!(matches!(ended, PipelineError::Superseded), "{ended}");
    assert_eq!(places(&world).await, [2, 2]);
    // The newer one goes on where history stands.
    world.log.assign(1, owned(&[0, 1]));
    world.owns(1, &[0, 1]).await;
    world.flush(1).await;
    world.check().await;
}

/// Rows of quarantine that the older one commits would keep those of the newer
/// one at the same places out.
#[tokio::test]
async fn the_older_of_two_on_one_log_commits_no_refusal() {
    let mut world = one_that_runs().await;
    world.send(0, vec![bad(), event(2, 0)]);
    world.judged(0).await;
    start(&world, 1, 20).await;
    let end = world.log.end();
    assert!(!world.of(0).handle.flush(end).await, "it committed");
    let ended = world.ended(0).await;
    assert!(matches!(ended, PipelineError::Superseded), "{ended}");
    assert_eq!(places(&world).await, [2, 2]);
}

#[tokio::test]
async fn the_older_of_two_on_one_log_ends_when_it_looks() {
    let mut world = one_that_runs().await;
    start(&world, 1, 20).await;
    world.of(0).history.refresh().await.unwrap();
    let ended = world.ended(0).await;
    assert!(matches!(ended, PipelineError::Superseded), "{ended}");
}

#[tokio::test]
async fn a_start_is_refused_where_the_log_moved_or_another_came_first() {
    let world = one_that_runs().await;
    let history = &world.of(1).history;
    let before = history.standing().await.unwrap();
    world.send(0, vec![event(2, 0)]);
    let own = Position::at(partition(0), 3);
    assert!(world.of(0).handle.flush(own).await);
    let moved = history.claim(&partition(0), 20, &before).await;
    assert!(matches!(moved, Err(TableError::Conflict { .. })));
    let now = history.standing().await.unwrap();
    assert_eq!(now.start(&partition(0)), 10);
    world
        .of(0)
        .history
        .claim(&partition(0), 15, &now)
        .await
        .unwrap();
    let second = history.claim(&partition(0), 20, &now).await;
    assert!(matches!(second, Err(TableError::Conflict { .. })));
}

use std::time::Duration;

use super::*;
use crate::error::ErrorKind;

fn places(concurrent: usize, per_principal: usize, queue: usize) -> Places {
    Places::new(&Limits {
        concurrent,
        per_principal,
        queue,
        ..Limits::default()
    })
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn nobody_takes_the_places_of_others() {
    let places = places(4, 3, 0);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(places.enter("greedy", later()).await.unwrap());
    }
    let refused = places.enter("greedy", later()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Limit(Exceeded::Busy));
    let other = places.enter("other", later()).await.unwrap();
    // Now there is none left for anybody.
    assert!(places.enter("third", later()).await.is_err());
    drop(other);
    assert!(places.enter("third", later()).await.is_ok());
    held.pop();
    assert!(places.enter("greedy", later()).await.is_ok());
}

#[tokio::test]
async fn nobody_takes_the_whole_queue() {
    let places = places(2, 1, 4);
    let _running = places.enter("greedy", later()).await.unwrap();
    // Two of four seats are theirs at the most, and who waits for a place of
    // their own keeps nobody from a place.
    let waits = || places.enter("greedy", later());
    let (mut first, mut second) = (Box::pin(waits()), Box::pin(waits()));
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut second).is_pending());
    assert!(waits().await.is_err());
    assert!(places.enter("other", later()).await.is_ok());
    drop((first, second));
    let too_late = places.enter("greedy", Instant::now()).await.unwrap_err();
    assert_eq!(too_late.kind, ErrorKind::Limit(Exceeded::Busy));
}

#[tokio::test]
async fn who_asks_nothing_is_forgotten() {
    let places = places(2, 2, 0);
    let held = places.enter("held", later()).await.unwrap();
    for n in 0..2 * REMEMBERED {
        drop(places.enter(&n.to_string(), later()).await.unwrap());
    }
    assert!(places.own.lock().len() <= REMEMBERED + 2);
    let second = places.enter("held", later()).await.unwrap();
    assert!(places.enter("held", later()).await.is_err());
    drop((held, second));
}

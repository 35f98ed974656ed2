//! Whether a record is an event or refused is decided once, also where whoever
//! reads it next would judge otherwise: another version, other settings, another
//! process. At every step of a commit, a crash, or a process that stands still
//! there while another goes on.

use super::super::*;
use super::world::{Mode, World, event, owned, partition, until};
use crate::decode::DecodeLimits;

/// Below this an event is small, for both judges.
const SMALL: usize = 400;

fn strict() -> DecodeLimits {
    DecodeLimits {
        max_event: SMALL,
        ..DecodeLimits::default()
    }
}

/// An event that the strict judge refuses.
fn large(key: usize) -> bytes::Bytes {
    let text = String::from_utf8(event(key, 0).to_vec()).unwrap();
    let open = text.strip_suffix('}').unwrap();
    bytes::Bytes::from(format!(r#"{open},"padding":"{}"}}"#, "x".repeat(SMALL)))
}

/// Where the first process is stopped.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Before the files of quarantine are there.
    QuarantinesFiles,
    /// With those there, before history's.
    HistorysFiles,
    /// With all files there, before history's entry: nothing is decided.
    HistorysEntry,
    /// History's entry lies there, and its process was not told.
    Untold,
    /// Everything is decided, and quarantine does not say so yet.
    QuarantinesEntry,
    /// Quarantine's entry lies there, and its process was not told.
    Unheard,
}

impl At {
    const ALL: [Self; 6] = [
        Self::QuarantinesFiles,
        Self::HistorysFiles,
        Self::HistorysEntry,
        Self::Untold,
        Self::QuarantinesEntry,
        Self::Unheard,
    ];

    fn mode(self) -> Mode {
        match self {
            Self::QuarantinesFiles => Mode::Refuses("tables/quarantine/ingest_date"),
            Self::HistorysFiles => Mode::Refuses("tables/history/ingest_date"),
            Self::HistorysEntry => Mode::Refuses("tables/history/_delta_log"),
            Self::Untold => Mode::DeafTo("tables/history"),
            Self::QuarantinesEntry => Mode::Refuses("tables/quarantine/_delta_log"),
            Self::Unheard => Mode::DeafTo("tables/quarantine"),
        }
    }

    /// Whether what the first process said of the records stands.
    fn decides(self) -> bool {
        matches!(self, Self::Untold | Self::QuarantinesEntry | Self::Unheard)
    }
}

/// Who goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Successor {
    /// The first process, started again.
    Same,
    /// Another, after the first one's death.
    Other,
    /// Another, and then the first one wakes.
    OtherThenZombie,
}

/// The second of the records is what the two judges differ about.
async fn play(at: At, first: DecodeLimits, then: DecodeLimits, next: Successor) {
    let context = format!(
        "{at:?}, {} then {}, {next:?}",
        first.max_event, then.max_event
    );
    eprintln!("{context}");
    let options = PipelineOptions {
        commit_interval: Duration::from_secs(3600),
        last_commit: Duration::from_millis(50),
        ..PipelineOptions::default()
    };
    let mut world = World::new(0, options).await;
    world.limits = first;
    world.join().await;
    world.limits = then;
    if next != Successor::Same {
        world.join().await;
    }
    world.log.assign(0, owned(&[0]));
    world.owns(0, &[0]).await;
    let bad = bytes::Bytes::from_static(b"{\"eventName\": ");
    world.send(0, vec![event(1, 0), large(2), bad.clone(), event(3, 0)]);
    world.judged(0).await;
    world.of(0).gate.set(at.mode());
    let tried = world.of(0).gate.tried();
    let (handle, end) = (world.of(0).handle.clone(), world.log.end());
    let flushing = tokio::spawn(async move { handle.flush(end).await });
    until("it was stopped there", || world.of(0).gate.tried() > tried).await;
    match next {
        Successor::Same => {
            world.crash(0).await;
            world.start(0).await;
            world.owns(0, &[0]).await;
        }
        Successor::Other => {
            world.crash(0).await;
            world.log.assign(1, owned(&[0]));
            world.owns(1, &[0]).await;
        }
        Successor::OtherThenZombie => {
            world.log.deafen(0, true);
            world.log.assign(0, owned(&[]));
            world.log.assign(1, owned(&[0]));
            world.owns(1, &[0]).await;
        }
    }
    let who = usize::from(next != Successor::Same);
    world.send(0, vec![bad, large(4), event(1, 0)]);
    world.flush(who).await;
    world.check().await;
    let decided = if at.decides() { first } else { then };
    let refused: Vec<i64> = match (decided == strict(), then == strict()) {
        (true, true) => vec![1, 2, 4, 5],
        (true, false) => vec![1, 2, 4],
        (false, true) => vec![2, 4, 5],
        (false, false) => vec![2, 4],
    };
    assert_eq!(world.refused().await, refused, "{context}");
    if next == Successor::OtherThenZombie {
        world.of(0).gate.set(Mode::Open);
        world.log.deafen(0, false);
        assert!(flushing.await.unwrap(), "{context}");
        world.owns(0, &[]).await;
        world.check().await;
        assert_eq!(world.refused().await, refused, "the zombie: {context}");
    } else {
        assert!(!flushing.await.unwrap(), "{context}");
    }
    // Both tables stand where history says, whoever looks.
    let at = world.of(who).history.committed();
    assert_eq!(at.of(&partition(0)), 7, "{context}");
}

#[tokio::test]
async fn what_is_refused_or_not_is_decided_once() {
    let lenient = DecodeLimits::default();
    for next in [
        Successor::Same,
        Successor::Other,
        Successor::OtherThenZombie,
    ] {
        for at in At::ALL {
            play(at, strict(), lenient, next).await;
            play(at, lenient, strict(), next).await;
            play(at, strict(), strict(), next).await;
        }
    }
}

/// A record of which both tables once had a part stays where it was decided.
#[tokio::test]
async fn a_pledge_is_kept_by_whoever_comes_by() {
    let options = PipelineOptions {
        commit_interval: Duration::from_secs(3600),
        ..PipelineOptions::default()
    };
    let mut world = World::new(2, options).await;
    world.log.assign(0, owned(&[0]));
    world.log.assign(1, owned(&[1]));
    world.owns(0, &[0]).await;
    world.owns(1, &[1]).await;
    let bad = bytes::Bytes::from_static(b"{\"eventName\": ");
    world
        .of(0)
        .gate
        .set(Mode::Refuses("tables/quarantine/_delta_log"));
    world.send(0, vec![bad]);
    world.judged(0).await;
    let tried = world.of(0).gate.tried();
    let (handle, end) = (world.of(0).handle.clone(), world.log.end());
    let flushing = tokio::spawn(async move { handle.flush(end).await });
    until("it was stopped there", || world.of(0).gate.tried() > tried).await;
    world.crash(0).await;
    assert!(!flushing.await.unwrap());
    assert!(world.refused().await.is_empty(), "history stands past it");
    // Not its partition; all it does is commit its own.
    world.send(1, vec![event(1, 0)]);
    world.flush(1).await;
    assert_eq!(world.refused().await, [0]);
    world.check().await;
}

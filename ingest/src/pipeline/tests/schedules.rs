//! Three processes under schedules by chance: whatever happens in whatever
//! order, in the end every record is a row, a row of quarantine, or a repeat.

use super::super::*;
use super::world::{Mode, World, event, look, owned};
use crate::testing::Dice;

const PROCESSES: usize = 3;
const PARTITIONS: usize = 3;

fn often() -> PipelineOptions {
    PipelineOptions {
        commit_interval: Duration::from_millis(3),
        commit_rows: 12,
        last_commit: Duration::from_millis(40),
        chunk_bytes: 1_000,
        ..PipelineOptions::default()
    }
}

/// Every partition to some process, or to none.
fn deal(world: &World, dice: &mut Dice) {
    let mut hands = vec![Vec::new(); PROCESSES];
    for number in 0..PARTITIONS {
        let to = dice.of(PROCESSES + 1);
        if to < PROCESSES {
            hands[to].push(number as i32);
        }
    }
    for (member, hand) in hands.iter().enumerate() {
        world.log.assign(member, owned(hand));
    }
}

fn send(world: &World, dice: &mut Dice) {
    let records = (0..1 + dice.of(6)).map(|_| match dice.of(12) {
        0 => bytes::Bytes::from_static(b"{\"eventName\": "),
        _ => event(dice.of(40), dice.of(2)),
    });
    let records = records.collect();
    world.send(dice.of(PARTITIONS) as i32, records);
}

async fn step(world: &mut World, dice: &mut Dice) {
    let n = dice.of(PROCESSES);
    let what = dice.of(24);
    let Some(process) = &world.processes[n] else {
        return world.start(n).await;
    };
    match what {
        0..=8 => send(world, dice),
        9..=11 => deal(world, dice),
        12 => world.log.deafen(n, true),
        13 => world.log.deafen(n, false),
        14 => process.gate.set(Mode::Refuses("history")),
        15 => process.gate.set(Mode::Refuses("quarantine")),
        16 => process.gate.set(Mode::Deaf),
        17 => process.gate.set(Mode::Hangs),
        18..=19 => process.gate.set(Mode::Open),
        20 => world.crash(n).await,
        21 => {
            process.gate.set(Mode::Open);
            world.stop(n).await;
        }
        22 => {
            // It may have to put something, and the store may be hanging.
            let patience = Duration::from_millis(20);
            let _ = tokio::time::timeout(patience, process.history.refresh()).await;
            look(process).await;
        }
        _ => tokio::time::sleep(Duration::from_millis(dice.of(8) as u64)).await,
    }
}

/// Mends everything, and lets them finish.
async fn complete(world: &mut World) {
    for n in 0..PROCESSES {
        match &world.processes[n] {
            Some(process) => process.gate.set(Mode::Open),
            None => world.start(n).await,
        }
        world.log.deafen(n, false);
        world.log.assign(n, owned(&[n as i32]));
    }
    for n in 0..PROCESSES {
        world.owns(n, &[n as i32]).await;
    }
    for n in 0..PROCESSES {
        world.flush(n).await;
        look(world.of(n)).await;
    }
    world.check().await;
}

async fn play(seed: u64) {
    let mut dice = Dice(seed);
    let mut world = World::new(PROCESSES, often()).await;
    let mut before = Position::default();
    deal(&world, &mut dice);
    for _ in 0..80 {
        step(&mut world, &mut dice).await;
        tokio::task::yield_now().await;
        if let Some(process) = &world.processes[0] {
            let now = process.history.table().position();
            assert!(now.reaches(&before), "it went back: {before:?}, {now:?}");
            before.merge(&now);
        }
    }
    complete(&mut world).await;
    for n in 0..PROCESSES {
        world.stop(n).await;
    }
    world.check().await;
}

/// `SEEDS` says how many, `SEED` which is the first.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no settings but these"
)]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn no_schedule_loses_or_repeats() {
    let first = number("SEED", 1);
    for seed in first..first + number("SEEDS", 12) {
        eprintln!("seed {seed}");
        play(seed).await;
    }
}

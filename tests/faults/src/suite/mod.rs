//! The suite: schedules of faults against Cairn's tables, pipeline and trails.
//!
//! Each schedule is a function of a number, its seed, which a failure prints;
//! `CAIRN_FAULT_SEED=<seed>` runs that one alone and prints what happened, and
//! `CAIRN_FAULT_LONG=1` runs the long form.

mod asleep;
mod log;
mod own;
mod pipeline;
mod racing;
mod steps;
mod tables;
mod trails;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use crate::{Rng, World};

/// How many schedules of one kind there are.
#[derive(Clone, Copy)]
struct Many {
    /// In the form that runs with the other tests.
    short: u64,
    /// With `CAIRN_FAULT_LONG`.
    long: u64,
}

#[allow(
    clippy::disallowed_methods,
    reason = "how a person asks a test for a seed"
)]
fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_long() -> bool {
    asked("CAIRN_FAULT_LONG").is_some()
}

/// Runs `schedule` with the seeds that are asked for, and fails at the end
/// with a list of those that failed.
fn seeded<F>(name: &str, many: Many, schedule: impl Fn(World, Rng) -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let one: Option<u64> =
        asked("CAIRN_FAULT_SEED").map(|s| s.parse().expect("a seed is a number"));
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..if is_long() { many.long } else { many.short },
    };
    let (mut count, mut operations, mut failed) = (0u64, 0u64, Vec::new());
    for seed in seeds {
        let ended = run(|world| schedule(world, Rng::new(seed)));
        count += 1;
        operations += ended.operations;
        if count.is_multiple_of(100) {
            println!("{name}: {count} schedules so far, {operations} operations");
        }
        if let Err(what) = ended.outcome {
            println!("{name}: CAIRN_FAULT_SEED={seed} fails: {what}");
            if one.is_some() {
                println!("{}", ended.trace);
            }
            failed.push(seed);
        } else if one.is_some() {
            println!("{}", ended.trace);
        }
        if failed.len() >= 10 {
            break;
        }
    }
    println!("{name}: {count} schedules, {operations} operations");
    assert!(
        failed.is_empty(),
        "{name}: of {count} schedules these seeds fail: {failed:?}"
    );
}

/// What became of one schedule.
struct Ended {
    outcome: Result<(), String>,
    operations: u64,
    trace: String,
}

/// No schedule's own work takes as long as this of its time: 400 days.
const FOREVER: Duration = Duration::from_secs(400 * 86_400);

/// Runs one schedule in a runtime and a world of its own.
fn run<F>(schedule: impl FnOnce(World) -> F) -> Ended
where
    F: Future<Output = Result<(), String>>,
{
    // One thread, one blocking thread and a clock that moves only when both
    // rest: what happens is a function of the schedule alone.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    let world = runtime.block_on(async { World::new() });
    let inside = world.clone();
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            match tokio::time::timeout(FOREVER, schedule(inside)).await {
                Ok(outcome) => outcome,
                Err(_) => Err("it never ends".to_owned()),
            }
        })
    }));
    runtime.shutdown_background();
    let outcome = ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("it panics: {}", text.unwrap_or_default()))
    });
    Ended {
        outcome,
        operations: world.operations(),
        trace: world.trace(),
    }
}

/// Schedules without a seed, counted.
#[derive(Default)]
struct Counted {
    count: usize,
    failed: Vec<String>,
}

impl Counted {
    /// Runs one, and prints what happened in it should it fail.
    fn run<F>(&mut self, what: &str, schedule: impl FnOnce(World) -> F)
    where
        F: Future<Output = Result<(), String>>,
    {
        self.count += 1;
        if self.count.is_multiple_of(100) {
            println!("{} schedules so far, at {what}", self.count);
        }
        let ended = run(schedule);
        if let Err(error) = ended.outcome {
            println!("{}\n{what}: {error}", ended.trace);
            self.failed.push(format!("{what}: {error}"));
        }
        assert!(self.failed.len() < 10, "{:#?}", self.failed);
    }

    /// Fails if one did; returns how many there were.
    fn end(self, name: &str) -> usize {
        println!("{name}: {} schedules", self.count);
        assert!(self.failed.is_empty(), "{:#?}", self.failed);
        self.count
    }
}

use super::*;

fn log() -> Partition {
    Partition::embedded()
}

#[test]
fn times_follow_what_was_taken_in_and_committed() {
    let times = Times::default();
    assert_eq!(times.of(&log()), (None, None));
    times.judged(&log(), 10, Micros(100));
    times.judged(&log(), 20, Micros(200));
    assert_eq!(times.of(&log()), (Some(Micros(200)), None));
    times.committed(&Position::at(log(), 19));
    assert_eq!(times.of(&log()).1, Some(Micros(100)));
    times.committed(&Position::at(log(), 20));
    assert_eq!(times.of(&log()).1, Some(Micros(200)));
    // A producer whose clock went back takes nothing back.
    times.judged(&log(), 30, Micros(50));
    assert_eq!(times.of(&log()).0, Some(Micros(200)));
}

#[test]
fn a_long_wait_for_a_commit_takes_no_more_memory_and_promises_no_more() {
    let times = Times::default();
    for n in 1..=10 * KEPT as i64 {
        times.judged(&log(), n, Micros(n));
    }
    assert_eq!(times.0.lock()[&log()].waiting.len(), KEPT);
    times.committed(&Position::at(log(), 5));
    assert_eq!(times.of(&log()).1, Some(Micros(5)));
    times.committed(&Position::at(log(), 5 * KEPT as i64));
    assert_eq!(times.of(&log()).1, Some(Micros(KEPT as i64 - 1)));
    times.committed(&Position::at(log(), 10 * KEPT as i64));
    assert_eq!(times.of(&log()).1, Some(Micros(10 * KEPT as i64)));
}

//! The figures' own arithmetic.

use super::*;

#[test]
fn processor_time_is_read_past_a_strange_name() {
    let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 1234 567 0 0 20 0 4 0 99 1 2";
    assert_eq!(parse_stat(stat).unwrap(), (12.34, 5.67));
    assert!(parse_stat("7 (x) S 1").is_err());
}

#[test]
fn the_peak_is_read_in_bytes() {
    assert_eq!(parse_peak("Name:\tx\nVmHWM:\t    12 kB\n"), Some(12_288));
    assert_eq!(parse_peak("Name:\tx\n"), None);
}

#[test]
fn this_process_can_be_measured() {
    let phase = Meter::start().unwrap().stop().unwrap();
    assert!(phase.cpu_seconds() >= 0.0 && phase.wall_seconds >= 0.0);
    assert!(peak_memory().unwrap() > 0);
}

#[test]
fn the_mean_is_geometric_and_of_the_best() {
    let answered = |runs: &[f64]| Answered {
        question: Question {
            name: "q",
            asks: "",
            sql: String::new(),
        },
        rows: 1,
        runs_ms: runs.to_vec(),
    };
    let all = [answered(&[9.0, 2.0, 5.0]), answered(&[8.0, 30.0, 8.0])];
    assert!((geometric_mean_of_best(&all) - 4.0).abs() < 1e-9);
    assert_eq!(all[0].spread(), (2.0, 5.0, 9.0));
}

#[test]
fn a_part_is_taken_off_but_never_more_than_there_is() {
    let p = |s| Phase {
        wall_seconds: s,
        user_seconds: s,
        system_seconds: 0.0,
    };
    assert_eq!(p(3.0).less(p(1.0)).cpu_seconds(), 2.0);
    assert_eq!(p(1.0).less(p(3.0)).wall_seconds, 0.0);
    assert_eq!(p(1.0).plus(p(3.0)).wall_seconds, 4.0);
}

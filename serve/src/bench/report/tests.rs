//! A report says what was measured, in both forms.

use super::super::questions::Question;
use super::*;

fn phase(s: f64) -> Phase {
    Phase {
        wall_seconds: s,
        user_seconds: s,
        system_seconds: 0.0,
    }
}

fn report() -> Report {
    Report {
        version: "0.1.0",
        generator: "--events 2000000".to_owned(),
        generated: Generated {
            events: 2_000_000,
            repeats: 100_000,
            bytes: 2_700_000_000,
            phase: phase(4.0),
        },
        trails: Vec::new(),
        loaded: Loaded {
            append: phase(7.0),
            pipeline: phase(10.0),
            admitted: 1_900_000,
            duplicates: 100_000,
            quarantined: 0,
            delivered: vec![100_000, 90_000],
        },
        peak_memory: 200_000_000,
        peak_is_of_loading: true,
        peak_memory_with_questions: 300_000_000,
        history: AtRest {
            files: 12,
            parquet_files: 10,
            bytes: 190_000_000,
        },
        trail_tables: AtRest {
            files: 8,
            parquet_files: 6,
            bytes: 38_000_000,
        },
        other: AtRest::default(),
        answers: vec![Answered {
            question: Question {
                name: "newest",
                asks: "What happened last?",
                sql: "SELECT 1".to_owned(),
            },
            rows: 0,
            runs_ms: vec![3.0, 2.0],
        }],
        asking: phase(1.0),
    }
}

#[test]
fn figures_are_for_a_million_events_and_for_a_row() {
    let s = report().summary();
    assert_eq!(s.events_per_second, 200_000.0);
    assert_eq!(s.cpu_seconds_per_million, 5.0);
    assert_eq!(s.append_cpu_seconds_per_million, 1.5);
    assert_eq!(s.history_bytes_per_event, 100.0);
    assert_eq!(s.trail_bytes_per_event, 200.0);
}

#[test]
fn both_forms_hold_the_figures() {
    let text = report().text();
    for part in [
        "200000 events/s",
        "5.00 CPU-seconds",
        "EMPTY",
        "best of 2: 2.00 ms",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
    assert_eq!(json["summary"]["cpu_seconds_per_million"], 5.0);
    assert_eq!(json["answers"][0]["name"], "newest");
}

use super::*;

fn status(next: i64, log_end: i64) -> PartitionStatus {
    PartitionStatus {
        topic: "t".to_owned(),
        partition: 0,
        source: "t@2".to_owned(),
        state: PartitionState::Reading,
        log_start: 0,
        log_end,
        next,
        committed: None,
        lag: 0,
        last_time: None,
        last_error: None,
    }
}

fn only(board: &KafkaBoard) -> PartitionStatus {
    board.status().partitions.remove(0)
}

#[test]
fn lag_is_what_is_stable_and_was_not_handed_out() {
    let board = KafkaBoard::default();
    board.begin(vec![status(5, 9)]);
    assert_eq!(only(&board).lag, 4);
    assert_eq!(only(&board).lag_seconds(Micros(0)), None);
    let statistics = br#"{"topics":{"t":{"partitions":{
        "0":{"lo_offset":2,"ls_offset":20,"hi_offset":30},
        "-1":{"lo_offset":-1001,"ls_offset":-1001,"hi_offset":-1001}}}},
        "cgrp":{"join_state":"steady"}}"#;
    assert!(!board.statistics(statistics));
    let status = only(&board);
    assert_eq!((status.lag, status.log_start, status.log_end), (15, 2, 20));
    assert_eq!(board.status().group_state, "steady");
    board.update("t", 0, |status| {
        status.next = 19;
        status.last_time = Some(Micros(1_000_000));
    });
    assert_eq!(only(&board).lag_seconds(Micros(3_500_000)), Some(2.5));
    // A clock that is behind the producer's.
    assert_eq!(only(&board).lag_seconds(Micros(0)), Some(0.0));
    board.update("t", 0, |status| status.next = 20);
    assert_eq!(only(&board).lag_seconds(Micros(i64::MAX)), Some(0.0));
    assert!(board.statistics(b"no JSON"));
    assert_eq!(only(&board).lag, 0);
}

#[test]
fn statistics_tell_whether_a_broker_is_known() {
    let board = KafkaBoard::default();
    let told = |sources: &[&str]| {
        let brokers = sources.iter().enumerate();
        let brokers: Vec<String> = brokers
            .map(|(n, source)| format!(r#""{n}":{{"source":"{source}","state":"DOWN"}}"#))
            .collect();
        let json = format!(r#"{{"brokers":{{{}}}}}"#, brokers.join(","));
        board.statistics(json.as_bytes())
    };
    assert!(told(&["internal", "learned"]) && told(&["configured"]));
    assert!(!told(&["internal", "logical"]) && !told(&[]));
}

#[test]
fn what_history_committed_is_told_by_source() {
    let board = KafkaBoard::default();
    board.begin(vec![status(5, 9)]);
    let at = |source: &str, next| {
        let source = source.to_owned();
        Position::at(Partition { source, number: 0 }, next)
    };
    board.committed(&at("t", 3));
    assert_eq!(only(&board).committed, None, "another life of the topic");
    board.committed(&at("t@2", 4));
    assert_eq!(only(&board).committed, Some(4));
}

#[test]
fn a_stop_says_what_to_do_and_pausing_hides_it_not() {
    let board = KafkaBoard::default();
    board.begin(vec![status(5, 9)]);
    board.paused(true);
    assert_eq!(only(&board).state, PartitionState::Paused);
    board.stop("t", 0, StoppedReason::Gap { from: 5, to: 7 });
    board.paused(false);
    let json = serde_json::to_value(only(&board)).unwrap();
    assert_eq!(json["state"], "stopped");
    assert_eq!(json["reason"], "gap");
    assert_eq!((&json["from"], &json["to"]), (&5.into(), &7.into()));
    assert!(json["what_to_do"].as_str().unwrap().contains("accept"));
}

/// librdkafka's errors say that all brokers are down; why stands in its log.
#[test]
fn why_no_broker_lets_the_client_in_is_told_until_one_does() {
    let board = KafkaBoard::default();
    let told = || board.status().last_error.unwrap();
    board.client_error("1/1 brokers are down");
    assert_eq!(told(), "1/1 brokers are down");
    board.logged("FAIL: [thrd:sasl_ssl://b:1/bootstrap]: sasl_ssl://b:1/bootstrap: wrong password");
    board.logged("CONFWARN: [thrd:app]: something else");
    for error in ["1/1 brokers are down", "no metadata"] {
        board.client_error(error);
        let told = told();
        assert!(
            told.starts_with(error) && told.ends_with("wrong password"),
            "{told}"
        );
        assert!(!told.contains("thrd"), "{told}");
    }
    assert!(board.explain("no answer").ends_with("wrong password"));
    // It was put right; what fails later has another cause.
    board.begin(vec![status(5, 9)]);
    board.client_error("1/1 brokers are down");
    assert_eq!(told(), "1/1 brokers are down");
    assert_eq!(board.explain("no answer"), "no answer");
    assert_eq!(board.status().errors, 4);
}

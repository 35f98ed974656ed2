use super::*;

fn known() -> Known {
    Known {
        topic: "t".to_owned(),
        number: 0,
        mark: Mark { next: 8, epoch: 3 },
        next: 10,
        end: 40,
    }
}

fn truncated(end: &str) -> Heard {
    // As librdkafka 2.12 puts it.
    Heard::Fault(
        RDKafkaErrorCode::AutoOffsetReset,
        format!(
            "Partition log truncation detected at offset 8 (leader epoch 3): broker end offset is {end} \
             (offset leader epoch 2). Reset to INVALID.: Local: Partition log truncation detected (broker 1)"
        ),
    )
}

#[test]
fn a_log_that_has_what_was_read_and_goes_on_behind_it_is_the_same() {
    // 8 and 9 were markers, or records that compaction took since.
    for heard in [Heard::Record(10), Heard::Record(12), Heard::End(8)] {
        assert_eq!(judge(&known(), heard), Ok(None));
    }
}

#[test]
fn what_was_heard_before_the_seek_says_nothing() {
    let before = [Heard::Record(7), Heard::End(7)];
    assert!(before.iter().all(|heard| !heard.is_since(8)));
    let since = [Heard::Record(8), Heard::End(8), truncated("5")];
    assert!(since.iter().all(|heard| heard.is_since(8)));
}

#[test]
fn a_record_where_none_was_is_told() {
    for offset in [8, 9] {
        let cut = Cut { from: Some(8) };
        assert_eq!(judge(&known(), Heard::Record(offset)), Ok(Some(cut)));
    }
}

#[test]
fn an_epoch_that_ends_before_the_mark_is_told_with_its_end() {
    let cut = Cut { from: Some(5) };
    assert_eq!(judge(&known(), truncated("5")), Ok(Some(cut)));
    // No epoch of that log is as old: nobody can say from where it differs.
    assert_eq!(
        judge(&known(), truncated("-1")),
        Ok(Some(Cut { from: None }))
    );
}

#[test]
fn other_faults_say_nothing_of_the_log() {
    let range = "fetch failed due to requested offset not available on the broker: \
                 Broker: Offset out of range (broker 1)";
    for (code, text) in [
        (RDKafkaErrorCode::AutoOffsetReset, range),
        (
            RDKafkaErrorCode::TopicAuthorizationFailed,
            "not allowed: log truncation detected",
        ),
    ] {
        assert!(judge(&known(), Heard::Fault(code, text.to_owned())).is_err());
    }
}

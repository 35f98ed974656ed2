//! The questions are well formed, and the generated events answer them.

use std::collections::BTreeSet;

use cairn_schemas::columns::EVENT_COLUMNS;

use super::super::generate::{DialectChoice, Shape, parse_start};
use super::*;

fn generator(dialect: DialectChoice) -> Generator {
    Generator::new(Shape {
        events: 12_000,
        seed: 3,
        accounts: 50,
        regions: 8,
        start: parse_start("2026-06-01T00:00:00Z").unwrap(),
        days: 7,
        duplicates: 0.1,
        dialect,
    })
    .unwrap()
}

/// Words of SQL and of functions that the questions use.
const KNOWN: &str = "select from where and or in is not null order group by desc limit having as \
    case when then else end count min max avg date_trunc false history denied events day hour \
    error_rate first_use last_use first_seen";

/// The statement without its quoted texts; they must be closed.
fn unquoted(sql: &str) -> String {
    let parts: Vec<&str> = sql.split('\'').collect();
    assert_eq!(parts.len() % 2, 1, "a quote is open: {sql}");
    parts.into_iter().step_by(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_question_names_columns_that_there_are() {
    let g = generator(DialectChoice::Cloudtrail);
    let all = questions(&Landmarks::of(&g).unwrap());
    assert_eq!(all.len(), 17);
    let names: BTreeSet<&str> = all.iter().map(|q| q.name).collect();
    assert_eq!(names.len(), all.len());
    let known: BTreeSet<&str> = KNOWN.split_whitespace().collect();
    for q in &all {
        let plain = unquoted(&q.sql);
        assert!(
            plain.starts_with("SELECT ") && !plain.contains(';'),
            "{}",
            q.sql
        );
        let depth = plain.matches('(').count();
        assert_eq!(depth, plain.matches(')').count(), "{}", q.sql);
        for word in plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let word = word.to_ascii_lowercase();
            let number = word.bytes().all(|b| b.is_ascii_digit());
            let column = EVENT_COLUMNS.iter().any(|c| c.name == word);
            assert!(
                number || column || known.contains(&*word),
                "{word:?} in {}",
                q.sql
            );
        }
    }
}

#[test]
fn what_the_questions_look_for_is_there() {
    for dialect in [DialectChoice::Cloudtrail, DialectChoice::Mix] {
        let g = generator(dialect);
        let at = Landmarks::of(&g).unwrap();
        let mut all = Vec::new();
        for record in g.records() {
            all.extend_from_slice(&record.bytes);
            all.push(b'\n');
        }
        let all = String::from_utf8(all).unwrap();
        let day = &at.day.0[..10];
        let minute = &at.minute.0[..16];
        let together = |marks: &[String]| all.lines().any(|l| marks.iter().all(|m| l.contains(m)));
        for marks in [
            vec![format!("\"{}\"", at.event_id)],
            vec![format!("\"{}\"", at.access_key), format!("\":\"{day}T")],
            vec![format!("\"{}\"", at.source_ip)],
            vec![format!("\"{}\"", at.resource)],
            vec![
                format!("\"recipientAccountId\":\"{}\"", at.account),
                format!("\":\"{minute}:"),
            ],
            vec![format!("\"bucketName\":\"{}\"", at.bucket)],
            vec![at.recent[..10].to_owned()],
            vec!["\"ConsoleLogin\"".to_owned()],
            vec!["\"type\":\"Root\"".to_owned()],
            vec!["\"StopLogging\"".to_owned()],
            vec!["\"errorCode\":\"AccessDenied\"".to_owned()],
        ] {
            assert!(together(&marks), "nothing has {marks:?}");
        }
    }
}

#[test]
fn the_trails_take_a_tenth_and_a_third() {
    use cairn_schemas::selector::{Among, ReadWriteFilter};
    for dialect in [
        DialectChoice::Cloudtrail,
        DialectChoice::Actiontrail,
        DialectChoice::Mix,
    ] {
        let g = generator(dialect);
        let trails = super::super::trails::trails(&g).unwrap();
        let mut taken = [0u32; 2];
        let mut all = 0;
        for record in g.records() {
            let v: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
            let text = |key: &str| v[key].as_str().unwrap_or_default().to_owned();
            let name = text("eventName");
            let write = match (v["readOnly"].as_bool(), v["eventRW"].as_str()) {
                (Some(read), _) => !read,
                (_, Some(rw)) => rw == "Write",
                _ => {
                    !(name.starts_with("Describe")
                        || name.starts_with("Get")
                        || name.starts_with("List"))
                }
            };
            let region = text("awsRegion") + &text("acsRegion");
            all += 1;
            for (trail, n) in trails.iter().zip(&mut taken) {
                let s = &trail.selector;
                let in_region = match &s.regions {
                    Among::All => true,
                    Among::Only(some) => some.contains(&region),
                };
                let rw = s.read_write == ReadWriteFilter::All || write;
                *n += u32::from(
                    in_region && rw && s.accounts.contains(text("recipientAccountId").as_str()),
                );
            }
        }
        for ((trail, n), target) in trails.iter().zip(taken).zip([0.1, 1.0 / 3.0]) {
            let share = f64::from(n) / f64::from(all);
            assert!(
                (share - trail.expected).abs() < 0.02,
                "{}: {share}",
                trail.name
            );
            assert!(
                (share - target).abs() < 0.035,
                "{}: {share} for {target}",
                trail.name
            );
        }
    }
}

#[test]
fn too_few_events_to_ask_about_is_said() {
    let g = Generator::new(Shape {
        events: 1,
        ..generator(DialectChoice::Cloudtrail).shape().clone()
    })
    .unwrap();
    let error = Landmarks::of(&g).unwrap_err().to_string();
    assert!(error.contains("--events"), "{error}");
}

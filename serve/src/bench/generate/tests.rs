//! The generated events against what was measured.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::super::params::SHARES;
use super::*;

const N: u64 = 20_000;

fn shape(events: u64) -> Shape {
    Shape {
        events,
        seed: 7,
        accounts: 50,
        regions: 8,
        start: parse_start("2026-06-01T00:00:00Z").unwrap(),
        days: 7,
        duplicates: 0.0,
        dialect: DialectChoice::Cloudtrail,
    }
}

fn lines(shape: Shape) -> Vec<Vec<u8>> {
    let g = Generator::new(shape).unwrap();
    g.records().map(|r| r.bytes.to_vec()).collect()
}

fn parsed(lines: &[Vec<u8>]) -> Vec<Value> {
    lines
        .iter()
        .map(|l| match serde_json::from_slice(l) {
            Ok(v) => v,
            Err(e) => panic!("{e}: {}", String::from_utf8_lossy(l)),
        })
        .collect()
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_default()
}

/// Whether an object, anywhere in the text, names a key twice. `Value` keeps
/// the last and would not tell.
fn compact(line: &[u8], v: &Value) -> bool {
    serde_json::to_vec(v).unwrap().len() == line.len()
}

#[test]
fn a_seed_decides_every_byte() {
    let first = lines(shape(500));
    assert_eq!(first, lines(shape(500)));
    let other = Shape {
        seed: 8,
        ..shape(500)
    };
    assert_ne!(first, lines(other));
    // Any one event can be had without the ones before it.
    let g = Generator::new(shape(500)).unwrap();
    let mut out = Vec::new();
    g.render(321, &mut out);
    assert_eq!(out, first[321]);
}

#[test]
fn every_event_is_json_with_keys_of_its_own_and_an_id_of_its_own() {
    for dialect in [
        DialectChoice::Cloudtrail,
        DialectChoice::Actiontrail,
        DialectChoice::Mix,
    ] {
        let lines = lines(Shape {
            dialect,
            ..shape(4_000)
        });
        let events = parsed(&lines);
        let mut ids = BTreeSet::new();
        for (line, v) in lines.iter().zip(&events) {
            assert!(
                compact(line, v),
                "a key twice: {}",
                String::from_utf8_lossy(line)
            );
            let id = [text(v, "eventID"), text(v, "eventId")].concat();
            assert_eq!(id.len(), 36);
            assert!(ids.insert(id));
            assert_eq!(text(v, "recipientAccountId").len(), 12);
            assert!(chrono::DateTime::parse_from_rfc3339(text(v, "eventTime")).is_ok());
        }
        let actiontrail = events.iter().filter(|v| v.get("eventId").is_some()).count();
        let expected = match dialect {
            DialectChoice::Cloudtrail => 0..=0,
            DialectChoice::Actiontrail => 4_000..=4_000,
            DialectChoice::Mix => 680..=920,
        };
        assert!(expected.contains(&actiontrail), "{actiontrail}");
    }
}

#[test]
fn operations_sizes_and_errors_are_as_measured() {
    let lines = lines(shape(N));
    let events = parsed(&lines);
    let params = Params::measured().unwrap();

    // Sizes: on the whole, the tail, and of the most frequent operations.
    let mut sizes: Vec<usize> = lines.iter().map(Vec::len).collect();
    sizes.sort_unstable();
    let mean = sizes.iter().sum::<usize>() as f64 / N as f64;
    assert!((1_288.0..1_423.0).contains(&mean), "mean {mean}");
    let p99 = sizes[sizes.len() * 99 / 100];
    assert!((2_185..2_556).contains(&p99), "p99 {p99}");

    // Operations: expected shares over all logs.
    let mut expected: BTreeMap<(&str, &str), (f64, f64)> = BTreeMap::new();
    let mut errors = 0.0;
    for (log, share) in SHARES {
        let counts = &params.weights[log];
        let total = counts.total() as f64;
        for ((source, name, _), n) in &counts.event_name {
            let e = expected.entry((source, name)).or_default();
            let part = share * *n as f64 / total;
            e.0 += part;
            e.1 += part * counts.mean_size(name);
        }
        let failed = counts.error_code.iter().filter(|(c, _)| c.is_some());
        errors += share * failed.map(|(_, n)| *n as f64).sum::<f64>() / total;
    }
    let mut seen: HashMap<(&str, &str), (usize, usize)> = HashMap::new();
    for (line, v) in lines.iter().zip(&events) {
        let s = seen
            .entry((text(v, "eventSource"), text(v, "eventName")))
            .or_default();
        s.0 += 1;
        s.1 += line.len();
    }
    for (operation, (share, bytes)) in expected.iter().filter(|(_, e)| e.0 > 0.01) {
        let (n, sum) = seen[operation];
        let got = n as f64 / N as f64;
        // Five standard deviations of a draw.
        let slack = 5.0 * (share * (1.0 - share) / N as f64).sqrt();
        assert!(
            (got - share).abs() < slack,
            "{operation:?}: {got} for {share}"
        );
        let (mean, wanted) = (sum as f64 / n as f64, bytes / share);
        assert!(
            (mean / wanted - 1.0).abs() < 0.08,
            "{operation:?}: {mean} bytes for {wanted}"
        );
    }
    let failed = events
        .iter()
        .filter(|v| v.get("errorCode").is_some())
        .count();
    let got = failed as f64 / N as f64;
    assert!((got - errors).abs() < 0.02, "errors {got} for {errors}");

    // The slope of names by rank lies between those of the two logs.
    let mut counts: Vec<usize> = seen.values().map(|s| s.0).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let slope = slope(&counts[..100]);
    let steep = params.sans504.zipf.max(params.invictus.zipf) + 0.1;
    assert!(slope > 1.0 && slope < steep, "slope {slope}");
}

/// The slope of a straight line through log(count) over log(rank), downwards.
fn slope(counts: &[usize]) -> f64 {
    let points: Vec<(f64, f64)> = counts
        .iter()
        .enumerate()
        .map(|(i, c)| (((i + 1) as f64).ln(), (*c as f64).ln()))
        .collect();
    let n = points.len() as f64;
    let mx = points.iter().map(|p| p.0).sum::<f64>() / n;
    let my = points.iter().map(|p| p.1).sum::<f64>() / n;
    let xy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let xx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    -xy / xx
}

#[test]
fn combinations_make_sense() {
    for v in parsed(&lines(shape(N))) {
        let identity = &v["userIdentity"];
        match text(identity, "type") {
            // Nothing but a service is a service.
            "AWSService" => {
                assert_eq!(text(identity, "invokedBy"), text(&v, "sourceIPAddress"));
                assert!(identity.get("accessKeyId").is_none());
            }
            "Root" => assert_eq!(text(identity, "principalId"), text(identity, "accountId")),
            _ => {}
        }
        if text(&v, "errorCode") == "NoSuchBucketPolicy" {
            assert!(text(&v, "eventName").contains("BucketPolicy"), "{v}");
        }
        if text(&v, "eventName") == "ConsoleLogin" {
            assert!(v["additionalEventData"].get("MFAUsed").is_some());
        }
    }
}

#[test]
fn users_agents_and_addresses_are_dealt_as_counted() {
    let g = Generator::new(shape(1)).unwrap();
    let params = Params::measured().unwrap();
    for (slots, (log, _)) in g.mix.slots.iter().zip(SHARES) {
        let counts = &params.weights[log];
        assert_eq!(slots.len() as u64, counts.total());
        for (text, n) in &counts.error_code {
            let dealt = slots
                .iter()
                .filter(|s| g.mix.text(s.error) == text.as_deref())
                .count();
            assert_eq!(dealt as u64, *n, "{log} {text:?}");
        }
        for (text, n) in counts.user_type.iter().filter(|(t, _)| t.is_some()) {
            let dealt = slots
                .iter()
                .filter(|s| g.mix.text(s.user_type) == text.as_deref());
            assert_eq!(dealt.count() as u64, *n, "{log} {text:?}");
        }
        for (text, n) in &counts.ip {
            let dealt = slots
                .iter()
                .filter(|s| g.mix.text(s.address) == text.as_deref());
            assert_eq!(dealt.count() as u64, *n, "{log} {text:?}");
        }
    }
}

#[test]
fn events_are_as_late_and_as_bursty_as_measured() {
    let g = Generator::new(shape(N)).unwrap();
    let facts: Vec<Facts<'_>> = (0..N).map(|i| g.facts(i)).collect();
    assert!(facts.windows(2).all(|w| w[0].arrival <= w[1].arrival));
    let span = facts[facts.len() - 1].arrival - facts[0].arrival;
    assert!((6 * 86_400..=7 * 86_400).contains(&span), "{span}");

    let mut late: Vec<i64> = facts.iter().map(|f| f.arrival - f.event_time).collect();
    late.sort_unstable();
    let at = |p: f64| late[((late.len() - 1) as f64 * p) as usize];
    assert!((170..=220).contains(&at(0.5)), "p50 {}", at(0.5));
    assert!((370..=445).contains(&at(0.9)), "p90 {}", at(0.9));
    assert!((480..=570).contains(&at(0.99)), "p99 {}", at(0.99));
    assert!(late[0] >= 0 && at(1.0) <= 608);

    // The busiest minute of arrivals lies far above the mean active one.
    let mut minutes: HashMap<i64, u64> = HashMap::new();
    for f in &facts {
        *minutes.entry(f.arrival / 60).or_default() += 1;
    }
    let busiest = *minutes.values().max().unwrap() as f64;
    let mean = N as f64 / minutes.len() as f64;
    assert!(
        (10.0..150.0).contains(&(busiest / mean)),
        "{busiest} over {mean}"
    );
}

#[test]
fn repeats_are_byte_for_byte_and_as_many_as_asked_for() {
    let asked = Shape {
        duplicates: 0.21,
        ..shape(N)
    };
    let g = Generator::new(asked.clone()).unwrap();
    let lines = lines(asked);
    let mut repeats = 0;
    for (i, line) in lines.iter().enumerate() {
        let origin = g.origin(i as u64) as usize;
        if origin != i {
            assert!(origin < i);
            repeats += 1;
            assert_eq!(line, &lines[origin]);
        }
    }
    let share = f64::from(repeats) / N as f64;
    assert!((share - 0.21).abs() < 0.015, "{share}");
    let different: BTreeSet<&Vec<u8>> = lines.iter().collect();
    assert_eq!(different.len(), lines.len() - repeats as usize);
}

#[test]
fn a_shape_that_makes_no_sense_is_refused() {
    for bad in [
        Shape {
            events: 0,
            ..shape(1)
        },
        Shape {
            accounts: 0,
            ..shape(1)
        },
        Shape {
            regions: 99,
            ..shape(1)
        },
        Shape {
            duplicates: 1.0,
            ..shape(1)
        },
        Shape {
            days: 0,
            ..shape(1)
        },
    ] {
        assert!(Generator::new(bad).is_err());
    }
    assert!(parse_start("yesterday").is_err());
}

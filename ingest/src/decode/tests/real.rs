//! Real events, every one: the columns against another reading of the same
//! bytes by serde_json.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::receive::{Piece, ReceiveLimits, split};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

fn files(below: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![testdata().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The events of every file, as receiving cuts them.
pub(crate) fn events(below: &str, extension: &str) -> Vec<Bytes> {
    let mut events = Vec::new();
    for file in files(below, extension) {
        let body = Bytes::from(std::fs::read(&file).unwrap());
        for piece in split(&body, &ReceiveLimits::default()).unwrap() {
            match piece {
                Piece::Event(event) => events.push(event),
                Piece::TooLarge { .. } => panic!("{}", file.display()),
            }
        }
    }
    events
}

/// What a text column holds of `value`, by the columns' own rules.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn same_json(column: Option<&str>, value: &Value) -> bool {
    match column {
        None => value.is_null(),
        Some(text) => serde_json::from_str::<Value>(text).unwrap() == *value,
    }
}

/// Holds an event's columns against its JSON; `ids` are the spellings of the
/// fields that the dialects spell differently.
fn check(e: &Event<'_>, v: &Value, ids: [&str; 4]) {
    let [event_id, request_id, source_ip, region] = ids;
    let at = |path: &str| v.pointer(path).unwrap_or(&Value::Null);
    let text = |path: &str| as_text(at(path)).filter(|t| !t.is_empty());
    assert_eq!(Some(&*e.event_id), text(&format!("/{event_id}")).as_deref());
    for (column, path) in [
        (&e.event_name, "/eventName"),
        (&e.event_source, "/eventSource"),
        (&e.event_type, "/eventType"),
        (&e.event_version, "/eventVersion"),
        (&e.region, &*format!("/{region}")),
        (&e.identity_type, "/userIdentity/type"),
        (&e.principal_id, "/userIdentity/principalId"),
        (&e.principal_arn, "/userIdentity/arn"),
        (&e.access_key_id, "/userIdentity/accessKeyId"),
        (&e.identity_account_id, "/userIdentity/accountId"),
        (&e.invoked_by, "/userIdentity/invokedBy"),
        (&e.source_ip, &*format!("/{source_ip}")),
        (&e.user_agent, "/userAgent"),
        (&e.request_id, &*format!("/{request_id}")),
        (&e.api_version, "/apiVersion"),
        (&e.error_code, "/errorCode"),
        (&e.error_message, "/errorMessage"),
    ] {
        assert_eq!(
            column.as_deref().filter(|t| !t.is_empty()),
            text(path).as_deref(),
            "{path}"
        );
    }
    let user = text("/userIdentity/userName")
        .or_else(|| text("/userIdentity/sessionContext/sessionIssuer/userName"));
    assert_eq!(e.user_name.as_deref(), user.as_deref());
    let account = text("/recipientAccountId").or_else(|| text("/userIdentity/accountId"));
    assert_eq!(Some(&*e.account_id), account.as_deref());
    let mfa = match at("/userIdentity/sessionContext/attributes/mfaAuthenticated") {
        Value::Null => at("/additionalEventData/MFAUsed"),
        said => said,
    };
    let expected = as_text(mfa).map(|m| m == "true" || m == "Yes");
    assert_eq!(e.mfa, expected);
    let moment = |path: &str| {
        let time = text(path)?;
        let time = chrono::DateTime::parse_from_rfc3339(&time).unwrap();
        Some(Micros(time.timestamp_micros()))
    };
    assert_eq!(e.event_time, moment("/eventTime").unwrap_or(NOW));
    let missing = at("/eventTime").is_null();
    assert_eq!(e.flags.contains(Flags::EVENT_TIME_MISSING), missing);
    let created = "/userIdentity/sessionContext/attributes/creationDate";
    assert_eq!(e.session_created, moment(created));
    assert!(same_json(
        e.request_parameters.as_deref(),
        at("/requestParameters")
    ));
    assert!(same_json(e.response_elements, at("/responseElements")));
    assert!(same_json(
        e.additional_event_data,
        at("/additionalEventData")
    ));
    assert!(same_json(e.user_identity, at("/userIdentity")));
}

const CLOUDTRAIL_IDS: [&str; 4] = ["eventID", "requestID", "sourceIPAddress", "awsRegion"];
const ACTIONTRAIL_IDS: [&str; 4] = ["eventId", "requestId", "sourceIpAddress", "acsRegion"];

#[test]
fn cloudtrails_real_records() {
    let sender = anybody();
    for (folder, count) in [("invictus", 2_900), ("stratus", 310), ("otrf", 103)] {
        let raws = events(&format!("cloudtrail/{folder}"), "json");
        assert_eq!(raws.len(), count, "{folder}");
        for raw in &raws {
            let e = decode_for(&sender, raw).unwrap();
            let v: Value = serde_json::from_slice(raw).unwrap();
            assert_eq!(e.dialect, Dialect::CloudTrail);
            check(&e, &v, CLOUDTRAIL_IDS);
            let said = v["readOnly"].as_bool();
            assert_eq!(e.flags.contains(Flags::RW_DERIVED), said.is_none());
            if let Some(read) = said {
                assert_eq!(e.event_rw == ReadWrite::Read, read);
                // Deriving may take a read for a write, never the reverse.
                let derived = verbs::read_or_write(e.event_name.as_deref().unwrap());
                assert!(read || derived == ReadWrite::Write, "{:?}", e.event_name);
            }
            let category = v["eventCategory"].as_str();
            assert_eq!(e.event_category.as_deref(), category);
            assert!(!e.flags.contains(Flags::VALUE_OUT_OF_RANGE));
            let resources = v["resources"].as_array().map_or(0, Vec::len);
            assert!(e.resources.len() <= resources && (resources == 0) == e.resources.is_empty());
        }
    }
}

#[test]
fn actiontrails_real_events() {
    let sender = anybody();
    let raws = events("actiontrail", "ndjson");
    assert_eq!(raws.len(), 11);
    for raw in &raws {
        let e = decode_for(&sender, raw).unwrap();
        let v: Value = serde_json::from_slice(raw).unwrap();
        assert_eq!(e.dialect, Dialect::ActionTrail);
        check(&e, &v, ACTIONTRAIL_IDS);
        assert_eq!(e.event_rw.as_str(), v["eventRW"]);
        assert_eq!(e.flags, Flags::NONE);
    }
    // The same events in the log service's envelope are the same bytes.
    assert_eq!(events("actiontrail", "json"), raws);
}

#[test]
fn oddity_1_addresses_and_regions_that_are_none_are_kept() {
    let sender = anybody();
    let raws = events("cloudtrail/stratus", "json");
    let kept = |wanted: fn(&Event<'_>) -> bool| {
        raws.iter()
            .filter(|raw| wanted(&decode_for(&sender, raw).unwrap()))
            .count()
    };
    assert!(kept(|e| e.source_ip.as_deref() == Some("253.252.51.07")) > 0);
    assert!(kept(|e| e.region.as_deref() == Some("megov-northeast-1r")) > 0);
}

#[test]
fn oddity_2_old_records_do_not_say_whether_they_read() {
    let sender = anybody();
    let raws = events("cloudtrail/otrf", "json");
    let derived: Vec<_> = raws
        .iter()
        .map(|raw| decode_for(&sender, raw).unwrap())
        .filter(|e| e.flags.contains(Flags::RW_DERIVED))
        .collect();
    assert_eq!(derived.len(), 90);
    let reads = derived
        .iter()
        .filter(|e| e.event_rw == ReadWrite::Read)
        .count();
    assert_eq!(
        reads, 85,
        "the Describe calls; the five AssumeRole count as writes"
    );
    assert!(derived.iter().all(|e| e.event_category.is_none()));
    // Their shipper moved eventTime to @timestamp, which is no field of ours.
    assert!(
        derived
            .iter()
            .all(|e| e.flags.contains(Flags::EVENT_TIME_MISSING))
    );
}

#[test]
fn oddity_3_an_event_that_is_delivered_again_28_minutes_later() {
    let sender = anybody();
    let raws = events("actiontrail", "ndjson");
    let mut seen: BTreeMap<(String, String), &Bytes> = BTreeMap::new();
    let mut twice = 0;
    for raw in &raws {
        let e = decode_for(&sender, raw).unwrap();
        let key = (e.account_id.into_owned(), e.event_id.into_owned());
        if let Some(first) = seen.insert(key, raw) {
            assert_eq!(first, raw, "the same bytes, so a duplicate and no conflict");
            twice += 1;
        }
    }
    assert_eq!(twice, 1);
}

#[test]
fn oddity_4_versions_as_number_and_as_text() {
    for version in ["1", "\"1\""] {
        let raw = format!(r#"{{"eventId":"1","eventVersion":{version}}}"#);
        assert_eq!(taken(&raw).event_version.as_deref(), Some("1"));
    }
}

#[test]
fn oddity_5_booleans_as_text() {
    let sender = anybody();
    let raws = events("actiontrail", "ndjson");
    for raw in &raws {
        let text = std::str::from_utf8(raw).unwrap();
        assert!(text.contains(r#""mfaAuthenticated":"false""#));
        assert_eq!(decode_for(&sender, raw).unwrap().mfa, Some(false));
    }
}

#[test]
fn oddity_6_parameter_names_with_dots() {
    let raw = r#"{"eventId":"1","requestParameters":{"NetworkInterface.1.SecurityGroupId":"sg-1","LookupAttribute.1.Key":"User"}}"#;
    let e = taken(raw);
    let parameters: Value = serde_json::from_str(&e.request_parameters.unwrap()).unwrap();
    assert_eq!(parameters["NetworkInterface.1.SecurityGroupId"], "sg-1");
}

/// Fixtures that people wrote by hand for other programs: many are broken in
/// ways of their own. What becomes of them is counted, so that no change of
/// the rules goes unseen.
#[test]
fn hand_written_fixtures_are_taken_or_refused_for_a_reason() {
    let sender = anybody();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let text = std::fs::read_to_string(testdata().join("other/AWS.CloudTrail.ndjson")).unwrap();
    for line in text.lines() {
        let fixture: BTreeMap<&str, &serde_json::value::RawValue> =
            serde_json::from_str(line).unwrap();
        let raw = fixture["log"].get();
        let outcome = match decode_for(&sender, raw.as_bytes()) {
            Ok(e) => e.dialect.as_str(),
            Err(refusal) => refusal.reason.as_str(),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let expected = BTreeMap::from([
        ("cloudtrail", 420),
        // Nine digits, "redacted", "<organization master account ID>", …
        ("account_invalid", 26),
        ("account_missing", 9),
        // All field names in lower case: no sender writes that.
        ("unknown_dialect", 8),
    ]);
    assert_eq!(outcomes, expected);
}

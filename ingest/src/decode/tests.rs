use std::collections::BTreeSet;

use cairn_schemas::selector::{EventFacts, Field, ReadWrite};
use cairn_schemas::time::{DAY, SECOND};
use proptest::prelude::*;

use super::*;

mod bad_inputs;
pub(crate) mod real;

pub(crate) const MINE: &str = "100000000001";
pub(crate) const OTHER: &str = "200000000002";
/// 2026-01-02T03:04:05Z.
pub(crate) const NOW: Micros = Micros(1_767_323_045_000_000);

pub(crate) fn only(ids: &[&str]) -> Among<AccountId> {
    Among::Only(ids.iter().map(|id| AccountId::new(id).unwrap()).collect())
}

pub(crate) fn envelope(accounts: Among<AccountId>) -> Envelope {
    Envelope {
        received: NOW,
        sender: "0123456789abcdef".to_owned(),
        accounts,
        account: None,
    }
}

/// The envelope of a sender for every account.
pub(crate) fn anybody() -> Envelope {
    envelope(Among::All)
}

/// Decodes as offset 7 of the embedded log.
pub(crate) fn decode_for<'a>(envelope: &Envelope, raw: &'a [u8]) -> Result<Event<'a>, Refusal> {
    let partition = Partition::embedded();
    decode(raw, &Context::new(envelope, &partition, 7))
}

/// Decodes for a sender of [`MINE`] alone.
pub(crate) fn mine(raw: &str) -> Result<Event<'_>, Refusal> {
    decode_for(&envelope(only(&[MINE])), raw.as_bytes())
}

pub(crate) fn taken(raw: &str) -> Event<'_> {
    mine(raw).unwrap_or_else(|refusal| panic!("{refusal} {raw}"))
}

pub(crate) fn reason(raw: &str) -> Reason {
    mine(raw).expect_err(raw).reason
}

/// The documented shape of an ActionTrail event, every field in use.
const ACTIONTRAIL: &str = r#"{"eventId":"0F3C","eventVersion":"1","eventCategory":"Management",
 "eventType":"ApiCall","eventName":"DeleteDisk","eventRW":"Write","eventSource":"ecs.example.local",
 "eventTime":"2026-01-02T03:04:05Z","acsRegion":"region-a","serviceName":"Ecs",
 "apiVersion":"2014-05-26","requestId":"0F3D","isGlobal":false,"sourceIpAddress":"192.0.2.10",
 "userAgent":"sdk/1.0","recipientAccountId":"100000000001","vpcId":"vpc-1","sharedEventId":"S1",
 "eventAttributes":{"SensitiveAction":"true"},"errorCode":"Forbidden.RAM","errorMessage":"no",
 "requestParameters":{"DiskId":"d-1","X-Acs-Client-Tls-Version":"TLSv1.3"},
 "responseElements":{"RequestId":"0F3C"},
 "referencedResources":{"ACS::ECS::Disk":["d-1"],"ACS::ECS::Instance":["i-1","i-2"]},
 "resourceType":"ACS::ECS::Disk","resourceName":"d-1","additionalEventData":{},
 "userIdentity":{"type":"assumed-role","accountId":"100000000001","principalId":"3000001:alice",
   "userName":"auditor-role:alice","accessKeyId":"STS.x","invokedBy":"ecs.aliyuncs.com",
   "sessionContext":{"attributes":{"creationDate":"2026-01-02T03:00:00Z","mfaAuthenticated":"true"}}}}"#;

/// The same of a CloudTrail record.
const CLOUDTRAIL: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole",
 "principalId":"AROA:bob","arn":"arn:aws:sts::200000000002:assumed-role/r/bob",
 "accountId":"200000000002","accessKeyId":"ASIA1","sessionContext":{
  "sessionIssuer":{"type":"Role","userName":"r"},"webIdFederationData":{},
  "attributes":{"creationDate":"2026-01-02T02:00:00Z","mfaAuthenticated":"false"}}},
 "eventTime":"2026-01-02T02:04:05Z","eventSource":"s3.amazonaws.com","eventName":"GetObject",
 "awsRegion":"eu-west-1","sourceIPAddress":"cloudtrail.amazonaws.com","userAgent":"aws-cli",
 "errorCode":"AccessDenied","errorMessage":"Access Denied","requestParameters":{"key" : "a.b"},
 "responseElements":null,"additionalEventData":{"bytes":0},"requestID":"R1","eventID":"E1",
 "eventType":"AwsApiCall","apiVersion":"2006-03-01","managementEvent":false,"readOnly":true,
 "resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::b/a.b"},
  {"accountId":"100000000001","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"}],
 "recipientAccountId":"100000000001","sharedEventID":"S2","vpcEndpointId":"vpce-1",
 "tlsDetails":{"tlsVersion":"TLSv1.2"}}"#;

fn text<'a>(value: &'a Option<Text<'_>>) -> Option<&'a str> {
    value.as_deref()
}

#[test]
fn every_field_of_actiontrail_has_its_column() {
    let e = taken(ACTIONTRAIL);
    assert_eq!(e.dialect, Dialect::ActionTrail);
    assert_eq!(e.event_id, "0F3C");
    assert_eq!((e.event_time, e.late), (NOW, false));
    for (value, expected) in [
        (&e.event_name, "DeleteDisk"),
        (&e.event_source, "ecs.example.local"),
        (&e.service_name, "Ecs"),
        (&e.event_type, "ApiCall"),
        (&e.event_category, "Management"),
        (&e.event_version, "1"),
        (&e.region, "region-a"),
        (&e.identity_type, "assumed-role"),
        (&e.principal_id, "3000001:alice"),
        (&e.user_name, "auditor-role:alice"),
        (&e.access_key_id, "STS.x"),
        (&e.identity_account_id, MINE),
        (&e.invoked_by, "ecs.aliyuncs.com"),
        (&e.source_ip, "192.0.2.10"),
        (&e.user_agent, "sdk/1.0"),
        (&e.request_id, "0F3D"),
        (&e.api_version, "2014-05-26"),
        (&e.error_code, "Forbidden.RAM"),
        (&e.error_message, "no"),
        (&e.resource_type, "ACS::ECS::Disk"),
        (&e.resource_name, "d-1"),
        (&e.vpc_id, "vpc-1"),
        (&e.shared_event_id, "S1"),
        (&e.tls_version, "TLSv1.3"),
        (
            &e.request_parameters,
            r#"{"DiskId":"d-1","X-Acs-Client-Tls-Version":"TLSv1.3"}"#,
        ),
    ] {
        assert_eq!(text(value), Some(expected));
        assert!(
            matches!(value, Some(Text::Borrowed(_))),
            "copied {expected}"
        );
    }
    assert_eq!(e.account_id, MINE);
    assert_eq!(e.event_rw, ReadWrite::Write);
    assert_eq!(e.principal_arn, None);
    assert_eq!(e.session_created, Some(Micros(NOW.0 - 245 * SECOND)));
    assert_eq!(e.mfa, Some(true));
    assert_eq!(e.is_global, Some(false));
    assert_eq!(e.sensitive_action, Some(true));
    assert_eq!(e.response_elements, Some(r#"{"RequestId":"0F3C"}"#));
    assert_eq!(e.additional_event_data, Some("{}"));
    assert!(
        e.user_identity
            .unwrap()
            .starts_with(r#"{"type":"assumed-role""#)
    );
    let named: Vec<_> = e
        .resources
        .iter()
        .map(|r| (text(&r.kind).unwrap(), text(&r.name).unwrap()))
        .collect();
    assert_eq!(
        named,
        [
            ("ACS::ECS::Disk", "d-1"),
            ("ACS::ECS::Instance", "i-1"),
            ("ACS::ECS::Instance", "i-2")
        ]
    );
    assert_eq!(e.flags, Flags::NONE);
    assert_eq!(e.raw, ACTIONTRAIL);
}

#[test]
fn every_field_of_cloudtrail_has_its_column() {
    let e = taken(CLOUDTRAIL);
    assert_eq!(e.dialect, Dialect::CloudTrail);
    assert_eq!(e.event_id, "E1");
    assert!(e.late, "an hour is late");
    for (value, expected) in [
        (&e.event_name, "GetObject"),
        (&e.event_source, "s3.amazonaws.com"),
        (&e.service_name, "s3"),
        (&e.event_type, "AwsApiCall"),
        (&e.event_category, "Data"),
        (&e.event_version, "1.11"),
        (&e.region, "eu-west-1"),
        (&e.identity_type, "AssumedRole"),
        (&e.principal_id, "AROA:bob"),
        (
            &e.principal_arn,
            "arn:aws:sts::200000000002:assumed-role/r/bob",
        ),
        (&e.user_name, "r"),
        (&e.access_key_id, "ASIA1"),
        (&e.identity_account_id, OTHER),
        (&e.source_ip, "cloudtrail.amazonaws.com"),
        (&e.user_agent, "aws-cli"),
        (&e.request_id, "R1"),
        (&e.api_version, "2006-03-01"),
        (&e.error_code, "AccessDenied"),
        (&e.error_message, "Access Denied"),
        (&e.resource_type, "AWS::S3::Object"),
        (&e.resource_name, "arn:aws:s3:::b/a.b"),
        (&e.vpc_id, "vpce-1"),
        (&e.shared_event_id, "S2"),
        (&e.tls_version, "TLSv1.2"),
        (&e.request_parameters, r#"{"key" : "a.b"}"#),
    ] {
        assert_eq!(text(value), Some(expected));
    }
    assert_eq!(
        e.account_id, MINE,
        "a cross-account call is the recipient's"
    );
    assert_eq!(e.event_rw, ReadWrite::Read);
    assert_eq!(e.mfa, Some(false));
    assert_eq!(e.response_elements, None, "null is no value");
    assert_eq!(e.additional_event_data, Some(r#"{"bytes":0}"#));
    assert_eq!(e.resources.len(), 2);
    assert_eq!(text(&e.resources[1].account_id), Some(MINE));
    assert_eq!(e.flags, Flags::NONE);
}

#[test]
fn the_dialect_is_told_by_its_own_fields() {
    for (raw, expected) in [
        (r#"{"eventID":"1"}"#, Dialect::CloudTrail),
        (r#"{"eventName":"X","awsRegion":"r"}"#, Dialect::CloudTrail),
        (
            r#"{"eventName":"X","eventSource":"iam.amazonaws.com"}"#,
            Dialect::CloudTrail,
        ),
        (r#"{"eventId":"1"}"#, Dialect::ActionTrail),
        (r#"{"acsRegion":"r"}"#, Dialect::ActionTrail),
        (r#"{"eventName":"X"}"#, Dialect::ActionTrail),
        // An id in the other's spelling does not make it the other's.
        (
            r#"{"eventID":"1","acsRegion":"r","eventRW":"Read"}"#,
            Dialect::ActionTrail,
        ),
        (
            r#"{"eventId":"1","awsRegion":"r","readOnly":true}"#,
            Dialect::CloudTrail,
        ),
        (
            r#"{"eventSource":"cairn","eventName":"Query"}"#,
            Dialect::Cairn,
        ),
        (
            r#"{"serviceName":"cairn","eventName":"Query","eventId":"1"}"#,
            Dialect::Cairn,
        ),
    ] {
        assert_eq!(taken(raw).dialect, expected, "{raw}");
    }
    for raw in [
        "{}",
        r#"{"a":1}"#,
        r#"{"eventName":""}"#,
        r#"{"eventName":null}"#,
        r#"{"message":"hello","recipientAccountId":"100000000001"}"#,
        r#"{"kind":"Event","verb":"list","userAgent":"kubectl"}"#,
    ] {
        assert_eq!(reason(raw), Reason::UnknownDialect, "{raw}");
    }
}

#[test]
fn an_id_is_found_in_either_spelling() {
    let e = taken(
        r#"{"eventID":"E","requestID":"R","acsRegion":"a","eventRW":"Read","serviceName":"s"}"#,
    );
    assert_eq!(
        (e.dialect, &*e.event_id, text(&e.request_id)),
        (Dialect::ActionTrail, "E", Some("R"))
    );
    let e = taken(r#"{"eventId":"mine","eventID":"theirs","acsRegion":"a"}"#);
    assert_eq!(e.event_id, "mine");
}

#[test]
fn the_account_is_the_recipients_then_the_actors_then_the_senders() {
    let e = taken(r#"{"eventId":"1","userIdentity":{"accountId":"100000000001"}}"#);
    assert_eq!(
        (&*e.account_id, e.flags),
        (MINE, Flags::RW_DERIVED | Flags::EVENT_TIME_MISSING)
    );
    let e = taken(r#"{"eventId":"1","recipientAccountId":null,"userIdentity":null}"#);
    assert_eq!(e.account_id, MINE);
    assert!(e.flags.contains(Flags::ACCOUNT_FROM_SENDER));
    let e = taken(r#"{"eventId":"1","recipientAccountId":100000000001}"#);
    assert_eq!(e.account_id, MINE);
    let e = taken(r#"{"eventId":"1","recipientAccountId":"10000000000\u0031"}"#);
    assert_eq!(e.account_id, MINE);
}

#[test]
fn a_sender_for_many_accounts_has_to_name_one() {
    let raw = br#"{"eventId":"1"}"#;
    for accounts in [only(&[MINE, OTHER]), only(&[]), Among::All] {
        let mut sender = envelope(accounts.clone());
        assert_eq!(
            decode_for(&sender, raw).unwrap_err().reason,
            Reason::AccountMissing
        );
        sender.account = AccountId::new(MINE).ok();
        let decoded = decode_for(&sender, raw);
        if accounts.contains(MINE) {
            let e = decoded.unwrap();
            assert_eq!(e.account_id, MINE);
            assert!(e.flags.contains(Flags::ACCOUNT_FROM_SENDER));
        } else {
            assert_eq!(decoded.unwrap_err().reason, Reason::AccountMissing);
        }
    }
}

#[test]
fn the_account_that_the_sender_named_binds_it() {
    let mut sender = envelope(Among::All);
    sender.account = AccountId::new(MINE).ok();
    let other = format!(r#"{{"eventId":"1","recipientAccountId":"{OTHER}"}}"#);
    assert_eq!(
        decode_for(&sender, other.as_bytes()).unwrap_err().reason,
        Reason::AccountMismatch
    );
    let same = other.replace(OTHER, MINE);
    assert_eq!(
        decode_for(&sender, same.as_bytes()).unwrap().account_id,
        MINE
    );
}

#[test]
fn read_or_write_as_said_else_as_the_verb_says() {
    use ReadWrite::{Read, Write};
    for (fields, expected, derived) in [
        (r#""eventRW":"Read","eventName":"DeleteX""#, Read, false),
        (r#""eventRW":"WRITE","eventName":"GetX""#, Write, false),
        (r#""readOnly":true,"eventName":"DeleteX""#, Read, false),
        (r#""readOnly":"false","eventName":"GetX""#, Write, false),
        (
            r#""eventRW":null,"readOnly":null,"eventName":"GetX""#,
            Read,
            true,
        ),
        (r#""eventRW":"perhaps","eventName":"GetX""#, Read, true),
        (r#""eventRW":"","readOnly":true"#, Read, false),
        (r#""eventName":"DescribeX""#, Read, true),
        (r#""eventName":"Frobnicate""#, Write, true),
    ] {
        let raw = format!(r#"{{"eventId":"1",{fields}}}"#);
        let e = taken(&raw);
        assert_eq!(e.event_rw, expected, "{fields}");
        assert_eq!(e.flags.contains(Flags::RW_DERIVED), derived, "{fields}");
    }
}

#[test]
fn category_and_service_fall_back() {
    for (fields, category, service) in [
        (r#""managementEvent":true"#, Some("Management"), None),
        (
            r#""managementEvent":"false","eventSource":"s3.amazonaws.com""#,
            Some("Data"),
            Some("s3"),
        ),
        (
            r#""eventCategory":"Insight","managementEvent":true,"eventSource":"host""#,
            Some("Insight"),
            Some("host"),
        ),
        (
            r#""serviceName":"Ecs","eventSource":"x.y""#,
            None,
            Some("Ecs"),
        ),
        (
            r#""eventCategory":"","serviceName":"","eventSource":"x.\u0079""#,
            None,
            Some("x"),
        ),
        (r#""eventSource":".x""#, None, None),
    ] {
        let raw = format!(r#"{{"eventId":"1",{fields}}}"#);
        let e = taken(&raw);
        assert_eq!(
            (text(&e.event_category), text(&e.service_name)),
            (category, service),
            "{fields}"
        );
    }
}

#[test]
fn parameters_in_a_string_count_only_where_the_object_is_missing() {
    for (fields, expected) in [
        (
            r#""requestParameters":{"a":1},"requestParameterJson":"{\"b\":2}""#,
            Some(r#"{"a":1}"#),
        ),
        (r#""requestParameterJson":"{\"b\":2}""#, Some(r#"{"b":2}"#)),
        (
            r#""requestParameters":null,"requestParameterJson":"[1]""#,
            Some("[1]"),
        ),
        // Not JSON inside: then the string itself is the JSON value.
        (r#""requestParameterJson":"a=b""#, Some(r#""a=b""#)),
        (
            r#""requestParameterJson":"{\"a\":1,\"a\":2}""#,
            Some(r#""{\"a\":1,\"a\":2}""#),
        ),
        (r#""requestParameterJson":"\ud800""#, Some(r#""\ud800""#)),
        (r#""requestParameterJson":"""#, None),
        (r#""requestParameterJson":{"c":3}"#, Some(r#"{"c":3}"#)),
        (r#""requestParameters":"HIDDEN""#, Some(r#""HIDDEN""#)),
        (r#""requestParameters":[ 1 ]"#, Some("[ 1 ]")),
    ] {
        let raw = format!(r#"{{"eventId":"1",{fields}}}"#);
        let e = taken(&raw);
        assert_eq!(text(&e.request_parameters), expected, "{fields}");
        if let Some(json) = e.request_parameters {
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok());
        }
    }
}

#[test]
fn a_second_factor_is_read_in_every_spelling() {
    for (fields, expected) in [
        (r#""additionalEventData":{"MFAUsed":"Yes"}"#, Some(true)),
        (r#""additionalEventData":{"MFAUsed":"No"}"#, Some(false)),
        (
            r#""userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":true}}}"#,
            Some(true),
        ),
        (
            r#""userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"false"}}},"additionalEventData":{"MFAUsed":"Yes"}"#,
            Some(false),
        ),
        (r#""additionalEventData":{"MFAUsed":"maybe"}"#, None),
        (r#""additionalEventData":"MFAUsed""#, None),
        (r#""userIdentity":"someone""#, None),
    ] {
        let raw = format!(r#"{{"eventId":"1",{fields}}}"#);
        let e = taken(&raw);
        assert_eq!(e.mfa, expected, "{fields}");
        let odd = fields.contains("maybe");
        assert_eq!(e.flags.contains(Flags::VALUE_OUT_OF_RANGE), odd, "{fields}");
    }
}

#[test]
fn odd_shapes_are_null_and_flagged_and_kept_in_raw() {
    let raw = r#"{"eventId":"1","eventName":{"a":1},"acsRegion":["x"],"errorCode":"","userAgent":"",
        "isGlobal":"perhaps","userIdentity":{"userName":["a"],"sessionContext":"none"},
        "resources":{"ARN":{"x":1},"type":"T"},"referencedResources":["a"]}"#;
    let e = taken(raw);
    assert!(e.flags.contains(Flags::VALUE_OUT_OF_RANGE));
    assert_eq!(
        (e.event_name, e.region, e.is_global, e.user_name),
        (None, None, None, None)
    );
    assert_eq!((e.error_code, e.user_agent.as_deref()), (None, Some("")));
    assert_eq!(e.resource_type.as_deref(), Some("T"));
    assert_eq!(e.raw, raw);
}

#[test]
fn selectors_see_an_event_as_its_columns() {
    let e = taken(CLOUDTRAIL);
    assert_eq!(
        (e.account(), e.region(), e.category()),
        (MINE, Some("eu-west-1"), Some("Data"))
    );
    for (field, value, holds) in [
        (Field::Service, "s3", true),
        (Field::Service, "s3.amazonaws.com", true),
        (Field::EventName, "GetObject", true),
        (Field::Resource, "arn:aws:s3:::b", true),
        (Field::Resource, "AWS::S3::Bucket", false),
        (Field::ResourceType, "AWS::S3::Bucket", true),
        (Field::User, "AROA:bob", true),
        (Field::User, "r", true),
        (
            Field::User,
            "arn:aws:sts::200000000002:assumed-role/r/bob",
            true,
        ),
        (Field::User, "nobody", false),
    ] {
        assert_eq!(
            e.any(field, &mut |v| v == value),
            holds,
            "{field:?} {value}"
        );
    }
}

#[test]
fn reasons_are_those_that_the_quarantine_documents() {
    let comment = cairn_schemas::columns::QUARANTINE_COLUMNS
        .iter()
        .find(|c| c.name == "reason")
        .unwrap()
        .comment;
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
    for code in codes {
        assert!(comment.contains(code), "{code}");
    }
}

#[test]
fn flags_are_those_that_the_column_documents() {
    let column = cairn_schemas::columns::EVENT_COLUMNS
        .iter()
        .find(|c| c.name == "flags")
        .unwrap();
    let mut all = Flags::NONE;
    for bit in 0..8 {
        all.insert(Flags::bit(bit));
    }
    assert_eq!(all.names().count(), 8);
    for name in all.names() {
        assert!(column.comment.contains(name), "{name}");
    }
}

/// A field's value that may be anything, also the wrong thing.
fn odd_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        prop::sample::select(vec![
            "null",
            "true",
            "-0",
            "1e400",
            "18446744073709551616",
            "{}",
            "[]",
            "[[],{}]",
            "\"\\ud800\"",
            "\"100000000001\"",
            "\"2026-01-01T00:00:00Z\"",
            "\"9999-12-31T23:59:60-23:59\"",
            "{\"accountId\":[]}",
            "{\"sessionContext\":{\"attributes\":7}}",
            "[{\"ARN\":[]},7,null]",
            "{\"T\":[null,{}]}",
        ])
        .prop_map(str::to_owned),
    ]
}

const NAMES: [&str; 22] = [
    "eventID",
    "eventId",
    "eventTime",
    "eventName",
    "eventSource",
    "recipientAccountId",
    "userIdentity",
    "resources",
    "referencedResources",
    "resourceType",
    "resourceName",
    "readOnly",
    "eventRW",
    "managementEvent",
    "additionalEventData",
    "requestParameterJson",
    "requestParameters",
    "tlsDetails",
    "eventAttributes",
    "isGlobal",
    "acsRegion",
    "serviceName",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_for(&envelope(only(&[MINE])), &bytes);
    }

    #[test]
    fn odd_values_never_panic_and_never_change_raw(
        members in prop::collection::btree_map(prop::sample::select(NAMES.to_vec()), odd_value(), 0..10)
    ) {
        let members: Vec<_> = members.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        let raw = format!("{{{}}}", members.join(","));
        match mine(&raw) {
            Ok(event) => {
                prop_assert_eq!(event.raw, raw.as_str());
                prop_assert_eq!(&*event.account_id, MINE);
                prop_assert!(!event.event_id.is_empty());
            }
            Err(refusal) => prop_assert!(!matches!(
                refusal.reason,
                Reason::InvalidJson | Reason::InvalidUtf8 | Reason::Empty | Reason::TooLarge
            )),
        }
    }
}

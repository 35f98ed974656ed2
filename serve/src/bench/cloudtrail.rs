//! One generated event written down as a CloudTrail record.

use super::generate::{Facts, Generator};
use super::identity::write_identity;
use super::mix::{Kind, is_service};
use super::population::{put_number, put_time};
use super::prng::{BASE32, BASE64, put_uuid};

/// Appends byte strings, one after the other.
macro_rules! put {
    ($out:expr, $($part:expr),+ $(,)?) => {{
        $($out.extend_from_slice(AsRef::<[u8]>::as_ref(&$part));)+
    }};
}
pub(crate) use put;

/// The log that was taken before records had `tlsDetails`.
const OLD_LOG: usize = 0;
/// The log with event versions 1.05 and 1.07.
const OLDEST_LOG: usize = 3;

/// Appends the record.
pub(crate) fn render(g: &Generator, f: &mut Facts<'_>, out: &mut Vec<u8>) {
    let kind = &g.mix.kinds[usize::from(f.slot.kind)];
    let from = out.len();
    // What follows the parameters is written first, to know what is left for them.
    let mut tail = Vec::with_capacity(1_024);
    write_tail(g, f, kind, &mut tail);
    write_head(g, f, kind, out);
    let failed = f.slot.error.is_some();
    let both = br#""requestParameters":{},"responseElements":null"#.len();
    let budget = f.size - (out.len() - from + tail.len() + both) as i64;
    put!(out, r#""requestParameters":"#);
    let response = !failed && kind.read_only == Some(false);
    let at = out.len();
    if kind.name == "ConsoleLogin" {
        put!(out, "null");
    } else {
        put!(out, "{");
        write_request(f, kind, out);
        let used = (out.len() - at) as i64;
        let comma = used > 1;
        let share = if response {
            (budget - used) / 2
        } else {
            budget - used
        };
        // Who got a role has a long token in the answer; who did not had at
        // least a long policy in the request.
        if kind.name != "AssumeRole" || failed {
            let number = usize::from(f.slot.kind);
            g.padding.fill(
                out,
                share,
                kind.service(),
                number,
                f.account,
                &mut f.prng,
                comma,
            );
        }
        put!(out, "}");
    }
    let left = budget - (out.len() - at) as i64;
    put!(out, r#","responseElements":"#);
    write_response(g, f, kind, out, left, response);
    put!(out, tail);
}

fn write_head(g: &Generator, f: &mut Facts<'_>, kind: &Kind, out: &mut Vec<u8>) {
    let version = if f.profile == OLDEST_LOG {
        "1.05"
    } else {
        "1.08"
    };
    put!(
        out,
        r#"{"eventVersion":""#,
        version,
        r#"","userIdentity":{"#
    );
    write_identity(g, f, kind, out);
    put!(out, r#"},"eventTime":""#);
    put_time(out, f.event_time);
    put!(
        out,
        r#"","eventSource":""#,
        kind.source,
        r#"","eventName":""#,
        kind.name
    );
    put!(
        out,
        r#"","awsRegion":""#,
        f.region_name(),
        r#"","sourceIPAddress":""#
    );
    write_address(g, f, out);
    put!(
        out,
        r#"","userAgent":""#,
        g.mix.text(f.slot.agent).unwrap_or("-"),
        "\","
    );
    if let Some(error) = g.mix.text(f.slot.error) {
        put!(out, r#""errorCode":""#, error, r#"","errorMessage":""#);
        if error == "AccessDenied" || error.ends_with("UnauthorizedOperation") {
            put!(
                out,
                "User is not authorized to perform: ",
                kind.service(),
                ":",
                kind.name
            );
        } else {
            put!(out, "The request failed: ", error);
        }
        put!(out, "\",");
    } else if login_failed(f, kind) {
        put!(out, r#""errorMessage":"Failed authentication","#);
    }
}

/// One sign-in of ten fails (made up). The same answer whenever asked.
fn login_failed(f: &Facts<'_>, kind: &Kind) -> bool {
    kind.name == "ConsoleLogin" && f.event_id[0].is_multiple_of(10)
}

pub(crate) fn write_address(g: &Generator, f: &Facts<'_>, out: &mut Vec<u8>) {
    match g.mix.text(f.slot.address) {
        Some(service) if is_service(service) => put!(out, service),
        measured => f
            .actor_account
            .address(out, f.user_number, measured.unwrap_or_default()),
    }
}

fn is_object(kind: &Kind) -> bool {
    kind.name.ends_with("Object")
}

fn write_object_key(f: &Facts<'_>, out: &mut Vec<u8>) {
    put!(
        out,
        "AWSLogs/",
        f.account.id,
        "/CloudTrail/",
        f.region_name(),
        "/"
    );
    let from = out.len();
    put_time(out, f.event_time);
    // 2026-06-01T12:00:00Z as 2026/06/01/
    out.truncate(from + 10);
    out[from + 4] = b'/';
    out[from + 7] = b'/';
    put!(out, "/", f.account.id, "_CloudTrail_", f.region_name(), "_");
    // The name has to be the same in the request and in the resources.
    let mut name = super::prng::Prng::at(f.event_id[0], 7, f.event_id[1]);
    name.text(out, BASE64.get(..32).unwrap_or(BASE32), 16);
    put!(out, ".json.gz");
}

fn write_request(f: &mut Facts<'_>, kind: &Kind, out: &mut Vec<u8>) {
    match kind.service() {
        "s3" => {
            put!(out, r#""bucketName":""#);
            f.account.bucket(out, f.bucket);
            if f.profile != OLD_LOG || is_object(kind) {
                put!(out, r#"","Host":""#);
                f.account.bucket(out, f.bucket);
                put!(out, ".s3.", f.region_name(), ".amazonaws.com");
            }
            put!(out, "\"");
            if is_object(kind) {
                put!(out, r#","key":""#);
                write_object_key(f, out);
                put!(out, "\"");
            }
        }
        "kms" => {
            put!(
                out,
                r#""encryptionContext":{"aws:cloudtrail:arn":"arn:aws:cloudtrail:"#,
                f.region_name()
            );
            put!(out, ":", f.account.id, r#":trail/organization"},"keyId":""#);
            write_kms_arn(f, out);
            put!(out, r#"","keySpec":"AES_256""#);
        }
        "sts" => {
            put!(
                out,
                r#""roleArn":"arn:aws:iam::"#,
                f.account.id,
                ":role/",
                f.user.role
            );
            put!(
                out,
                r#"","roleSessionName":""#,
                f.user.name,
                r#"","durationSeconds":900"#
            );
        }
        "iam" => put!(out, r#""userName":""#, f.user.name, "\""),
        "cloudtrail" => put!(out, r#""name":"organization""#),
        _ => {}
    }
}

fn write_response(
    g: &Generator,
    f: &mut Facts<'_>,
    kind: &Kind,
    out: &mut Vec<u8>,
    left: i64,
    response: bool,
) {
    if kind.name == "ConsoleLogin" {
        let outcome = if login_failed(f, kind) {
            "Failure"
        } else {
            "Success"
        };
        put!(out, r#"{"ConsoleLogin":""#, outcome, r#""}"#);
    } else if kind.name == "AssumeRole" && f.slot.error.is_none() {
        put!(out, r#"{"credentials":{"accessKeyId":"ASIA"#);
        f.prng.text(out, BASE32, 16);
        put!(
            out,
            r#"","expiration":"Jun 1, 2026, 1:00:00 PM","sessionToken":""#
        );
        let fixed = 150;
        f.prng.text(
            out,
            BASE64,
            usize::try_from(left - fixed).unwrap_or(0).max(64),
        );
        put!(
            out,
            r#""},"assumedRoleUser":{"assumedRoleId":"AROA"#,
            f.user.principal,
            r#""}}"#
        );
    } else if response && left > 16 {
        put!(out, "{");
        let number = usize::from(f.slot.kind) + 5;
        g.padding.fill(
            out,
            left,
            kind.service(),
            number,
            f.account,
            &mut f.prng,
            false,
        );
        put!(out, "}");
    } else {
        put!(out, "null");
    }
}

fn write_kms_arn(f: &Facts<'_>, out: &mut Vec<u8>) {
    put!(
        out,
        "arn:aws:kms:",
        f.region_name(),
        ":",
        f.account.id,
        ":key/"
    );
    f.account.kms_key(out, f.kms_key);
}

/// The ARN of the event's encryption key, as in its resources.
pub(crate) fn kms_arn(f: &Facts<'_>) -> String {
    let mut out = Vec::new();
    write_kms_arn(f, &mut out);
    out.into_iter().map(char::from).collect()
}

fn write_tail(g: &Generator, f: &mut Facts<'_>, kind: &Kind, out: &mut Vec<u8>) {
    let service = kind.service();
    if service == "s3" {
        put!(
            out,
            r#","additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":"#
        );
        let bytes = f.prng.below(20_000) as u64;
        put_number(out, if is_object(kind) { bytes } else { 0 });
        put!(
            out,
            r#","AuthenticationMethod":"AuthHeader","x-amz-id-2":""#
        );
        f.prng.text(out, BASE64, 75);
        put!(out, r#"=","bytesTransferredOut":"#);
        put_number(out, bytes % 997);
        put!(out, r#"},"requestID":""#);
        f.prng.text(out, BASE32, 16);
    } else {
        if kind.name == "ConsoleLogin" {
            let used = if f.user.mfa { "Yes" } else { "No" };
            put!(
                out,
                r#","additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":""#,
                used,
                r#""}"#
            );
        }
        put!(out, r#","requestID":""#);
        f.prng.uuid(out);
    }
    put!(out, r#"","eventID":""#);
    put_uuid(out, f.event_id);
    put!(out, "\"");
    match kind.read_only {
        Some(true) => put!(out, r#","readOnly":true"#),
        Some(false) => put!(out, r#","readOnly":false"#),
        None => {}
    }
    write_resources(f, kind, out);
    let event_type = match (g.mix.text(f.slot.user_type), &*kind.name) {
        (None, _) => "AwsServiceEvent",
        (_, "ConsoleLogin") => "AwsConsoleSignIn",
        _ => "AwsApiCall",
    };
    put!(out, r#","eventType":""#, event_type, "\"");
    let data = is_object(kind);
    if f.profile != OLDEST_LOG {
        put!(
            out,
            r#","managementEvent":"#,
            if data { "false" } else { "true" }
        );
    }
    put!(out, r#","recipientAccountId":""#, f.account.id, "\"");
    if g.mix.text(f.slot.user_type) == Some("AWSService") {
        put!(out, r#","sharedEventID":""#);
        f.prng.uuid(out);
        put!(out, "\"");
    }
    if f.profile != OLDEST_LOG {
        put!(
            out,
            r#","eventCategory":""#,
            if data { "Data" } else { "Management" },
            "\""
        );
    }
    let by_service = g.mix.text(f.slot.address).is_some_and(is_service);
    if !by_service && f.profile != OLD_LOG && f.profile != OLDEST_LOG {
        put!(
            out,
            r#","tlsDetails":{"tlsVersion":"TLSv1.2","cipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","clientProvidedHostHeader":""#
        );
        // 226 of 236 real ones of S3 name the bucket.
        if kind.service() == "s3" {
            f.account.bucket(out, f.bucket);
            put!(out, ".");
        }
        put!(out, service, ".", f.region_name(), r#".amazonaws.com"}"#);
    }
    put!(out, "}");
}

fn write_resources(f: &Facts<'_>, kind: &Kind, out: &mut Vec<u8>) {
    match kind.service() {
        "s3" => {
            put!(out, r#","resources":["#);
            if is_object(kind) {
                put!(out, r#"{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::"#);
                f.account.bucket(out, f.bucket);
                put!(out, "/");
                write_object_key(f, out);
                put!(out, "\"},");
            }
            put!(
                out,
                r#"{"accountId":""#,
                f.account.id,
                r#"","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::"#
            );
            f.account.bucket(out, f.bucket);
            put!(out, r#""}]"#);
        }
        "kms" => {
            put!(
                out,
                r#","resources":[{"accountId":""#,
                f.account.id,
                r#"","type":"AWS::KMS::Key","ARN":""#
            );
            write_kms_arn(f, out);
            put!(out, r#""}]"#);
        }
        "sts" if kind.name == "AssumeRole" => {
            put!(
                out,
                r#","resources":[{"accountId":""#,
                f.account.id,
                r#"","type":"AWS::IAM::Role","ARN":"arn:aws:iam::"#
            );
            put!(out, f.account.id, ":role/", f.user.role, r#""}]"#);
        }
        _ => {}
    }
}

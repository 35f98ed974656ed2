//! One generated event written down as an ActionTrail event.
//!
//! Only eleven real ActionTrail events were at hand, too few to measure. The
//! form and the mean size come from them; the operations are made up and
//! weighted by the slope that was measured for CloudTrail's.

use super::cloudtrail::{put, write_address};
use super::generate::{Facts, Generator};
use super::identity::is_session;
use super::population::put_time;
use super::prng::put_uuid;

/// `(serviceName, endpoint, eventName, eventRW, apiVersion)`, the most frequent first.
pub(crate) const OPERATIONS: [(&str, &str, &str, &str, &str); 16] = [
    (
        "Ecs",
        "ecs-openapi-share",
        "DescribeInstances",
        "Read",
        "2014-05-26",
    ),
    (
        "Cms",
        "metrics-share",
        "DescribeMetricList",
        "Read",
        "2019-01-01",
    ),
    ("Oss", "oss", "PutObject", "Write", "2019-05-17"),
    ("Sts", "sts", "AssumeRole", "Write", "2015-04-01"),
    ("Kms", "kms", "Decrypt", "Read", "2016-01-20"),
    ("Ram", "ram", "ListUsers", "Read", "2015-05-01"),
    (
        "Vpc",
        "vpc-openapi-share",
        "DescribeVpcs",
        "Read",
        "2016-04-28",
    ),
    ("Rds", "rds", "DescribeDBInstances", "Read", "2014-08-15"),
    (
        "Slb",
        "slb-openapi-share",
        "DescribeLoadBalancers",
        "Read",
        "2014-05-15",
    ),
    (
        "Actiontrail",
        "actiontrail-openapi-share",
        "LookupEvents",
        "Read",
        "2020-07-06",
    ),
    (
        "Ecs",
        "ecs-openapi-share",
        "RunInstances",
        "Write",
        "2014-05-26",
    ),
    ("Ram", "ram", "CreateAccessKey", "Write", "2015-05-01"),
    (
        "Ecs",
        "ecs-openapi-share",
        "AuthorizeSecurityGroup",
        "Write",
        "2014-05-26",
    ),
    ("Oss", "oss", "DeleteBucket", "Write", "2019-05-17"),
    ("Ram", "ram", "AttachPolicyToUser", "Write", "2015-05-01"),
    (
        "Actiontrail",
        "actiontrail-openapi-share",
        "StopLogging",
        "Write",
        "2020-07-06",
    ),
];

/// The mean of the eleven real events.
const MEAN_SIZE: f64 = 1_043.0;

/// The share of events for which `test` holds of `eventRW`.
pub(crate) fn share(g: &Generator, test: impl Fn(&str) -> bool) -> f64 {
    OPERATIONS
        .iter()
        .enumerate()
        .filter(|(_, op)| test(op.3))
        .map(|(i, _)| g.operations.share(i))
        .sum()
}

/// Appends the event.
pub(crate) fn render(g: &Generator, f: &mut Facts<'_>, out: &mut Vec<u8>) {
    let number = g.operations.at(f.prng.unit());
    let (service, endpoint, name, rw, version) = OPERATIONS[number];
    let region = f.region_name();
    let from = out.len();
    put!(
        out,
        r#"{"acsRegion":""#,
        region,
        r#"","additionalEventData""#
    );
    put!(out, r#":{"CallerBid":"26842"},"apiVersion":""#, version);
    put!(out, r#"","eventCategory":"Management","eventId":""#);
    put_upper_uuid(out, f.event_id);
    put!(out, r#"","eventName":""#, name, r#"","eventRW":""#, rw);
    put!(out, r#"","eventSource":""#, endpoint, ".", region);
    put!(out, r#".aliyuncs.com","eventTime":""#);
    put_time(out, f.event_time);
    put!(out, r#"","eventType":"ApiCall","eventVersion":"1""#);
    put!(out, r#","recipientAccountId":""#, f.account.id);
    put!(out, r#"","requestId":""#);
    put_upper_uuid(out, f.event_id);
    put!(out, r#"","serviceName":""#, service);
    put!(out, r#"","sourceIpAddress":""#);
    write_address(g, f, out);
    let agent = g.mix.text(f.slot.agent).unwrap_or("-");
    put!(out, r#"","userAgent":""#, agent, "\"");
    if f.event_id[1].is_multiple_of(20) {
        put!(out, r#","errorCode":"NoPermission","errorMessage""#);
        put!(out, r#":"You are not authorized to do this action.""#);
    }
    write_identity(g, f, out);
    write_parameters(g, f, number, from, out);
    put!(out, "}");
}

/// Appends the parameters, so long that the event, which begins at `from`,
/// comes to its size.
fn write_parameters(
    g: &Generator,
    f: &mut Facts<'_>,
    number: usize,
    from: usize,
    out: &mut Vec<u8>,
) {
    put!(out, r#","requestParameters":{"AcsProduct":""#);
    put!(
        out,
        OPERATIONS[number].0,
        r#"","Region":""#,
        f.region_name()
    );
    put!(out, r#"","AcceptLanguage":"en-US","bucketName":""#);
    f.account.bucket(out, f.bucket);
    put!(out, "\"");
    let kind = &g.mix.kinds[usize::from(f.slot.kind)];
    let wanted = f.size as f64 / kind.mean_size * MEAN_SIZE;
    let left = wanted as i64 - (out.len() - from) as i64 - 2;
    let (account, prng) = (f.account, &mut f.prng);
    g.padding
        .fill(out, left, "parameters", number, account, prng, true);
    put!(out, "}");
}

fn put_upper_uuid(out: &mut Vec<u8>, bits: [u64; 2]) {
    let from = out.len();
    put_uuid(out, bits);
    out[from..].make_ascii_uppercase();
}

fn write_identity(g: &Generator, f: &Facts<'_>, out: &mut Vec<u8>) {
    let account = f.actor_account.id.as_str();
    let user = f.user;
    let session = is_session(g, f);
    put!(
        out,
        r#","userIdentity":{"accessKeyId":""#,
        if session { "STS." } else { "LTAI" }
    );
    put!(
        out,
        user.keys[f.access_key],
        r#"","accountId":""#,
        account,
        r#"","principalId":""#
    );
    put!(
        out,
        user.principal,
        r#"","type":""#,
        if session { "assumed-role" } else { "ram-user" }
    );
    put!(out, r#"","userName":""#, user.name, "\"");
    if session {
        put!(out, r#","sessionContext":{"attributes":{"creationDate":""#);
        put_time(out, f.event_time - f.event_time.rem_euclid(3_600));
        let mfa = if user.mfa { "true" } else { "false" };
        put!(out, r#"","mfaAuthenticated":""#, mfa, r#""}}"#);
    }
    put!(out, "}");
}

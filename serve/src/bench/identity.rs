//! Who acted, as a CloudTrail record says it.

use super::cloudtrail::put;
use super::generate::{Facts, Generator};
use super::mix::{Kind, is_service};
use super::population::put_time;

/// Appends the members of `userIdentity`.
pub(super) fn write_identity(g: &Generator, f: &Facts<'_>, kind: &Kind, out: &mut Vec<u8>) {
    let address = g.mix.text(f.slot.address).unwrap_or_default();
    let account = f.actor_account.id.as_str();
    match g.mix.text(f.slot.user_type) {
        None => {
            put!(out, r#""accountId":""#, account);
            put!(out, r#"","invokedBy":""#, address, "\"");
            return;
        }
        Some("AWSService") => {
            put!(out, r#""type":"AWSService","invokedBy":""#, address, "\"");
            return;
        }
        Some("Root") => {
            put!(out, r#""type":"Root","principalId":""#, account);
            put!(out, r#"","arn":"arn:aws:iam::"#, account);
            put!(out, r#":root","accountId":""#, account, "\"");
            write_key(f, kind, out, "AKIA");
        }
        Some("IAMUser") => write_user(g, f, kind, out),
        Some(other) => write_role(f, kind, other, out),
    }
    if is_service(address) {
        put!(out, r#","invokedBy":""#, address, "\"");
    }
}

fn write_user(g: &Generator, f: &Facts<'_>, kind: &Kind, out: &mut Vec<u8>) {
    let (account, user) = (f.actor_account.id.as_str(), f.user);
    let session = is_session(g, f);
    put!(
        out,
        r#""type":"IAMUser","principalId":"AIDA"#,
        user.principal
    );
    put!(
        out,
        r#"","arn":"arn:aws:iam::"#,
        account,
        ":user/",
        user.name
    );
    put!(out, r#"","accountId":""#, account, "\"");
    write_key(f, kind, out, if session { "ASIA" } else { "AKIA" });
    put!(out, r#","userName":""#, user.name, "\"");
    if session {
        put!(out, r#","sessionContext":{"sessionIssuer":{}"#);
        put!(out, r#","webIdFederationData":{}"#);
        write_session(f, out);
    }
}

fn write_role(f: &Facts<'_>, kind: &Kind, user_type: &str, out: &mut Vec<u8>) {
    let (account, user) = (f.actor_account.id.as_str(), f.user);
    put!(out, r#""type":""#, user_type, r#"","principalId":"AROA"#);
    put!(out, user.principal, ":", user.name);
    put!(out, r#"","arn":"arn:aws:sts::"#, account, ":assumed-role/");
    put!(out, user.role, "/", user.name);
    put!(out, r#"","accountId":""#, account, "\"");
    write_key(f, kind, out, "ASIA");
    put!(out, r#","sessionContext":{"sessionIssuer":{"type":"Role""#);
    put!(out, r#","principalId":"AROA"#, user.principal);
    put!(
        out,
        r#"","arn":"arn:aws:iam::"#,
        account,
        ":role/",
        user.role
    );
    put!(out, r#"","accountId":""#, account, r#"","userName":""#);
    put!(out, user.role, r#""},"webIdFederationData":{}"#);
    write_session(f, out);
}

/// Whether a user acts with a session's temporary key: consoles and services
/// that act for the user do.
pub(crate) fn is_session(g: &Generator, f: &Facts<'_>) -> bool {
    let agent = g.mix.text(f.slot.agent).unwrap_or_default();
    ["onsole", "Mozilla", "AWS Internal", ".amazonaws.com"]
        .iter()
        .any(|mark| agent.contains(mark))
}

fn write_key(f: &Facts<'_>, kind: &Kind, out: &mut Vec<u8>, prefix: &str) {
    if kind.name != "ConsoleLogin" {
        put!(
            out,
            r#","accessKeyId":""#,
            prefix,
            f.user.keys[f.access_key],
            "\""
        );
    }
}

fn write_session(f: &Facts<'_>, out: &mut Vec<u8>) {
    put!(out, r#","attributes":{"creationDate":""#);
    // Sessions begin on the hour, so that the calls of one share its start.
    put_time(out, f.event_time - f.event_time.rem_euclid(3_600));
    let mfa = if f.user.mfa { "true" } else { "false" };
    put!(out, r#"","mfaAuthenticated":""#, mfa, r#""}}"#);
}

//! The columns' values, one after the other. Nothing here fails.

use std::borrow::Cow;

use cairn_schemas::Micros;
use cairn_schemas::columns::LATE_AFTER;
use cairn_schemas::selector::ReadWrite;
use cairn_schemas::time::SECOND;

use super::event::{Dialect, Event, Text};
use super::fields::Top;
use super::flags::Flags;
use super::json::{At, Kind, Tape};
use super::value::Values;
use super::{Context, resources, verbs};

/// How far ahead of the ingest time an event's time may be without a note:
/// clocks differ by seconds, not by more.
const AHEAD: i64 = 10 * 60 * SECOND;

/// The longest event id that is kept as it is. Real ones have 36 characters.
const MAX_EVENT_ID: usize = 512;

/// The event whose dialect and account are settled.
pub(crate) fn event<'a>(
    mut v: Values<'a, '_>,
    raw: &'a str,
    dialect: Dialect,
    account_id: Text<'a>,
    identity: Option<At>,
    context: &Context<'_>,
) -> Event<'a> {
    let cloudtrail = dialect == Dialect::CloudTrail;
    let who = who(&mut v, identity);
    let (event_time, late) = when(&mut v, context);
    let event_id = event_id(&mut v, cloudtrail, context);
    let event_name = v.top(Top::EventName);
    let event_rw = read_or_write(&mut v, event_name.as_deref().unwrap_or_default());
    let event_source = v.top(Top::EventSource);
    let resources = resources::collect(&mut v);
    let resource_type = resources.first().and_then(|r| r.kind.clone());
    let resource_name = resources
        .iter()
        .filter(|r| r.kind == resource_type)
        .find_map(|r| r.name.clone());
    let data = v.fields().at(Top::AdditionalEventData);
    let mfa_used = v.member(data, "MFAUsed");
    let is_global = v.fields().at(Top::IsGlobal);
    let attributes = v.fields().at(Top::EventAttributes);
    let sensitive = v.member(attributes, "SensitiveAction");
    Event {
        event_id,
        event_time,
        service_name: service(&mut v, event_source.as_ref()),
        event_name,
        event_source,
        event_type: v.top(Top::EventType),
        event_category: category(&mut v),
        event_version: v.top(Top::EventVersion),
        event_rw,
        region: spelt(&mut v, cloudtrail, Top::AcsRegion, Top::AwsRegion).filter(says),
        account_id,
        dialect,
        identity_type: who.kind,
        principal_id: who.principal_id,
        principal_arn: who.arn,
        user_name: who.user_name,
        access_key_id: who.access_key_id,
        identity_account_id: who.account_id,
        invoked_by: who.invoked_by,
        session_created: who.session_created,
        mfa: match who.mfa {
            Some(mfa) => Some(mfa),
            None => v.boolean(mfa_used),
        },
        source_ip: spelt(&mut v, cloudtrail, Top::SourceIpAt, Top::SourceIpCt),
        user_agent: v.top(Top::UserAgent),
        request_id: spelt(&mut v, cloudtrail, Top::RequestIdAt, Top::RequestIdCt),
        api_version: v.top(Top::ApiVersion),
        error_code: v.top(Top::ErrorCode).filter(says),
        error_message: v.top(Top::ErrorMessage).filter(says),
        resource_type,
        resource_name,
        resources,
        vpc_id: spelt(&mut v, cloudtrail, Top::VpcId, Top::VpcEndpointId).filter(says),
        shared_event_id: spelt(
            &mut v,
            cloudtrail,
            Top::SharedEventIdAt,
            Top::SharedEventIdCt,
        ),
        is_global: v.boolean(is_global),
        sensitive_action: v.boolean(sensitive),
        tls_version: tls(&mut v),
        request_parameters: parameters(&v, context),
        response_elements: v.json(Top::ResponseElements),
        additional_event_data: v.json(Top::AdditionalEventData),
        user_identity: v.json(Top::UserIdentity),
        late,
        flags: v.flags,
        raw,
    }
}

#[derive(Default)]
struct Who<'a> {
    kind: Option<Text<'a>>,
    principal_id: Option<Text<'a>>,
    arn: Option<Text<'a>>,
    user_name: Option<Text<'a>>,
    access_key_id: Option<Text<'a>>,
    account_id: Option<Text<'a>>,
    invoked_by: Option<Text<'a>>,
    session_created: Option<Micros>,
    mfa: Option<bool>,
}

fn who<'a>(v: &mut Values<'a, '_>, identity: Option<At>) -> Who<'a> {
    let mut who = Who::default();
    let Some(identity) = identity else { return who };
    let tape: &Tape<'a> = v.tape();
    let mut session = None;
    for (key, value) in tape.members(identity) {
        let value = Some(value);
        match tape.key(key).as_bytes() {
            b"type" => who.kind = v.text(value),
            b"principalId" => who.principal_id = v.text(value),
            b"arn" => who.arn = v.text(value),
            b"userName" => who.user_name = v.text(value),
            b"accessKeyId" => who.access_key_id = v.text(value).filter(says),
            b"accountId" => who.account_id = v.text(value),
            b"invokedBy" => who.invoked_by = v.text(value),
            b"sessionContext" => session = value,
            _ => {}
        }
    }
    let attributes = v.member(session, "attributes");
    let mfa = v.member(attributes, "mfaAuthenticated");
    who.mfa = v.boolean(mfa);
    match v.moment(v.member(attributes, "creationDate")) {
        Ok(moment) => who.session_created = moment,
        Err(()) => v.out_of_range(),
    }
    if !who.user_name.as_ref().is_some_and(says) {
        let issuer = v.member(session, "sessionIssuer");
        let name = v.member(issuer, "userName");
        who.user_name = v.text(name).or(who.user_name);
    }
    who
}

/// The event's time and whether it came late.
fn when(v: &mut Values<'_, '_>, context: &Context<'_>) -> (Micros, bool) {
    match v.moment(v.fields().at(Top::EventTime)) {
        Ok(Some(time)) => {
            let behind = context.received.0.saturating_sub(time.0);
            if behind < -AHEAD {
                v.flags.insert(Flags::EVENT_TIME_FUTURE);
            }
            (time, behind > LATE_AFTER)
        }
        Ok(None) => {
            v.flags.insert(Flags::EVENT_TIME_MISSING);
            (context.received, false)
        }
        Err(()) => {
            v.flags.insert(Flags::EVENT_TIME_INVALID);
            (context.received, false)
        }
    }
}

/// The id that duplicates are known by.
///
/// Where there is none, the place in the log is one: a replay makes it again.
/// One that is too long to be carried in every index is replaced by its hash,
/// and not by the place in the log, so that the same event sent again is still
/// known as the same.
fn event_id<'a>(v: &mut Values<'a, '_>, cloudtrail: bool, context: &Context<'_>) -> Text<'a> {
    match spelt(v, cloudtrail, Top::EventIdAt, Top::EventIdCt).filter(says) {
        Some(id) if id.len() <= MAX_EVENT_ID => id,
        Some(id) => {
            v.out_of_range();
            v.flags.insert(Flags::EVENT_ID_GENERATED);
            let hash = cairn_digest::event_hash(id.as_bytes());
            Cow::Owned(format!("sha256-{}", hex::encode(hash)))
        }
        None => {
            v.flags.insert(Flags::EVENT_ID_GENERATED);
            let (partition, offset) = (context.partition, context.offset);
            let place = format!("gen-{}-{}-{offset}", partition.source, partition.number);
            Cow::Owned(match context.item {
                0 => place,
                item => format!("{place}-{item}"),
            })
        }
    }
}

fn read_or_write(v: &mut Values<'_, '_>, event_name: &str) -> ReadWrite {
    let said = v.top(Top::EventRw);
    match said.as_deref() {
        Some(rw) if rw.eq_ignore_ascii_case("read") => return ReadWrite::Read,
        Some(rw) if rw.eq_ignore_ascii_case("write") => return ReadWrite::Write,
        _ => {}
    }
    match v.boolean(v.fields().at(Top::ReadOnly)) {
        Some(true) => ReadWrite::Read,
        Some(false) => ReadWrite::Write,
        None => {
            v.flags.insert(Flags::RW_DERIVED);
            verbs::read_or_write(event_name)
        }
    }
}

fn service<'a>(v: &mut Values<'a, '_>, event_source: Option<&Text<'a>>) -> Option<Text<'a>> {
    v.top(Top::ServiceName).filter(says).or_else(|| {
        let first = match event_source? {
            Cow::Borrowed(source) => Cow::Borrowed(source.split('.').next()?),
            Cow::Owned(source) => Cow::Owned(source.split('.').next()?.to_owned()),
        };
        Some(first).filter(says)
    })
}

fn category<'a>(v: &mut Values<'a, '_>) -> Option<Text<'a>> {
    v.top(Top::EventCategory).filter(says).or_else(|| {
        let management = v.boolean(v.fields().at(Top::ManagementEvent))?;
        Some(Cow::Borrowed(if management {
            "Management"
        } else {
            "Data"
        }))
    })
}

fn tls<'a>(v: &mut Values<'a, '_>) -> Option<Text<'a>> {
    let details = v.member(v.fields().at(Top::TlsDetails), "tlsVersion");
    let header = v.member(
        v.fields().at(Top::RequestParameters),
        "X-Acs-Client-Tls-Version",
    );
    v.text(details).or_else(|| v.text(header))
}

/// The parameters as received; their copy in a string only where they are
/// missing, and only as what it is: JSON where it is JSON, a string where not.
fn parameters<'a>(v: &Values<'a, '_>, context: &Context<'_>) -> Option<Text<'a>> {
    if let Some(parameters) = v.json(Top::RequestParameters) {
        return Some(Cow::Borrowed(parameters));
    }
    let at = v.fields().at(Top::RequestParameterJson)?;
    let copy = v.json(Top::RequestParameterJson)?;
    if !matches!(v.tape().kind(at), Kind::Plain | Kind::Escaped) {
        return Some(Cow::Borrowed(copy));
    }
    let (inner, lossy) = v.tape().string(at);
    if inner.is_empty() {
        return None;
    }
    let json = !lossy && Tape::read(&inner, context.limits.max_depth).is_ok();
    Some(if json { inner } else { Cow::Borrowed(copy) })
}

/// A field that the dialects spell differently: the event's own dialect first,
/// the other's where that says nothing.
fn spelt<'a>(v: &mut Values<'a, '_>, cloudtrail: bool, at: Top, ct: Top) -> Option<Text<'a>> {
    if cloudtrail {
        v.either(ct, at)
    } else {
        v.either(at, ct)
    }
}

fn says(text: &Text<'_>) -> bool {
    !text.is_empty()
}

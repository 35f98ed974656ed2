//! From one Kafka record to events, or to the reason why there is none. Pure.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use cairn_schemas::selector::Among;
use cairn_schemas::time::SECOND;
use cairn_schemas::{Micros, Partition};
use cairn_store::log::Envelope;

use super::raw::Message;
use super::topics::{OnBadRecord, TopicRule};
use crate::decode::{self, Context, DecodeLimits, Reason, Refusal};
use crate::judge::OWN_SENDER;
use crate::receive::{self, BodyError, Piece, ReceiveLimits};
use crate::source::{Origin, Record};

/// The header that carries the envelope of a record of the intake topic.
pub const ENVELOPE_HEADER: &str = "cairn-envelope";

/// The most events of one record.
pub const MAX_ITEMS: usize = 60_000;

/// What records may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) decode: DecodeLimits,
    pub(super) receive: ReceiveLimits,
}

impl Limits {
    pub(super) fn new(decode: DecodeLimits, receive: ReceiveLimits) -> Self {
        let receive = ReceiveLimits {
            max_event: decode.max_event,
            max_events: receive.max_events.min(MAX_ITEMS),
            ..receive
        };
        Self { decode, receive }
    }
}

/// A record of an ordinary topic, as events.
pub(super) fn read(message: &Message<'_>, limits: &Limits) -> Vec<Record> {
    let origin = origin(message, false).map(Arc::new);
    let record = |item: usize, bytes: Bytes, refusal: Option<Refusal>| Record {
        offset: message.offset,
        item: u16::try_from(item).unwrap_or(u16::MAX),
        bytes,
        refusal: refusal.map(Box::new),
        origin: origin.clone(),
    };
    let Some(value) = message.value else {
        return vec![record(0, Bytes::new(), Some(tombstone()))];
    };
    match events(value, limits) {
        Ok(events) => events
            .into_iter()
            .enumerate()
            .map(|(item, (bytes, refusal))| record(item, bytes, refusal))
            .collect(),
        Err(refusal) => vec![record(0, head(value, limits), Some(refusal))],
    }
}

/// A record of the intake topic: one event as a door received it, and the
/// envelope; no envelope where the record has none that can be believed.
pub(super) fn read_intake(message: &Message<'_>, limits: &Limits) -> (Option<Envelope>, Record) {
    let value = message.value.unwrap_or_default();
    let mut record = Record {
        offset: message.offset,
        item: 0,
        bytes: Bytes::copy_from_slice(value),
        refusal: None,
        origin: origin(message, true).map(Arc::new),
    };
    let envelope = match envelope(message) {
        Ok(envelope) => Some(envelope),
        Err(reason) => {
            record.refusal = Some(Box::new(Refusal::new(
                Reason::NoEnvelope,
                format!(
                    "{reason}; only Cairn's own doors write to this topic, keep others from it"
                ),
            )));
            record.bytes = head(value, limits);
            None
        }
    };
    if message.value.is_none() && record.refusal.is_none() {
        record.refusal = Some(Box::new(tombstone()));
    }
    if value.len() > limits.decode.max_event && record.refusal.is_none() {
        record.refusal = Some(Box::new(too_large(value.len(), limits)));
        record.bytes = head(value, limits);
    }
    (envelope, record)
}

fn envelope(message: &Message<'_>) -> Result<Envelope, String> {
    let mut found = message
        .headers
        .iter()
        .filter(|(name, _)| name == ENVELOPE_HEADER);
    let Some((_, Some(bytes))) = found.next() else {
        return Err(format!("the record has no header {ENVELOPE_HEADER}"));
    };
    if found.next().is_some() {
        return Err(format!("the record has several headers {ENVELOPE_HEADER}"));
    }
    let envelope: Envelope = serde_json::from_slice(bytes)
        .map_err(|error| format!("the header {ENVELOPE_HEADER} cannot be read: {error}"))?;
    if envelope.sender == OWN_SENDER {
        return Err(format!(
            "the header {ENVELOPE_HEADER} names {OWN_SENDER} as sender, whose events do not come by Kafka"
        ));
    }
    Ok(envelope)
}

/// The envelope of records of an ordinary topic.
pub(super) fn topic_envelope(topic: &str, rule: Option<&TopicRule>, received: Micros) -> Envelope {
    let account = rule.and_then(|rule| rule.account.clone());
    Envelope {
        received,
        sender: format!("kafka:{topic}"),
        accounts: match &account {
            Some(account) => Among::Only([account.clone()].into()),
            None => Among::All,
        },
        account,
    }
}

/// The row of quarantine that stands for offsets that were gone.
pub(super) fn gap(from: i64, to: i64) -> Record {
    Record {
        offset: from,
        item: 0,
        bytes: Bytes::new(),
        refusal: Some(Box::new(Refusal::new(
            Reason::SourceGap,
            format!(
                "offsets {from} to {} were gone from the topic before they were read; an administrator accepted that",
                to - 1
            ),
        ))),
        origin: None,
    }
}

/// Applies what a rule says beyond the account. Decodes each event once more
/// than the judge does, so only rules that need it pay for it. The first
/// record that would be refused is told where the rule suspends, unless
/// somebody accepted it.
///
/// # Errors
///
/// The refusal at which the partition has to stop.
pub(super) fn apply_rule(
    rule: &TopicRule,
    accepted: impl Fn() -> bool,
    records: &mut [Record],
    envelope: &Envelope,
    partition: &Partition,
    limits: &Limits,
) -> Result<(), Refusal> {
    let suspend = rule.on_bad_record == OnBadRecord::Suspend;
    if !suspend && rule.dialect == super::topics::DialectHint::Auto {
        return Ok(());
    }
    for record in records {
        if record.refusal.is_none() {
            let context = Context {
                limits: limits.decode,
                item: record.item,
                ..Context::new(envelope, partition, record.offset)
            };
            let refusal = match decode::decode(&record.bytes, &context) {
                Ok(event) if crate::judge::claims_to_be_cairn(&event) => {
                    Some(crate::judge::reserved())
                }
                Ok(event) => (!rule.dialect.takes(event.dialect)).then(|| {
                    let (is, takes) = (event.dialect.as_str(), rule.dialect.as_str());
                    Refusal::new(
                        Reason::UnknownDialect,
                        format!("the event is of dialect {is}; this topic takes {takes} alone"),
                    )
                }),
                Err(refusal) => Some(refusal),
            };
            record.refusal = refusal.map(Box::new);
        }
        if suspend
            && let Some(refusal) = &record.refusal
            && !accepted()
        {
            return Err(Refusal::clone(refusal));
        }
    }
    Ok(())
}

fn tombstone() -> Refusal {
    Refusal::new(
        Reason::Empty,
        "the record has no value (a tombstone), so it says nothing",
    )
}

/// The first bytes of a record that is refused: as many as an event may have.
fn head(value: &[u8], limits: &Limits) -> Bytes {
    Bytes::copy_from_slice(&value[..value.len().min(limits.decode.max_event)])
}

fn too_large(size: usize, limits: &Limits) -> Refusal {
    let limit = limits.decode.max_event;
    Refusal::new(
        Reason::TooLarge,
        format!("the event has {size} bytes; the limit is {limit}, and so many of them are kept"),
    )
}

type Item = (Bytes, Option<Refusal>);

fn events(value: &[u8], limits: &Limits) -> Result<Vec<Item>, Refusal> {
    let body = Bytes::copy_from_slice(value);
    let whole = receive::decompress(body, None, &limits.receive).map_err(refuse)?;
    let pieces = match receive::split(&whole, &limits.receive) {
        Ok(pieces) => pieces,
        // Not JSON, or nothing: the judge says in what way.
        Err(BodyError::NotJson | BodyError::Empty) => {
            let refusal =
                (whole.len() > limits.decode.max_event).then(|| too_large(whole.len(), limits));
            let kept = whole.slice(..whole.len().min(limits.decode.max_event));
            return Ok(vec![(kept, refusal)]);
        }
        Err(error) => return Err(refuse(error)),
    };
    if !pieces
        .iter()
        .any(|piece| matches!(piece, Piece::TooLarge { .. }))
    {
        return Ok(pieces.into_iter().filter_map(plain).collect());
    }
    // Once more without the limit, to have the bytes of what is too large.
    let unlimited = ReceiveLimits {
        max_event: usize::MAX,
        ..limits.receive
    };
    let pieces = receive::split(&whole, &unlimited).map_err(refuse)?;
    let cut = |(bytes, _): Item| match bytes.len() {
        size if size > limits.decode.max_event => (
            bytes.slice(..limits.decode.max_event),
            Some(too_large(size, limits)),
        ),
        _ => (bytes, None),
    };
    Ok(pieces.into_iter().filter_map(plain).map(cut).collect())
}

fn plain(piece: Piece) -> Option<Item> {
    match piece {
        Piece::Event(bytes) => Some((bytes, None)),
        Piece::TooLarge { .. } => None,
    }
}

fn refuse(error: BodyError) -> Refusal {
    let reason = match error {
        BodyError::TooManyEvents { .. } => Reason::TooManyEvents,
        BodyError::TooLarge { .. } | BodyError::Ratio { .. } => Reason::TooLarge,
        BodyError::Empty => Reason::Empty,
        _ => Reason::InvalidBody,
    };
    Refusal::new(reason, format!("the record cannot be read: {error}"))
}

/// What the log says beside the bytes. The envelope's header is not told: it
/// is Cairn's own, and in other columns.
fn origin(message: &Message<'_>, intake: bool) -> Option<Origin> {
    let headers: Vec<_> = message
        .headers
        .iter()
        .filter(|(name, _)| !(intake && name == ENVELOPE_HEADER))
        .map(|(name, value)| serde_json::json!([name, header_value(*value)]))
        .collect();
    let origin = Origin {
        time: message
            .timestamp
            .map(|millis| Micros(millis.saturating_mul(SECOND / 1000))),
        key: message.key.map(key_text),
        headers: (!headers.is_empty()).then(|| serde_json::Value::Array(headers).to_string()),
    };
    (!origin.is_empty()).then_some(origin)
}

fn header_value(value: Option<&[u8]>) -> serde_json::Value {
    match value {
        None => serde_json::Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => serde_json::json!({ "base64": BASE64.encode(bytes) }),
        },
    }
}

/// Text as it is; else, and where text could be mistaken for it, `base64:` and
/// the base64.
fn key_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.starts_with("base64:") => text.to_owned(),
        _ => format!("base64:{}", BASE64.encode(key)),
    }
}

#[cfg(test)]
mod tests;

//! Decode: from the bytes of one record to the columns' values, or to the
//! reason why it is no event.
//!
//! One reading of the text ([`json`]) decides everything: what counts as the
//! account is what is stored as the account. Order matters, cheapest and
//! safest first: size, UTF-8, syntax with depth and repeated keys, dialect,
//! account, and then the columns, which never fail. Decoding is a pure
//! function of the bytes and of the [`Context`], which comes from the log
//! alone: a replay makes the same rows.

mod account;
mod assemble;
mod dialect;
mod event;
mod fields;
mod flags;
mod json;
mod refusal;
mod resources;
mod time;
mod unescape;
mod value;
mod verbs;

use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Micros, Partition};
use cairn_store::log::Envelope;

pub use event::{Dialect, Event, Resource, Text};
pub use flags::Flags;
pub use refusal::{Reason, Refusal};

pub(crate) use json::{Room, plain_end};

use fields::{Fields, Top};
use json::{Fault, Kind, Tape};
use value::Values;

/// What one record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The most bytes of one event.
    pub max_event: usize,
    /// How deep objects and arrays may stand in each other. Below the 128 at
    /// which `serde_json`, and what reads our JSON columns with it, gives up.
    pub max_depth: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_event: 1 << 20,
            max_depth: 64,
        }
    }
}

/// What lies in the log beside a record, and where the record lies.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// When it was received.
    pub received: Micros,
    /// The accounts that the sender may write for.
    pub accounts: &'c Among<AccountId>,
    /// The account that the sender named beside the events.
    pub account: Option<&'c AccountId>,
    /// The log's partition.
    pub partition: &'c Partition,
    /// The record's offset there.
    pub offset: i64,
    /// The event's place among those of the record, from 0.
    pub item: u16,
    /// What the record may be.
    pub limits: DecodeLimits,
}

impl<'c> Context<'c> {
    /// The context of the record at `offset`, under the default limits.
    pub fn new(envelope: &'c Envelope, partition: &'c Partition, offset: i64) -> Self {
        Self {
            received: envelope.received,
            accounts: &envelope.accounts,
            account: envelope.account.as_ref(),
            partition,
            offset,
            item: 0,
            limits: DecodeLimits::default(),
        }
    }

    /// The account of events that name none: the one that the sender named,
    /// else the only one that it may write for.
    pub fn default_account(&self) -> Option<&'c AccountId> {
        match (self.account, self.accounts) {
            (Some(named), accounts) => accounts.contains(named.as_str()).then_some(named),
            (None, Among::Only(accounts)) if accounts.len() == 1 => accounts.first(),
            _ => None,
        }
    }
}

/// Decodes one record.
///
/// # Errors
///
/// A [`Refusal`] for what goes to quarantine. Everything else is an event:
/// odd values are null in their columns and flagged, and `raw` has them.
pub fn decode<'a>(raw: &'a [u8], context: &Context<'_>) -> Result<Event<'a>, Refusal> {
    decode_in(raw, context, &mut Room::default())
}

/// [`decode`], in memory that one event leaves to the next.
pub(crate) fn decode_in<'a>(
    raw: &'a [u8],
    context: &Context<'_>,
    room: &mut Room,
) -> Result<Event<'a>, Refusal> {
    let limit = context.limits.max_event.min(u32::MAX as usize);
    if raw.len() > limit {
        return Err(Refusal::too_large(raw.len(), limit));
    }
    let text = std::str::from_utf8(raw).map_err(|error| {
        Refusal::new(
            Reason::InvalidUtf8,
            format!(
                "byte {} is not UTF-8; JSON is UTF-8 and nothing else",
                error.valid_up_to()
            ),
        )
    })?;
    if text.bytes().all(|b| b.is_ascii_whitespace()) {
        return Err(Refusal::new(Reason::Empty, "the record is empty"));
    }
    let tape = Tape::read_in(text, context.limits.max_depth, room)
        .map_err(|fault| refuse(fault, context.limits.max_depth))?;
    if tape.kind(0) != Kind::Object {
        return Err(Refusal::new(
            Reason::NotAnObject,
            "the record is JSON but no object; an event is an object",
        ));
    }
    let fields = Fields::of(&tape);
    let mut values = Values::new(&tape, &fields);
    let Some(dialect) = dialect::recognise(&values) else {
        return Err(Refusal::new(
            Reason::UnknownDialect,
            "the object has no eventName and no field of ActionTrail's (eventId, acsRegion, …) \
             or CloudTrail's (eventID, awsRegion, …)",
        ));
    };
    let identity = fields.at(Top::UserIdentity);
    let account_id = account::decide(&mut values, identity, context)?;
    let event = assemble::event(values, text, dialect, account_id, identity, context);
    tape.leave(room);
    Ok(event)
}

fn refuse(fault: Fault, max_depth: usize) -> Refusal {
    match fault {
        Fault::Syntax { at, expected } => Refusal::new(
            Reason::InvalidJson,
            format!("not JSON: expected {expected} at byte {at}"),
        ),
        Fault::Depth { at } => Refusal::new(
            Reason::TooDeep,
            format!("objects and arrays stand more than {max_depth} deep at byte {at}"),
        ),
        Fault::DuplicateKey { at, key } => Refusal::new(
            Reason::DuplicateKey,
            format!("the key {key:?} stands twice in one object, again at byte {at}"),
        ),
    }
}

/// The value of a JSON string, quotes and all; `None` where it is not one, or
/// where a lone surrogate keeps it from being text.
pub(crate) fn json_string(literal: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(literal).ok()?;
    let tape = Tape::read(text, 0).ok()?;
    match tape.kind(0) {
        Kind::Plain | Kind::Escaped => {
            let (value, lossy) = tape.string(0);
            (!lossy).then(|| value.into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;

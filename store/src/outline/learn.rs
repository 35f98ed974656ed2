//! An outline is found: once for each kind of event.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::sources::{MAX_TIME, Sources, TEXTS};
use super::{MARK, Piece, Reference};

/// Which columns may hold the value of a member of the event, by its name in
/// either dialect; the first that does is referred to.
const MEMBERS: &[(&str, &str)] = &[
    ("eventID", "event_id"),
    ("eventId", "event_id"),
    ("eventName", "event_name"),
    ("eventSource", "event_source"),
    ("serviceName", "service_name"),
    ("awsRegion", "region"),
    ("acsRegion", "region"),
    ("recipientAccountId", "account_id"),
    ("accountId", "account_id"),
    ("sourceIPAddress", "source_ip"),
    ("sourceIpAddress", "source_ip"),
    ("userAgent", "user_agent"),
    ("requestID", "request_id"),
    ("requestId", "request_id"),
    ("errorCode", "error_code"),
    ("errorMessage", "error_message"),
    ("resourceType", "resource_type"),
    ("resourceName", "resource_name"),
    ("vpcId", "vpc_id"),
    ("vpcEndpointId", "vpc_id"),
    ("sharedEventID", "shared_event_id"),
    ("sharedEventId", "shared_event_id"),
    ("requestParameters", "request_parameters"),
    ("requestParameterJson", "request_parameters"),
    ("responseElements", "response_elements"),
    ("additionalEventData", "additional_event_data"),
    ("userIdentity", "user_identity"),
];

/// More resources than these are left in the outline.
const MOST_RESOURCES: usize = 8;

/// Longer outlines are not used. What is referred to may be shorter than the
/// reference, thousands of times in one event: of outlines that are longer than
/// their events, a file would hold more than a reader has memory for.
pub(super) const MOST_BYTES: usize = 16 << 10;

/// Up to here an outline may be longer than its event: it is shared with others.
const SHORT: usize = 1024;

/// The members of an object, in their order, each value as it stands.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(32);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

/// What was received, on its way to an outline.
struct Learner<'a, 's> {
    raw: &'a str,
    sources: &'s Sources<'a>,
    row: usize,
    /// Up to here `raw` is in `text`.
    done: usize,
    text: String,
}

/// The outline of `raw`, whose columns stand in `row`; nothing where they hold
/// nothing of it, or where it would be too long. It may be wrong: who uses it has to try it.
pub(super) fn learn(raw: &str, sources: &Sources<'_>, row: usize) -> Option<String> {
    if raw.contains(MARK) {
        return None;
    }
    let members: Members<'_> = serde_json::from_str(raw).ok()?;
    let mut learner = Learner {
        raw,
        sources,
        row,
        done: 0,
        text: String::with_capacity(raw.len().min(1024)),
    };
    for (name, value) in &members.0 {
        learner.member(name, value.get());
    }
    let mut text = learner.text;
    text.push_str(&raw[learner.done..]);
    (learner.done > 0 && is_short(&text, raw)).then_some(text)
}

/// Whether `text` may be the outline of `raw`, as far as its length goes.
fn is_short(text: &str, raw: &str) -> bool {
    text.len() <= raw.len().clamp(SHORT, MOST_BYTES)
}

/// The outline of `raw`, if it is that of another event but for one stretch between two
/// references: less work than [`learn`] has, which reads the event. It may be worse
/// than what that finds, where the stretch holds what stands in a column.
pub(super) fn vary(
    text: &str,
    pieces: &[Piece],
    raw: &str,
    sources: &Sources<'_>,
    row: usize,
) -> Option<String> {
    let mut room = [0; MAX_TIME];
    let mut rest = raw;
    let mut ahead = pieces.iter();
    let range = loop {
        match ahead.next()? {
            Piece::Literal(range) => match rest.strip_prefix(&text[range.clone()]) {
                Some(after) => rest = after,
                None => break range,
            },
            Piece::Of(r) => rest = rest.strip_prefix(sources.get(*r, row, &mut room)?)?,
        }
    };
    for piece in ahead.rev() {
        let part = match piece {
            Piece::Literal(range) => &text[range.clone()],
            Piece::Of(r) => sources.get(*r, row, &mut room)?,
        };
        rest = rest.strip_suffix(part)?;
    }
    let mut other = String::with_capacity(text.len() + rest.len());
    other.push_str(&text[..range.start]);
    other.push_str(rest);
    other.push_str(&text[range.end..]);
    (!rest.contains(MARK) && is_short(&other, raw)).then_some(other)
}

/// The text between the quotes, as it stands.
fn inner(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

impl Learner<'_, '_> {
    fn member(&mut self, name: &str, value: &str) {
        match name {
            "eventTime" => self.time(value),
            "resources" => self.resources(value),
            "referencedResources" => self.referenced(value),
            _ => {
                let columns = MEMBERS.iter().filter(|(member, _)| *member == name);
                for (_, column) in columns {
                    let Some(at) = TEXTS.iter().position(|t| t == column) else {
                        continue;
                    };
                    let text = self.sources.text(at, self.row);
                    if self.cut(value, text, Reference::Text(at)) {
                        return;
                    }
                }
            }
        }
    }

    /// Puts `reference` in the place of `value`, or of what stands between its
    /// quotes, if that is what the reference is worth.
    fn cut(&mut self, value: &str, worth: Option<&str>, reference: Reference) -> bool {
        // The shortest texts are everywhere, and worth nothing.
        let Some(worth) = worth.filter(|w| w.len() > 1) else {
            return false;
        };
        let Some(slice) = [Some(value), inner(value)]
            .into_iter()
            .flatten()
            .find(|v| *v == worth)
        else {
            return false;
        };
        // `slice` lies in `raw`, at or behind what is done: values are visited in
        // their order. Were it not so, it would stay.
        let start = (slice.as_ptr() as usize).wrapping_sub(self.raw.as_ptr() as usize);
        let Some(before) = self.raw.get(self.done..start) else {
            return false;
        };
        if self.raw.get(start..start + slice.len()) != Some(slice) {
            return false;
        }
        self.text.push_str(before);
        reference.push_to(&mut self.text);
        self.done = start + slice.len();
        true
    }

    fn time(&mut self, value: &str) {
        for digits in [0, 3, 6] {
            let mut room = [0; MAX_TIME];
            let reference = Reference::Time(digits);
            let worth = self.sources.get(reference, self.row, &mut room);
            if self.cut(value, worth, reference) {
                return;
            }
        }
    }

    /// CloudTrail's `[{"ARN": …, "accountId": …, "type": …}]`.
    fn resources(&mut self, value: &str) {
        let Ok(elements) = serde_json::from_str::<Vec<Members<'_>>>(value) else {
            return;
        };
        for (n, element) in elements.iter().enumerate() {
            let named = |name: &str| element.0.iter().find(|(k, _)| k == name);
            let name = ["ARN", "resourceName", "ARNPrefix"]
                .iter()
                .find_map(|k| named(k))
                .and_then(|(_, v)| inner(v.get()));
            let item = name.and_then(|name| self.item(name)).unwrap_or(n);
            for (key, value) in &element.0 {
                let field = match key.as_ref() {
                    "type" | "resourceType" => 0,
                    "ARN" | "resourceName" | "ARNPrefix" => 1,
                    "accountId" => 2,
                    _ => continue,
                };
                self.resource(value.get(), item, field);
            }
        }
    }

    /// ActionTrail's `{"ACS::ECS::Disk": ["d-1", …]}`.
    fn referenced(&mut self, value: &str) {
        let Ok(kinds) = serde_json::from_str::<Members<'_>>(value) else {
            return;
        };
        for (_, names) in &kinds.0 {
            let Ok(names) = serde_json::from_str::<Vec<&RawValue>>(names.get()) else {
                continue;
            };
            for name in names {
                if let Some(item) = inner(name.get()).and_then(|name| self.item(name)) {
                    self.resource(name.get(), item, 1);
                }
            }
        }
    }

    /// The place among the row's resources of the one with this name: each
    /// stands there once.
    fn item(&self, name: &str) -> Option<usize> {
        let items = self.sources.resources(self.row).min(MOST_RESOURCES);
        (0..items).find(|item| self.sources.resource(self.row, *item, 1) == Some(name))
    }

    fn resource(&mut self, value: &str, item: usize, field: usize) {
        if item >= MOST_RESOURCES {
            return;
        }
        let worth = self.sources.resource(self.row, item, field);
        self.cut(value, worth, Reference::Resource { item, field });
    }
}

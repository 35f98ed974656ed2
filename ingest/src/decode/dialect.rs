//! Which format an event came in, told by the fields that only one has.

use super::event::Dialect;
use super::fields::{Fields, Top};
use super::value::Values;

/// Fields that are only ActionTrail's.
const ACTIONTRAIL: [Top; 10] = [
    Top::EventIdAt,
    Top::RequestIdAt,
    Top::SourceIpAt,
    Top::SharedEventIdAt,
    Top::AcsRegion,
    Top::EventRw,
    Top::ServiceName,
    Top::RequestParameterJson,
    Top::ReferencedResources,
    Top::EventAttributes,
];

/// Fields that are only CloudTrail's.
const CLOUDTRAIL: [Top; 8] = [
    Top::EventIdCt,
    Top::RequestIdCt,
    Top::SourceIpCt,
    Top::SharedEventIdCt,
    Top::AwsRegion,
    Top::ReadOnly,
    Top::ManagementEvent,
    Top::TlsDetails,
];

/// The dialect whose fields are more; ActionTrail's on a draw, for its names
/// are Cairn's own. `None` for an object that names no event and has no field
/// of either.
pub(crate) fn recognise(values: &Values<'_, '_>) -> Option<Dialect> {
    let source = values.peek_text(Top::EventSource);
    let service = values.peek_text(Top::ServiceName);
    if source.as_deref() == Some("cairn") || service.as_deref() == Some("cairn") {
        return Some(Dialect::Cairn);
    }
    let amazon = source.is_some_and(|s| s.ends_with(".amazonaws.com"));
    let cloudtrail = count(values.fields(), &CLOUDTRAIL) + usize::from(amazon);
    let actiontrail = count(values.fields(), &ACTIONTRAIL);
    if cloudtrail > actiontrail {
        return Some(Dialect::CloudTrail);
    }
    let named = values
        .peek_text(Top::EventName)
        .is_some_and(|n| !n.is_empty());
    (actiontrail > 0 || named).then_some(Dialect::ActionTrail)
}

fn count(fields: &Fields, of: &[Top]) -> usize {
    of.iter().filter(|field| fields.has(**field)).count()
}

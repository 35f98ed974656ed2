//! Which names at the top of an event mean what, in either dialect.

use super::json::{At, Tape};

/// A field of the top level. Where the dialects spell one differently, each
/// spelling has a place of its own: which is heard first, the dialect decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Top {
    // Both dialects.
    EventName,
    EventSource,
    EventTime,
    EventType,
    EventCategory,
    EventVersion,
    RecipientAccountId,
    UserIdentity,
    UserAgent,
    ApiVersion,
    ErrorCode,
    ErrorMessage,
    RequestParameters,
    ResponseElements,
    AdditionalEventData,
    // ActionTrail's.
    EventIdAt,
    RequestIdAt,
    SourceIpAt,
    SharedEventIdAt,
    AcsRegion,
    EventRw,
    ServiceName,
    RequestParameterJson,
    VpcId,
    IsGlobal,
    ReferencedResources,
    ResourceType,
    ResourceName,
    EventAttributes,
    // CloudTrail's.
    EventIdCt,
    RequestIdCt,
    SourceIpCt,
    SharedEventIdCt,
    AwsRegion,
    ReadOnly,
    ManagementEvent,
    VpcEndpointId,
    Resources,
    TlsDetails,
}

const COUNT: usize = Top::TlsDetails as usize + 1;

/// Where the fields of one event lie; 0, the root's own place, is nowhere.
#[derive(Debug)]
pub(crate) struct Fields([At; COUNT]);

impl Fields {
    pub(crate) fn of(tape: &Tape<'_>) -> Self {
        let mut places = [0; COUNT];
        for (key, value) in tape.members(0) {
            if let Some(field) = name(tape.key(key).as_bytes()) {
                places[field as usize] = value;
            }
        }
        Self(places)
    }

    /// Where the field's value lies, if the event has the field.
    pub(crate) fn at(&self, field: Top) -> Option<At> {
        match self.0[field as usize] {
            0 => None,
            at => Some(at),
        }
    }

    pub(crate) fn has(&self, field: Top) -> bool {
        self.0[field as usize] != 0
    }
}

fn name(key: &[u8]) -> Option<Top> {
    Some(match key {
        b"eventName" => Top::EventName,
        b"eventSource" => Top::EventSource,
        b"eventTime" => Top::EventTime,
        b"eventType" => Top::EventType,
        b"eventCategory" => Top::EventCategory,
        b"eventVersion" => Top::EventVersion,
        b"recipientAccountId" => Top::RecipientAccountId,
        b"userIdentity" => Top::UserIdentity,
        b"userAgent" => Top::UserAgent,
        b"apiVersion" => Top::ApiVersion,
        b"errorCode" => Top::ErrorCode,
        b"errorMessage" => Top::ErrorMessage,
        b"requestParameters" => Top::RequestParameters,
        b"responseElements" => Top::ResponseElements,
        b"additionalEventData" => Top::AdditionalEventData,
        b"eventId" => Top::EventIdAt,
        b"requestId" => Top::RequestIdAt,
        b"sourceIpAddress" => Top::SourceIpAt,
        b"sharedEventId" => Top::SharedEventIdAt,
        b"acsRegion" => Top::AcsRegion,
        b"eventRW" => Top::EventRw,
        b"serviceName" => Top::ServiceName,
        b"requestParameterJson" => Top::RequestParameterJson,
        b"vpcId" => Top::VpcId,
        b"isGlobal" => Top::IsGlobal,
        b"referencedResources" => Top::ReferencedResources,
        b"resourceType" => Top::ResourceType,
        b"resourceName" => Top::ResourceName,
        b"eventAttributes" => Top::EventAttributes,
        b"eventID" => Top::EventIdCt,
        b"requestID" => Top::RequestIdCt,
        b"sourceIPAddress" => Top::SourceIpCt,
        b"sharedEventID" => Top::SharedEventIdCt,
        b"awsRegion" => Top::AwsRegion,
        b"readOnly" => Top::ReadOnly,
        b"managementEvent" => Top::ManagementEvent,
        b"vpcEndpointId" => Top::VpcEndpointId,
        b"resources" => Top::Resources,
        b"tlsDetails" => Top::TlsDetails,
        _ => return None,
    })
}

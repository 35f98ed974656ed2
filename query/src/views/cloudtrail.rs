//! CloudTrail Lake's columns.

use arrow::datatypes::DataType;

use super::{Column, View, column, fields, map, text, truth};
use crate::functions::{lake_resource, moment};

pub(super) static VIEW: View = View::new(
    &["cloudtrail"],
    "Every event under the column names and types of CloudTrail Lake. The bare id of an event data store, `FROM 1a2b3c4d-…`, means this view too. Names are read without regard to case.",
    COLUMNS,
);

fn issuer() -> DataType {
    fields(&[
        ("type", text()),
        ("principalId", text()),
        ("arn", text()),
        ("accountId", text()),
        ("userName", text()),
    ])
}

fn session() -> DataType {
    let attributes = fields(&[("creationDate", moment()), ("mfaAuthenticated", text())]);
    let federation = fields(&[("federatedProvider", text()), ("attributes", map())]);
    fields(&[
        ("attributes", attributes),
        ("sessionIssuer", issuer()),
        ("webIdFederationData", federation),
        ("sourceIdentity", text()),
        ("ec2RoleDelivery", text()),
    ])
}

fn identity() -> DataType {
    fields(&[
        ("type", text()),
        ("principalId", text()),
        ("arn", text()),
        ("accountId", text()),
        ("accessKeyId", text()),
        ("userName", text()),
        ("sessionContext", session()),
        ("invokedBy", text()),
        ("identityProvider", text()),
        ("credentialId", text()),
    ])
}

fn addendum() -> DataType {
    fields(&[
        ("reason", text()),
        ("updatedFields", text()),
        ("originalRequestID", text()),
        ("originalEventID", text()),
    ])
}

fn tls() -> DataType {
    fields(&[
        ("tlsVersion", text()),
        ("cipherSuite", text()),
        ("clientProvidedHostHeader", text()),
    ])
}

const IDENTITY: &str = "named_struct(
    'type', identity_type, 'principalId', principal_id, 'arn', principal_arn,
    'accountId', identity_account_id, 'accessKeyId', access_key_id,
    'userName', json_entry(user_identity, 'userName'),
    'sessionContext', named_struct(
        'attributes', named_struct(
            'creationDate', session_created,
            'mfaAuthenticated', json_extract_scalar(user_identity, '$.sessionContext.attributes.mfaAuthenticated')),
        'sessionIssuer', named_struct(
            'type', json_extract_scalar(user_identity, '$.sessionContext.sessionIssuer.type'),
            'principalId', json_extract_scalar(user_identity, '$.sessionContext.sessionIssuer.principalId'),
            'arn', json_extract_scalar(user_identity, '$.sessionContext.sessionIssuer.arn'),
            'accountId', json_extract_scalar(user_identity, '$.sessionContext.sessionIssuer.accountId'),
            'userName', json_extract_scalar(user_identity, '$.sessionContext.sessionIssuer.userName')),
        'webIdFederationData', named_struct(
            'federatedProvider', json_extract_scalar(user_identity, '$.sessionContext.webIdFederationData.federatedProvider'),
            'attributes', json_map(json_extract(user_identity, '$.sessionContext.webIdFederationData.attributes'))),
        'sourceIdentity', json_extract_scalar(user_identity, '$.sessionContext.sourceIdentity'),
        'ec2RoleDelivery', json_extract_scalar(user_identity, '$.sessionContext.ec2RoleDelivery')),
    'invokedBy', invoked_by,
    'identityProvider', json_entry(user_identity, 'identityProvider'),
    'credentialId', json_entry(user_identity, 'credentialId'))";

const ADDENDUM: &str = "named_struct(
    'reason', json_extract_scalar(raw, '$.addendum.reason'),
    'updatedFields', json_extract_scalar(raw, '$.addendum.updatedFields'),
    'originalRequestID', json_extract_scalar(raw, '$.addendum.originalRequestID'),
    'originalEventID', json_extract_scalar(raw, '$.addendum.originalEventID'))";

const TLS: &str = "named_struct(
    'tlsVersion', tls_version,
    'cipherSuite', json_extract_scalar(raw, '$.tlsDetails.cipherSuite'),
    'clientProvidedHostHeader', json_extract_scalar(raw, '$.tlsDetails.clientProvidedHostHeader'))";

static COLUMNS: &[Column] = &[
    column("eventVersion", "event_version", text, ""),
    column(
        "userIdentity",
        IDENTITY,
        identity,
        "Its fields are reached with dots: `userIdentity.sessionContext.sessionIssuer.userName`.",
    ),
    column("eventTime", "event_time", moment, ""),
    column("eventSource", "event_source", text, ""),
    column("eventName", "event_name", text, ""),
    column("awsRegion", "region", text, ""),
    column("sourceIPAddress", "source_ip", text, ""),
    column("userAgent", "user_agent", text, ""),
    column("errorCode", "error_code", text, ""),
    column("errorMessage", "error_message", text, ""),
    column(
        "requestParameters",
        "json_map(request_parameters)",
        map,
        "Nested values are JSON texts.",
    ),
    column(
        "responseElements",
        "json_map(response_elements)",
        map,
        "Nested values are JSON texts.",
    ),
    column(
        "additionalEventData",
        "json_map(additional_event_data)",
        map,
        "Nested values are JSON texts.",
    ),
    column("requestID", "request_id", text, ""),
    column("eventID", "event_id", text, ""),
    column(
        "readOnly",
        "(event_rw = 'Read')",
        truth,
        "Also where the record did not say: `flags` in `history` tells.",
    ),
    column("resources", "lake_resources(resources)", lake_resource, ""),
    column("eventType", "event_type", text, ""),
    column("apiVersion", "api_version", text, ""),
    column(
        "managementEvent",
        "(event_category = 'Management')",
        truth,
        "",
    ),
    column("recipientAccountId", "account_id", text, ""),
    column("sharedEventID", "shared_event_id", text, ""),
    column("vpcEndpointId", "vpc_id", text, ""),
    column(
        "vpcEndpointAccountId",
        "json_entry(raw, 'vpcEndpointAccountId')",
        text,
        "",
    ),
    column(
        "serviceEventDetails",
        "json_map(json_extract(raw, '$.serviceEventDetails'))",
        map,
        "",
    ),
    column("addendum", ADDENDUM, addendum, ""),
    column(
        "edgeDeviceDetails",
        "json_map(json_extract(raw, '$.edgeDeviceDetails'))",
        map,
        "",
    ),
    column(
        "insightDetails",
        "json_map(json_extract(raw, '$.insightDetails'))",
        map,
        "A map; in CloudTrail Lake a struct.",
    ),
    column("eventCategory", "event_category", text, ""),
    column("tlsDetails", TLS, tls, ""),
    column(
        "sessionCredentialFromConsole",
        "json_entry(raw, 'sessionCredentialFromConsole')",
        text,
        "",
    ),
    column("eventJson", "raw", text, "The event as it was received."),
    column(
        "dialect",
        "dialect",
        text,
        "Not in CloudTrail Lake: the format the event came in.",
    ),
];

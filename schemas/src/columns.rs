//! The columns that auditors see, in one list: it makes the Arrow schema, the
//! table's comments (`DESCRIBE`) and the reference page, so that the three
//! cannot disagree.
//!
//! `history` and every trail have exactly these columns. A column may be added
//! at the end, never renamed, retyped or removed: years of files hold them.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// UTF-8 text that is a JSON value, byte for byte as received.
    Json,
    /// A moment: microseconds, UTC.
    Time,
    /// A calendar day, UTC.
    Date,
    /// True or false.
    Bool,
    /// 32-bit integer.
    Int,
    /// 64-bit integer.
    Long,
    /// List of text.
    Texts,
    /// List of `{type, name, account_id}`.
    Resources,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in SQL, Parquet and everywhere else.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub nullable: bool,
    /// One sentence for an auditor.
    pub comment: &'static str,
    /// Where it comes from in an ActionTrail event.
    pub actiontrail: &'static str,
    /// Where it comes from in a CloudTrail record.
    pub cloudtrail: &'static str,
}

macro_rules! columns {
    ($($name:ident $kind:ident $null:ident $at:literal $ct:literal $comment:literal;)*) => {
        /// Every column of an event table, in order.
        pub const EVENT_COLUMNS: &[Column] = &[$(Column {
            name: stringify!($name),
            kind: Kind::$kind,
            nullable: columns!(@null $null),
            comment: $comment,
            actiontrail: $at,
            cloudtrail: $ct,
        }),*];
    };
    (@null null) => { true };
    (@null not_null) => { false };
}

columns! {
    event_id Text not_null "eventId" "eventID" "The event's id, unique in its account; made from the place in the log where the sender gave none.";
    event_time Time not_null "eventTime" "eventTime" "When it happened, as the sender says; the ingest time where that is missing or invalid (see flags).";
    ingest_time Time not_null "" "" "When Cairn received it. Retention counts from here.";
    event_name Text null "eventName" "eventName" "What was done: the operation's name.";
    event_source Text null "eventSource" "eventSource" "The endpoint that was called.";
    service_name Text null "serviceName" "eventSource up to the first dot" "The service that was called.";
    event_type Text null "eventType" "eventType" "ApiCall, ConsoleSignin, AwsApiCall and so on.";
    event_category Text null "eventCategory" "eventCategory, else managementEvent" "Management, Data, Insight and so on.";
    event_version Text null "eventVersion" "eventVersion" "The version of the sender's event format.";
    event_rw Text not_null "eventRW" "readOnly" "Read or Write; flags holds rw_derived where the event did not say.";
    region Text null "acsRegion" "awsRegion" "The region that was called, as received.";
    account_id Text not_null "recipientAccountId; else what the sender named, else userIdentity.accountId, else the sender's only account" "recipientAccountId; else as for ActionTrail" "The member account that the event belongs to; decides who may see it.";
    dialect Text not_null "actiontrail" "cloudtrail" "The format it came in: actiontrail, cloudtrail or cairn.";
    identity_type Text null "userIdentity.type" "userIdentity.type" "The kind of principal that acted.";
    principal_id Text null "userIdentity.principalId" "userIdentity.principalId" "The id of the principal that acted.";
    principal_arn Text null "userIdentity.arn" "userIdentity.arn" "The resource name of the principal that acted.";
    user_name Text null "userIdentity.userName" "userIdentity.userName, else sessionContext.sessionIssuer.userName" "The name of who acted.";
    access_key_id Text null "userIdentity.accessKeyId" "userIdentity.accessKeyId" "The access key that signed the request.";
    identity_account_id Text null "userIdentity.accountId" "userIdentity.accountId" "The account of who acted; another than account_id in a cross-account call.";
    invoked_by Text null "userIdentity.invokedBy" "userIdentity.invokedBy" "The service that acted on the principal's behalf.";
    session_created Time null "userIdentity.sessionContext.attributes.creationDate" "userIdentity.sessionContext.attributes.creationDate" "When the session's credentials were made.";
    mfa Bool null "userIdentity.sessionContext.attributes.mfaAuthenticated" "userIdentity.sessionContext.attributes.mfaAuthenticated, else additionalEventData.MFAUsed" "Whether the session was authenticated with a second factor; null where the event does not say.";
    source_ip Text null "sourceIpAddress" "sourceIPAddress" "Where the request came from, as received: an address, a service's name, or Internal.";
    user_agent Text null "userAgent" "userAgent" "The client that made the request.";
    request_id Text null "requestId" "requestID" "The request's id.";
    api_version Text null "apiVersion" "apiVersion" "The version of the API that was called.";
    error_code Text null "errorCode" "errorCode" "The error's code; null when the call succeeded.";
    error_message Text null "errorMessage" "errorMessage" "The error's message.";
    resource_type Text null "resourceType, else the first of resources" "the first of resources" "The first resource's type.";
    resource_name Text null "resourceName, else the first of resources" "the first of resources" "The first resource's name or ARN.";
    resources Resources null "referencedResources, resourceType and resourceName" "resources" "Every resource that the event names.";
    vpc_id Text null "vpcId" "vpcEndpointId" "The VPC or VPC endpoint that the request came through.";
    shared_event_id Text null "sharedEventId" "sharedEventID" "The same in all copies of one cross-account event.";
    is_global Bool null "isGlobal" "" "Whether the service is global.";
    sensitive_action Bool null "eventAttributes.SensitiveAction" "" "Whether the sender marks the action as sensitive.";
    tls_version Text null "requestParameters.X-Acs-Client-Tls-Version" "tlsDetails.tlsVersion" "The TLS version of the request.";
    request_parameters Json null "requestParameters, else requestParameterJson" "requestParameters" "The request's parameters.";
    response_elements Json null "responseElements" "responseElements" "What the call answered.";
    additional_event_data Json null "additionalEventData" "additionalEventData" "What else the service recorded.";
    user_identity Json null "userIdentity" "userIdentity" "Who acted, in full.";
    late Bool not_null "" "" "Whether it came in more than 15 minutes after it happened.";
    flags Texts null "" "" "What intake noticed: rw_derived, event_time_missing, event_time_invalid, event_time_future, event_id_generated, account_from_sender, conflicting_duplicate, value_out_of_range.";
    sender Text not_null "" "" "The id of the token or source that sent it.";
    log_source Text not_null "" "" "The log it was received into: log, or a topic.";
    log_partition Int not_null "" "" "The log's partition.";
    log_offset Long not_null "" "" "Its offset in that partition.";
    log_item Int not_null "" "" "Its place among the events of one record, from 0; 0 where a record is one event.";
    log_time Time null "" "" "The timestamp that the record bears in Kafka, which the producer or the broker set.";
    log_key Text null "" "" "The record's key in Kafka; base64: and its base64 where it is not text.";
    log_headers Json null "" "" "The record's headers in Kafka: a list of [name, value], a value that is not text as {\"base64\": …}.";
    raw Text not_null "" "" "The event byte for byte as received.";
    ingest_date Date not_null "" "" "The day of ingest_time in UTC; tables are partitioned by it.";
}

/// The columns of `quarantine`.
pub const QUARANTINE_COLUMNS: &[Column] = &{
    const fn c(name: &'static str, kind: Kind, nullable: bool, comment: &'static str) -> Column {
        Column {
            name,
            kind,
            nullable,
            comment,
            actiontrail: "",
            cloudtrail: "",
        }
    }
    [
        c("ingest_time", Kind::Time, false, "When Cairn received it."),
        c(
            "account_id",
            Kind::Text,
            true,
            "The one account that its sender may write for, where there is just one; else null, and only auditors of all accounts see it.",
        ),
        c(
            "sender",
            Kind::Text,
            false,
            "The id of the token or source that sent it.",
        ),
        c(
            "log_source",
            Kind::Text,
            false,
            "The log it was received into.",
        ),
        c("log_partition", Kind::Int, false, "The log's partition."),
        c(
            "log_offset",
            Kind::Long,
            false,
            "Its offset in that partition.",
        ),
        c(
            "reason",
            Kind::Text,
            false,
            "A stable code: invalid_utf8, invalid_json, empty, too_deep, duplicate_key, not_an_object, account_missing, account_invalid, account_mismatch, unknown_dialect, reserved_service, too_large, no_envelope, too_many_events, invalid_body, source_gap.",
        ),
        c(
            "detail",
            Kind::Text,
            false,
            "One sentence about this record.",
        ),
        c("size", Kind::Long, false, "How many bytes were received."),
        c(
            "log_item",
            Kind::Int,
            false,
            "Its place among the events of one record, from 0.",
        ),
        c(
            "log_time",
            Kind::Time,
            true,
            "The timestamp that the record bears in Kafka.",
        ),
        c("log_key", Kind::Text, true, "The record's key in Kafka."),
        c(
            "log_headers",
            Kind::Json,
            true,
            "The record's headers in Kafka.",
        ),
        c(
            "raw_base64",
            Kind::Text,
            false,
            "The bytes as received, in base64, for they need not be text.",
        ),
        c(
            "ingest_date",
            Kind::Date,
            false,
            "The day of ingest_time in UTC.",
        ),
    ]
};

/// The name of the partition column of every table.
pub const PARTITION_COLUMN: &str = "ingest_date";

/// The column that holds what was received.
pub const RAW_COLUMN: &str = "raw";

/// The column of an outlined table that stands for `raw` where that is null
/// (`cairn_store::outline`). It lies in files only: Cairn's own tables do not show it.
pub const OUTLINE_COLUMN: &str = "raw_outline";

/// The column whose ascending order every event file declares.
pub const SORT_COLUMN: &str = "event_time";

/// Text columns that questions ask for by exact value, and whose values are
/// many: they get bloom filters.
pub const BLOOM_COLUMNS: &[&str] = &[
    "event_id",
    "user_name",
    "principal_id",
    "access_key_id",
    "source_ip",
    "request_id",
    "resource_name",
    "account_id",
];

/// Microseconds after which an event counts as late. The slowest of the real
/// deliveries that were measured took 610 s.
pub const LATE_AFTER: i64 = 15 * 60 * crate::time::SECOND;

/// The fields of one element of `resources`.
pub fn resource_fields() -> Fields {
    Fields::from(vec![
        Field::new("type", DataType::Utf8, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("account_id", DataType::Utf8, true),
    ])
}

impl Kind {
    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::Date => DataType::Date32,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            // "element" is the list child's name in Parquet and in Delta.
            Self::Texts => DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))),
            Self::Resources => DataType::List(Arc::new(Field::new(
                "element",
                DataType::Struct(resource_fields()),
                true,
            ))),
        }
    }
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|c| Field::new(c.name, c.kind.data_type(), c.nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The Arrow schema of `history` and of every trail.
pub fn event_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(EVENT_COLUMNS));
    Arc::clone(&SCHEMA)
}

/// The Arrow schema of `quarantine`.
pub fn quarantine_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(QUARANTINE_COLUMNS));
    Arc::clone(&SCHEMA)
}

/// The reference page of the event columns, in Markdown.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Columns of `history` and of every trail\n\n\
         Made from `schemas/src/columns.rs`; a test keeps this page equal to it. These are SQL's; in the files of an\n\
         outlined table `raw` is null where `raw_outline` stands for it: [other-engines.md](other-engines.md).\n\n\
         | column | type | null | meaning | ActionTrail | CloudTrail |\n|---|---|---|---|---|---|\n",
    );
    for c in EVENT_COLUMNS {
        let kind = match c.kind {
            Kind::Text => "text",
            Kind::Json => "JSON text",
            Kind::Time => "timestamp (µs, UTC)",
            Kind::Date => "date",
            Kind::Bool => "boolean",
            Kind::Int => "int",
            Kind::Long => "bigint",
            Kind::Texts => "list of text",
            Kind::Resources => "list of {type, name, account_id}",
        };
        let null = if c.nullable { "yes" } else { "no" };
        page.push_str(&format!(
            "| `{}` | {kind} | {null} | {} | {} | {} |\n",
            c.name, c.comment, c.actiontrail, c.cloudtrail
        ));
    }
    page
}

#[cfg(test)]
mod tests;

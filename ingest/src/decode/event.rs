//! A decoded event: the columns' values, borrowed from the bytes received.

use std::borrow::Cow;

use cairn_schemas::Micros;
use cairn_schemas::selector::{EventFacts, Field, ReadWrite};

use super::flags::Flags;

/// Text that is a slice of the received bytes wherever it had no escapes.
pub type Text<'a> = Cow<'a, str>;

/// The format that an event came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Alibaba Cloud ActionTrail's field names.
    ActionTrail,
    /// AWS CloudTrail's field names.
    CloudTrail,
    /// Cairn's own events: ActionTrail's field names, service `cairn`.
    Cairn,
}

impl Dialect {
    /// As in the column `dialect`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActionTrail => "actiontrail",
            Self::CloudTrail => "cloudtrail",
            Self::Cairn => "cairn",
        }
    }
}

/// Something that an event names as touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its type.
    pub kind: Option<Text<'a>>,
    /// Its name or ARN.
    pub name: Option<Text<'a>>,
    /// The account it belongs to.
    pub account_id: Option<Text<'a>>,
}

/// One event. The fields are columns of
/// [`cairn_schemas::columns::EVENT_COLUMNS`] under the same names; what they
/// mean and where they come from stands there.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // Each field is documented as the column of its name.
pub struct Event<'a> {
    pub event_id: Text<'a>,
    pub event_time: Micros,
    pub event_name: Option<Text<'a>>,
    pub event_source: Option<Text<'a>>,
    pub service_name: Option<Text<'a>>,
    pub event_type: Option<Text<'a>>,
    pub event_category: Option<Text<'a>>,
    pub event_version: Option<Text<'a>>,
    pub event_rw: ReadWrite,
    pub region: Option<Text<'a>>,
    pub account_id: Text<'a>,
    pub dialect: Dialect,
    pub identity_type: Option<Text<'a>>,
    pub principal_id: Option<Text<'a>>,
    pub principal_arn: Option<Text<'a>>,
    pub user_name: Option<Text<'a>>,
    pub access_key_id: Option<Text<'a>>,
    pub identity_account_id: Option<Text<'a>>,
    pub invoked_by: Option<Text<'a>>,
    pub session_created: Option<Micros>,
    pub mfa: Option<bool>,
    pub source_ip: Option<Text<'a>>,
    pub user_agent: Option<Text<'a>>,
    pub request_id: Option<Text<'a>>,
    pub api_version: Option<Text<'a>>,
    pub error_code: Option<Text<'a>>,
    pub error_message: Option<Text<'a>>,
    pub resource_type: Option<Text<'a>>,
    pub resource_name: Option<Text<'a>>,
    pub resources: Vec<Resource<'a>>,
    pub vpc_id: Option<Text<'a>>,
    pub shared_event_id: Option<Text<'a>>,
    pub is_global: Option<bool>,
    pub sensitive_action: Option<bool>,
    pub tls_version: Option<Text<'a>>,
    pub request_parameters: Option<Text<'a>>,
    pub response_elements: Option<&'a str>,
    pub additional_event_data: Option<&'a str>,
    pub user_identity: Option<&'a str>,
    pub late: bool,
    pub flags: Flags,
    /// The event byte for byte as received.
    pub raw: &'a str,
}

impl EventFacts for Event<'_> {
    fn account(&self) -> &str {
        &self.account_id
    }

    fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    fn read_write(&self) -> ReadWrite {
        self.event_rw
    }

    fn category(&self) -> Option<&str> {
        self.event_category.as_deref()
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut holds = |value: &Option<Text<'_>>| value.as_deref().is_some_and(&mut *test);
        match field {
            Field::Service => holds(&self.service_name) || holds(&self.event_source),
            Field::EventName => holds(&self.event_name),
            Field::Resource => {
                holds(&self.resource_name) || self.resources.iter().any(|r| holds(&r.name))
            }
            Field::ResourceType => {
                holds(&self.resource_type) || self.resources.iter().any(|r| holds(&r.kind))
            }
            Field::User => {
                holds(&self.user_name) || holds(&self.principal_id) || holds(&self.principal_arn)
            }
        }
    }
}

//! What a trail takes: a pure function of one event's fields.
//!
//! All criteria must hold (AND); the values of one criterion are alternatives
//! (OR). Semantics follow CloudTrail's advanced event selectors, with one
//! default of our own: a selector that says nothing takes **everything**, reads
//! and writes alike. (ActionTrail's default is writes only, which loses reads
//! that nobody asked to lose.)

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::AccountId;

/// Whether an event changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReadWrite {
    /// It only looked.
    Read,
    /// It changed something, or may have.
    Write,
}

impl ReadWrite {
    /// `Read` or `Write`, as in the column `event_rw`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
        }
    }
}

/// Which of reads and writes a trail takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadWriteFilter {
    /// Both: the default.
    #[default]
    All,
    /// Reads only.
    Read,
    /// Writes only.
    Write,
}

impl std::str::FromStr for ReadWriteFilter {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        match text.to_ascii_lowercase().as_str() {
            "all" => Ok(Self::All),
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(SelectorError::ReadWrite(text.to_owned())),
        }
    }
}

impl fmt::Display for ReadWriteFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Read => "Read",
            Self::Write => "Write",
        })
    }
}

/// All of a kind, or the ones named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Among<T: Ord> {
    /// Every one, also those that appear later.
    #[default]
    All,
    /// These and no others.
    Only(BTreeSet<T>),
}

impl<T: Ord> Among<T> {
    /// Whether `item` is among them.
    pub fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        match self {
            Self::All => true,
            Self::Only(set) => set.contains(item),
        }
    }
}

impl std::borrow::Borrow<str> for AccountId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// A field that finer selectors can ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// `service_name` or `event_source`.
    Service,
    /// `event_name`.
    EventName,
    /// The name or ARN of any resource of the event.
    Resource,
    /// The type of any resource of the event.
    ResourceType,
    /// `user_name`, `principal_id` or the identity's ARN.
    User,
}

/// How a finer selector compares. Comparison is exact and case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Some value of the field equals one of the given.
    Equals,
    /// No value of the field equals any of the given.
    NotEquals,
    /// Some value of the field begins with one of the given.
    StartsWith,
    /// No value of the field begins with any of the given.
    NotStartsWith,
    /// Some value of the field ends with one of the given.
    EndsWith,
    /// No value of the field ends with any of the given.
    NotEndsWith,
}

/// One finer criterion. Written `event_name=Create*` on the command line; see
/// the [`std::str::FromStr`] implementation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSelector {
    /// What is asked about.
    pub field: Field,
    /// How it is compared.
    pub op: Operator,
    /// Alternatives; never empty.
    pub values: Vec<String>,
}

/// What a trail takes. See the module's documentation for how criteria combine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// Member accounts; all means the whole organization, future members too.
    pub accounts: Among<AccountId>,
    /// Regions, compared without regard to ASCII case; kept in lower case. An
    /// event that names no region is taken only by a trail for all regions.
    pub regions: Among<String>,
    /// Reads, writes or both.
    pub read_write: ReadWriteFilter,
    /// Event categories (`Management`, `Data`, …), as in the column
    /// `event_category`.
    pub categories: Among<String>,
    /// Finer criteria; all of them must hold.
    pub fields: Vec<FieldSelector>,
}

/// The fields of one event that selectors ask about, borrowed from wherever
/// the event lies (a decoded struct, a row of a record batch).
pub trait EventFacts {
    /// `account_id`.
    fn account(&self) -> &str;
    /// `region`, where the event names one.
    fn region(&self) -> Option<&str>;
    /// `event_rw`.
    fn read_write(&self) -> ReadWrite;
    /// `event_category`.
    fn category(&self) -> Option<&str>;
    /// Whether `test` holds for any value of `field`.
    fn any(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool;
}

/// The first criterion that kept an event out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Refusal {
    /// The account is not among the trail's.
    Account,
    /// The region is not among the trail's, or the event names none.
    Region,
    /// A read where writes are wanted, or the reverse.
    ReadWrite,
    /// Another category.
    Category,
    /// The finer criterion with this index did not hold.
    Field(usize),
}

impl Selector {
    /// Whether the trail takes the event.
    pub fn takes(&self, event: &dyn EventFacts) -> bool {
        self.decide(event).is_ok()
    }

    /// Whether the trail takes the event, and if not, why.
    pub fn decide(&self, event: &dyn EventFacts) -> Result<(), Refusal> {
        if !self.accounts.contains(event.account()) {
            return Err(Refusal::Account);
        }
        if let Among::Only(regions) = &self.regions
            && !event.region().is_some_and(|r| is_among(regions, r))
        {
            return Err(Refusal::Region);
        }
        match (self.read_write, event.read_write()) {
            (ReadWriteFilter::All, _)
            | (ReadWriteFilter::Read, ReadWrite::Read)
            | (ReadWriteFilter::Write, ReadWrite::Write) => {}
            _ => return Err(Refusal::ReadWrite),
        }
        if let Among::Only(categories) = &self.categories
            && !event.category().is_some_and(|c| categories.contains(c))
        {
            return Err(Refusal::Category);
        }
        match self.fields.iter().position(|f| !f.holds(event)) {
            Some(index) => Err(Refusal::Field(index)),
            None => Ok(()),
        }
    }

    /// One sentence for a person about a [`Refusal`] of this selector.
    pub fn explain(&self, refusal: &Refusal) -> String {
        match refusal {
            Refusal::Account => "its account is not among the trail's accounts".to_owned(),
            Refusal::Region => "its region is not among the trail's regions".to_owned(),
            Refusal::ReadWrite => format!("the trail takes only {} events", self.read_write),
            Refusal::Category => "its category is not among the trail's categories".to_owned(),
            Refusal::Field(index) => match self.fields.get(*index) {
                Some(field) => format!("the criterion {field} does not hold"),
                None => "a criterion does not hold".to_owned(),
            },
        }
    }
}

/// Regions lie here in lower case; senders write them as they like, which nearly
/// always is in lower case too.
fn is_among(regions: &BTreeSet<String>, named: &str) -> bool {
    match named.bytes().any(|b| b.is_ascii_uppercase()) {
        true => regions.contains(&named.to_ascii_lowercase()),
        false => regions.contains(named),
    }
}

impl FieldSelector {
    fn holds(&self, event: &dyn EventFacts) -> bool {
        let given = &self.values;
        let any = |test: fn(&str, &str) -> bool| {
            event.any(self.field, &mut |value| {
                given.iter().any(|g| test(value, g))
            })
        };
        match self.op {
            Operator::Equals => any(|v, g| v == g),
            Operator::NotEquals => !any(|v, g| v == g),
            Operator::StartsWith => any(|v, g| v.starts_with(g)),
            Operator::NotStartsWith => !any(|v, g| v.starts_with(g)),
            Operator::EndsWith => any(|v, g| v.ends_with(g)),
            Operator::NotEndsWith => !any(|v, g| v.ends_with(g)),
        }
    }
}

/// Why a selector's text was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Not one of the three.
    #[error("{0:?} is not a read/write filter: use Read, Write or All")]
    ReadWrite(String),
    /// No operator in the text.
    #[error(
        "{0:?} is not a selector: write FIELD=VALUE or FIELD!=VALUE, with a leading or trailing * for a suffix or prefix"
    )]
    Form(String),
    /// An unknown field.
    #[error(
        "{0:?} is not a field that selectors know: use service, event_name, resource, resource_type or user"
    )]
    Field(String),
    /// A star in the middle, or nothing but stars.
    #[error(
        "{0:?} is not a value: a * may stand only at the start (suffix) or at the end (prefix), with text beside it"
    )]
    Value(String),
}

/// `FIELD=V[,V…]` or `FIELD!=V[,V…]`; `V*` means begins with, `*V` ends with.
/// The values of one criterion are all of one form.
impl std::str::FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (name, values) = text
            .split_once('=')
            .ok_or_else(|| SelectorError::Form(text.to_owned()))?;
        let (name, negated) = match name.strip_suffix('!') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let field = match name.trim().to_ascii_lowercase().as_str() {
            "service" => Field::Service,
            "event_name" | "event" => Field::EventName,
            "resource" => Field::Resource,
            "resource_type" => Field::ResourceType,
            "user" => Field::User,
            _ => return Err(SelectorError::Field(name.to_owned())),
        };
        let mut form = None;
        let mut kept = Vec::new();
        for value in values.split(',').map(str::trim) {
            let (this, plain) = match (value.strip_prefix('*'), value.strip_suffix('*')) {
                (Some(rest), None) => (2, rest),
                (None, Some(rest)) => (1, rest),
                (None, None) => (0, value),
                (Some(_), Some(_)) => return Err(SelectorError::Value(value.to_owned())),
            };
            if plain.is_empty() || plain.contains('*') || form.is_some_and(|f| f != this) {
                return Err(SelectorError::Value(value.to_owned()));
            }
            form = Some(this);
            kept.push(plain.to_owned());
        }
        let op = match (form, negated) {
            (Some(1), false) => Operator::StartsWith,
            (Some(1), true) => Operator::NotStartsWith,
            (Some(2), false) => Operator::EndsWith,
            (Some(2), true) => Operator::NotEndsWith,
            (_, false) => Operator::Equals,
            (_, true) => Operator::NotEquals,
        };
        Ok(Self {
            field,
            op,
            values: kept,
        })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self.field {
            Field::Service => "service",
            Field::EventName => "event_name",
            Field::Resource => "resource",
            Field::ResourceType => "resource_type",
            Field::User => "user",
        };
        let (sign, before, after) = match self.op {
            Operator::Equals => ("=", "", ""),
            Operator::NotEquals => ("!=", "", ""),
            Operator::StartsWith => ("=", "", "*"),
            Operator::NotStartsWith => ("!=", "", "*"),
            Operator::EndsWith => ("=", "*", ""),
            Operator::NotEndsWith => ("!=", "*", ""),
        };
        let values: Vec<String> = self
            .values
            .iter()
            .map(|v| format!("{before}{v}{after}"))
            .collect();
        write!(f, "{field}{sign}{}", values.join(","))
    }
}

#[cfg(test)]
mod tests;

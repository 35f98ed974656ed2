//! Which topics are read, and under which rule.

use cairn_schemas::AccountId;
use regex::Regex;

use crate::decode::Dialect;

/// What holds for a topic, or for all whose names fit a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRule {
    /// The topic's name, or, beginning with `^`, a regular expression.
    pub topic: String,
    /// The only account that the topic's producers may write for; an event may
    /// only agree. `None`: for every account, so that the topic's access list
    /// decides.
    pub account: Option<AccountId>,
    /// Which events are taken.
    pub dialect: DialectHint,
    /// What becomes of a record that is no event.
    pub on_bad_record: OnBadRecord,
}

impl TopicRule {
    /// The usual rule for `topic`: any account, any dialect, quarantine.
    pub fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            account: None,
            dialect: DialectHint::Auto,
            on_bad_record: OnBadRecord::Quarantine,
        }
    }
}

/// The dialect that a topic's events are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DialectHint {
    /// Any; each event is recognised by itself.
    #[default]
    Auto,
    /// ActionTrail's; others go to quarantine as `unknown_dialect`.
    ActionTrail,
    /// CloudTrail's; others go to quarantine as `unknown_dialect`.
    CloudTrail,
}

impl DialectHint {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ActionTrail => "actiontrail",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// Whether an event of `dialect` is one of those.
    pub fn takes(self, dialect: Dialect) -> bool {
        match self {
            Self::Auto => true,
            Self::ActionTrail => dialect == Dialect::ActionTrail,
            Self::CloudTrail => dialect == Dialect::CloudTrail,
        }
    }
}

/// What becomes of a record that is no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBadRecord {
    /// It goes to quarantine, and the next is read.
    #[default]
    Quarantine,
    /// Its partition stops there until an administrator lets it go on.
    Suspend,
}

/// A rule that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No name that Kafka gives a topic.
    #[error(
        "kafka: {0:?} is no topic's name: letters, digits, dots, dashes and underscores, or a regular expression that begins with ^"
    )]
    Name(String),
    /// A pattern that cannot be read.
    #[error("kafka: the pattern {pattern:?} is no regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that the processes' own logs have in history.
    #[error(
        "kafka: a topic named {0:?} would be taken for one of Cairn's own logs; give it another name"
    )]
    Own(String),
    /// Two rules for one topic.
    #[error("kafka: the topic {0:?} has two rules, leave one")]
    Twice(String),
}

/// The rules, ready to be asked.
#[derive(Clone, Debug)]
pub struct Rules {
    names: Vec<TopicRule>,
    patterns: Vec<(Regex, TopicRule)>,
    intake: Option<String>,
}

impl Rules {
    /// # Errors
    ///
    /// A name that no topic has, or that is Cairn's own, a pattern that is none,
    /// a topic named twice.
    pub fn new(rules: &[TopicRule], intake: Option<&str>) -> Result<Self, RuleError> {
        let mut out = Self {
            names: Vec::new(),
            patterns: Vec::new(),
            intake: intake.map(str::to_owned),
        };
        if let Some(name) = intake
            && !is_name(name)
        {
            return Err(RuleError::Name(name.to_owned()));
        }
        let named = rules.iter().map(|rule| rule.topic.as_str());
        if let Some(own) = named.chain(intake).find(|name| is_own(name)) {
            return Err(RuleError::Own(own.to_owned()));
        }
        for rule in rules {
            if rule.topic.starts_with('^') {
                let regex = Regex::new(&rule.topic).map_err(|error| RuleError::Pattern {
                    pattern: rule.topic.clone(),
                    reason: error.to_string(),
                })?;
                out.patterns.push((regex, rule.clone()));
            } else if !is_name(&rule.topic) {
                return Err(RuleError::Name(rule.topic.clone()));
            } else if out.of(&rule.topic).is_some_and(|r| r.topic == rule.topic)
                || intake == Some(rule.topic.as_str())
            {
                return Err(RuleError::Twice(rule.topic.clone()));
            } else {
                out.names.push(rule.clone());
            }
        }
        Ok(out)
    }

    /// The rule of `topic`: the one of its name, else the first pattern that
    /// fits. Kafka's own topics and the intake topic have none.
    pub fn of(&self, topic: &str) -> Option<&TopicRule> {
        if topic.starts_with("__") || is_own(topic) || self.is_intake(topic) {
            return None;
        }
        let named = self.names.iter().find(|rule| rule.topic == topic);
        named.or_else(|| {
            let fitting = self
                .patterns
                .iter()
                .find(|(regex, _)| regex.is_match(topic));
            fitting.map(|(_, rule)| rule)
        })
    }

    /// Whether `topic` is the one that Cairn's own doors write to.
    pub fn is_intake(&self, topic: &str) -> bool {
        self.intake.as_deref() == Some(topic)
    }

    /// Whether `topic` is read.
    pub fn reads(&self, topic: &str) -> bool {
        self.is_intake(topic) || self.of(topic).is_some()
    }

    /// Whether some rule is a pattern, so that the cluster must be asked which
    /// topics there are.
    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The topics that are named.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let names = self.names.iter().map(|rule| rule.topic.as_str());
        names.chain(self.intake.as_deref())
    }
}

/// Whether an embedded log may be called so: its partition and the topic's
/// would be one, and each would take the other's offsets for its own.
fn is_own(name: &str) -> bool {
    let hex = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit());
    name == "log" || name.strip_prefix("log-").is_some_and(hex)
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !matches!(name, "" | "." | "..") && name.len() <= 249 && name.chars().all(allowed)
}

#[cfg(test)]
mod tests;

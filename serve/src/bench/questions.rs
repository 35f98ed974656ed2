//! The questions that an auditor asks, as data: what `cairn bench run` measures
//! and what any other engine can be asked over the same events.

use serde::Serialize;

use super::cloudtrail::kms_arn;
use super::generate::{Facts, Generator};
use super::identity::is_session;
use super::mix::is_service;

/// One question.
#[derive(Clone, Debug, Serialize)]
pub struct Question {
    /// A short name.
    pub name: &'static str,
    /// What it asks, for people.
    pub asks: &'static str,
    /// The statement, over a table `history`.
    pub sql: String,
}

/// Values that are known to occur in the generated events.
#[derive(Clone, Debug, Serialize)]
pub struct Landmarks {
    /// An event's id.
    pub event_id: String,
    /// A long-lived access key.
    pub access_key: String,
    /// A day on which it was used, and the day after.
    pub day: (String, String),
    /// An address that it was used from.
    pub source_ip: String,
    /// The ARN of an encryption key that was used.
    pub resource: String,
    /// The busiest account.
    pub account: String,
    /// A minute in which it was busy: from, and up to but not including.
    pub minute: (String, String),
    /// A bucket that was used.
    pub bucket: String,
    /// When the last day of the events begins: what is first seen after it is new.
    pub recent: String,
}

/// How many events are looked at, at most, to find one that has a value.
const SEARCH: u64 = 2_000_000;

impl Landmarks {
    /// Draws the values from the middle of the events, the same ones for the
    /// same generator.
    pub fn of(g: &Generator) -> anyhow::Result<Self> {
        let n = g.shape().events;
        // An event of an account is looked for from the middle on, and round.
        let find = |what: &str, test: &dyn Fn(&Facts<'_>) -> bool| {
            (0..n.min(SEARCH))
                .map(|k| g.facts(g.origin((n / 2 + k) % n)))
                .find(|f| test(f))
                .ok_or_else(|| {
                    anyhow::anyhow!(
                        "no generated event has {what}: generate more events (--events), \
                         at least some hundred"
                    )
                })
        };
        let service = |f: &Facts<'_>| g.mix.kinds[usize::from(f.slot.kind)].service().to_owned();
        let person = find("a long-lived access key", &|f| {
            let kind = &g.mix.kinds[usize::from(f.slot.kind)];
            g.mix.text(f.slot.user_type) == Some("IAMUser")
                && !is_session(g, f)
                && !g.mix.text(f.slot.address).is_some_and(is_service)
                && kind.name != "ConsoleLogin"
        })?;
        let busiest = &g.population.accounts[0].id;
        let busy = find("the busiest account", &|f| &f.account.id == busiest)?;
        let (bucket, resource) = if g.actiontrail_share() < 1.0 {
            (
                find("a bucket", &|f| !f.actiontrail && service(f) == "s3")?,
                find("an encryption key", &|f| {
                    !f.actiontrail && service(f) == "kms"
                })?,
            )
        } else {
            (person.clone(), person.clone())
        };
        let prefix = if person.actiontrail { "LTAI" } else { "AKIA" };
        let day = person.event_time - person.event_time.rem_euclid(86_400);
        let minute = busy.event_time - busy.event_time.rem_euclid(60);
        let last = g.facts(g.origin(n - 1)).arrival;
        Ok(Self {
            event_id: g.facts(g.origin(n / 3)).id_text(),
            access_key: format!("{prefix}{}", person.user.keys[person.access_key]),
            day: (Facts::time_text(day), Facts::time_text(day + 86_400)),
            source_ip: address_text(g, &person),
            resource: kms_arn(&resource),
            account: busiest.clone(),
            minute: (Facts::time_text(minute), Facts::time_text(minute + 60)),
            bucket: bucket_text(&bucket),
            recent: Facts::time_text(last - last.rem_euclid(86_400)),
        })
    }
}

fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    out.into_iter().map(char::from).collect()
}

fn address_text(g: &Generator, f: &Facts<'_>) -> String {
    text_of(|out| super::cloudtrail::write_address(g, f, out))
}

fn bucket_text(f: &Facts<'_>) -> String {
    text_of(|out| f.account.bucket(out, f.bucket))
}

/// All questions, with these values in their places. Times are written as text
/// that every engine reads as a moment in UTC.
pub fn questions(at: &Landmarks) -> Vec<Question> {
    let mut all = looking_up(at);
    all.extend(summing_up(at));
    all
}

/// Questions after single events.
fn looking_up(at: &Landmarks) -> Vec<Question> {
    let Landmarks {
        event_id,
        access_key,
        source_ip,
        resource,
        account,
        bucket,
        ..
    } = at;
    let (day, next_day) = &at.day;
    let (minute, next_minute) = &at.minute;
    let q = |name, asks, sql: String| Question { name, asks, sql };
    vec![
        q("newest", "What happened last?", "SELECT event_time, account_id, event_name, user_name, source_ip, error_code FROM history ORDER BY event_time DESC LIMIT 100".to_owned()),
        q("by_id", "What is the event with this id, in full?", format!("SELECT * FROM history WHERE event_id = '{event_id}'")),
        q("access_key_day", "What was done with this access key that day?", format!("SELECT event_time, event_name, event_source, region, source_ip, error_code FROM history WHERE access_key_id = '{access_key}' AND event_time >= '{day}' AND event_time < '{next_day}' ORDER BY event_time")),
        q("source_address", "What came from this address?", format!("SELECT event_time, account_id, user_name, event_name, error_code FROM history WHERE source_ip = '{source_ip}' ORDER BY event_time DESC LIMIT 1000")),
        q("sign_ins", "Which sign-ins failed, or had no second factor?", "SELECT event_time, account_id, user_name, source_ip, mfa, error_message FROM history WHERE event_name = 'ConsoleLogin' AND (error_message IS NOT NULL OR mfa = false) ORDER BY event_time DESC LIMIT 1000".to_owned()),
        q("root_writes", "What did a root user change?", "SELECT event_time, account_id, event_name, source_ip FROM history WHERE identity_type IN ('Root', 'root-account') AND event_rw = 'Write' ORDER BY event_time DESC LIMIT 1000".to_owned()),
        q("resource", "Who touched this resource?", format!("SELECT event_time, user_name, identity_type, event_name, source_ip FROM history WHERE resource_name = '{resource}' ORDER BY event_time DESC LIMIT 1000")),
        q("account_minute", "What happened in this account in that minute?", format!("SELECT event_time, event_name, user_name, source_ip, error_code FROM history WHERE account_id = '{account}' AND event_time >= '{minute}' AND event_time < '{next_minute}' ORDER BY event_time")),
        q("tampering", "Who touched the trails themselves?", "SELECT event_time, account_id, user_name, event_name, error_code, source_ip FROM history WHERE event_name IN ('StopLogging', 'DeleteTrail', 'UpdateTrail', 'PutEventSelectors', 'DeleteFlowLogs', 'StopConfigurationRecorder') ORDER BY event_time DESC LIMIT 1000".to_owned()),
        q("json_bucket", "Which calls named this bucket in their parameters?", format!("SELECT event_time, event_name, user_name, error_code FROM history WHERE (request_parameters ->> 'bucketName') = '{bucket}' ORDER BY event_time DESC LIMIT 1000")),
    ]
}

/// Questions after figures over many events.
fn summing_up(at: &Landmarks) -> Vec<Question> {
    let recent = &at.recent;
    let q = |name, asks, sql: String| Question { name, asks, sql };
    vec![
        q("denied_by_user", "Whom was most denied?", "SELECT account_id, user_name, count(*) AS denied FROM history WHERE error_code IN ('AccessDenied', 'AccessDeniedException', 'Client.UnauthorizedOperation', 'NoPermission') GROUP BY account_id, user_name ORDER BY denied DESC, account_id, user_name LIMIT 20".to_owned()),
        q("by_day", "How many reads and writes a day?", "SELECT date_trunc('day', event_time) AS day, event_rw, count(*) AS events FROM history GROUP BY date_trunc('day', event_time), event_rw ORDER BY day, event_rw".to_owned()),
        q("services_by_account", "Which services does each account call most?", "SELECT account_id, event_source, count(*) AS events FROM history GROUP BY account_id, event_source ORDER BY events DESC, account_id, event_source LIMIT 100".to_owned()),
        q("key_use", "When was each access key first and last used?", "SELECT access_key_id, min(event_time) AS first_use, max(event_time) AS last_use, count(*) AS events FROM history WHERE access_key_id IS NOT NULL GROUP BY access_key_id ORDER BY last_use DESC, access_key_id LIMIT 1000".to_owned()),
        q("cross_account", "Who acts in accounts other than their own?", "SELECT identity_account_id, account_id, count(*) AS events FROM history WHERE identity_account_id <> account_id GROUP BY identity_account_id, account_id ORDER BY events DESC, identity_account_id, account_id LIMIT 100".to_owned()),
        q("new_agents", "Which clients did users use for the first time on the last day?", format!("SELECT account_id, user_name, user_agent, min(event_time) AS first_seen FROM history WHERE user_name IS NOT NULL GROUP BY account_id, user_name, user_agent HAVING min(event_time) >= '{recent}' ORDER BY first_seen, account_id, user_name, user_agent LIMIT 100")),
        q("errors_by_hour", "What share of the calls failed, hour by hour?", "SELECT date_trunc('hour', event_time) AS hour, count(*) AS events, avg(CASE WHEN error_code IS NULL THEN 0.0 ELSE 1.0 END) AS error_rate FROM history GROUP BY date_trunc('hour', event_time) ORDER BY hour".to_owned()),
    ]
}

#[cfg(test)]
mod tests;

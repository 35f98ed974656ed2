//! Time as Cairn keeps it: whole microseconds since 1970-01-01T00:00:00Z.
//!
//! Microseconds because nanoseconds in 64 bits end in the year 2262, and an
//! event may claim any year.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A moment in UTC, in microseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// Microseconds in a day.
pub const DAY: i64 = 86_400_000_000;
/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;

impl Micros {
    /// The moment `days` days earlier.
    pub fn minus_days(self, days: u32) -> Self {
        Self(self.0.saturating_sub(i64::from(days) * DAY))
    }

    /// Whole days since the epoch, rounded towards the past: Arrow's `Date32`.
    pub fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(DAY)).unwrap_or(if self.0 < 0 {
            i32::MIN
        } else {
            i32::MAX
        })
    }

    /// `2026-01-02T03:04:05.000006Z`, or the bare number where chrono has no
    /// such year.
    pub fn to_rfc3339(self) -> String {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(t) => t.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            None => self.0.to_string(),
        }
    }
}

/// `2026-01-02` for an Arrow `Date32`, as Delta writes partition values.
pub fn date_text(day: i32) -> String {
    let epoch = NaiveDate::default();
    match epoch.checked_add_signed(chrono::TimeDelta::days(i64::from(day))) {
        Some(date) => date.format("%Y-%m-%d").to_string(),
        None => day.to_string(),
    }
}

/// The inverse of [`date_text`].
pub fn parse_date(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}
